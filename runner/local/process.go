package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fairlead/fairlead/proto/failpoint"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/runner/stepdir"
	"github.com/fairlead/fairlead/runner/task"
)

const onThisHost = "On the runner's own host."

// process is a command that is ready to be told to a shim.
type process struct {
	executor *Executor
	command  *task.Command
	dir      string
	request  *request
	shim     *warmShim
}

// Discard gives the shim back.
func (p *process) Discard() { p.executor.pool.put(p.shim) }

// About tells that there was no way to go.
func (p *process) About() string { return onThisHost }

// Run tells the shim to start the command, and follows it to its end.
func (p *process) Run(ctx context.Context, out task.Output) task.End {
	f := p.executor.follower(p.command, p.dir, 0, out)
	f.link, f.news = p.shim.Link, p.shim.messages
	defer f.tail.Close()
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), task.ErrDetach) {
		p.Discard()
		outcome, reason := stopOutcome(causeOf(context.Cause(ctx)))
		return task.End{Outcome: outcome, Reason: reason, NotStarted: true, EndProven: true, Message: "ended before it was started"}
	}
	if err := p.shim.Send(toShim{Run: p.request}); err != nil {
		// It may have got the request before it died.
		end, _ := f.died(ctx)
		return end
	}
	failpoint.Hit("local.run.after-send")
	end, done := f.follow(ctx)
	if done {
		p.executor.pool.put(p.shim)
		return end
	}
	// This process may live on for others of its commands. A shim whose command it has left
	// waits for the next one only once this link is gone.
	_ = p.shim.Close()
	return end
}

// follower reads a running command's output and waits for its exit.
type follower struct {
	executor *Executor
	command  *task.Command
	dir      string
	link     *stepdir.Link
	news     <-chan stepdir.News
	tail     *stepdir.Tail
}

func (e *Executor) follower(c *task.Command, dir string, offset uint64, out task.Output) *follower {
	var synced func() uint64
	if s, ok := out.(task.SyncedOutput); ok {
		synced = func() uint64 { return s.Synced().Last() }
	}
	return &follower{executor: e, command: c, dir: dir, tail: stepdir.NewTail(dir, offset, out, synced, e.config.Log)}
}

// follow returns the command's end. done tells that the shim is free for another.
func (f *follower) follow(ctx context.Context) (end task.End, done bool) {
	exit, left := f.tail.Follow(ctx, f.link, f.news, func(cause error) (stepdir.Stop, bool) {
		return stepdir.Stop{Cause: causeOf(cause), Grace: f.command.Grace}, !errors.Is(cause, task.ErrDetach)
	})
	if left {
		return detached(), false
	}
	var x ended
	if exit == nil || json.Unmarshal(exit, &x) != nil {
		return f.died(ctx)
	}
	// A shim takes the end of what is left for the next command's, and misses that one's.
	return f.ended(x), x.Gone
}

// ended translates what the shim told.
func (f *follower) ended(x ended) task.End {
	node := f.command.Node.GetName()
	end := task.End{Code: int32(x.Code), Exited: x.Exited, Signal: x.Signal, EndProven: x.Gone, Data: x.Data}
	switch {
	case x.NotStarted:
		end = task.End{Outcome: runnerv1.Outcome_OUTCOME_FAILED, Reason: "start_failed", NotStarted: true, EndProven: true, Message: fmt.Sprintf("node %s: the command was not started: %s", node, x.Error)}
	case x.Cause != "" && !x.Gone:
		end.Outcome, end.Reason = runnerv1.Outcome_OUTCOME_UNKNOWN, "end_not_proven"
		end.Message = fmt.Sprintf("node %s: the command was to be ended, but some of its processes would not go: look at the runner's host", node)
	case !x.Exited && x.Signal == "":
		end = task.End{Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Reason: "end_not_proven", Message: fmt.Sprintf("node %s: what became of the command is not known", node)}
	case x.Cause != "":
		end.Outcome, end.Reason = stopOutcome(x.Cause)
		end.Message = fmt.Sprintf("node %s: the command was ended (%s); nothing of it is left", node, end.Reason)
	case x.Signal != "":
		end.Outcome, end.Reason = runnerv1.Outcome_OUTCOME_FAILED, "signal"
		end.Message = fmt.Sprintf("node %s: the command was ended by signal %s", node, x.Signal)
	case x.Code != 0:
		end.Outcome, end.Reason = runnerv1.Outcome_OUTCOME_FAILED, "non_zero_exit"
		end.Message = fmt.Sprintf("node %s: the command ended with exit status %d", node, x.Code)
	default:
		end.Outcome = runnerv1.Outcome_OUTCOME_SUCCEEDED
	}
	outErr := f.tail.Err()
	if x.Error != "" && !x.NotStarted {
		outErr = errors.Join(outErr, errors.New(x.Error))
	}
	if outErr != nil {
		end.Message += "; " + outErr.Error()
	}
	return end
}

// died finds out what became of a command whose shim is gone without a word. One that
// still holds the lock writes the end at this moment, is being torn down, or waits for
// another link.
func (f *follower) died(ctx context.Context) (end task.End, done bool) {
	for {
		held, state, s, x := inspect(f.dir)
		if state == stepdir.Running {
			if f.again(ctx) {
				end, _ := f.follow(ctx)
				_ = f.link.Close()
				return end, false // the shim ends with the command
			}
			if errors.Is(context.Cause(ctx), task.ErrDetach) {
				return detached(), false
			}
			continue
		}
		if held != nil {
			defer held.Close()
		}
		switch state {
		case stepdir.Finished:
			f.tail.Read()
			return f.ended(x), false
		case stepdir.Never:
			// We hold the lock, and will not start it any more.
			removeScript(f.dir)
			return task.End{
				Outcome: runnerv1.Outcome_OUTCOME_FAILED, Reason: "shim_failed", NotStarted: true, EndProven: true,
				Message: fmt.Sprintf("node %s: the process that was to start the command died before: try again", f.command.Node.GetName()),
			}, false
		default:
			return f.orphaned(s), false
		}
	}
}

// again links to the shim anew; false after a moment if that is not possible yet.
func (f *follower) again(ctx context.Context) bool {
	conn, err := stepdir.Dial(context.WithoutCancel(ctx), f.dir)
	if err != nil {
		<-time.After(dialAgain)
		return false
	}
	_ = f.link.Close()
	news := make(chan stepdir.News, 1)
	f.link, f.news = stepdir.NewLink(conn), news
	go f.link.ReceiveNews(news)
	return true
}

// detached is the end of following a command that goes on.
func detached() task.End {
	return task.End{Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Reason: "detached", Message: "the command goes on without this process of the runner"}
}

// orphaned ends what a dead shim left: nobody would collect its exit any more.
func (f *follower) orphaned(s started) task.End {
	gone := killOrphans(s)
	removeScript(f.dir)
	f.tail.Read()
	return task.End{
		Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Reason: "shim_died", EndProven: gone,
		Message: fmt.Sprintf("node %s: the process that watched the command was killed; what was left of the command was ended, but what it had done by then is not known", f.command.Node.GetName()),
	}
}

func causeOf(err error) string {
	if errors.Is(err, task.ErrTimedOut) {
		return stepdir.CauseTimedOut
	}
	return stepdir.CauseStopped
}

func stopOutcome(cause string) (runnerv1.Outcome, string) {
	if cause == stepdir.CauseTimedOut {
		return runnerv1.Outcome_OUTCOME_TIMED_OUT, "timed_out"
	}
	return runnerv1.Outcome_OUTCOME_CANCELLED, "cancelled"
}
