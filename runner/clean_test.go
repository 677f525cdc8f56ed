package runner_test

import (
	"context"
	"fmt"
	"testing"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/runner"
	"github.com/fairlead/fairlead/runner/task"
)

// cleaner is an executor that has files lie on its nodes.
type cleaner struct {
	executor
	cleaned chan string
}

func (c cleaner) Clean(_ context.Context, cmd *task.Command) error {
	c.cleaned <- fmt.Sprintf("%s/%d", cmd.Node.GetName(), cmd.Cell.Step)
	return nil
}

// A restarted runner cleans up behind what its predecessor started, and, if that is not
// to start any more, behind what it prepared.
func TestCleansUpAfterARestart(t *testing.T) {
	for name, prepared := range map[string]bool{"started": false, "prepared, and stopped since": true} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T) {
				w, h := newWorld(t), newFakeHub(t)
				reached := make(chan bool, 1)
				w.script = func(ctx context.Context, _ *task.Command, _ task.Output) task.End {
					reached <- true
					<-ctx.Done()
					return task.End{Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN}
				}
				if prepared {
					w.ready = func(ctx context.Context, _ *task.Command) error {
						reached <- true
						<-ctx.Done()
						return context.Cause(ctx)
					}
				}
				c := cleaner{executor{w}, make(chan string, 10)}
				with := func(cfg *runner.Config) { cfg.Executors = map[string]task.Executor{task.ExecutorSSH: c} }
				p := w.boot(h, with)
				a := h.offer("a1", spec(3, 2))
				receive(t, "the first command", reached)
				p.kill()
				if prepared {
					h.mu.Lock()
					a.stop = &runnerv1.StopScope{Asked: true, All: true}
					h.mu.Unlock()
				}
				w.boot(h, with)
				h.untilClosed(a)
				if got := receive(t, "a cleaning", c.cleaned); got != "n0/0" || len(c.cleaned) != 0 {
					t.Errorf("cleaned %s and %d more", got, len(c.cleaned))
				}
			})
		})
	}
}
