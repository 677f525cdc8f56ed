package store

import "context"

// Exec runs any statement, to try what the code never does.
func Exec(ctx context.Context, s *Store, query string, args ...any) (int64, error) {
	return s.exec(ctx, query, args...)
}

// Claim and Return are ClaimAttempts and ReturnAttempts in a transaction; they return the
// attempts that were changed.
func Claim(ctx context.Context, s *Store, asks []ClaimAsk) (done map[string]bool, err error) {
	err = s.InTx(ctx, func(s *Store) error {
		done, err = Changed(s.ClaimAttempts(ctx, asks, 1, ClaimRules{}))
		return err
	})
	return done, err
}

// Return is ReturnAttempts in a transaction.
func Return(ctx context.Context, s *Store, asks []ClaimAsk) (done map[string]bool, err error) {
	err = s.InTx(ctx, func(s *Store) error {
		done, err = Changed(s.ReturnAttempts(ctx, asks, ClaimRules{}))
		return err
	})
	return done, err
}

// Changed are the attempts that a claim or a return changed.
func Changed(boots map[string][]byte, err error) (map[string]bool, error) {
	done := make(map[string]bool, len(boots))
	for id := range boots {
		done[id] = true
	}
	return done, err
}

// Events are the events of an attempt as "from event to".
func Events(ctx context.Context, s *Store, attemptID string) ([]string, error) {
	return collect(ctx, s, func(r scanner) (string, error) {
		var from, event, to string
		err := r.Scan(&from, &event, &to)
		return from + " " + event + " " + to, err
	}, `SELECT from_state, event, to_state FROM attempt_event WHERE attempt_id = $1 ORDER BY id`, attemptID)
}
