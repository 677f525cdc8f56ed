package dispatch_test

import (
	"strings"
	"testing"

	"github.com/fairlead/fairlead/hub"
)

// A copy of the disk told a record before it was found out, so the original's history is
// refused: only a person can end that. The execution says so, and whatever the person
// decides ends it as unknown.
func TestContradictedWaitsForAPerson(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		for name, decide := range map[string]func(original, clone *runnerSim, theirs *attemptSim){
			"original-stopped": func(original, clone *runnerSim, theirs *attemptSim) {
				original.detach()
				b.release(clone)
				clone.connect(hub.Holding{Fence: theirs.fence, State: hub.HoldingGranted})
				b.wantNoWait(theirs)
				_, err := b.d.Resume(t.Context(), clone.ref, theirs.fence)
				wantRefused(t, err, hub.RefusedOtherHost)
				theirs.finish(hub.StatusUnknown)
			},
			"copy-stopped": func(original, clone *runnerSim, theirs *attemptSim) {
				clone.detach()
				b.release(original)
				original.connect(hub.Holding{Fence: theirs.fence, State: hub.HoldingGranted})
				b.wantNoWait(theirs)
				b.tick.Add(700)
			},
			"revoked": func(original, clone *runnerSim, _ *attemptSim) {
				if err := b.st.RevokeRunner(t.Context(), hub.DefaultOrganisationID, original.row.ID); err != nil {
					t.Fatal(err)
				}
				original.detach()
				clone.detach()
				b.tick.Add(30)
			},
		} {
			original := b.runner(name, 1, name)
			j := job("a")
			j.RunnerTags = []string{name}
			if name == "revoked" {
				j.LostAfter = hub.LostNever
			}
			e := b.run(j)
			ours := original.claim()
			clone := original.copyOf()
			theirs := &attemptSim{r: clone, offer: ours.offer, fence: ours.fence}
			theirs.add(hub.StepRecord{Kind: hub.RecordGranted})
			theirs.ended(0, 0, hub.StatusUnknown)
			original.epoch = original.ref.Epoch
			clone.connect(hub.Holding{Fence: ours.fence, State: hub.HoldingGranted})
			theirs.report()
			if w := original.hello(hub.Holding{Fence: ours.fence, State: hub.HoldingGranted}); !w.Quarantined {
				t.Fatalf("%s: two instances are not found out", name)
			}
			ours.run(0, 0, hub.StatusSucceeded)
			_, err := b.d.Steps(t.Context(), ours.steps(0))
			wantRefused(t, err, hub.RefusedQuarantined)
			b.tick.Add(1)
			b.later(t)
			w := b.get(e).WaitingFor
			for _, word := range []string{"runner " + name + ",", "the data directory was copied", "fairlead runners release " + name, "fairlead runners revoke " + name} {
				if w == nil || !strings.Contains(w.Message, word) {
					t.Errorf("%s: it waits for %+v, want it to say %q", name, w, word)
				}
			}
			decide(original, clone, theirs)
			b.wantEnd(e, hub.StatusUnknown, name == "original-stopped")
		}
	})
}

// release is a person's word that the instance that is left is the one.
func (b *bench) release(r *runnerSim) {
	b.t.Helper()
	if err := b.st.ReleaseRunner(b.t.Context(), hub.DefaultOrganisationID, r.row.ID); err != nil {
		b.t.Fatal(err)
	}
}

// wantNoWait: what was said of a quarantine is over with it.
func (b *bench) wantNoWait(a *attemptSim) {
	b.t.Helper()
	if w := b.get(&hub.Execution{OrganisationID: hub.DefaultOrganisationID, ID: a.offer.Assignment.ExecutionID}).WaitingFor; w != nil {
		b.t.Errorf("the runner is released, and the execution waits for %+v", w)
	}
}
