package dispatch_test

import (
	"slices"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/dispatch"
	"github.com/fairlead/fairlead/hub/store"
)

// offerBy makes an offer as another member would, in a transaction that stays open until
// commit is closed.
func (b *bench) offerBy(e *hub.Execution, r *runnerSim, begun chan<- hub.Fence, commit <-chan struct{}) error {
	return b.st.InTx(b.t.Context(), func(st *store.Store) error {
		list, err := st.AssignmentsOf(b.t.Context(), []string{e.ID})
		if err != nil {
			return err
		}
		if won, err := st.OfferAssignments(b.t.Context(), list); err != nil || !won[list[0].ID] {
			b.t.Errorf("offered %v, %v", won, err)
			return err
		}
		a := list[0]
		fence := hub.Fence{Incarnation: a.Incarnation, AttemptID: store.NewID(), Epoch: a.Attempts + 1}
		err = st.InsertAttempts(b.t.Context(), []*store.AttemptRow{{
			Attempt: hub.Attempt{
				Fence: fence, AssignmentID: a.ID, ExecutionID: e.ID, OrganisationID: e.OrganisationID, RunnerID: r.row.ID, State: hub.AttemptOffered,
			},
			OfferTick: b.tick.Load(),
		}})
		begun <- fence
		<-commit
		return err
	})
}

// TestCancelOfANodeThatWaits: whoever takes the work then is not asked to begin on the node.
func TestCancelOfANodeThatWaits(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		b.nodes("a1", "a2", "a3")
		j := onNodes(job("x"), "1", false)
		j.RunnerTags = []string{"late"}
		ends := func(e *hub.Execution, a *attemptSim, nodes ...int) {
			t.Helper()
			if got := a.offer.Assignment.Nodes; !slices.Equal(got, nodes) {
				t.Errorf("the runner is asked to run on nodes %v, want %v", got, nodes)
			}
			a.runAll(hub.StatusSucceeded)
			a.finish(hub.StatusSucceeded)
			got := b.wantEnd(e, hub.StatusCancelled, true)
			if got.NodeCounts[hub.StatusSucceeded] != 2 || got.NodeCounts[hub.StatusCancelled] != 1 {
				t.Errorf("counts are %v", got.NodeCounts)
			}
		}

		ready := b.run(j)
		b.cancel(ready, "a1")
		cells, err := b.d.Matrix(t.Context(), ready.OrganisationID, ready.ID)
		if err != nil || cells[0].Status != hub.StatusCancelled || cells[1].Status != hub.StatusQueued {
			t.Errorf("cells are %+v, %v", cells, err)
		}
		r := b.runner("late", 10, "late")
		ends(ready, r.claim(), 1, 2)

		offered := b.run(j)
		first := receive(t, "offer", r.offers)
		b.cancel(offered, "a2")
		_, err = b.d.Claim(t.Context(), r.ref, first.Fence)
		wantRefused(t, err, hub.RefusedGone)
		ends(offered, r.claim(), 0, 2)

		givenBack := b.run(j)
		a := r.claim()
		b.cancel(givenBack, "a3")
		if err := b.d.NotStarted(t.Context(), r.ref, a.fence); err != nil {
			t.Fatal(err)
		}
		ends(givenBack, r.claim(), 0, 1)
	})
}

// TestCancelledNodeIsNotTriedAgain: a lost runner is no reason to begin on a node that a
// person cancelled meanwhile.
func TestCancelledNodeIsNotTriedAgain(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		b.nodes("a1", "a2")
		r := b.runner("one", 10)
		j := onNodes(job("x"), "2", true)
		j.Workflow.Steps[0].Idempotent = true
		e := b.run(j)
		a := r.claim()
		a.started(0, 0)
		a.started(1, 0)
		a.report()
		b.cancel(e, "a1")
		b.tick.Add(700)
		again := r.claim()
		if got := again.offer.Assignment.Nodes; !slices.Equal(got, []int{1}) {
			t.Errorf("tried again on nodes %v, want [1]", got)
		}
		again.runAll(hub.StatusSucceeded)
		again.finish(hub.StatusSucceeded)
		b.wantEnd(e, hub.StatusUnknown, false)
	})
}

// TestCancelAgainstAnOfferOfAnotherMember: the offer's transaction does not take the execution's
// row, so a cancel that commits beside it must not overlook the attempt.
func TestCancelAgainstAnOfferOfAnotherMember(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		for range 5 {
			j := job("a")
			j.RunnerTags = []string{"nobody"} // so that only offerBy offers it
			e := b.run(j)
			begun, commit := make(chan hub.Fence, 1), make(chan struct{})
			offered, cancelled := make(chan error, 1), make(chan error, 1)
			go func() { offered <- b.offerBy(e, r, begun, commit) }()
			fence := receive(t, "offer in the making", begun)
			go func() {
				cancelled <- b.d.Cancel(t.Context(), e.OrganisationID, e.ID, dispatch.CancelRequest{By: "test"})
			}()
			select {
			case err := <-cancelled:
				t.Fatalf("cancelled beside an offer that is being made: %v", err)
			case <-time.After(30 * time.Millisecond): // by now it waits for the offer
			}
			close(commit)
			if err := receive(t, "commit of the offer", offered); err != nil {
				t.Fatal(err)
			}
			if err := receive(t, "answer to the cancel", cancelled); err != nil {
				t.Fatal(err)
			}
			b.wantEnd(e, hub.StatusCancelled, true)
			// Left as an offer, a claim that came before the cancel's commit would have had it.
			rows, err := b.st.Attempts(t.Context(), []string{fence.AttemptID}, false)
			if err != nil || rows[0].State != hub.AttemptExpired {
				t.Errorf("the attempt is %+v, %v", rows[0], err)
			}
			_, err = b.d.Claim(t.Context(), r.ref, fence)
			wantRefused(t, err, hub.RefusedCancelled)
		}
	})
}

// TestCancelOfARetryBehindALostAttempt: the runner that was given up may still act, so
// the end of the attempt that took its place proves nothing about it.
func TestCancelOfARetryBehindALostAttempt(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 1)
		j := job("x")
		j.Workflow.Steps[0].Idempotent = true
		e := b.run(j)
		r.claim()
		b.tick.Add(700)
		again := r.claim()
		again.started(0, 0)
		again.report()
		b.cancel(e)
		again.ended(0, 0, hub.StatusCancelled)
		again.finish(hub.StatusCancelled)
		b.wantEnd(e, hub.StatusUnknown, false)
	})
}
