package store

import (
	"context"
	"fmt"
)

// Load is how much there is to do now.
type Load struct {
	// Runners have a session at the member that was asked about.
	Runners int64
	// OpenAttempts are offered, claimed or running, and ReadyAssignments wait for a
	// runner, both in the whole installation.
	OpenAttempts     int64
	ReadyAssignments int64
}

// Load tells how much there is to do now. It reads three small indexes.
func (s *Store) Load(ctx context.Context, memberID string) (Load, error) {
	var l Load
	err := s.queryRow(ctx, `SELECT
		(SELECT count(*) FROM runner_session rs JOIN member m ON m.id = rs.member_id
			WHERE rs.member_id = $1 AND rs.closed_at = 0 AND rs.unconfirmed = 0 AND rs.connected_at >= m.started_at),
		(SELECT count(*) FROM attempt WHERE state IN ('offered', 'claimed', 'running')),
		(SELECT count(*) FROM assignment WHERE state = 'ready')`, memberID).Scan(&l.Runners, &l.OpenAttempts, &l.ReadyAssignments)
	if err != nil {
		return Load{}, fmt.Errorf("counting what there is to do: %w", err)
	}
	return l, nil
}
