package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the schema is read past the store
	"github.com/pressly/goose/v3/lock"
	_ "modernc.org/sqlite"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

// Files come in pairs, are numbered without a gap, and go forward only.
func TestMigrationsArePaired(t *testing.T) {
	t.Parallel()
	names := func(folder string) (names []string) {
		list, err := fs.Glob(os.DirFS("migrations/"+folder), "*")
		ok(t, err)
		return list
	}
	same(t, names("sqlite"), names("postgres"))
	form := regexp.MustCompile(`^(\d{4})_[a-z_]+\.sql$`)
	for i, n := range names("postgres") {
		m := form.FindStringSubmatch(n)
		if m == nil || m[1] != fmt.Sprintf("%04d", i+1) {
			t.Errorf("migration %d is named %s", i+1, n)
		}
		for _, folder := range []string{"sqlite", "postgres"} {
			text, err := os.ReadFile(filepath.Join("migrations", folder, n))
			ok(t, err)
			if strings.Contains(string(text), "+goose Down") {
				t.Errorf("%s/%s goes back", folder, n)
			}
		}
	}
}

// column is one column as both databases may describe it.
type column struct {
	Table, Name, Type string
	NotNull           bool
}

func TestSchemasAreTheSame(t *testing.T) {
	t.Parallel()
	lite := columns(t, "sqlite", storetest.Config(t).Path,
		`SELECT m.name, c.name, c.type, c."notnull" <> 0 OR c.pk > 0 FROM sqlite_master m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name <> 'schema_migration'`)
	post := columns(t, "pgx", storetest.PostgresConfig(t).URL,
		`SELECT table_name, column_name, data_type, is_nullable = 'NO' FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name <> 'schema_migration'`)
	same(t, lite, post)
	if len(post) < 100 {
		t.Errorf("only %d columns were compared", len(post))
	}
}

func columns(t *testing.T, driver, source, query string) []column {
	t.Helper()
	db, err := sql.Open(driver, source)
	ok(t, err)
	defer db.Close()
	rows, err := db.Query(query)
	ok(t, err)
	defer rows.Close()
	var list []column
	for rows.Next() {
		var c column
		ok(t, rows.Scan(&c.Table, &c.Name, &c.Type, &c.NotNull))
		c.Type = strings.ToLower(c.Type)
		switch c.Type {
		case "blob":
			c.Type = "bytea"
		case "integer":
			c.Type = "bigint"
		}
		list = append(list, c)
	}
	ok(t, rows.Err())
	slices.SortFunc(list, func(a, b column) int { return strings.Compare(a.Table+"."+a.Name, b.Table+"."+b.Name) })
	return list
}

// A member that finds another one migrating says so, waits for as long as it may, and
// finds all done.
func TestMigrateWaits(t *testing.T) {
	t.Parallel()
	server := storetest.StartServer(t)
	holder, err := sql.Open("pgx", server.URL("postgres")+"&application_name=fairlead-hub%20east%20process%207")
	ok(t, err)
	defer holder.Close()
	holder.SetMaxOpenConns(1)
	must(holder.Exec(`SELECT pg_advisory_lock($1)`, lock.DefaultLockID))(t)

	log := &logged{}
	st, err := store.Open(t.Context(), store.Config{URL: server.URL("postgres"), Log: slog.New(slog.NewTextHandler(log, nil))})
	ok(t, err)
	defer st.Close()
	said := regexp.MustCompile(`msg="waiting until another member has migrated the database" holder="fairlead-hub east process 7" client="" server_process=\d+ since=20`)
	start := func(ctx context.Context, line int) <-chan error {
		done := make(chan error, 1)
		go func() { done <- st.Migrate(ctx) }()
		waitFor(t, func() bool { return len(said.FindAllString(log.String(), -1)) == line })
		return done
	}
	impatient, cancel := context.WithCancel(t.Context())
	done := start(impatient, 1)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("told to end while it waited: %v", err)
	}
	done = start(t.Context(), 2)
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	must(holder.Exec(`SELECT pg_advisory_unlock($1)`, lock.DefaultLockID))(t)
	ok(t, <-done)
	if c := must(st.Schema(t.Context()))(t); len(c.Pending) > 0 {
		t.Errorf("the schema is told as %+v", c)
	}
}

// A migration that needs a table which something else uses lets go of its place in the
// line for that table, says so, and tries again.
func TestMigrateWaitsForATable(t *testing.T) {
	t.Parallel()
	log, cfg := &logged{}, storetest.PostgresConfig(t)
	db, err := sql.Open("pgx", cfg.URL)
	ok(t, err)
	defer db.Close()
	reader, err := db.Begin()
	ok(t, err)
	must(reader.Exec(`SELECT * FROM setting`))(t)

	cfg.URL += "&lock_timeout=20ms"
	cfg.Log = slog.New(slog.NewTextHandler(log, nil))
	st, err := store.Open(t.Context(), cfg)
	ok(t, err)
	defer st.Close()
	store.AddMigration(st, "9999_note.sql", "-- +goose Up\nALTER TABLE setting ADD COLUMN note TEXT NOT NULL DEFAULT '';\n")
	done := make(chan error, 1)
	go func() { done <- st.Migrate(t.Context()) }()
	waitFor(t, func() bool { return strings.Contains(log.String(), "waits for a table") })
	ok(t, reader.Rollback())
	ok(t, <-done)
	must(db.Exec(`SELECT note FROM setting`))(t)
}

// logged is a log that one goroutine writes while another reads.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Members that start together on an empty database: one migrates, all go on.
func TestMigrateRaced(t *testing.T) {
	t.Parallel()
	server := storetest.StartServer(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			st, err := store.Open(t.Context(), store.Config{URL: server.URL("postgres"), PoolSize: 2})
			if err != nil {
				t.Error(err)
				return
			}
			defer st.Close()
			if err := st.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestMigrateRefusesANewerDatabase(t *testing.T) {
	t.Parallel()
	for driver, cfg := range map[string]store.Config{"sqlite": storetest.Config(t), "pgx": storetest.PostgresConfig(t)} {
		t.Run(driver, func(t *testing.T) {
			source := cfg.Path + cfg.URL
			db, err := sql.Open(driver, source)
			ok(t, err)
			must(db.Exec(`INSERT INTO schema_migration (version_id, is_applied) VALUES (9999, TRUE)`))(t)
			ok(t, db.Close())
			st, err := store.Open(t.Context(), cfg)
			ok(t, err)
			defer st.Close()
			err = st.Migrate(t.Context())
			wantCode(t, err, hub.CodeConflict)
			if msg := hub.ErrorMessage(err); !strings.Contains(msg, "schema 9999") || !strings.Contains(msg, "Run the newer program") {
				t.Errorf("message %q", msg)
			}
			if c := must(st.Schema(t.Context()))(t); c.Database != 9999 || c.Program >= c.Database || len(c.Pending) > 0 {
				t.Errorf("the schema is told as %+v", c)
			}
		})
	}
}

func TestMigrateAgainDoesNothing(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		p := makeProject(ctx, t, st, "web")
		ok(t, st.Migrate(ctx))
		same(t, must(st.Project(ctx, org, "web"))(t), p)
		c := must(st.Schema(ctx))(t)
		same(t, c.Database, c.Program)
	})
}

// What is set for all statements of a database or role would cut a long migration off.
func TestMigrationsMayTakeLong(t *testing.T) {
	t.Parallel()
	cfg := storetest.PostgresConfig(t)
	storetest.Exec(t, cfg,
		`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET statement_timeout = ''20s''', current_database()); END $$`,
		`DROP SCHEMA public CASCADE`, `CREATE SCHEMA public`,
		`CREATE FUNCTION hurry() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
			IF current_setting('statement_timeout') <> '0' THEN RAISE EXCEPTION 'it has % alone', current_setting('statement_timeout'); END IF; END $$`,
		`CREATE EVENT TRIGGER hurry ON ddl_command_start EXECUTE FUNCTION hurry()`)
	st, err := store.Open(t.Context(), cfg)
	ok(t, err)
	defer st.Close()
	ok(t, st.Migrate(t.Context()))
}
