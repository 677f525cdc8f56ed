package store

import (
	"context"
	"fmt"

	"github.com/fairlead/fairlead/hub"
)

// CreateUserSession stores the session of a browser; the caller has made IDHash,
// times included where they are set.
func (s *Store) CreateUserSession(ctx context.Context, u *hub.UserSession) error {
	if u.CreatedAt.IsZero() {
		u.CreatedAt = s.Now()
	}
	if u.LastUsedAt.IsZero() {
		u.LastUsedAt = u.CreatedAt
	}
	_, err := s.exec(ctx, `INSERT INTO user_session (id_hash, organisation_id, user_id, created_at, last_used_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6)`,
		u.IDHash, u.OrganisationID, u.UserID, at(u.CreatedAt), at(u.LastUsedAt), at(u.ExpiresAt))
	if err != nil {
		return fmt.Errorf("creating a session: %w", err)
	}
	return nil
}

// UserSession returns a session that has not expired, by the hash of its cookie.
func (s *Store) UserSession(ctx context.Context, idHash []byte) (*hub.UserSession, error) {
	u := &hub.UserSession{}
	err := s.queryRow(ctx, `SELECT id_hash, organisation_id, user_id, created_at, last_used_at, expires_at
		FROM user_session WHERE id_hash = $1 AND expires_at > $2`, idHash, at(s.Now())).
		Scan(&u.IDHash, &u.OrganisationID, &u.UserID, timeInto(&u.CreatedAt), timeInto(&u.LastUsedAt), timeInto(&u.ExpiresAt))
	if missing(err) {
		return nil, hub.Errorf(hub.CodeUnauthenticated, "The session has ended; sign in again.")
	}
	if err != nil {
		return nil, fmt.Errorf("reading a session: %w", err)
	}
	return u, nil
}

// TouchUserSession notes that a session was used, at most once a minute.
func (s *Store) TouchUserSession(ctx context.Context, idHash []byte) error {
	now := s.Now()
	_, err := s.exec(ctx, `UPDATE user_session SET last_used_at = $1 WHERE id_hash = $2 AND last_used_at < $3`,
		at(now), idHash, at(now.Add(-touchEvery)))
	if err != nil {
		return fmt.Errorf("noting the use of a session: %w", err)
	}
	return nil
}

// DeleteUserSession ends a session; one that is not there is no error.
func (s *Store) DeleteUserSession(ctx context.Context, idHash []byte) error {
	if _, err := s.exec(ctx, `DELETE FROM user_session WHERE id_hash = $1`, idHash); err != nil {
		return fmt.Errorf("ending a session: %w", err)
	}
	return nil
}

// DeleteUserSessions ends all sessions of an account.
func (s *Store) DeleteUserSessions(ctx context.Context, userID string) error {
	if _, err := s.exec(ctx, `DELETE FROM user_session WHERE user_id = $1`, userID); err != nil {
		return fmt.Errorf("ending the sessions of a user: %w", err)
	}
	return nil
}

// CreateSignInLink stores a link that signs one browser in, once.
func (s *Store) CreateSignInLink(ctx context.Context, l *hub.SignInLink) error {
	_, err := s.exec(ctx, `INSERT INTO sign_in_link (secret_hash, user_id, expires_at) VALUES ($1, $2, $3)`,
		l.SecretHash, l.UserID, at(l.ExpiresAt))
	if err != nil {
		return fmt.Errorf("creating a sign-in link: %w", err)
	}
	return nil
}

// UseSignInLink takes a link's one use and returns the account that it signs in.
func (s *Store) UseSignInLink(ctx context.Context, secretHash []byte) (*hub.User, error) {
	var user *hub.User
	err := s.InTx(ctx, func(s *Store) error {
		var id string
		err := s.queryRow(ctx, `UPDATE sign_in_link SET used_at = $1 WHERE secret_hash = $2 AND used_at = 0 AND expires_at > $1 RETURNING user_id`,
			at(s.Now()), secretHash).Scan(&id)
		if missing(err) {
			return hub.Errorf(hub.CodeUnauthenticated, "This sign-in link was used or has expired; make another with: fairlead-hub user link")
		}
		if err != nil {
			return fmt.Errorf("using a sign-in link: %w", err)
		}
		user, err = s.User(ctx, id)
		return err
	})
	return user, err
}

// DeleteExpiredSignIns removes sessions, links and API tokens whose time is over; how
// many it were.
func (s *Store) DeleteExpiredSignIns(ctx context.Context) (int64, error) {
	var total int64
	for _, query := range []string{
		`DELETE FROM user_session WHERE expires_at <= $1`,
		`DELETE FROM sign_in_link WHERE expires_at <= $1`,
		`DELETE FROM api_token WHERE expires_at > 0 AND expires_at <= $1`,
	} {
		n, err := s.exec(ctx, query, at(s.Now()))
		if err != nil {
			return total, fmt.Errorf("removing expired sign-ins: %w", err)
		}
		total += n
	}
	return total, nil
}
