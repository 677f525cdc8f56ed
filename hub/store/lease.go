package store

import "context"

// RenewLeases notes a tick for live attempts of the given runners, in pairs of the same
// index: one statement for all. It returns the attempts that had been disconnected.
func (s *Store) RenewLeases(ctx context.Context, attempts, runners []string, tick int64) ([]string, error) {
	var back []string
	err := inPieces(len(attempts), func(from, to int) error {
		var args []any
		for i := from; i < to; i++ {
			args = append(args, attempts[i], runners[i], tick)
		}
		with := `WITH v (v_id, v_runner, v_tick) AS (VALUES ` + s.values("tti", to-from) + `) `
		ids, err := collect(ctx, s, scanID, with+`SELECT l.attempt_id FROM v JOIN attempt_lease l ON l.attempt_id = v_id WHERE l.disconnected`, args...)
		if err != nil {
			return err
		}
		back = append(back, ids...)
		_, err = s.exec(ctx, `INSERT INTO attempt_lease (attempt_id, tick)
			`+with+`SELECT t.id, v_tick FROM v JOIN attempt t ON t.id = v_id AND t.runner_id = v_runner AND t.state IN ('claimed', 'running')
			WHERE TRUE ORDER BY t.id
			ON CONFLICT (attempt_id) DO UPDATE SET tick = CASE WHEN attempt_lease.tick > excluded.tick THEN attempt_lease.tick ELSE excluded.tick END,
				disconnected = FALSE`, args...)
		return err
	})
	return back, err
}

// Silent is a live attempt whose lease is over.
type Silent struct {
	AttemptID    string
	ExecutionID  string
	RunnerID     string
	Tick         int64 // of the last renewal, or of the claim
	LostAfter    int64
	Disconnected bool
}

// SilentAttempts lists live attempts not renewed since a tick. after and limit page by
// id.
func (s *Store) SilentAttempts(ctx context.Context, before int64, after string, limit int) ([]Silent, error) {
	return collect(ctx, s, func(r scanner) (Silent, error) {
		var a Silent
		err := r.Scan(&a.AttemptID, &a.ExecutionID, &a.RunnerID, &a.Tick, &a.LostAfter, &a.Disconnected)
		return a, err
	}, `SELECT t.id, t.execution_id, t.runner_id, COALESCE(l.tick, t.claim_tick), e.lost_after, COALESCE(l.disconnected, FALSE)
		FROM attempt t JOIN execution e ON e.id = t.execution_id LEFT JOIN attempt_lease l ON l.attempt_id = t.id
		WHERE t.state IN ('claimed', 'running') AND COALESCE(l.tick, t.claim_tick) < $1 AND t.id > $2 ORDER BY t.id LIMIT $3`, before, after, limit)
}

// HeardAgain ends the wait of executions for runners that hold attempts of them, if none of
// those is disconnected any more. attempts are those whose runner was heard again.
func (s *Store) HeardAgain(ctx context.Context, attempts []string) error {
	return inPieces(len(attempts), func(from, to int) error {
		_, err := s.exec(ctx, `UPDATE execution SET waiting_kind = '', waiting_since = 0, waiting_message = ''
			WHERE waiting_kind = 'runner' AND ended_at = 0
				AND id IN (SELECT t.execution_id FROM attempt t WHERE t.id IN (`+params(1, to-from)+`))
				AND NOT EXISTS (SELECT 1 FROM attempt t JOIN attempt_lease l ON l.attempt_id = t.id
					WHERE t.execution_id = execution.id AND t.state IN ('claimed', 'running') AND l.disconnected)`, anys(attempts[from:to])...)
		return err
	})
}

// Disconnect flags the leases of attempts.
func (s *Store) Disconnect(ctx context.Context, list []Silent) error {
	return inPieces(len(list), func(from, to int) error {
		var args []any
		for _, a := range list[from:to] {
			args = append(args, a.AttemptID, a.Tick, true)
		}
		_, err := s.exec(ctx, `INSERT INTO attempt_lease (attempt_id, tick, disconnected) VALUES `+tuples(1, to-from, 3)+`
			ON CONFLICT (attempt_id) DO UPDATE SET disconnected = TRUE WHERE attempt_lease.tick = excluded.tick`, args...)
		return err
	})
}
