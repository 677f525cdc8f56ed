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
	driver, source := "sqlite", cfg.Path
	if cfg.URL != "" {
		driver, source = "pgx", cfg.URL
	}
	db, err := sql.Open(driver, source)
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
