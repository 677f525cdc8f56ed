package store

import (
	"context"
	"io/fs"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
)

// CopyThenChange copies, changes what has arrived, and compares.
func CopyThenChange(ctx context.Context, from string, to Config, statement string) error {
	lock, source, err := openCopySource(ctx, from)
	if err != nil {
		return err
	}
	defer func() { _, _ = source.Close(), unlockFile(lock) }()
	conn := must(pgx.ConnectConfig(ctx, must(postgresConfig(to))))
	defer func() { _ = conn.Close(ctx) }()
	c := &copier{source: source, tx: must(conn.Begin(ctx)), tell: func(CopyProgress) {}}
	c.tables = must(planCopy(ctx, source, c.tx))
	for _, step := range []func() error{
		func() error { return c.each(ctx, "ALTER TABLE %s DISABLE TRIGGER USER") },
		func() error { return c.clear(ctx) },
		func() error { return c.write(ctx) },
		func() error { _, err := c.tx.Exec(ctx, statement); return err },
		func() error { _, err := c.verify(ctx); return err },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// AddMigration lets a store know one more migration than this program has.
func AddMigration(s *Store, name, text string) {
	files := fstest.MapFS{name: {Data: []byte(text)}}
	for _, m := range must(fs.Glob(s.dialect.migrations, "*.sql")) {
		files[m] = &fstest.MapFile{Data: must(fs.ReadFile(s.dialect.migrations, m))}
	}
	s.dialect.migrations = files
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// PurposeOf is what `migrate --check` tells of a migration.
func PurposeOf(text string) string { return purposeOf(text) }

// Waiting is how many wait for the writer's turn on SQLite.
func Waiting(s *Store) int {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	return len(s.gate.waiting[0]) + len(s.gate.waiting[1])
}

// Pragma reads a setting of the writing connection of SQLite.
func Pragma(ctx context.Context, s *Store, name string) (value string) {
	if err := s.writer.QueryRowContext(ctx, `PRAGMA `+name).Scan(&value); err != nil {
		return err.Error()
	}
	return value
}

// CurrentSetting reads a setting of a connection to PostgreSQL.
func CurrentSetting(ctx context.Context, s *Store, name string) (value string) {
	if err := s.queryRow(ctx, `SELECT current_setting($1)`, name).Scan(&value); err != nil {
		return err.Error()
	}
	return value
}
