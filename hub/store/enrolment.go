package store

import (
	"bytes"
	"context"
	"fmt"

	"github.com/fairlead/fairlead/hub"
)

const enrolmentColumns = `id, organisation_id, secret_hash, project_ids, tags, created_by, created_at, expires_at, used_at, used_key, runner_id, revoked`

func scanEnrolment(r scanner) (*hub.EnrolmentToken, error) {
	t := &hub.EnrolmentToken{}
	err := r.Scan(&t.ID, &t.OrganisationID, &t.SecretHash, jsonInto(&t.ProjectIDs), jsonInto(&t.Tags), &t.CreatedBy,
		timeInto(&t.CreatedAt), timeInto(&t.ExpiresAt), timeInto(&t.UsedAt), &t.UsedKey, &t.RunnerID, &t.Revoked)
	return t, err
}

// CreateEnrolmentToken stores a token under t.ID, one is made if it is empty, and
// gives it its time.
func (s *Store) CreateEnrolmentToken(ctx context.Context, t *hub.EnrolmentToken) error {
	if t.ID == "" {
		t.ID = NewID()
	}
	t.CreatedAt = s.Now()
	_, err := s.exec(ctx, `INSERT INTO enrolment_token (`+enrolmentColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, NULL, '', FALSE)`,
		t.ID, t.OrganisationID, t.SecretHash, asJSON(t.ProjectIDs), asJSON(t.Tags), t.CreatedBy, at(t.CreatedAt), at(t.ExpiresAt))
	if err != nil {
		return fmt.Errorf("creating an enrolment token: %w", err)
	}
	return nil
}

// EnrolmentTokens lists the tokens of an organisation, newest first, used and expired
// ones too.
func (s *Store) EnrolmentTokens(ctx context.Context, organisationID string, page Page) ([]*hub.EnrolmentToken, string, error) {
	before, err := decodeNewest(page.Cursor)
	if err != nil {
		return nil, "", err
	}
	list, err := collect(ctx, s, scanEnrolment, `SELECT `+enrolmentColumns+` FROM enrolment_token
		WHERE organisation_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3`, organisationID, before, page.limit()+1)
	if err != nil {
		return nil, "", fmt.Errorf("listing enrolment tokens: %w", err)
	}
	list, next := cut(list, page.limit(), func(t *hub.EnrolmentToken) []string { return []string{t.ID} })
	return list, next, nil
}

// UseEnrolmentToken takes a token's one use for a public key (the SHA-256 of its
// SPKI) and the runner that is being made, in the transaction that makes it. The same
// key may repeat it: then the token that comes back names the runner of the first
// time, and the caller issues to that one. Whether the secret is right is decided
// here, since a forged token must learn nothing else.
func (s *Store) UseEnrolmentToken(ctx context.Context, id string, secretHash, publicKey []byte, runnerID string) (*hub.EnrolmentToken, error) {
	var t *hub.EnrolmentToken
	err := s.InTx(ctx, func(s *Store) error {
		now := s.Now()
		var err error
		t, err = scanEnrolment(s.queryRow(ctx, `UPDATE enrolment_token SET used_at = $1, used_key = $2, runner_id = $3
			WHERE id = $4 AND secret_hash = $5 AND used_at = 0 AND NOT revoked AND expires_at > $1 RETURNING `+enrolmentColumns,
			at(now), publicKey, runnerID, id, secretHash))
		if !missing(err) {
			return err
		}
		t, err = scanEnrolment(s.queryRow(ctx, `SELECT `+enrolmentColumns+` FROM enrolment_token WHERE id = $1 AND secret_hash = $2`, id, secretHash))
		switch {
		case missing(err):
			return hub.Errorf(hub.CodeUnauthenticated, "This enrolment token is not one of this hub; make one with: fairlead runners token create")
		case err != nil:
			return err
		case t.Revoked:
			return hub.Errorf(hub.CodeUnauthenticated, "This enrolment token was revoked; make another with: fairlead runners token create")
		case !t.UsedAt.IsZero() && bytes.Equal(t.UsedKey, publicKey):
			return nil
		case !t.UsedAt.IsZero():
			return hub.Errorf(hub.CodeUnauthenticated, "This enrolment token was used already, by another key; make another with: fairlead runners token create")
		default:
			return hub.Errorf(hub.CodeUnauthenticated, "This enrolment token has expired; make another with: fairlead runners token create")
		}
	})
	if err != nil {
		return nil, fmt.Errorf("using an enrolment token: %w", err)
	}
	return t, nil
}

// RevokeEnrolmentToken ends a token; a runner that has enrolled with it stays.
func (s *Store) RevokeEnrolmentToken(ctx context.Context, organisationID, id string) error {
	n, err := s.exec(ctx, `UPDATE enrolment_token SET revoked = TRUE WHERE organisation_id = $1 AND id = $2`, organisationID, id)
	if err != nil {
		return fmt.Errorf("revoking an enrolment token: %w", err)
	}
	if n == 0 {
		return hub.Errorf(hub.CodeNotFound, "There is no enrolment token %s.", id)
	}
	return nil
}
