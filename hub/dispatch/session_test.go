package dispatch_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/dispatch"
)

// later lets the hub look at the ticks, twice.
func (b *bench) later(t *testing.T) {
	t.Helper()
	for range 2 {
		b.tick.Add(1)
		deadline := time.After(patience)
		seen := b.d.Looked()
		for b.d.Looked() == seen {
			select {
			case <-deadline:
				t.Fatal("the hub does not look at the ticks")
			case <-time.After(time.Millisecond):
			}
		}
	}
}

func TestSessions(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		if r.epoch != 1 {
			t.Fatalf("first session is %d", r.epoch)
		}
		// A Welcome that was lost: the runner presents what it has confirmed.
		r.hello()
		r.hello()
		// A Confirm that was lost: it presents the unconfirmed one.
		w := r.hello()
		r.epoch = w.SessionEpoch
		w = r.connect()
		if w.Quarantined {
			t.Fatal("a lost Confirm looks like a clone")
		}
		// An old frame of the same process.
		now := r.epoch
		r.epoch = now - 2
		_, err := r.tryHello()
		wantRefused(t, err, hub.RefusedOldSession)
		row, err := b.st.Runner(t.Context(), r.row.ID)
		if err != nil || row.Quarantined != "" {
			t.Fatalf("an old frame of the same process: runner %+v, %v", row, err)
		}
	})
}

// TestChangedRunnerIsReadAtATick: what is changed about a runner with a session counts by
// the next tick, also between the read that its session begins with and the session.
func TestChangedRunnerIsReadAtATick(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		if got := b.d.ToRead(); !slices.Equal(got, []string{r.row.ID}) {
			t.Errorf("behind the begin of its session %v are read again, want the runner", got)
		}
		b.later(t)
		if got := b.d.ToRead(); len(got) > 0 {
			t.Errorf("%v are read at each tick, though nothing has changed", got)
		}
		row, err := b.st.Runner(t.Context(), r.row.ID)
		if err != nil {
			t.Fatal(err)
		}
		row.Draining = true
		if err := b.st.UpdateRunner(t.Context(), row); err != nil {
			t.Fatal(err)
		}
		b.later(t)
		if e := b.run(job("a")); e.WaitingFor == nil || e.WaitingFor.Kind != "runner" || len(r.offers) > 0 {
			t.Errorf("a runner that drains is offered work: %+v", e.WaitingFor)
		}
	})
}

// A Hello of a broken connection is read behind the next one's: the Welcome that the
// runner has on its disk is neither the confirmed session nor the newest.
func TestLateHelloCostsNoSession(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		w := r.hello()
		synced := r.ref
		r.hello() // the late one
		wantRefused(t, b.d.Confirm(t.Context(), synced), hub.RefusedOldSession)
		r.epoch = w.SessionEpoch
		if w := r.connect(); w.Quarantined {
			t.Error("a late Hello looks like a clone")
		}
	})
}

func TestClaimNeedsTheCurrentSession(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		b.run(job("a"))
		o := receive(t, "offer", r.offers)
		old := r.ref
		w := r.hello(hub.Holding{Fence: o.Fence, State: hub.HoldingOffered})
		if len(w.Holdings) != 1 || !w.Holdings[0].Live {
			t.Errorf("an offer in the inventory is answered %+v", w.Holdings)
		}
		_, err := b.d.Claim(t.Context(), old, o.Fence)
		wantRefused(t, err, hub.RefusedOldSession)
		_, err = b.d.Claim(t.Context(), r.ref, o.Fence)
		wantRefused(t, err, hub.RefusedOldSession) // not confirmed yet
		if err := b.d.Confirm(t.Context(), r.ref); err != nil {
			t.Fatal(err)
		}
		if _, err = b.d.Claim(t.Context(), r.ref, o.Fence); err != nil {
			t.Errorf("claim in the current session: %v", err)
		}
		if err := b.d.Confirm(t.Context(), old); err == nil {
			t.Error("an old session was confirmed")
		}
	})
}

func TestClaimOfAnEarlierSessionIsGivenBack(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		e := b.run(job("a"))
		a := r.claim() // the grant was lost with the stream
		r.epoch = r.ref.Epoch
		r.connect(hub.Holding{Fence: a.fence, State: hub.HoldingOffered})
		_, err := b.d.Claim(t.Context(), r.ref, a.fence)
		wantRefused(t, err, hub.RefusedOldSession)
		if err := b.d.NotStarted(t.Context(), r.ref, a.fence); err != nil {
			t.Fatal(err)
		}
		if f := receive(t, "forget", r.forget); f != a.fence {
			t.Errorf("told to forget %v, want %v", f, a.fence)
		}
		if err := b.d.NotStarted(t.Context(), r.ref, a.fence); err != nil {
			t.Errorf("the same again: %v", err)
		}
		again := r.claim()
		if again.fence.Epoch != 2 || again.fence.AttemptID == a.fence.AttemptID {
			t.Errorf("second attempt is %v after %v", again.fence, a.fence)
		}
		again.runAll(hub.StatusSucceeded)
		again.finish(hub.StatusSucceeded)
		b.wantEnd(e, hub.StatusSucceeded, true)
	})
}

func TestCloneIsFoundOut(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		e := b.run(job("a"))
		a := r.claim()
		copied := r.copyOf()
		r.epoch = r.ref.Epoch
		r.connect(hub.Holding{Fence: a.fence, State: hub.HoldingGranted})
		// The copy presents an epoch that was confirmed once.
		w := copied.hello(hub.Holding{Fence: a.fence, State: hub.HoldingGranted})
		if !w.Quarantined {
			t.Fatal("a copied disk was not found out")
		}
		copied.epoch = w.SessionEpoch
		if err := b.d.Confirm(t.Context(), copied.ref); err != nil {
			t.Fatal(err)
		}
		_, err := b.d.Resume(t.Context(), copied.ref, a.fence)
		wantRefused(t, err, hub.RefusedQuarantined)
		err = b.d.NotStarted(t.Context(), copied.ref, a.fence)
		wantRefused(t, err, hub.RefusedOtherHost)
		// No claim to either, until a person decides; what runs still reports.
		a.run(0, 0, hub.StatusSucceeded)
		a.finish(hub.StatusSucceeded)
		b.wantEnd(e, hub.StatusSucceeded, true)
		waiting := b.run(job("b"))
		if waiting.WaitingFor == nil || waiting.WaitingFor.Kind != "runner" {
			t.Errorf("work for a quarantined runner: %+v", waiting.WaitingFor)
		}
	})
}

func TestResume(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		tests := []struct {
			name       string
			boot, host string
			want       hub.RefusedReason
		}{
			{name: "same boot", boot: "boot-one", host: "host-one"},
			{name: "another boot of the same host", boot: "boot-2", host: "host-one"},
			{name: "another boot of a host that proves nothing", boot: "boot-3", host: "", want: hub.RefusedOtherHost},
			{name: "another host", boot: "boot-4", host: "host-2", want: hub.RefusedOtherHost},
		}
		for _, tt := range tests {
			r.boot, r.host = []byte("boot-one"), []byte("host-one")
			r.epoch = r.ref.Epoch
			r.connect()
			e := b.run(job("a"))
			a := r.claim()
			a.started(0, 0)
			a.report()
			r.boot, r.host, r.nonce = []byte(tt.boot), []byte(tt.host), nil
			r.epoch = r.ref.Epoch
			w := r.connect(hub.Holding{Fence: a.fence, State: hub.HoldingGranted, Steps: 2})
			if len(w.Holdings) != 1 || !w.Holdings[0].Live || w.Holdings[0].NextN != 2 {
				t.Fatalf("%s: holdings %+v", tt.name, w.Holdings)
			}
			got, err := b.d.Resume(t.Context(), r.ref, a.fence)
			if tt.want != "" {
				wantRefused(t, err, tt.want)
			} else if err != nil || got.SessionEpoch != r.ref.Epoch {
				t.Fatalf("%s: %+v, %v", tt.name, got, err)
			}
			a.ended(0, 0, hub.StatusSucceeded)
			a.finish(hub.StatusSucceeded)
			b.wantEnd(e, hub.StatusSucceeded, true)
		}
	})
}

// What a copied disk lacks its original may have started, also of an attempt that was given
// up: its host must not take it for proven that it did not.
func TestResumeOfWhatIsLostOnAnotherHost(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		b.nodes("a1")
		e := b.run(onNodes(job("a"), "1", true))
		a := r.claim()
		a.started(0, 0)
		a.report()
		b.tick.Add(700)
		b.wantEnd(e, hub.StatusUnknown, false)
		r.epoch = r.ref.Epoch
		r.connect(hub.Holding{Fence: a.fence, State: hub.HoldingGranted, Steps: 2})
		_, err := b.d.Resume(t.Context(), r.ref, a.fence)
		wantRefused(t, err, hub.RefusedGone)
		r.boot, r.host, r.nonce = []byte("boot-2"), []byte("host-2"), nil
		r.epoch = r.ref.Epoch
		r.connect(hub.Holding{Fence: a.fence, State: hub.HoldingGranted, Steps: 2})
		_, err = b.d.Resume(t.Context(), r.ref, a.fence)
		wantRefused(t, err, hub.RefusedOtherHost)
	})
}

func TestHoldingsOfWhatIsOver(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		e := b.run(job("a"))
		a := r.claim()
		a.runAll(hub.StatusSucceeded)
		a.finish(hub.StatusSucceeded)
		b.wantEnd(e, hub.StatusSucceeded, true)
		unknown := hub.Fence{Incarnation: 1, AttemptID: "nothing", Epoch: 1}
		r.epoch = r.ref.Epoch
		w := r.connect(hub.Holding{Fence: a.fence, State: hub.HoldingClosed}, hub.Holding{Fence: unknown, State: hub.HoldingGranted})
		if len(w.Holdings) != 2 || !w.Holdings[0].Settled || w.Holdings[0].Live || !w.Holdings[1].Unknown {
			t.Errorf("holdings are %+v", w.Holdings)
		}
	})
}

func TestNewSessionIsOfferedAgain(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		b.run(job("a"))
		first := receive(t, "offer", r.offers)
		r.epoch = r.ref.Epoch
		r.connect()
		if again := receive(t, "offer again", r.offers); again.Fence != first.Fence {
			t.Errorf("offered %v, then %v", first.Fence, again.Fence)
		}
	})
}

// TestTwoFirstHellosAtOnce: before the first session there is no session row to lock, and
// two members that greet an original and its copy must not make both the first.
func TestTwoFirstHellosAtOnce(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		one := b.d
		b.start(func(c *dispatch.Config) { c.MemberID = "m2" })
		two := b.d
		for round := range 8 {
			row := &hub.Runner{OrganisationID: hub.DefaultOrganisationID, Name: fmt.Sprintf("r%d", round), Slots: 1}
			if err := b.st.CreateRunner(t.Context(), row); err != nil {
				t.Fatal(err)
			}
			original := &runnerSim{b: b, d: one, row: row, boot: []byte("boot"), host: []byte("host")}
			clone := original.copyOf()
			clone.d = two
			var confirmed atomic.Int64
			var wg sync.WaitGroup
			for _, r := range []*runnerSim{original, clone} {
				wg.Go(func() {
					if _, err := r.tryHello(); err == nil && r.d.Confirm(t.Context(), r.ref) == nil {
						confirmed.Add(1)
					}
				})
			}
			wg.Wait()
			if original.ref.Epoch == clone.ref.Epoch || confirmed.Load() == 0 {
				t.Fatalf("epochs are %d and %d, %d confirmed", original.ref.Epoch, clone.ref.Epoch, confirmed.Load())
			}
		}
	})
}

// TestDiskOfAnEarlierDay: a process that keeps presenting an old session read it from a
// disk that was put back; a late frame of an earlier process comes once.
func TestDiskOfAnEarlierDay(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 1)
		for range 3 {
			r.epoch = r.ref.Epoch
			r.connect()
		}
		old := &runnerSim{b: b, d: b.d, row: r.row, boot: r.boot, host: r.host, epoch: 1}
		for try := range 6 {
			_, err := old.tryHello()
			if runner, _ := b.st.Runner(t.Context(), r.row.ID); runner.Quarantined != "" {
				if try < 2 {
					t.Fatalf("quarantined at try %d", try)
				}
				return
			}
			wantRefused(t, err, hub.RefusedOldSession)
		}
		t.Fatal("nobody is told of the old disk")
	})
}

// TestQuarantinedInstancesAreBothHeard: the one that runs something must be able to
// report it however often the other one connects.
func TestQuarantinedInstancesAreBothHeard(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 1)
		e := b.run(job("a"))
		a := r.claim()
		a.started(0, 0)
		a.report()
		before, err := b.st.Runner(t.Context(), r.row.ID)
		if err != nil {
			t.Fatal(err)
		}
		clone := r.copyOf()
		clone.epoch = 0
		clone.connect()
		// A look at the runners that began before the copy came is no release.
		b.d.Refresh(before)
		if r.ended.Load() {
			t.Error("the copy's session ended the one that has the work")
		}
		b.cancel(e)
		receive(t, "stop", r.stops)
		receive(t, "stop", clone.stops)
		a.ended(0, 0, hub.StatusCancelled)
		a.finish(hub.StatusCancelled)
		b.wantEnd(e, hub.StatusCancelled, true)
		if err := b.st.ReleaseRunner(t.Context(), hub.DefaultOrganisationID, r.row.ID); err != nil {
			t.Fatal(err)
		}
		b.tick.Add(1)
		b.later(t)
		if !r.ended.Load() || !clone.ended.Load() {
			t.Error("a release leaves sessions open that are not the current one")
		}
	})
}

// A runner that is killed before it has the first Welcome after a release on its disk
// presents the same session once more, from another boot even: it is no copy of itself.
func TestReleasedRunnerMayDieInItsFirstHello(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 1)
		clone := r.copyOf()
		clone.epoch = 0
		clone.connect()
		clone.detach()
		b.release(r)
		for _, boot := range []string{"boot-one", "boot-2"} {
			r.nonce, r.boot = nil, []byte(boot)
			if w := r.hello(); w.Quarantined {
				t.Fatalf("quarantined again in %s", boot)
			}
		}
		if w := clone.hello(); !w.Quarantined {
			t.Error("the copy is not found out again")
		}
	})
}

// The instance that connected last is stopped before the release, as it should be: the
// one that is left must come back as the current one.
func TestReleaseReachesTheInstanceThatIsLeft(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 1)
		clone := r.copyOf()
		clone.epoch = 0
		clone.connect()
		clone.detach()
		if err := b.st.ReleaseRunner(t.Context(), hub.DefaultOrganisationID, r.row.ID); err != nil {
			t.Fatal(err)
		}
		b.later(t)
		if !r.ended.Load() {
			t.Error("a release leaves the session open that is not the current one")
		}
	})
}
