package store

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/fairlead/fairlead/hub"
)

// keepIdempotency is how long an Idempotency-Key answers repeats.
const keepIdempotency = 24 * time.Hour

// IdempotentResponse is an answer that was given under an Idempotency-Key.
type IdempotentResponse struct {
	// Principal and Key are unique together.
	Principal string
	Key       string
	// RequestHash tells a repeat from another request under the same key.
	RequestHash []byte
	// Status and Response are what the first request was answered.
	Status   int
	Response string
}

// Idempotent returns the answer that was given under a key in the last 24 hours, nil
// for none. The same key with another request is an error.
func (s *Store) Idempotent(ctx context.Context, principal, key string, requestHash []byte) (*IdempotentResponse, error) {
	r := &IdempotentResponse{Principal: principal, Key: key}
	err := s.queryRow(ctx, `SELECT request_hash, status, response FROM idempotency_key WHERE principal = $1 AND key = $2 AND created_at > $3`,
		principal, key, at(s.Now().Add(-keepIdempotency))).Scan(&r.RequestHash, &r.Status, &r.Response)
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading an idempotency key: %w", err)
	}
	if !bytes.Equal(r.RequestHash, requestHash) {
		return nil, hub.Errorf(hub.CodeInvalid, "The Idempotency-Key %q was used for another request; take a new key for a new request.", key)
	}
	return r, nil
}

// KeepIdempotent stores an answer under its key, in the transaction that did what it
// tells. If another request was first, it returns that one's answer and the caller
// undoes its own work by returning an error from InTx; nil when r was stored.
func (s *Store) KeepIdempotent(ctx context.Context, r IdempotentResponse) (*IdempotentResponse, error) {
	now := s.Now()
	n, err := s.exec(ctx, `INSERT INTO idempotency_key (principal, key, request_hash, status, response, created_at)
		VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (principal, key) DO UPDATE SET request_hash = excluded.request_hash, status = excluded.status,
			response = excluded.response, created_at = excluded.created_at
			WHERE idempotency_key.created_at <= $7`,
		r.Principal, r.Key, r.RequestHash, r.Status, r.Response, at(now), at(now.Add(-keepIdempotency)))
	if err != nil {
		return nil, fmt.Errorf("storing an idempotency key: %w", err)
	}
	if n == 1 {
		return nil, nil
	}
	return s.Idempotent(ctx, r.Principal, r.Key, r.RequestHash)
}

// AnswerIdempotent fills in the response of a key that KeepIdempotent stored in the same
// transaction.
func (s *Store) AnswerIdempotent(ctx context.Context, principal, key, response string) error {
	_, err := s.exec(ctx, `UPDATE idempotency_key SET response = $1 WHERE principal = $2 AND key = $3`, response, principal, key)
	if err != nil {
		return fmt.Errorf("storing the answer to an idempotency key: %w", err)
	}
	return nil
}

// DeleteOldIdempotency removes keys that answer no repeats any more; how many it were.
func (s *Store) DeleteOldIdempotency(ctx context.Context) (int64, error) {
	n, err := s.exec(ctx, `DELETE FROM idempotency_key WHERE created_at <= $1`, at(s.Now().Add(-keepIdempotency)))
	if err != nil {
		return 0, fmt.Errorf("removing old idempotency keys: %w", err)
	}
	return n, nil
}
