package dispatch

import (
	"context"
	"errors"
	"slices"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/batch"
	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/workflow"
	"github.com/fairlead/fairlead/proto/failpoint"
	"github.com/fairlead/fairlead/proto/wire"
)

// reportKind is what a runner tells about an attempt.
type reportKind int

const (
	reportSteps reportKind = iota
	reportResult
	reportRefuse
	reportNotStarted
)

// reportRequest is one report.
type reportRequest struct {
	kind reportKind
	work *work
	ref  hub.SessionRef // of refuse and not-started
	why  string         // of refuse
	// steps, and for a result the rest of it with its chunks looked at.
	steps  hub.Steps
	result *hub.Result
	chunks []*output.Prepared
}

type reportAnswer struct {
	nextN   int64
	logNext int64
}

type reportCall = batch.Call[reportRequest, reportAnswer]

// Steps commits journal records and returns the first number that the hub lacks, also
// for a repeat. Errors: *hub.Behind after a gap, *hub.Refused for an attempt that is
// not this runner's or for another history.
func (d *Dispatcher) Steps(ctx context.Context, s hub.Steps) (nextN int64, err error) {
	w, err := d.known(ctx, s.Fence, s.RunnerID)
	if err != nil {
		return 0, err
	}
	answer, err := d.reports.Do(ctx, reportRequest{kind: reportSteps, work: w, steps: s})
	return answer.nextN, d.judge(ctx, w, err)
}

// Result commits the end of an attempt with the records and chunks that came along,
// advances its execution, and returns the first chunk that the hub lacks. Errors as of
// Steps.
func (d *Dispatcher) Result(ctx context.Context, r hub.Result) (logNext int64, err error) {
	w, err := d.known(ctx, r.Fence, r.RunnerID)
	if err != nil && !failpoint.Mutant("M3") {
		return 0, err
	}
	if w == nil {
		if w, err = d.work(ctx, d.st, r.Fence.AttemptID); err != nil || w == nil {
			return 0, err
		}
	}
	request := reportRequest{kind: reportResult, work: w, steps: r.Steps, result: &r}
	for _, c := range r.Chunks {
		p, err := output.Prepare(c)
		if err != nil {
			return 0, refused(r.Fence, hub.RefusedGone, "The result's output cannot be read: "+err.Error())
		}
		request.chunks = append(request.chunks, p)
	}
	answer, err := d.reports.Do(ctx, request)
	if err == nil && d.cfg.Published != nil && len(r.Chunks) > 0 {
		d.cfg.Published(w.job.base.ID, r.Chunks)
	}
	return answer.logNext, d.judge(ctx, w, err)
}

// Refuse takes back an offer that the runner declines; it may forget it then (told by
// its sink). reason is a short word for people ("full", "disk", "draining").
func (d *Dispatcher) Refuse(ctx context.Context, ref hub.SessionRef, fence hub.Fence, reason, message string) error {
	w, err := d.known(ctx, fence, ref.RunnerID)
	if err != nil {
		return err
	}
	d.reg.refuse(w.assignment.ID, ref.RunnerID, d.tick()+d.cfg.OfferTicks)
	_, err = d.reports.Do(ctx, reportRequest{kind: reportRefuse, work: w, ref: ref, why: clean(reason + ": " + message)})
	return err
}

// NotStarted takes back a claim of which nothing was started. On success the runner is
// told to forget it by its sink; else the error is a *hub.Refused.
func (d *Dispatcher) NotStarted(ctx context.Context, ref hub.SessionRef, fence hub.Fence) error {
	w, err := d.known(ctx, fence, ref.RunnerID)
	if err != nil {
		return err
	}
	_, err = d.reports.Do(ctx, reportRequest{kind: reportNotStarted, work: w, ref: ref})
	return err
}

// errOtherHistory marks a report whose chain is not the stored one.
var errOtherHistory = errors.New("another history")

// judge puts a runner into quarantine whose reports contradict what it told before,
// and turns the finding into its answer.
func (d *Dispatcher) judge(ctx context.Context, w *work, err error) error {
	if !errors.Is(err, errOtherHistory) {
		return err
	}
	return d.accuse(ctx, w, "It told two different histories of attempt "+w.fence.AttemptID+"; its disk may have been copied.")
}

// Accuse puts a runner into quarantine whose output contradicts what is stored of the
// attempt. output calls it.
func (d *Dispatcher) Accuse(ctx context.Context, fence hub.Fence, runnerID, why string) {
	w, err := d.known(ctx, fence, runnerID)
	if err == nil {
		err = d.accuse(ctx, w, why)
	}
	if refusal := (*hub.Refused)(nil); err != nil && !errors.As(err, &refusal) {
		d.log.Error("a runner that contradicts itself is not in quarantine yet; it will be when it repeats", "runner", runnerID, "attempt", fence.AttemptID, "error", err)
	}
}

// Forged refuses a result that none of its runner's keys has signed, and puts the runner
// into quarantine: it is damaged, or another speaks for it.
func (d *Dispatcher) Forged(ctx context.Context, fence hub.Fence, runnerID string) error {
	w, err := d.known(ctx, fence, runnerID)
	if err != nil {
		return err
	}
	return d.accuse(ctx, w, "None of its keys has signed the result of attempt "+fence.AttemptID+".")
}

const eventOtherHistory = "other_history"

// accuse counts once for each attempt: a runner that a person released repeats what
// it has on its disk, and must not fall back into quarantine by it.
func (d *Dispatcher) accuse(ctx context.Context, w *work, why string) error {
	known := false
	err := d.st.InTx(ctx, func(st *store.Store) (err error) {
		if known, err = st.HasAttemptEvent(ctx, w.fence.AttemptID, eventOtherHistory); err != nil || known {
			return err
		}
		if _, err := st.QuarantineRunner(ctx, w.runnerID, why); err != nil {
			return err
		}
		return st.InsertAttemptEvents(ctx, []store.AttemptEvent{{AttemptID: w.fence.AttemptID, Event: eventOtherHistory, Detail: why}})
	})
	if err != nil {
		return err
	}
	if known {
		return refused(w.fence, hub.RefusedGone, "Another history of this attempt is stored; this one was noted as evidence before.")
	}
	d.log.Error("runner quarantined", "runner", w.runnerID, "attempt", w.fence.AttemptID, "why", why)
	d.subs.publish(hub.Event{Kind: hub.EventRunner, OrganisationID: w.job.base.OrganisationID, RunnerID: w.runnerID})
	return refused(w.fence, hub.RefusedQuarantined, why)
}

// commitReports commits what came together. Executions that another transaction holds
// are left for a second one, so that they keep nobody else waiting.
func (d *Dispatcher) commitReports(ctx context.Context, calls []*reportCall) error {
	later, err := d.commitSome(ctx, calls, true)
	if err != nil || len(later) == 0 {
		return err
	}
	_, err = d.commitSome(ctx, later, false)
	return err
}

func (d *Dispatcher) commitSome(ctx context.Context, calls []*reportCall, skipLocked bool) (later []*reportCall, err error) {
	fx := &effects{d: d}
	err = fx.commit(ctx, func(st *store.Store) error {
		later = nil
		for _, c := range calls {
			c.Answer, c.Err = reportAnswer{}, nil
		}
		t := &turn{d: d, st: st, fx: fx, moving: make(map[string]*moving)}
		if later, err = t.take(ctx, calls, skipLocked); err != nil {
			return err
		}
		if err := t.write(ctx); err != nil {
			return err
		}
		if t.results {
			failpoint.Hit("hub.result.before-commit")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	failpoint.Hit("hub.steps.after-commit")
	for _, c := range calls {
		if c.Request.kind == reportResult {
			failpoint.Hit("hub.result.after-commit")
		}
	}
	fx.apply(ctx)
	return later, nil
}

// needsExecution reports whether a report may change more than its attempt.
func (r *reportRequest) needsExecution() bool {
	if r.kind != reportSteps {
		return true
	}
	j := r.work.job
	if j.slices <= 1 {
		return false
	}
	// The first failure bars further starts in the siblings, the log limit always does.
	return slices.ContainsFunc(r.steps.Records, func(rec hub.StepRecord) bool {
		_, step, ok := r.work.cell(rec.Cell)
		stops := rec.Reason == wire.ReasonLogLimit || !j.base.Keepgoing && workflow.Failure(j.workflow, step, rec.Status)
		return rec.Kind == hub.RecordEnded && ok && stops
	})
}
