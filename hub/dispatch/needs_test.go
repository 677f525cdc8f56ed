package dispatch_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/proto/wire"
)

// masked makes a job hide something of its output.
func masked(j *hub.Job) *hub.Job {
	j.Workflow.LogFilters = []hub.LogFilter{{Type: hub.FilterMaskRegex, Config: map[string]string{"regex": "token=.*"}}}
	return j
}

// older brings a runner back as the build before log filters, or as this one.
func (r *runnerSim) older(old bool, inventory ...hub.Holding) {
	r.b.t.Helper()
	r.detach()
	r.protocol, r.nonce = wire.MaxProtocolVersion, nil
	if old {
		r.protocol = wire.ProtocolLogFilters - 1
	}
	r.connect(inventory...)
}

// wantWaiting waits until an execution waits for what says part; "": for nothing.
func (b *bench) wantWaiting(e *hub.Execution, part string) {
	b.t.Helper()
	said := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		row, err := b.d.Execution(b.t.Context(), e.OrganisationID, e.ID)
		if err != nil {
			b.t.Fatal(err)
		}
		said = ""
		if row.WaitingFor != nil {
			said = row.WaitingFor.Kind + ": " + row.WaitingFor.Message
		}
		if part == "" && said == "" || part != "" && strings.Contains(said, part) {
			return
		}
		<-time.After(5 * time.Millisecond)
	}
	b.t.Fatalf("the execution waits for %q, want %q", said, part)
}

// A runner of a build before log filters would store in clear what they hide: what has
// them, or a limit, waits for another one and says so; everything else it gets.
func TestOlderRunnerGetsNothingToFilter(t *testing.T) {
	limited := job("x")
	limited.LogLimit = hub.LogLimit{Text: "10", Lines: 10}
	ofStep := job("x")
	ofStep.Workflow.Steps[0].ErrorHandler = &hub.Step{Exec: "y", LogFilters: []hub.LogFilter{{Type: hub.FilterQuiet}}}
	for name, tc := range map[string]struct {
		job   *hub.Job
		lacks string
	}{
		"mask": {masked(job("x")), "log filters"}, "limit": {limited, "log limit"}, "filter of a handler": {ofStep, "log filters"},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, b *bench) {
				old := b.runner("ada", 10)
				old.older(true)
				e := b.run(tc.job)
				b.wantWaiting(e, "runner: runner ada is older than its hub: it knows no "+tc.lacks+"; upgrade it")
				other := b.run(job("y"))
				a := old.claim()
				if a.offer.Execution.ID != other.ID {
					t.Fatal("the older runner was offered what it does not know")
				}
				fresh := b.runner("eve", 10)
				got := fresh.claim()
				got.runAll(hub.StatusSucceeded)
				got.finish(hub.StatusSucceeded)
				b.wantEnd(e, hub.StatusSucceeded, true)
				a.runAll(hub.StatusSucceeded)
				a.finish(hub.StatusSucceeded)
			})
		})
	}
}

// An older build that finds the offer of a later one on its disk gets no grant, and the
// work goes to another runner at once.
func TestOlderRunnerIsNotGranted(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("ada", 10)
		e := b.run(masked(job("x")))
		o := receive(t, "offer", r.offers)
		r.older(true, hub.Holding{Fence: o.Fence, State: hub.HoldingOffered})
		_, err := b.d.Claim(t.Context(), r.ref, o.Fence)
		wantRefused(t, err, hub.RefusedOldSession)
		b.giveBack(r, o.Fence)
		b.wantWaiting(e, "runner ada is older")

		// So does one whose grant was on its way when the build was replaced.
		r.older(false)
		a := r.claim()
		r.older(true, hub.Holding{Fence: a.fence, State: hub.HoldingOffered})
		_, err = b.d.Claim(t.Context(), r.ref, a.fence)
		wantRefused(t, err, hub.RefusedOldSession)
		b.giveBack(r, a.fence)
		b.wantWaiting(e, "runner ada is older")
		r.older(false)
		a = r.claim()
		a.runAll(hub.StatusSucceeded)
		a.finish(hub.StatusSucceeded)
		b.wantEnd(e, hub.StatusSucceeded, true)
	})
}

func (b *bench) giveBack(r *runnerSim, f hub.Fence) {
	b.t.Helper()
	if err := b.d.NotStarted(b.t.Context(), r.ref, f); err != nil {
		b.t.Fatal(err)
	}
}

// What a later build began waits, with its reason, until such a build is back: neither is
// it told that all is over, nor is anything granted again.
func TestOlderRunnerDoesNotResume(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("ada", 10)
		e := b.run(masked(job("x", "y")))
		a := r.claim()
		a.run(0, 0, hub.StatusSucceeded)
		a.report()
		held := hub.Holding{Fence: a.fence, State: hub.HoldingGranted, Steps: int64(len(a.records))}
		r.older(true, held)
		for range 2 { // it asks again
			_, err := b.d.Resume(t.Context(), r.ref, a.fence)
			wantRefused(t, err, hub.RefusedTryAgain)
		}
		b.wantWaiting(e, "runner: runner ada is older than its hub: it knows no log filters; upgrade it")
		r.older(false, held)
		if _, err := b.d.Resume(t.Context(), r.ref, a.fence); err != nil {
			t.Fatal(err)
		}
		b.wantWaiting(e, "")
		a.run(0, 1, hub.StatusSucceeded)
		a.finish(hub.StatusSucceeded)
		b.wantEnd(e, hub.StatusSucceeded, true)
		r.older(true)
		_, err := b.d.Resume(t.Context(), r.ref, a.fence)
		wantRefused(t, err, hub.RefusedGone) // it is over, whoever asks
	})
}
