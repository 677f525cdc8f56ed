package runner_test

import (
	"testing"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/runner"
	"github.com/fairlead/fairlead/runner/task"
)

// A command that waits because the hub takes nothing of what it printed is told with the
// leases, and so is that it prints again. Nothing is lost.
func TestStalledOutputIsTold(t *testing.T) {
	t.Parallel()
	w, h := newWorld(t), newFakeHub(t)
	s := newScripted(w)
	var last *runnerv1.Renew
	h.hook = func(f *runnerv1.SessionRequest) bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		if r := f.GetRenew(); r != nil {
			last = r
		}
		return true
	}
	w.boot(h, func(c *runner.Config) { c.Spool.MaxUnacknowledged = 1 })
	a := h.offer("a1", spec(1, 1))
	w.untilStarted("n0/s0")
	h.takes(false)
	s.print("first\n")
	h.until("a chunk is lost", func() bool { return h.lost > 0 })
	s.print("second\n") // its chunk waits
	h.until("the stall is told", func() bool {
		stalls := last.GetStalls()
		return len(stalls) == 1 && stalls[0].GetAttemptId() == "a1" && stalls[0].GetWhy() == runnerv1.Stall_WHY_UNACKNOWLEDGED
	})
	h.takes(true)
	h.cut()
	h.until("that it prints again is told", func() bool {
		return len(last.GetStalls()) == 0 && len(last.GetFlowing()) == 1 && last.GetFlowing()[0] == "a1"
	})
	if got := a.text(t); got != "first\nsecond\n" {
		t.Errorf("the hub has %q", got)
	}
	s.finish(task.End{Outcome: runnerv1.Outcome_OUTCOME_SUCCEEDED, Exited: true, EndProven: true})
	h.until("the attempt is closed", func() bool { return a.result != nil })
}
