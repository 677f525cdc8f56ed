package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/fairlead/fairlead/proto/failpoint"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
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
	f := &follower{
		executor: p.executor, command: p.command, dir: p.dir, link: p.shim.link,
		messages: p.shim.messages, out: out, reader: outReader{dir: p.dir},
	}
	defer f.reader.close()
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), task.ErrDetach) {
		p.Discard()
		outcome, reason := stopOutcome(causeOf(context.Cause(ctx)))
		return task.End{Outcome: outcome, Reason: reason, NotStarted: true, EndProven: true, Message: "ended before it was started"}
	}
	if err := p.shim.send(toShim{Run: p.request}); err != nil {
		// It may have got the request before it died.
		return f.died()
	}
	failpoint.Hit("local.run.after-send")
	end, done := f.follow(ctx)
	if done {
		p.executor.pool.put(p.shim)
	}
	return end
}

// follower reads a running command's output and waits for its exit.
type follower struct {
	executor *Executor
	command  *task.Command
	dir      string
	link     *link
	messages <-chan fromShim
	out      task.Output
	reader   outReader

	outErr   error
	released uint64
}

// releaseEvery is how often segments are looked at that wait to be synced elsewhere.
const releaseEvery = 50 * time.Millisecond

// follow returns the command's end. done tells that the shim is free for another.
func (f *follower) follow(ctx context.Context) (end task.End, done bool) {
	stop := context.AfterFunc(ctx, func() {
		if cause := context.Cause(ctx); !errors.Is(cause, task.ErrDetach) {
			_ = f.link.send(toShim{Stop: &stop{Cause: causeOf(cause), Grace: f.command.Grace}})
		}
	})
	defer stop()
	left := ctx.Done()
	tick := time.NewTimer(releaseEvery)
	defer tick.Stop()
	for {
		select {
		case m, ok := <-f.messages:
			switch {
			case !ok:
				return f.died(), false
			case m.Out != nil:
				f.read()
				f.release()
			case m.Exit != nil:
				f.read()
				return f.ended(*m.Exit), true
			}
		case <-tick.C:
			f.release()
			tick.Reset(releaseEvery)
		case <-left:
			if errors.Is(context.Cause(ctx), task.ErrDetach) {
				return task.End{Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Reason: "detached", Message: "the command goes on without this process of the runner"}, false
			}
			left = nil
		}
	}
}

// read hands on what there is of new output. When it cannot be kept any more, it is
// dropped, so that the command does not hang.
func (f *follower) read() {
	for {
		stream, p, err := f.reader.next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			f.outErr = errors.Join(f.outErr, err)
			return
		}
		if f.outErr == nil {
			f.outErr = f.out.WriteMasked(stream, p, f.reader.offset)
		}
	}
}

// release removes segments that are kept elsewhere and tells the shim, which may wait
// for room. An output that cannot tell how far it is synced keeps one segment's length.
func (f *follower) release() {
	offset := f.reader.offset
	if s, ok := f.out.(task.SyncedOutput); ok && f.outErr == nil {
		offset = min(offset, s.Synced().Last())
	} else if f.outErr == nil {
		offset -= min(offset, segmentBytes)
	}
	if offset < f.released+segmentBytes/4 {
		return
	}
	f.released = offset
	if err := f.reader.drop(offset); err != nil {
		f.executor.config.Log.Warn("output of a local step stays", "dir", f.dir, "error", err)
	}
	_ = f.link.send(toShim{Released: &offset})
}

// ended translates what the shim told.
func (f *follower) ended(x ended) task.End {
	node := f.command.Node.GetName()
	end := task.End{Code: int32(x.Code), Exited: x.Exited, Signal: x.Signal, EndProven: x.Gone}
	switch {
	case x.NotStarted:
		end = task.End{Outcome: runnerv1.Outcome_OUTCOME_FAILED, Reason: "start_failed", NotStarted: true, EndProven: true, Message: fmt.Sprintf("node %s: the command was not started: %s", node, x.Error)}
	case !x.Exited && x.Signal == "":
		end = task.End{Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Reason: "end_not_proven", Message: fmt.Sprintf("node %s: what became of the command is not known", node)}
	case x.Cause != "" && x.Gone:
		end.Outcome, end.Reason = stopOutcome(x.Cause)
		end.Message = fmt.Sprintf("node %s: the command was ended (%s); nothing of it is left", node, end.Reason)
	case x.Cause != "":
		end.Outcome, end.Reason = runnerv1.Outcome_OUTCOME_UNKNOWN, "end_not_proven"
		end.Message = fmt.Sprintf("node %s: the command was to be ended, but some of its processes would not go: look at the runner's host", node)
	case x.Signal != "":
		end.Outcome, end.Reason = runnerv1.Outcome_OUTCOME_FAILED, "signal"
		end.Message = fmt.Sprintf("node %s: the command was ended by signal %s", node, x.Signal)
	case x.Code != 0:
		end.Outcome, end.Reason = runnerv1.Outcome_OUTCOME_FAILED, "non_zero_exit"
		end.Message = fmt.Sprintf("node %s: the command ended with exit status %d", node, x.Code)
	default:
		end.Outcome = runnerv1.Outcome_OUTCOME_SUCCEEDED
	}
	if x.Error != "" && !x.NotStarted {
		f.outErr = errors.Join(f.outErr, errors.New(x.Error))
	}
	if f.outErr != nil {
		end.Message += "; " + f.outErr.Error()
	}
	return end
}

// died finds out what became of a command whose shim is gone without a word.
func (f *follower) died() task.End {
	held, r, state := inspect(f.dir, lookAgain)
	if held != nil {
		defer held.Close()
	}
	switch state {
	case stateFinished:
		f.read()
		return f.ended(*r.Exit)
	case stateNever:
		// We hold the lock, and will not start it any more.
		removeScript(f.dir)
		return task.End{
			Outcome: runnerv1.Outcome_OUTCOME_FAILED, Reason: "shim_failed", NotStarted: true, EndProven: true,
			Message: fmt.Sprintf("node %s: the process that was to start the command died before: try again", f.command.Node.GetName()),
		}
	}
	return f.orphaned(r.Started)
}

// orphaned ends what a dead shim left: nobody would collect its exit any more. s is nil
// if it died while it wrote that.
func (f *follower) orphaned(s *started) task.End {
	if s == nil {
		s = &started{Step: stepName(f.command.AttemptID, f.command.Cell)}
	}
	gone := killOrphans(*s)
	removeScript(f.dir)
	f.read()
	return task.End{
		Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Reason: "shim_died", EndProven: gone,
		Message: fmt.Sprintf("node %s: the process that watched the command was killed; what was left of the command was ended, but what it had done by then is not known", f.command.Node.GetName()),
	}
}

func causeOf(err error) string {
	if errors.Is(err, task.ErrTimedOut) {
		return causeTimedOut
	}
	return causeStopped
}

func stopOutcome(cause string) (runnerv1.Outcome, string) {
	if cause == causeTimedOut {
		return runnerv1.Outcome_OUTCOME_TIMED_OUT, "timed_out"
	}
	return runnerv1.Outcome_OUTCOME_CANCELLED, "cancelled"
}
