package dispatch

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/batch"
	"github.com/fairlead/fairlead/hub/store"
)

// Dispatcher moves executions. Make it with New; all methods may be called by many
// goroutines at once.
type Dispatcher struct {
	st    *store.Store
	cfg   Config
	log   *slog.Logger
	reg   registry
	cache cache
	subs  subscribers

	nodeLists   nodeLists
	definitions definitions
	waiters     waiters

	starts   *batch.Loop[startRequest, struct{}]
	claims   *batch.Loop[claimRequest, claimAnswer]
	reports  *batch.Loop[reportRequest, reportAnswer]
	renewals *batch.Loop[renewRequest, struct{}]
	hellos   *batch.Loop[sessionRequest, sessionAnswer]
	arrivals *batch.Loop[hub.SessionRef, struct{}]

	// woken holds at most one hint that there may be work to offer.
	woken chan struct{}
	// line holds at most one hint that a turn of a job may be free.
	line chan struct{}
	// waiting: the last look left something without a runner.
	waiting atomic.Bool
	// doubt: a commit may have happened whose answer was lost.
	doubt atomic.Bool
	// shown is what sessions have shown of their runners' disks.
	shown inventories
	// ownMark and remoteMark are the marks that the rows of this member's runners, and of
	// others', were read behind. The ticks alone use them.
	ownMark, remoteMark store.RunnersMark
	// looked counts the ticks that were looked at, for tests.
	looked atomic.Int64
}

// New makes a dispatcher; Run makes it work.
func New(st *store.Store, cfg Config, log *slog.Logger) *Dispatcher {
	cfg.LostAfter = cmp.Or(cfg.LostAfter, 600)
	cfg.LeaseTicks = cmp.Or(cfg.LeaseTicks, 20)
	cfg.OfferTicks = cmp.Or(cfg.OfferTicks, 10)
	cfg.Poll = cmp.Or(cfg.Poll, time.Second)
	if cfg.Hold == nil {
		cfg.Hold = func() hub.Hold { return hub.Hold{Incarnation: 1} }
	}
	if cfg.Gateways == nil {
		cfg.Gateways = func() []string { return nil }
	}
	d := &Dispatcher{
		st: st, cfg: cfg, log: log, woken: make(chan struct{}, 1), line: make(chan struct{}, 1),
		reg: registry{
			runners: make(map[string]*runnerView), refused: make(map[refusal]int64), lastStale: make(map[string]staleHello),
			remote: make(map[string]*remoteRunner),
		},
		cache: cache{jobs: make(map[string]*job), works: make(map[string]*work)},
	}
	d.starts = batch.New(startsAtOnce, d.commitStarts).Limit(startNodesAtOnce, startRequest.nodes)
	d.claims = batch.New(128, d.commitClaims)
	d.reports = batch.New(256, d.commitReports)
	d.renewals = batch.New(512, d.commitRenewals)
	d.hellos = batch.New(128, d.commitSessions)
	d.arrivals = batch.New(128, d.settleArrivals)
	return d
}

// Run works until ctx ends: commit loops, expiry by ticks, the poll for work. Calls
// made while it does not run wait for it.
func (d *Dispatcher) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, run := range []func(context.Context) error{
		d.starts.Run, d.claims.Run, d.reports.Run, d.renewals.Run, d.hellos.Run, d.arrivals.Run, d.runTicks, d.runOffers, d.runLine, d.runRecovery,
	} {
		group.Go(func() error { return run(ctx) })
	}
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// tick is the newest lease tick.
func (d *Dispatcher) tick() int64 {
	tick, _ := d.cfg.Clock()
	return tick
}

// wake hints that there may be work to offer.
func (d *Dispatcher) wake() {
	select {
	case d.woken <- struct{}{}:
	default:
	}
}

// refused makes the error of a claim or report that cannot be taken.
func refused(fence hub.Fence, reason hub.RefusedReason, message string) *hub.Refused {
	return &hub.Refused{Fence: fence, Reason: reason, Message: message}
}
