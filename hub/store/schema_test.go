package store_test

import (
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

// Looking at a database leaves no trace: not a file where none was, not a table, not a
// byte in a file that a hub was killed on or serves from.
func TestLookAtSchemaChangesNothing(t *testing.T) {
	t.Parallel()
	t.Run("no file", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		c := must(store.LookAtSchema(t.Context(), store.Config{Path: filepath.Join(dir, "hub.db")}))(t)
		if c.Database != 0 || c.Program < 2 || int64(len(c.Pending)) != c.Program || c.Pending[1].Name != "executions" {
			t.Errorf("a file that is not there: %+v", c)
		}
		same(t, content(t, dir), map[string]string{})
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		cfg := storetest.Config(t)
		forget(t, "sqlite", cfg.Path)
		dir := filepath.Dir(cfg.Path)
		stopped := content(t, dir)
		lacksLast(t, cfg)
		same(t, content(t, dir), stopped)

		st, err := store.Open(t.Context(), cfg)
		ok(t, err)
		must(st.EnsureSetting(t.Context(), "in the log", []byte("x")))(t)
		serving := content(t, dir)
		lacksLast(t, cfg)
		// The shared memory has marks of who reads.
		for _, name := range []string{"hub.db", "hub.db-wal", "hub.db.lock"} {
			if content(t, dir)[name] != serving[name] {
				t.Errorf("%s was changed", name)
			}
		}
		ok(t, st.Close())
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		cfg := storetest.PostgresConfig(t)
		forget(t, "pgx", cfg.URL)
		lacksLast(t, cfg)

		cfg = store.Config{URL: storetest.StartServer(t).URL("postgres")}
		if c := must(store.LookAtSchema(t.Context(), cfg))(t); c.Database != 0 || int64(len(c.Pending)) != c.Program {
			t.Errorf("an empty database: %+v", c)
		}
		db, err := sql.Open("pgx", cfg.URL)
		ok(t, err)
		defer db.Close()
		var tables int
		ok(t, db.QueryRow(`SELECT COUNT(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace`).Scan(&tables))
		same(t, tables, 0)
	})
}

// forget makes the last migration one that was not applied yet.
func forget(t *testing.T, driver, source string) {
	t.Helper()
	db, err := sql.Open(driver, source)
	ok(t, err)
	must(db.Exec(`DELETE FROM schema_migration WHERE version_id = (SELECT MAX(version_id) FROM schema_migration)`))(t)
	ok(t, db.Close())
}

func lacksLast(t *testing.T, cfg store.Config) {
	t.Helper()
	c := must(store.LookAtSchema(t.Context(), cfg))(t)
	if c.Database != c.Program-1 || len(c.Pending) != 1 || c.Pending[0].Version != c.Program {
		t.Errorf("a database without the last migration: %+v", c)
	}
}

// content reads all files of a directory.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, e := range must(os.ReadDir(dir))(t) {
		files[e.Name()] = string(must(os.ReadFile(filepath.Join(dir, e.Name())))(t))
	}
	return files
}

func TestMigrationsTellTheirPurpose(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"-- One. Two.\n-- +goose Up\n":                    "One.",
		"-- +goose Up\n-- Of two\n-- lines. More\nSELECT": "Of two lines.",
		"-- contract: 1.2\n\n-- No stop\nCREATE":          "No stop",
		"-- +goose Up\nCREATE TABLE a (b TEXT);\n":        "",
	} {
		same(t, store.PurposeOf(text), want)
	}
	for name, text := range migrations(t, "postgres", 1) {
		if store.PurposeOf(text) == "" {
			t.Errorf("%s does not begin with a comment that says what it is for; `fairlead-hub migrate --check` shows it", name)
		}
	}
}

// Members of the version before serve while and after one of this version migrates. A
// file of SQLite has one hub alone, so its migrations may do what they like.
func TestMigrationsAreSurvivedByThePreviousVersion(t *testing.T) {
	t.Parallel()
	for name, text := range migrations(t, "postgres", 3) {
		for _, what := range breaks(text) {
			t.Errorf("%s: %s; docs/CONTRIBUTING.md, Migrations, says what to do instead", name, what)
		}
	}
}

func TestBreakingMigrationsAreFound(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"CREATE TABLE a (b TEXT NOT NULL);":                                   "[]",
		"ALTER TABLE a ADD COLUMN b TEXT NOT NULL DEFAULT '';":                "[]",
		"ALTER TABLE a ADD COLUMN b TEXT;":                                    "[]",
		"-- It would DROP TABLE a.\nSELECT 'RENAME it';":                      "[]",
		"DROP TRIGGER t ON a;\nCREATE TRIGGER t BEFORE UPDATE ON a;":          "[]",
		"DROP INDEX i;\nCREATE UNIQUE INDEX i ON a (b);":                      "[]",
		"-- contract: 1.4\nALTER TABLE a DROP COLUMN b;":                      "[]",
		"ALTER TABLE a DROP COLUMN b;":                                        "[drop column b]",
		"drop table if exists a;":                                             "[drop table if exists a]",
		"DROP INDEX i;":                                                       "[drop index i]",
		"ALTER TABLE a RENAME TO b;":                                          "[rename to b]",
		"ALTER TABLE a\n  RENAME COLUMN b TO c;":                              "[rename column b]",
		"ALTER TABLE a ALTER COLUMN b TYPE TEXT;":                             "[alter column b type]",
		"ALTER TABLE a ALTER b SET DATA TYPE TEXT;":                           "[alter b set data type]",
		"ALTER TABLE a ALTER COLUMN b SET NOT NULL;":                          "[alter column b set not null]",
		"ALTER TABLE a ALTER b SET DEFAULT 0, ALTER b SET NOT NULL;":          "[]",
		"ALTER TABLE a ADD COLUMN b TEXT NOT NULL;":                           "[add column b without a default]",
		"ALTER TABLE a ADD b TEXT NOT NULL, ADD c BIGINT NOT NULL DEFAULT 0;": "[add column b without a default]",
		"-- contract: soon\nALTER TABLE a DROP COLUMN b;":                     "[contract without a version]",
	} {
		same(t, fmt.Sprint(breaks(text)), want)
	}
}

var (
	comments   = regexp.MustCompile(`--[^\n]*`)
	literals   = regexp.MustCompile(`'(?:[^']|'')*'`)
	contracts  = regexp.MustCompile(`(?m)^-- contract:\s*(.*?)\s*$`)
	aVersion   = regexp.MustCompile(`^\d+\.\d+(\.\d+)?$`)
	drops      = regexp.MustCompile(`drop (table|column|constraint|index|trigger|function|view|sequence|type)( if exists)? ([a-z0-9_]+)`)
	made       = `create (or replace )?(unique )?%s (if not exists )?%s\b`
	renames    = regexp.MustCompile(`rename (to|column|constraint)? ?[a-z0-9_]+`)
	types      = regexp.MustCompile(`alter (column )?[a-z0-9_]+ (set data )?type\b`)
	notNulls   = regexp.MustCompile(`alter (?:column )?([a-z0-9_]+) set not null`)
	newColumns = regexp.MustCompile(`\badd (?:column )?(?:if not exists )?([a-z0-9_]+) [^,;]*\bnot null\b[^,;]*`)
)

// breaks lists what a migration does that a member of the version before would trip over.
func breaks(text string) (found []string) {
	if m := contracts.FindStringSubmatch(text); m != nil {
		if !aVersion.MatchString(m[1]) {
			return []string{"contract without a version"}
		}
		return nil
	}
	text = literals.ReplaceAllString(comments.ReplaceAllString(text, ""), "''")
	text = strings.ToLower(strings.Join(strings.Fields(text), " "))
	for _, m := range drops.FindAllStringSubmatch(text, -1) {
		if !regexp.MustCompile(fmt.Sprintf(made, m[1], m[3])).MatchString(text) {
			found = append(found, m[0])
		}
	}
	found = append(found, renames.FindAllString(text, -1)...)
	found = append(found, types.FindAllString(text, -1)...)
	for _, m := range notNulls.FindAllStringSubmatch(text, -1) {
		if !regexp.MustCompile(`alter (column )?` + m[1] + ` set default`).MatchString(text) {
			found = append(found, m[0])
		}
	}
	for _, m := range newColumns.FindAllStringSubmatch(text, -1) {
		if !strings.Contains(m[0], "default") && !strings.Contains(m[0], "generated") {
			found = append(found, "add column "+m[1]+" without a default")
		}
	}
	return found
}

// migrations are the texts of one folder from a number on, by name.
func migrations(t *testing.T, folder string, from int) map[string]string {
	t.Helper()
	files := os.DirFS("migrations/" + folder)
	texts := map[string]string{}
	for i, name := range must(fs.Glob(files, "*.sql"))(t) {
		if i+1 >= from {
			texts[name] = string(must(fs.ReadFile(files, name))(t))
		}
	}
	return texts
}
