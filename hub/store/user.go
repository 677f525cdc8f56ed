package store

import (
	"context"
	"fmt"
	"time"

	"github.com/fairlead/fairlead/hub"
)

const userColumns = `id, organisation_id, name, password_hash, admin, disabled, created_at`

func scanUser(r scanner) (*hub.User, error) {
	u := &hub.User{}
	err := r.Scan(&u.ID, &u.OrganisationID, &u.Name, &u.PasswordHash, &u.Admin, &u.Disabled, timeInto(&u.CreatedAt))
	return u, err
}

// CreateUser stores a new account and gives it id and time. A name that is taken is
// a conflict.
func (s *Store) CreateUser(ctx context.Context, u *hub.User) error {
	u.ID, u.CreatedAt = NewID(), s.Now()
	n, err := s.exec(ctx, `INSERT INTO user_account (`+userColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (organisation_id, name) DO NOTHING`,
		u.ID, u.OrganisationID, u.Name, u.PasswordHash, u.Admin, u.Disabled, at(u.CreatedAt))
	if err != nil {
		return fmt.Errorf("creating user %s: %w", u.Name, err)
	}
	if n == 0 {
		return hub.Errorf(hub.CodeConflict, "There is a user %q already; choose another name.", u.Name)
	}
	return nil
}

// User returns an account by its id.
func (s *Store) User(ctx context.Context, id string) (*hub.User, error) {
	u, err := scanUser(s.queryRow(ctx, `SELECT `+userColumns+` FROM user_account WHERE id = $1`, id))
	if missing(err) {
		return nil, hub.Errorf(hub.CodeNotFound, "There is no user %s.", id)
	}
	if err != nil {
		return nil, fmt.Errorf("reading user %s: %w", id, err)
	}
	return u, nil
}

// UserByName returns an account of an organisation by its name.
func (s *Store) UserByName(ctx context.Context, organisationID, name string) (*hub.User, error) {
	u, err := scanUser(s.queryRow(ctx, `SELECT `+userColumns+` FROM user_account WHERE organisation_id = $1 AND name = $2`, organisationID, name))
	if missing(err) {
		return nil, hub.Errorf(hub.CodeNotFound, "There is no user %q.", name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading user %s: %w", name, err)
	}
	return u, nil
}

// Users lists the accounts of an organisation by name.
func (s *Store) Users(ctx context.Context, organisationID string, page Page) ([]*hub.User, string, error) {
	after, err := decodeCursor(page.Cursor, 1)
	if err != nil {
		return nil, "", err
	}
	list, err := collect(ctx, s, scanUser, `SELECT `+userColumns+` FROM user_account
		WHERE organisation_id = $1 AND name > $2 ORDER BY name LIMIT $3`, organisationID, after[0], page.limit()+1)
	if err != nil {
		return nil, "", fmt.Errorf("listing users: %w", err)
	}
	list, next := cut(list, page.limit(), func(u *hub.User) []string { return []string{u.Name} })
	return list, next, nil
}

// CountUsers counts all accounts of the installation: 0 before the first start.
func (s *Store) CountUsers(ctx context.Context) (int64, error) {
	var n int64
	if err := s.queryRow(ctx, `SELECT count(*) FROM user_account`).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting users: %w", err)
	}
	return n, nil
}

// UpdateUser stores password hash, admin and disabled. Disabling ends the account's
// sessions in the same transaction.
func (s *Store) UpdateUser(ctx context.Context, u *hub.User) error {
	return s.InTx(ctx, func(s *Store) error {
		n, err := s.exec(ctx, `UPDATE user_account SET password_hash = $1, admin = $2, disabled = $3 WHERE id = $4`,
			u.PasswordHash, u.Admin, u.Disabled, u.ID)
		if err == nil && n == 0 {
			return hub.Errorf(hub.CodeNotFound, "There is no user %q.", u.Name)
		}
		if err == nil && u.Disabled {
			err = s.DeleteUserSessions(ctx, u.ID)
		}
		if err != nil {
			return fmt.Errorf("changing user %s: %w", u.Name, err)
		}
		return nil
	})
}

// SignInFailures returns how many wrong passwords an account was tried with since
// the last right one, and when the last of them was.
func (s *Store) SignInFailures(ctx context.Context, userID string) (n int, last time.Time, err error) {
	err = s.queryRow(ctx, `SELECT failures, failed_at FROM user_account WHERE id = $1`, userID).Scan(&n, timeInto(&last))
	if err != nil && !missing(err) {
		return 0, time.Time{}, fmt.Errorf("reading sign-in failures: %w", err)
	}
	return n, last, nil
}

// CountSignIn notes a try with a password: a right one clears the count of wrong ones.
func (s *Store) CountSignIn(ctx context.Context, userID string, right bool) error {
	var err error
	if right {
		_, err = s.exec(ctx, `UPDATE user_account SET failures = 0, failed_at = 0 WHERE id = $1 AND failures > 0`, userID)
	} else {
		_, err = s.exec(ctx, `UPDATE user_account SET failures = failures + 1, failed_at = $1 WHERE id = $2`, at(s.Now()), userID)
	}
	if err != nil {
		return fmt.Errorf("counting a sign-in: %w", err)
	}
	return nil
}
