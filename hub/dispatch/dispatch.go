// Package dispatch moves executions: it starts and cancels them, offers attempts to
// runners, grants claims and takes what runners report. docs/state-machines.md is its
// specification.
//
// Every answer follows a commit made for it. Requests of one kind that arrive while a
// commit runs are the next commit together; the first one never waits. What is kept
// in memory (sessions, loads, offers sent) are hints that a poll repairs.
package dispatch

import (
	"context"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// Config says who this member is and where secrets come from.
type Config struct {
	MemberID string
	// Clock returns the newest lease tick that this member saw committed and its mark.
	Clock func() (tick int64, mark hub.DBMark)
	// Hold tells the incarnation of the database, and whether the cluster is held; nil: it
	// never is, and nobody looks for what would show it.
	Hold func() hub.Hold
	// MarkIncarnation tells of which incarnation, 1 to highest, an authentic mark is; may be
	// nil.
	MarkIncarnation func(mark hub.DBMark, highest int64) (int64, bool)
	// NewestMark returns the newest mark of the database in an incarnation; nil where
	// MarkIncarnation is.
	NewestMark func(ctx context.Context, st *store.Store, incarnation int64) (hub.DBMark, error)
	// Gateways are the addresses of all members, for Welcome; may be nil.
	Gateways func() []string
	// GrantMAC proves a grant to a later database; may be nil.
	GrantMAC func(hub.GrantProof) []byte
	// Secrets gathers what an attempt needs, after its claim is committed. The project is
	// as its runner was told it with the offer; nil: it is not remembered. An error of
	// code not_found, invalid or forbidden lets the grant go with what was found, so that
	// the node step can say what is missing; any other makes the runner claim again.
	Secrets func(context.Context, *hub.Project, *hub.Execution, *hub.Assignment) (*hub.Secrets, error)
	// SealOptions closes the values of secure options given to a run, OpenOptions
	// reverses it; nil: they are refused.
	SealOptions func(ctx context.Context, organisationID, executionID string, values map[string]string) ([]byte, error)
	// Published is told of chunks that a result brought, after its commit: output's
	// followers want them. May be nil.
	Published func(executionID string, chunks []hub.Chunk)
	// Wake tells another member, or all with "", without waiting; nil: there is none.
	Wake func(memberID string, w hub.Wake)
	// Watch makes the events of other members come by Deliver until release is called;
	// nil: there are no others.
	Watch func(hub.Interest) (release func())
	// LostAfter is the default of lost_after in ticks; 0: 600.
	LostAfter int64
	// LeaseTicks is the life of a claim without renewal; 0: 20.
	LeaseTicks int64
	// OfferTicks is the life of an offer; 0: 10.
	OfferTicks int64
	// Poll is how often rows are looked at without a hint; 0: 1 s.
	Poll time.Duration
}

// Sink takes frames for one runner. Its methods do not block: what cannot be queued
// ends the session, since every frame is told again.
type Sink interface {
	Offer(hub.Offer)
	Stop(hub.Fence, hub.StopScope)
	Forget(hub.Fence)
	Drain(members []string)
	// End ends the session, because a later one of the same runner took its place.
	End(why error)
}

// StartRequest asks for an execution.
type StartRequest struct {
	OrganisationID string
	ProjectID      string
	// Project is the one of ProjectID if it was read just now, else nil.
	Project *hub.Project
	// JobID names a stored job; else Definition is an ad-hoc one.
	JobID string
	// Definition of a stored job may be given too, if it was read just now.
	Definition *hub.Job
	// Quota of the organisation if it was read just now, else nil.
	Quota *hub.Quota
	// Options are given values by name, secure ones included.
	Options map[string]string
	// NodeFilter overrides the job's own where that is allowed; "" keeps it.
	NodeFilter string
	// Nodes, if not nil, narrows the run to nodes of these names (retry failed nodes).
	Nodes []string
	// Threads and Keepgoing, if not 0 and nil, override the definition's dispatch for this
	// run: nodes at once, and whether other nodes go on after a failure.
	Threads   int
	Keepgoing *bool
	// RunAt is when it is to start; zero: now. Its nodes are found then.
	RunAt time.Time
	// Fire: it is a fire of a schedule, of which one at most waits for its turn: the next
	// is refused with ErrInLine.
	Fire bool
	// By is who asked, for people and audit.
	By string
	// Audit, if not nil, is written in the transaction that inserts the execution.
	Audit *hub.AuditEvent
	// InTx, if set, runs in that transaction too, before its commit: the idempotency row
	// belongs there. Its error undoes all.
	InTx func(ctx context.Context, st *store.Store, e *hub.Execution) error
}

// CancelRequest asks to end an execution, or some nodes of it by name.
type CancelRequest struct {
	Nodes []string
	By    string
	// InTx, if set, runs in the transaction of the cancel, as that of StartRequest does.
	InTx func(ctx context.Context, st *store.Store) error
}

// RunnerLoad is what this member knows of a runner now.
type RunnerLoad struct {
	Connected bool
	Live      int // attempts offered to it or held by it
	Slots     int
}
