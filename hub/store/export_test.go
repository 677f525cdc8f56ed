package store

import (
	"context"
	"io/fs"
	"testing/fstest"
)

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
