package store_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

func TestClusterIsMadeOnce(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		ids := make(chan string, 8)
		for range 8 {
			go func() {
				c, err := st.Cluster(ctx)
				if err != nil {
					t.Error(err)
					ids <- ""
					return
				}
				ids <- c.ID
			}()
		}
		first := <-ids
		for range 7 {
			same(t, <-ids, first)
		}
		c := must(st.Cluster(ctx))(t)
		if c.Incarnation != 1 || c.CreatedAt.IsZero() {
			t.Errorf("got %+v", c)
		}
		cert, key, err := st.ClusterCA(ctx)
		ok(t, err)
		if cert != nil || key != nil {
			t.Error("there is a CA already")
		}
		same(t, must(st.SetClusterCA(ctx, []byte("cert"), []byte("key")))(t), true)
		same(t, must(st.SetClusterCA(ctx, []byte("other"), []byte("other")))(t), false)
		cert, key, err = st.ClusterCA(ctx)
		ok(t, err)
		same(t, string(cert)+string(key), "certkey")
	})
}

func TestMembers(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		m := &hub.Member{ID: "m1", Name: "one", Version: "1", Gateway: "h:1", Address: "h:2", Roles: []string{"api"}, Nonce: []byte("n1")}
		ok(t, st.JoinMember(ctx, m))
		same(t, must(st.Members(ctx))(t), []*hub.Member{m})
		wantCode(t, st.JoinMember(ctx, &hub.Member{ID: "m2", Name: "one"}), hub.CodeConflict)

		before := st.Now()
		ok(t, st.Heartbeat(ctx, "m1", m.Nonce, 0))
		beat := must(st.Members(ctx))(t)[0].HeartbeatAt
		if beat.Before(before.Add(-time.Second)) || beat.After(st.Now().Add(time.Second)) {
			t.Errorf("heartbeat at %v, want about %v", beat, before)
		}
		other := st.Heartbeat(ctx, "m1", []byte("another process"), 0)
		wantCode(t, other, hub.CodeConflict)
		if !strings.Contains(other.Error(), "was restored") {
			t.Errorf("a member that is alone after a restore is told %v", other)
		}

		restarted := *m
		restarted.Nonce = []byte("n2")
		ok(t, st.JoinMember(ctx, &restarted))
		wantCode(t, st.Heartbeat(ctx, "m1", m.Nonce, 0), hub.CodeConflict)
		ok(t, st.LeaveMember(ctx, "m1", m.Nonce)) // not its row any more
		same(t, len(must(st.Members(ctx))(t)), 1)
		ok(t, st.LeaveMember(ctx, "m1", restarted.Nonce))
		same(t, len(must(st.Members(ctx))(t)), 0)
	})
}

// Whoever ticks, each value comes once.
func TestTicksRaced(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		const rounds, hubs = 20, 4
		var mu sync.Mutex
		winners := map[int64]int{}
		var all sync.WaitGroup
		for h := range hubs {
			all.Go(func() {
				seen := int64(0)
				for seen < rounds {
					tick, moved, err := st.AdvanceTick(ctx, seen, []byte{byte(h), byte(seen)})
					if err != nil {
						t.Error(err)
						return
					}
					if moved {
						mu.Lock()
						winners[tick]++
						mu.Unlock()
					}
					seen = tick
				}
			})
		}
		all.Wait()
		tick := must(st.Tick(ctx))(t)
		for v := int64(1); v <= tick; v++ {
			if winners[v] != 1 {
				t.Errorf("tick %d came %d times", v, winners[v])
			}
		}
		if nonce := must(st.TickNonce(ctx, tick))(t); len(nonce) != 2 {
			t.Errorf("tick %d has the nonce %x", tick, nonce)
		}
	})
}

func TestTickHistory(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		same(t, len(must(st.TickMarks(ctx))(t)), 0)
		const ticks = 3800
		ok(t, st.InTx(ctx, func(st *store.Store) error {
			for v := range int64(ticks) {
				if _, _, err := st.AdvanceTick(ctx, v, []byte{byte(v)}); err != nil {
					return err
				}
			}
			return nil
		}))
		marks := must(st.TickMarks(ctx))(t)
		same(t, []int64{marks[0].Tick, marks[1].Tick}, []int64{3800, 3780})
		_, moved, err := st.AdvanceTick(ctx, 7, nil)
		ok(t, err)
		same(t, moved, false)
		// 1..199 are older than an hour's ticks; of them 60, 120 and 180 stay.
		same(t, must(st.PruneTickHistory(ctx))(t), int64(196))
		if n := must(st.TickNonce(ctx, 59))(t); n != nil {
			t.Error("tick 59 was kept")
		}
		if n := must(st.TickNonce(ctx, 60))(t); !bytes.Equal(n, []byte{59}) {
			t.Errorf("tick 60 has the nonce %x", n)
		}
	})
}

func TestIdempotencyKeys(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		r := store.IdempotentResponse{Principal: "token a", Key: "k", RequestHash: hash("body"), Status: 201, Response: `{"id":"1"}`}
		if got := must(st.Idempotent(ctx, r.Principal, r.Key, r.RequestHash))(t); got != nil {
			t.Fatalf("got %+v before it was kept", got)
		}
		if got := must(st.KeepIdempotent(ctx, r))(t); got != nil {
			t.Fatalf("got %+v, want it kept", got)
		}
		second := r
		second.Response = "second"
		same(t, must(st.KeepIdempotent(ctx, second))(t), &r)
		same(t, must(st.Idempotent(ctx, r.Principal, r.Key, r.RequestHash))(t), &r)
		_, err := st.Idempotent(ctx, r.Principal, r.Key, hash("other body"))
		wantCode(t, err, hub.CodeInvalid)
		other := r
		other.Principal = "token b"
		if got := must(st.KeepIdempotent(ctx, other))(t); got != nil {
			t.Errorf("another principal's key was taken for the same")
		}
		ok(t, st.AnswerIdempotent(ctx, r.Principal, r.Key, `{"id":"2"}`))
		same(t, must(st.Idempotent(ctx, r.Principal, r.Key, r.RequestHash))(t).Response, `{"id":"2"}`)
		same(t, must(st.Idempotent(ctx, other.Principal, other.Key, other.RequestHash))(t).Response, other.Response)
		same(t, must(st.DeleteOldIdempotency(ctx))(t), int64(0))
	})
}

// After a day a key answers no repeats and may be used anew, cleaned up or not.
func TestIdempotencyKeysEnd(t *testing.T) {
	t.Parallel()
	cfg := storetest.Config(t)
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		st := must(store.Open(ctx, cfg))(t)
		defer st.Close()
		keep := func(key, response string) *store.IdempotentResponse {
			r := store.IdempotentResponse{Principal: "p", Key: key, RequestHash: hash(key), Response: response}
			return must(st.KeepIdempotent(ctx, r))(t)
		}
		keep("a", "first")
		keep("b", "first")
		<-time.After(23 * time.Hour)
		same(t, must(st.DeleteOldIdempotency(ctx))(t), int64(0))
		same(t, keep("a", "second").Response, "first")
		<-time.After(time.Hour)
		if got := must(st.Idempotent(ctx, "p", "a", hash("a")))(t); got != nil {
			t.Errorf("got %+v after a day", got)
		}
		if got := keep("a", "third"); got != nil {
			t.Errorf("got %+v after a day", got)
		}
		same(t, must(st.DeleteOldIdempotency(ctx))(t), int64(1))
		same(t, keep("a", "fourth").Response, "third")
	})
}

func TestSettings(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		v, rev, err := st.Setting(ctx, "a")
		ok(t, err)
		if v != nil || rev != 0 {
			t.Errorf("got %q at %d", v, rev)
		}
		same(t, string(must(st.EnsureSetting(ctx, "a", []byte("one")))(t)), "one")
		same(t, string(must(st.EnsureSetting(ctx, "a", []byte("two")))(t)), "one")
		same(t, must(st.SetSetting(ctx, "a", []byte("x"), 0))(t), false)
		same(t, must(st.SetSetting(ctx, "a", []byte("x"), 1))(t), true)
		same(t, must(st.SetSetting(ctx, "a", []byte("y"), 1))(t), false)
		same(t, must(st.SetSetting(ctx, "b", []byte("z"), 0))(t), true)
		v, rev, err = st.Setting(ctx, "a")
		ok(t, err)
		same(t, string(v), "x")
		same(t, rev, int64(2))
	})
}

func TestAudit(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		for _, a := range []string{"one", "two", "three"} {
			ok(t, st.Audit(ctx, hub.AuditEvent{OrganisationID: org, Actor: "user:ann", Action: a, Object: "o", Result: "done", Detail: "d"}))
		}
		var actions []string
		page := store.Page{Limit: 2}
		for {
			list, next, err := st.AuditEvents(ctx, org, page)
			ok(t, err)
			for _, e := range list {
				if e.Time.IsZero() || e.Actor != "user:ann" || e.Result != "done" {
					t.Errorf("got %+v", e)
				}
				actions = append(actions, e.Action)
			}
			if page.Cursor = next; next == "" {
				break
			}
		}
		same(t, actions, []string{"three", "two", "one"})
	})
}
