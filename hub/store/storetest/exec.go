package storetest

import (
	"database/sql"
	"errors"
	"testing"

	"github.com/fairlead/fairlead/hub/store"
)

// Exec runs statements in a database of Config or PostgresConfig behind the back of those
// who have it open: what no member would write.
func Exec(t testing.TB, cfg store.Config, statements ...string) {
	t.Helper()
	db, err := behind(cfg)
	if err != nil {
		t.Fatalf("opening a database behind its members: %v", err)
	}
	for _, s := range statements {
		if _, e := db.ExecContext(t.Context(), s); e != nil {
			err = errors.Join(err, e)
		}
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatalf("changing a database behind its members: %v", err)
	}
}

// Count returns the one number that a query tells about such a database. It may be called
// beside the test's own goroutine.
func Count(t testing.TB, cfg store.Config, query string) (n int) {
	t.Helper()
	db, err := behind(cfg)
	if err == nil {
		err = errors.Join(db.QueryRowContext(t.Context(), query).Scan(&n), db.Close())
	}
	if err != nil {
		t.Errorf("counting in a database behind its members: %v", err)
	}
	return n
}

func behind(cfg store.Config) (*sql.DB, error) {
	if cfg.URL != "" {
		return sql.Open("pgx", cfg.URL)
	}
	return sql.Open("sqlite", cfg.Path)
}
