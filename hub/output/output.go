// Package output stores what steps print and reads it again: chunks come in by
// compare-and-set, many in one commit, and go out by cursor, line, node and step, from
// the rows or, while they are young, straight to those who follow.
package output

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/archive"
	"github.com/fairlead/fairlead/hub/batch"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/proto/wire"
)

// Config of Output.
type Config struct {
	MemberID string
	// Clock returns the newest lease tick.
	Clock func() (tick int64, mark hub.DBMark)
	// Whole is told executions of which an attempt's log became whole, after the commit:
	// dispatch ends those that only waited for it. May be nil.
	Whole func(ctx context.Context, executionIDs []string)
	// Accuse is told of a runner whose chunks contradict the stored ones, or the result.
	// May be nil.
	Accuse func(ctx context.Context, fence hub.Fence, runnerID, why string)
	// Events of executions, so that followers learn of an end at once; nil: they poll.
	Events func(organisationID, executionID string) (events <-chan hub.Event, cancel func())
	// Follow makes the chunks that other members commit for an execution come by Deliver
	// until release is called; nil: there are no others.
	Follow func(executionID string) (release func())
	// Archives hold the logs of ended executions; nil: none does.
	Archives *archive.Archives
	// Poll is how often followers look at the rows without a hint; 0: 1 s.
	Poll time.Duration
}

// Output stores and reads output. Make it with New; all methods may be called by many
// goroutines at once.
type Output struct {
	st        *store.Store
	cfg       Config
	log       *slog.Logger
	appends   *batch.Loop[appendRequest, []hub.ChunkAck]
	whole     chan []string
	followers followers
	objects   archive.Cache
	// searches are those that run, scanning the chunks that they look through now.
	searches, scanning chan struct{}
	rooms              sync.Pool
}

// Bytes of one transaction: SQLite has one writer, and a claim must not wait behind much
// output.
const (
	transactionSQLite   = 1 << 20
	transactionPostgres = 8 << 20
)

// New makes an Output; Run makes it work.
func New(st *store.Store, cfg Config, log *slog.Logger) *Output {
	cfg.Poll = cmp.Or(cfg.Poll, time.Second)
	cfg.Archives = cmp.Or(cfg.Archives, &archive.Archives{})
	o := &Output{st: st, cfg: cfg, log: log, whole: make(chan []string, 1024), searches: make(chan struct{}, searchesAtOnce), scanning: make(chan struct{}, runtime.GOMAXPROCS(0))}
	o.rooms.New = func() any { return &room{data: make([]byte, 0, wire.MaxChunkBytes)} }
	largest := transactionPostgres
	if st.Dialect() == "sqlite" {
		largest = transactionSQLite
	}
	o.appends = batch.New(1024, o.commit).Limit(largest, func(r appendRequest) int { return r.bytes })
	return o
}

// Run commits chunks until ctx ends. Append waits for it.
func (o *Output) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return o.appends.Run(ctx) })
	group.Go(func() error { return o.runWhole(ctx) })
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// runWhole tells of logs that became whole, beside the commit loop.
func (o *Output) runWhole(ctx context.Context) error {
	for {
		select {
		case ids := <-o.whole:
			o.cfg.Whole(ctx, ids)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
