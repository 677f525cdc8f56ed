package dispatch

import (
	"context"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/workflow"
	"github.com/fairlead/fairlead/proto/failpoint"
)

// move works out what an attempt's row becomes, and with a result how its assignment
// ends.
func (t *turn) move(ctx context.Context, m *moving) (store.AttemptStep, *store.AssignmentEnd, error) {
	step := store.AttemptStep{
		ID: m.row.AttemptID, FirstN: m.row.StepNext, PrevHash: m.row.StepHash, NextN: m.next, Hash: m.hash,
		State: m.row.State, Event: "steps", StepsTotal: -1,
	}
	if step.State == hub.AttemptClaimed && m.next > m.row.StepNext {
		step.State = hub.AttemptRunning
	}
	for _, c := range m.calls {
		if c.Request.kind == reportResult {
			c.Answer.logNext = m.log.Next
			// Also for a repeat: the first one's answer may have been lost with its effects.
			t.fx.released = append(t.fx.released, place{m.row.RunnerID, m.row.AttemptID})
		}
	}
	if m.result == nil {
		return step, nil, nil
	}
	r := m.result.Request.result
	step.StepsTotal, step.LogTotal, step.LogHash, step.Signature = r.StepsTotal, r.LogTotal, r.LogHash, r.Signature
	if err := t.expectLog(ctx, m, r); err != nil {
		return step, nil, err
	}
	m.result.Answer.logNext = m.log.Next
	if m.late && failpoint.Mutant("M3") {
		// Done, says a runner that was given up: so is what another one does now.
		for _, a := range m.x.assignments {
			if a.Position == m.work.assignment.Position && !a.State.Final() {
				a.State = hub.AssignmentState(r.Outcome)
				return step, &store.AssignmentEnd{ID: a.ID, State: a.State}, nil
			}
		}
	}
	if m.late {
		step.Event, step.LateResult = "late_result", string(r.Outcome)
		return step, nil, t.st.InsertAttemptEvents(ctx, []store.AttemptEvent{
			{AttemptID: step.ID, Event: "late_result", State: step.State, Detail: string(r.Outcome)},
		})
	}
	if !m.row.State.Live() && failpoint.Mutant("M3") {
		return step, &store.AssignmentEnd{ID: m.row.AssignmentID, State: hub.AssignmentState(r.Outcome)}, nil
	}
	end, err := t.fold(ctx, m, &step)
	return step, end, err
}

// expectLog compares the log with what the result says of it. One that is not whole is
// marked, so that the append that completes it sees it.
func (t *turn) expectLog(ctx context.Context, m *moving, r *hub.Result) error {
	log := m.log
	if log.Next < r.LogTotal {
		next, chain, err := t.st.ExpectLog(ctx, m.row.AttemptID, m.row.ExecutionID, r.LogTotal, r.LogHash, t.d.tick())
		if err != nil {
			return err
		}
		// An append may have been committed since we looked.
		log.Next, log.Hash, log.Exists = next, chain, true
	}
	log.Total, log.TotalHash = r.LogTotal, r.LogHash
	if log.Next > r.LogTotal || log.Next == r.LogTotal && log.Hash != r.LogHash {
		t.d.log.Error("output does not agree with the result", "attempt", m.row.AttemptID, "chunks", log.Next, "told", r.LogTotal)
		log.Broken = true
		return t.st.BreakLog(ctx, m.row.AttemptID)
	}
	return nil
}

// fold ends an attempt by its node steps.
func (t *turn) fold(ctx context.Context, m *moving, step *store.AttemptStep) (*store.AssignmentEnd, error) {
	r := m.result.Request.result
	rows, err := t.cellsOf(ctx, m)
	if err != nil {
		return nil, err
	}
	folded := workflow.Fold(m.work.job.workflow, rows, m.x.row.CancelledNodes)
	if failpoint.Mutant("NM11") && folded.Outcome == hub.StatusUnknown {
		folded.Outcome = failedFirst(rows)
	}
	end := &store.AssignmentEnd{ID: m.row.AssignmentID, State: hub.AssignmentState(folded.Outcome), Stops: folded.Stops}
	step.Event, step.State = "result", hub.AttemptState(folded.Outcome)
	if folded.Outcome == hub.StatusSkipped {
		step.State, end.State, end.Stops = nothingRan(m.x.row, r.Outcome)
	}
	a := m.x.assignment(m.row.AssignmentID)
	if a != nil && a.OpenAttempt && end.State == hub.AssignmentCancelled && !failpoint.Mutant("M11") {
		// Cancelled means proven that nothing acts; of the earlier attempt nothing is.
		end.State, end.Reason = hub.AssignmentUnknown, "an earlier attempt may still act; cancelled"
	}
	if a != nil {
		a.State, a.Stops = end.State, end.Stops
		if m.x.row.Slices == 1 && len(m.x.assignments) == 1 && a.Attempts == 1 {
			m.x.rows, m.x.logWhole = rows, m.log.Whole() && !m.log.Broken
		}
	}
	return end, nil
}

// cellsOf returns all node steps of an attempt that closes. One that has no end is
// unknown: a runner that closes without it does not know either.
func (t *turn) cellsOf(ctx context.Context, m *moving) ([]hub.NodeStep, error) {
	rows := t.earlier[m.row.AttemptID]
	if m.row.StepNext == 0 {
		for _, c := range m.cells {
			rows = append(rows, *c)
		}
	}
	var open []hub.NodeStep
	for i := range rows {
		if rows[i].Status == hub.StatusRunning {
			rows[i].Status, rows[i].Reason = hub.StatusUnknown, "no_end"
			rows[i].Message = "The runner closed its journal without an end of this step."
			open = append(open, rows[i])
		}
	}
	return rows, t.st.PutNodeSteps(ctx, open)
}

func failedFirst(rows []hub.NodeStep) hub.Status {
	for i := range rows {
		if rows[i].Status == hub.StatusFailed {
			return hub.StatusFailed
		}
	}
	return hub.StatusUnknown
}

// nothingRan says how an attempt ends of which every node step was skipped: by what
// made the runner skip them.
func nothingRan(row *store.ExecutionRow, told hub.Status) (hub.AttemptState, hub.AssignmentState, bool) {
	switch {
	case row.CancelRequested || len(row.CancelledNodes) > 0 || told == hub.StatusCancelled:
		return hub.AttemptCancelled, hub.AssignmentCancelled, true
	case row.NoNew:
		return hub.AttemptCancelled, hub.AssignmentSkipped, false
	case told == hub.StatusUnknown || told == hub.StatusFailed || told == hub.StatusTimedOut:
		return hub.AttemptState(told), hub.AssignmentState(told), true
	default:
		return hub.AttemptSucceeded, hub.AssignmentSucceeded, false
	}
}

// giveBack takes back offers that were refused and claims of which nothing started.
func (t *turn) giveBack(ctx context.Context) error {
	for _, c := range t.refused {
		if err := t.withdraw(ctx, c); err != nil {
			return err
		}
	}
	var asks []store.ClaimAsk
	for _, c := range t.returned {
		asks = append(asks, store.ClaimAsk{AttemptID: c.Request.work.fence.AttemptID, RunnerID: c.Request.ref.RunnerID, Session: c.Request.ref.Epoch})
	}
	done, err := t.st.ReturnAttempts(ctx, asks, store.ClaimRules{AnyHost: failpoint.Mutant("M7")})
	if err != nil {
		return err
	}
	for _, c := range t.returned {
		if !touched(done, c.Request.work.fence.AttemptID) {
			if err := t.alreadyBack(ctx, c); err != nil {
				return err
			}
			continue
		}
		if err := t.release(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// withdraw expires an offer that its runner declined.
func (t *turn) withdraw(ctx context.Context, c *reportCall) error {
	id := c.Request.work.fence.AttemptID
	done, err := t.st.WithdrawAttempts(ctx, []string{id}, "refuse", c.Request.why)
	if err != nil || !done[id] {
		return err // a repeat, or it lapsed: either way the runner may forget it
	}
	return t.release(ctx, c)
}

// alreadyBack answers a not-started that changed nothing: a repeat is fine.
func (t *turn) alreadyBack(ctx context.Context, c *reportCall) error {
	w := c.Request.work
	rows, err := t.st.Attempts(ctx, []string{w.fence.AttemptID}, false)
	if err != nil {
		return err
	}
	switch s := rows[0].State; {
	case s == hub.AttemptNotStarted, s == hub.AttemptExpired, !s.Live() && s != hub.AttemptOffered:
		t.fx.forgets = append(t.fx.forgets, forgetOrder{w.runnerID, w.fence})
	case s == hub.AttemptOffered:
		// Closed before it was claimed: the same as a refusal.
		return t.withdraw(ctx, c)
	default:
		c.Err = refused(w.fence, hub.RefusedOtherHost, "Only the boot or host that claimed it can prove that nothing started.")
	}
	return nil
}

// release makes an assignment ready again whose attempt was proven not to have started,
// or ends it where nothing more is to start.
func (t *turn) release(ctx context.Context, c *reportCall) error {
	w := c.Request.work
	t.fx.released = append(t.fx.released, place{w.runnerID, w.fence.AttemptID})
	t.fx.forgets = append(t.fx.forgets, forgetOrder{w.runnerID, w.fence})
	return t.d.ready(ctx, t.st, t.fx, t.states[w.assignment.ExecutionID], w.assignment.ID)
}

// ready makes an active assignment ready again; where nothing more is to start it ends
// instead, and the execution moves on.
func (d *Dispatcher) ready(ctx context.Context, st *store.Store, fx *effects, x *executionState, assignmentID string) error {
	a := x.assignment(assignmentID)
	if a == nil || a.State != hub.AssignmentActive {
		return nil
	}
	if err := st.ReleaseAssignments(ctx, []string{assignmentID}); err != nil {
		return err
	}
	a.State = hub.AssignmentReady
	fx.wake, fx.ready = true, true
	d.waiting.Store(true)
	switch {
	case x.row.CancelRequested:
		return d.endOpen(ctx, st, fx, x, hub.AssignmentCancelled, "cancelled")
	case x.row.NoNew:
		return d.endOpen(ctx, st, fx, x, hub.AssignmentSkipped, nodeFailed)
	case x.anyCancelled(a) && !x.row.Doubtful():
		return d.cutAround(ctx, st, fx, x, a, "cancelled")
	}
	return nil
}

// advance moves every execution on that the reports touched, in the order of ids.
func (t *turn) advance(ctx context.Context) error {
	var ids []string
	for id := range t.states {
		ids = append(ids, id)
	}
	for _, id := range unique(ids) {
		x := t.states[id]
		for _, m := range t.order {
			if m.x != x || x.row.NoNew || x.row.Slices < 2 {
				continue
			}
			var err error
			switch {
			case m.halted:
				err = t.d.stopNew(ctx, t.st, t.fx, x, "the job's log limit was reached")
			case m.failed && !x.row.Keepgoing:
				err = t.d.stopNew(ctx, t.st, t.fx, x, nodeFailed)
			}
			if err != nil {
				return err
			}
		}
		if err := t.d.advance(ctx, t.st, t.fx, x); err != nil {
			return err
		}
	}
	return nil
}
