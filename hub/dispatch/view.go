package dispatch

import (
	"context"
	"slices"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/workflow"
)

// Execution returns an execution whole, by id or number. Of one that has not ended the
// wide part is remembered as a rule, and not read.
func (d *Dispatcher) Execution(ctx context.Context, organisationID, idOrNumber string) (*store.ExecutionRow, error) {
	row, err := d.st.ExecutionRow(ctx, organisationID, idOrNumber)
	if err != nil {
		return nil, err
	}
	spec := d.cache.spec(row.ID)
	if spec == nil {
		// Not remembered: what is looked at again and again is mostly over.
		if spec, err = d.st.ExecutionSpec(ctx, row.ID); err != nil {
			return nil, err
		}
	}
	spec.Apply(&row.Execution)
	return row, nil
}

// askAfter is how long who waits for an execution's end leaves it to chance that another
// member tells it unasked. To ask for it costs each of them more than an empty job.
const askAfter = 250 * time.Millisecond

// Wait returns the execution e once it is final, or as it is when ctx ends. e was read
// just now, whole; or it was started just now by this member, which would have heard of
// its end.
func (d *Dispatcher) Wait(ctx context.Context, e *store.ExecutionRow, started bool) (*store.ExecutionRow, error) {
	i := hub.Interest{OrganisationID: e.OrganisationID, ExecutionID: e.ID}
	w := &waiting{release: func() {}}
	defer func() { w.release() }()
	events, cancel := d.subscribe(i, false)
	defer cancel()
	end, leave := d.waiters.wait(e.ID)
	defer leave()
	// An event may get lost; the rows do not.
	poll := time.NewTicker(d.cfg.Poll)
	defer poll.Stop()
	w.events, w.end, w.poll = events, end, poll.C
	if d.cfg.Watch != nil {
		w.ask = func() { w.release = d.cfg.Watch(i) }
		timer := time.NewTimer(askAfter)
		defer timer.Stop()
		w.asks = timer.C
	}
	var row *store.ExecutionRow
	if started && !e.Status.Final() && d.cache.spec(e.ID) != nil {
		row = w.next(ctx)
	}
	for !e.Status.Final() {
		if row == nil {
			var err error
			if row, err = d.st.ExecutionRow(ctx, e.OrganisationID, e.ID); ctx.Err() != nil {
				row, err = d.st.ExecutionRow(context.WithoutCancel(ctx), e.OrganisationID, e.ID)
			}
			if err != nil {
				return nil, err
			}
		}
		row.TakeSpec(e)
		e = row
		if ctx.Err() != nil || e.Status.Final() {
			break
		}
		row = w.next(ctx)
	}
	return e, nil
}

// waiting is one who waits for the end of an execution.
type waiting struct {
	end    <-chan *store.ExecutionRow
	events <-chan hub.Event
	poll   <-chan time.Time
	// asks is when ask has other members tell of it, until release; nil: there are none.
	asks         <-chan time.Time
	ask, release func()
}

// next waits until the execution may have ended, or ctx is over. It returns the row if it
// was told; nil: read it.
func (w *waiting) next(ctx context.Context) *store.ExecutionRow {
	for {
		select {
		case <-ctx.Done():
			return nil
		case row := <-w.end:
			return row
		case <-w.poll:
			return nil
		case <-w.asks:
			w.ask() // they answer with EventResync
		case e := <-w.events:
			if !e.Status.Final() && e.Kind != hub.EventResync {
				continue
			}
			// Of an end of this member the row comes before the event.
			select {
			case row := <-w.end:
				return row
			default:
				return nil
			}
		}
	}
}

// Matrix returns one row for each step on each node of an execution, in its newest try,
// ordered by node and step: those that have no record yet are derived from the
// assignments.
func (d *Dispatcher) Matrix(ctx context.Context, organisationID, executionID string) ([]hub.NodeStep, error) {
	row, err := d.st.ExecutionRow(ctx, organisationID, executionID)
	if err != nil {
		return nil, err
	}
	j, err := d.job(ctx, d.st, organisationID, row.ID)
	if err != nil {
		return nil, err
	}
	rows, err := d.st.NodeSteps(ctx, row.ID)
	if err != nil {
		return nil, err
	}
	assignments, err := d.st.AssignmentsOf(ctx, []string{row.ID})
	if err != nil {
		return nil, err
	}
	return matrix(row, j, rows, assignments), nil
}

// Counts counts the nodes of executions by state: as it was told when they ended, and of
// those that have not by what their cells say, with two queries for all of them.
func (d *Dispatcher) Counts(ctx context.Context, rows []*store.ExecutionRow) (map[string]hub.NodeCounts, error) {
	out := make(map[string]hub.NodeCounts, len(rows))
	var open []string
	for _, row := range rows {
		if len(row.NodeCounts) > 0 || row.Status.Final() {
			out[row.ID] = row.NodeCounts
		} else {
			open = append(open, row.ID)
		}
	}
	if len(open) == 0 {
		return out, nil
	}
	steps := map[string][]hub.NodeStep{}
	statuses, err := d.st.NodeStatuses(ctx, open)
	if err != nil {
		return nil, err
	}
	for _, n := range statuses {
		steps[n.ExecutionID] = append(steps[n.ExecutionID], n)
	}
	assignments := map[string][]*store.AssignmentRow{}
	list, err := d.st.AssignmentsOf(ctx, open)
	if err != nil {
		return nil, err
	}
	for _, a := range list {
		assignments[a.ExecutionID] = append(assignments[a.ExecutionID], a)
	}
	for _, row := range rows {
		if _, done := out[row.ID]; done {
			continue
		}
		j, err := d.job(ctx, d.st, row.OrganisationID, row.ID)
		if err != nil {
			return nil, err
		}
		out[row.ID] = count(j, matrix(row, j, steps[row.ID], assignments[row.ID]))
	}
	return out, nil
}

// count counts the nodes of an execution that has not ended by their cells, which are
// ordered by node.
func count(j *job, cells []hub.NodeStep) hub.NodeCounts {
	folded := workflow.Fold(j.workflow, cells, nil)
	counts := hub.NodeCounts{}
	for first := 0; first < len(cells); {
		node, statuses := cells[first].Node, []hub.Status(nil)
		for ; first < len(cells) && cells[first].Node == node; first++ {
			statuses = append(statuses, cells[first].Status)
		}
		counts[workflow.NodeStatus(statuses, folded.Nodes[node])]++
	}
	return counts
}

// matrix fills the cells that have no row with what follows from the assignments.
func matrix(row *store.ExecutionRow, j *job, rows []hub.NodeStep, assignments []*store.AssignmentRow) []hub.NodeStep {
	out := workflow.Newest(rows)
	have := make(map[[2]int]bool, len(out))
	for i := range out {
		have[[2]int{out[i].Node, out[i].Step}] = true
	}
	derived := make(map[[2]int]hub.Status)
	for _, a := range assignments {
		if !a.State.Final() {
			continue
		}
		for _, n := range a.Nodes {
			for _, s := range a.Steps {
				derived[[2]int{n, s}] = unreported(a.State)
			}
		}
	}
	for n := range j.base.Nodes {
		for s := range j.workflow.Steps {
			key := [2]int{n, s}
			if have[key] {
				continue
			}
			status, ok := derived[key]
			switch {
			case ok:
			case row.Outcome != "":
				status = untouched(row, row.Outcome, n)
			default:
				status = hub.StatusQueued
			}
			out = append(out, hub.NodeStep{ExecutionID: row.ID, Node: n, Step: s, Try: 1, Status: status})
		}
	}
	slices.SortFunc(out, compareCells)
	return out
}

// unreported is the state of a cell of a settled assignment that was never reported.
func unreported(s hub.AssignmentState) hub.Status {
	switch s {
	case hub.AssignmentCancelled:
		return hub.StatusCancelled
	case hub.AssignmentUnknown:
		return hub.StatusUnknown
	case hub.AssignmentTimedOut:
		return hub.StatusTimedOut
	default:
		return hub.StatusSkipped
	}
}

// LogWhole ends executions that only waited for their output: output calls it after the
// commit that made a log whole.
func (d *Dispatcher) LogWhole(ctx context.Context, executionIDs []string) {
	for _, id := range executionIDs {
		err := d.changeLocked(ctx, id, false, func(*store.Store, *effects, *executionState) error { return nil })
		if err != nil && ctx.Err() == nil {
			// The tick looks at it again.
			d.log.Error("cannot end an execution whose log is whole", "execution", id, "error", err)
		}
	}
}
