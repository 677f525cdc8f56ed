package store

import (
	"context"
	"fmt"
	"time"

	"github.com/fairlead/fairlead/hub"
)

// Wait is what an execution that waits needs to start.
type Wait struct {
	ExecutionID string
	JobID       string // "" of a command
	ProjectID   string
	// DueAt is zero for one that waits for its turn alone.
	DueAt time.Time
	// Since is when it joined the line of its job, or was asked for.
	Since time.Time
	// Most of its job may run at once; 0: any number.
	Most int
	// Fire: it is one of the job's schedule.
	Fire bool
	// Spec has no nodes and routes, and its sealed values.
	Spec ExecutionSpec
	// Choice says how its nodes are found.
	Choice NodeChoice
}

// NodeChoice is what a run says about its nodes beside its definition.
type NodeChoice struct {
	// Filter in place of the definition's; "" keeps it.
	Filter string
	// Nodes, if not nil, are the names of those that remain.
	Nodes []string
}

const waitColumns = `w.execution_id, w.job_id, w.project_id, w.due_at, w.since, w.most, w.fire, w.spec, w.choice, w.sealed`

func scanWait(r scanner) (*Wait, error) {
	w := &Wait{}
	var sealed []byte
	err := r.Scan(&w.ExecutionID, &w.JobID, &w.ProjectID, timeInto(&w.DueAt), timeInto(&w.Since), &w.Most, &w.Fire,
		jsonInto(&w.Spec), jsonInto(&w.Choice), &sealed)
	w.Spec.Sealed = sealed
	return w, err
}

func specOf(w *Wait) *ExecutionSpec {
	if w == nil {
		return nil
	}
	return &w.Spec
}

// Wait returns what an execution waits with, nil if it does not wait.
func (s *Store) Wait(ctx context.Context, executionID string) (*Wait, error) {
	w, err := scanWait(s.queryRow(ctx, `SELECT `+waitColumns+` FROM execution_wait w WHERE w.execution_id = $1`, executionID))
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what execution %s waits for: %w", executionID, err)
	}
	return w, nil
}

// uncounted are the nodes of one that waits: none is known yet. Members of the version
// before list it as it is then, and do not look for its spec.
const uncounted = `{"queued":0}`

// InsertWaiting inserts executions that wait, and gives them their numbers.
func (s *Store) InsertWaiting(ctx context.Context, rows []*ExecutionRow, waits []*Wait) error {
	err := inPieces(len(rows), func(from, to int) error {
		specs := make([]*ExecutionSpec, to-from)
		for i := range specs {
			specs[i] = &waits[from+i].Spec
		}
		return s.insertExecutions(ctx, rows[from:to], specs)
	})
	for i := 0; err == nil && i < len(rows); i++ {
		err = s.insertWait(ctx, rows[i], waits[i])
	}
	if err != nil {
		return fmt.Errorf("inserting executions that wait: %w", err)
	}
	return nil
}

func (s *Store) insertWait(ctx context.Context, row *ExecutionRow, w *Wait) error {
	_, err := s.exec(ctx, `UPDATE execution SET waits_for = $2, run_at = $3, node_counts = $4 WHERE id = $1`, row.ID, string(row.Waits), at(row.RunAt), uncounted)
	if err != nil {
		return err
	}
	spec := w.Spec
	spec.Sealed = nil // it has its own column, and no other
	_, err = s.exec(ctx, `INSERT INTO execution_wait (execution_id, job_id, project_id, due_at, since, most, fire, spec, choice, sealed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		row.ID, w.JobID, w.ProjectID, at(w.DueAt), at(w.Since), w.Most, w.Fire, asJSON(spec), asJSON(w.Choice), blob(w.Spec.Sealed))
	return err
}

// Turns tells what of a job runs and waits.
type Turns struct {
	// Taken are the turns of those that run, with their numbers.
	Taken map[int]int64
	// Waiting for their turn, and how many of these are fires.
	Waiting, Fires int
	// First in the line, "" if nothing waits.
	First string
}

// Free returns the lowest turn that is free, 0 if none is; most is 1 or more.
func (t *Turns) Free(most int) int {
	for turn := 1; turn <= most; turn++ {
		if _, taken := t.Taken[turn]; !taken && len(t.Taken) < most {
			return turn
		}
	}
	return 0
}

// Turns reads what of jobs runs and waits, by job. Two members may read the same at a
// time: an index lets only one of them take a turn, and the other's transaction is run
// again.
func (s *Store) Turns(ctx context.Context, jobIDs []string) (map[string]*Turns, error) {
	out := make(map[string]*Turns, len(jobIDs))
	for _, id := range jobIDs {
		out[id] = &Turns{Taken: map[int]int64{}}
	}
	scan := func(r scanner) (t *Turns, err error) {
		var job string
		var turn int
		var number int64
		var line Turns
		if err := r.Scan(&job, &turn, &number, &line.Waiting, &line.Fires, &line.First); err != nil {
			return nil, err
		}
		t = out[job]
		if turn > 0 {
			t.Taken[turn] = number
		} else {
			t.Waiting, t.Fires, t.First = line.Waiting, line.Fires, line.First
		}
		return t, nil
	}
	err := inPieces(len(jobIDs), func(from, to int) error {
		in := params(1, to-from)
		_, err := collect(ctx, s, scan, `SELECT job_id, turn, number, 0, 0, '' FROM execution WHERE job_id IN (`+in+`) AND turn > 0 AND outcome = ''
			UNION ALL SELECT w.job_id, 0, 0, count(*), sum(CASE WHEN w.fire THEN 1 ELSE 0 END),
				(SELECT f.execution_id FROM execution_wait f WHERE f.job_id = w.job_id AND f.due_at = 0 ORDER BY f.since, f.execution_id LIMIT 1)
			FROM execution_wait w WHERE w.job_id IN (`+in+`) AND w.due_at = 0 GROUP BY w.job_id`, anys(jobIDs[from:to])...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading whose turn it is: %w", err)
	}
	return out, nil
}

// LockJobs takes the rows of jobs: who lengthens a line holds its job, so that the bound
// of the line holds too.
func (s *Store) LockJobs(ctx context.Context, ids []string) error {
	return inPieces(len(ids), func(from, to int) error {
		_, err := collect(ctx, s, scanID, `SELECT id FROM job WHERE id IN (`+params(1, to-from)+`) ORDER BY id`+s.dialect.forUpdate, anys(ids[from:to])...)
		return err
	})
}

// freeTurn is whether the job of w has a turn to give.
const freeTurn = `(w.most = 0 OR w.most > (SELECT count(*) FROM execution o WHERE o.job_id = w.job_id AND o.turn > 0 AND o.outcome = ''))`

// firstInLine is whether w is the one that comes next of its job.
const firstInLine = `NOT EXISTS (SELECT 1 FROM execution_wait f WHERE f.job_id = w.job_id AND f.due_at = 0 AND (f.since, f.execution_id) < (w.since, w.execution_id))`

// NextInLine returns for each job that has a turn to give the first that waits for one,
// and whatever waits of jobs that are gone. What is held stays in its place.
func (s *Store) NextInLine(ctx context.Context, limit int) ([]*Wait, error) {
	list, err := collect(ctx, s, scanWait, `SELECT `+waitColumns+` FROM execution_wait w JOIN execution e ON e.id = w.execution_id
		WHERE (w.due_at = 0 AND `+freeTurn+` AND `+firstInLine+` OR w.job_id <> '' AND NOT EXISTS (SELECT 1 FROM job j WHERE j.id = w.job_id))
			AND NOT `+heldE+` ORDER BY w.since, w.execution_id LIMIT $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("looking for executions whose turn has come: %w", err)
	}
	return list, nil
}

// DueWaits returns up to limit executions whose time has come, the earliest first.
func (s *Store) DueWaits(ctx context.Context, limit int) ([]*Wait, error) {
	list, err := collect(ctx, s, scanWait, `SELECT `+waitColumns+` FROM execution_wait w JOIN execution e ON e.id = w.execution_id
		WHERE w.due_at > 0 AND w.due_at <= $1 AND NOT `+heldE+` ORDER BY w.due_at, w.execution_id LIMIT $2`, at(s.Now()), limit)
	if err != nil {
		return nil, fmt.Errorf("looking for executions whose time has come: %w", err)
	}
	return list, nil
}

// EarliestWait returns when the first execution is due that waits for a time after now,
// zero if none does.
func (s *Store) EarliestWait(ctx context.Context) (time.Time, error) {
	var first time.Time
	err := s.queryRow(ctx, `SELECT COALESCE(min(due_at), 0) FROM execution_wait WHERE due_at > $1`, at(s.Now())).Scan(timeInto(&first))
	if err != nil {
		return time.Time{}, fmt.Errorf("looking for the next run at a time: %w", err)
	}
	return first, nil
}

// JoinLine lets an execution whose time has come wait for its turn.
func (s *Store) JoinLine(ctx context.Context, id string, w hub.WaitingFor) error {
	_, err := s.exec(ctx, `UPDATE execution_wait SET due_at = 0, since = $2 WHERE execution_id = $1`, id, at(w.Since))
	if err == nil {
		_, err = s.exec(ctx, `UPDATE execution SET waits_for = 'turn', waiting_kind = $2, waiting_since = $3, waiting_message = $4 WHERE id = $1`,
			id, w.Kind, at(w.Since), w.Message)
	}
	if err != nil {
		return fmt.Errorf("letting execution %s wait for its turn: %w", id, err)
	}
	return nil
}

// LeaveLine gives an execution that waits its spec, and what its row tells of it.
// recovered: a runner shows that it has begun.
func (s *Store) LeaveLine(ctx context.Context, row *ExecutionRow, spec *ExecutionSpec, recovered bool) error {
	var w hub.WaitingFor
	if row.WaitingFor != nil {
		w = *row.WaitingFor
	}
	_, err := s.exec(ctx, `UPDATE execution SET waits_for = '', turn = $2, slices = $3, node_count = $4, node_counts = '', runner_timeout_us = $5,
			waiting_kind = $6, waiting_since = $7, waiting_message = $8, recovered = $9, reason = $10 WHERE id = $1`,
		row.ID, row.Turn, row.Slices, row.NodeCount, row.RunnerTimeout.Microseconds(), w.Kind, at(w.Since), w.Message, recovered, row.Reason)
	if err == nil {
		err = s.insertSpecs(ctx, []*ExecutionRow{row}, []*ExecutionSpec{spec})
	}
	if err == nil {
		_, err = s.exec(ctx, `DELETE FROM execution_wait WHERE execution_id = $1`, row.ID)
	}
	if err != nil {
		return fmt.Errorf("starting execution %s, which waited: %w", row.ID, err)
	}
	return nil
}

// SayInLine says of all that wait for their turn of a job what is in their way, and
// returns them.
func (s *Store) SayInLine(ctx context.Context, jobID, message string) ([]*ExecutionRow, error) {
	_, err := s.exec(ctx, `UPDATE execution SET waiting_message = $2 WHERE id IN (SELECT w.execution_id FROM execution_wait w WHERE w.job_id = $1 AND w.due_at = 0)`,
		jobID, message)
	if err != nil {
		return nil, fmt.Errorf("saying what executions of job %s wait for: %w", jobID, err)
	}
	return collect(ctx, s, scanExecution, `SELECT `+executionColumns+` FROM execution
		WHERE id IN (SELECT w.execution_id FROM execution_wait w WHERE w.job_id = $1 AND w.due_at = 0)`, jobID)
}

// putLimit tells what waits of a job how many of it may run at once now, and lets what
// runs count.
func (s *Store) putLimit(ctx context.Context, j, old *hub.Job) error {
	if j.AtOnce() == old.AtOnce() {
		return nil
	}
	_, err := s.exec(ctx, `UPDATE execution_wait SET most = $2 WHERE job_id = $1`, j.ID, j.AtOnce())
	if err == nil && j.AtOnce() > 0 {
		err = s.giveTurns(ctx, j.ID)
	}
	return err
}

// uncountedRuns are executions of a job that run without a turn.
const uncountedRuns = `job_id = $1 AND turn = 0 AND waits_for = '' AND outcome = '' AND ended_at = 0`

// giveTurns gives those that run without a turn one each, behind those that are taken:
// they began while the job had no limit. It is done here and not with each start, so that
// neither a start without a limit nor the look at one has to count them. Turns above the
// limit are in the way as others are.
func (s *Store) giveTurns(ctx context.Context, jobID string) error {
	ids, err := collect(ctx, s, scanID, `SELECT id FROM execution WHERE `+uncountedRuns+` ORDER BY id`+s.dialect.forUpdate, jobID)
	if err != nil || len(ids) == 0 {
		return err
	}
	_, err = s.exec(ctx, `UPDATE execution SET turn = given.turn FROM (
			SELECT e.id, row_number() OVER (ORDER BY e.number) +
				(SELECT COALESCE(max(t.turn), 0) FROM execution t WHERE t.job_id = $1 AND t.turn > 0 AND t.outcome = '') AS turn
			FROM execution e WHERE `+uncountedRuns+`) given
		WHERE execution.id = given.id`, jobID)
	return err
}
