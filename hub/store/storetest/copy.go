package storetest

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/hub/store"
)

// Copy copies a database of Config or PostgresConfig that nobody has open, and says how
// to open the copy: a backup, which a test may put back.
func Copy(t testing.TB, cfg store.Config) store.Config {
	t.Helper()
	if cfg.URL == "" {
		data, err := os.ReadFile(cfg.Path)
		if err != nil {
			t.Fatalf("copying the SQLite file: %v", err)
		}
		cfg.Path = filepath.Join(t.TempDir(), "hub.db")
		if err := os.WriteFile(cfg.Path, data, 0o600); err != nil { //nolint:gosec // a directory of this test
			t.Fatalf("copying the SQLite file: %v", err)
		}
		return cfg
	}
	u, err := url.Parse(cfg.URL)
	if err != nil {
		t.Fatalf("copying a database: %v", err)
	}
	server, err := sharedServer()
	if err != nil {
		t.Fatalf("PostgreSQL for tests: %v", err)
	}
	cfg.URL = server.copyDatabase(t, strings.TrimPrefix(u.Path, "/"))
	return cfg
}
