package dispatch

import (
	"context"
	"log/slog"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// Dispatcher moves executions. Make it with New; all methods may be called by many
// goroutines at once.
type Dispatcher struct{}

// New makes a dispatcher; Run makes it work.
func New(st *store.Store, cfg Config, log *slog.Logger) *Dispatcher { panic("") }

// Run works until ctx ends: commit loops, expiry by ticks, the poll for work. Calls
// made while it does not run wait for it.
func (d *Dispatcher) Run(ctx context.Context) error { panic("") }

// Start resolves nodes, routes them, cuts the workflow and inserts the execution, with
// attempts offered already where a runner is free, in one commit.
func (d *Dispatcher) Start(ctx context.Context, r StartRequest) (*hub.Execution, error) { panic("") }

// Cancel asks an execution, or nodes of it, to end. Asking again is harmless; an
// execution that has ended is a conflict.
func (d *Dispatcher) Cancel(ctx context.Context, organisationID, executionID string, r CancelRequest) error {
	panic("")
}

// Wait returns the execution once it is final, or as it is when ctx ends.
func (d *Dispatcher) Wait(ctx context.Context, organisationID, executionID string) (*hub.Execution, error) {
	panic("")
}

// Subscribe returns the events of an organisation, or of one execution if executionID
// is set, until the returned function is called. A slow reader loses the oldest and is
// told EventResync.
func (d *Dispatcher) Subscribe(organisationID, executionID string) (events <-chan hub.Event, cancel func()) {
	panic("")
}

// Matrix returns one row for each step on each node of an execution, in its newest try,
// ordered by node and step: those that have no record yet are derived from the
// assignments.
func (d *Dispatcher) Matrix(ctx context.Context, organisationID, executionID string) ([]hub.NodeStep, error) {
	panic("")
}

// Runners tells what this member knows of an organisation's runners, by id.
func (d *Dispatcher) Runners(organisationID string) map[string]RunnerLoad { panic("") }

// Hello opens a session: one commit.
func (d *Dispatcher) Hello(ctx context.Context, h hub.Hello) (hub.Welcome, error) { panic("") }

// Confirm makes a session the current one. A *hub.Refused says that it is not the
// newest: the stream must end.
func (d *Dispatcher) Confirm(ctx context.Context, ref hub.SessionRef) error { panic("") }

// Attach gives a confirmed session its way to the runner: offers, stops and forgets go
// there until detach is called. Call it after Confirm and before answering Confirmed,
// or just after; what was to be told meanwhile is told at once.
func (d *Dispatcher) Attach(ref hub.SessionRef, sink Sink) (detach func()) { panic("") }

// Claim commits the claim and returns the grant, or a *hub.Refused.
func (d *Dispatcher) Claim(ctx context.Context, ref hub.SessionRef, fence hub.Fence) (hub.Grant, error) {
	panic("")
}

// Refuse takes back an offer that the runner declines; it may forget it then (told by
// its sink). reason is a short word for people ("full", "disk", "draining").
func (d *Dispatcher) Refuse(ctx context.Context, ref hub.SessionRef, fence hub.Fence, reason, message string) error {
	panic("")
}

// NotStarted takes back a claim of which nothing was started. On success the runner is
// told to forget it by its sink; else the error is a *hub.Refused.
func (d *Dispatcher) NotStarted(ctx context.Context, ref hub.SessionRef, fence hub.Fence) error {
	panic("")
}

// Resume lets an attempt go on after a restart of its runner, or a *hub.Refused.
func (d *Dispatcher) Resume(ctx context.Context, ref hub.SessionRef, fence hub.Fence) (hub.Resumed, error) {
	panic("")
}

// Steps commits journal records and returns the first number that the hub lacks, also
// for a repeat. Errors: *hub.Behind after a gap, *hub.Refused for an attempt that is
// not this runner's or for another history.
func (d *Dispatcher) Steps(ctx context.Context, s hub.Steps) (nextN int64, err error) { panic("") }

// Result commits the end of an attempt with the records and chunks that came along,
// advances its execution, and returns the first chunk that the hub lacks. Errors as of
// Steps.
func (d *Dispatcher) Result(ctx context.Context, r hub.Result) (logNext int64, err error) { panic("") }

// Renew keeps the leases of attempts that the runner holds.
func (d *Dispatcher) Renew(ctx context.Context, ref hub.SessionRef, fences []hub.Fence) (tick int64, mark hub.DBMark, err error) {
	panic("")
}

// StopAck notes that a stop is in the runner's journal, or that the attempt had closed
// before: it is not told again in this session.
func (d *Dispatcher) StopAck(ref hub.SessionRef, fence hub.Fence, n int64, closed bool) { panic("") }

// Forgotten notes that the runner's disk no longer knows the attempt.
func (d *Dispatcher) Forgotten(ctx context.Context, ref hub.SessionRef, fence hub.Fence) error {
	panic("")
}

// SetCredits notes how many more attempts the runner takes now; 0 pauses offers.
func (d *Dispatcher) SetCredits(ref hub.SessionRef, slots int) { panic("") }

// Drain tells all runners of this member to move to others.
func (d *Dispatcher) Drain(members []string) { panic("") }
