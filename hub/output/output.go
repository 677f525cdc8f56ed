// Package output stores what steps print and reads it again: chunks come in by
// compare-and-set, many in one commit, and go out by cursor, line, node and step, from
// the rows or, while they are young, straight to those who follow.
package output

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/proto/wire"
)

// Config of Output.
type Config struct {
	MemberID string
	// Clock returns the newest lease tick.
	Clock func() (tick int64, mark hub.DBMark)
	// Settled is told executions of which an attempt's log became whole: dispatch ends
	// those that only waited for it. It is called after the commit, by the commit loop.
	Settled func(executionIDs []string)
	// Retention is how long the output of an ended execution is kept; 0: for ever.
	Retention time.Duration
	// Poll is how often followers look at the rows without a hint; 0: 1 s.
	Poll time.Duration
}

// Query says which lines.
type Query struct {
	OrganisationID string
	ExecutionID    string
	// Node and Step narrow to one node or step by position; nil: all. A step's handler
	// counts as the step.
	Node, Step *int
	// Cursor continues after a line; "" from the beginning.
	Cursor string
	// FirstLine skips so many of the lines that the rest leaves; Lines bounds how many
	// are told (0: all); Tail tells the last so many alone (0: off).
	FirstLine, Lines, Tail int64
	// Follow stays until the execution has ended and everything is told.
	Follow bool
}

// Line is one output frame.
type Line struct {
	// Node, Step and Try as in hub.NodeStep.
	Node, Step, Try int
	Stream          wire.Stream
	// Flags of wire: partial, masked, truncated.
	Flags uint8
	// Time by the runner's clock.
	Time time.Time
	// N numbers the lines of its attempt from 0.
	N    int64
	Data []byte
}

// Batch is some lines that follow one another.
type Batch struct {
	Lines []Line
	// Cursor after the last line; CursorAt tells that after another one.
	Cursor string
	after  []string
}

// Output stores and reads output. Make it with New; all methods may be called by many
// goroutines at once.
type Output struct{}

// New makes an Output; Run makes it work.
func New(st *store.Store, cfg Config, log *slog.Logger) *Output { panic("") }

// Run commits chunks, and drops those past retention, until ctx ends. Append waits for it.
func (o *Output) Run(ctx context.Context) error { panic("") }

// Append commits chunks of one runner and answers each attempt among them once.
// It returns an error only when nothing was committed.
func (o *Output) Append(ctx context.Context, chunks []hub.Chunk) ([]hub.ChunkAck, error) {
	panic("")
}

// Publish pushes chunks that were committed elsewhere on this member (within a result)
// to followers.
func (o *Output) Publish(chunks []hub.Chunk) { panic("") }

// Read returns the lines of a query in batches, in the order of the workflow; with
// Follow, what comes later in the order of commits. Iteration ends with an error at
// most once.
func (o *Output) Read(ctx context.Context, q Query) iter.Seq2[*Batch, error] { panic("") }

// CursorAt returns the cursor after line i of the batch.
func (b *Batch) CursorAt(i int) string { panic("") }
