package dispatch_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

func TestSilentRunnerIsOnlyAWorry(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		e := b.run(job("a"))
		a := r.claim()
		b.tick.Add(300)
		b.later(t)
		got := b.get(e)
		if got.Status != hub.StatusRunning || got.Outcome != "" {
			t.Fatalf("execution is %+v", got)
		}
		if w := got.WaitingFor; w == nil || w.Kind != "runner" || !strings.Contains(w.Message, "runner one") {
			t.Errorf("it waits for %+v", w)
		}
		b.later(t)
		if len(r.offers) > 0 {
			t.Fatal("a second attempt is offered while the first is unresolved")
		}
		if _, _, err := b.d.Renew(t.Context(), r.ref, []hub.Fence{a.fence}); err != nil {
			t.Fatal(err)
		}
		if w := b.get(e).WaitingFor; w != nil {
			t.Errorf("its runner is back, and it waits for %+v", w)
		}
		b.tick.Add(600)
		b.later(t)
		if got := b.get(e); got.Outcome != "" {
			t.Fatalf("execution is lost although its lease was renewed: %+v", got)
		}
		a.runAll(hub.StatusSucceeded)
		a.finish(hub.StatusSucceeded)
		b.wantEnd(e, hub.StatusSucceeded, true)
	})
}

// What a told failure bars is skipped, unless a copy of the disk may have told that failure: its
// original may have gone on.
func TestLostBehindADisputedFailure(t *testing.T) {
	for disputed, want := range map[bool]hub.Status{false: hub.StatusFailed, true: hub.StatusUnknown} {
		t.Run(string(want), func(t *testing.T) {
			both(t, func(t *testing.T, b *bench) {
				r := b.runner("one", 10)
				e := b.run(job("one", "two"))
				a := r.claim()
				a.run(0, 0, hub.StatusFailed)
				a.report()
				if disputed {
					b.d.Accuse(t.Context(), a.fence, r.row.ID, "its output contradicts what is stored")
				}
				b.tick.Add(700)
				b.wantEnd(e, want, false)
			})
		})
	}
}

func TestLost(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		b.nodes("a1", "a2", "a3")
		e := b.run(onNodes(job("x"), "3", true))
		a := r.claim()
		a.run(0, 0, hub.StatusSucceeded)
		a.started(1, 0)
		a.report()
		b.tick.Add(700)
		got := b.wantEnd(e, hub.StatusUnknown, false)
		if got.NodeCounts[hub.StatusSucceeded] != 1 || got.NodeCounts[hub.StatusUnknown] != 2 {
			t.Errorf("counts are %v", got.NodeCounts)
		}
		// It comes back: what runs may end, and is told as late.
		r.epoch = r.ref.Epoch
		w := r.connect(hub.Holding{Fence: a.fence, State: hub.HoldingGranted})
		if h := w.Holdings[0]; h.Live || !h.Stop.NoNew || h.NextN != 4 {
			t.Errorf("the inventory is answered %+v", h)
		}
		_, err := b.d.Resume(t.Context(), r.ref, a.fence)
		wantRefused(t, err, hub.RefusedGone)
		a.ended(1, 0, hub.StatusFailed)
		a.report()
		a.ended(2, 0, hub.StatusSkipped)
		a.print(1, 0, "late")
		a.finish(hub.StatusFailed)
		if got := b.get(e); got.Status != hub.StatusUnknown || got.LogComplete {
			t.Errorf("a late result changed the execution: %+v", got)
		}
		rows, err := b.st.NodeSteps(t.Context(), e.ID)
		if err != nil || len(rows) != 3 {
			t.Fatalf("node steps %+v, %v", rows, err)
		}
		if rows[1].Status != hub.StatusUnknown {
			t.Errorf("a late record changed a node step from unknown to %s", rows[1].Status)
		}
		if rows[1].LateStatus != hub.StatusFailed {
			t.Errorf("a late record was not taken for one: its node step is %s, late outcome %q", rows[1].Status, rows[1].LateStatus)
		}
		if rows[0].LateStatus != "" {
			t.Errorf("a node step that had ended has the late outcome %q", rows[0].LateStatus)
		}
		r.epoch = r.ref.Epoch
		if w := r.connect(hub.Holding{Fence: a.fence, State: hub.HoldingClosed}); !w.Holdings[0].Settled {
			t.Errorf("after its late result the attempt is answered %+v", w.Holdings[0])
		}
	})
}

// An execution that waits for ever is not given up, however long its runner is silent.
// Others beside it are, at the same ticks: so the hub did look.
func TestLostAfterZeroWaitsForEver(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		j := job("x")
		j.LostAfter = hub.LostNever
		patient := b.run(j)
		if patient.LostAfter != 0 {
			t.Fatalf("it waits for %d ticks", patient.LostAfter)
		}
		a := r.claim()
		a.started(0, 0)
		a.report()
		for range 5 {
			j := job("y")
			j.LostAfter = 5
			quick := b.run(j)
			r.claim()
			b.tick.Add(10_000_000)
			b.wantEnd(quick, hub.StatusUnknown, false)
			b.later(t)
			got := b.get(patient)
			if got.Status != hub.StatusRunning || got.Outcome != "" {
				t.Fatalf("at tick %d it is %+v", b.tick.Load(), got)
			}
			if w := got.WaitingFor; w == nil || w.Kind != "runner" {
				t.Errorf("at tick %d it waits for %+v", b.tick.Load(), w)
			}
			if len(r.offers) > 0 {
				t.Fatal("a second attempt is offered while the first is unresolved")
			}
		}
		a.ended(0, 0, hub.StatusSucceeded)
		a.finish(hub.StatusSucceeded)
		b.wantEnd(patient, hub.StatusSucceeded, true)
	})
}

// TestNothingRunsBehindAFailure: what a failure barred on its node is not begun because
// its runner was lost, though it may be run again; what is open on other nodes is.
func TestNothingRunsBehindAFailure(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		b.nodes("a1", "a2", "a3")
		j := onNodes(job("x", "y"), "3", true)
		j.Workflow.Steps[0].ErrorHandler = &hub.Step{Exec: "fix"}
		j.Workflow.Steps[1].Idempotent = true
		e := b.run(j)
		a := r.claim()
		a.run(0, 0, hub.StatusFailed)
		a.run(0, 2, hub.StatusFailed) // the handler
		a.run(1, 0, hub.StatusSucceeded)
		a.run(2, 0, hub.StatusFailed)
		a.run(2, 2, hub.StatusSucceeded)
		a.report()
		b.tick.Add(700)
		again := r.claim()
		if got := again.offer.Assignment; !slices.Equal(got.Nodes, []int{1}) || !slices.Equal(got.Steps, []int{1}) {
			t.Errorf("what is left is cut as %+v, want the second step of the second node", got)
		}
		again.runAll(hub.StatusSucceeded)
		again.finish(hub.StatusSucceeded)
		b.wantEnd(e, hub.StatusFailed, false)
		for _, node := range []int{0, 2} {
			if got := b.cell(e, node, 1); got.Status != hub.StatusSkipped {
				t.Errorf("the step behind the failure of node %d is %s, want skipped", node, got.Status)
			}
		}
	})
}

// What is cut anew in several pieces takes no more nodes at once than the job allows.
func TestTriedAgainWithinTheThreads(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		b.nodes("a1", "a2", "a3")
		j := onNodes(job("x", "y"), "1", true)
		for i := range j.Workflow.Steps {
			j.Workflow.Steps[i].Idempotent = true
		}
		e := b.run(j)
		a := r.claim()
		a.run(0, 0, hub.StatusSucceeded)
		a.started(0, 1)
		a.report()
		b.tick.Add(700)
		for _, want := range [][]int{{0}, {1, 2}} {
			again := r.claim()
			if got := again.offer.Assignment; !slices.Equal(got.Nodes, want) || got.Threads != 1 {
				t.Errorf("cut as %+v, want nodes %v", got, want)
			}
			b.later(t)
			if len(r.offers) > 0 {
				t.Error("a second node is begun while the first one is under way")
			}
			again.runAll(hub.StatusSucceeded)
			again.finish(hub.StatusSucceeded)
		}
		b.wantEnd(e, hub.StatusSucceeded, false)
	})
}

// TestTriedAgainBehindTheBarrier: what is tried again of a sequential workflow keeps to the
// order of its steps, or is left unknown.
func TestTriedAgainBehindTheBarrier(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		b.nodes("a1", "a2")
		begin := func(name string, first hub.Status) (*runnerSim, *hub.Execution) {
			r := b.runner(name, 10, name)
			j := onNodes(job("x", "y"), "2", true)
			j.RunnerTags = []string{name}
			j.Workflow.Strategy = hub.StrategySequential
			for i := range j.Workflow.Steps {
				j.Workflow.Steps[i].Idempotent = true
			}
			e := b.run(j)
			a := r.claim()
			a.started(0, 0)
			a.started(1, 0)
			if first != hub.StatusRunning {
				a.ended(0, 0, first)
			}
			a.report()
			b.tick.Add(700)
			return r, e
		}

		r, e := begin("done", hub.StatusSucceeded) // its second step must wait for the other's first
		b.wantEnd(e, hub.StatusUnknown, false)
		if len(r.offers) > 0 {
			t.Error("cut anew, with nobody between the steps")
		}

		r, e = begin("failed", hub.StatusFailed)
		again := r.claim()
		if got := again.offer.Assignment; !slices.Equal(got.Nodes, []int{1}) || !slices.Equal(got.Steps, []int{0}) {
			t.Errorf("behind a failure it is cut as %+v, want the first step of the other node", got)
		}
		again.run(0, 0, hub.StatusSucceeded)
		again.finish(hub.StatusSucceeded)
		b.wantEnd(e, hub.StatusFailed, false)
		if got := b.cell(e, 1, 1); got.Status != hub.StatusSkipped {
			t.Errorf("the second step of the other node is %s, want skipped", got.Status)
		}

		r, e = begin("both", hub.StatusRunning)
		again = r.claim()
		if got := again.offer.Assignment; !slices.Equal(got.Nodes, []int{0, 1}) || !slices.Equal(got.Steps, []int{0, 1}) {
			t.Errorf("it is cut as %+v, want both steps of both nodes", got)
		}
		again.runAll(hub.StatusSucceeded)
		again.finish(hub.StatusSucceeded)
		b.wantEnd(e, hub.StatusSucceeded, false)
	})
}

// TestHandlerMayHaveLetTheNodeGoOn: what stands behind a failure whose handler was not
// told of is in doubt, if its success lets the node go on.
func TestHandlerMayHaveLetTheNodeGoOn(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		b.nodes("a1")
		j := onNodes(job("x", "y"), "1", true)
		j.Workflow.Steps[0].ErrorHandler = &hub.Step{Exec: "fix", KeepgoingOnSuccess: true}
		e := b.run(j)
		a := r.claim()
		a.run(0, 0, hub.StatusFailed)
		a.report()
		b.tick.Add(700)
		b.wantEnd(e, hub.StatusUnknown, false)
		if got := b.cell(e, 0, 1); got.Status != hub.StatusUnknown {
			t.Errorf("the second step is %s, want unknown", got.Status)
		}
	})
}

func TestIdempotentIsTriedAgain(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		b.nodes("a1", "a2", "a3")
		j := onNodes(job("x", "y"), "3", true)
		j.Workflow.Steps[0].Idempotent, j.Workflow.Steps[1].Idempotent = true, true
		e := b.run(j)
		a := r.claim()
		a.run(0, 0, hub.StatusSucceeded)
		a.run(0, 1, hub.StatusSucceeded)
		a.run(1, 0, hub.StatusSucceeded)
		a.started(2, 0)
		a.report()
		b.tick.Add(700)
		again := []*attemptSim{r.claim(), r.claim()}
		slices.SortFunc(again, func(x, y *attemptSim) int { return x.offer.Assignment.Nodes[0] - y.offer.Assignment.Nodes[0] })
		for i, want := range []struct{ nodes, steps []int }{{[]int{1}, []int{1}}, {[]int{2}, []int{0, 1}}} {
			got := again[i].offer.Assignment
			if !slices.Equal(got.Nodes, want.nodes) || !slices.Equal(got.Steps, want.steps) || !got.OpenAttempt || got.Attempts != 2 {
				t.Errorf("what is left is cut as %+v, want %+v", got, want)
			}
		}
		for _, x := range again {
			x.runAll(hub.StatusSucceeded)
			x.finish(hub.StatusSucceeded)
		}
		b.wantEnd(e, hub.StatusSucceeded, false)
	})
}

// A cancel must not show "cancelled" while an attempt that was let go may still act.
func TestCancelRemembersAnOpenAttempt(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 1)
		j := job("x")
		j.Workflow.Steps[0].Idempotent = true
		e := b.run(j)
		r.claim()
		b.tick.Add(700)
		receive(t, "second offer", r.offers)
		b.cancel(e)
		b.wantEnd(e, hub.StatusUnknown, false)
	})
}

// Behind a failure that was told its runner may have tried again, or asked the handler,
// when nothing was heard of it any more.
func TestLostBehindAFailure(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		for name, change := range map[string]func(*hub.Step){
			"retry":   func(s *hub.Step) { s.Retries = 1 },
			"handler": func(s *hub.Step) { s.ErrorHandler = &hub.Step{Exec: "h"} },
		} {
			r := b.runner(name, 10, name)
			j := job("x")
			j.RunnerTags = []string{name}
			change(&j.Workflow.Steps[0])
			e := b.run(j)
			a := r.claim()
			a.run(0, 0, hub.StatusFailed)
			a.report()
			b.tick.Add(700)
			b.wantEnd(e, hub.StatusUnknown, false)
		}
		r := b.runner("plain", 10, "plain")
		j := job("x")
		j.RunnerTags = []string{"plain"}
		e := b.run(j)
		a := r.claim()
		a.run(0, 0, hub.StatusFailed)
		a.report()
		b.tick.Add(700)
		b.wantEnd(e, hub.StatusFailed, false)
	})
}

// What retention has taken away is gone for its runner too, though rows of it are still
// there: an archive that does not delete may keep them for days. An error in place of that
// answer would end the runner's session each time it tells of it again.
func TestReportsOfWhatRetentionTook(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		e := b.run(job("x"))
		a := r.claim()
		b.tick.Add(700)
		b.wantEnd(e, hub.StatusUnknown, false)
		other := b.run(job("y"))
		neighbour := r.claim()
		err := b.st.InTx(t.Context(), func(st *store.Store) error {
			gone, err := st.Purge(t.Context(), []string{e.ID})
			if err == nil && len(gone) != 1 {
				t.Errorf("purged %v", gone)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		a.runAll(hub.StatusSucceeded)
		result := a.result(hub.StatusSucceeded, 0, 0)
		_, err = b.d.Resume(t.Context(), r.ref, a.fence)
		wantRefused(t, err, hub.RefusedGone)
		_, err = b.d.Result(t.Context(), result)
		wantRefused(t, err, hub.RefusedGone)
		// Another member remembers nothing of it.
		b.start()
		r.d = b.d
		if w := r.connect(a.holding(hub.HoldingClosed), neighbour.holding(hub.HoldingGranted)); len(w.Holdings) != 2 {
			t.Errorf("welcomed with %+v", w)
		}
		_, err = b.d.Steps(t.Context(), a.steps(0))
		wantRefused(t, err, hub.RefusedGone)
		_, err = b.d.Result(t.Context(), result)
		wantRefused(t, err, hub.RefusedGone)
		neighbour.runAll(hub.StatusSucceeded)
		neighbour.finish(hub.StatusSucceeded)
		b.wantEnd(other, hub.StatusSucceeded, true)
	})
}

// Attempts that wait for ever for their runner stay in the list of the silent: however
// many they are, those of other jobs are given up at their time.
func TestManyThatWaitForEver(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.New(t))
	const many = 1000
	var rows []*store.ExecutionRow
	var specs []*store.ExecutionSpec
	var assignments []*store.AssignmentRow
	var attempts []*store.AttemptRow
	for range many {
		x := &store.ExecutionRow{Execution: hub.Execution{ID: store.NewID(), OrganisationID: hub.DefaultOrganisationID, ProjectID: b.project.ID, CreatedAt: b.st.Now(), Incarnation: 1}, Slices: 1, NodeCount: 1}
		g := &store.AssignmentRow{Assignment: hub.Assignment{ID: store.NewID(), ExecutionID: x.ID, OrganisationID: x.OrganisationID, Nodes: []int{0}, Steps: []int{0}, State: hub.AssignmentActive, Attempts: 1}}
		rows, specs, assignments = append(rows, x), append(specs, &store.ExecutionSpec{Definition: job("x"), Nodes: []hub.Node{hub.LocalNode()}}), append(assignments, g)
		attempts = append(attempts, &store.AttemptRow{Attempt: hub.Attempt{
			Fence: hub.Fence{Incarnation: 1, AttemptID: store.NewID(), Epoch: 1}, AssignmentID: g.ID, ExecutionID: x.ID, OrganisationID: x.OrganisationID, RunnerID: "away",
		}})
	}
	ctx := t.Context()
	err := b.st.InTx(ctx, func(st *store.Store) error {
		err := st.InsertExecutions(ctx, rows, specs)
		if err == nil {
			err = st.InsertAssignments(ctx, assignments)
		}
		if err == nil {
			err = st.InsertAttempts(ctx, attempts)
		}
		for i := 0; err == nil && i < many; i++ {
			err = st.AdoptAttempt(ctx, attempts[i].AttemptID, 1, []byte("boot"), nil, 1)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	r := b.runner("one", 1)
	e := b.run(job("y"))
	r.claim()
	b.tick.Add(700)
	b.wantEnd(e, hub.StatusUnknown, false)
}

// A result that meets the end of a hold may have found its execution held still, and the end
// of the hold its attempt still open: then neither has moved it on, and a tick does.
func TestResultAtTheEndOfAHold(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		if _, err := b.st.Cluster(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.nodes("a1", "b1")
		b.routes("a", "b")
		one, two := b.runner("one", 1, "a"), b.runner("two", 1, "b")
		e := b.run(onNodes(job("x"), "1", true))
		a := one.claim()
		a.runAll(hub.StatusSucceeded)
		if held, err := b.st.HoldCluster(t.Context(), hub.HoldPromotion, "a test", 1); err != nil || !held {
			t.Fatalf("held %v, %v", held, err)
		}
		a.finish(hub.StatusSucceeded)
		if ended, err := b.st.EndHold(t.Context(), 2); err != nil || !ended {
			t.Fatalf("hold ended %v, %v", ended, err)
		}
		b.later(t)
		a = two.claim()
		a.runAll(hub.StatusSucceeded)
		a.finish(hub.StatusSucceeded)
		b.wantEnd(e, hub.StatusSucceeded, true)
	})
}
