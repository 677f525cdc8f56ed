package dispatch

import (
	"context"
	"slices"
	"strings"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/workflow"
	"github.com/fairlead/fairlead/proto/failpoint"
	"github.com/fairlead/fairlead/proto/wire"
)

// turn is one transaction of reports.
type turn struct {
	d      *Dispatcher
	st     *store.Store
	fx     *effects
	states map[string]*executionState
	moving map[string]*moving
	order  []*moving
	// given back and refused attempts, by what the runner said.
	returned []*reportCall
	refused  []*reportCall
	results  bool
	logs     []*store.LogState // of attempts with a result
	// earlier are all node steps of the attempts that close and were reported in pieces.
	earlier map[string][]hub.NodeStep
}

// moving is an attempt whose chain a transaction moves.
type moving struct {
	work *work
	row  *store.AttemptRow
	x    *executionState // nil when the execution is not locked
	next int64
	hash [32]byte
	// cells as this batch tells them, merged.
	cells map[hub.Cell]*hub.NodeStep
	late  bool // lost already: what comes is kept and changes nothing
	// failed: a failure that bars further starts. halted: the job's log limit was reached,
	// which bars them too, also where a failure does not.
	failed   bool
	halted   bool
	hostKeys []hub.HostKey
	result   *reportCall
	log      *store.LogState
	calls    []*reportCall
}

// take locks what the batch is about and applies it in memory. Calls whose execution
// another transaction holds are returned.
func (t *turn) take(ctx context.Context, calls []*reportCall, skipLocked bool) (later []*reportCall, err error) {
	var executions, attempts, results []string
	for _, c := range calls {
		if c.Request.needsExecution() {
			executions = append(executions, c.Request.work.assignment.ExecutionID)
		}
		if c.Request.kind == reportResult {
			results = append(results, c.Request.work.fence.AttemptID)
		}
		attempts = append(attempts, c.Request.work.fence.AttemptID)
	}
	rows, err := t.st.LockReported(ctx, unique(executions), unique(attempts), unique(results), skipLocked)
	if err != nil {
		return nil, err
	}
	if t.states, err = t.d.locked(ctx, t.st, rows); err != nil {
		return nil, err
	}
	t.logs = rows.Logs
	byID := make(map[string]*store.AttemptRow, len(rows.Attempts))
	for _, r := range rows.Attempts {
		byID[r.AttemptID] = r
	}
	deferred := make(map[string]bool)
	for _, c := range calls {
		w := c.Request.work
		x := t.states[w.assignment.ExecutionID]
		if x == nil && c.Request.needsExecution() || deferred[w.fence.AttemptID] {
			if !skipLocked {
				c.Err = refused(w.fence, hub.RefusedGone, "The execution is gone.")
				continue
			}
			// What follows of the same attempt waits with it, in order.
			deferred[w.fence.AttemptID] = true
			later = append(later, c)
			continue
		}
		row := byID[w.fence.AttemptID]
		if row == nil {
			c.Err = refused(w.fence, hub.RefusedGone, "The attempt is gone.")
			continue
		}
		t.apply(c, row, x)
	}
	return later, nil
}

func unique(ids []string) []string {
	slices.Sort(ids)
	return slices.Compact(ids)
}

// apply takes one report into memory, or answers it.
func (t *turn) apply(c *reportCall, row *store.AttemptRow, x *executionState) {
	switch c.Request.kind {
	case reportRefuse:
		t.refused = append(t.refused, c)
		return
	case reportNotStarted:
		t.returned = append(t.returned, c)
		return
	}
	m := t.moving[row.AttemptID]
	if m == nil {
		m = &moving{
			work: c.Request.work, row: row, next: row.StepNext, hash: row.StepHash, cells: make(map[hub.Cell]*hub.NodeStep),
			late: row.State == hub.AttemptUnknown && row.StepsTotal < 0 && !failpoint.Mutant("NM10"),
		}
		t.moving[row.AttemptID] = m
		t.order = append(t.order, m)
	}
	if x != nil {
		m.x = x
	}
	if !row.State.Live() && !m.late && row.StepsTotal < 0 && !failpoint.Mutant("M3") && !failpoint.Mutant("NM10") {
		c.Err = refused(row.Fence, hub.RefusedGone, "The attempt was never granted, or is over: "+string(row.State)+".")
		return
	}
	fresh, err := m.extend(&c.Request.steps)
	if err == nil && c.Request.kind == reportResult {
		err = m.complete(c)
	}
	if err != nil {
		c.Err = err
		return
	}
	for i := range fresh {
		m.record(&fresh[i])
	}
	m.calls = append(m.calls, c)
	c.Answer.nextN = m.next
}

// extend cuts what is known off a piece of the journal and checks that it is of the
// same history.
func (m *moving) extend(s *hub.Steps) (fresh []hub.StepRecord, err error) {
	if failpoint.Mutant("NM6") {
		m.next = max(m.next, s.FirstN+int64(len(s.Records)))
		return s.Records, nil
	}
	if s.FirstN > m.next {
		if failpoint.Mutant("NM8") {
			return nil, nil
		}
		return nil, &hub.Behind{Fence: s.Fence, NextN: m.next}
	}
	skip := m.next - s.FirstN
	if skip > int64(len(s.Records)) {
		return nil, nil
	}
	meet := s.PrevHash
	if skip > 0 {
		meet = s.Records[skip-1].Hash
	}
	if meet != m.hash && !failpoint.Mutant("NM7") {
		return nil, errOtherHistory
	}
	fresh = s.Records[skip:]
	if len(fresh) > 0 {
		if m.row.StepsTotal >= 0 {
			// Nothing is written after closed.
			return nil, errOtherHistory
		}
		m.next += int64(len(fresh))
		m.hash = fresh[len(fresh)-1].Hash
	}
	return fresh, nil
}

// complete checks that every record of a result is there.
func (m *moving) complete(c *reportCall) error {
	r := c.Request.result
	if m.row.StepsTotal >= 0 {
		return nil // a repeat
	}
	switch {
	case failpoint.Mutant("NM8"):
	case m.next < r.StepsTotal:
		return &hub.Behind{Fence: r.Fence, NextN: m.next}
	case m.next > r.StepsTotal || m.hash != r.StepsHash && !failpoint.Mutant("NM7"):
		return errOtherHistory
	}
	m.result = c
	return nil
}

// record merges a journal record into the cells.
func (m *moving) record(r *hub.StepRecord) {
	if r.Kind != hub.RecordStarted && r.Kind != hub.RecordEnded {
		return
	}
	node, step, ok := m.work.cell(r.Cell)
	if !ok {
		// Nothing of the spec: not for a row, but the chain counts it.
		return
	}
	key := hub.Cell{Node: node, Step: step, Try: r.Cell.Try + m.work.tryBase}
	row := m.cells[key]
	if row == nil {
		row = &hub.NodeStep{ExecutionID: m.row.ExecutionID, AttemptID: m.row.AttemptID, Node: node, Step: step, Try: key.Try}
		m.cells[key] = row
	}
	if r.Kind == hub.RecordStarted {
		if row.Status == "" {
			row.Status = hub.StatusRunning
		}
		row.StartedAt = r.Time
		return
	}
	row.Status = r.Status
	if !row.Status.Final() {
		row.Status = hub.StatusUnknown
	}
	if m.late {
		row.LateStatus = row.Status
	}
	row.Code, row.Exited, row.Signal, row.EndProven, row.NotStarted = r.Code, r.Exited, clean(r.Signal), r.EndProven, r.NotStarted
	row.Reason, row.Message, row.Data, row.EndedAt = clean(r.Reason), clean(r.Message), cleanMap(r.Data), r.Time
	row.Printed = r.Printed
	if r.NewHostKey != "" {
		name := m.work.job.base.Nodes[node].Name
		m.hostKeys = append(m.hostKeys, hub.HostKey{Node: name, Key: clean(r.NewHostKey)})
	}
	m.halted = m.halted || !m.late && r.Reason == wire.ReasonLogLimit
	m.failed = m.failed || !m.late && !(r.NotStarted && wire.ComesAgain(r.Reason)) && workflow.Failure(m.work.job.workflow, step, row.Status)
}

// clean makes a text of a runner storable.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}

func cleanMap(m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[clean(k)] = clean(v)
	}
	return out
}

// write brings everything to the database: output, node steps, attempts, assignments,
// executions.
func (t *turn) write(ctx context.Context) error {
	if err := t.writeOutput(ctx); err != nil {
		return err
	}
	if err := t.writeCells(ctx); err != nil {
		return err
	}
	if err := t.readEarlier(ctx); err != nil {
		return err
	}
	var steps []store.AttemptStep
	var ends []store.AssignmentEnd
	for _, m := range t.order {
		if len(m.calls) == 0 {
			continue
		}
		step, end, err := t.move(ctx, m)
		if err != nil {
			return err
		}
		steps = append(steps, step)
		if end != nil {
			ends = append(ends, *end)
		}
	}
	moved, err := t.st.StepAttempts(ctx, steps)
	if err != nil {
		return err
	}
	for _, m := range t.order {
		if len(m.calls) > 0 && !moved[m.row.AttemptID] {
			// Its row is locked, so this is a mutant at work, or a mistake of ours.
			return hub.Errorf(hub.CodeUnavailable, "Attempt %s moved meanwhile; send again.", m.row.AttemptID)
		}
	}
	if err := t.st.EndAssignments(ctx, ends); err != nil {
		return err
	}
	if err := t.giveBack(ctx); err != nil {
		return err
	}
	return t.advance(ctx)
}

// writeOutput appends the chunks that results brought.
func (t *turn) writeOutput(ctx context.Context) error {
	var adds []store.LogAppend
	for _, log := range t.logs {
		m := t.moving[log.AttemptID]
		if m == nil || !slices.ContainsFunc(m.calls, func(c *reportCall) bool { return c.Request.kind == reportResult }) {
			continue // it was refused, or waits for another transaction
		}
		t.results, m.log = true, log
		for _, c := range m.calls {
			if len(c.Request.chunks) == 0 {
				continue
			}
			add, _, err := output.Extend(log, c.Request.chunks)
			if err != nil {
				// The result stands by its records; the log shows as not whole.
				t.d.log.Error("result brought output that does not fit", "attempt", log.AttemptID, "error", err)
				continue
			}
			if add != nil {
				adds = append(adds, *add)
			}
			break
		}
	}
	won, err := t.st.AppendChunks(ctx, adds, t.d.tick(), t.d.cfg.MemberID)
	if err != nil {
		return err
	}
	for i := range adds {
		if _, ok := won[adds[i].AttemptID]; ok {
			log := t.moving[adds[i].AttemptID].log
			log.Next, log.Hash, log.Exists = adds[i].To, adds[i].Hash, true
		}
	}
	return nil
}

// writeCells writes node-step rows, and what stands in them beside the row.
func (t *turn) writeCells(ctx context.Context) error {
	var rows, late []hub.NodeStep
	for _, m := range t.order {
		for _, c := range m.cells {
			if m.late {
				late = append(late, *c)
			} else {
				rows = append(rows, *c)
			}
		}
		if len(m.cells) > 0 {
			t.fx.event(hub.EventNodeSteps, &m.work.job.base, hub.StatusRunning)
		}
		for _, k := range m.hostKeys {
			if _, err := t.st.RecordHostKey(ctx, m.work.job.base.ProjectID, k.Node, k.Key, m.row.RunnerID); err != nil {
				return err
			}
		}
	}
	slices.SortFunc(rows, compareCells)
	slices.SortFunc(late, compareCells)
	if err := t.st.PutNodeSteps(ctx, rows); err != nil {
		return err
	}
	return t.st.PutLate(ctx, late)
}

// readEarlier reads the node steps of attempts that close: this transaction wrote some,
// earlier ones the others.
func (t *turn) readEarlier(ctx context.Context) (err error) {
	var ids []string
	for _, m := range t.order {
		if m.result != nil && m.row.StepNext > 0 {
			ids = append(ids, m.row.AttemptID)
		}
	}
	t.earlier, err = t.st.NodeStepsOfAttempts(ctx, ids...)
	return err
}

// compareCells orders rows by key, so that two transactions never take the same ones
// crosswise.
func compareCells(a, b hub.NodeStep) int {
	if c := strings.Compare(a.ExecutionID, b.ExecutionID); c != 0 {
		return c
	}
	return slices.Compare([]int{a.Node, a.Step, a.Try}, []int{b.Node, b.Step, b.Try})
}
