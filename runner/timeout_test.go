package runner_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/runner"
	"github.com/fairlead/fairlead/runner/task"
)

const timedOut = runnerv1.Outcome_OUTCOME_TIMED_OUT

// untilOver is a command that runs until it is ended.
func untilOver(ctx context.Context, _ *task.Command, _ task.Output) task.End {
	<-ctx.Done()
	if errors.Is(context.Cause(ctx), task.ErrTimedOut) {
		return task.End{Outcome: timedOut, EndProven: true, Reason: task.ReasonTimedOut}
	}
	return task.End{Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN}
}

// since makes all processes see one clock, that of a machine that was up for an hour.
func since(then time.Time) option {
	return func(c *runner.Config) { c.Boottime = func() time.Duration { return time.Hour + time.Since(then) } }
}

// limited is what the hub offers with a limit of its job's time.
func (h *fakeHub) limited(s *runnerv1.Spec, left time.Duration) *hubAttempt {
	h.until("connected", func() bool { return len(h.streams) == 1 })
	h.mu.Lock()
	h.timeMs = left.Milliseconds()
	h.mu.Unlock()
	return h.offer("a1", s)
}

// The job's time ends what runs, and what has not started with it.
func TestJobTimeout(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		w.script = untilOver
		w.boot(h)
		began := time.Now()
		a := h.limited(spec(2, 2), 10*time.Second)
		h.untilClosed(a)
		if took := time.Since(began); took < 10*time.Second || took > 12*time.Second {
			t.Errorf("ended after %v", took)
		}
		if a.result.GetOutcome() != timedOut || len(w.starts) != 1 {
			t.Errorf("outcome %v, starts %v", a.result.GetOutcome(), w.starts)
		}
		for cell, e := range a.ends() {
			want := timedOut
			if cell == [3]uint32{0, 1, 1} {
				want = runnerv1.Outcome_OUTCOME_SKIPPED // behind the step that timed out
			}
			if e.GetOutcome() != want || e.GetNotStarted() != (cell != [3]uint32{0, 0, 1}) {
				t.Errorf("%v ended %v", cell, e)
			}
		}
	})
}

// A grant whose time is over starts nothing.
func TestJobTimeoutBeforeTheStart(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		w.boot(h, since(time.Now()))
		a := h.limited(spec(1, 1), -time.Second)
		h.untilClosed(a)
		if e := a.ends()[[3]uint32{0, 0, 1}]; e.GetOutcome() != timedOut || !e.GetNotStarted() || len(w.starts) != 0 {
			t.Errorf("ended %v, starts %v", e, w.starts)
		}
	})
}

// The runner is restarted and finds no hub: the job's time ends what it finds running
// all the same. What has not started waits for the hub's word.
func TestJobTimeoutOverARestart(t *testing.T) {
	for name, over := range map[string]bool{"while it is dead": true, "behind its start": false} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T) {
				w, h := newWorld(t), newFakeHub(t)
				s := newSurvivors(w)
				machine := time.Now()
				p := w.boot(h, local(s), since(machine))
				a := h.limited(localSpec(), 10*time.Second)
				w.untilStarted("n0/s0")
				p.kill()
				if over {
					<-time.After(20 * time.Second)
				}
				ended := make(chan time.Time, 1)
				s.onEnd = func(end task.End) {
					if end.Outcome == timedOut {
						ended <- time.Now()
					}
				}
				h.mu.Lock()
				h.gone = true
				h.mu.Unlock()
				began := time.Now()
				w.boot(h, local(s), since(machine))
				if at := receive(t, "the end of its time", ended); at.Sub(machine) < 10*time.Second || at.Sub(began) > 12*time.Second {
					t.Errorf("ended %v after the grant, %v after the restart", at.Sub(machine), at.Sub(began))
				}
				h.mu.Lock()
				h.gone, a.timeMs = false, -1
				h.mu.Unlock()
				// The waits between its dials have grown to half a minute by now.
				h.waitUntil(func() bool { return len(h.streams) == 1 })
				h.untilClosed(a)
				if a.result.GetOutcome() != timedOut || w.started("n0/s1") != 0 {
					t.Errorf("outcome %v, starts %v", a.result.GetOutcome(), w.starts)
				}
			})
		})
	}
}

// A step's time ends its try alone: a retry has it anew.
func TestStepTimeout(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		w.script = untilOver
		w.boot(h)
		s := spec(1, 1)
		s.Steps[0].TimeoutMs, s.Steps[0].Retries = 3000, 1
		began := time.Now()
		a := h.offer("a1", s)
		h.untilClosed(a)
		if took := time.Since(began); took < 6*time.Second || took > 8*time.Second {
			t.Errorf("two tries took %v", took)
		}
		for try := uint32(1); try <= 2; try++ {
			if e := a.ends()[[3]uint32{0, 0, try}]; e.GetOutcome() != timedOut || e.GetNotStarted() {
				t.Errorf("try %d ended %v", try, e)
			}
		}
	})
}

// A node that never answers holds a step no longer than its time, and nothing was
// started there.
func TestStepTimeoutBoundsThePreparation(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		w.ready = func(ctx context.Context, _ *task.Command) error {
			<-ctx.Done()
			return errors.New("no answer")
		}
		w.boot(h)
		s := spec(1, 1)
		s.Steps[0].TimeoutMs = 3000
		began := time.Now()
		a := h.offer("a1", s)
		h.untilClosed(a)
		if took := time.Since(began); took < 3*time.Second || took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		e := a.ends()[[3]uint32{0, 0, 1}]
		if e.GetOutcome() != runnerv1.Outcome_OUTCOME_FAILED || !e.GetNotStarted() || e.GetReason() != task.ReasonPrepareTimedOut || !strings.Contains(e.GetMessage(), "3s") {
			t.Errorf("ended %v", e)
		}
	})
}

// A probe that did not end by itself has not answered, whatever its status says.
func TestProbeThatIsEndedTellsNothing(t *testing.T) {
	simulate(t, func(t *testing.T) {
		for i, outcome := range []runnerv1.Outcome{timedOut, runnerv1.Outcome_OUTCOME_CANCELLED, runnerv1.Outcome_OUTCOME_UNKNOWN} {
			for code := range int32(2) {
				w, h := newWorld(t), newFakeHub(t)
				w.script = func(_ context.Context, c *task.Command, _ task.Output) task.End {
					if c.Text == "s0" {
						return task.End{Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Reason: "connection_lost"}
					}
					return task.End{Outcome: outcome, Code: code, Exited: true, Message: "it was ended"}
				}
				probed := spec(1, 1)
				probed.Steps[0].Probe = "probe"
				w.boot(h)
				a := h.offer(fmt.Sprintf("a%d", i), probed)
				h.untilClosed(a)
				if a.result.GetOutcome() != runnerv1.Outcome_OUTCOME_UNKNOWN || w.started("n0/s0") != 1 {
					t.Errorf("a probe that ended %v with status %d: outcome %v, started %d times", outcome, code, a.result.GetOutcome(), w.started("n0/s0"))
				}
			}
		}
	})
}

// A probe that lacks a secret is not asked: with nothing in the value's place it would look
// elsewhere, and its answer would be of something else.
func TestProbeIsNotAskedWithoutItsSecret(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		w.script = func(ctx context.Context, c *task.Command, _ task.Output) task.End {
			if c.Text == "s0" {
				<-ctx.Done()
			}
			return succeeded()
		}
		probed := spec(1, 1)
		probed.Steps[0].Probe = "probe"
		p := w.boot(h)
		a := h.offer("a1", probed)
		w.untilStarted("n0/s0")
		p.kill()
		h.mu.Lock()
		a.secrets = &runnerv1.Secrets{Lacking: []string{"The option tenant has no value."}}
		h.mu.Unlock()
		w.boot(h)
		h.untilClosed(a)
		e := a.ends()[[3]uint32{0, 0, 1}]
		if e.GetOutcome() != runnerv1.Outcome_OUTCOME_UNKNOWN || w.started("n0/probe") != 0 || !strings.Contains(e.GetMessage(), "The option tenant has no value.") {
			t.Errorf("ended %v, the probe was asked %d times", e, w.started("n0/probe"))
		}
	})
}
