package dispatch

import (
	"context"
	"slices"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// Cancel asks an execution, or nodes of it, to end. Asking again is harmless; an
// execution that has ended is a conflict.
func (d *Dispatcher) Cancel(ctx context.Context, organisationID, executionID string, r CancelRequest) error {
	row, err := d.st.ExecutionRow(ctx, organisationID, executionID)
	if err != nil {
		return err
	}
	fx := &effects{d: d}
	err = fx.commit(ctx, func(st *store.Store) error {
		states, err := d.lockAll(ctx, st, []string{row.ID}, false)
		if err != nil {
			return err
		}
		x := states[row.ID]
		if x == nil {
			return hub.Errorf(hub.CodeNotFound, "Execution %d does not exist any more.", row.Number)
		}
		if !x.row.EndedAt.IsZero() || x.row.Outcome != "" {
			return hub.Errorf(hub.CodeConflict, "Execution %d has ended already: %s.", row.Number, x.row.Outcome)
		}
		if r.InTx != nil {
			if err := r.InTx(ctx, st); err != nil {
				return err
			}
		}
		if len(r.Nodes) > 0 {
			return d.cancelNodes(ctx, st, fx, x, r)
		}
		return d.cancelAll(ctx, st, fx, x, r)
	})
	if err != nil {
		return err
	}
	fx.apply(ctx)
	return nil
}

func (d *Dispatcher) cancelAll(ctx context.Context, st *store.Store, fx *effects, x *executionState, r CancelRequest) error {
	if err := st.SetCancel(ctx, x.row.ID, r.By); err != nil {
		return err
	}
	x.row.CancelRequested = true
	fx.event(hub.EventExecution, &x.row.Execution, hub.StatusCancelling)
	if err := d.endOpen(ctx, st, fx, x, hub.AssignmentCancelled, "cancelled by "+r.By); err != nil {
		return err
	}
	return d.advance(ctx, st, fx, x)
}

// cancelNodes ends some nodes: live attempts are told, what is not cut yet leaves them
// out, and an assignment none of whose nodes is left ends at once.
func (d *Dispatcher) cancelNodes(ctx context.Context, st *store.Store, fx *effects, x *executionState, r CancelRequest) error {
	nodes := slices.Clone(x.row.CancelledNodes)
	var unknown []hub.FieldError
	for _, name := range r.Nodes {
		at := slices.IndexFunc(x.job.base.Nodes, func(n hub.Node) bool { return n.Name == name })
		if at < 0 {
			unknown = append(unknown, hub.FieldError{Path: "nodes", Message: "the execution has no node " + name})
			continue
		}
		nodes = append(nodes, at)
	}
	if err := hub.Invalid("Some nodes are not part of the execution.", unknown); err != nil {
		return err
	}
	slices.Sort(nodes)
	x.row.CancelledNodes = slices.Compact(nodes)
	if err := st.SetCancelledNodes(ctx, x.row.ID, x.row.CancelledNodes); err != nil {
		return err
	}
	fx.event(hub.EventExecution, &x.row.Execution, x.row.Status)
	if err := x.lockOpen(ctx, st); err != nil {
		return err
	}
	open, err := st.OpenAttemptsOf(ctx, x.row.ID)
	if err != nil {
		return err
	}
	for _, t := range open {
		if scope := d.scope(x, t.AssignmentID); scope.Asked && t.State.Live() {
			fx.stops = append(fx.stops, stopOrder{t.RunnerID, t.Fence, scope})
		}
	}
	if x.row.Doubtful() {
		return nil // it acts when the execution is released
	}
	if err := d.endEmpty(ctx, st, fx, x, open, "cancelled by "+r.By); err != nil {
		return err
	}
	return d.advance(ctx, st, fx, x)
}

// endEmpty ends assignments that are not granted and all of whose nodes are cancelled.
func (d *Dispatcher) endEmpty(ctx context.Context, st *store.Store, fx *effects, x *executionState, open []*store.AttemptRow, reason string) error {
	var ends []store.AssignmentEnd
	for _, a := range x.assignments {
		left := slices.ContainsFunc(a.Nodes, func(n int) bool { return !slices.Contains(x.row.CancelledNodes, n) })
		if a.State.Final() || left {
			continue
		}
		if a.State == hub.AssignmentActive {
			at := slices.IndexFunc(open, func(t *store.AttemptRow) bool { return t.AssignmentID == a.ID })
			if at < 0 {
				continue
			}
			gone, err := st.WithdrawAttempts(ctx, []string{open[at].AttemptID}, "withdraw", reason)
			if err != nil {
				return err
			}
			if !gone[open[at].AttemptID] {
				continue // live: its runner was told
			}
			fx.released = append(fx.released, place{open[at].RunnerID, open[at].AttemptID})
			fx.forgets = append(fx.forgets, forgetOrder{open[at].RunnerID, open[at].Fence})
		}
		// A cancel of nodes is for them alone; a doubt stops what a doubt does.
		end := store.AssignmentEnd{ID: a.ID, State: hub.AssignmentCancelled, Reason: reason}
		if a.OpenAttempt {
			end.State, end.Stops = hub.AssignmentUnknown, true
		}
		a.State, a.Stops = end.State, end.Stops
		ends = append(ends, end)
	}
	return st.EndAssignments(ctx, ends)
}
