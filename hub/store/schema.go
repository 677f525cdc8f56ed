package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead/fairlead/hub"
)

// Migration is one step of the schema.
type Migration struct {
	Version int64
	// Name is that of its file, without number and ending.
	Name string
	// Purpose is the first sentence of its first comment.
	Purpose string
}

// Schema compares what a database has been brought to with what this program knows.
type Schema struct {
	// Database and Program are versions of the newest migration; 0: of none.
	Database, Program int64
	// Pending are those that Migrate would apply, in order.
	Pending []Migration
}

// Schema reads the schema's version and changes nothing.
func (s *Store) Schema(ctx context.Context) (*Schema, error) {
	applied, err := s.appliedMigrations(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the schema's version: %w", err)
	}
	known, err := migrationList(s.dialect.migrations)
	if err != nil {
		return nil, err
	}
	return compareSchema(applied, known), nil
}

// LookAtSchema is Schema for a database that is not open, and may be in use by a hub or
// not be there at all: nothing is made, locked or changed.
func LookAtSchema(ctx context.Context, cfg Config) (schema *Schema, err error) {
	err = lookAt(ctx, cfg, func(st *Store) error {
		schema, err = st.Schema(ctx)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		known, err := migrationList(migrationsOf("sqlite"))
		return compareSchema(nil, known), err
	}
	return schema, err
}

// LookAtCA looks as LookAtSchema does for the key of the CA, as it is sealed under the
// master key, and for the id of its cluster; sealed is nil where there is none yet.
func LookAtCA(ctx context.Context, cfg Config) (clusterID string, sealed []byte, err error) {
	err = lookAt(ctx, cfg, func(st *Store) error {
		schema, err := st.Schema(ctx)
		if err != nil || schema.Database == 0 {
			return err
		}
		err = st.queryRow(ctx, `SELECT id, ca_key FROM cluster WHERE singleton = 1`).Scan(&clusterID, &sealed)
		if err != nil && !missing(err) {
			return fmt.Errorf("reading the CA: %w", err)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, nil
	}
	return clusterID, sealed, err
}

// lookAt opens a database for do; fs.ErrNotExist when the file is not there.
func lookAt(ctx context.Context, cfg Config, do func(*Store) error) error {
	var st *Store
	var err error
	if cfg.Path == "" {
		st, err = Open(ctx, cfg)
	} else {
		st, err = openToRead(cfg)
	}
	if err != nil {
		return err
	}
	return errors.Join(do(st), st.Close())
}

func compareSchema(applied []int64, known []Migration) *Schema {
	c := &Schema{}
	if len(applied) > 0 {
		c.Database = slices.Max(applied)
	}
	for _, m := range known {
		c.Program = m.Version
		if !slices.Contains(applied, m.Version) {
			c.Pending = append(c.Pending, m)
		}
	}
	return c
}

// Refusal is why Migrate refuses the database, nil if it does not: that of a newer
// program may hold what this one would not understand.
func (c *Schema) Refusal() error {
	if c.Database <= c.Program {
		return nil
	}
	return hub.Errorf(hub.CodeConflict,
		"The database has schema %d, of a newer fairlead-hub; this one knows %d. Run the newer program, or restore a backup from before its upgrade.",
		c.Database, c.Program)
}

// appliedMigrations are the versions that goose noted; none when it never ran here.
func (s *Store) appliedMigrations(ctx context.Context) ([]int64, error) {
	var there bool
	if err := s.queryRow(ctx, s.dialect.hasTable, migrationTable).Scan(&there); err != nil || !there {
		return nil, err
	}
	return collect(ctx, s, func(r scanner) (version int64, err error) { return version, r.Scan(&version) },
		`SELECT version_id FROM `+migrationTable+` WHERE is_applied AND version_id > 0 ORDER BY version_id`)
}

// migrationList reads the migrations of one dialect, in order.
func migrationList(files fs.FS) ([]Migration, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, fmt.Errorf("listing the migrations: %w", err)
	}
	list := make([]Migration, len(names))
	for i, name := range names {
		number, rest, _ := strings.Cut(strings.TrimSuffix(name, ".sql"), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the migration %s has no number: %w", name, err)
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("reading the migration %s: %w", name, err)
		}
		list[i] = Migration{Version: version, Name: rest, Purpose: purposeOf(string(text))}
	}
	return list, nil
}

// purposeOf is the first sentence of a migration's first comment.
func purposeOf(text string) string {
	var words []string
	for line := range strings.Lines(text) {
		comment, ok := strings.CutPrefix(strings.TrimSpace(line), "--")
		comment = strings.TrimSpace(comment)
		if strings.HasPrefix(comment, "+goose") || strings.HasPrefix(comment, "contract:") {
			continue
		}
		if !ok || comment == "" {
			if len(words) > 0 {
				break
			}
			continue
		}
		if sentence, _, found := strings.Cut(comment+" ", ". "); found {
			words = append(words, sentence+".")
			break
		}
		words = append(words, comment)
	}
	return strings.Join(words, " ")
}
