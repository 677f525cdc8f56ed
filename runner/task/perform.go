package task

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fairlead/fairlead/proto/failpoint"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/mask"
)

// probeTimeout bounds a probe: it is meant to look, not to work.
const probeTimeout = time.Minute

// perform prepares a cell, records its start and runs it. known is false if nothing
// was started and nothing is to be recorded: Next decides anew.
func (t *Attempt) perform(ctx context.Context, c Cell, out *cellOutput) (end End, known bool) {
	v := t.secrets()
	if err := v.lacks(); err != nil {
		return notStarted(ReasonInvalid, err.Error()), true
	}
	cmd, err := build(t.plan.Spec, t.disk.ID(), c, v, t.captured())
	if err != nil {
		return notStarted(ReasonInvalid, err.Error()), true
	}
	if err := checkFilters(cmd); err != nil {
		return notStarted(ReasonUnsupported, err.Error()), true
	}
	executor, err := t.executor(cmd.Node)
	if err != nil {
		return notStarted(ReasonUnsupported, err.Error()), true
	}
	p, err := t.prepare(ctx, executor, cmd)
	if err != nil {
		return t.unprepared(ctx, err)
	}
	failpoint.Hit("runner.prepared")
	_, shim := executor.(Reattacher)
	if failpoint.Mutant("NM1") || shim && failpoint.Mutant("M12") {
		end = p.Run(ctx, out)
		return end, t.begin(c)
	}
	if !t.begin(c) {
		p.Discard()
		return End{}, false
	}
	failpoint.Hit("runner.started.before-start")
	if ctx.Err() != nil {
		p.Discard()
		return beforeStart(context.Cause(ctx))
	}
	t.announce(cmd, p, out)
	return t.run(ctx, c, cmd, p, out)
}

// run runs a prepared command that may be started, within its time, and asks the probe
// if its end is unknown.
func (t *Attempt) run(ctx context.Context, c Cell, cmd *Command, p Process, out *cellOutput) (End, bool) {
	lives := t.reattacher(c) != nil
	if !lives && !t.attach(c) {
		p.Discard()
		return beforeStart(ErrDetach)
	}
	runCtx, cancel := context.WithCancelCause(ctx)
	stop := t.bound(runCtx, cmd.Timeout, cancel)
	end := p.Run(runCtx, out)
	stop()
	cancel(nil)
	if lives && errors.Is(context.Cause(ctx), ErrDetach) {
		return End{}, false // it lives on; the next process records its end
	}
	if !lives && t.detach(c) {
		return end, true // handed over; the next process asks the probe
	}
	return t.probed(ctx, c, end, out)
}

// attach notes that a command runs in this process, which must not begin one while it
// hands over what it has.
func (t *Attempt) attach(c Cell) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hand[t.position(c)].attached = !t.detached
	return !t.detached
}

// detach notes that a command has ended, and reports whether it had been handed over.
func (t *Attempt) detach(c Cell) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.hand[t.position(c)]
	h.attached = false
	return h.kept != nil
}

// prepare prepares a command within its time, which is as long again for the command
// itself: a node that is slow to answer must not hold a step for ever.
func (t *Attempt) prepare(ctx context.Context, executor Executor, cmd *Command) (Process, error) {
	within, cancel := context.WithCancelCause(ctx)
	stop := t.bound(within, cmd.Timeout, cancel)
	p, err := executor.Prepare(within, cmd)
	stop()
	late := context.Cause(within) != nil && ctx.Err() == nil
	cancel(nil)
	if err != nil && late {
		return nil, &NotStartedError{
			Reason: ReasonPrepareTimedOut, Cause: err,
			Message: fmt.Sprintf("node %s: the step's time of %v was over before it could be started: %v", cmd.Node.GetName(), cmd.Timeout, err),
		}
	}
	return p, err
}

func (t *Attempt) secrets() *vault {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.vault
}

// captured are the values that earlier steps captured, by node.
func (t *Attempt) captured() map[string]map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state.data.clone()
}

func (t *Attempt) executor(node *runnerv1.Node) (Executor, error) {
	name := executorOf(t.plan.Spec, node)
	if e := t.host.Executors[name]; e != nil {
		return e, nil
	}
	return nil, fmt.Errorf("Node %s asks for the executor %q, which this runner does not have: set node-executor to %q or %q.", //nolint:staticcheck,revive // shown as a sentence
		node.GetName(), name, ExecutorSSH, ExecutorLocal)
}

// begin records the start of a cell and returns when the disk has it; false when the
// cell may not start any more.
func (t *Attempt) begin(c Cell) bool {
	t.mu.Lock()
	if t.mode == Working && t.disk.Frozen() != "" {
		t.freeze() // what the disk lost may be of a cell that nobody waited for
	}
	if t.mode != Working || t.state.barred(int(c.Node)) || t.detached || t.ctx.Err() != nil {
		t.mu.Unlock()
		return false
	}
	r := record(&runnerv1.Record{Record: &runnerv1.Record_Started{Started: &runnerv1.Started{Cell: cellRecord(c)}}})
	_, wait, err := t.disk.Append(!failpoint.Mutant("NM13"), r)
	if err != nil {
		t.log.Error("a start could not be recorded", "error", err)
		t.freeze()
		t.mu.Unlock()
		return false
	}
	t.state.Apply(r)
	t.mu.Unlock()
	if failpoint.Mutant("NM13") {
		return true
	}
	if err := wait(); err != nil {
		t.log.Error("a start could not be synced", "error", err)
		t.mu.Lock()
		t.freeze()
		t.mu.Unlock()
		return false
	}
	failpoint.Hit("runner.started.synced")
	return true
}

// unprepared is the end of a command that could not be prepared.
func (t *Attempt) unprepared(ctx context.Context, err error) (End, bool) {
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(cause, ErrStopped) || errors.Is(cause, ErrTimedOut) {
			return beforeStart(cause)
		}
		return End{}, false // this process ends and has recorded nothing
	}
	if not, ok := errors.AsType[*NotStartedError](err); ok {
		end := notStarted(not.Reason, not.Message)
		end.NewHostKey = not.NewHostKey
		return end, true
	}
	return notStarted("error", err.Error()), true
}

// beforeStart is the end of a command whose context ended before it was started.
func beforeStart(cause error) (End, bool) {
	end := End{EndProven: true, NotStarted: true}
	switch {
	case errors.Is(cause, ErrStopped):
		end.Outcome, end.Reason, end.Message = runnerv1.Outcome_OUTCOME_CANCELLED, ReasonStopped, "Cancelled before it started."
	case errors.Is(cause, ErrTimedOut):
		end.Outcome, end.Reason, end.Message = runnerv1.Outcome_OUTCOME_TIMED_OUT, ReasonTimedOut, "The time was over before it started."
	default:
		// A start may be on record; that nothing followed is known to this process alone.
		end.Outcome, end.Reason = runnerv1.Outcome_OUTCOME_FAILED, ReasonNeverStarted
		end.Message = "The runner was stopped before it started."
	}
	return end, true
}

func notStarted(reason, message string) End {
	return End{Outcome: runnerv1.Outcome_OUTCOME_FAILED, Reason: reason, Message: message, EndProven: true, NotStarted: true}
}

// bound ends ctx with ErrTimedOut after d of boot time, unless d is 0.
func (t *Attempt) bound(ctx context.Context, d time.Duration, cancel context.CancelCauseFunc) (stop func()) {
	if d <= 0 {
		return func() {}
	}
	until := t.host.Boottime() + d
	done := make(chan struct{})
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for {
			timer := time.NewTimer(min(deadlineCheck, max(0, until-t.host.Boottime())))
			select {
			case <-timer.C:
				if t.host.Boottime() >= until {
					cancel(ErrTimedOut)
					return
				}
			case <-ctx.Done():
				timer.Stop()
				return
			case <-done:
				timer.Stop()
				return
			}
		}
	}()
	return func() { close(done); <-finished }
}

// probed asks the step's probe after an unknown end: did it happen? known is false when
// this process ends: the next one asks.
func (t *Attempt) probed(ctx context.Context, c Cell, end End, out *cellOutput) (_ End, known bool) {
	step := t.plan.Spec.GetSteps()[c.Step]
	if end.Outcome != runnerv1.Outcome_OUTCOME_UNKNOWN || step.GetProbe() == "" {
		return end, true
	}
	if ctx.Err() == nil {
		end = t.judged(ctx, c, end, out)
	}
	ends := end.Outcome == runnerv1.Outcome_OUTCOME_UNKNOWN && errors.Is(context.Cause(ctx), ErrDetach)
	return end, !ends
}

// judged is an unknown end after the probe was asked.
func (t *Attempt) judged(ctx context.Context, c Cell, end End, out *cellOutput) End {
	code, err := t.probe(ctx, c, out)
	switch {
	case err != nil:
		end.Message += " The probe could not tell: " + err.Error()
	case code == 0:
		return End{
			Outcome: runnerv1.Outcome_OUTCOME_FAILED, Reason: ReasonProbeClean, EndProven: true, NotStarted: true,
			Message: "Its end was not seen; the probe says that nothing happened.", NewHostKey: end.NewHostKey,
		}
	case code == 1:
		return End{
			Outcome: runnerv1.Outcome_OUTCOME_SUCCEEDED, Reason: ReasonProbeHappened, EndProven: true,
			Message: "Its end was not seen; the probe says that it happened.", NewHostKey: end.NewHostKey,
		}
	default:
		end.Message += fmt.Sprintf(" The probe could not tell: it ended with status %d.", code)
	}
	return end
}

func (t *Attempt) probe(ctx context.Context, c Cell, out *cellOutput) (int32, error) {
	v := t.secrets()
	if err := v.lacks(); err != nil {
		return 0, err
	}
	cmd, err := buildProbe(t.plan.Spec, t.disk.ID(), c, v, t.captured())
	if err != nil {
		return 0, err
	}
	executor, err := t.executor(cmd.Node)
	if err != nil {
		return 0, err
	}
	_ = out.say("The end of this step was not seen; asking its probe.")
	p, err := t.prepare(ctx, executor, cmd)
	if err != nil {
		return 0, err
	}
	runCtx, cancel := context.WithCancelCause(ctx)
	stop := t.bound(runCtx, cmd.Timeout, cancel)
	end := p.Run(runCtx, systemOutput{out})
	stop()
	cancel(nil)
	// The status of one that was ended, as by its timeout, is no answer.
	if own := end.Outcome == runnerv1.Outcome_OUTCOME_SUCCEEDED || end.Outcome == runnerv1.Outcome_OUTCOME_FAILED; !own || !end.Exited {
		return 0, errors.New(end.Message)
	}
	return end.Code, nil
}

// systemOutput shows what a probe prints as the runner's own words.
type systemOutput struct{ *cellOutput }

// Write implements Output.
func (o systemOutput) Write(_ wire.Stream, p []byte) error { return o.cellOutput.Write(wire.System, p) }

// WriteMasked implements Output. The offset belongs to the probe, not to the step.
func (o systemOutput) WriteMasked(_ wire.Stream, p []byte, _ uint64) error {
	return o.cellOutput.Write(wire.System, p)
}

// WriteRaw implements Output. The offset belongs to the probe, not to the step.
func (o systemOutput) WriteRaw(_ wire.Stream, p []byte, _ uint64) error {
	return o.cellOutput.Write(wire.System, p)
}

func cellRecord(c Cell) *runnerv1.Cell { return &runnerv1.Cell{Node: c.Node, Step: c.Step, Try: c.Try} }

// endedRecord turns an end into its record. A disk keeps it, so its message shows no
// secret. Its reason never holds a value: it is one of our own words, which masking a
// short secret would break. Captured data beyond the limit is left out and said so.
func endedRecord(c Cell, e End, m *mask.Masker) *runnerv1.Ended {
	size := 0
	for k, v := range e.Data {
		size += len(k) + len(v)
	}
	if size > wire.MaxRecordData {
		e.Data = nil
		e.Message += fmt.Sprintf(" Its captured values were left out: they have %d bytes, at most %d are kept.", size, wire.MaxRecordData)
	}
	return &runnerv1.Ended{
		Cell: cellRecord(c), Outcome: e.Outcome, Code: e.Code, Exited: e.Exited, Signal: recordable(e.Signal), Reason: e.Reason,
		Message: recordable(m.Text(e.Message)), EndProven: e.EndProven, NotStarted: e.NotStarted, Data: e.Data, NewHostKey: e.NewHostKey, Printed: e.Printed,
	}
}

// maxText is how much of what a node says goes into a record: the hub shows no more.
const maxText = 8 << 10

// recordable makes a text that may hold a node's own words fit for a record: one that is
// not UTF-8 cannot be encoded, and one without end could not be sent. Either would be the
// end of the whole attempt.
func recordable(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	return strings.ToValidUTF8(text, "\ufffd")
}
