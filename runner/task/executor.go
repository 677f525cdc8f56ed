package task

import (
	"context"
	"fmt"
	"time"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/logfilter"
)

// Cell is one try of one step on one node, by position in the spec. Try counts from 1.
type Cell struct {
	Node, Step, Try uint32
}

// Command is one node step with everything expanded, ready to be prepared.
type Command struct {
	AttemptID string
	Cell      Cell
	Node      *runnerv1.Node
	// Settings are the node's attributes over the project's settings
	// ("ssh-key-storage-path", "sudo-command-enabled", ...).
	Settings map[string]string
	// Text is the command line for a shell, values quoted already. Empty for a script.
	Text   string
	Script *Script
	// Env are RD_* variables, "NAME=value".
	Env []string
	// Keys are secrets by storage path, Options secure option values by name. They
	// live in memory alone.
	Keys    map[string][]byte
	Options map[string]string
	// Masks are values that must never reach a disk.
	Masks [][]byte
	// Filters are what its output goes through before anything of it is stored, LogLevel
	// the job's: for who tells WriteMasked.
	Filters  []logfilter.Definition
	LogLevel string
	// Timeout of this try; 0: none.
	Timeout time.Duration
	// Grace is how long TERM may take before KILL.
	Grace time.Duration
	// Detached: on a node that is reached over a network, it is to outlive connection and
	// runner.
	Detached bool
	// OtherBoot is set for Reattach when the attempt was granted in an earlier boot of
	// the host: what is missing on the disk then proves nothing, since a shim syncs
	// nothing before it starts.
	OtherBoot bool
}

// Name names the cell, its directory on a node, and everything that it starts there.
func (c *Command) Name() string {
	return fmt.Sprintf("%s.%d.%d.%d", c.AttemptID, c.Cell.Node, c.Cell.Step, c.Cell.Try)
}

// End is how a command ended.
type End struct {
	Outcome    runnerv1.Outcome
	Code       int32
	Exited     bool
	Signal     string
	Reason     string
	Message    string
	EndProven  bool
	NotStarted bool
	NewHostKey string
	// Data are values that its filters captured.
	Data map[string]string
	// Printed is what the job's log limit let it print; nil: there is none, or it printed
	// nothing.
	Printed *runnerv1.Printed
}

// Output takes what a command prints. Calls block while the spool is full: that is
// the backpressure that the command feels on its pipe.
type Output interface {
	// Write takes raw bytes; secrets are masked before anything is stored.
	Write(stream wire.Stream, p []byte) error
	// WriteMasked takes bytes that were masked and filtered already, with the offset at which they
	// end. Offsets count the command's output bytes of both streams together, from 0,
	// without any framing of the file they are kept in: byte i of p is followed by
	// offset-len(p)+i+1. A restarted runner asks for output from such an offset on, in
	// the middle of a p if that is where its last stored line ended.
	WriteMasked(stream wire.Stream, p []byte, offset uint64) error
	// WriteRaw takes raw bytes like Write, from a file that holds stream alone, with the
	// offset in it at which they end. A restarted runner asks for the rest of each file.
	WriteRaw(stream wire.Stream, p []byte, offset uint64) error
}

// Offsets are positions in a command's own output, by stream. Where one file holds both
// streams, only the larger one counts.
type Offsets [2]uint64

// Last is the position in a file that holds both streams.
func (o Offsets) Last() uint64 { return max(o[wire.Stdout], o[wire.Stderr]) }

// SyncedOutput is an Output that can tell how far a command's own output is kept
// elsewhere. Without it a file keeps the last 16 MiB that were handed on, which is
// more than a killed runner can lose.
type SyncedOutput interface {
	Output
	// Synced is up to where everything given to WriteMasked or WriteRaw is synced on the
	// runner's disk. It never falls.
	Synced() Offsets
}

// Executor runs commands on nodes of one kind (ssh, local).
type Executor interface {
	// Prepare does everything that can fail while nothing of the command has started:
	// connect, authenticate, verify the host key, copy a script. An error of type
	// *NotStartedError is the proven end of the command; any other error too, with a
	// general reason. ctx bounds the preparation alone.
	Prepare(ctx context.Context, c *Command) (Process, error)
}

// Process is a prepared command. Exactly one of Run and Discard is called.
type Process interface {
	// Run starts the command and returns when it ended. The caller has synced the
	// journal's started record before. When ctx ends, the command is ended (TERM,
	// grace, KILL, the whole tree) and Run still returns its real end; context.Cause
	// tells ErrStopped from ErrTimedOut.
	Run(ctx context.Context, out Output) End
	// Discard releases what Prepare took; nothing was started.
	Discard()
	// About tells people how the node was reached; of one that was prepared.
	About() string
}

// Reattacher is an executor whose commands survive the runner: all of them on the
// runner's own host, those that are Detached elsewhere.
type Reattacher interface {
	// Reattach looks for a command of an earlier process of this runner. Its Run goes
	// on reading output at the offsets. ok is false when it is proven that the cell never
	// started and never will (the tombstone is written); Run may find that out, too.
	Reattach(ctx context.Context, c *Command, from Offsets) (p Process, ok bool, err error)
	// Forget removes what is left of an attempt's commands. When ctx ends, this process
	// does, which is not to wait for nodes.
	Forget(ctx context.Context, attemptID string) error
}

// Leaver is an executor that has something lie on this host from a command's start until its
// attempt is forgotten.
type Leaver interface {
	// Left are the attempts of which something lies here. A process that ended just after
	// the hub had acknowledged one has not forgotten it.
	Left() []string
}

// Cleaner is an executor that has something lie on a node until its command ends.
type Cleaner interface {
	// Clean removes what an earlier process of this runner left of a cell, unless the
	// command still runs: then it removes it by itself.
	Clean(ctx context.Context, c *Command) error
}

// NotStartedError tells why nothing was started.
type NotStartedError struct {
	// Reason is a short machine word: connection_refused, connection_timeout,
	// host_unreachable, host_not_found, host_key_changed, host_key_unknown,
	// host_key_conflict, authentication_failed, key_missing, script_interpreter, invalid.
	Reason string
	// Message says what happened, to what, and what to do.
	Message string
	// NewHostKey as in End: a first use is recorded even when authentication failed.
	NewHostKey string
	Cause      error
}

// Error returns the message.
func (e *NotStartedError) Error() string { return e.Message }

// Unwrap returns the cause.
func (e *NotStartedError) Unwrap() error { return e.Cause }

// stopError is a cause for ending a command.
type stopError string

func (e stopError) Error() string { return string(e) }

// Causes of a command's context. Compare with errors.Is on context.Cause.
const (
	// ErrStopped: a stop was journalled for it.
	ErrStopped = stopError("stopped")
	// ErrTimedOut: the step's or the job's time is over.
	ErrTimedOut = stopError("timed out")
	// ErrDetach: this process of the runner ends; a command that can live on is left
	// alone and not waited for.
	ErrDetach = stopError("runner ends")
)
