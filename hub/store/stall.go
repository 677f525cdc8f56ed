package store

import (
	"context"

	"github.com/fairlead/fairlead/hub"
)

// SetStalled says of executions that wait for nothing else that attempts of them, which a
// runner holds, wait for room to print.
func (s *Store) SetStalled(ctx context.Context, runnerID string, attempts []string, w hub.WaitingFor) error {
	return inPieces(len(attempts), func(from, to int) error {
		args := append([]any{w.Kind, at(w.Since), w.Message, runnerID}, anys(attempts[from:to])...)
		_, err := s.exec(ctx, `UPDATE execution SET waiting_kind = $1, waiting_since = $2, waiting_message = $3
			WHERE waiting_kind = '' AND ended_at = 0 AND id IN (SELECT execution_id FROM attempt
				WHERE runner_id = $4 AND state IN ('claimed', 'running') AND id IN (`+params(5, to-from)+`))`, args...)
		return err
	})
}

// EndStall takes that back, unless a runner of the execution is not heard of.
func (s *Store) EndStall(ctx context.Context, runnerID string, attempts []string) error {
	return inPieces(len(attempts), func(from, to int) error {
		_, err := s.exec(ctx, `UPDATE execution SET waiting_kind = '', waiting_since = 0, waiting_message = ''
			WHERE waiting_kind = 'runner' AND ended_at = 0
				AND id IN (SELECT execution_id FROM attempt WHERE runner_id = $1 AND id IN (`+params(2, to-from)+`))
				AND NOT EXISTS (SELECT 1 FROM attempt t JOIN attempt_lease l ON l.attempt_id = t.id
					WHERE t.execution_id = execution.id AND t.state IN ('claimed', 'running') AND l.disconnected)`,
			append([]any{runnerID}, anys(attempts[from:to])...)...)
		return err
	})
}
