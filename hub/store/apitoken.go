package store

import (
	"context"
	"fmt"
	"time"

	"github.com/fairlead/fairlead/hub"
)

const apiTokenColumns = `id, organisation_id, user_id, name, secret_hash, created_at, expires_at, last_used_at`

// touchEvery is how fine the last use of tokens and sessions is told: a write for
// each request would be a commit for each request.
const touchEvery = time.Minute

func scanAPIToken(r scanner) (*hub.APIToken, error) {
	t := &hub.APIToken{}
	err := r.Scan(&t.ID, &t.OrganisationID, &t.UserID, &t.Name, &t.SecretHash,
		timeInto(&t.CreatedAt), timeInto(&t.ExpiresAt), timeInto(&t.LastUsedAt))
	return t, err
}

// CreateAPIToken stores a token under t.ID, one is made if it is empty, and gives it
// its time. An id that is there already is a conflict.
func (s *Store) CreateAPIToken(ctx context.Context, t *hub.APIToken) error {
	if t.ID == "" {
		t.ID = NewID()
	}
	t.CreatedAt = s.Now()
	n, err := s.exec(ctx, `INSERT INTO api_token (`+apiTokenColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, 0) ON CONFLICT (id) DO NOTHING`,
		t.ID, t.OrganisationID, t.UserID, t.Name, t.SecretHash, at(t.CreatedAt), at(t.ExpiresAt))
	if err != nil {
		return fmt.Errorf("creating an API token: %w", err)
	}
	if n == 0 {
		return hub.Errorf(hub.CodeConflict, "There is an API token %s already.", t.ID)
	}
	return nil
}

// APIToken returns a token by its id, expired ones too.
func (s *Store) APIToken(ctx context.Context, id string) (*hub.APIToken, error) {
	t, err := scanAPIToken(s.queryRow(ctx, `SELECT `+apiTokenColumns+` FROM api_token WHERE id = $1`, id))
	if missing(err) {
		return nil, hub.Errorf(hub.CodeNotFound, "There is no API token %s.", id)
	}
	if err != nil {
		return nil, fmt.Errorf("reading an API token: %w", err)
	}
	return t, nil
}

// APITokens lists the tokens of an account, oldest first.
func (s *Store) APITokens(ctx context.Context, userID string) ([]*hub.APIToken, error) {
	list, err := collect(ctx, s, scanAPIToken, `SELECT `+apiTokenColumns+` FROM api_token WHERE user_id = $1 ORDER BY id`, userID)
	if err != nil {
		return nil, fmt.Errorf("listing API tokens: %w", err)
	}
	return list, nil
}

// TouchAPIToken notes that a token was used; within a minute of the last note it
// costs the database no change.
func (s *Store) TouchAPIToken(ctx context.Context, id string) error {
	now := s.Now()
	_, err := s.exec(ctx, `UPDATE api_token SET last_used_at = $1 WHERE id = $2 AND last_used_at < $3`, at(now), id, at(now.Add(-touchEvery)))
	if err != nil {
		return fmt.Errorf("noting the use of an API token: %w", err)
	}
	return nil
}

// DeleteAPIToken ends a token of an account.
func (s *Store) DeleteAPIToken(ctx context.Context, userID, id string) error {
	n, err := s.exec(ctx, `DELETE FROM api_token WHERE user_id = $1 AND id = $2`, userID, id)
	if err != nil {
		return fmt.Errorf("deleting an API token: %w", err)
	}
	if n == 0 {
		return hub.Errorf(hub.CodeNotFound, "There is no API token %s.", id)
	}
	return nil
}
