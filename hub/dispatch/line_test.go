package dispatch_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/dispatch"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

// stored makes a job of the project.
func (b *bench) stored(name string, change ...func(*hub.Job)) *hub.Job {
	b.t.Helper()
	j := job("true")
	j.OrganisationID, j.ProjectID, j.Name = hub.DefaultOrganisationID, b.project.ID, name
	for _, c := range change {
		c(j)
	}
	if _, err := b.st.PutJob(b.t.Context(), j, "ann"); err != nil {
		b.t.Fatal(err)
	}
	return j
}

// startOf asks for a run of a stored job.
func startOf(j *hub.Job) dispatch.StartRequest {
	return dispatch.StartRequest{OrganisationID: j.OrganisationID, ProjectID: j.ProjectID, JobID: j.ID, By: "test"}
}

func (b *bench) begin(r dispatch.StartRequest) *hub.Execution {
	b.t.Helper()
	e, err := b.d.Start(b.t.Context(), r)
	if err != nil {
		b.t.Fatalf("start: %v", err)
	}
	return &e.Execution
}

// await polls what must come.
func (b *bench) await(what string, done func() bool) {
	b.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !done() {
		select {
		case <-deadline:
			b.t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}

// due makes an execution that waits for its time start now, by a scheduler's hand.
func (b *bench) due(e *hub.Execution, late time.Duration) {
	b.t.Helper()
	w, err := b.st.Wait(b.t.Context(), e.ID)
	if err != nil || w == nil {
		b.t.Fatalf("execution %d does not wait: %v", e.Number, err)
	}
	w.DueAt = b.st.Now().Add(-late)
	if _, err := b.d.StartWaiting(b.t.Context(), w); err != nil {
		b.t.Fatal(err)
	}
}

func wantWait(t *testing.T, e *hub.Execution, waits hub.Waits, kind, message string) {
	t.Helper()
	if e.Status != hub.StatusQueued || e.Waits != waits || e.WaitingFor == nil || e.WaitingFor.Kind != kind || !strings.Contains(e.WaitingFor.Message, message) {
		t.Errorf("execution %d is %s and waits for %q, %+v; want %q, %s: %s", e.Number, e.Status, e.Waits, e.WaitingFor, waits, kind, message)
	}
}

// A job that runs lets the next starts wait, and starts them in their order.
func TestOneAtATime(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		j := b.stored("job")
		first, second, third := b.begin(startOf(j)), b.begin(startOf(j)), b.begin(startOf(j))
		number := func(e *hub.Execution) string { return "execution #" + strconv.FormatInt(e.Number, 10) + " of this job" }
		wantWait(t, second, hub.WaitsForTurn, "queue", number(first))
		wantWait(t, b.get(third), hub.WaitsForTurn, "queue", number(first))
		a := r.claimOf(first)
		// Others are not in its way, nor is it in theirs.
		for _, e := range []*hub.Execution{b.begin(startOf(b.stored("other"))), b.run(job("a"))} {
			a := r.claimOf(e)
			a.runAll(hub.StatusSucceeded)
			a.finish(hub.StatusSucceeded)
		}
		a.runAll(hub.StatusSucceeded)
		a.finish(hub.StatusSucceeded)
		a = r.claimOf(second)
		wantWait(t, b.get(third), hub.WaitsForTurn, "queue", number(second))
		a.runAll(hub.StatusFailed)
		a.finish(hub.StatusFailed)
		b.wantEnd(second, hub.StatusFailed, true)
		a = r.claimOf(third)
		a.runAll(hub.StatusSucceeded)
		a.finish(hub.StatusSucceeded)
		if got := b.wantEnd(third, hub.StatusSucceeded, true); len(got.Nodes) != 1 || got.NodeCounts[hub.StatusSucceeded] != 1 {
			t.Errorf("the one that waited ended as %+v", got)
		}
	})
}

// claimOf claims the offer of an execution.
func (r *runnerSim) claimOf(e *hub.Execution) *attemptSim {
	r.b.t.Helper()
	o := receive(r.b.t, "offer for "+r.row.Name, r.offers)
	if o.Execution.ID != e.ID {
		r.b.t.Fatalf("offered execution %d, want %d", o.Execution.Number, e.Number)
	}
	return r.claimOffer(o)
}

// What waits can be cancelled, and lets those behind it go before.
func TestCancelOfWhatWaits(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		j := b.stored("job", func(j *hub.Job) { j.Options = []hub.Option{{Name: "o"}} })
		request := startOf(j)
		request.Options = map[string]string{"o": "v"}
		first, second, third := b.begin(startOf(j)), b.begin(request), b.begin(startOf(j))
		b.cancel(second)
		if got := b.wantEnd(second, hub.StatusCancelled, true); got.CancelledBy != "me" || got.Options["o"] != "v" || got.Waits != "" || len(got.NodeCounts) > 0 {
			t.Errorf("cancelled as %+v", got)
		}
		receive(t, "offer", r.offers)
		b.cancel(first)
		a := r.claimOf(third)
		a.runAll(hub.StatusSucceeded)
		a.finish(hub.StatusSucceeded)
		b.wantEnd(third, hub.StatusSucceeded, true)
	})
}

// A job may run as often at once as it says, and no more.
func TestSeveralAtATime(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		j := b.stored("job", func(j *hub.Job) { j.MultipleExecutions, j.MaxMultiple = true, 2 })
		one, two, three := b.begin(startOf(j)), b.begin(startOf(j)), b.begin(startOf(j))
		first, second := r.claimOf(one), r.claimOf(two)
		wantWait(t, three, hub.WaitsForTurn, "queue", "one of 2 executions")
		second.runAll(hub.StatusSucceeded)
		second.finish(hub.StatusSucceeded)
		third := r.claimOf(three)
		four := b.begin(startOf(j))
		wantWait(t, four, hub.WaitsForTurn, "queue", "one of 2 executions")
		// Without a limit nothing waits, also not what did.
		j.MaxMultiple = 0
		if _, err := b.st.PutJob(t.Context(), j, "ann"); err != nil {
			t.Fatal(err)
		}
		fourth := r.claimOf(four)
		fifth := r.claimOf(b.begin(startOf(j)))
		for _, a := range []*attemptSim{first, third, fourth, fifth} {
			a.runAll(hub.StatusSucceeded)
			a.finish(hub.StatusSucceeded)
		}
	})
}

// What began while its job had no limit counts once there is one.
func TestLimitCountsWhatRuns(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		j := b.stored("job", func(j *hub.Job) { j.MultipleExecutions = true })
		first, second, third := r.claimOf(b.begin(startOf(j))), r.claimOf(b.begin(startOf(j))), r.claimOf(b.begin(startOf(j)))
		waitsBehind := func(running int) *hub.Execution {
			t.Helper()
			if _, err := b.st.PutJob(t.Context(), j, "ann"); err != nil {
				t.Fatal(err)
			}
			e := b.begin(startOf(j))
			wantWait(t, e, hub.WaitsForTurn, "queue", "one of "+strconv.Itoa(running)+" executions")
			return e
		}
		end := func(a *attemptSim) {
			a.runAll(hub.StatusSucceeded)
			a.finish(hub.StatusSucceeded)
		}
		j.MaxMultiple = 2
		fourth := waitsBehind(3)
		end(first)
		wantWait(t, b.get(fourth), hub.WaitsForTurn, "queue", "one of 3 executions") // as it was said when it came
		end(second)
		last := r.claimOf(fourth)
		// Some have a turn from before: those without one come behind.
		j.MaxMultiple = 0
		if _, err := b.st.PutJob(t.Context(), j, "ann"); err != nil {
			t.Fatal(err)
		}
		fifth := r.claimOf(b.begin(startOf(j)))
		j.MaxMultiple = 3
		sixth := waitsBehind(3)
		for _, a := range []*attemptSim{third, last, fifth} {
			end(a)
		}
		end(r.claimOf(sixth))
	})
}

// The line has an end, and what is refused there hurts nobody beside.
func TestLineIsBounded(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		j, other := b.stored("job"), b.stored("other", func(j *hub.Job) { j.MultipleExecutions = true })
		var refused, taken, others atomic.Int64
		var all sync.WaitGroup
		const more = 20
		for range 1 + hub.MaxInLine + more {
			all.Go(func() {
				switch _, err := b.d.Start(t.Context(), startOf(j)); {
				case err == nil:
					taken.Add(1)
				case hub.ErrorCode(err) == hub.CodeExhausted && strings.Contains(err.Error(), "job job wait"):
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
			all.Go(func() {
				if e, err := b.d.Start(t.Context(), startOf(other)); err != nil || e.Waits != "" {
					t.Errorf("another job: %+v, %v", e, err)
				}
				others.Add(1)
			})
		}
		all.Wait()
		if taken.Load() != 1+hub.MaxInLine || refused.Load() != more {
			t.Errorf("%d were taken and %d refused", taken.Load(), refused.Load())
		}
	})
}

// Of fires one at most waits, beside whatever people start.
func TestOneFireWaits(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		j := b.stored("job")
		fire := startOf(j)
		fire.Fire = true
		b.begin(fire)
		b.begin(startOf(j))
		wantWait(t, b.begin(fire), hub.WaitsForTurn, "queue", "execution #")
		if _, err := b.d.Start(t.Context(), fire); !errors.Is(err, dispatch.ErrInLine) || !strings.Contains(hub.ErrorMessage(err), "execution #1") {
			t.Errorf("a second fire that would wait: %v", err)
		}
		b.begin(startOf(j))
	})
}

// Members that start one job at the same moment never run it more often than it may.
func TestTurnsOfMembers(t *testing.T) {
	t.Parallel()
	const limit, starts = 3, 100
	cfg := storetest.PostgresConfig(t)
	open := func() *store.Store {
		st, err := store.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.Close() })
		return st
	}
	members := []*bench{newBench(t, open()), newBench(t, open()), newBench(t, open())}
	j := members[0].stored("job", func(j *hub.Job) { j.MultipleExecutions, j.MaxMultiple = true, limit })
	var running, most, done atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	var runners sync.WaitGroup
	for i, b := range members {
		r := b.runner("runner"+strconv.Itoa(i), 20)
		runners.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case o := <-r.offers:
					a := r.claimOffer(o)
					now := running.Add(1)
					most.Store(max(most.Load(), now))
					a.runAll(hub.StatusSucceeded)
					running.Add(-1)
					a.finish(hub.StatusSucceeded)
					done.Add(1)
				}
			}
		})
	}
	var all sync.WaitGroup
	var begun []int64
	var mu sync.Mutex
	for i := range starts {
		all.Go(func() {
			e, err := members[i%len(members)].d.Start(t.Context(), startOf(j))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			begun = append(begun, e.Number)
		})
	}
	all.Wait()
	members[0].await("all have run", func() bool { return done.Load() == starts })
	cancel()
	runners.Wait()
	slices.Sort(begun)
	if n := len(slices.Compact(begun)); n != starts || most.Load() > limit {
		t.Errorf("%d executions, %d at once; want %d, %d", n, most.Load(), starts, limit)
	}
	members[0].await("all have ended", func() bool {
		open, err := members[0].st.ListExecutions(t.Context(), store.ExecutionFilter{
			OrganisationID: hub.DefaultOrganisationID, Statuses: []hub.Status{hub.StatusQueued, hub.StatusRunning}, Limit: starts,
		})
		return err == nil && len(open) == 0
	})
}

// sealed is a hub that closes values of secure options in a way that a test can see.
func sealed(c *dispatch.Config) {
	c.SealOptions = func(_ context.Context, _, executionID string, values map[string]string) ([]byte, error) {
		return []byte("sealed for " + executionID + strconv.Itoa(len(values))), nil
	}
}

// A run at a later time finds its nodes then, with the values that were given, and behind
// what runs of its job.
func TestRunLater(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		b := newBench(t, open(t), sealed)
		r := b.runner("one", 10)
		j := b.stored("job", func(j *hub.Job) {
			onNodes(j, "2", true)
			j.Options = []hub.Option{{Name: "o"}, {Name: "s", Secure: true}}
		})
		later := startOf(j)
		later.RunAt = b.st.Now().Add(time.Hour)
		later.Options = map[string]string{"o": "v", "s": "secret"}
		e := b.begin(later) // there are no nodes yet
		wantWait(t, e, hub.WaitsForTime, "schedule", later.RunAt.UTC().Format(time.RFC3339))
		got := b.get(e)
		if !got.RunAt.Equal(later.RunAt) || got.Options["o"] != "v" || !slices.Equal(got.SecureOptions, []string{"s"}) || len(got.Nodes) != 0 {
			t.Errorf("it waits as %+v", got)
		}
		b.nodes("a1", "a2")
		first := b.begin(startOf(j))
		a := r.claimOf(first)
		b.due(e, time.Minute)
		wantWait(t, b.get(e), hub.WaitsForTurn, "queue", "execution #")
		a.runAll(hub.StatusSucceeded)
		a.finish(hub.StatusSucceeded)
		a = r.claimOf(e)
		if len(a.offer.Assignment.Nodes) != 2 || a.offer.Execution.Options["o"] != "v" {
			t.Errorf("offered %+v of %+v", a.offer.Assignment, a.offer.Execution)
		}
		values, err := b.st.SealedOptions(t.Context(), e.ID)
		if err != nil || !bytes.Equal(values, []byte("sealed for "+e.ID+"1")) {
			t.Errorf("its secure values are %q, %v", values, err)
		}
		a.runAll(hub.StatusSucceeded)
		a.finish(hub.StatusSucceeded)
		b.wantEnd(e, hub.StatusSucceeded, true)
	})
}

// A run at a later time goes by the limit that its job has then, also where that was set
// between the reading of the job and the commit of the start.
func TestRunLaterBehindANewLimit(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		j := b.stored("job", func(j *hub.Job) { j.MultipleExecutions = true })
		crossed := startOf(j)
		before := *j
		crossed.Definition, crossed.RunAt = &before, b.st.Now().Add(time.Hour)
		j.MultipleExecutions = false
		if _, err := b.st.PutJob(t.Context(), j, "ann"); err != nil {
			t.Fatal(err)
		}
		later, first := b.begin(crossed), b.begin(startOf(j))
		a := r.claimOf(first)
		b.due(later, 0)
		wantWait(t, b.get(later), hub.WaitsForTurn, "queue", "execution #")
		a.runAll(hub.StatusSucceeded)
		a.finish(hub.StatusSucceeded)
		a = r.claimOf(later)
		a.runAll(hub.StatusSucceeded)
		a.finish(hub.StatusSucceeded)
	})
}

// What cannot start when it is time says why.
func TestCannotStartLater(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		put := func(j *hub.Job) {
			if _, err := b.st.PutJob(t.Context(), j, "ann"); err != nil {
				t.Fatal(err)
			}
		}
		for what, test := range map[string]struct {
			change func(*hub.Job)
			before func(j *hub.Job, e *hub.Execution)
			reason string
		}{
			"no nodes": {func(j *hub.Job) { onNodes(j, "1", true).Dispatch.Filter = "tags: none" }, func(_ *hub.Job, e *hub.Execution) { b.due(e, 0) }, "tags: none"},
			"disabled": {func(*hub.Job) {}, func(j *hub.Job, e *hub.Execution) { j.ExecutionDisabled = true; put(j); b.due(e, 0) }, "is disabled"},
			"late":     {func(*hub.Job) {}, func(_ *hub.Job, e *hub.Execution) { b.due(e, 2*time.Hour) }, "or the cluster was held"},
			"deleted": {func(*hub.Job) {}, func(j *hub.Job, _ *hub.Execution) {
				if err := b.st.DeleteJob(t.Context(), j.ProjectID, j.ID, 0); err != nil {
					t.Fatal(err)
				}
			}, "was deleted"},
		} {
			j := b.stored(what, test.change)
			request := startOf(j)
			request.RunAt = b.st.Now().Add(time.Hour)
			e := b.begin(request)
			test.before(j, e)
			got := b.wantEnd(e, hub.StatusFailed, true)
			if !strings.Contains(got.Reason, test.reason) || got.Definition == nil || !got.StartedAt.IsZero() {
				t.Errorf("%s: ended as %+v", what, got)
			}
		}
	})
}
