package dispatch_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/dispatch"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

func (b *bench) cancel(e *hub.Execution, nodes ...string) {
	b.t.Helper()
	if err := b.d.Cancel(b.t.Context(), e.OrganisationID, e.ID, dispatch.CancelRequest{By: "me", Nodes: nodes}); err != nil {
		b.t.Fatal(err)
	}
}

// get reads an execution as it is.
func (b *bench) get(e *hub.Execution) *hub.Execution {
	b.t.Helper()
	got, err := b.st.GetExecution(b.t.Context(), e.OrganisationID, e.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	return got
}

func TestCancelBeforeAnyClaim(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		waiting := b.run(job("a"))
		b.cancel(waiting)
		b.wantEnd(waiting, hub.StatusCancelled, true)

		r := b.runner("one", 10)
		e := b.run(job("a"))
		o := receive(t, "offer", r.offers)
		b.cancel(e)
		if got := b.wantEnd(e, hub.StatusCancelled, true); got.CancelledBy != "me" || got.NodeCounts[hub.StatusCancelled] != 1 {
			t.Errorf("execution is %+v", got)
		}
		_, err := b.d.Claim(t.Context(), r.ref, o.Fence)
		wantRefused(t, err, hub.RefusedCancelled)
		err = b.d.Cancel(t.Context(), e.OrganisationID, e.ID, dispatch.CancelRequest{})
		if hub.ErrorCode(err) != hub.CodeConflict {
			t.Errorf("cancel of what has ended: %v", err)
		}
	})
}

func TestCancelOfAClaimWaitsForItsProof(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		for _, end := range []hub.Status{hub.StatusCancelled, hub.StatusSucceeded} {
			e := b.run(job("a"))
			a := r.claim()
			a.started(0, 0)
			a.report()
			b.cancel(e)
			if s := receive(t, "stop", r.stops); !s.All {
				t.Errorf("told to stop %+v, want all", s)
			}
			if got := b.get(e); got.Status != hub.StatusRunning || !got.CancelRequested || got.Outcome != "" {
				t.Fatalf("cancelling execution is %+v", got)
			}
			b.cancel(e) // harmless
			a.ended(0, 0, end)
			a.finish(end)
			// The runner's journal decides the race with finishing.
			b.wantEnd(e, end, true)
		}
	})
}

func TestStopIsToldUntilItIsConfirmed(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		e := b.run(job("a"))
		a := r.claim()
		b.cancel(e)
		receive(t, "stop", r.stops)
		receive(t, "stop again", r.stops)
		r.epoch = r.ref.Epoch
		w := r.connect(hub.Holding{Fence: a.fence, State: hub.HoldingGranted})
		if !w.Holdings[0].Stop.All {
			t.Errorf("the inventory is answered %+v", w.Holdings[0])
		}
		receive(t, "stop in the new session", r.stops)
		b.d.StopAck(r.ref, a.fence, 1, false)
		for len(r.stops) > 0 {
			<-r.stops
		}
		b.later(t)
		b.later(t)
		if n := len(r.stops); n > 1 {
			t.Errorf("told %d times more after it was confirmed", n)
		}
	})
}

// A confirmation that comes behind the attempt's end, or for an attempt that nobody knows,
// leaves nothing behind: sessions last for months.
func TestStopConfirmedTooLateIsNotKept(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		e := b.run(job("a"))
		a := r.claim()
		b.cancel(e)
		receive(t, "stop", r.stops)
		a.started(0, 0)
		a.ended(0, 0, hub.StatusCancelled)
		a.finish(hub.StatusCancelled)
		b.wantEnd(e, hub.StatusCancelled, true)
		// A tick that had looked before the end may tell of the stop once more.
		for range 5 {
			b.d.StopAck(r.ref, a.fence, 0, true)
			if b.d.StopsNoted(r.ref) == 0 {
				return
			}
			b.later(t)
		}
		t.Errorf("%d stops are noted of attempts that are over", b.d.StopsNoted(r.ref))
	})
}

func TestOneFailureStopsTheOthers(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		b.routes("a", "b", "c")
		b.nodes("a1", "b1", "c1")
		first, second := b.runner("first", 10, "a"), b.runner("second", 10, "b")
		e := b.run(onNodes(job("x"), "3", false))
		one, two := first.claim(), second.claim()
		two.started(0, 0)
		two.report()
		one.run(0, 0, hub.StatusFailed)
		one.report() // the failure alone, before its result
		if s := receive(t, "stop", second.stops); !s.NoNew || s.All {
			t.Errorf("the sibling is told %+v, want no_new", s)
		}
		one.finish(hub.StatusFailed)
		two.ended(0, 0, hub.StatusSucceeded)
		two.finish(hub.StatusSucceeded)
		// The third never found a runner, and must not start now.
		late := b.runner("third", 10, "c")
		got := b.wantEnd(e, hub.StatusFailed, true)
		if got.NodeCounts[hub.StatusSkipped] != 1 || len(late.offers) > 0 {
			t.Errorf("counts %v, %d offers", got.NodeCounts, len(late.offers))
		}
	})
}

// TestFailureOfAHandlerThatComesAgain: a try of a handler that another try follows bars
// nothing yet.
func TestFailureOfAHandlerThatComesAgain(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		b.routes("a", "b")
		b.nodes("a1", "b1")
		first := b.runner("first", 10, "a")
		j := onNodes(job("x"), "2", false)
		j.Workflow.Steps[0].ErrorHandler = &hub.Step{Exec: "fix", Retries: 1}
		e := b.run(j)
		one := first.claim()
		one.run(0, 0, hub.StatusFailed)
		one.run(0, 1, hub.StatusFailed) // the handler's first try
		one.report()
		second := hub.Cell{Node: 0, Step: 1, Try: 2}
		one.add(hub.StepRecord{Kind: hub.RecordStarted, Cell: second})
		one.add(hub.StepRecord{Kind: hub.RecordEnded, Cell: second, Status: hub.StatusSucceeded, EndProven: true, Exited: true})
		one.finish(hub.StatusSucceeded)
		two := b.runner("second", 10, "b").claim()
		two.run(0, 0, hub.StatusSucceeded)
		two.run(0, 1, hub.StatusSkipped)
		two.finish(hub.StatusSucceeded)
		b.wantEnd(e, hub.StatusSucceeded, true)
		if len(first.stops) > 0 {
			t.Error("the runner was told to start nothing more, also no further try of the handler")
		}
	})
}

func TestKeepgoingLetsTheOthersRun(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		b.routes("a", "b")
		b.nodes("a1", "b1")
		first, second := b.runner("first", 10, "a"), b.runner("second", 10, "b")
		e := b.run(onNodes(job("x"), "1", true))
		one := first.claim()
		if len(second.offers) > 0 {
			t.Fatal("two nodes at once with one thread")
		}
		one.run(0, 0, hub.StatusFailed)
		one.finish(hub.StatusFailed)
		two := second.claim()
		two.run(0, 0, hub.StatusSucceeded)
		two.finish(hub.StatusSucceeded)
		b.wantEnd(e, hub.StatusFailed, true)
	})
}

func TestThreadsAreShared(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		b.routes("a", "b")
		b.nodes("a1", "a2", "a3", "b1")
		first, second := b.runner("first", 10, "a"), b.runner("second", 10, "b")
		b.run(onNodes(job("x"), "3", true))
		one, two := receive(t, "offer", first.offers), receive(t, "offer", second.offers)
		if one.Assignment.Threads != 2 || two.Assignment.Threads != 1 {
			t.Errorf("threads are %d and %d, want 2 and 1", one.Assignment.Threads, two.Assignment.Threads)
		}
	})
}

func TestHubIsTheBarrier(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		b.routes("a", "b")
		b.nodes("a1", "b1")
		first, second := b.runner("first", 10, "a"), b.runner("second", 10, "b")
		j := onNodes(job("x", "y"), "2", true)
		j.Workflow.Strategy = hub.StrategySequential
		e := b.run(j)
		one, two := first.claim(), second.claim()
		if !slices.Equal(one.offer.Assignment.Steps, []int{0}) {
			t.Fatalf("first slice has steps %v", one.offer.Assignment.Steps)
		}
		one.run(0, 0, hub.StatusSucceeded)
		one.finish(hub.StatusSucceeded)
		if len(first.offers) > 0 {
			t.Fatal("the second step starts before the first has ended everywhere")
		}
		two.run(0, 0, hub.StatusSucceeded)
		two.finish(hub.StatusSucceeded)
		one, two = first.claim(), second.claim()
		one.run(0, 0, hub.StatusSucceeded)
		two.run(0, 0, hub.StatusSucceeded)
		one.finish(hub.StatusSucceeded)
		two.finish(hub.StatusSucceeded)
		b.wantEnd(e, hub.StatusSucceeded, true)
		rows, err := b.st.NodeSteps(t.Context(), e.ID)
		if err != nil || len(rows) != 4 || rows[1].Step != 1 {
			t.Errorf("node steps %+v, %v", rows, err)
		}
	})
}

// TestBarrierHeedsHandlers: behind a handler that does not say to go on, the node has no
// next step, whoever is the barrier between them.
func TestBarrierHeedsHandlers(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		b.routes("a", "b")
		b.nodes("a1", "b1")
		first, second := b.runner("first", 10, "a"), b.runner("second", 10, "b")
		j := onNodes(job("x", "y"), "2", false)
		j.Workflow.Strategy = hub.StrategySequential
		j.Workflow.Steps[0].ErrorHandler = &hub.Step{Exec: "fix"}
		e := b.run(j)
		one, two := first.claim(), second.claim()
		one.run(0, 0, hub.StatusFailed)
		one.run(0, 1, hub.StatusSucceeded) // the handler
		one.finish(hub.StatusSucceeded)
		two.run(0, 0, hub.StatusSucceeded)
		two.finish(hub.StatusSucceeded)
		two = second.claim()
		if len(first.offers) > 0 {
			t.Error("the second step is offered for the node that was not to go on")
		}
		two.run(0, 0, hub.StatusSucceeded)
		two.finish(hub.StatusSucceeded)
		b.wantEnd(e, hub.StatusSucceeded, true)
	})
}

// TestCancelOfOneNodeStopsNoOther: also without keepgoing a cancel is no failure.
func TestCancelOfOneNodeStopsNoOther(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		b.routes("a", "b", "c")
		b.nodes("a1", "b1", "c1")
		first, third := b.runner("first", 10, "a"), b.runner("third", 10, "c")
		e := b.run(onNodes(job("x"), "1", false))
		a := first.claim()
		a.started(0, 0)
		a.report()
		b.cancel(e, "a1")
		a.ended(0, 0, hub.StatusCancelled)
		a.finish(hub.StatusCancelled)
		b.cancel(e, "b1") // waits for a runner that is not there
		c := third.claim()
		c.run(0, 0, hub.StatusSucceeded)
		c.finish(hub.StatusSucceeded)
		got := b.wantEnd(e, hub.StatusCancelled, true)
		if got.NodeCounts[hub.StatusSucceeded] != 1 || got.NodeCounts[hub.StatusCancelled] != 2 {
			t.Errorf("counts are %v", got.NodeCounts)
		}
	})
}

func TestCancelOfOneNode(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		b.routes("a", "b")
		b.nodes("a1", "a2", "b1")
		r := b.runner("one", 10, "a")
		e := b.run(onNodes(job("x"), "3", true))
		a := r.claim()
		b.cancel(e, "a2", "b1")
		if s := receive(t, "stop", r.stops); !slices.Equal(s.Nodes, []int{1}) || s.All {
			t.Errorf("told to stop %+v, want node 1 of the spec", s)
		}
		a.run(0, 0, hub.StatusSucceeded)
		a.ended(1, 0, hub.StatusCancelled)
		a.finish(hub.StatusCancelled)
		got := b.wantEnd(e, hub.StatusCancelled, true)
		if got.NodeCounts[hub.StatusSucceeded] != 1 || got.NodeCounts[hub.StatusCancelled] != 2 {
			t.Errorf("counts are %v", got.NodeCounts)
		}
		err := b.d.Cancel(t.Context(), e.OrganisationID, b.run(job("x")).ID, dispatch.CancelRequest{Nodes: []string{"nobody"}})
		if hub.ErrorCode(err) != hub.CodeInvalid {
			t.Errorf("cancel of a node that is not there: %v", err)
		}
	})
}

func TestWaitingIsToldAndEnds(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		j := job("a")
		j.RunnerTags = []string{"dc2"}
		e := b.run(j)
		if w := b.get(e).WaitingFor; w == nil || w.Kind != "runner" || !strings.Contains(w.Message, "no connected runner has tags dc2") {
			t.Fatalf("waits for %+v", w)
		}
		b.runner("other", 10)
		r := b.runner("one", 1, "dc2", "more")
		a := r.claim()
		if w := b.get(e).WaitingFor; w != nil {
			t.Errorf("runs and waits for %+v", w)
		}
		second := b.run(j)
		if w := b.get(second).WaitingFor; w == nil || w.Kind != "queue" {
			t.Errorf("behind a busy runner it waits for %+v", w)
		}
		a.runAll(hub.StatusSucceeded)
		a.finish(hub.StatusSucceeded)
		b.wantEnd(e, hub.StatusSucceeded, true)
		a = r.claim()
		a.runAll(hub.StatusSucceeded)
		a.finish(hub.StatusSucceeded)
		b.wantEnd(second, hub.StatusSucceeded, true)
	})
}

func TestRunnerTimeout(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		j := job("a")
		j.RunnerTimeout = time.Millisecond
		e := b.run(j)
		deadline := time.After(patience)
		for !b.get(e).Status.Final() {
			select {
			case <-deadline:
				t.Fatal("it waits for ever")
			default:
				b.later(t)
			}
		}
		b.wantEnd(e, hub.StatusFailed, true)
		if why := b.get(e).Reason; !strings.Contains(why, "no runner took it in time; ") {
			t.Errorf("it tells %q as the reason", why)
		}
	})
}

// What a later part of an execution waited for is over once a runner has taken it: else
// people would read for all of its time that it waits, and the next part would find its
// runnerTimeout used up.
func TestLaterPartWaitsNoMore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		b := newBench(t, open(t), func(c *dispatch.Config) { c.Poll = patience }) // hints alone
		b.nodes("a1", "b1")
		b.routes("a", "b")
		one, two := b.runner("one", 1, "a"), b.runner("two", 1, "b")
		first := job("first")
		first.RunnerTags = []string{"b"}
		other := b.run(first)
		busy := two.claim()
		e := b.run(onNodes(job("x"), "1", true))
		a := one.claim()
		a.runAll(hub.StatusSucceeded)
		a.finish(hub.StatusSucceeded)
		if w := b.get(e).WaitingFor; w == nil || w.Kind != "queue" {
			t.Errorf("behind a busy runner it waits for %+v", w)
		}
		busy.runAll(hub.StatusSucceeded)
		busy.finish(hub.StatusSucceeded)
		b.wantEnd(other, hub.StatusSucceeded, true)
		a = two.claim()
		if w := b.get(e).WaitingFor; w != nil {
			t.Errorf("it runs and waits for %+v", w)
		}
		a.runAll(hub.StatusSucceeded)
		a.finish(hub.StatusSucceeded)
		b.wantEnd(e, hub.StatusSucceeded, true)
	})
}

// A runner that refuses whatever it is offered does not begin the wait anew: else a job
// would never come to the end of its runnerTimeout.
func TestRefusalsDoNotProlongTheWait(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		e := b.run(job("a"))
		began := b.get(e).WaitingFor
		if began == nil {
			t.Fatal("it waits for nothing")
		}
		r := b.runner("full", 1)
		for range 3 {
			o := receive(t, "offer", r.offers)
			if err := b.d.Refuse(t.Context(), r.ref, o.Fence, "disk", "no room"); err != nil {
				t.Fatal(err)
			}
			if w := b.get(e).WaitingFor; w == nil || !w.Since.Equal(began.Since) {
				t.Errorf("refused, it waits for %+v; it began with %+v", w, began)
			}
			b.later(t)
			b.tick.Add(10) // it is asked again
		}
	})
}

// A claim that comes behind the end of its offer begins nothing: the job's time would run
// while it waits for a runner.
func TestLateClaimBeginsNothing(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 1)
		e := b.run(job("a"))
		o := receive(t, "offer", r.offers)
		b.tick.Add(25)
		b.later(t)
		_, err := b.d.Claim(t.Context(), r.ref, o.Fence)
		wantRefused(t, err, hub.RefusedGone)
		if got := b.get(e); got.Status != hub.StatusQueued || !got.StartedAt.IsZero() {
			t.Errorf("it is %s since %v", got.Status, got.StartedAt)
		}
	})
}

func TestTimeLeftComesWithTheGrant(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		j := job("a")
		j.Timeout = "1h"
		b.run(j)
		o := receive(t, "offer", r.offers)
		g, err := b.d.Claim(t.Context(), r.ref, o.Fence)
		if err != nil || g.TimeLeft <= 59*time.Minute || g.TimeLeft > time.Hour {
			t.Errorf("time left is %v, %v", g.TimeLeft, err)
		}
	})
}

func TestRefusedOfferGoesToAnother(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		runners := map[string]*runnerSim{"one": b.runner("one", 10), "two": b.runner("two", 10)}
		e := b.run(job("a"))
		first, other := runners["one"], runners["two"]
		var o hub.Offer
		select {
		case o = <-first.offers:
		case o = <-other.offers:
			first, other = other, first
		case <-time.After(patience):
			t.Fatal("neither runner is offered anything")
		}
		if err := b.d.Refuse(t.Context(), first.ref, o.Fence, "full", "no slot"); err != nil {
			t.Fatal(err)
		}
		if f := receive(t, "forget", first.forget); f != o.Fence {
			t.Errorf("told to forget %v", f)
		}
		_, err := b.d.Claim(t.Context(), first.ref, o.Fence)
		wantRefused(t, err, hub.RefusedGone)
		a := other.claim()
		a.runAll(hub.StatusSucceeded)
		a.finish(hub.StatusSucceeded)
		b.wantEnd(e, hub.StatusSucceeded, true)
	})
}

func TestOffersAreSpread(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		one, two := b.runner("one", 10), b.runner("two", 10)
		for range 6 {
			b.run(job("a"))
		}
		if len(one.offers) != 3 || len(two.offers) != 3 {
			t.Errorf("offers are %d and %d, want 3 each", len(one.offers), len(two.offers))
		}
	})
}

func TestOfferLapses(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		dead := b.runner("dead", 10)
		e := b.run(job("a"))
		o := receive(t, "offer", dead.offers)
		alive := b.runner("alive", 10)
		b.tick.Add(25)
		b.later(t)
		a := alive.claim()
		if a.fence.Epoch != 2 {
			t.Errorf("second attempt has epoch %d", a.fence.Epoch)
		}
		_, err := b.d.Claim(t.Context(), dead.ref, o.Fence)
		wantRefused(t, err, hub.RefusedGone)
		a.runAll(hub.StatusSucceeded)
		a.finish(hub.StatusSucceeded)
		b.wantEnd(e, hub.StatusSucceeded, true)
	})
}
