package dispatch

import (
	"slices"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/workflow"
	"github.com/fairlead/fairlead/proto/wire"
)

// loss is what is known of an attempt that was lost.
type loss struct {
	work *work
	a    *store.AssignmentRow
	x    *executionState
	rows []hub.NodeStep
	now  time.Time
	// disputed: two histories of it were told, so what is stored says nothing of what the
	// other one began.
	disputed bool
}

// open are the node steps without an acknowledged end, as unknown ones: also those
// never reported as started, since the report may be what was lost. Behind a failure
// that was told, the next try or the handler may have started. Where nothing may start
// behind one, the rest of its node never does: barred, as its runner would have told. Nor
// does what stands behind the barrier at which a sequential workflow stops.
func (l *loss) open() (open, barred []hub.NodeStep) {
	barrier := l.barrier()
	for _, n := range l.a.Nodes {
		over := false
		for _, s := range l.a.Steps {
			row := l.newest(n, s)
			if row.Status == "" && (over || s > barrier) && !l.disputed {
				barred = append(barred, l.skipped(row, over))
				continue
			}
			if !row.Status.Final() || l.comesAgain(&row) {
				open = append(open, l.unknown(row))
				continue
			}
			if row.Status != hub.StatusFailed && row.Status != hub.StatusTimedOut {
				continue
			}
			goesOn := l.work.job.workflow.Keepgoing
			if h := l.work.job.workflow.HandlerOf(s); h >= 0 {
				answer := l.newest(n, h)
				if !answer.Status.Final() || l.comesAgain(&answer) {
					open = append(open, l.unknown(answer))
				}
				handler, _ := l.work.job.workflow.StepAt(h)
				goesOn = goesOn || handler.KeepgoingOnSuccess
			}
			over = over || !goesOn
		}
	}
	return open, barred
}

// barrier is the step of which is known that no later one starts on any node, since it
// failed on one; behind all steps if there is none.
func (l *loss) barrier() int {
	w := l.work.job.workflow
	if !l.sequential() || w.Keepgoing {
		return len(w.Steps)
	}
	for _, s := range l.a.Steps {
		for _, n := range l.a.Nodes {
			if l.failed(l.newest(n, s)) {
				return s
			}
		}
	}
	return len(w.Steps)
}

func (l *loss) sequential() bool { return l.work.job.plan.Strategy == hub.StrategySequential }

// failed reports whether a row tells a failure or an unknown that nothing answers any more.
func (l *loss) failed(row hub.NodeStep) bool {
	w := l.work.job.workflow
	switch {
	case l.comesAgain(&row):
		return false
	case row.Status == hub.StatusUnknown:
		return !w.Steps[row.Step].ContinueOnUnknown
	case row.Status != hub.StatusFailed && row.Status != hub.StatusTimedOut:
		return false
	}
	h := w.HandlerOf(row.Step)
	if h < 0 {
		return true
	}
	answer := l.newest(row.Node, h)
	return answer.Status.Final() && answer.Status != hub.StatusSucceeded && !l.comesAgain(&answer)
}

// newest is the last try of a step on a node that was told of, or the first one.
func (l *loss) newest(node, step int) hub.NodeStep {
	row := hub.NodeStep{ExecutionID: l.x.row.ID, AttemptID: l.work.fence.AttemptID, Node: node, Step: step, Try: l.a.TryBase + 1}
	for _, r := range l.rows {
		if r.Node == node && r.Step == step && r.Try >= row.Try {
			row = r
		}
	}
	return row
}

// comesAgain reports whether the runner answers an end with another try.
func (l *loss) comesAgain(r *hub.NodeStep) bool {
	step, _ := l.work.job.workflow.StepAt(r.Step)
	if step == nil {
		return false
	}
	retries := step.Retries
	switch r.Status {
	case hub.StatusFailed, hub.StatusTimedOut:
		if r.NotStarted && wire.ComesAgain(r.Reason) {
			return true
		}
	case hub.StatusUnknown:
		if !step.Idempotent {
			return false
		}
		retries = max(retries, 1)
	default:
		return false
	}
	return r.Try-l.a.TryBase <= retries
}

// unknown is a row as it ends with its attempt, or the try behind one that has ended.
func (l *loss) unknown(row hub.NodeStep) hub.NodeStep {
	if row.Status.Final() {
		row = hub.NodeStep{ExecutionID: row.ExecutionID, AttemptID: row.AttemptID, Node: row.Node, Step: row.Step, Try: row.Try + 1}
	}
	row.Status, row.Reason = hub.StatusUnknown, "lost"
	row.Message = "Nothing was heard of the runner; the step may have run, or may still."
	row.EndedAt = l.now
	return row
}

// skipped is a row behind a failure that ended its node's way, or that of all.
func (l *loss) skipped(row hub.NodeStep, ownFailure bool) hub.NodeStep {
	row.Status, row.Reason, row.NotStarted, row.EndProven = hub.StatusSkipped, "earlier_step_failed", true, true
	row.Message = "An earlier step failed on another node."
	if ownFailure {
		row.Message = "An earlier step failed on this node."
	}
	row.EndedAt = l.now
	return row
}

// has reports whether a list has a newer try of a row's step on its node.
func has(list []hub.NodeStep, row hub.NodeStep) bool {
	return slices.ContainsFunc(list, func(r hub.NodeStep) bool { return r.Node == row.Node && r.Step == row.Step })
}

// again reports whether all that is open may be run again, by the author's word. A
// handler answers a failure; it is not run again by itself.
func (l *loss) again(open []hub.NodeStep) bool {
	if len(open) == 0 || l.a.Attempts >= maxAttempts || l.x.row.CancelRequested || l.x.row.NoNew {
		return false
	}
	// Of several assignments nobody would be the barrier between the steps.
	if l.sequential() && !alike(open) {
		return false
	}
	over := workflow.Over(l.work.job.workflow, slices.DeleteFunc(slices.Clone(l.rows), func(r hub.NodeStep) bool { return has(open, r) }))
	for _, r := range open {
		step, of := l.work.job.workflow.StepAt(r.Step)
		if step == nil || of != r.Step || !step.Idempotent {
			return false
		}
		// Behind an unknown that ends the node's way it was never to run at all.
		if at, is := over[r.Node]; is && at < r.Step {
			return false
		}
	}
	return true
}

// alike reports whether the nodes of which something is open lack the same steps.
func alike(open []hub.NodeStep) bool {
	steps := make(map[int][]int)
	for _, r := range open {
		steps[r.Node] = append(steps[r.Node], r.Step)
	}
	for _, list := range steps {
		if !slices.Equal(list, steps[open[0].Node]) {
			return false
		}
	}
	return true
}
