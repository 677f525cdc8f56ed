package sim

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/cluster"
	"github.com/fairlead/fairlead/hub/dispatch"
	"github.com/fairlead/fairlead/hub/gateway"
	"github.com/fairlead/fairlead/hub/keys"
	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

// seat is a place for a hub: address, database, and whoever serves there now.
type seat struct {
	w      *world
	index  int
	name   string
	db     *storetest.Serial // changed by who holds world.changing
	member *member           // nil while it is down; guarded by world.mu, as is the next
	last   *member           // that was started here
	killed int
}

// member is one hub process. What it has in memory goes with it.
type member struct {
	seat     *seat
	dead     atomic.Bool
	gone     chan struct{} // closed when nothing of it is left
	st       *store.Store
	dispatch *dispatch.Dispatcher
	output   *output.Output
	gateway  *gateway.Gateway
	ctx      context.Context
	stop     context.CancelFunc
	hold     atomic.Pointer[hub.Hold]

	mu     sync.Mutex
	random *rand.Rand
	closed bool
	wg     sync.WaitGroup
}

var errDead = errors.New("this hub is dead")

// boot starts a hub.
func (s *seat) boot() error {
	w := s.w
	m := &member{gone: make(chan struct{}), seat: s, random: w.random("member"+s.name, s.killed)}
	var err error
	m.st, err = store.Open(context.Background(), store.Config{Serial: s.db, Fault: m.fault, Log: w.log.With("hub", s.name)})
	if err != nil {
		return err
	}
	m.ctx, m.stop = context.WithCancel(context.Background())
	for m.learnHold() != nil {
		if !wait(100*time.Millisecond, w.ctx.Done()) {
			return m.st.Close()
		}
	}
	log := w.log.With("hub", s.name)
	clock := func() (int64, hub.DBMark) { t := w.tick.Load(); return t, hub.DBMark{Tick: t} }
	cfg := dispatch.Config{
		MemberID: s.name, Hold: func() hub.Hold { return *m.hold.Load() }, GrantMAC: grantMAC, LeaseTicks: or(w.plan.leaseTicks, 8), OfferTicks: or(w.plan.offerTicks, 4),
		Published: func(id string, chunks []hub.Chunk) { m.output.Publish(id, chunks) },
	}
	if w.plan.members > 1 {
		cfg.Wake = m.wake
	}
	var c *cluster.Cluster
	if w.plan.has(fork) {
		c = m.join(log)
		if c == nil {
			return m.st.Close()
		}
		clock, cfg.Hold, cfg.MarkIncarnation, cfg.NewestMark = c.Clock, c.Hold, c.MarkIncarnation, c.NewestMark
	}
	cfg.Clock = clock
	m.dispatch = dispatch.New(m.st, cfg, log)
	m.output = output.New(m.st, output.Config{
		MemberID: s.name, Clock: clock, Whole: m.dispatch.LogWhole, Events: m.dispatch.Subscribe,
	}, log)
	m.gateway = gateway.New(m.st, nil, m.dispatch, m.output, gateway.Config{}, log)
	m.serve(m.followHold)
	if cfg.Wake != nil {
		m.serve(m.hear)
	}
	if c != nil {
		m.serve(func(ctx context.Context) { w.mustEnd("cluster", c.Run(ctx)) })
	}
	m.serve(func(ctx context.Context) { w.mustEnd("dispatch", m.dispatch.Run(ctx)) })
	m.serve(func(ctx context.Context) { w.mustEnd("output", m.output.Run(ctx)) })
	if s.take(m) {
		w.note("hub %s is up", s.name)
	} else {
		m.dead.Store(true)
		m.close()
	}
	return nil
}

// join makes the hub a member of its database's cluster; nil when the history is over.
func (m *member) join(log *slog.Logger) *cluster.Cluster {
	master, err := keys.NewMaster(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		m.seat.w.broke("the master key: %v", err)
		return nil
	}
	name := m.seat.name
	c := cluster.New(m.st, master, cluster.Config{ID: name, Name: name, Gateway: name, Address: name}, log)
	for c.Join(m.ctx) != nil {
		if !wait(100*time.Millisecond, m.seat.w.ctx.Done()) {
			return nil
		}
	}
	return c
}

// take lets a hub serve here; false when the history is over.
func (s *seat) take(m *member) bool {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.w.ctx.Err() != nil {
		return false
	}
	s.member, s.last = m, m
	return true
}

func or(a, b int64) int64 {
	if a != 0 {
		return a
	}
	return b
}

// serve runs f as part of the process; false when that has ended.
func (m *member) serve(f func(ctx context.Context)) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.wg.Go(func() { f(m.ctx) })
	return true
}

// fault is the database as it may be: slow, away, or the last thing this hub saw.
func (m *member) fault(point string) error {
	w := m.seat.w
	if m.dead.Load() {
		return errDead
	}
	err := w.hit("db."+point, -1, m.seat.index)
	if m.dead.Load() {
		return errDead
	}
	if err != nil {
		return err
	}
	w.mu.Lock()
	down := w.dbDown
	w.mu.Unlock()
	if down && point == store.FaultBegin {
		return hub.Errorf(hub.CodeUnavailable, "The database is away.")
	}
	if point != store.FaultCommit { // between, all others wait for this transaction: it is slow before or after
		m.mu.Lock()
		d := time.Duration(m.random.Int64N(int64(w.plan.slow)))
		m.mu.Unlock()
		wait(d, nil)
		if m.dead.Load() {
			return errDead
		}
	}
	return nil
}

// kill is kill -9: from this moment nothing of it commits or is sent. back is when
// another process takes its place; negative: never.
func (m *member) kill(back time.Duration) {
	w, s := m.seat.w, m.seat
	w.mu.Lock()
	if m.dead.Load() {
		w.mu.Unlock()
		return
	}
	m.dead.Store(true)
	s.member = nil
	s.killed++
	var mine []*conn
	for c := range w.conns {
		if c.m == m {
			mine = append(mine, c)
		}
	}
	w.mu.Unlock()
	w.note("hub %s is killed", s.name)
	m.stop()
	for _, c := range mine {
		c.breakOff()
	}
	w.wg.Go(func() {
		m.close()
		close(m.gone)
		if back < 0 || !wait(back, w.ctx.Done()) {
			return
		}
		select {
		case w.changing <- struct{}{}:
			defer func() { <-w.changing }()
		case <-w.ctx.Done():
			return
		}
		if w.memberAt(s.index) != nil {
			return // it was started meanwhile
		}
		if err := s.boot(); err != nil {
			w.broke("hub %s cannot start: %v", s.name, err)
		}
	})
}

// close waits for the process's end and lets go of the database.
func (m *member) close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.stop()
	m.wg.Wait()
	if err := m.st.Close(); err != nil {
		m.seat.w.broke("closing the store: %v", err)
	}
}

// wait returns true when d is over, false when done is closed first.
func wait(d time.Duration, done <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-done:
		return false
	}
}
