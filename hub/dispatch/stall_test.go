package dispatch_test

import (
	"strings"
	"testing"

	"github.com/fairlead/fairlead/hub"
)

// An execution whose output waits for room says so, until it prints again; another of the
// same runner does not.
func TestStalledOutputIsTold(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		loud, quiet := b.run(job("a")), b.run(job("b"))
		first, second := r.claim(), r.claim()
		if first.offer.Execution.ID != loud.ID {
			first, second = second, first
		}
		id := first.offer.Fence.AttemptID
		tell := func(s hub.Stalls) {
			t.Helper()
			if err := b.d.Stalls(t.Context(), r.ref, s); err != nil {
				t.Fatal(err)
			}
		}
		tell(hub.Stalls{Disk: []string{id}})
		w := b.get(loud).WaitingFor
		if w == nil || w.Kind != "runner" || !strings.Contains(w.Message, "the disk of runner one is full") {
			t.Fatalf("waits for %+v", w)
		}
		if w := b.get(quiet).WaitingFor; w != nil {
			t.Errorf("the other waits for %+v", w)
		}
		tell(hub.Stalls{Unacknowledged: []string{id}})
		if again := b.get(loud).WaitingFor; again == nil || *again != *w {
			t.Errorf("it now waits for %+v", again)
		}
		tell(hub.Stalls{Flowing: []string{id}})
		if w := b.get(loud).WaitingFor; w != nil {
			t.Errorf("it prints and waits for %+v", w)
		}
		tell(hub.Stalls{Unacknowledged: []string{id}})
		if w := b.get(loud).WaitingFor; w == nil || !strings.Contains(w.Message, "the spool of runner one is full") {
			t.Errorf("waits for %+v", w)
		}
		other := b.runner("two", 10)
		if err := b.d.Stalls(t.Context(), other.ref, hub.Stalls{Flowing: []string{id}}); err != nil {
			t.Fatal(err)
		}
		if b.get(loud).WaitingFor == nil {
			t.Error("a runner speaks for the attempt of another")
		}
		for _, a := range []*attemptSim{first, second} {
			a.run(0, 0, hub.StatusSucceeded)
			a.finish(hub.StatusSucceeded)
		}
		b.wantEnd(loud, hub.StatusSucceeded, true)
	})
}
