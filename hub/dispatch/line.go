package dispatch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// ErrInLine refuses a fire while another one of its job waits for its turn.
var ErrInLine = errors.New("another fire of the job waits for its turn")

// takeTurns tells which of some starts may start now; of these it gives those of jobs
// with a limit their turns. For jobs without a limit it costs nothing.
func takeTurns(ctx context.Context, st *store.Store, calls []*startCall) (starting, waiting []*startCall, err error) {
	var jobs []string
	for _, c := range calls {
		r := &c.Request
		c.Err, r.row.Turn, r.row.Waits = nil, 0, ""
		if r.job != nil && r.most > 0 {
			jobs = append(jobs, r.row.JobID)
		}
	}
	turns := map[string]*store.Turns{}
	if len(jobs) > 0 {
		if turns, err = st.Turns(ctx, unique(jobs)); err != nil {
			return nil, nil, err
		}
	}
	for _, c := range calls {
		r := &c.Request
		t := turns[r.row.JobID]
		switch {
		case r.job == nil:
			r.row.Waits = hub.WaitsForTime
		case r.most > 0 && t.Waiting > 0:
			r.row.Waits = hub.WaitsForTurn
		case r.most > 0:
			if r.row.Turn = t.Free(r.most); r.row.Turn > 0 {
				t.Taken[r.row.Turn] = 0
			} else {
				r.row.Waits = hub.WaitsForTurn
			}
		}
		if r.row.Waits == "" {
			starting = append(starting, c)
		} else {
			waiting = append(waiting, c)
		}
	}
	// Members that start the same jobs at once must not wait for each other in a circle.
	slices.SortStableFunc(starting, func(a, b *startCall) int { return strings.Compare(a.Request.row.JobID, b.Request.row.JobID) })
	return starting, waiting, nil
}

// park inserts what may not start yet, behind what is inserted already. Those for whom
// the line is too long are refused.
func (d *Dispatcher) park(ctx context.Context, st *store.Store, fx *effects, calls []*startCall) error {
	var jobs []string
	for _, c := range calls {
		if c.Request.row.Waits == hub.WaitsForTurn {
			jobs = append(jobs, c.Request.row.JobID)
		}
	}
	turns := map[string]*store.Turns{}
	if len(jobs) > 0 {
		jobs = unique(jobs)
		if err := st.LockJobs(ctx, jobs); err != nil {
			return err
		}
		var err error
		if turns, err = st.Turns(ctx, jobs); err != nil {
			return err
		}
	}
	var rows []*store.ExecutionRow
	var waits []*store.Wait
	for _, c := range calls {
		r := &c.Request
		if r.row.Waits == hub.WaitsForTurn {
			if c.Err = joins(r, turns[r.row.JobID]); c.Err != nil {
				continue
			}
			fx.line = true // a turn may have become free since it was asked for
		}
		r.row.Slices, r.row.NodeCount, r.row.RunnerTimeout = 0, 0, 0
		r.row.WaitingFor = waitsFor(r, turns[r.row.JobID], st.Now())
		rows = append(rows, r.row)
		waits = append(waits, &store.Wait{
			JobID: r.row.JobID, ProjectID: r.row.ProjectID, DueAt: r.row.RunAt, Since: st.Now(), Most: r.most, Fire: r.fire,
			Spec: *r.spec, Choice: r.choice,
		})
	}
	if len(rows) == 0 {
		return nil
	}
	return st.InsertWaiting(ctx, rows, waits)
}

// joins counts a start into the line of its job, or says why it may not.
func joins(r *startRequest, t *store.Turns) error {
	if r.fire && t.Fires > 0 {
		return &hub.Error{
			Code: hub.CodeConflict, Cause: ErrInLine,
			Message: fmt.Sprintf("The job %s had not ended (%s), and an earlier fire waits for that.", r.row.JobName, numbered(t)),
		}
	}
	if t.Waiting >= hub.MaxInLine {
		return hub.Errorf(hub.CodeExhausted,
			"%d executions of the job %s wait for their turn already, and no more may; cancel some, or let it run several times at once (multipleExecutions: true).",
			t.Waiting, r.row.JobName)
	}
	t.Waiting++
	if r.fire {
		t.Fires++
	}
	return nil
}

// waitsFor says what an execution waits for that is not cut yet.
func waitsFor(r *startRequest, t *store.Turns, now time.Time) *hub.WaitingFor {
	if r.row.Waits == hub.WaitsForTime {
		return &hub.WaitingFor{Kind: "schedule", Since: now, Message: "until " + r.row.RunAt.UTC().Format(time.RFC3339)}
	}
	return &hub.WaitingFor{Kind: "queue", Since: now, Message: inTheWay(t)}
}

// inTheWay says what has to end before an execution has its turn.
func inTheWay(t *store.Turns) string {
	switch len(t.Taken) {
	case 0:
		return "those of this job that came before it"
	case 1:
		return numbered(t) + " of this job to end"
	default:
		return fmt.Sprintf("one of %d executions of this job to end (%s)", len(t.Taken), numbered(t))
	}
}

// numbered names what runs of a job, ten at most.
func numbered(t *store.Turns) string {
	const most = 10
	numbers := slices.Sorted(maps.Values(t.Taken))
	var names []string
	for _, n := range numbers[:min(len(numbers), most)] {
		names = append(names, fmt.Sprintf("execution #%d", n))
	}
	if len(numbers) > most {
		names = append(names, "...")
	}
	return strings.Join(names, ", ")
}

// lineMoved hints that a turn may be free.
func (d *Dispatcher) lineMoved() {
	select {
	case d.line <- struct{}{}:
	default:
	}
}

// runLine starts what waits for its turn: when something of its job ended here, and by
// the poll.
func (d *Dispatcher) runLine(ctx context.Context) error {
	timer := time.NewTicker(d.cfg.Poll)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.line:
		case <-timer.C:
		}
		if err := d.serveLine(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("cannot start what waits for its turn", "error", err)
		}
	}
}

// serveLine starts what has its turn until nothing more has.
func (d *Dispatcher) serveLine(ctx context.Context) error {
	for {
		list, err := d.st.NextInLine(ctx, offersAtOnce)
		if err != nil {
			return err
		}
		moved := false
		var all []error
		for _, w := range list {
			done, err := d.StartWaiting(ctx, w)
			moved = moved || done
			all = append(all, err)
		}
		if err := errors.Join(all...); err != nil || !moved {
			return err
		}
	}
}

// StartWaiting starts an execution whose time or turn has come, on the nodes that there
// are now, or ends it with the reason why it cannot. One whose time has come while
// others of its job run waits for its turn from now on. moved is false if all stays as
// it is.
func (d *Dispatcher) StartWaiting(ctx context.Context, w *store.Wait) (moved bool, err error) {
	if !w.DueAt.IsZero() && d.st.Now().Sub(w.DueAt) > hub.MaxBehind {
		// Which of the two it was is not known any more.
		return d.endWaiting(ctx, w, fmt.Sprintf("It could not be started at its time, nor within %v after it: no member was there to do so, or the cluster was held.", hub.MaxBehind))
	}
	b, err := d.beginning(ctx, w)
	switch hub.ErrorCode(err) {
	case "":
		if b == nil {
			return false, err
		}
	case hub.CodeInvalid, hub.CodeNotFound, hub.CodeConflict, hub.CodeForbidden:
		return d.endWaiting(ctx, w, hub.ErrorReason(err))
	default:
		return false, err
	}
	fx := &effects{d: d, projects: map[string]*hub.Project{b.project.ID: b.project}}
	err = fx.commit(ctx, func(st *store.Store) error {
		moved, err = b.commit(ctx, st, fx)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("starting execution %d, which waited: %w", b.row.Number, err)
	}
	if moved && b.row.Waits == "" {
		d.cache.addJob(b.job)
	}
	fx.apply(ctx)
	return moved, nil
}

// beginning is an execution that waited and is to start.
type beginning struct {
	d       *Dispatcher
	wait    *store.Wait
	project *hub.Project
	row     *store.ExecutionRow
	job     *job
}

// beginning does what needs no transaction; nil for one that is gone.
func (d *Dispatcher) beginning(ctx context.Context, w *store.Wait) (*beginning, error) {
	rows, err := d.st.ExecutionRows(ctx, []string{w.ExecutionID})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	b := &beginning{d: d, wait: w, row: rows[0]}
	if w.JobID != "" {
		def, err := d.st.Job(ctx, w.ProjectID, w.JobID)
		if hub.ErrorCode(err) == hub.CodeNotFound {
			return nil, hub.Errorf(hub.CodeNotFound, "The job was deleted before this could start.")
		}
		if err != nil {
			return nil, err
		}
		if def.ExecutionDisabled {
			return nil, disabled(def)
		}
		// A change of it may have crossed the start, and then the row has the one before.
		w.Most = def.AtOnce()
	}
	if b.project, err = d.st.Project(ctx, b.row.OrganisationID, w.ProjectID); err != nil {
		return nil, err
	}
	b.row.Waits = ""
	b.job, err = d.place(ctx, b.project, b.row, &w.Spec, w.Choice)
	return b, err
}

// commit takes the turn and makes what starts.
func (b *beginning) commit(ctx context.Context, st *store.Store, fx *effects) (moved bool, err error) {
	row, err := lockWaiting(ctx, st, b.wait.ExecutionID)
	if row == nil || err != nil {
		return false, err
	}
	b.row = row
	t := &store.Turns{Taken: map[int]int64{}}
	if b.wait.Most > 0 {
		turns, err := st.Turns(ctx, []string{b.wait.JobID})
		if err != nil {
			return false, err
		}
		t = turns[b.wait.JobID]
		row.Turn = t.Free(b.wait.Most)
		if first := t.First == "" || t.First == row.ID; !first || row.Turn == 0 {
			return b.joinLine(ctx, st, fx, t)
		}
	}
	row.Waits = ""
	m, outcome := b.d.firstCut(st, fx, row, b.job)
	if err := st.LeaveLine(ctx, row, b.job.spec, false); err != nil {
		return false, err
	}
	if err := m.insert(ctx, st); err != nil {
		return false, err
	}
	fx.event(hub.EventExecution, &row.Execution, row.Status)
	if outcome != "" {
		if err := b.d.settle(ctx, st, fx, &executionState{row: row, job: b.job}, outcome); err != nil {
			return false, err
		}
	}
	t.Taken[row.Turn] = row.Number
	return true, b.tellOthers(ctx, st, fx, t)
}

// joinLine makes an execution whose time has come wait for its turn.
func (b *beginning) joinLine(ctx context.Context, st *store.Store, fx *effects, t *store.Turns) (moved bool, err error) {
	if b.wait.DueAt.IsZero() {
		return false, nil // it stays where it is
	}
	fx.event(hub.EventExecution, &b.row.Execution, b.row.Status)
	return true, st.JoinLine(ctx, b.row.ID, hub.WaitingFor{Kind: "queue", Since: st.Now(), Message: inTheWay(t)})
}

// tellOthers says to those that still wait what they wait for now.
func (b *beginning) tellOthers(ctx context.Context, st *store.Store, fx *effects, t *store.Turns) error {
	if t.Waiting == 0 || t.Waiting == 1 && t.First == b.row.ID {
		return nil
	}
	rows, err := st.SayInLine(ctx, b.wait.JobID, inTheWay(t))
	for _, row := range rows {
		fx.event(hub.EventExecution, &row.Execution, row.Status)
	}
	return err
}

// lockWaiting takes the row of an execution if it still waits, else it is nil.
func lockWaiting(ctx context.Context, st *store.Store, id string) (*store.ExecutionRow, error) {
	rows, err := st.LockExecutions(ctx, []string{id}, false)
	if err != nil || len(rows) == 0 || rows[0].Waits == "" || rows[0].Held || !rows[0].EndedAt.IsZero() {
		return nil, err
	}
	return rows[0], nil
}

// endWaiting ends an execution that cannot start.
func (d *Dispatcher) endWaiting(ctx context.Context, w *store.Wait, reason string) (moved bool, err error) {
	err = d.changeLocked(ctx, w.ExecutionID, false, func(st *store.Store, fx *effects, x *executionState) error {
		if moved = x.row.Waits != "" && !x.row.Held && x.row.EndedAt.IsZero(); !moved {
			return nil
		}
		x.row.Reason = reason
		return d.settle(ctx, st, fx, x, hub.StatusFailed)
	})
	if err != nil {
		return false, fmt.Errorf("ending an execution that cannot start: %w", err)
	}
	if moved {
		d.log.WarnContext(ctx, "an execution that waited could not start", "execution", w.ExecutionID, "reason", reason)
	}
	return moved, nil
}

// leaveLine ends the wait of an execution that is settled before it began: what it was
// asked to do stays, the values of its secure options do not.
func leaveLine(ctx context.Context, st *store.Store, x *executionState) error {
	spec := *x.job.spec
	spec.Sealed = nil
	x.row.Waits, x.row.WaitingFor, x.row.Turn = "", nil, 0
	return st.LeaveLine(ctx, x.row, &spec, false)
}
