package store_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

var errBoom = errors.New("boom")

func has(ctx context.Context, t *testing.T, st *store.Store, setting string) bool {
	t.Helper()
	v, _, err := st.Setting(ctx, setting)
	ok(t, err)
	return v != nil
}

func TestTransactionIsUndone(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		err := st.InTx(ctx, func(st *store.Store) error {
			must(st.EnsureSetting(ctx, "a", []byte("x")))(t)
			// An inner one joins: its error does not undo it alone, and the outer sees its rows.
			err := st.InTx(ctx, func(st *store.Store) error {
				must(st.EnsureSetting(ctx, "b", []byte("x")))(t)
				return nil
			})
			if !has(ctx, t, st, "b") {
				t.Error("the outer transaction does not see the inner one's row")
			}
			return errors.Join(err, errBoom)
		})
		if !errors.Is(err, errBoom) {
			t.Errorf("got %v, want the function's own error", err)
		}
		if has(ctx, t, st, "a") || has(ctx, t, st, "b") {
			t.Error("rows of an undone transaction are there")
		}
	})
}

func TestTransactionIsUndoneByPanic(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		func() {
			defer func() { _ = recover() }()
			_ = st.InTx(ctx, func(st *store.Store) error {
				must(st.EnsureSetting(ctx, "a", []byte("x")))(t)
				panic("a bug")
			})
		}()
		if has(ctx, t, st, "a") {
			t.Error("rows of an undone transaction are there")
		}
		// The writer's turn came back.
		must(st.EnsureSetting(ctx, "a", []byte("x")))(t)
	})
}

func TestTimeStandsStillInATransaction(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		ok(t, st.InTx(ctx, func(inner *store.Store) error {
			first := inner.Now()
			for !st.Now().After(first) {
			}
			same(t, inner.Now(), first)
			return nil
		}))
	})
}

func TestFaultsCutTransactions(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		var cut atomic.Value
		cut.Store("")
		st := open(t, func(c *store.Config) {
			c.Fault = func(point string) error {
				if cut.Load() == point {
					return errBoom
				}
				return nil
			}
		})
		ctx := t.Context()
		for point, kept := range map[string]bool{store.FaultBegin: false, store.FaultCommit: false, store.FaultCommitted: true} {
			for _, kind := range []string{"tx", "alone"} {
				name := point + kind
				cut.Store(point)
				var err error
				if kind == "tx" {
					err = st.InTx(ctx, func(st *store.Store) error {
						_, err := st.EnsureSetting(ctx, name, []byte("x"))
						return err
					})
				} else {
					_, err = st.EnsureSetting(ctx, name, []byte("x"))
				}
				cut.Store("")
				if !errors.Is(err, errBoom) {
					t.Errorf("%s: got %v, want the fault", name, err)
				}
				if got := has(ctx, t, st, name); got != kept {
					t.Errorf("%s: the row is there: %v, want %v", name, got, kept)
				}
			}
		}
	})
}

// Two transactions each hold what the other wants next: PostgreSQL ends one of them,
// which is run again, and nobody hears of it.
func TestDeadlockIsTriedAgain(t *testing.T) {
	t.Parallel()
	st, ctx := storetest.NewPostgres(t), t.Context()
	names := []string{"a", "b"}
	for _, n := range names {
		must(st.EnsureSetting(ctx, n, []byte{}))(t)
	}
	var holding, both sync.WaitGroup
	holding.Add(2)
	for i := range names {
		both.Go(func() {
			tries := 0
			err := st.InTx(ctx, func(st *store.Store) error {
				tries++
				for k := range names {
					if k == 1 && tries == 1 {
						holding.Done()
						holding.Wait()
					}
					name := names[(i+k)%2]
					v, revision, err := st.Setting(ctx, name)
					if err != nil {
						return err
					}
					if _, err := st.SetSetting(ctx, name, append(v, byte(i)), revision); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	same(t, st.Stats().Retries, int64(1))
}

// A member that is cut off in the middle of a transaction keeps others from its rows only
// for as long as they are patient.
func TestTransactionThatHangsLetsGo(t *testing.T) {
	t.Parallel()
	cfg := storetest.PostgresConfig(t)
	open := func() *store.Store {
		st, err := store.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.Close() })
		return st
	}
	one, two := open(), open()
	r := makeRunner(t.Context(), t, one, "west")
	lock := func(st *store.Store) error {
		_, err := st.LockSessions(t.Context(), []string{r.ID})
		return err
	}
	locked, taken, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- one.InTx(t.Context(), func(st *store.Store) error {
			if err := lock(st); err != nil {
				return err
			}
			close(locked)
			<-taken
			return lock(st)
		})
	}()
	<-locked
	err := two.InTx(t.Context(), lock)
	close(taken)
	if err != nil {
		t.Errorf("another's transaction ended with %v", err)
	}
	if err := <-ended; hub.ErrorCode(err) != hub.CodeUnavailable {
		t.Errorf("the transaction that hung ended with %v", err)
	}
}

// TestStatementThatIsRunLater is refused by the database: on PostgreSQL that shows
// with what comes after it, which may be the commit.
func TestStatementThatIsRunLater(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		refused := hub.AuditEvent{OrganisationID: "none such", Actor: "a", Action: "b", Object: "c", Result: "ok"}
		for name, then := range map[string]func(*store.Store) error{
			"commit": func(*store.Store) error { return nil },
			"read":   func(st *store.Store) error { _, _, err := st.Setting(ctx, "a"); return err },
			"write":  func(st *store.Store) error { _, err := st.EnsureSetting(ctx, "b", []byte("x")); return err },
		} {
			err := st.InTx(ctx, func(st *store.Store) error {
				must(st.EnsureSetting(ctx, "a", []byte("x")))(t)
				if err := st.Audit(ctx, refused); err != nil {
					return err
				}
				return then(st)
			})
			if err == nil {
				t.Errorf("%s: no error", name)
			}
			if has(ctx, t, st, "a") || has(ctx, t, st, "b") {
				t.Errorf("%s: rows of an undone transaction are there", name)
			}
		}
		// Nothing of it is left on the connections.
		ok(t, st.InTx(ctx, func(st *store.Store) error { _, err := st.EnsureSetting(ctx, "a", []byte("x")); return err }))
		if !has(ctx, t, st, "a") {
			t.Error("the next transaction was lost")
		}
	})
}

// TestErrorThatIsPassedOver is a statement that failed in a transaction which goes on to
// its commit: PostgreSQL undoes that without a word, which must not be taken for success.
func TestErrorThatIsPassedOver(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		err := st.InTx(ctx, func(st *store.Store) error {
			must(st.EnsureSetting(ctx, "a", []byte("x")))(t)
			_ = st.Audit(ctx, hub.AuditEvent{OrganisationID: "none such", Actor: "a", Action: "b", Object: "c", Result: "ok"})
			_, _, _ = st.Setting(ctx, "a") // here its error shows, at the latest
			return nil
		})
		if kept := has(ctx, t, st, "a"); kept != (err == nil) {
			t.Errorf("got %v, and the row is kept: %v", err, kept)
		}
	})
}

func TestCancelledContextEndsATransaction(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		inner, cancel := context.WithCancel(ctx)
		err := st.InTx(inner, func(st *store.Store) error {
			must(st.EnsureSetting(inner, "a", []byte("x")))(t)
			cancel()
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the context's error", err)
		}
		if has(ctx, t, st, "a") {
			t.Error("rows of an undone transaction are there")
		}
		if err := st.InTx(inner, func(*store.Store) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the context's error", err)
		}
	})
}

// On SQLite what moves state goes before what carries output.
func TestBackgroundWaitsForState(t *testing.T) {
	t.Parallel()
	st, ctx := storetest.New(t), t.Context()
	var order []string // written under the one writer's turn
	entered, release := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		_ = st.InTx(ctx, func(*store.Store) error {
			close(entered)
			<-release
			return nil
		})
	})
	<-entered
	note := func(run func(context.Context, func(*store.Store) error) error, what string) {
		all.Go(func() {
			if err := run(ctx, func(*store.Store) error { order = append(order, what); return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	for range 3 {
		note(st.InBackgroundTx, "output")
	}
	waitFor(t, func() bool { return store.Waiting(st) == 3 })
	for range 3 {
		note(st.InTx, "state")
	}
	waitFor(t, func() bool { return store.Waiting(st) == 6 })
	close(release)
	all.Wait()
	same(t, order, []string{"state", "state", "state", "output", "output", "output"})
}

// waitFor yields until others have come as far.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal("it did not come so far in 10 s")
		}
	}
}

func TestReadersDoNotWaitForTheWriter(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		ok(t, st.InTx(ctx, func(inner *store.Store) error {
			must(inner.EnsureSetting(ctx, "a", []byte("x")))(t)
			if has(ctx, t, st, "a") {
				t.Error("a row is seen before its commit")
			}
			return nil
		}))
		if !has(ctx, t, st, "a") {
			t.Error("a row is not seen after its commit")
		}
	})
}

func TestStatsCountCommits(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		before := st.Stats()
		must(st.EnsureSetting(ctx, "a", []byte("x")))(t)
		ok(t, st.InTx(ctx, func(st *store.Store) error {
			_, err := st.EnsureSetting(ctx, "b", []byte("x"))
			return err
		}))
		after := st.Stats()
		same(t, []int64{after.Transactions - before.Transactions, after.Statements - before.Statements}, []int64{1, 1})
	})
}

// 8 writers and a project's compare-and-set: no change is lost, whoever wins.
func TestCompareAndSetRaced(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		p := makeProject(ctx, t, st, "web")
		const writers, each = 8, 10
		var all sync.WaitGroup
		for range writers {
			all.Go(func() {
				for range each {
					for {
						mine, err := st.Project(ctx, org, p.ID)
						if err != nil {
							t.Error(err)
							return
						}
						mine.Description += "x"
						err = st.UpdateProject(ctx, mine)
						if err == nil {
							break
						}
						if hub.ErrorCode(err) != hub.CodeConflict {
							t.Error(err)
							return
						}
					}
				}
			})
		}
		all.Wait()
		got := must(st.Project(ctx, org, p.ID))(t)
		same(t, []int{len(got.Description), int(got.Revision)}, []int{writers * each, writers*each + 1})
	})
}

func TestIDsSortByTime(t *testing.T) {
	t.Parallel()
	last := ""
	for i := range 1000 {
		id := store.NewID()
		if id <= last || len(id) != 36 {
			t.Fatalf("id %d, %s, does not follow %s", i, id, last)
		}
		last = id
	}
}

// Whoever administrates the server may have made another isolation the rule there.
func TestIsolationIsOurs(t *testing.T) {
	t.Parallel()
	cfg, ctx := storetest.PostgresConfig(t), t.Context()
	storetest.Exec(t, cfg, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = serializable', current_database()); END $$`)
	st, err := store.Open(ctx, cfg)
	ok(t, err)
	defer st.Close()
	runs := 0
	ok(t, st.InTx(ctx, func(in *store.Store) error {
		runs++
		tick := must(in.Tick(ctx))(t)
		if runs == 1 {
			_, _, err := st.AdvanceTick(ctx, tick, []byte{1})
			ok(t, err)
			tick++
		}
		_, moved, err := in.AdvanceTick(ctx, tick, []byte{2})
		if !moved && err == nil {
			t.Error("the transaction does not see what was committed meanwhile")
		}
		return err
	}))
	same(t, runs, 1)
}
