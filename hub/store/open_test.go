package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

func TestOpenRefusesWhatItCannotUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	noDatabase := filepath.Join(dir, "text.db")
	ok(t, os.WriteFile(noDatabase, []byte(strings.Repeat("this is no database\n", 1000)), 0o600))
	for name, c := range map[string]struct {
		cfg  store.Config
		code hub.Code
		says string
	}{
		"nothing":        {store.Config{}, hub.CodeInvalid, "No database"},
		"both":           {store.Config{URL: "postgres://h/d", Path: "x"}, hub.CodeInvalid, "one of them"},
		"bad URL":        {store.Config{URL: "postgres://u:geheim@h:notaport/d"}, hub.CodeInvalid, "postgres://USER@HOST/NAME"},
		"@ for %40":      {store.Config{URL: "postgres://u:p@geheim@127.0.0.1:1/d"}, hub.CodeInvalid, "%40"},
		"@ and /":        {store.Config{URL: "postgres://u:p@127.0.0.1/geheim@127.0.0.1:1/d"}, hub.CodeInvalid, "%2F"},
		"/ for %2F":      {store.Config{URL: "postgres://127.0.0.1:1/geheim@h/d"}, hub.CodeInvalid, "%2F"},
		"@ and %":        {store.Config{URL: "postgres://u:p@h/%geheim@h/d"}, hub.CodeInvalid, "%40"},
		"no server":      {store.Config{URL: "postgres://u:geheim@127.0.0.1:1/d?sslmode=disable"}, hub.CodeUnavailable, "does not answer"},
		"no directory":   {store.Config{Path: filepath.Join(dir, "nowhere", "hub.db")}, hub.CodeUnavailable, "directory"},
		"no database":    {store.Config{Path: noDatabase}, hub.CodeInvalid, "no database of SQLite"},
		"is a directory": {store.Config{Path: dir}, hub.CodeUnavailable, "cannot be opened"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, err := store.Open(t.Context(), c.cfg)
			if err == nil {
				st.Close()
			}
			wantCode(t, err, c.code)
			if msg := hub.ErrorMessage(err); !strings.Contains(msg, c.says) {
				t.Errorf("message %q does not say %q", msg, c.says)
			}
			if strings.Contains(err.Error(), "geheim") {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}

func TestSecondHubOnOneFileIsRefused(t *testing.T) {
	t.Parallel()
	cfg, ctx := storetest.Config(t), t.Context()
	first, err := store.Open(ctx, cfg)
	ok(t, err)
	_, err = store.Open(ctx, cfg)
	wantCode(t, err, hub.CodeConflict)
	msg := hub.ErrorMessage(err)
	for _, part := range []string{fmt.Sprintf("process %d,", os.Getpid()), cfg.Path + ".", "Stop it"} {
		if !strings.Contains(msg, part) {
			t.Errorf("message %q does not say %q", msg, part)
		}
	}
	must(first.EnsureSetting(ctx, "undisturbed", []byte("x")))(t)
	ok(t, first.Close())
	again, err := store.Open(ctx, cfg)
	ok(t, err)
	defer again.Close()
	if !has(ctx, t, again, "undisturbed") {
		t.Error("the first hub's row is gone")
	}
}

// A data directory may hold a link to the file, on a larger disk. By which of its names a
// file is called, and whether it is there yet, makes no difference.
func TestSecondHubByAnotherNameIsRefused(t *testing.T) {
	t.Parallel()
	dir, ctx := t.TempDir(), t.Context()
	file, link, again := filepath.Join(dir, "disk", "hub.db"), filepath.Join(dir, "data", "hub.db"), filepath.Join(dir, "again.db")
	for _, d := range []string{file, link} {
		ok(t, os.Mkdir(filepath.Dir(d), 0o700))
	}
	ok(t, os.Symlink(filepath.Join("..", "disk", "hub.db"), link))
	ok(t, os.Symlink(link, again))
	for _, first := range []string{link, file, again} { // the first time there is no file
		st, err := store.Open(ctx, store.Config{Path: first, NoSync: true})
		ok(t, err)
		ok(t, st.Migrate(ctx))
		for _, second := range []string{file, link, again} {
			other, err := store.Open(ctx, store.Config{Path: second, NoSync: true})
			if err == nil {
				t.Errorf("a second hub uses %s beside one on %s", second, first)
				ok(t, other.Close())
			} else {
				wantCode(t, err, hub.CodeConflict)
			}
			// What the first has not yet moved from the log beside the file is seen.
			schema, err := store.LookAtSchema(ctx, store.Config{Path: second})
			ok(t, err)
			same(t, schema.Database, schema.Program)
			// It refuses before it looks for a server.
			_, err = store.Copy(ctx, second, store.Config{URL: "postgres://nobody@127.0.0.1:1/none"}, func(store.CopyProgress) {})
			wantCode(t, err, hub.CodeConflict)
		}
		ok(t, st.Close())
	}
}

func TestSQLiteFileIsPrivateAndMayHaveAnyName(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "50% of a?b#c d")
	ok(t, os.Mkdir(dir, 0o700))
	path := filepath.Join(dir, "hub.db")
	st, err := store.Open(t.Context(), store.Config{Path: path})
	ok(t, err)
	defer st.Close()
	ok(t, st.Migrate(t.Context()))
	for _, end := range []string{"", "-wal", "-shm", ".lock"} {
		info, err := os.Stat(path + end)
		ok(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path+end, info.Mode())
		}
	}
}

// What the promises of the hub stand on.
func TestSQLiteSettings(t *testing.T) {
	t.Parallel()
	cfg := storetest.Config(t)
	cfg.NoSync = false
	st, err := store.Open(t.Context(), cfg)
	ok(t, err)
	defer st.Close()
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
		same(t, store.Pragma(t.Context(), st, pragma), want)
	}
}

func TestDatabaseThatGoesAway(t *testing.T) {
	t.Parallel()
	server, ctx := storetest.StartServer(t), t.Context()
	st, err := store.Open(ctx, store.Config{URL: server.URL("postgres"), Log: storetest.Logger(t)})
	ok(t, err)
	defer st.Close()
	ok(t, st.Migrate(ctx))
	must(st.EnsureSetting(ctx, "before", []byte("x")))(t)

	server.StopImmediate(t)
	_, err = st.EnsureSetting(ctx, "during", []byte("x"))
	wantCode(t, err, hub.CodeUnavailable)
	_, _, err = st.Setting(ctx, "before")
	wantCode(t, err, hub.CodeUnavailable)
	wantCode(t, st.InTx(ctx, func(*store.Store) error { return nil }), hub.CodeUnavailable)
	wantCode(t, st.Ping(ctx), hub.CodeUnavailable)

	server.Start(t)
	// The pool may hold connections that died: each of them is found out once.
	waitFor(t, func() bool { return st.Ping(ctx) == nil })
	must(st.EnsureSetting(ctx, "after", []byte("x")))(t)
	if !has(ctx, t, st, "before") || has(ctx, t, st, "during") {
		t.Error("what was promised and what is there differ")
	}
}

func TestCommitsAreDurableWhateverTheServerSays(t *testing.T) {
	t.Parallel()
	cfg := storetest.PostgresConfig(t)
	db, err := sql.Open("pgx", cfg.URL)
	ok(t, err)
	defer db.Close()
	var name string
	ok(t, db.QueryRow(`SELECT current_database()`).Scan(&name))
	must(db.Exec(`ALTER DATABASE ` + name + ` SET synchronous_commit = off`))(t)
	st, err := store.Open(t.Context(), cfg)
	ok(t, err)
	defer st.Close()
	same(t, store.CurrentSetting(t.Context(), st, "synchronous_commit"), "on")
	same(t, store.CurrentSetting(t.Context(), st, "lock_timeout"), "10s")
}

func TestNowFollowsTheDatabase(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		ok(t, st.LearnClock(ctx))
		if d := time.Since(st.Now()).Abs(); d > time.Second {
			t.Errorf("database time is %v off on the same machine", d)
		}
		last := st.Now()
		for range 100 {
			ok(t, st.LearnClock(ctx))
			now := st.Now()
			if now.Before(last) {
				t.Fatalf("time went back from %v to %v", last, now)
			}
			last = now
		}
	})
}

// A simulation runs the real store under a clock of its own.
func TestStoreUnderSynctest(t *testing.T) {
	t.Parallel()
	cfg := storetest.Config(t)
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		st, err := store.Open(ctx, cfg)
		ok(t, err)
		defer st.Close()
		before := st.Now()
		<-time.After(time.Hour)
		ok(t, st.LearnClock(ctx))
		if d := st.Now().Sub(before); d != time.Hour {
			t.Errorf("an hour took %v", d)
		}
		must(st.EnsureSetting(ctx, "a", []byte("x")))(t)
		m := &hub.Member{ID: "m", Name: "m", Nonce: []byte("n")}
		ok(t, st.JoinMember(ctx, m))
		<-time.After(time.Minute)
		ok(t, st.Heartbeat(ctx, "m", m.Nonce, 0))
		same(t, must(st.Members(ctx))(t)[0].HeartbeatAt.Sub(m.StartedAt), time.Minute)
	})
}
