package dispatch

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/workflow"
	"github.com/fairlead/fairlead/proto/failpoint"
)

// executionState is an execution whose row the transaction has locked.
type executionState struct {
	row         *store.ExecutionRow
	job         *job
	assignments []*store.AssignmentRow
	// rows are all of its node steps when they are in memory already.
	rows []hub.NodeStep
	// logWhole: its only attempt's log is whole, nothing else need be read.
	logWhole bool
}

// assignment returns an assignment of the execution by id.
func (x *executionState) assignment(id string) *store.AssignmentRow {
	for _, a := range x.assignments {
		if a.ID == id {
			return a
		}
	}
	return nil
}

// lockOpen takes the assignments that are not settled and looks at them again. An offer
// does not take the execution's row: without this one that is being committed would not
// be seen, its assignment would be ended, and its attempt could still be claimed.
func (x *executionState) lockOpen(ctx context.Context, st *store.Store) error {
	var open []string
	for _, a := range x.assignments {
		if !a.State.Final() {
			open = append(open, a.ID)
		}
	}
	slices.Sort(open)
	states, err := st.LockAssignments(ctx, open)
	if err != nil {
		return err
	}
	for _, a := range x.assignments {
		if now, ok := states[a.ID]; ok {
			a.State = now
		}
	}
	return nil
}

func (x *executionState) flow() workflow.Flow {
	return workflow.Flow{Cancelled: x.row.CancelRequested, NoNew: x.row.NoNew, CancelledNodes: x.row.CancelledNodes}
}

func (x *executionState) have() []workflow.Have {
	out := make([]workflow.Have, len(x.assignments))
	for i, a := range x.assignments {
		out[i] = workflow.Have{Position: a.Position, Nodes: a.Nodes, State: a.State, Threads: a.Threads, Stops: a.Stops}
	}
	return out
}

// lockAll locks executions and reads their assignments.
func (d *Dispatcher) lockAll(ctx context.Context, st *store.Store, ids []string, skipLocked bool) (map[string]*executionState, error) {
	r, err := st.LockReported(ctx, ids, nil, nil, skipLocked)
	if err != nil {
		return nil, err
	}
	return d.locked(ctx, st, r)
}

// locked are the executions of which the transaction has the rows.
func (d *Dispatcher) locked(ctx context.Context, st *store.Store, r *store.Reported) (map[string]*executionState, error) {
	out := make(map[string]*executionState, len(r.Executions))
	for _, row := range r.Executions {
		j, err := d.job(ctx, st, row.OrganisationID, row.ID)
		if hub.ErrorCode(err) == hub.CodeNotFound {
			continue // retention has taken it: it is gone, though its row is not yet
		}
		if err != nil {
			return nil, err
		}
		out[row.ID] = &executionState{row: row, job: j}
	}
	for _, a := range r.Assignments {
		// The others are of executions that another transaction has.
		if x := out[a.ExecutionID]; x != nil {
			x.assignments = append(x.assignments, a)
		}
	}
	return out, nil
}

// advance runs the cut for an execution whose assignments changed, until nothing more
// follows from it: what may start is inserted, and offered where a runner is free.
func (d *Dispatcher) advance(ctx context.Context, st *store.Store, fx *effects, x *executionState) error {
	if !x.row.EndedAt.IsZero() || x.row.Doubtful() {
		return nil
	}
	if x.row.Waits != "" {
		if !x.row.CancelRequested {
			return nil // nothing of it is cut before its time or turn
		}
		return d.settle(ctx, st, fx, x, hub.StatusCancelled)
	}
	if x.row.Recovered {
		return d.advanceRecovered(ctx, st, fx, x)
	}
	if x.row.Outcome != "" {
		return d.settle(ctx, st, fx, x, x.row.Outcome)
	}
	flow := x.flow()
	if x.job.plan.MindsOver() {
		rows, err := st.NodeSteps(ctx, x.row.ID)
		if err != nil {
			return err
		}
		flow.OverNodes = slices.Collect(maps.Keys(workflow.Over(x.job.workflow, rows)))
	}
	cut := x.job.plan.Next(x.have(), flow)
	if cut.NoNew {
		if err := d.stopNew(ctx, st, fx, x, nodeFailed); err != nil {
			return err
		}
		flow.NoNew = true
		cut = x.job.plan.Next(x.have(), flow)
	}
	if len(cut.Start) > 0 {
		made := d.cutRows(st, fx, x, cut.Start)
		if len(made.attempts) == 0 && !x.active() {
			w := d.waitingFor(&made.assignments[0].Assignment, made.why, st.Now())
			if err := st.SetWaiting(ctx, []string{x.row.ID}, *w); err != nil {
				return err
			}
		}
		if err := made.insert(ctx, st); err != nil {
			return err
		}
		x.assignments = append(x.assignments, made.assignments...)
	}
	if cut.Settled {
		return d.settle(ctx, st, fx, x, cut.Outcome)
	}
	return nil
}

func (x *executionState) active() bool {
	return slices.ContainsFunc(x.assignments, func(a *store.AssignmentRow) bool { return a.State == hub.AssignmentActive })
}

// made are rows that a cut makes.
type made struct {
	assignments []*store.AssignmentRow
	attempts    []*store.AttemptRow
	why         shortage
}

func (m *made) insert(ctx context.Context, st *store.Store) error {
	if err := st.InsertAssignments(ctx, m.assignments); err != nil {
		return err
	}
	return st.InsertAttempts(ctx, m.attempts)
}

// cutRows makes the rows of slices that start, with attempts for the runners that are
// free.
func (d *Dispatcher) cutRows(st *store.Store, fx *effects, x *executionState, start []workflow.Start) *made {
	m := &made{}
	for _, s := range start {
		a := &store.AssignmentRow{
			Assignment: hub.Assignment{
				ID: store.NewID(), ExecutionID: x.row.ID, OrganisationID: x.row.OrganisationID, ProjectID: x.row.ProjectID,
				Position: s.Position, Nodes: s.Nodes, Steps: s.Steps, RunnerTags: x.job.spec.Routes[s.Route],
				Threads: s.Threads, State: hub.AssignmentReady, Incarnation: d.cfg.Hold().Incarnation,
			},
			ReadyAt: st.Now(),
		}
		t, why := d.offer(fx, x.job, a, false)
		if t != nil {
			m.attempts = append(m.attempts, t)
		} else {
			m.why = why
			fx.ready = true
			d.waiting.Store(true)
		}
		m.assignments = append(m.assignments, a)
	}
	return m
}

// offer chooses a runner for an assignment and makes the attempt, or says why there is
// none. The assignment is active then, with its new number of attempts. here: only
// runners of this member.
func (d *Dispatcher) offer(fx *effects, j *job, a *store.AssignmentRow, here bool) (*store.AttemptRow, shortage) {
	hold := d.cfg.Hold()
	if hold.Kind == hub.HoldRestore || hold.Kind == hub.HoldPlanned {
		return nil, shortage{held: true}
	}
	id, tick := store.NewID(), d.tick()
	runnerID, why := d.reg.reserve(&a.Assignment, j.needs, id, tick, here)
	if runnerID == "" {
		return nil, why
	}
	fx.reserved = append(fx.reserved, place{runnerID, id})
	a.State = hub.AssignmentActive
	a.Attempts++
	t := &store.AttemptRow{
		Attempt: hub.Attempt{
			Fence:        hub.Fence{Incarnation: hold.Incarnation, AttemptID: id, Epoch: a.Attempts},
			AssignmentID: a.ID, ExecutionID: a.ExecutionID, OrganisationID: a.OrganisationID,
			RunnerID: runnerID, State: hub.AttemptOffered,
		},
		MemberID: cmp.Or(d.reg.memberOf(runnerID), d.cfg.MemberID), OfferTick: tick,
	}
	fx.offers = append(fx.offers, newWork(j, a, t))
	return t, why
}

// waitingFor says why an assignment found no runner.
func (d *Dispatcher) waitingFor(a *hub.Assignment, why shortage, now time.Time) *hub.WaitingFor {
	w := &hub.WaitingFor{Kind: "runner", Since: now}
	tags := ""
	if len(a.RunnerTags) > 0 {
		tags = " has tags " + strings.Join(a.RunnerTags, ", ")
	}
	switch {
	case why.held:
		w.Kind = "recovery"
		w.Message = "the database went back in time; nothing starts before the runners have shown what they have"
	case why.connected > 0:
		w.Kind = "queue"
		w.Message = fmt.Sprintf("all %d connected runners that may take it are busy", why.connected)
		if why.connected == 1 {
			w.Message = "the one connected runner that may take it is busy"
		}
	case why.old != "":
		w.Message = olderThanHub(why.old, why.lacks)
	case tags != "":
		w.Message = "no connected runner" + tags
	default:
		w.Message = "no runner of this project is connected"
	}
	return w
}

// nodeFailed is why nothing more starts after a failure.
const nodeFailed = "another node failed and keepgoing is off"

// stopNew bars further starts: offers are withdrawn, live siblings told.
func (d *Dispatcher) stopNew(ctx context.Context, st *store.Store, fx *effects, x *executionState, why string) error {
	if !x.row.NoNew {
		if err := st.SetNoNew(ctx, x.row.ID); err != nil {
			return err
		}
		x.row.NoNew = true
	}
	return d.endOpen(ctx, st, fx, x, hub.AssignmentSkipped, why)
}

// endOpen ends what of an execution is not granted, and tells the runners of what is.
// An assignment of which an earlier attempt may still act ends unknown.
func (d *Dispatcher) endOpen(ctx context.Context, st *store.Store, fx *effects, x *executionState, state hub.AssignmentState, reason string) error {
	if x.row.Doubtful() {
		return nil // what was asked is in its row, and acts when it is released
	}
	if err := x.lockOpen(ctx, st); err != nil {
		return err
	}
	live, err := d.withdraw(ctx, st, fx, x, reason)
	if err != nil {
		return err
	}
	var ends []store.AssignmentEnd
	for _, a := range x.assignments {
		if a.State.Final() || live[a.ID] {
			continue
		}
		end := store.AssignmentEnd{ID: a.ID, State: state, Reason: reason}
		if a.OpenAttempt && !failpoint.Mutant("M11") {
			end.State, end.Reason = hub.AssignmentUnknown, "an earlier attempt may still act; "+reason
		}
		a.State = end.State
		ends = append(ends, end)
	}
	return st.EndAssignments(ctx, ends)
}

// withdraw takes back the offers of an execution and returns which assignments have a
// live attempt.
func (d *Dispatcher) withdraw(ctx context.Context, st *store.Store, fx *effects, x *executionState, reason string) (map[string]bool, error) {
	open, err := st.OpenAttemptsOf(ctx, x.row.ID)
	if err != nil {
		return nil, err
	}
	var offered []string
	for _, t := range open {
		if t.State == hub.AttemptOffered {
			offered = append(offered, t.AttemptID)
		}
	}
	gone, err := st.WithdrawAttempts(ctx, offered, "withdraw", reason)
	if err != nil {
		return nil, err
	}
	live := make(map[string]bool)
	for _, t := range open {
		if gone[t.AttemptID] {
			fx.released = append(fx.released, place{t.RunnerID, t.AttemptID})
			fx.forgets = append(fx.forgets, forgetOrder{t.RunnerID, t.Fence})
			continue
		}
		// Live, or claimed between our look and our write: the claim was first.
		if failpoint.Mutant("M8") && x.row.CancelRequested {
			continue
		}
		live[t.AssignmentID] = true
		fx.stops = append(fx.stops, stopOrder{t.RunnerID, t.Fence, d.scope(x, t.AssignmentID)})
	}
	return live, nil
}

// scope is what an assignment's attempt has to stop.
func (d *Dispatcher) scope(x *executionState, assignmentID string) hub.StopScope {
	a := x.assignment(assignmentID)
	if a == nil {
		return hub.StopScope{}
	}
	return stopScope(x.row, a.Nodes)
}

// stopScope is what of an attempt over these nodes is to stop.
func stopScope(row *store.ExecutionRow, nodes []int) hub.StopScope {
	s := hub.StopScope{All: row.CancelRequested, NoNew: row.NoNew && !row.CancelRequested}
	for i, n := range nodes {
		if slices.Contains(row.CancelledNodes, n) {
			s.Nodes = append(s.Nodes, i)
		}
	}
	if s.All {
		s.Nodes = nil
	}
	s.Asked = s.All || s.NoNew || len(s.Nodes) > 0
	return s
}

// settle tells the outcome of an execution and, if its log is whole, ends it.
func (d *Dispatcher) settle(ctx context.Context, st *store.Store, fx *effects, x *executionState, outcome hub.Status) error {
	if x.row.Waits != "" {
		if err := leaveLine(ctx, st, x); err != nil {
			return err
		}
	}
	if x.row.Outcome == "" && x.row.JobID != "" && x.job.spec.Definition.AtOnce() > 0 {
		fx.line = true
	}
	whole, waiting, err := d.logState(ctx, st, x)
	if err != nil {
		return err
	}
	if x.row.Outcome != "" && waiting {
		return nil
	}
	counts := x.row.NodeCounts
	if x.row.Outcome == "" {
		if counts, err = d.countNodes(ctx, st, x, outcome); err != nil {
			return err
		}
	}
	end := store.Ending{
		ID: x.row.ID, Outcome: outcome, LogComplete: whole, NodeCounts: counts, Tick: d.tick(),
		Sealed: x.row.Sealed && x.row.Outcome == "",
	}
	if !waiting {
		end.EndedAt = st.Now()
	}
	fx.endings = append(fx.endings, end)
	end.Apply(x.row)
	if !waiting {
		fx.ended = append(fx.ended, x.row)
	}
	fx.event(hub.EventExecution, &x.row.Execution, x.row.Status)
	return nil
}

// logState tells whether everything that was printed is stored, and else whether it is
// still worth waiting for.
func (d *Dispatcher) logState(ctx context.Context, st *store.Store, x *executionState) (whole, waiting bool, err error) {
	if x.logWhole || len(x.assignments) == 0 {
		return true, false, nil
	}
	logs, err := st.LogsOf(ctx, x.row.ID)
	if err != nil {
		return false, false, err
	}
	whole = true
	for _, l := range logs {
		switch {
		case l.Total < 0, l.Broken:
			// Lost without a result: lost_after passed already, nobody can say what is missing.
			whole = false
		case l.Whole():
		default:
			whole = false
			heard := max(l.HeardTick, x.row.OutcomeTick)
			waiting = waiting || x.row.OutcomeTick == 0 || x.row.LostAfter == 0 || heard+x.row.LostAfter >= d.tick()
		}
	}
	return whole, waiting, nil
}

// countNodes counts nodes by how they ended.
func (d *Dispatcher) countNodes(ctx context.Context, st *store.Store, x *executionState, outcome hub.Status) (hub.NodeCounts, error) {
	rows := x.rows
	if rows == nil {
		var err error
		if rows, err = st.NodeSteps(ctx, x.row.ID); err != nil {
			return nil, err
		}
	}
	folded := workflow.Fold(x.job.workflow, rows, x.row.CancelledNodes)
	counts := make(hub.NodeCounts)
	for n := range x.job.base.Nodes {
		status, ran := folded.Nodes[n]
		if !ran {
			status = untouched(x.row, outcome, n)
		}
		counts[status]++
	}
	return counts, nil
}

// untouched is the state of a node that nothing was reported of once all is settled.
func untouched(row *store.ExecutionRow, outcome hub.Status, node int) hub.Status {
	switch {
	case outcome == hub.StatusUnknown && !row.NoNew && !row.CancelRequested:
		return hub.StatusUnknown
	case row.CancelRequested || slices.Contains(row.CancelledNodes, node):
		return hub.StatusCancelled
	default:
		return hub.StatusSkipped
	}
}
