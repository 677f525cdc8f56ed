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

// cancelNodes ends some nodes: live attempts are told, and what is not granted yet leaves
// them out.
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
	if err := d.leaveOut(ctx, st, fx, x, open, "cancelled by "+r.By); err != nil {
		return err
	}
	return d.advance(ctx, st, fx, x)
}

// leaveOut takes cancelled nodes out of what is not granted. A grant does not tell of
// them: their first step would begin before the stop that comes behind it.
func (d *Dispatcher) leaveOut(ctx context.Context, st *store.Store, fx *effects, x *executionState, open []*store.AttemptRow, reason string) error {
	for _, a := range x.assignments {
		if a.State.Final() || !x.anyCancelled(a) {
			continue
		}
		if a.State == hub.AssignmentActive {
			if back, err := takeBack(ctx, st, fx, a, open, reason); err != nil {
				return err
			} else if !back {
				continue // live: its runner was told
			}
		}
		if err := d.cutAround(ctx, st, fx, x, a, reason); err != nil {
			return err
		}
	}
	return nil
}

// takeBack withdraws the offer of an assignment that is active, and reports whether it was
// one still. open are the open attempts of its execution.
func takeBack(ctx context.Context, st *store.Store, fx *effects, a *store.AssignmentRow, open []*store.AttemptRow, reason string) (bool, error) {
	at := slices.IndexFunc(open, func(t *store.AttemptRow) bool { return t.AssignmentID == a.ID })
	if at < 0 {
		return false, nil
	}
	t := open[at]
	gone, err := st.WithdrawAttempts(ctx, []string{t.AttemptID}, "withdraw", reason)
	if err != nil || !gone[t.AttemptID] {
		return false, err
	}
	fx.released = append(fx.released, place{t.RunnerID, t.AttemptID})
	fx.forgets = append(fx.forgets, forgetOrder{t.RunnerID, t.Fence})
	return true, nil
}

// anyCancelled reports whether nodes of an assignment were cancelled.
func (x *executionState) anyCancelled(a *store.AssignmentRow) bool {
	return slices.ContainsFunc(a.Nodes, func(n int) bool { return slices.Contains(x.row.CancelledNodes, n) })
}

// cutAround ends an assignment that is not granted with those of its nodes that were
// cancelled, and cuts another one for the others.
func (d *Dispatcher) cutAround(ctx context.Context, st *store.Store, fx *effects, x *executionState, a *store.AssignmentRow, reason string) error {
	// A cancel of nodes is for them alone; a doubt stops what a doubt does.
	end := store.AssignmentEnd{ID: a.ID, State: hub.AssignmentCancelled, Reason: reason}
	if a.OpenAttempt {
		end.State, end.Stops = hub.AssignmentUnknown, true
	}
	return d.endNodes(ctx, st, fx, x, a, x.row.CancelledNodes, end)
}

// endNodes ends an assignment that is not granted with those of its nodes that are in the
// list, and cuts another one for the others.
func (d *Dispatcher) endNodes(ctx context.Context, st *store.Store, fx *effects, x *executionState, a *store.AssignmentRow, nodes []int, end store.AssignmentEnd) error {
	var gone, left []int
	for _, n := range a.Nodes {
		if slices.Contains(nodes, n) {
			gone = append(gone, n)
		} else {
			left = append(left, n)
		}
	}
	if len(left) > 0 {
		rest := *a
		rest.ID, rest.Nodes, rest.Threads = store.NewID(), left, min(a.Threads, len(left))
		rest.State, rest.ReadyAt = hub.AssignmentReady, st.Now()
		if err := st.InsertAssignments(ctx, []*store.AssignmentRow{&rest}); err != nil {
			return err
		}
		if err := st.SetAssignmentNodes(ctx, a.ID, gone); err != nil {
			return err
		}
		a.Nodes = gone
		x.assignments = append(x.assignments, &rest)
		fx.wake, fx.ready = true, true
		d.waiting.Store(true)
	}
	a.State, a.Stops = end.State, end.Stops
	return st.EndAssignments(ctx, []store.AssignmentEnd{end})
}
