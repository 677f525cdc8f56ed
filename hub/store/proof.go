package store

import (
	"context"
	"fmt"
)

// SignedResult is what is kept of the result of an attempt: what its signature covers,
// but for the outcome, and the signature.
type SignedResult struct {
	AttemptID   string
	RunnerID    string
	Incarnation int64
	Epoch       int
	// StepsTotal is -1 when no result came.
	StepsTotal, LogTotal int64
	StepsHash, LogHash   [32]byte
	Signature            []byte
}

// SignedResults reads those of an execution, by attempt.
func (s *Store) SignedResults(ctx context.Context, executionID string) (map[string]*SignedResult, error) {
	list, err := collect(ctx, s, func(r scanner) (*SignedResult, error) {
		p := &SignedResult{}
		return p, r.Scan(&p.AttemptID, &p.RunnerID, &p.Incarnation, &p.Epoch, &p.StepsTotal, &p.LogTotal, hashInto(&p.StepsHash), hashInto(&p.LogHash), &p.Signature)
	}, `SELECT id, runner_id, incarnation, epoch, steps_total, log_total, step_hash, log_hash, signature FROM attempt WHERE execution_id = $1`, executionID)
	if err != nil {
		return nil, fmt.Errorf("reading the signed results of execution %s: %w", executionID, err)
	}
	byID := make(map[string]*SignedResult, len(list))
	for _, p := range list {
		byID[p.AttemptID] = p
	}
	return byID, nil
}
