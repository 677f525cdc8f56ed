package ssh

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fairlead/fairlead/proto/failpoint"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/runner/command"
	"github.com/fairlead/fairlead/runner/task"
)

// askWait bounds one question to a node.
const askWait = 30 * time.Second

// detached is a command under a supervisor on its node; see docs/executors.md.
type detached struct {
	*process
	// nonce names the directory made by this Prepare.
	nonce string
	// limit is the time of the command; 0: none.
	limit time.Duration
	// again: an earlier process of the runner started it, and had as much of its output.
	again bool
	from  task.Offsets
	// silence is why the supervisor did not say whether it began; nil: it said so.
	silence    error
	newHostKey string
	// moved counts what was read of the output, so that others see whether it gets on;
	// handing that whoever takes it is at it. hurry ends a pause between connections.
	moved   atomic.Int64
	handing atomic.Bool
	hurry   chan struct{}
}

// detached makes what Prepare, Reattach and Clean share.
func (e *Executor) detached(t *target, c *task.Command) *detached {
	return &detached{hurry: make(chan struct{}, 1), process: &process{
		executor: e, target: t, command: c, mark: newMark(), step: c.Name(), answers: &answerer{sudo: &t.sudo},
	}}
}

func (e *Executor) prepareDetached(ctx context.Context, t *target, c *task.Command) (task.Process, error) {
	switch {
	case t.pty:
		return nil, invalid("node %s: a detached step has no terminal: unset always-set-pty, or leave detached out of the step", c.Node.GetName())
	case t.bare:
		return nil, invalid("node %s: ssh-command-wrapper is none: it takes bare commands and no detached steps", c.Node.GetName())
	}
	d := e.detached(t, c)
	d.nonce, d.limit = newMark(), shorter(c.Timeout, t.commandTimeout)
	if err := d.makeDir(ctx); err != nil {
		return nil, err
	}
	e.remember(d)
	if err := d.copyFiles(ctx); err != nil {
		d.Discard()
		return nil, err
	}
	return d, nil
}

// shorter is the shorter of two limits, of which 0 is none.
func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// makeDir makes the step's directory.
func (d *detached) makeDir(ctx context.Context) error {
	ch, err := d.executor.openChannel(ctx, d.target)
	if err != nil {
		return err
	}
	d.newHostKey, d.about = newKey(d.node(), ch.on), d.target.way(ch.on)
	word, rest, err := d.ask(ctx, ch, "nonce="+command.Quote(d.nonce), nodeScript, makeScript)
	if err == nil && word == "dir" {
		d.askpass = rest + "/ask"
		return nil
	}
	if err != nil {
		rest = err.Error()
	}
	failed := notStarted("no_step_directory", err, "node %s: the directory of a detached step could not be made below the home directory of %s: %s: see to it, or leave detached out of the step",
		d.command.Node.GetName(), d.node().user, rest)
	failed.NewHostKey = d.newHostKey
	return failed
}

// ask runs scripts on the node that answer with one marked line, and returns its first
// word and the rest. It closes the channel.
func (d *detached) ask(ctx context.Context, ch *channel, scripts ...string) (word, rest string, err error) {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	scripts = append([]string{d.names()}, scripts...)
	stdout, stderr, _, err := ch.call(ctx, d.shell(), strings.NewReader(inBraces(scripts...)))
	for line := range strings.Lines(string(stdout)) {
		if _, answer, found := strings.Cut(strings.TrimSpace(line), d.mark); found {
			word, rest, _ = strings.Cut(answer, " ")
			return word, strings.ToValidUTF8(rest, "?"), nil
		}
	}
	if err == nil {
		err = errors.New(firstLine(stderr))
	}
	return "", "", err
}

// shell is what runs our scripts on the node. Its last word names the step to whoever
// looks at the node's processes.
func (d *detached) shell() string { return "exec /bin/sh -s " + command.Quote("fairlead."+d.step) }

// Discard removes the directory; nothing was started.
func (d *detached) Discard() {
	d.removeScript(context.Background())
	if err := d.remove(context.Background()); err != nil {
		d.executor.config.Log.Warn("the directory of a detached step stays on its node", "node", d.command.Node.GetName(), "step", d.step, "error", err)
	}
}

// remove removes the step's directory unless the step still runs.
func (d *detached) remove(ctx context.Context) error {
	ch, err := d.executor.openChannel(ctx, d.target)
	if err != nil {
		return err
	}
	word, rest, err := d.ask(ctx, ch, nodeScript, removeStepScript)
	if err == nil && word != "removed" {
		err = fmt.Errorf("the directory of step %s on %s stays: %s", d.step, d.node().name, rest)
	}
	return err
}

// Run starts the command unless an earlier process did, and follows it to its end.
func (d *detached) Run(ctx context.Context, out task.Output) task.End {
	end := d.run(ctx, out)
	end.NewHostKey = d.newHostKey
	return end
}

func (d *detached) run(ctx context.Context, out task.Output) task.End {
	if d.again {
		return d.watch(ctx, out)
	}
	if ctx.Err() != nil {
		d.Discard()
		outcome, reason := stopOutcome(context.Cause(ctx))
		return task.End{Outcome: outcome, Reason: reason, NotStarted: true, EndProven: true, Message: "ended before it was started"}
	}
	ctx, cancel := d.bound(ctx)
	defer cancel()
	if err := d.start(context.WithoutCancel(ctx)); err != nil {
		d.removeScript(ctx)
		return task.End{
			Outcome: runnerv1.Outcome_OUTCOME_FAILED, Reason: err.Reason, NotStarted: true, EndProven: true, Message: err.Message,
		}
	}
	return d.watch(ctx, out)
}

// start has the supervisor begin. Its error is a proof that it did not; without one it
// may have, and whoever follows sees.
func (d *detached) start(ctx context.Context) *task.NotStartedError {
	failed := func(err error, why string) *task.NotStartedError {
		return notStarted("supervisor_failed", err, "node %s: the command was not started: %s", d.command.Node.GetName(), why)
	}
	ch, err := d.executor.openChannel(ctx, d.target)
	if not, ok := errors.AsType[*task.NotStartedError](err); ok {
		return not
	}
	if err != nil {
		return failed(err, err.Error())
	}
	word, why, err := d.ask(ctx, ch, d.supervisor()...)
	failpoint.Hit("ssh.detached.started")
	if err == nil && word == "no" {
		return failed(nil, why)
	}
	d.silence = err
	return nil
}

// watch follows the command to its end, or ends it when ctx does.
func (d *detached) watch(ctx context.Context, out task.Output) task.End {
	following, quit := context.WithCancel(context.WithoutCancel(ctx))
	defer quit()
	finished := make(chan task.End, 1)
	go func() { finished <- newFollower(d, out).follow(following) }()
	select {
	case end := <-finished:
		return end
	case <-ctx.Done():
	}
	select {
	case end := <-finished: // it was first
		return end
	default:
	}
	cause := context.Cause(ctx)
	if errors.Is(cause, task.ErrDetach) {
		quit()
		<-finished
		return task.End{Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Reason: "detached", Message: "the command goes on without this process of the runner"}
	}
	result, first := d.endTree(cause, finished)
	if first != nil {
		return *first
	}
	end := d.awaitEnd(result.gone, finished, quit)
	if end.NotStarted {
		end.Outcome, end.Reason = stopOutcome(cause)
		return end
	}
	return d.stopped(cause, result, end)
}

// How long a stop is tried on a node that cannot be reached, and the pauses between
// connections.
const (
	stopFor    = 2 * time.Minute
	firstPause = time.Second
	lastPause  = 30 * time.Second
)

// endTree ends the command's processes. first is the command's own end, if that comes
// before the node could be asked.
func (d *detached) endTree(cause error, finished <-chan task.End) (result killed, first *task.End) {
	deadline := time.Now().Add(stopFor)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		result = d.killNow(cause)
		if result.err == nil || time.Now().After(deadline) {
			return result, nil
		}
		select {
		case end := <-finished:
			return result, &end
		case <-time.After(pause):
		}
	}
}

// killNow ends what belongs to the command, of which its directory tells the shell. If
// it has not begun it never will: else "nothing is left" would hold for a moment only.
// That its time is over is noted there first: this process may die before its journal has
// that, and the next one would find nothing but the status of a command that failed.
func (d *detached) killNow(cause error) killed {
	ctx, cancel := context.WithTimeout(context.Background(), max(d.command.Grace, 0)+45*time.Second)
	defer cancel()
	note := ""
	if errors.Is(cause, task.ErrTimedOut) {
		note = "(umask 077; : >overtime)"
	}
	return d.runKillScript(ctx, d.names()+nodeScript+"cd \"$dir\" 2>/dev/null && { ln -s never claim 2>/dev/null\n"+note+"\n}\n"+endtreeScript+d.killSettings())
}

// awaitEnd returns what the supervisor tells of a command of which nothing is left. It
// tells nothing while a process outside of the command has its output open: then it is
// not waited for.
func (d *detached) awaitEnd(gone bool, finished <-chan task.End, quit func()) task.End {
	select {
	case d.hurry <- struct{}{}:
	default:
	}
	for gone {
		before := d.moved.Load()
		select {
		case end := <-finished:
			return end
		case <-time.After(endWait):
			gone = d.moved.Load() > before || d.handing.Load() // the rest of the output is on its way
		}
	}
	quit()
	<-finished
	return task.End{}
}
