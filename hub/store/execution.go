package store

import (
	"context"
	"strconv"
	"time"

	"github.com/fairlead/fairlead/hub"
)

// ExecutionRow is an execution without what is wide (definition, nodes, options), with
// what dispatch needs besides.
type ExecutionRow struct {
	hub.Execution
	// Slices of its plan and nodes of its run.
	Slices, NodeCount int
	// Sealed: values of secure options are stored, and go when it is over.
	Sealed        bool
	RunnerTimeout time.Duration
	// Turn is which of those that its job may have at once it is; 0: not counted.
	Turn  int
	older bool // than the cluster's incarnation
	// OutcomeTick is when its outcome became known; 0 before.
	OutcomeTick int64
}

// Doubtful reports whether runners may have grants of it that the database forgot: then
// nothing of it is decided. One that is held and not doubtful only waits.
func (e *ExecutionRow) Doubtful() bool { return e.Held && e.older }

// ExecutionSpec is what of an execution never changes and is wide.
type ExecutionSpec struct {
	Definition *hub.Job
	Nodes      []hub.Node
	// Routes are tag lists, NodeRoutes says for each node which one its runner must bear.
	Routes        [][]string
	NodeRoutes    []int
	Options       map[string]string
	SecureOptions []string
	NodeFilter    string
	Threads       int
	Strategy      hub.Strategy
	// Sealed values of secure options; nil for none.
	Sealed []byte
}

const executionColumns = `id, organisation_id, project_id, number, job_id, job_revision, job_name, status, outcome, log_complete,
	slices, node_count, keepgoing, lost_after, cancel_requested, cancelled_by, cancelled_nodes, no_new, incarnation, started_by,
	waiting_kind, waiting_since, waiting_message, timeout_us, runner_timeout_us, sealed, outcome_tick, node_counts,
	created_at, started_at, ended_at, recovered, waits_for, run_at, reason, kept, ` + heldExecution + `,
	incarnation < COALESCE((SELECT c.incarnation FROM cluster c WHERE c.singleton = 1), 0)`

func scanExecution(r scanner) (*ExecutionRow, error) {
	e := &ExecutionRow{}
	var w hub.WaitingFor
	var timeout, runnerTimeout int64
	err := r.Scan(&e.ID, &e.OrganisationID, &e.ProjectID, &e.Number, &e.JobID, &e.JobRevision, &e.JobName, &e.Status, &e.Outcome, &e.LogComplete,
		&e.Slices, &e.NodeCount, &e.Keepgoing, &e.LostAfter, &e.CancelRequested, &e.CancelledBy, jsonInto(&e.CancelledNodes), &e.NoNew, &e.Incarnation, &e.StartedBy,
		&w.Kind, timeInto(&w.Since), &w.Message, &timeout, &runnerTimeout, &e.Sealed, &e.OutcomeTick, jsonInto(&e.NodeCounts),
		timeInto(&e.CreatedAt), timeInto(&e.StartedAt), timeInto(&e.EndedAt), &e.Recovered, &e.Waits, timeInto(&e.RunAt), &e.Reason, &e.Kept, &e.Held, &e.older)
	if err != nil {
		return nil, err
	}
	e.Timeout, e.RunnerTimeout = time.Duration(timeout)*time.Microsecond, time.Duration(runnerTimeout)*time.Microsecond
	if w.Kind != "" {
		e.WaitingFor = &w
	}
	return e, nil
}

// InsertExecutions inserts queued executions, each with its spec, and gives them their
// numbers.
func (s *Store) InsertExecutions(ctx context.Context, rows []*ExecutionRow, specs []*ExecutionSpec) error {
	return inPieces(len(rows), func(from, to int) error {
		if err := s.insertExecutions(ctx, rows[from:to], specs[from:to]); err != nil {
			return err
		}
		return s.insertSpecs(ctx, rows[from:to], specs[from:to])
	})
}

func (s *Store) insertExecutions(ctx context.Context, rows []*ExecutionRow, specs []*ExecutionSpec) error {
	byID := make(map[string]*ExecutionRow, len(rows))
	var args []any
	for i, e := range rows {
		byID[e.ID] = e
		var w hub.WaitingFor
		if e.WaitingFor != nil {
			w = *e.WaitingFor
		}
		args = append(args, e.ID, e.OrganisationID, e.ProjectID, e.JobID, e.JobRevision, e.JobName,
			e.Slices, e.NodeCount, e.Keepgoing, e.LostAfter, e.Incarnation, e.StartedBy, w.Kind, at(w.Since), w.Message,
			e.Timeout.Microseconds(), e.RunnerTimeout.Microseconds(), specs[i].Sealed != nil, at(e.CreatedAt), e.Turn)
	}
	rowNumber := func(r scanner) (string, error) {
		var id string
		var number int64
		if err := r.Scan(&id, &number); err != nil {
			return "", err
		}
		byID[id].Number = number
		return id, nil
	}
	// Nothing is accepted while the database is being moved.
	made, err := collect(ctx, s, rowNumber, `WITH v (id, organisation_id, project_id, job_id, job_revision, job_name,
			slices, node_count, keepgoing, lost_after, incarnation, started_by, waiting_kind, waiting_since, waiting_message,
			timeout_us, runner_timeout_us, sealed, created_at, turn) AS (VALUES `+s.values("ttttitiioiittitiioii", len(rows))+`)
		INSERT INTO execution (id, organisation_id, project_id, job_id, job_revision, job_name, status,
			slices, node_count, keepgoing, lost_after, incarnation, started_by, waiting_kind, waiting_since, waiting_message,
			timeout_us, runner_timeout_us, sealed, created_at, turn)
		SELECT id, organisation_id, project_id, job_id, job_revision, job_name, 'queued', slices, node_count, keepgoing, lost_after, incarnation,
			started_by, waiting_kind, waiting_since, waiting_message, timeout_us, runner_timeout_us, sealed, created_at, turn
		FROM v WHERE NOT `+planned+` RETURNING id, number`, args...)
	if err == nil && len(made) == 0 {
		return hub.Errorf(hub.CodeUnavailable, "The database is being moved; nothing is started until it is over. Try again then.")
	}
	return err
}

func (s *Store) insertSpecs(ctx context.Context, rows []*ExecutionRow, specs []*ExecutionSpec) error {
	var args []any
	for i, spec := range specs {
		args = append(args, rows[i].ID, asJSON(spec.Definition), asJSON(spec.Nodes), asJSON(spec.Routes), asJSON(spec.NodeRoutes), asJSON(spec.Options),
			asJSON(spec.SecureOptions), spec.NodeFilter, spec.Threads, string(spec.Strategy), blob(spec.Sealed))
	}
	return s.later(ctx, `INSERT INTO execution_spec (execution_id, definition, nodes, routes, node_routes, options, secure_options,
		node_filter, threads, strategy, sealed_options) VALUES `+tuples(1, len(rows), 11), args...)
}

// ExecutionSpec reads the wide part of an execution; while it waits that has no nodes.
func (s *Store) ExecutionSpec(ctx context.Context, id string) (*ExecutionSpec, error) {
	spec, err := s.startedSpec(ctx, id)
	if !missing(err) {
		return spec, err
	}
	w, err := s.Wait(ctx, id)
	if err != nil || w != nil {
		return specOf(w), err
	}
	// It may have left the line between the two looks.
	spec, err = s.startedSpec(ctx, id)
	if missing(err) {
		return nil, hub.Errorf(hub.CodeNotFound, "Execution %s does not exist.", id)
	}
	return spec, err
}

const specColumns = `definition, nodes, routes, node_routes, options, secure_options, node_filter, threads, strategy, sealed_options`

func scanSpec(r scanner) (*ExecutionSpec, error) {
	spec := &ExecutionSpec{}
	err := r.Scan(jsonInto(&spec.Definition), jsonInto(&spec.Nodes), jsonInto(&spec.Routes),
		jsonInto(&spec.NodeRoutes), jsonInto(&spec.Options), jsonInto(&spec.SecureOptions), &spec.NodeFilter, &spec.Threads, &spec.Strategy, &spec.Sealed)
	return spec, err
}

func (s *Store) startedSpec(ctx context.Context, id string) (*ExecutionSpec, error) {
	return scanSpec(s.queryRow(ctx, `SELECT `+specColumns+` FROM execution_spec WHERE execution_id = $1`, id))
}

// ExecutionWithSpec is ExecutionRow by the id with ExecutionSpec.
func (s *Store) ExecutionWithSpec(ctx context.Context, organisationID, id string) (*ExecutionRow, *ExecutionSpec, error) {
	var spec *ExecutionSpec
	row, err := scanExecution(beside(s.queryRow(ctx, `SELECT `+prefixed("s", specColumns)+`, e.*
		FROM execution_spec s JOIN (SELECT `+executionColumns+` FROM execution WHERE purged_at = 0) e ON e.id = s.execution_id
		WHERE s.execution_id = $2 AND e.organisation_id || '' = $1`, organisationID, id), &spec, scanSpec))
	if !missing(err) {
		return row, spec, err
	}
	// One that waits has its spec elsewhere.
	if row, err = s.ExecutionRow(ctx, organisationID, id); err == nil {
		spec, err = s.ExecutionSpec(ctx, id)
	}
	return row, spec, err
}

// SealedOptions returns the sealed values of secure options given to a run, nil if
// there are none or it is over.
func (s *Store) SealedOptions(ctx context.Context, executionID string) ([]byte, error) {
	var sealed []byte
	err := s.queryRow(ctx, `SELECT sealed_options FROM execution_spec WHERE execution_id = $1`, executionID).Scan(&sealed)
	if missing(err) {
		return nil, hub.Errorf(hub.CodeNotFound, "Execution %s does not exist.", executionID)
	}
	return sealed, err
}

// Apply completes an execution with its wide part.
func (spec *ExecutionSpec) Apply(e *hub.Execution) {
	e.Definition, e.Nodes, e.Options, e.SecureOptions = spec.Definition, spec.Nodes, spec.Options, spec.SecureOptions
	e.NodeFilter, e.Threads, e.Strategy = spec.NodeFilter, spec.Threads, spec.Strategy
}

// TakeSpec completes a row with the wide part of another reading of the same execution.
func (e *ExecutionRow) TakeSpec(other *ExecutionRow) {
	e.Definition, e.Nodes, e.Options, e.SecureOptions = other.Definition, other.Nodes, other.Options, other.SecureOptions
	e.NodeFilter, e.Threads, e.Strategy = other.NodeFilter, other.Threads, other.Strategy
}

// ExecutionRow reads the narrow part of an execution of an organisation by id or number.
func (s *Store) ExecutionRow(ctx context.Context, organisationID, idOrNumber string) (*ExecutionRow, error) {
	where, key := `id = $2`, any(idOrNumber)
	if n, err := strconv.ParseInt(idOrNumber, 10, 64); err == nil {
		where, key = `number = $2`, n
	}
	// The expression keeps the index of organisations out: with one organisation it holds
	// every row, and a plan made while the table was small would read them all.
	e, err := scanExecution(s.queryRow(ctx, `SELECT `+executionColumns+` FROM execution WHERE purged_at = 0 AND organisation_id || '' = $1 AND `+where, organisationID, key))
	if missing(err) {
		return nil, hub.Errorf(hub.CodeNotFound, "Execution %s does not exist; fairlead executions list shows those there are.", idOrNumber)
	}
	return e, err
}

// GetExecution reads an execution whole by id or number.
func (s *Store) GetExecution(ctx context.Context, organisationID, idOrNumber string) (*hub.Execution, error) {
	row, err := s.ExecutionRow(ctx, organisationID, idOrNumber)
	if err != nil {
		return nil, err
	}
	spec, err := s.ExecutionSpec(ctx, row.ID)
	if err != nil {
		return nil, err
	}
	spec.Apply(&row.Execution)
	return &row.Execution, nil
}

// ExecutionFilter says which executions to list.
type ExecutionFilter struct {
	OrganisationID string
	ProjectID      string // "" for all
	JobID          string // "" for all
	// Statuses: none for all; cancelling is shown for running ones that are, scheduled for
	// queued ones that wait for a time.
	Statuses []hub.Status
	// Before is a number: older ones alone; 0 from the newest.
	Before int64
	Limit  int
}

// ListExecutions lists executions, newest first, without what is wide.
func (s *Store) ListExecutions(ctx context.Context, f ExecutionFilter) ([]*ExecutionRow, error) {
	where, args := `organisation_id = $1 AND purged_at = 0`, []any{f.OrganisationID}
	add := func(clause string, v any) {
		args = append(args, v)
		where += ` AND ` + clause + ` $` + strconv.Itoa(len(args))
	}
	if f.ProjectID != "" {
		add(`project_id =`, f.ProjectID)
	}
	if f.JobID != "" {
		add(`job_id =`, f.JobID)
	}
	if f.Before > 0 {
		add(`number <`, f.Before)
	}
	if len(f.Statuses) > 0 {
		where += ` AND (waits_for <> 'time' AND status IN (` + params(len(args)+1, len(f.Statuses)) + `)`
		for _, status := range f.Statuses {
			args = append(args, string(status))
			switch status {
			case hub.StatusScheduled:
				where += ` OR ended_at = 0 AND waits_for = 'time'`
			case hub.StatusCancelling:
				where += ` OR status IN ('queued', 'running') AND cancel_requested`
			case hub.StatusHeld:
				where += ` OR ended_at = 0 AND ` + heldExecution
			}
		}
		where += `)`
	}
	args = append(args, max(f.Limit, 1))
	return collect(ctx, s, scanExecution, `SELECT `+executionColumns+` FROM execution WHERE `+where+` ORDER BY number DESC LIMIT $`+strconv.Itoa(len(args)), args...)
}

// LockExecutions takes the rows of executions, in the order of their ids. With
// skipLocked those that another transaction holds are left out.
func (s *Store) LockExecutions(ctx context.Context, ids []string, skipLocked bool) ([]*ExecutionRow, error) {
	var all []*ExecutionRow
	err := s.lockExecutions(ctx, ids, skipLocked, &all)
	if err == nil {
		err = s.flush(ctx)
	}
	return all, err
}

// lockExecutions locks and reads later, into all.
func (s *Store) lockExecutions(ctx context.Context, ids []string, skipLocked bool, all *[]*ExecutionRow) error {
	lock := s.dialect.forUpdate
	if skipLocked {
		lock = s.dialect.skipLocked
	}
	return inPieces(len(ids), func(from, to int) error {
		return collectLater(ctx, s, all, scanExecution, `SELECT `+executionColumns+` FROM execution WHERE id IN (`+params(1, to-from)+`) ORDER BY id`+lock, anys(ids[from:to])...)
	})
}

// Reported is what reports of runners are about.
type Reported struct {
	// Executions that were locked, and the assignments of all that were asked for.
	Executions  []*ExecutionRow
	Assignments []*AssignmentRow
	Attempts    []*AttemptRow
	// Logs are the ends of the logs that results speak of.
	Logs []*LogState
}

// LockReported locks executions and attempts, in this order, and reads them with what is
// needed besides, in one round trip. It belongs in a transaction.
func (s *Store) LockReported(ctx context.Context, executions, attempts, results []string, skipLocked bool) (*Reported, error) {
	r := &Reported{}
	steps := []func() error{
		func() error { return s.lockExecutions(ctx, executions, skipLocked, &r.Executions) },
		func() error { return s.assignmentsOf(ctx, executions, &r.Assignments) },
		func() error { return s.attempts(ctx, attempts, s.dialect.forUpdate, &r.Attempts) },
		func() error { return s.logs(ctx, results, &r.Logs) },
		func() error { return s.flush(ctx) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// stranded is whether an execution of before a fall-back has nothing that would move it on:
// a report that came at the very moment at which it was released, or the hold ended, may
// have found it held still. Nothing is left to do for it there, nor for who released it.
const stranded = `waits_for = '' AND incarnation < (SELECT c.incarnation FROM cluster c WHERE c.singleton = 1)
	AND NOT EXISTS (SELECT 1 FROM attempt t WHERE t.execution_id = execution.id AND t.state IN ('offered', 'claimed', 'running'))
	AND NOT EXISTS (SELECT 1 FROM assignment a WHERE a.execution_id = execution.id AND a.state = 'ready')`

// DueExecutions lists open executions that nothing but a look moves: with an outcome but no
// end, past their time, without a runner for too long, or stranded. after and limit page by
// id.
func (s *Store) DueExecutions(ctx context.Context, after string, limit int) ([]*ExecutionRow, error) {
	return collect(ctx, s, scanExecution, `SELECT `+executionColumns+` FROM execution WHERE ended_at = 0 AND id > $1
		AND NOT `+heldExecution+` AND (outcome <> '' OR timeout_us > 0 AND started_at > 0 AND started_at + timeout_us < $2
			OR runner_timeout_us > 0 AND waiting_since > 0 AND waiting_since + runner_timeout_us < $2 OR `+stranded+`)
		ORDER BY id LIMIT $3`, after, at(s.Now()), limit)
}

// MarkRunning begins executions that have an offer: the first claim of each does. A later
// one ends what its execution waits for, unless a runner that holds something of it is not
// heard of. A claim that came too late finds no offer: it begins nothing.
func (s *Store) MarkRunning(ctx context.Context, ids []string) error {
	return inPieces(len(ids), func(from, to int) error {
		args := append([]any{at(s.Now())}, anys(ids[from:to])...)
		return s.later(ctx, `UPDATE execution SET status = 'running', started_at = CASE WHEN status = 'queued' THEN $1 ELSE started_at END,
				waiting_kind = '', waiting_since = 0, waiting_message = ''
			WHERE id IN (`+params(2, to-from)+`) AND (status = 'queued' OR status = 'running' AND waiting_kind <> ''
					AND NOT EXISTS (SELECT 1 FROM attempt t JOIN attempt_lease l ON l.attempt_id = t.id
						WHERE t.execution_id = execution.id AND t.state IN ('claimed', 'running') AND l.disconnected))
				AND EXISTS (SELECT 1 FROM attempt t WHERE t.execution_id = execution.id AND t.state = 'offered')
				AND NOT `+heldExecution, args...)
	})
}

// SetNoNew bars further starts of an execution.
func (s *Store) SetNoNew(ctx context.Context, id string) error {
	_, err := s.exec(ctx, `UPDATE execution SET no_new = TRUE WHERE id = $1 AND ended_at = 0`, id)
	return err
}

// SetCancel notes that an execution is to end.
func (s *Store) SetCancel(ctx context.Context, id, by string) error {
	_, err := s.exec(ctx, `UPDATE execution SET cancel_requested = TRUE, cancelled_by = $2 WHERE id = $1 AND ended_at = 0 AND NOT cancel_requested`, id, by)
	return err
}

// SetCancelledNodes notes which nodes of an execution are to end.
func (s *Store) SetCancelledNodes(ctx context.Context, id string, nodes []int) error {
	_, err := s.exec(ctx, `UPDATE execution SET cancelled_nodes = $2 WHERE id = $1 AND ended_at = 0`, id, asJSON(nodes))
	return err
}

// SetWaiting says what executions wait for; the zero value: nothing. One that waited
// before keeps since when.
func (s *Store) SetWaiting(ctx context.Context, ids []string, w hub.WaitingFor) error {
	return inPieces(len(ids), func(from, to int) error {
		args := append([]any{w.Kind, at(w.Since), w.Message}, anys(ids[from:to])...)
		_, err := s.exec(ctx, `UPDATE execution SET waiting_kind = $1, waiting_message = $3,
				waiting_since = CASE WHEN $1 <> '' AND waiting_since > 0 THEN waiting_since ELSE $2 END
			WHERE id IN (`+params(4, to-from)+`) AND ended_at = 0`, args...)
		return err
	})
}

// ExecutionRows reads executions by their ids, in no order.
func (s *Store) ExecutionRows(ctx context.Context, ids []string) ([]*ExecutionRow, error) {
	var all []*ExecutionRow
	err := inPieces(len(ids), func(from, to int) error {
		part, err := collect(ctx, s, scanExecution, `SELECT `+executionColumns+` FROM execution WHERE id IN (`+params(1, to-from)+`)`, anys(ids[from:to])...)
		all = append(all, part...)
		return err
	})
	return all, err
}

// SetReason tells why an execution ends before anything of it started.
func (s *Store) SetReason(ctx context.Context, id, reason string) error {
	_, err := s.exec(ctx, `UPDATE execution SET reason = $2 WHERE id = $1 AND ended_at = 0`, id, reason)
	return err
}

// Ending settles an execution: its outcome, and its end too unless EndedAt is zero.
type Ending struct {
	ID          string
	Outcome     hub.Status
	EndedAt     time.Time
	LogComplete bool
	NodeCounts  hub.NodeCounts
	Tick        int64
	// Sealed options are to be deleted.
	Sealed bool
}

// Apply makes of the row what EndExecutions makes of it in the database.
func (e *Ending) Apply(row *ExecutionRow) {
	if row.Outcome == "" {
		row.OutcomeTick = e.Tick
	}
	row.Outcome, row.LogComplete, row.NodeCounts, row.EndedAt, row.WaitingFor = e.Outcome, e.LogComplete, e.NodeCounts, e.EndedAt, nil
	if !e.EndedAt.IsZero() {
		row.Status = e.Outcome
	}
}

// EndExecutions settles executions that have not ended.
func (s *Store) EndExecutions(ctx context.Context, endings []Ending) error {
	err := inPieces(len(endings), func(from, to int) error {
		var args []any
		for _, e := range endings[from:to] {
			args = append(args, e.ID, string(e.Outcome), string(e.Outcome), e.LogComplete, asJSON(e.NodeCounts), e.Tick, at(e.EndedAt))
		}
		return s.later(ctx, `WITH v (v_id, v_status, v_outcome, v_complete, v_counts, v_tick, v_ended) AS (VALUES `+s.values("tttotii", to-from)+`)
			UPDATE execution SET status = CASE WHEN v_ended = 0 THEN status ELSE v_status END, outcome = v_outcome, log_complete = v_complete,
				node_counts = v_counts, outcome_tick = CASE WHEN outcome = '' THEN v_tick ELSE outcome_tick END, ended_at = v_ended,
				waiting_kind = '', waiting_since = 0, waiting_message = ''
			FROM v WHERE id = v_id AND ended_at = 0`, args...)
	})
	if err != nil {
		return err
	}
	for _, e := range endings {
		if !e.Sealed {
			continue
		}
		if err := s.later(ctx, `UPDATE execution_spec SET sealed_options = NULL WHERE execution_id = $1`, e.ID); err != nil {
			return err
		}
	}
	return nil
}
