package dispatch

import (
	"bytes"
	"context"
	"slices"
	"strconv"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// adoption takes in an attempt that the database lost, in one transaction: the table
// "How the gap is filled" of docs/recovery.md.
type adoption struct {
	d    *Dispatcher
	st   *store.Store
	fx   *effects
	ref  hub.SessionRef
	lost *hub.LostAttempt
}

// Adopt takes in a granted attempt that the database does not have, and answers from
// where on its runner is to tell of it. One that is not proven, or that another one took
// the place of, is answered as unknown.
func (d *Dispatcher) Adopt(ctx context.Context, ref hub.SessionRef, lost hub.LostAttempt) (hub.HoldingAnswer, error) {
	answer := hub.HoldingAnswer{Fence: lost.Fence, Unknown: true}
	if !d.proven(ref.RunnerID, &lost.Holding) {
		d.log.Warn("a runner shows a grant that is not proven; it is passed over", "runner", ref.RunnerID, "attempt", lost.Fence.AttemptID)
		return answer, nil
	}
	fx := &effects{d: d}
	adopted := false
	err := fx.commit(ctx, func(st *store.Store) (err error) {
		a := &adoption{d: d, st: st, fx: fx, ref: ref, lost: &lost}
		if adopted, err = a.run(ctx); err != nil || !adopted {
			return err
		}
		rows, err := st.Attempts(ctx, []string{lost.Fence.AttemptID}, false)
		if err != nil {
			return err
		}
		logs, err := st.Logs(ctx, []string{lost.Fence.AttemptID})
		if err != nil {
			return err
		}
		answer, err = d.answer(ctx, st, rows[0], logs[0])
		return err
	})
	if err != nil {
		return hub.HoldingAnswer{}, err
	}
	fx.apply(ctx)
	if adopted {
		d.log.Warn("took in an attempt that the database had lost", "attempt", lost.Fence.AttemptID, "runner", ref.RunnerID, "execution", lost.ExecutionID)
	}
	return answer, nil
}

// run reports whether the attempt has its row as granted now.
func (a *adoption) run(ctx context.Context) (bool, error) {
	states, err := a.d.lockAll(ctx, a.st, []string{a.lost.ExecutionID}, false)
	if err != nil {
		return false, err
	}
	rows, err := a.st.Attempts(ctx, []string{a.lost.Fence.AttemptID}, true)
	if err != nil {
		return false, err
	}
	x := states[a.lost.ExecutionID]
	if x == nil {
		if gone, err := a.purged(ctx); err != nil || gone {
			return false, err
		}
	}
	if len(rows) > 0 {
		return a.known(ctx, rows[0], x)
	}
	row, err := a.place(ctx, x)
	if err != nil {
		return false, err
	}
	return true, a.insert(ctx, row)
}

// purged reports whether retention has taken the execution, and is about to delete its rows.
func (a *adoption) purged(ctx context.Context) (bool, error) {
	rows, err := a.st.ExecutionRows(ctx, []string{a.lost.ExecutionID})
	if err != nil || len(rows) == 0 {
		return false, err
	}
	_, err = a.st.ExecutionRow(ctx, rows[0].OrganisationID, rows[0].ID)
	switch hub.ErrorCode(err) {
	case "":
		return false, hub.Errorf(hub.CodeUnavailable, "Another runner has just shown a part of the same execution; show this again.")
	case hub.CodeNotFound:
		return true, nil
	default:
		return false, err
	}
}

// known takes an attempt whose row is there.
func (a *adoption) known(ctx context.Context, t *store.AttemptRow, x *executionState) (bool, error) {
	if t.Fence != a.lost.Fence || t.RunnerID != a.ref.RunnerID {
		return false, nil
	}
	switch t.State {
	case hub.AttemptOffered:
		return true, a.claim(ctx, t.ExecutionID)
	case hub.AttemptExpired:
		// A person released it before this runner came back.
		a.d.log.Error("a runner shows a grant of an offer that was taken back; what it was for may have run twice",
			"attempt", t.AttemptID, "runner", t.RunnerID, "execution", x.row.Number)
		return false, a.st.InsertAttemptEvents(ctx, []store.AttemptEvent{{AttemptID: t.AttemptID, Event: "late_grant", State: t.State, Detail: "granted before the database went back"}})
	default:
		return true, nil
	}
}

// claim takes an offered attempt as granted by its proof.
func (a *adoption) claim(ctx context.Context, executionID string) error {
	s, err := a.st.Session(ctx, a.ref.RunnerID)
	if err != nil {
		return err
	}
	var host []byte // only the boot that claimed can tell its host
	if bytes.Equal(s.BootID, a.lost.Boot) {
		host = s.HostID
	}
	if err := a.st.AdoptAttempt(ctx, a.lost.Fence.AttemptID, a.ref.Epoch, a.lost.Boot, host, a.d.tick()); err != nil {
		return err
	}
	return a.st.MarkRecovered(ctx, executionID)
}

// place finds or makes the assignment that the attempt is of.
func (a *adoption) place(ctx context.Context, x *executionState) (*store.AssignmentRow, error) {
	if x == nil {
		return a.record(ctx, a.lost.ExecutionID, a.lost.AssignmentID)
	}
	if x.row.Waits != "" {
		if err := a.unpark(ctx, x); err != nil {
			return nil, err
		}
	}
	if x.row.Outcome == "" {
		id, row := a.lost.AssignmentID, x.assignment(a.lost.AssignmentID)
		if row != nil {
			// This database may have made another attempt under that number since, or ended the
			// assignment, and have cut others of its nodes.
			taken, err := a.st.HasAttempt(ctx, row.ID, a.lost.Fence.Epoch)
			if err != nil || !taken && !row.State.Final() {
				return row, err
			}
			id = a.lost.Fence.AttemptID
		}
		row, err := a.cut(ctx, x, id)
		if row != nil || err != nil {
			return row, err
		}
	}
	return a.record(ctx, a.lost.Fence.AttemptID, a.lost.Fence.AttemptID)
}

// unpark makes of an execution that waits, and of which a runner has a grant, one that is
// known by what runners show: the database went back to before its start, and it must
// not start again.
func (a *adoption) unpark(ctx context.Context, x *executionState) error {
	spec := x.job.spec
	spec.Routes = [][]string{nil}
	x.row.Waits, x.row.WaitingFor, x.row.Recovered, x.row.Turn = "", nil, true, 0
	return a.st.LeaveLine(ctx, x.row, spec, true)
}

// cut makes an assignment where the plan has its nodes and steps; nil when the plan has
// no such slice.
func (a *adoption) cut(ctx context.Context, x *executionState, id string) (*store.AssignmentRow, error) {
	row := &store.AssignmentRow{
		Assignment: hub.Assignment{
			ID: id, ExecutionID: x.row.ID, OrganisationID: x.row.OrganisationID, ProjectID: x.row.ProjectID,
			Threads: max(a.lost.Threads, 1), State: hub.AssignmentReady, Incarnation: a.lost.Fence.Incarnation,
		},
	}
	if x.row.Recovered {
		return row, a.grow(ctx, x, row)
	}
	row.Steps = a.lost.Positions
	for _, n := range a.lost.Nodes {
		at := slices.IndexFunc(x.job.base.Nodes, func(o hub.Node) bool { return o.Name == n.Name })
		if at < 0 {
			return nil, nil
		}
		row.Nodes = append(row.Nodes, at)
	}
	slices.Sort(row.Nodes)
	for _, s := range x.job.plan.Slices() {
		if within(row.Nodes, s.Nodes) && within(row.Steps, s.Steps) {
			row.Position, row.RunnerTags = s.Position, x.job.spec.Routes[s.Route]
			return row, a.cutInto(ctx, x, row)
		}
	}
	return nil, nil
}

func within(some, all []int) bool {
	return len(some) > 0 && !slices.ContainsFunc(some, func(n int) bool { return !slices.Contains(all, n) })
}

func meet(a, b []int) bool {
	return slices.ContainsFunc(a, func(n int) bool { return slices.Contains(b, n) })
}

// triesToCome leaves room for what another assignment of the same node steps has yet to tell
// of, or that it is lost: in the same rows one would hide the other.
const triesToCome = 16

// cutInto inserts the assignment where the plan has it.
func (a *adoption) cutInto(ctx context.Context, x *executionState, row *store.AssignmentRow) error {
	cells, err := a.st.NodeSteps(ctx, x.row.ID)
	if err != nil {
		return err
	}
	for _, c := range cells {
		if slices.Contains(row.Nodes, c.Node) && slices.Contains(row.Steps, c.Step) {
			row.TryBase = max(row.TryBase, c.Try)
		}
	}
	if slices.ContainsFunc(x.assignments, func(o *store.AssignmentRow) bool {
		return !o.State.Final() && meet(o.Nodes, row.Nodes) && meet(o.Steps, row.Steps)
	}) {
		row.TryBase += triesToCome
	}
	row.Adopted = true
	if err := a.st.InsertAssignments(ctx, []*store.AssignmentRow{row}); err != nil {
		return err
	}
	x.assignments = append(x.assignments, row)
	if x.row.Doubtful() {
		return nil // what else was granted may be shown yet: it is decided when it is released
	}
	return a.d.yield(ctx, a.st, a.fx, x)
}

// yield ends what is granted to nobody of nodes that a runner has shown, in an assignment
// that the database had lost: it was cut of these, for what was cancelled or lost, or the
// hub has cut it anew since.
func (d *Dispatcher) yield(ctx context.Context, st *store.Store, fx *effects, x *executionState) error {
	if !slices.ContainsFunc(x.assignments, func(a *store.AssignmentRow) bool { return a.Adopted }) {
		return nil
	}
	if err := x.lockOpen(ctx, st); err != nil {
		return err
	}
	open, err := st.OpenAttemptsOf(ctx, x.row.ID)
	if err != nil {
		return err
	}
	for _, a := range slices.Clone(x.assignments) {
		had := x.adoptedOf(a)
		if a.State.Final() || len(had) == 0 {
			continue
		}
		if a.State == hub.AssignmentActive {
			if back, err := takeBack(ctx, st, fx, a, open, whyYielded); err != nil {
				return err
			} else if !back {
				continue // granted too: both are shown
			}
		}
		if err := d.endNodes(ctx, st, fx, x, a, had, store.AssignmentEnd{ID: a.ID, State: hub.AssignmentSkipped, Reason: whyYielded}); err != nil {
			return err
		}
	}
	return nil
}

const whyYielded = "a runner shows that it had this"

// adoptedOf returns the nodes of an assignment that others, which were adopted, have for the same
// steps. Of two that nobody began the later one has them.
func (x *executionState) adoptedOf(a *store.AssignmentRow) []int {
	var nodes []int
	for _, o := range x.assignments {
		if o != a && o.Adopted && (o.State != hub.AssignmentReady || o.ID > a.ID) && meet(o.Steps, a.Steps) {
			nodes = append(nodes, o.Nodes...)
		}
	}
	return slices.DeleteFunc(slices.Clone(a.Nodes), func(n int) bool { return !slices.Contains(nodes, n) })
}

// insert makes the attempt's row, offered as it was, and claims it by the proof.
func (a *adoption) insert(ctx context.Context, row *store.AssignmentRow) error {
	if err := a.st.SettleBefore(ctx, row.ID, a.lost.Fence.Epoch); err != nil {
		return err
	}
	if err := a.st.RaiseAttempts(ctx, row.ID, a.lost.Fence.Epoch); err != nil {
		return err
	}
	err := a.st.InsertAttempts(ctx, []*store.AttemptRow{{
		Attempt: hub.Attempt{
			Fence: a.lost.Fence, AssignmentID: row.ID, ExecutionID: row.ExecutionID, OrganisationID: row.OrganisationID, RunnerID: a.ref.RunnerID,
		},
		MemberID: a.d.cfg.MemberID, OfferTick: a.d.tick(),
	}})
	if err != nil {
		return err
	}
	return a.claim(ctx, row.ExecutionID)
}

// record makes an execution of what the runner shows, "recovered from runner".
func (a *adoption) record(ctx context.Context, executionID, assignmentID string) (*store.AssignmentRow, error) {
	l := a.lost
	j := &hub.Job{Name: clean(l.JobName), Group: clean(l.JobGroup)}
	if j.Name == "" {
		j.Name = "recovered"
	}
	e := &store.ExecutionRow{Execution: hub.Execution{
		ID: executionID, OrganisationID: a.ref.OrganisationID, ProjectID: l.ProjectID, JobID: clean(l.JobID), JobName: j.FullName(),
		Status: hub.StatusQueued, Keepgoing: l.Keepgoing, LostAfter: a.d.cfg.LostAfter, Incarnation: l.Fence.Incarnation,
		StartedBy: clean(l.StartedBy), CreatedAt: madeAt(executionID), Number: l.Number, Recovered: true,
	}}
	j.Workflow = hub.Workflow{Strategy: l.Strategy, Keepgoing: l.WorkflowKeepgoing, LogFilters: l.LogFilters}
	j.LogLimit = l.LogLimit
	j.Dispatch = hub.Dispatch{Nodes: true, Threadcount: strconv.Itoa(max(l.Threads, 1)), Keepgoing: l.Keepgoing}
	spec := &store.ExecutionSpec{
		Definition: j, Routes: [][]string{nil}, Options: cleanMap(l.Options), NodeFilter: clean(l.NodeFilter), Threads: max(l.Threads, 1), Strategy: l.Strategy,
	}
	x := &executionState{row: e, job: newJob(e, spec)}
	row := &store.AssignmentRow{
		Assignment: hub.Assignment{
			ID: assignmentID, ExecutionID: executionID, OrganisationID: e.OrganisationID, ProjectID: e.ProjectID,
			Threads: spec.Threads, State: hub.AssignmentReady, Incarnation: l.Fence.Incarnation,
		},
	}
	if err := a.st.InsertRecovered(ctx, e, spec); err != nil {
		return nil, err
	}
	a.fx.event(hub.EventExecution, &e.Execution, e.Status)
	return row, a.grow(ctx, x, row)
}

// grow adds what this attempt tells of nodes and steps to a recovered execution, and the
// assignment with it.
func (a *adoption) grow(ctx context.Context, x *executionState, row *store.AssignmentRow) error {
	spec := x.job.spec
	w := &spec.Definition.Workflow
	// With the number of steps, those of handlers would change, also of what is stored.
	for len(w.Steps) < max(a.lost.WorkflowSteps, a.lost.Positions[len(a.lost.Positions)-1]+1) {
		w.Steps = append(w.Steps, hub.Step{Description: "not shown by any runner"})
	}
	for i, position := range a.lost.Positions {
		w.Steps[position] = a.lost.Steps[i]
	}
	row.Steps = a.lost.Positions
	for _, n := range a.lost.Nodes {
		at := slices.IndexFunc(spec.Nodes, func(o hub.Node) bool { return o.Name == n.Name })
		if at < 0 {
			at = len(spec.Nodes)
			spec.Nodes = append(spec.Nodes, n)
			spec.NodeRoutes = append(spec.NodeRoutes, 0)
		}
		row.Nodes = append(row.Nodes, at)
	}
	row.Position = len(x.assignments)
	if err := a.st.GrowRecovered(ctx, x.row.ID, spec); err != nil {
		return err
	}
	return a.st.InsertAssignments(ctx, []*store.AssignmentRow{row})
}
