package store

import (
	"context"
	"fmt"
	"time"

	"github.com/fairlead/fairlead/hub"
)

// LogArchive is where the log of an attempt lies, or is about to lie.
type LogArchive struct {
	AttemptID   string
	ExecutionID string
	// Archive is named by its address, Path is in it.
	Archive, Path string
	// Archived: the object is the log up to Chunks; before that it is planned.
	Archived bool
	Chunks   int64
	// Size and SHA256 of the object.
	Size   int64
	SHA256 [32]byte
	// EndedAt of the execution.
	EndedAt time.Time
}

// The values of log_archive.state.
const (
	logPlanned  = "planned"
	logArchived = "archived"
)

const logArchiveColumns = `a.attempt_id, a.execution_id, a.archive, a.path, a.state = 'archived', a.chunks, a.size, a.sha256, a.ended_at`

func (a *LogArchive) into() []any {
	return []any{&a.AttemptID, &a.ExecutionID, &a.Archive, &a.Path, &a.Archived, &a.Chunks, &a.Size, hashInto(&a.SHA256), timeInto(&a.EndedAt)}
}

func scanLogArchive(r scanner) (*LogArchive, error) {
	a := &LogArchive{}
	return a, r.Scan(a.into()...)
}

// WaitingLog is a log that can be packed.
type WaitingLog struct {
	// LogArchive as it was planned before; without an Archive: it was not.
	LogArchive
	// Next and Hash are its end.
	Next int64
	Hash [32]byte
	// Tries that failed.
	Tries int
	// What its path is made of; Job is "" of a command, whose text may hold anything.
	Organisation, Project, Job string
	Number                     int64
	CreatedAt                  time.Time
}

// WaitingRule says which logs can be packed: those that are whole, and those of executions
// that ended before GivenUp, in whatever state.
type WaitingRule struct{ GivenUp time.Time }

// waiting are logs that can be packed, as far as time lets them; $1 is the rule.
const waiting = ` FROM attempt_log l JOIN execution e ON e.id = l.execution_id JOIN attempt t ON t.id = l.attempt_id LEFT JOIN log_archive a ON a.attempt_id = l.attempt_id
	WHERE l.pack_at >= 0 AND e.ended_at > 0 AND e.purged_at = 0
		AND (COALESCE(NULLIF(l.total, -1), t.log_total) BETWEEN 0 AND l.log_next OR e.ended_at < $1 OR a.state = 'archived')`

// WaitingLogs returns logs whose time to be packed has come, those that failed last.
func (s *Store) WaitingLogs(ctx context.Context, rule WaitingRule, limit int) ([]*WaitingLog, error) {
	list, err := collect(ctx, s, func(r scanner) (*WaitingLog, error) {
		w := &WaitingLog{}
		return w, r.Scan(&w.AttemptID, &w.ExecutionID, &w.Archive, &w.Path, &w.Archived, &w.Chunks, &w.Size, hashInto(&w.SHA256), timeInto(&w.EndedAt),
			&w.Next, hashInto(&w.Hash), &w.Tries, &w.Organisation, &w.Project, &w.Job, &w.Number, timeInto(&w.CreatedAt))
	}, `SELECT l.attempt_id, l.execution_id, COALESCE(a.archive, ''), COALESCE(a.path, ''), COALESCE(a.state = 'archived', FALSE), COALESCE(a.chunks, 0), COALESCE(a.size, 0), a.sha256, e.ended_at,
		l.log_next, l.hash, COALESCE(a.tries, 0),
		COALESCE((SELECT o.name FROM organisation o WHERE o.id = e.organisation_id), e.organisation_id),
		COALESCE((SELECT p.name FROM project p WHERE p.id = e.project_id), e.project_id), CASE e.job_id WHEN '' THEN '' ELSE e.job_name END, e.number, e.created_at`+waiting+
		` AND l.pack_at <= $2 ORDER BY l.pack_at LIMIT $3`, at(rule.GivenUp), at(s.Now()), limit)
	if err != nil {
		return nil, fmt.Errorf("looking for logs to archive: %w", err)
	}
	return list, nil
}

// PlanArchive writes down where an object is to lie before it is put there. It belongs in a
// transaction.
func (s *Store) PlanArchive(ctx context.Context, a *LogArchive) error {
	return s.later(ctx, `INSERT INTO log_archive (attempt_id, execution_id, state, archive, path, changed_at, ended_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (attempt_id) DO UPDATE SET archive = excluded.archive, path = excluded.path WHERE log_archive.state = excluded.state`,
		a.AttemptID, a.ExecutionID, logPlanned, a.Archive, a.Path, at(s.Now()), at(a.EndedAt))
}

// ArchiveLog makes an object the log of an attempt, if it was planned so and the log still
// ends where the object does. It belongs in a transaction.
func (s *Store) ArchiveLog(ctx context.Context, a *LogArchive, end [32]byte) error {
	n, err := s.exec(ctx, `UPDATE attempt_log SET pack_at = 0 WHERE attempt_id = $1 AND log_next = $2 AND hash = $3 AND pack_at >= 0 AND NOT `+planned,
		a.AttemptID, a.Chunks, end[:])
	if err == nil && n == 1 {
		n, err = s.exec(ctx, `UPDATE log_archive SET state = $4, chunks = $5, size = $6, sha256 = $7, error = '', changed_at = $8
			WHERE attempt_id = $1 AND archive = $2 AND path = $3 AND state = 'planned'`,
			a.AttemptID, a.Archive, a.Path, logArchived, a.Chunks, a.Size, a.SHA256[:], at(s.Now()))
	}
	if err != nil {
		return fmt.Errorf("noting that the log of attempt %s is archived: %w", a.AttemptID, err)
	}
	if n != 1 {
		return hub.Errorf(hub.CodeConflict, "The log of attempt %s changed while it was packed.", a.AttemptID)
	}
	return nil
}

// DropArchivedChunks deletes at most limit of the rows that an object holds; more: there may
// be others. It belongs in a transaction.
func (s *Store) DropArchivedChunks(ctx context.Context, attemptID string, limit int64) (more bool, err error) {
	n, err := s.exec(ctx, `DELETE FROM output_chunk WHERE attempt_id = $1 AND seq IN (
		SELECT c.seq FROM output_chunk c JOIN log_archive a ON a.attempt_id = c.attempt_id AND a.state = 'archived'
		WHERE c.attempt_id = $1 AND c.seq < a.chunks ORDER BY c.seq LIMIT $2)`, attemptID, limit)
	if err == nil && n < limit {
		err = s.NothingToArchive(ctx, attemptID)
	}
	if err != nil {
		return false, fmt.Errorf("deleting chunks that are archived: %w", err)
	}
	return n == limit, nil
}

// NothingToArchive takes a log out of those that wait.
func (s *Store) NothingToArchive(ctx context.Context, attemptID string) error {
	_, err := s.exec(ctx, `UPDATE attempt_log SET pack_at = -1 WHERE attempt_id = $1`, attemptID)
	return err
}

// ArchiveFailed notes why a log was not archived, and when it is tried again.
func (s *Store) ArchiveFailed(ctx context.Context, attemptID, why string, again time.Time) error {
	return s.InTx(ctx, func(s *Store) error {
		err := s.later(ctx, `UPDATE log_archive SET tries = tries + 1, error = $2, changed_at = $3 WHERE attempt_id = $1`, attemptID, why, at(s.Now()))
		if err != nil {
			return err
		}
		return s.later(ctx, `UPDATE attempt_log SET pack_at = $2 WHERE attempt_id = $1 AND pack_at >= 0`, attemptID, at(again))
	})
}

// RetryArchive has all logs that failed tried at once; how many it were.
func (s *Store) RetryArchive(ctx context.Context) (int64, error) {
	return s.exec(ctx, `UPDATE attempt_log SET pack_at = 0 WHERE pack_at > 0`)
}

// ArchivedLog returns where the log of an attempt lies, nil while it is rows alone.
func (s *Store) ArchivedLog(ctx context.Context, attemptID string) (*LogArchive, error) {
	a, err := scanLogArchive(s.queryRow(ctx, `SELECT `+logArchiveColumns+` FROM log_archive a WHERE a.attempt_id = $1 AND a.state = 'archived'`, attemptID))
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking where a log lies: %w", err)
	}
	return a, nil
}

// ArchivedLogs returns at most limit archived logs behind an attempt by id, those of one
// execution or, with "", of all.
func (s *Store) ArchivedLogs(ctx context.Context, executionID, after string, limit int) ([]*LogArchive, error) {
	list, err := collect(ctx, s, scanLogArchive, `SELECT `+logArchiveColumns+` FROM log_archive a
		WHERE a.state = 'archived' AND a.attempt_id > $1 AND ($2 = '' OR a.execution_id = $2) ORDER BY a.attempt_id LIMIT $3`, after, executionID, limit)
	if err != nil {
		return nil, fmt.Errorf("listing archived logs: %w", err)
	}
	return list, nil
}

// MoveArchived notes that the object of a log lies in another archive, under the same path;
// false: it was not where it is said to have been.
func (s *Store) MoveArchived(ctx context.Context, a *LogArchive, to string) (bool, error) {
	n, err := s.exec(ctx, `UPDATE log_archive SET archive = $3, changed_at = $4 WHERE attempt_id = $1 AND archive = $2 AND state = 'archived'`, a.AttemptID, a.Archive, to, at(s.Now()))
	if err != nil {
		return false, fmt.Errorf("noting that a log was moved: %w", err)
	}
	return n == 1, nil
}

// ArchiveBacklog is what waits to be archived.
type ArchiveBacklog struct {
	// Logs that wait, the bytes of text in them, and how many of them failed.
	Logs, TextBytes, Failing int64
	// Oldest is when the first of their executions ended, zero if none waits.
	Oldest time.Time
	// Error of the last try that failed among them, and when that was.
	Error   string
	ErrorAt time.Time
}

// ArchiveBacklog tells what waits to be archived.
func (s *Store) ArchiveBacklog(ctx context.Context, rule WaitingRule) (ArchiveBacklog, error) {
	var b ArchiveBacklog
	err := s.queryRow(ctx, `SELECT COUNT(*), CAST(COALESCE(SUM(l.text_bytes), 0) AS BIGINT), COUNT(NULLIF(a.error, '')), COALESCE(MIN(e.ended_at), 0)`+waiting+
		` AND l.log_next > 0 AND COALESCE(a.state, '') <> 'archived'`, at(rule.GivenUp)).Scan(&b.Logs, &b.TextBytes, &b.Failing, timeInto(&b.Oldest))
	if err == nil && b.Failing > 0 {
		err = s.queryRow(ctx, `SELECT a.error, a.changed_at`+waiting+` AND a.error <> '' ORDER BY a.changed_at DESC LIMIT 1`, at(rule.GivenUp)).
			Scan(&b.Error, timeInto(&b.ErrorAt))
		if missing(err) {
			err = nil // it was archived between the two
		}
	}
	if err != nil {
		return ArchiveBacklog{}, fmt.Errorf("counting logs that wait to be archived: %w", err)
	}
	return b, nil
}

// ArchiveTotal is what lies in one archive.
type ArchiveTotal struct {
	Archive     string
	Logs, Bytes int64
}

// ArchiveTotals tells what lies where.
func (s *Store) ArchiveTotals(ctx context.Context) ([]ArchiveTotal, error) {
	list, err := collect(ctx, s, func(r scanner) (t ArchiveTotal, err error) { return t, r.Scan(&t.Archive, &t.Logs, &t.Bytes) },
		`SELECT archive, COUNT(*), CAST(SUM(size) AS BIGINT) FROM log_archive WHERE state = 'archived' GROUP BY archive ORDER BY archive`)
	if err != nil {
		return nil, fmt.Errorf("counting archived logs: %w", err)
	}
	return list, nil
}
