package storetest

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/fairlead/fairlead/hub/store"
)

// Option changes how a test's store is opened.
type Option func(*store.Config)

// Opener opens a store of one kind on a database of its own.
type Opener func(t testing.TB, options ...Option) *store.Store

// New opens a store on a SQLite file of its own, migrated, closed when the test ends.
// The file is not synced: a test that pulls the plug wants Config without NoSync.
func New(t testing.TB, options ...Option) *store.Store {
	t.Helper()
	return open(t, Config(t), options)
}

// NewPostgres opens a store on a PostgreSQL database of its own, migrated, gone when
// the test ends.
func NewPostgres(t testing.TB, options ...Option) *store.Store {
	t.Helper()
	return open(t, PostgresConfig(t), options)
}

// Run runs a test on both databases, side by side.
func Run(t *testing.T, test func(t *testing.T, open Opener)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, New)
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, NewPostgres)
	})
}

// Config makes a migrated SQLite file and says how to open it, for tests that open it
// more than once.
func Config(t testing.TB) store.Config {
	t.Helper()
	image, err := sqliteTemplate()
	if err != nil {
		t.Fatalf("making the SQLite template: %v", err)
	}
	path := filepath.Join(t.TempDir(), "hub.db")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatalf("copying the SQLite template: %v", err)
	}
	return store.Config{Path: path, NoSync: true, Log: Logger(t)}
}

// PostgresConfig makes a migrated PostgreSQL database and says how to open it.
func PostgresConfig(t testing.TB) store.Config {
	t.Helper()
	server, err := sharedServer()
	if err != nil {
		t.Fatalf("PostgreSQL for tests: %v", err)
	}
	return store.Config{URL: server.newDatabase(t), PoolSize: 8, Log: Logger(t)}
}

// Logger writes to the test's log what is worth a warning.
func Logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
}

func open(t testing.TB, cfg store.Config, options []Option) *store.Store {
	t.Helper()
	for _, o := range options {
		o(&cfg)
	}
	st, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatalf("opening the store: %v", err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	return st
}

// sqliteTemplate is the content of a migrated file, made once per process.
var sqliteTemplate = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "fairlead-sqlite-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "hub.db")
	if err := migrate(store.Config{Path: path, NoSync: true}); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// migrate opens a database, migrates it and closes it, which folds SQLite's log into
// the file.
func migrate(cfg store.Config) error {
	ctx := context.Background()
	st, err := store.Open(ctx, cfg)
	if err != nil {
		return err
	}
	if err := st.Migrate(ctx); err != nil {
		return errors.Join(err, st.Close())
	}
	return st.Close()
}
