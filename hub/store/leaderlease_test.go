package store_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

func tick(ctx context.Context, t *testing.T, st *store.Store, n int) {
	t.Helper()
	for range n {
		_, _, err := st.AdvanceTick(ctx, must(st.Tick(ctx))(t), []byte("nonce"))
		ok(t, err)
	}
}

func TestLeaderLease(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		const name = hub.LeaseScheduler
		take := func(member string, inherits bool) *hub.LeaderLease {
			return must(st.TakeLeaderLease(ctx, name, member, 6, inherits))(t)
		}
		same(t, must(st.LeaderLease(ctx, name))(t), (*hub.LeaderLease)(nil))
		wantCode(t, st.GiveLeaderLease(ctx, name, "a"), hub.CodeNotFound)
		first := take("a", false) // nobody ever had it
		if first == nil || first.Term != 1 || first.Holder != "a" {
			t.Fatalf("got %+v", first)
		}
		same(t, take("b", true), (*hub.LeaderLease)(nil))
		tick(ctx, t, st, 6)
		same(t, take("b", true), (*hub.LeaderLease)(nil)) // its last tick
		same(t, must(st.RenewLeaderLease(ctx, name, "a", 1, 6))(t), true)
		tick(ctx, t, st, 7)
		same(t, take("b", false), (*hub.LeaderLease)(nil)) // it may not follow by itself
		second := take("b", true)
		same(t, second.Term, int64(2))

		// The first one slept: neither renewal nor write.
		same(t, must(st.RenewLeaderLease(ctx, name, "a", 1, 6))(t), false)
		ok(t, st.EndLeaderLease(ctx, name, "a", 1))
		wantCode(t, st.InTx(ctx, func(st *store.Store) error { return st.HoldLeaderLease(ctx, name, "a", 1) }), hub.CodeConflict)
		ok(t, st.InTx(ctx, func(st *store.Store) error { return st.HoldLeaderLease(ctx, name, "b", 2) }))

		// A person gives it to c: b cannot renew, and when it gives it back c comes first.
		ok(t, st.GiveLeaderLease(ctx, name, "c"))
		same(t, must(st.RenewLeaderLease(ctx, name, "b", 2, 6))(t), false)
		ok(t, st.EndLeaderLease(ctx, name, "b", 2))
		same(t, take("a", true), (*hub.LeaderLease)(nil))
		third := take("c", false)
		if third == nil || third.Term != 3 || third.Wanted != "" {
			t.Fatalf("got %+v", third)
		}
		// Given to who has it: nobody else is waited for, then or later.
		ok(t, st.GiveLeaderLease(ctx, name, "c"))
		same(t, must(st.RenewLeaderLease(ctx, name, "c", 3, 6))(t), true)
		tick(ctx, t, st, 7)
		if fourth := take("a", true); fourth == nil || fourth.Term != 4 {
			t.Fatalf("got %+v", fourth)
		}
		// Given to one that never comes: after as many ticks again another may.
		ok(t, st.GiveLeaderLease(ctx, name, "gone"))
		tick(ctx, t, st, 7)
		same(t, take("b", true), (*hub.LeaderLease)(nil))
		tick(ctx, t, st, 7)
		same(t, take("b", true).Term, int64(5))
	})
}

// However many members reach for a free lease, one has each term.
func TestLeaderLeaseRaced(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		for round := range 5 {
			var won atomic.Int64
			var all sync.WaitGroup
			for m := range 6 {
				all.Go(func() {
					l, err := st.TakeLeaderLease(ctx, "x", string(rune('a'+m)), 6, true)
					if err != nil {
						t.Error(err)
					} else if l != nil {
						won.Add(1)
						if l.Term != int64(round+1) {
							t.Errorf("term %d in round %d", l.Term, round)
						}
					}
				})
			}
			all.Wait()
			same(t, won.Load(), int64(1))
			tick(ctx, t, st, 7)
		}
	})
}
