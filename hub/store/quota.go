package store

import (
	"context"
	"fmt"

	"github.com/fairlead/fairlead/hub"
)

const quotaColumns = `id, log_quota, execution_log_quota, quota_revision, log_used, log_counted_at`

func scanQuota(r scanner) (q hub.Quota, err error) {
	return q, r.Scan(&q.OrganisationID, &q.LogBytes, &q.ExecutionLogBytes, &q.Revision, &q.UsedBytes, timeInto(&q.CountedAt))
}

// Quota returns that of an organisation.
func (s *Store) Quota(ctx context.Context, organisationID string) (*hub.Quota, error) {
	q, err := scanQuota(s.queryRow(ctx, `SELECT `+quotaColumns+` FROM organisation WHERE id = $1`, organisationID))
	if missing(err) {
		return nil, hub.Errorf(hub.CodeNotFound, "There is no organisation %s.", organisationID)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the quota of organisation %s: %w", organisationID, err)
	}
	return &q, nil
}

// Quotas returns those of all organisations, by their ids.
func (s *Store) Quotas(ctx context.Context) ([]hub.Quota, error) {
	list, err := collect(ctx, s, scanQuota, `SELECT `+quotaColumns+` FROM organisation ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("listing quotas: %w", err)
	}
	return list, nil
}

// SetQuota stores limits if the quota still has its revision, which then rises; a conflict
// says that it has not.
func (s *Store) SetQuota(ctx context.Context, q *hub.Quota) error {
	n, err := s.exec(ctx, `UPDATE organisation SET log_quota = $1, execution_log_quota = $2, quota_revision = quota_revision + 1 WHERE id = $3 AND quota_revision = $4`,
		q.LogBytes, q.ExecutionLogBytes, q.OrganisationID, q.Revision)
	if err != nil {
		return fmt.Errorf("storing the quota of organisation %s: %w", q.OrganisationID, err)
	}
	if n == 0 {
		return hub.Errorf(hub.CodeConflict, "The quota was changed meanwhile: read it again and repeat your change.")
	}
	q.Revision++
	return nil
}

// LogSum is what one page of logs has together.
type LogSum struct {
	// Last is the attempt that the next page is behind, Logs how many this one has.
	Last string
	Logs int
	// Bytes of text by organisation.
	Bytes map[string]int64
}

// SumLogs adds up the logs of at most limit attempts behind one, but not those of executions
// that were purged. No chunk is read.
func (s *Store) SumLogs(ctx context.Context, after string, limit int) (LogSum, error) {
	sum := LogSum{Last: after, Bytes: map[string]int64{}}
	_, err := collect(ctx, s, func(r scanner) (string, error) {
		var last, organisation string
		var logs int
		var bytes int64
		if err := r.Scan(&organisation, &last, &logs, &bytes); err != nil {
			return "", err
		}
		sum.Last, sum.Logs = max(sum.Last, last), sum.Logs+logs
		if organisation != "" {
			sum.Bytes[organisation] = bytes
		}
		return organisation, nil
	}, `SELECT COALESCE(e.organisation_id, ''), MAX(l.attempt_id), COUNT(*), CAST(SUM(CASE WHEN e.purged_at = 0 THEN l.text_bytes ELSE 0 END) AS BIGINT)
		FROM (SELECT attempt_id, execution_id, text_bytes FROM attempt_log WHERE attempt_id > $1 ORDER BY attempt_id LIMIT $2) l
			LEFT JOIN execution e ON e.id = l.execution_id
		GROUP BY COALESCE(e.organisation_id, '')`, after, limit)
	if err != nil {
		return sum, fmt.Errorf("adding up logs: %w", err)
	}
	return sum, nil
}

// NoteUsed stores what was counted, of an organisation that it does not name nothing. It
// belongs in a transaction.
func (s *Store) NoteUsed(ctx context.Context, bytes map[string]int64) error {
	list, err := s.Quotas(ctx)
	if err != nil {
		return err
	}
	for _, q := range list {
		if err := s.later(ctx, `UPDATE organisation SET log_used = $1, log_counted_at = $2 WHERE id = $3`, bytes[q.OrganisationID], at(s.Now()), q.OrganisationID); err != nil {
			return fmt.Errorf("noting what organisation %s holds: %w", q.OrganisationID, err)
		}
	}
	return nil
}
