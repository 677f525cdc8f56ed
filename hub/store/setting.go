package store

import (
	"context"
	"fmt"
)

// Setting returns a value of the installation and its revision; nil and 0 when there
// is none. Secret ones are envelopes: this table holds no plain secret.
func (s *Store) Setting(ctx context.Context, name string) (value []byte, revision int64, err error) {
	err = s.queryRow(ctx, `SELECT value, revision FROM setting WHERE name = $1`, name).Scan(&value, &revision)
	if missing(err) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading setting %s: %w", name, err)
	}
	return value, revision, nil
}

// EnsureSetting stores a value if there is none, and returns the one that is there
// then: members that start together all get the same.
func (s *Store) EnsureSetting(ctx context.Context, name string, value []byte) ([]byte, error) {
	_, err := s.exec(ctx, `INSERT INTO setting (name, value, revision, updated_at) VALUES ($1, $2, 1, $3) ON CONFLICT (name) DO NOTHING`,
		name, value, at(s.Now()))
	if err != nil {
		return nil, fmt.Errorf("storing setting %s: %w", name, err)
	}
	stored, _, err := s.Setting(ctx, name)
	return stored, err
}

// SetSetting stores a value if the setting still has the revision (0: there is none)
// and reports whether it did.
func (s *Store) SetSetting(ctx context.Context, name string, value []byte, revision int64) (bool, error) {
	query := `UPDATE setting SET value = $1, revision = revision + 1, updated_at = $2 WHERE name = $3 AND revision = $4`
	if revision == 0 {
		query = `INSERT INTO setting (value, updated_at, name, revision) VALUES ($1, $2, $3, $4 + 1) ON CONFLICT (name) DO NOTHING`
	}
	n, err := s.exec(ctx, query, value, at(s.Now()), name, revision)
	if err != nil {
		return false, fmt.Errorf("storing setting %s: %w", name, err)
	}
	return n == 1, nil
}
