package cluster

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

// run runs a member until the returned function is called, which ends it as a kill
// would: nothing is given back.
func run(t *testing.T, c *Cluster, more ...func(context.Context) error) (kill func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{}, 3+len(more))
	loops := append([]func(context.Context) error{c.beats, c.ticks}, more...)
	if c.cfg.ActivePassive {
		loops = append(loops, func(ctx context.Context) error { return c.Lead(ctx, c.beActive()) })
	}
	for _, loop := range loops {
		go func() {
			if err := loop(ctx); err != nil {
				t.Errorf("a loop ended with %v", err)
			}
			done <- struct{}{}
		}()
	}
	var once atomic.Bool
	kill = func() {
		if once.Swap(true) {
			return
		}
		_ = c.st.Close() // so that it cannot say good-bye
		cancel()
		for range loops {
			<-done
		}
	}
	t.Cleanup(kill)
	return kill
}

// pair makes two members with connections of their own to one database; st is the test's.
func pair(t *testing.T, change func(*Config)) (st *store.Store, a, b *Cluster) {
	t.Helper()
	at := storetest.PostgresConfig(t)
	connect := func() *store.Store {
		st, err := store.Open(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	st = connect()
	t.Cleanup(func() { _ = st.Close() })
	var out []*Cluster
	for _, name := range []string{"a", "b"} {
		cfg := Config{
			ID: store.NewID(), Name: name, Gateway: name + ":8441", Address: name + ":8441", Roles: hub.Roles(), Interval: 100 * time.Millisecond,
		}
		change(&cfg)
		c := New(connect(), testMaster(t), cfg, storetest.Logger(t))
		if err := c.Join(context.Background()); err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return st, out[0], out[1]
}

// When the leader is killed another one leads after 6 ticks, with a higher term, and what
// the first one still wants to write is refused.
func TestLeaderIsKilled(t *testing.T) {
	t.Parallel()
	st, a, b := pair(t, func(*Config) {})
	leads := func(term *atomic.Int64) func(context.Context, int64) error {
		return func(ctx context.Context, n int64) error {
			term.Store(n)
			defer term.Store(0)
			<-ctx.Done()
			return nil
		}
	}
	always := func() bool { return true }
	var first, second atomic.Int64
	kill := run(t, a, func(ctx context.Context) error {
		return a.Lead(ctx, Leads{Lease: "x", May: always, Work: leads(&first)})
	})
	until(t, "the first member leads", func() bool { return first.Load() == 1 })
	run(t, b, func(ctx context.Context) error {
		return b.Lead(ctx, Leads{Lease: "x", May: always, Work: leads(&second)})
	})
	kill()
	killed := time.Now()
	until(t, "the second member leads", func() bool { return second.Load() == 2 })
	if took := time.Since(killed); took > 10*time.Second {
		t.Errorf("the second member leads after %v", took)
	}
	err := st.InTx(t.Context(), func(st *store.Store) error { return st.HoldLeaderLease(t.Context(), "x", a.MemberID(), 1) })
	if hub.ErrorCode(err) != hub.CodeConflict {
		t.Errorf("the old leader may write: %v", err)
	}
}

// One member is active; it is followed as the policy says, and by whom a person names.
func TestActivePassive(t *testing.T) {
	t.Parallel()
	st, a, b := pair(t, func(c *Config) { c.ActivePassive = true })
	killA := run(t, a)
	until(t, "the first member is active", func() bool { return a.Active(t.Context()) == nil })
	run(t, b)
	until(t, "the second member sends runners to the active one, and tells them both", func() bool {
		g := b.Others()
		return len(g) == 1 && g[0] == "a:8441" && len(a.Others()) == 0 && len(a.Gateways()) == 2 && len(b.Gateways()) == 2
	})
	if b.Active(t.Context()) == nil || b.Serves(t.Context()) == nil || b.Schedules() || b.Ready(t.Context()) != nil {
		t.Errorf("the passive member: active %v, serves %v, schedules %v, ready %v", b.Active(t.Context()), b.Serves(t.Context()), b.Schedules(), b.Ready(t.Context()))
	}
	if len(a.OtherMembers()) != 1 || len(a.Sharing()) != 0 {
		t.Errorf("the active member knows of %v and shares its runners with %v", a.OtherMembers(), a.Sharing())
	}
	give := func(to *Cluster) {
		if err := st.GiveLeaderLease(t.Context(), hub.LeaseActive, to.MemberID()); err != nil {
			t.Fatal(err)
		}
	}
	give(b)
	until(t, "the promoted member is active", func() bool { return b.Active(t.Context()) == nil && a.Active(t.Context()) != nil })
	give(a)
	until(t, "the first member is active again", func() bool { return a.Active(t.Context()) == nil && b.Active(t.Context()) != nil })
	killA()
	until(t, "the second member takes over", func() bool { return b.Active(t.Context()) == nil })
}

// A member that serves people alone never becomes the active one: no runner would be served,
// and no schedule fire.
func TestFrontEndIsNeverActive(t *testing.T) {
	t.Parallel()
	roles := map[string][]string{"a": {hub.RoleAPI}, "b": hub.Roles()}
	st, a, b := pair(t, func(c *Config) { c.ActivePassive, c.Roles = true, roles[c.Name] })
	run(t, a)
	until(t, "the front end has looked at the lease", func() bool { return a.Tick() > 2 })
	if a.Active(t.Context()) == nil {
		t.Fatal("the front end is the active member")
	}
	run(t, b)
	until(t, "the back end is active", func() bool { return b.Serves(t.Context()) == nil && b.Schedules() })
	promote := func(name string) error {
		row, err := st.Member(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return b.MayBePromoted(row)
	}
	if err := promote("a"); hub.ErrorCode(err) != hub.CodeConflict || !strings.Contains(hub.ErrorMessage(err), "needs gateway and scheduler") {
		t.Errorf("promoting the front end: %v", err)
	}
	until(t, "the back end may be promoted", func() bool { return promote("b") == nil }) // where its heartbeat is late, not at once
}

// With manual takeover nobody follows by itself.
func TestManualTakeover(t *testing.T) {
	t.Parallel()
	st, a, b := pair(t, func(c *Config) { c.ActivePassive, c.ManualTakeover = true, true })
	killA := run(t, a)
	until(t, "the first member is active", func() bool { return a.Active(t.Context()) == nil })
	run(t, b)
	killA()
	lease, err := st.LeaderLease(t.Context(), hub.LeaseActive)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the lease is over", func() bool { return b.Tick() > lease.UntilTick+2 })
	if b.Active(t.Context()) == nil {
		t.Fatal("the second member took over by itself")
	}
	if err := st.GiveLeaderLease(t.Context(), hub.LeaseActive, b.MemberID()); err != nil {
		t.Fatal(err)
	}
	until(t, "the promoted member is active", func() bool { return b.Active(t.Context()) == nil })
}

// A member that is drained is not ready and tells nobody to come.
func TestDrainedMember(t *testing.T) {
	t.Parallel()
	st, a, b := pair(t, func(*Config) {})
	run(t, a)
	run(t, b)
	until(t, "both know both", func() bool { return len(a.Gateways()) == 2 && len(b.Gateways()) == 2 })
	row, err := st.Member(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	row.Draining = true
	if err := st.SetMember(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	until(t, "the drained member is left out", func() bool { return len(a.Gateways()) == 1 && len(b.Gateways()) == 1 })
	if a.Ready(t.Context()) == nil || a.Serves(t.Context()) == nil || b.Serves(t.Context()) != nil {
		t.Errorf("ready %v, serves %v, the other serves %v", a.Ready(t.Context()), a.Serves(t.Context()), b.Serves(t.Context()))
	}
}

// Members behind one balancer have one address: runners are told it once, and a member
// that has to give its runners away knows that there are others behind it.
func TestMembersBehindOneAddress(t *testing.T) {
	t.Parallel()
	_, a, b := pair(t, func(c *Config) { c.Gateway = "balancer:8441" })
	run(t, a)
	run(t, b)
	until(t, "each knows of the other", func() bool { return len(a.Others()) == 1 && len(b.Others()) == 1 })
	if g := a.Gateways(); len(g) != 1 {
		t.Errorf("runners are told %v", g)
	}
}
