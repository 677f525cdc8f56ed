package store

import (
	"context"
	"fmt"

	"github.com/fairlead/fairlead/hub"
)

const keyColumns = `organisation_id, path, type, size, revision, created_by, created_at, updated_at`

func scanKey(r scanner) (*hub.Key, error) {
	k := &hub.Key{}
	err := r.Scan(&k.OrganisationID, &k.Path, &k.Type, &k.Size, &k.Revision, &k.CreatedBy, timeInto(&k.CreatedAt), timeInto(&k.UpdatedAt))
	return k, err
}

// SetKey stores a key's value under its path, as a new revision if there is one. seal
// is asked for the envelope once the revision is known, since the envelope is bound
// to it; it may be asked again. k gets revision and times.
func (s *Store) SetKey(ctx context.Context, k *hub.Key, seal func(revision int64) ([]byte, error)) error {
	err := s.InTx(ctx, func(s *Store) error {
		now := s.Now()
		k.Revision, k.CreatedAt, k.UpdatedAt = 1, now, now
		// The empty row takes the path's lock, whether it is new or not.
		err := s.queryRow(ctx, `INSERT INTO key_store (organisation_id, path, type, size, revision, sealed, created_by, created_at, updated_at)
			VALUES ($1, $2, $3, 0, 1, $4, $5, $6, $6)
			ON CONFLICT (organisation_id, path) DO UPDATE SET revision = key_store.revision + 1
			RETURNING revision, created_at`,
			k.OrganisationID, k.Path, string(k.Type), []byte{}, k.CreatedBy, at(now)).Scan(&k.Revision, timeInto(&k.CreatedAt))
		if err != nil {
			return err
		}
		sealed, err := seal(k.Revision)
		if err != nil {
			return fmt.Errorf("sealing: %w", err)
		}
		_, err = s.exec(ctx, `UPDATE key_store SET type = $1, size = $2, sealed = $3, created_by = $4, updated_at = $5
			WHERE organisation_id = $6 AND path = $7`,
			string(k.Type), k.Size, sealed, k.CreatedBy, at(now), k.OrganisationID, k.Path)
		return err
	})
	if err != nil {
		return fmt.Errorf("storing key %s: %w", k.Path, err)
	}
	return nil
}

// Key returns a key without its value.
func (s *Store) Key(ctx context.Context, organisationID, path string) (*hub.Key, error) {
	k, _, err := s.SealedKey(ctx, organisationID, path)
	return k, err
}

// SealedKey returns a key and the envelope of its value.
func (s *Store) SealedKey(ctx context.Context, organisationID, path string) (*hub.Key, []byte, error) {
	k := &hub.Key{}
	var sealed []byte
	err := s.queryRow(ctx, `SELECT `+keyColumns+`, sealed FROM key_store WHERE organisation_id = $1 AND path = $2`, organisationID, path).
		Scan(&k.OrganisationID, &k.Path, &k.Type, &k.Size, &k.Revision, &k.CreatedBy, timeInto(&k.CreatedAt), timeInto(&k.UpdatedAt), &sealed)
	if missing(err) {
		return nil, nil, hub.Errorf(hub.CodeNotFound, "There is no key %q; store it with: fairlead keys set %s --file FILE --type TYPE", path, path)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading key %s: %w", path, err)
	}
	return k, sealed, nil
}

// Keys lists the keys whose path begins with prefix, by path.
func (s *Store) Keys(ctx context.Context, organisationID, prefix string, page Page) ([]*hub.Key, string, error) {
	after, err := decodeCursor(page.Cursor, 1)
	if err != nil {
		return nil, "", err
	}
	list, err := collect(ctx, s, scanKey, `SELECT `+keyColumns+` FROM key_store
		WHERE organisation_id = $1 AND path > $2 AND `+beginsWith("path", 3)+` ORDER BY path LIMIT $4`,
		organisationID, after[0], prefix, page.limit()+1)
	if err != nil {
		return nil, "", fmt.Errorf("listing keys: %w", err)
	}
	list, next := cut(list, page.limit(), func(k *hub.Key) []string { return []string{k.Path} })
	return list, next, nil
}

// DeleteKey deletes a key, if it still has the revision (0: whatever it has).
func (s *Store) DeleteKey(ctx context.Context, organisationID, path string, revision int64) error {
	return s.InTx(ctx, func(s *Store) error {
		n, err := s.exec(ctx, `DELETE FROM key_store WHERE organisation_id = $1 AND path = $2 AND (CAST($3 AS BIGINT) = 0 OR revision = $3)`,
			organisationID, path, revision)
		if err != nil {
			return fmt.Errorf("deleting key %s: %w", path, err)
		}
		if n > 0 {
			return nil
		}
		if _, err := s.Key(ctx, organisationID, path); err != nil {
			return err
		}
		return changedMeanwhile("key", path)
	})
}
