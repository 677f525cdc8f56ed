package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/fairlead/fairlead/hub"
)

// EndedExecution is what retention looks at.
type EndedExecution struct {
	ID     string
	Number int64
	// JobID is "" for a command.
	JobID  string
	Status hub.Status
	Kept   bool
	// Unresolved: the runner of a grant in it has not told all of it, and may still show that
	// grant as proof of what the database has forgotten.
	Unresolved bool
	EndedAt    time.Time
	// TextBytes of its log.
	TextBytes int64
}

// clocksApart is how far the clock by which a grant got its id may be behind the
// database's.
const clocksApart = time.Hour

// unresolvedGrant is whether a runner may still show a grant in execution e that was made
// after $4. One that was revoked shows nothing any more.
const unresolvedGrant = `EXISTS (SELECT 1 FROM attempt t JOIN runner r ON r.id = t.runner_id LEFT JOIN attempt_log l ON l.attempt_id = t.id
	WHERE t.execution_id = e.id AND t.claimed_at > 0 AND t.offered_at > $4 AND NOT r.revoked
		AND (t.state = 'unknown' AND t.steps_total < 0 OR t.log_total > COALESCE(l.log_next, 0)))`

// EndedExecutions returns at most limit ended executions of a project below a number, the
// newest first.
func (s *Store) EndedExecutions(ctx context.Context, projectID string, below int64, limit int) ([]EndedExecution, error) {
	list, err := collect(ctx, s, func(r scanner) (e EndedExecution, err error) {
		return e, r.Scan(&e.ID, &e.Number, &e.JobID, &e.Status, &e.Kept, &e.Unresolved, timeInto(&e.EndedAt), &e.TextBytes)
	}, `SELECT e.id, e.number, e.job_id, e.status, e.kept, `+unresolvedGrant+`, e.ended_at,
			CAST(COALESCE((SELECT SUM(l.text_bytes) FROM attempt_log l WHERE l.execution_id = e.id), 0) AS BIGINT)
		FROM execution e WHERE e.project_id = $1 AND e.number < $2 AND e.ended_at > 0 AND e.purged_at = 0 ORDER BY e.number DESC LIMIT $3`,
		projectID, below, limit, at(s.Now().Add(-hub.ProofLife-clocksApart)))
	if err != nil {
		return nil, fmt.Errorf("listing ended executions: %w", err)
	}
	return list, nil
}

// RetentionProject is a project that has executions, or had when it was deleted.
type RetentionProject struct {
	ID   string
	Name string
	// Settings are nil of one that was deleted.
	Settings map[string]string
	// Jobs that it has now, by id.
	Jobs map[string]bool
}

// NextRetentionProject returns the project behind an id that has executions; nil when there
// is none.
func (s *Store) NextRetentionProject(ctx context.Context, after string) (*RetentionProject, error) {
	p := &RetentionProject{}
	err := s.queryRow(ctx, `SELECT project_id FROM execution WHERE project_id > $1 ORDER BY project_id LIMIT 1`, after).Scan(&p.ID)
	if missing(err) {
		return nil, nil
	}
	if err == nil {
		err = s.FillRetentionProject(ctx, p)
	}
	if err != nil {
		return nil, fmt.Errorf("looking for projects with executions: %w", err)
	}
	return p, nil
}

// FillRetentionProject reads all but the id.
func (s *Store) FillRetentionProject(ctx context.Context, p *RetentionProject) error {
	err := s.queryRow(ctx, `SELECT name, settings FROM project WHERE id = $1`, p.ID).Scan(&p.Name, jsonInto(&p.Settings))
	if missing(err) {
		p.Name, err = p.ID, nil
	}
	if err != nil {
		return fmt.Errorf("reading how long executions of project %s stay: %w", p.ID, err)
	}
	ids, err := collect(ctx, s, scanID, `SELECT id FROM job WHERE project_id = $1`, p.ID)
	if err != nil {
		return fmt.Errorf("listing the jobs of project %s: %w", p.Name, err)
	}
	p.Jobs = make(map[string]bool, len(ids))
	for _, id := range ids {
		p.Jobs[id] = true
	}
	return nil
}

// SetKept notes whether retention leaves an execution.
func (s *Store) SetKept(ctx context.Context, id string, kept bool) error {
	n, err := s.exec(ctx, `UPDATE execution SET kept = $2 WHERE id = $1 AND purged_at = 0`, id, kept)
	if err != nil {
		return fmt.Errorf("noting whether execution %s is kept: %w", id, err)
	}
	if n == 0 {
		return hub.Errorf(hub.CodeNotFound, "Execution %s does not exist any more: its retention is over.", id)
	}
	return nil
}

// Purge takes ended executions that nobody keeps out of everyone's view, for DeletePurged;
// it returns their ids. It belongs in a transaction.
func (s *Store) Purge(ctx context.Context, ids []string) ([]string, error) {
	var gone []string
	err := inPieces(len(ids), func(from, to int) error {
		args := append([]any{at(s.Now())}, anys(ids[from:to])...)
		part, err := collect(ctx, s, scanID, `UPDATE execution SET purged_at = $1 WHERE id IN (`+params(2, to-from)+`) AND ended_at > 0 AND purged_at = 0 AND NOT kept RETURNING id`, args...)
		gone = append(gone, part...)
		return err
	})
	if err == nil {
		err = s.rememberGrants(ctx, gone)
	}
	if err != nil {
		return nil, fmt.Errorf("taking executions away: %w", err)
	}
	return gone, nil
}

// ackTold is how long after a result its runner's session must have lived for the runner to
// have been told that the hub has it: a connection that died without a word is noticed before.
const ackTold = time.Minute

// ackSurely is whether the runner of attempt t in execution e knows that the hub has all of it:
// its session rs at member m lived long enough for that, or began later. A result that came
// late tells no time.
const ackSurely = `t.state <> 'unknown' AND CASE
	WHEN rs.connected_at > e.ended_at THEN rs.unconfirmed = 0
	WHEN rs.closed_at > 0 THEN rs.closed_at > e.ended_at + $2
	ELSE m.started_at <= rs.connected_at AND m.heartbeat_at > e.ended_at + $2 END`

// rememberGrants notes which grants of purged executions a runner may still show, not knowing
// that the hub has all of them: without their rows those would prove a database that went back.
// It forgets those that are too old to prove anything.
func (s *Store) rememberGrants(ctx context.Context, executionIDs []string) error {
	proves := at(s.Now().Add(-hub.ProofLife - clocksApart))
	if _, err := s.exec(ctx, `DELETE FROM purged_grant WHERE offered_at <= $1`, proves); err != nil {
		return err
	}
	return inPieces(len(executionIDs), func(from, to int) error {
		args := append([]any{proves, ackTold.Microseconds()}, anys(executionIDs[from:to])...)
		_, err := s.exec(ctx, `INSERT INTO purged_grant (attempt_id, offered_at) SELECT t.id, t.offered_at
			FROM attempt t JOIN execution e ON e.id = t.execution_id JOIN runner r ON r.id = t.runner_id
				LEFT JOIN runner_session rs ON rs.runner_id = t.runner_id LEFT JOIN member m ON m.id = rs.member_id
			WHERE t.execution_id IN (`+params(3, to-from)+`) AND t.claimed_at > 0 AND t.offered_at > $1 AND NOT r.revoked
				AND NOT COALESCE(`+ackSurely+`, FALSE)
			ON CONFLICT DO NOTHING`, args...)
		return err
	})
}

// PurgedGrants returns which of some attempts had their rows taken by retention.
func (s *Store) PurgedGrants(ctx context.Context, ids []string) (map[string]bool, error) {
	gone := make(map[string]bool)
	err := inPieces(len(ids), func(from, to int) error {
		list, err := collect(ctx, s, scanID, `SELECT attempt_id FROM purged_grant WHERE attempt_id IN (`+params(1, to-from)+`)`, anys(ids[from:to])...)
		for _, id := range list {
			gone[id] = true
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for purged grants: %w", err)
	}
	return gone, nil
}

// PurgedExecution is one of which something is still there.
type PurgedExecution struct {
	ID string
	At time.Time
}

// PurgedExecutions returns at most limit of them behind another, in the order in which they
// were purged.
func (s *Store) PurgedExecutions(ctx context.Context, after PurgedExecution, limit int) ([]PurgedExecution, error) {
	list, err := collect(ctx, s, func(r scanner) (e PurgedExecution, err error) { return e, r.Scan(&e.ID, timeInto(&e.At)) },
		`SELECT id, purged_at FROM execution WHERE purged_at > 0 AND (purged_at, id) > ($1, $2) ORDER BY purged_at, id LIMIT $3`, at(after.At), after.ID, limit)
	if err != nil {
		return nil, fmt.Errorf("listing purged executions: %w", err)
	}
	return list, nil
}

// PurgeBacklog counts the purged executions of which something is still there, and tells
// since when the first of them is; zero if there is none.
func (s *Store) PurgeBacklog(ctx context.Context) (n int64, oldest time.Time, err error) {
	err = s.queryRow(ctx, `SELECT COUNT(*), COALESCE(MIN(purged_at), 0) FROM execution WHERE purged_at > 0`).Scan(&n, timeInto(&oldest))
	if err != nil {
		err = fmt.Errorf("counting purged executions: %w", err)
	}
	return n, oldest, err
}

// Purged tells whether an execution was taken out of everyone's view, or is gone altogether.
func (s *Store) Purged(ctx context.Context, id string) (bool, error) {
	var there int64
	err := s.queryRow(ctx, `SELECT COUNT(*) FROM execution WHERE id = $1 AND purged_at = 0`, id).Scan(&there)
	if err != nil {
		return false, fmt.Errorf("looking whether execution %s is there: %w", id, err)
	}
	return there == 0, nil
}

// ObjectsOf returns at most limit logs of an execution that are, or may be, in an archive.
func (s *Store) ObjectsOf(ctx context.Context, executionID string, limit int) ([]*LogArchive, error) {
	list, err := collect(ctx, s, scanLogArchive, `SELECT `+logArchiveColumns+` FROM log_archive a WHERE a.execution_id = $1 ORDER BY a.attempt_id LIMIT $2`, executionID, limit)
	if err != nil {
		return nil, fmt.Errorf("looking for the archived logs of execution %s: %w", executionID, err)
	}
	return list, nil
}

// ForgetObject deletes the row of a log whose object is gone, unless it has another place by
// now. It belongs in a transaction.
func (s *Store) ForgetObject(ctx context.Context, a *LogArchive) error {
	return s.later(ctx, `DELETE FROM log_archive WHERE attempt_id = $1 AND archive = $2 AND path = $3`, a.AttemptID, a.Archive, a.Path)
}

const (
	// purgedRows bounds the rows that one transaction deletes.
	purgedRows = 500
	// purgedChunks bounds those of them that are chunks: each has up to 256 KiB.
	purgedChunks = 32
)

// belongings are the rows of an execution, in the order in which they go, each by a condition
// with the execution as $1 and how many at most as $2. Attempts go before their logs, so that
// a runner that comes late finds no attempt and can leave no chunk behind; the execution is
// the last, so that whoever goes on after a crash finds the rest.
var belongings = [...]struct {
	delete string
	most   int64
}{
	{`attempt_event WHERE id IN (SELECT v.id FROM attempt t JOIN attempt_event v ON v.attempt_id = t.id WHERE t.execution_id = $1 LIMIT $2)`, purgedRows},
	{`attempt_lease WHERE attempt_id IN (SELECT l.attempt_id FROM attempt t JOIN attempt_lease l ON l.attempt_id = t.id WHERE t.execution_id = $1 LIMIT $2)`, purgedRows},
	{attemptsOf, purgedRows},
	{`output_chunk WHERE (attempt_id, seq) IN (SELECT c.attempt_id, c.seq FROM attempt_log l JOIN output_chunk c ON c.attempt_id = l.attempt_id WHERE l.execution_id = $1 LIMIT $2)`, purgedChunks},
	{`attempt_log WHERE attempt_id IN (SELECT l.attempt_id FROM attempt_log l WHERE l.execution_id = $1 LIMIT $2)`, purgedRows},
	{`node_step WHERE (execution_id, node, step, try) IN (SELECT n.execution_id, n.node, n.step, n.try FROM node_step n WHERE n.execution_id = $1 LIMIT $2)`, purgedRows},
	{`assignment WHERE id IN (SELECT g.id FROM assignment g WHERE g.execution_id = $1 LIMIT $2)`, purgedRows},
	{`execution_spec WHERE execution_id IN (SELECT p.execution_id FROM execution_spec p WHERE p.execution_id = $1 LIMIT $2)`, purgedRows},
	{`execution_release WHERE execution_id IN (SELECT r.execution_id FROM execution_release r WHERE r.execution_id = $1 LIMIT $2)`, purgedRows},
	{`execution WHERE id IN (SELECT e.id FROM execution e WHERE e.id = $1 AND e.purged_at > 0 LIMIT $2)`, purgedRows},
}

const attemptsOf = `attempt WHERE id IN (SELECT t.id FROM attempt t WHERE t.execution_id = $1 LIMIT $2)`

// deleteSome deletes one kind of belongings. With attempts go the events that came since
// theirs went: that of a late report is not seen before the report is over, for which who
// deletes its attempt waits. Nothing would find it any more.
func (s *Store) deleteSome(ctx context.Context, what, id string, most int64) (int64, error) {
	if what != attemptsOf {
		return s.exec(ctx, `DELETE FROM `+what, id, most)
	}
	gone, err := collect(ctx, s, scanID, `DELETE FROM `+what+` RETURNING id`, id, most)
	if err != nil {
		return 0, err
	}
	return int64(len(gone)), inPieces(len(gone), func(from, to int) error {
		return s.later(ctx, `DELETE FROM attempt_event WHERE attempt_id IN (`+params(1, to-from)+`)`, anys(gone[from:to])...)
	})
}

// DeletePurged deletes some rows of a purged execution whose objects are gone; more: it must
// be called again. It belongs in a transaction.
func (s *Store) DeletePurged(ctx context.Context, id string) (more bool, err error) {
	var may bool
	err = s.queryRow(ctx, `SELECT purged_at > 0 AND NOT EXISTS (SELECT 1 FROM log_archive a WHERE a.execution_id = execution.id) FROM execution WHERE id = $1`, id).Scan(&may)
	if missing(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading purged execution %s: %w", id, err)
	}
	if !may {
		return false, hub.Errorf(hub.CodeConflict, "Execution %s is not to be deleted, or still has a log in an archive.", id)
	}
	left := int64(purgedRows)
	for _, b := range belongings {
		most := min(b.most, left)
		n, err := s.deleteSome(ctx, b.delete, id, most)
		if err != nil {
			return false, fmt.Errorf("deleting purged execution %s: %w", id, err)
		}
		if n == most {
			return true, nil
		}
		left -= n
	}
	return false, nil
}

const purgeSetting = "retention-run"

// LastPurge returns the last pass that ended, at whichever member; zero before there was one.
func (s *Store) LastPurge(ctx context.Context) (run hub.PurgeRun, err error) {
	value, _, err := s.Setting(ctx, purgeSetting)
	if err == nil && value != nil {
		err = json.Unmarshal(value, &run)
	}
	return run, err
}

// NotePurge keeps what LastPurge returns. It belongs in a transaction.
func (s *Store) NotePurge(ctx context.Context, run hub.PurgeRun) error {
	_, revision, err := s.Setting(ctx, purgeSetting)
	if err == nil {
		_, err = s.SetSetting(ctx, purgeSetting, []byte(asJSON(run)), revision)
	}
	return err
}
