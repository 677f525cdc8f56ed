package dispatch_test

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/cluster"
	"github.com/fairlead/fairlead/hub/dispatch"
	"github.com/fairlead/fairlead/hub/keys"
	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

// past is a hub whose database can be put back: the file of SQLite, a copy of a
// PostgreSQL database.
type past struct {
	*bench
	cfg    store.Config
	backup store.Config
	stop   func()
	c      *cluster.Cluster
}

// onBoth runs a test on both databases.
func onBoth(t *testing.T, test func(t *testing.T, w *past)) {
	t.Parallel()
	for name, config := range map[string]func(testing.TB) store.Config{"sqlite": storetest.Config, "postgres": storetest.PostgresConfig} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &past{bench: &bench{t: t}, cfg: config(t)}
			w.up()
			w.project = &hub.Project{OrganisationID: hub.DefaultOrganisationID, Name: "web"}
			if err := w.st.CreateProject(t.Context(), w.project); err != nil {
				t.Fatal(err)
			}
			test(t, w)
		})
	}
}

// up starts a hub on the database as it is.
func (w *past) up() {
	w.t.Helper()
	st, err := store.Open(w.t.Context(), w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	master, err := keys.NewMaster(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		w.t.Fatal(err)
	}
	c := cluster.New(st, master, cluster.Config{ID: store.NewID(), Name: store.NewID()}, storetest.Logger(w.t))
	if err := c.Join(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.st, w.c = st, c
	stopBench := w.start(func(cfg *dispatch.Config) {
		cfg.Clock, cfg.Hold, cfg.MarkIncarnation, cfg.NewestMark, cfg.GrantMAC = c.Clock, c.Hold, c.MarkIncarnation, c.NewestMark, c.GrantMAC
	})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.Run(ctx); err != nil {
			w.t.Error(err)
		}
	})
	w.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		stopBench()
		if err := st.Close(); err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(w.stop)
}

// save takes a backup and goes on.
func (w *past) save() {
	w.t.Helper()
	w.stop()
	w.backup = storetest.Copy(w.t, w.cfg)
	w.up()
}

// goBack ends the hub and starts it on the backup. A mark that was made since must have
// been seen by somebody: the test sees to that.
func (w *past) goBack() {
	w.t.Helper()
	w.stop()
	w.cfg = w.backup
	w.up()
}

// again connects a runner to the hub of now, with what its disk holds.
func (r *runnerSim) again(d *dispatch.Dispatcher, inventory ...hub.Holding) hub.Welcome {
	r.b.t.Helper()
	r.d, r.nonce = d, nil
	return r.connect(inventory...)
}

// learn takes the newest mark, as a renewal does.
func (w *past) learn(r *runnerSim) {
	w.t.Helper()
	before := int64(-1)
	if len(r.marks) > 0 {
		before = r.marks[0].Tick
	}
	w.until("a tick", func() bool {
		_, mark, err := r.d.Renew(w.t.Context(), r.ref, nil)
		r.marks = []hub.DBMark{mark}
		return err == nil && mark.Tick > before+1 && mark.MAC != nil
	})
}

func (w *past) until(what string, ok func() bool) {
	w.t.Helper()
	deadline := time.After(patience)
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for !ok() {
		select {
		case <-deadline:
			w.t.Fatalf("not in time: %s", what)
		case <-poll.C:
		}
	}
}

// ticks waits until the hub has looked at some ticks.
func (w *past) ticks(n int64) {
	w.t.Helper()
	from := w.d.Looked()
	w.until("ticks", func() bool { return w.d.Looked() >= from+n })
}

// holding is what the runner's disk shows of an attempt.
func (a *attemptSim) holding(state hub.HoldingState) hub.Holding {
	return hub.Holding{
		Fence: a.fence, State: state, Steps: int64(len(a.records)), Chunks: int64(len(a.chunks)), MAC: a.mac, Boot: a.boot,
		ProjectID: a.offer.Assignment.ProjectID, ExecutionID: a.offer.Assignment.ExecutionID, AssignmentID: a.offer.Assignment.ID,
	}
}

// kept is the attempt with its specification, as the runner shows it when it is lost.
func (a *attemptSim) kept() hub.LostAttempt {
	e, g := a.offer.Execution, a.offer.Assignment
	l := hub.LostAttempt{
		Holding: a.holding(hub.HoldingClosed), JobName: e.JobName, StartedBy: e.StartedBy, Number: e.Number,
		Strategy: e.Strategy, Keepgoing: e.Keepgoing, Threads: g.Threads, Options: e.Options, Positions: g.Steps,
		WorkflowSteps: len(e.Definition.Workflow.Steps), LogFilters: e.Definition.Workflow.LogFilters,
	}
	for _, n := range g.Nodes {
		l.Nodes = append(l.Nodes, e.Nodes[n])
	}
	for _, s := range g.Steps {
		l.Steps = append(l.Steps, e.Definition.Workflow.Steps[s])
	}
	return l
}

// show is a full inventory: pages, what is lost, the end. What the hub lacks is told
// again, as the runner's disk has it.
func (r *runnerSim) show(attempts ...*attemptSim) {
	r.b.t.Helper()
	var page []hub.Holding
	for _, a := range attempts {
		page = append(page, a.holding(hub.HoldingClosed))
	}
	answers, err := r.d.Show(r.b.t.Context(), r.ref, page)
	if err != nil || len(answers) != len(attempts) {
		r.b.t.Fatalf("inventory answered %+v, %v", answers, err)
	}
	for i, a := range attempts {
		if answers[i].Lost {
			if answers[i], err = r.d.Adopt(r.b.t.Context(), r.ref, a.kept()); err != nil {
				r.b.t.Fatalf("showing attempt %s: %v", a.fence.AttemptID, err)
			}
		}
	}
	r.shown()
	for i, a := range attempts {
		a.tellFrom(answers[i])
	}
}

func (r *runnerSim) shown() {
	r.b.t.Helper()
	if err := r.d.Shown(r.b.t.Context(), r.ref); err != nil {
		r.b.t.Fatalf("end of the inventory: %v", err)
	}
}

// tellFrom sends what the hub said that it lacks.
func (a *attemptSim) tellFrom(answer hub.HoldingAnswer) {
	a.r.b.t.Helper()
	if answer.Settled || answer.Unknown {
		return
	}
	chunks := a.chunks[answer.LogNext:]
	result := a.result(a.outcome, int(answer.NextN), len(a.chunks))
	if _, err := a.r.d.Result(a.r.b.t.Context(), result); err != nil {
		a.r.b.t.Fatalf("result: %v", err)
	}
	if len(chunks) > 0 {
		if _, err := a.r.b.o.Append(a.r.b.t.Context(), chunks); err != nil {
			a.r.b.t.Fatalf("output: %v", err)
		}
	}
}

// runToEnd runs an offered attempt with some output.
func (r *runnerSim) runToEnd(lines ...string) *attemptSim {
	r.b.t.Helper()
	a := r.claim()
	for n := range a.offer.Assignment.Nodes {
		for s := range a.offer.Assignment.Steps {
			a.started(n, s)
			if len(lines) > 0 {
				a.print(n, s, lines...)
			}
			a.ended(n, s, hub.StatusSucceeded)
		}
	}
	a.outcome = hub.StatusSucceeded
	a.finish(hub.StatusSucceeded)
	return a
}

// noGrant claims whatever runners are offered, as runners do: none of it is granted.
func (w *past) noGrant(runners ...*runnerSim) {
	w.t.Helper()
	for _, r := range runners {
		for len(r.offers) > 0 {
			if g, err := r.d.Claim(w.t.Context(), r.ref, (<-r.offers).Fence); err == nil {
				w.t.Fatalf("granted to %s: %+v", r.row.Name, g)
			}
		}
	}
}

func (w *past) wantHeld(kind hub.HoldKind, incarnation int64) {
	w.t.Helper()
	h, err := w.st.ReadHold(w.t.Context())
	if err != nil || h.Kind != kind || h.Incarnation != incarnation {
		w.t.Fatalf("hold is %+v, %v; want %q in incarnation %d", h, err, kind, incarnation)
	}
}

// A grant that the database forgot is never made again: not to the runner that comes
// first and knows nothing, and the one that has it fills in what it did.
func TestForgottenGrantIsNotMadeAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, w *past) {
		slow, quick := w.runner("slow", 1), w.runner("quick", 1)
		for _, r := range []*runnerSim{slow, quick} {
			r.detach()
		}
		e := w.run(job("deploy"))
		w.save()
		slow.again(w.d)
		a := slow.runToEnd("one", "two")
		w.wantEnd(e, hub.StatusSucceeded, true)
		quick.again(w.d)
		w.learn(quick)
		w.goBack()

		if got := quick.again(w.d); !got.FullInventory || got.Incarnation != 2 {
			t.Fatalf("the first runner is welcomed with %+v, not asked for its inventory", got)
		}
		w.wantHeld(hub.HoldRestore, 2)
		quick.show()
		w.ticks(3)
		w.noGrant(quick)
		if got := w.get(e); !got.Held || got.Status.Final() {
			t.Errorf("the execution is %+v, want it held", got)
		}
		slow.again(w.d)
		slow.show(a)
		w.wantEnd(e, hub.StatusSucceeded, true)
		if text, _ := w.text(output.Query{ExecutionID: e.ID}); text != "one\ntwo\n" {
			t.Errorf("the log is %q", text)
		}
		w.until("the hold ends", func() bool { return w.c.Hold().Kind == "" })
		// Marks of the lost history are still on both disks; they hold nobody again.
		quick.again(w.d)
		w.wantHeld("", 2)
		next := w.run(job("next"))
		quick.runToEnd()
		w.wantEnd(next, hub.StatusSucceeded, true)
	})
}

// An offer of before may be granted in what the database lost: that its runner is away, or
// with a member that works on with the old primary, is no reason to take it back.
func TestOfferOfBeforeIsKeptForItsRunner(t *testing.T) {
	onBoth(t, func(t *testing.T, w *past) {
		slow, quick := w.runner("slow", 1), w.runner("quick", 1)
		quick.detach()
		e := w.run(job("deploy"))
		slow.offers <- receive(t, "offer", slow.offers)
		w.save()
		slow.again(w.d)
		a := slow.runToEnd("one")
		w.wantEnd(e, hub.StatusSucceeded, true)
		quick.again(w.d)
		w.learn(quick)
		w.goBack()
		quick.again(w.d)
		w.wantHeld(hub.HoldRestore, 2)
		for _, wake := range []hub.Wake{{Look: true}, {Offers: []string{a.fence.AttemptID}}} {
			if err := w.d.Woken(t.Context(), wake); err != nil {
				t.Fatal(err)
			}
		}
		quick.show()
		slow.again(w.d)
		slow.show(a)
		w.wantEnd(e, hub.StatusSucceeded, true)
		w.noGrant(quick)
		if text, _ := w.text(output.Query{ExecutionID: e.ID}); text != "one\n" {
			t.Errorf("the log is %q", text)
		}
	})
}

// The lost time cut a part of what the backup has whole, and ran it: the rest alone goes on.
func TestForgottenPartIsNotRunAgain(t *testing.T) {
	for _, state := range []hub.AssignmentState{hub.AssignmentReady, hub.AssignmentActive} {
		t.Run(string(state), func(t *testing.T) {
			onBoth(t, func(t *testing.T, w *past) {
				w.nodes("n1", "n2")
				r, away := w.runner("one", 1), w.runner("away", 1)
				away.detach()
				if state == hub.AssignmentReady {
					r.detach()
				}
				e := w.run(onNodes(job("deploy"), "2", true))
				if state == hub.AssignmentActive {
					receive(t, "offer", r.offers)
				}
				w.save()
				w.cancel(e, "n2")
				r.again(w.d)
				a := r.runToEnd("one")
				w.learn(r)
				w.goBack()
				r.again(w.d)
				r.show(a)
				away.again(w.d)
				away.show()
				var at *runnerSim
				var o hub.Offer
				for o.Fence.Incarnation != 2 { // else of what was offered before, and is refused
					at = receive(t, "the other node", either(r, away))
					o = <-at.offers
				}
				if got := o.Assignment.Nodes; !slices.Equal(got, []int{1}) {
					t.Errorf("begun after the database went back: nodes %v", got)
				}
				at.offers <- o
				at.runToEnd("two")
				w.wantEnd(e, hub.StatusSucceeded, true)
			})
		})
	}
}

// What was accepted, run and forgotten whole is shown as its runners had it, under its
// own number, whichever of them comes first.
func TestForgottenExecutionIsRecovered(t *testing.T) {
	onBoth(t, func(t *testing.T, w *past) {
		w.nodes("a1", "b1")
		w.routes("a", "b")
		a, b := w.runner("a", 1, "a"), w.runner("b", 1, "b")
		w.save()
		a.again(w.d)
		b.again(w.d)
		e := w.run(onNodes(job("one", "two"), "2", true))
		ofA, ofB := a.runToEnd("from a"), b.runToEnd("from b")
		w.wantEnd(e, hub.StatusSucceeded, true)
		w.learn(b)
		w.goBack()

		b.again(w.d)
		b.show(ofB)
		// a has not shown its part yet.
		if got := w.get(e); got.Status.Final() || !got.Recovered || got.Number != e.Number || got.StartedBy != "test" {
			t.Errorf("half of it is shown as %+v", got)
		}
		a.again(w.d)
		a.show(ofA)
		got := w.wantEnd(e, hub.StatusSucceeded, true)
		if len(got.Nodes) != 2 || got.NodeCounts[hub.StatusSucceeded] != 2 || got.JobName != e.JobName {
			t.Errorf("recovered as %+v", got)
		}
		for i, n := range got.Nodes {
			want := map[string]string{"a1": "from a\nfrom a\n", "b1": "from b\nfrom b\n"}[n.Name]
			if text, _ := w.text(output.Query{ExecutionID: e.ID, Filter: output.Filter{Nodes: []int{i}}}); text != want {
				t.Errorf("the log of %s is %q", n.Name, text)
			}
		}
	})
}

// The error handler of a step keeps its number when only part of the workflow is shown, and
// when more of it is.
func TestHandlerInARecoveredExecution(t *testing.T) {
	onBoth(t, func(t *testing.T, w *past) {
		w.nodes("a1", "b1")
		w.routes("a", "b")
		a, b := w.runner("a", 1, "a"), w.runner("b", 1, "b")
		w.save()
		a.again(w.d)
		b.again(w.d)
		j := onNodes(job("one", "two"), "2", true)
		j.Workflow.Strategy, j.Workflow.Keepgoing = hub.StrategySequential, true
		j.Workflow.Steps[0].ErrorHandler = &hub.Step{Exec: "handle"}
		e := w.run(j)
		first := a.claim()
		first.run(0, 0, hub.StatusFailed)
		first.run(0, 1, hub.StatusSucceeded)
		first.outcome = hub.StatusSucceeded
		first.finish(first.outcome)
		ofB := b.runToEnd()
		second := a.runToEnd()
		lastOfB := b.runToEnd()
		want := w.wantEnd(e, hub.StatusSucceeded, true)
		w.learn(a)
		w.goBack()

		a.again(w.d)
		a.show(first, second)
		b.again(w.d)
		b.show(ofB, lastOfB)
		got := w.wantEnd(e, hub.StatusSucceeded, true)
		if !got.Recovered || !maps.Equal(got.NodeCounts, want.NodeCounts) {
			t.Errorf("recovered: %v, with steps that %v; was %v", got.Recovered, got.NodeCounts, want.NodeCounts)
		}
		cells, err := w.st.NodeSteps(t.Context(), e.ID)
		if err != nil {
			t.Fatal(err)
		}
		ofA := map[int]hub.Status{}
		for _, c := range cells {
			if got.Nodes[c.Node].Name == "a1" {
				ofA[c.Step] = c.Status
			}
		}
		if want := (map[int]hub.Status{0: hub.StatusFailed, 1: hub.StatusSucceeded, 2: hub.StatusSucceeded}); !maps.Equal(ofA, want) {
			t.Errorf("the steps of its first node are %v, want %v", ofA, want)
		}
	})
}

// A copy of a disk that comes first after a fall-back speaks for no other: the disk that has
// what was lost is asked, too, though its runner has shown an inventory.
func TestCopyDoesNotSpeakForTheOriginal(t *testing.T) {
	onBoth(t, func(t *testing.T, w *past) {
		a := w.runner("a", 1)
		w.save()
		a.again(w.d)
		w.learn(a)
		other := a.copyOf()
		other.marks, other.inc = a.marks, a.inc
		e := w.run(job("deploy"))
		ran := a.runToEnd("one")
		w.wantEnd(e, hub.StatusSucceeded, true)
		w.goBack()

		other.again(w.d)
		w.wantHeld(hub.HoldRestore, 2)
		other.show()
		w.until("the hold ends", func() bool { h := w.c.Hold(); return h.Kind == "" && h.Incarnation == 2 })
		for other.epoch <= a.epoch {
			other.again(w.d)
		}
		if got := a.again(w.d); !got.Quarantined || !got.FullInventory {
			t.Errorf("the original is welcomed with %+v", got)
		}
		a.show(ran)
		if got := w.wantEnd(e, hub.StatusSucceeded, true); !got.Recovered {
			t.Errorf("it is shown as %+v", got)
		}
	})
}

// A runner that dies before it has the first Welcome after a fall-back on its disk presents
// the lost session once more, from another boot even: it is no copy of itself.
func TestRunnerMayDieInItsFirstHelloAfterAFallBack(t *testing.T) {
	onBoth(t, func(t *testing.T, w *past) {
		a, b := w.runner("a", 1), w.runner("b", 1)
		w.save()
		a.again(w.d)
		b.again(w.d)
		w.learn(a)
		w.goBack()
		a.again(w.d) // its mark proves that the database went back
		w.until("the hub knows", func() bool { return w.c.Hold().Incarnation == 2 })
		b.d = w.d
		for _, boot := range []string{"boot-b", "boot-2"} {
			b.nonce, b.boot = nil, []byte(boot)
			if got := b.hello(); got.Quarantined {
				t.Fatalf("quarantined in %s", boot)
			}
		}
	})
}

// A runner that goes on from the promoted primary to the old one, which lives on, proves there
// that there is another: before the first tick, when the marks of both are the same.
func TestWelcomeProvesItsIncarnation(t *testing.T) {
	onBoth(t, func(t *testing.T, w *past) {
		r := w.runner("one", 1)
		w.save()
		if _, err := w.st.HoldCluster(t.Context(), hub.HoldPromotion, "a test", 1); err != nil {
			t.Fatal(err)
		}
		r.again(w.d)
		if _, mark, err := r.d.Renew(t.Context(), r.ref, nil); err != nil || mark.MAC != nil && mark.Tick < r.marks[0].Tick {
			t.Errorf("a renewal brings the mark %+v of before, %v", mark, err)
		}
		w.goBack()
		if got := r.again(w.d); got.Quarantined || !got.FullInventory {
			t.Errorf("the old primary welcomes it with %+v", got)
		}
		w.wantHeld(hub.HoldRestore, 3)
	})
}

// A Welcome that did not arrive tells a runner nothing: with the sessions that it had at the old
// primary meanwhile it is no copy.
func TestWelcomeOfThePromotedWasLost(t *testing.T) {
	onBoth(t, func(t *testing.T, w *past) {
		r := w.runner("one", 1)
		if _, err := w.st.HoldCluster(t.Context(), hub.HoldPromotion, "a test", 1); err != nil {
			t.Fatal(err)
		}
		r.hello()
		r.epoch, r.boot = r.epoch+2, []byte("boot-2")
		if got := r.again(w.d); got.Quarantined {
			t.Errorf("it is welcomed with %+v", got)
		}
	})
}

// What a runner says of a later incarnation, and cannot prove, holds it alone, whatever the
// number of its session is.
func TestLaterIncarnationWithoutProof(t *testing.T) {
	onBoth(t, func(t *testing.T, w *past) {
		r := w.runner("one", 1)
		r.inc, r.marks = 2, nil
		if got := r.again(w.d); !got.Quarantined || !got.FullInventory {
			t.Errorf("it is welcomed with %+v", got)
		}
		w.wantHeld("", 1)
	})
}

// The database of before went on by itself, and cut what the lost one had granted whole.
func TestForgottenGrantOfWhatWasCutSince(t *testing.T) {
	onBoth(t, func(t *testing.T, w *past) {
		w.nodes("n1", "n2")
		slow, quick := w.runner("slow", 1), w.runner("quick", 1)
		slow.detach()
		quick.detach()
		e := w.run(onNodes(job("deploy"), "2", true))
		w.save()
		slow.again(w.d)
		a := slow.runToEnd("one")
		w.wantEnd(e, hub.StatusSucceeded, true)
		w.learn(slow)
		w.goBack()
		w.cancel(e, "n2")
		slow.again(w.d)
		quick.again(w.d)
		w.wantHeld(hub.HoldRestore, 2)
		slow.show(a)
		quick.show()
		w.wantEnd(e, hub.StatusCancelled, true)
		w.noGrant(slow, quick)
		cells, err := w.st.NodeSteps(t.Context(), e.ID)
		if err != nil || len(cells) != 2 || cells[0].AttemptID != a.fence.AttemptID {
			t.Errorf("what was shown is told as %+v, %v", cells, err)
		}
	})
}

// After a person's release an assignment may be offered under a number that the lost database
// had granted: who shows that grant is heard all the same, and the offer is taken back.
func TestForgottenGrantUnderATakenNumber(t *testing.T) {
	onBoth(t, func(t *testing.T, w *past) {
		slow, quick := w.runner("slow", 1), w.runner("quick", 1)
		slow.detach()
		quick.detach()
		e := w.run(job("deploy"))
		w.save()
		slow.again(w.d)
		a := slow.runToEnd("one")
		w.wantEnd(e, hub.StatusSucceeded, true)
		quick.again(w.d)
		w.learn(quick)
		w.goBack()
		quick.again(w.d)
		w.wantHeld(hub.HoldRestore, 2)
		if err := w.d.ReleaseRest(t.Context(), "me", false); err != nil {
			t.Fatal(err)
		}
		o := receive(t, "offer after the release", quick.offers)
		if o.Fence.Epoch != a.fence.Epoch || o.Fence.AttemptID == a.fence.AttemptID {
			t.Fatalf("offered as %v, want another attempt than %v with the same epoch", o.Fence, a.fence)
		}
		slow.again(w.d)
		slow.show(a)
		w.wantEnd(e, hub.StatusSucceeded, true)
		if _, err := quick.d.Claim(t.Context(), quick.ref, o.Fence); err == nil {
			t.Error("what slow has run is granted again")
		}
		if text, _ := w.text(output.Query{ExecutionID: e.ID}); text != "one\n" {
			t.Errorf("the log is %q", text)
		}
	})
}

// A slice that was cut and run in the lost time is not cut again.
func TestForgottenSliceIsTakenIn(t *testing.T) {
	onBoth(t, func(t *testing.T, w *past) {
		w.nodes("a1", "b1")
		w.routes("a", "b")
		j := onNodes(job("one", "two"), "2", true)
		j.Workflow.Strategy = hub.StrategySequential
		a, b := w.runner("a", 2, "a"), w.runner("b", 2, "b")
		marks := b.marks
		e := w.run(j)
		first := a.runToEnd()
		w.save()
		a.again(w.d, first.holding(hub.HoldingClosed))
		b.again(w.d)
		firstB := b.runToEnd()
		second := a.runToEnd("second")
		w.learn(a)
		w.goBack()

		// Its mark is older than the backup, so its epoch proves nothing; but it is asked for
		// its inventory, and the grant in it does.
		b.marks = marks
		if got := b.again(w.d); !got.Quarantined || !got.FullInventory {
			t.Errorf("an unexplained epoch is welcomed by %+v", got)
		}
		b.show(firstB)
		w.until("the hub knows", func() bool { return w.c.Hold().Incarnation == 2 })
		if got := b.again(w.d); got.Quarantined {
			t.Error("an explained epoch is still held against the runner")
		}
		b.show(firstB)
		w.ticks(2)
		w.noGrant(b)
		a.again(w.d)
		a.show(first, second)
		last := b.runToEnd()
		if steps := last.offer.Assignment.Steps; !slices.Equal(steps, []int{1}) {
			t.Errorf("runner b was given steps %v, want the second", steps)
		}
		w.wantEnd(e, hub.StatusSucceeded, true)
		w.noGrant(a)
	})
}

// Retention may take what a runner does not know to be told: its result was committed, and
// the answer lost. What it shows then is no proof of a database that went back.
func TestPurgedGrantHoldsNobody(t *testing.T) {
	onBoth(t, func(t *testing.T, w *past) {
		r := w.runner("one", 2)
		run := func() *attemptSim {
			e := w.run(job("x"))
			a := r.runToEnd("a line")
			w.wantEnd(e, hub.StatusSucceeded, true)
			return a
		}
		known := run()
		r.again(w.d) // it shows nothing of it any more
		first, second := run(), run()
		w.purge(known, first, second)
		got := r.again(w.d, first.holding(hub.HoldingClosed))
		answers, err := r.d.Show(t.Context(), r.ref, []hub.Holding{second.holding(hub.HoldingClosed)})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range append(got.Holdings, answers...) {
			if a.Lost || !a.Unknown {
				t.Errorf("answered by %+v", a)
			}
		}
		w.wantHeld("", 1)
		// Nothing is noted of what the runner knows to be told: that is nearly all there is.
		noted, err := w.st.PurgedGrants(t.Context(), []string{known.fence.AttemptID, first.fence.AttemptID, second.fence.AttemptID})
		if err != nil || len(noted) != 2 || noted[known.fence.AttemptID] {
			t.Errorf("noted %v, %v", noted, err)
		}
	})
}

// purge takes the executions of attempts away, as retention does.
func (w *past) purge(attempts ...*attemptSim) {
	w.t.Helper()
	for _, a := range attempts {
		id := a.offer.Execution.ID
		err := w.st.InTx(w.t.Context(), func(st *store.Store) error {
			_, err := st.Purge(w.t.Context(), []string{id})
			return err
		})
		for more := true; err == nil && more; {
			err = w.st.InTx(w.t.Context(), func(st *store.Store) (err error) {
				more, err = st.DeletePurged(w.t.Context(), id)
				return err
			})
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// What a runner merely says holds that runner alone.
func TestForgedEvidenceHoldsNobody(t *testing.T) {
	onBoth(t, func(t *testing.T, w *past) {
		liar, other := w.runner("liar", 1), w.runner("other", 1)
		w.learn(liar)
		e := w.run(job("x"))
		holder := liar
		if len(other.offers) > 0 {
			holder = other
		}
		a := holder.claim()
		mark := liar.marks[0]
		for what, lie := range map[string]func(*hub.DBMark){
			"tick":  func(m *hub.DBMark) { m.Tick += 1000 },
			"nonce": func(m *hub.DBMark) { m.Nonce = bytes.Repeat([]byte{7}, 16) },
			"mac":   func(m *hub.DBMark) { m.Tick, m.MAC = m.Tick+1000, bytes.Repeat([]byte{7}, 32) },
		} {
			forged := mark
			lie(&forged)
			liar.marks, liar.inc = []hub.DBMark{forged}, 77
			if got := liar.again(w.d); !got.Quarantined || got.Incarnation != 1 {
				t.Errorf("a forged mark (%s) is answered by %+v", what, got)
			}
			w.wantHeld("", 1)
		}
		if err := w.st.ReleaseRunner(t.Context(), hub.DefaultOrganisationID, liar.row.ID); err != nil {
			t.Fatal(err)
		}
		// Another attempt, another execution, another runner than the proof is of.
		for what, lie := range map[string]func(*hub.Holding){
			"attempt":   func(h *hub.Holding) { h.Fence.AttemptID = store.NewID() },
			"execution": func(h *hub.Holding) { h.Fence.AttemptID, h.ExecutionID = store.NewID(), store.NewID() },
			"proof":     func(h *hub.Holding) { h.Fence.AttemptID, h.MAC = store.NewID(), bytes.Repeat([]byte{7}, 32) },
		} {
			forged := a.holding(hub.HoldingGranted)
			lie(&forged)
			liar.marks, liar.inc = []hub.DBMark{mark}, 1
			got := liar.again(w.d, forged)
			if len(got.Holdings) != 1 || !got.Holdings[0].Unknown || got.Holdings[0].Lost {
				t.Errorf("a forged grant (%s) is answered by %+v", what, got.Holdings)
			}
			answer, err := w.d.Adopt(t.Context(), liar.ref, hub.LostAttempt{Holding: forged, Positions: []int{0}, Steps: []hub.Step{{}}, Nodes: []hub.Node{{Name: "n"}}})
			if err != nil || !answer.Unknown {
				t.Errorf("a forged grant (%s) is taken in: %+v, %v", what, answer, err)
			}
			w.wantHeld("", 1)
		}
		liar.epoch += 50
		if got := liar.again(w.d); !got.Quarantined {
			t.Error("a session epoch out of nowhere is believed")
		}
		w.wantHeld("", 1)
		if row, err := w.st.Runner(t.Context(), other.row.ID); err != nil || row.Quarantined != "" {
			t.Errorf("the other runner is %+v, %v", row, err)
		}
		_ = e
	})
}

// An attempt that the database has as granted, and its runner's disk does not know, is
// unknown; one that the runner still has goes on.
func TestGrantedAttemptsFollowTheInventory(t *testing.T) {
	onBoth(t, func(t *testing.T, w *past) {
		r := w.runner("one", 5)
		gone, kept := w.run(job("gone")), w.run(job("kept"))
		var attempts []*attemptSim
		for range 2 {
			a := r.claim()
			a.started(0, 0)
			a.report()
			attempts = append(attempts, a)
		}
		if attempts[0].offer.Execution.ID != gone.ID {
			slices.Reverse(attempts)
		}
		w.learn(r)
		w.save()
		r.again(w.d, attempts[0].holding(hub.HoldingGranted), attempts[1].holding(hub.HoldingGranted))
		w.learn(r)
		w.goBack()
		r.again(w.d, attempts[1].holding(hub.HoldingGranted))
		answers, err := w.d.Show(t.Context(), r.ref, []hub.Holding{attempts[1].holding(hub.HoldingGranted)})
		if err != nil || len(answers) != 1 || !answers[0].Live {
			t.Fatalf("what still runs is answered by %+v, %v", answers, err)
		}
		if _, err := w.d.Resume(t.Context(), r.ref, attempts[1].fence); err == nil {
			t.Error("held work is resumed before the inventory is over")
		} else {
			wantRefused(t, err, hub.RefusedHeld)
		}
		r.shown()
		w.wantEnd(gone, hub.StatusUnknown, false)
		w.until("the rest is released", func() bool { return !w.get(kept).Held })
		if _, err := w.d.Resume(t.Context(), r.ref, attempts[1].fence); err != nil {
			t.Errorf("released work is not resumed: %v", err)
		}
		attempts[1].ended(0, 0, hub.StatusSucceeded)
		attempts[1].finish(hub.StatusSucceeded)
		w.wantEnd(kept, hub.StatusSucceeded, true)
	})
}

// A promotion lets new work go on; a restore makes it wait until all is shown.
func TestNewWorkWhileHeld(t *testing.T) {
	for kind, waits := range map[hub.HoldKind]bool{hub.HoldPromotion: false, hub.HoldRestore: true} {
		t.Run(string(kind), func(t *testing.T) {
			onBoth(t, func(t *testing.T, w *past) {
				away, here := w.runner("away", 1), w.runner("here", 1)
				away.detach()
				if _, err := w.st.HoldCluster(t.Context(), kind, "a test", 1); err != nil {
					t.Fatal(err)
				}
				w.until("the hub knows", func() bool { return w.c.Hold().Kind == kind })
				here.again(w.d)
				here.show()
				e := w.run(job("new"))
				if waits {
					if e.WaitingFor == nil || e.WaitingFor.Kind != "recovery" {
						t.Errorf("it waits for %+v", e.WaitingFor)
					}
					w.ticks(2)
					if got := w.get(e); !got.Held {
						t.Errorf("new work is not held before the other runner has shown what it has: %+v", got)
					}
					w.noGrant(here)
					away.again(w.d)
					away.show()
				}
				a := receive(t, "the new work", either(here, away))
				a.runToEnd()
				w.wantEnd(e, hub.StatusSucceeded, true)
			})
		})
	}
}

// either returns which of two runners is offered something first.
func either(a, b *runnerSim) <-chan *runnerSim {
	got := make(chan *runnerSim, 1)
	go func() {
		select {
		case o := <-a.offers:
			a.offers <- o
			got <- a
		case o := <-b.offers:
			b.offers <- o
			got <- b
		case <-time.After(patience):
		}
	}()
	return got
}

// A person's word stands for the runner that never comes back.
func TestPersonReleasesTheRest(t *testing.T) {
	for name, fail := range map[string]bool{"release": false, "fail": true} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, w *past) {
				lost, here := w.runner("lost", 1), w.runner("here", 1)
				for _, r := range []*runnerSim{lost, here} {
					r.detach()
				}
				e := w.run(job("x"))
				if _, err := w.st.HoldCluster(t.Context(), hub.HoldRestore, "a test", 1); err != nil {
					t.Fatal(err)
				}
				w.until("the hub knows", func() bool { return w.c.Hold().Kind != "" })
				here.again(w.d)
				here.show()
				awaited, err := w.d.Awaited(t.Context(), w.c.Hold())
				if err != nil || len(awaited) != 1 || awaited[0].Name != "lost" {
					t.Errorf("awaited %+v, %v", awaited, err)
				}
				if err := w.d.ReleaseRest(t.Context(), "ann", fail); err != nil {
					t.Fatal(err)
				}
				w.wantHeld("", 2)
				if fail {
					w.wantEnd(e, hub.StatusUnknown, true)
				} else {
					here.runToEnd()
					w.wantEnd(e, hub.StatusSucceeded, true)
				}
				if err := w.d.ReleaseRest(t.Context(), "ann", fail); hub.ErrorCode(err) != hub.CodeConflict {
					t.Errorf("nothing left to release: %v", err)
				}
			})
		})
	}
}

// A cancel of held work acts when it is released, and says cancelled only then.
func TestCancelOfHeldWork(t *testing.T) {
	onBoth(t, func(t *testing.T, w *past) {
		away := w.runner("away", 1)
		away.detach()
		e := w.run(job("x"))
		if _, err := w.st.HoldCluster(t.Context(), hub.HoldPromotion, "a test", 1); err != nil {
			t.Fatal(err)
		}
		w.cancel(e)
		if got := w.get(e); got.Status.Final() {
			t.Fatalf("cancelled although a runner may run it: %+v", got)
		}
		away.again(w.d)
		away.show()
		w.wantEnd(e, hub.StatusCancelled, true)
	})
}

// New work that waits for a recovery was never granted: its cancel acts at once.
func TestCancelOfNewWorkWhileHeld(t *testing.T) {
	onBoth(t, func(t *testing.T, w *past) {
		away := w.runner("away", 1)
		away.detach()
		if _, err := w.st.HoldCluster(t.Context(), hub.HoldRestore, "a test", 1); err != nil {
			t.Fatal(err)
		}
		w.until("the hub knows", func() bool { return w.c.Hold().Kind != "" })
		e := w.run(job("x"))
		w.cancel(e)
		w.wantEnd(e, hub.StatusCancelled, true)
	})
}

// While the database is moved nothing is granted, acknowledged or begun; called off, all
// goes on.
func TestPlannedMove(t *testing.T) {
	onBoth(t, func(t *testing.T, w *past) {
		r := w.runner("one", 2)
		running, waiting := w.run(job("running")), w.run(job("waiting"))
		a, o := r.claim(), receive(t, "second offer", r.offers)
		if err := w.c.HoldForMove(t.Context(), w.st, "to another host"); err != nil {
			t.Fatal(err)
		}
		a.started(0, 0)
		a.ended(0, 0, hub.StatusSucceeded)
		if _, err := w.d.Steps(t.Context(), a.steps(0)); hub.ErrorCode(err) != hub.CodeUnavailable {
			t.Errorf("steps are acknowledged: %v", err)
		}
		if _, err := w.d.Result(t.Context(), a.result(hub.StatusSucceeded, 0, 0)); hub.ErrorCode(err) != hub.CodeUnavailable {
			t.Errorf("a result is acknowledged: %v", err)
		}
		chunk := a.print(0, 0, "line")
		if acks, err := w.o.Append(t.Context(), []hub.Chunk{chunk}); err == nil && !acks[0].Nack {
			t.Errorf("output is acknowledged: %+v", acks)
		}
		_, err := w.d.Claim(t.Context(), r.ref, o.Fence)
		wantRefused(t, err, hub.RefusedHeld)
		_, err = w.d.Start(t.Context(), dispatch.StartRequest{OrganisationID: hub.DefaultOrganisationID, ProjectID: "web", Definition: job("new"), By: "test"})
		if hub.ErrorCode(err) != hub.CodeUnavailable {
			t.Errorf("an execution is accepted: %v", err)
		}
		if err := w.c.HoldForMove(t.Context(), w.st, "again"); hub.ErrorCode(err) != hub.CodeConflict {
			t.Errorf("held twice: %v", err)
		}
		if err := w.d.ReleaseRest(t.Context(), "ann", false); err != nil {
			t.Fatal(err)
		}
		w.wantHeld("", 1)
		second := r.claimOffer(o)
		second.run(0, 0, hub.StatusSucceeded)
		second.finish(hub.StatusSucceeded)
		if _, err := w.o.Append(t.Context(), []hub.Chunk{chunk}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.d.Result(t.Context(), a.result(hub.StatusSucceeded, 0, 1)); err != nil {
			t.Fatal(err)
		}
		w.wantEnd(running, hub.StatusSucceeded, true)
		w.wantEnd(waiting, hub.StatusSucceeded, true)
	})
}

// What waited for its time in the database of now, and was started in the lost time, does
// not start again.
func TestForgottenStartOfWhatWaited(t *testing.T) {
	onBoth(t, func(t *testing.T, w *past) {
		r := w.runner("one", 1)
		j := w.stored("job")
		request := startOf(j)
		request.RunAt = w.st.Now().Add(time.Hour)
		e := w.begin(request)
		w.save()
		r.again(w.d)
		w.due(e, 0)
		a := r.runToEnd("once")
		w.wantEnd(e, hub.StatusSucceeded, true)
		w.learn(r)
		w.goBack()

		r.again(w.d)
		w.wantHeld(hub.HoldRestore, 2)
		if got := w.get(e); got.Waits != hub.WaitsForTime || !got.Held {
			t.Errorf("it is %+v, want it to wait and be held", got)
		}
		w.due(e, 0)
		w.noGrant(r)
		r.show(a)
		if got := w.wantEnd(e, hub.StatusSucceeded, true); !got.Recovered || got.Waits != "" || len(got.Nodes) != 1 {
			t.Errorf("recovered as %+v", got)
		}
		if text, _ := w.text(output.Query{ExecutionID: e.ID}); text != "once\n" {
			t.Errorf("the log is %q", text)
		}
		if wait, err := w.st.Wait(t.Context(), e.ID); wait != nil || err != nil {
			t.Errorf("it still waits: %+v, %v", wait, err)
		}
	})
}
