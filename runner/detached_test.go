package runner_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/runner"
	"github.com/fairlead/fairlead/runner/task"
)

// remote has survivors on nodes that it takes keys to log into.
func remote(s *survivors) option {
	return func(c *runner.Config) { c.Executors = map[string]task.Executor{task.ExecutorSSH: s} }
}

func detachedSpec() *runnerv1.Spec {
	s := spec(1, 2)
	for _, step := range s.GetSteps() {
		step.Detached = true
	}
	return s
}

// Detached steps are found again, with the keys that the hub gave anew, and their output
// is whole: offsets count raw bytes, and secrets are masked across the restart.
func TestDetachedIsFoundAgain(t *testing.T) {
	secrets := &runnerv1.Secrets{Options: map[string]string{"pw": "hunter2"}}
	acrossRestarts(t, remote, detachedSpec, secrets, "a hunter2 b hunter2\nhalf hunter2 of hun", "ter2 a line\nafter\n", func(t *testing.T, x *restarted) {
		x.h.until("looked for", func() bool {
			x.s.mu.Lock()
			defer x.s.mu.Unlock()
			return len(x.s.asked) == 1
		})
		if x.s.options != "hunter2" {
			t.Errorf("it was looked for with the secret %q", x.s.options)
		}
		x.finish(t, "", "a ***** b *****\nhalf ***** of ***** a line\nafter\n")
	})
}

// A stop that came while the runner was dead ends what it finds again.
func TestDetachedIsStoppedAfterARestart(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		s := newSurvivors(w)
		p := w.boot(h, remote(s))
		a := h.offer("a1", detachedSpec())
		w.untilStarted("n0/s0")
		p.kill()
		h.mu.Lock()
		a.stop = &runnerv1.StopScope{Asked: true, All: true}
		h.mu.Unlock()
		w.boot(h, remote(s))
		h.untilClosed(a)
		if e := a.ends()[[3]uint32{0, 0, 1}]; e.GetOutcome() != runnerv1.Outcome_OUTCOME_CANCELLED || !e.GetEndProven() {
			t.Errorf("ended %v", e)
		}
	})
}

// A disk that does not take the stop leaves nobody waiting: what ran detached is ended, or
// told as unknown.
func TestDetachedWhoseStopTheDiskLost(t *testing.T) {
	for _, op := range []string{"write", "sync"} {
		t.Run(op, func(t *testing.T) {
			simulate(t, func(t *testing.T) {
				w, h := newWorld(t), newFakeHub(t)
				s := newSurvivors(w)
				p := w.boot(h, remote(s))
				a := h.offer("a1", detachedSpec())
				w.untilStarted("n0/s0")
				p.kill()
				h.mu.Lock()
				a.stop = &runnerv1.StopScope{Asked: true, All: true}
				h.mu.Unlock()
				w.boot(h, remote(s), func(c *runner.Config) {
					open := c.OpenSecrets
					c.OpenSecrets = func(id string, sealed []byte) (*runnerv1.Secrets, error) {
						var failed atomic.Bool
						w.fs.SetHook(func(o, name string) error {
							if o == op && strings.HasPrefix(name, "journal/") && !failed.Swap(true) {
								return errors.New("input/output error")
							}
							return nil
						})
						return open(id, sealed)
					}
				})
				h.untilClosed(a)
				if got := a.result.GetOutcome(); got != runnerv1.Outcome_OUTCOME_UNKNOWN {
					t.Errorf("outcome %v", got)
				}
			})
		})
	}
}

// Who is given no keys cannot look: what it may have left is named.
func TestDetachedIsNotLookedForOnAnotherHost(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		s := newSurvivors(w)
		p := w.boot(h, remote(s))
		a := h.offer("a1", detachedSpec())
		w.untilStarted("n0/s0")
		p.kill()
		w.boot(h, remote(s), func(c *runner.Config) { c.HostID, c.BootID = []byte("copy"), []byte("other boot") })
		h.untilClosed(a)
		e := a.ends()[[3]uint32{0, 0, 1}]
		if e.GetOutcome() != runnerv1.Outcome_OUTCOME_UNKNOWN || !strings.Contains(e.GetMessage(), "~/.fairlead/steps/a1.0.0.1") {
			t.Errorf("ended %v", e)
		}
		if len(s.asked) > 0 {
			t.Errorf("looked for at %v", s.asked)
		}
	})
}

// What a detached step that ended left on its node goes once there are keys again.
func TestDetachedIsCleanedUpAfterARestart(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		w.script = func(ctx context.Context, c *task.Command, _ task.Output) task.End {
			if c.Cell.Step == 0 {
				return succeeded()
			}
			<-ctx.Done()
			return task.End{Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN}
		}
		c := cleaner{executor{w}, make(chan string, 10)}
		with := func(cfg *runner.Config) { cfg.Executors = map[string]task.Executor{task.ExecutorSSH: c} }
		p := w.boot(h, with)
		s := detachedSpec()
		s.Steps[1].Detached = false
		a := h.offer("a1", s)
		w.untilStarted("n0/s1")
		p.kill()
		w.boot(h, with)
		h.untilClosed(a)
		got := []string{receive(t, "a cleaning", c.cleaned), receive(t, "another cleaning", c.cleaned)}
		slices.Sort(got)
		if !slices.Equal(got, []string{"n0/0", "n0/1"}) {
			t.Errorf("cleaned %v", got)
		}
	})
}
