package store_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

// A pooler that takes the server process from a connection between transactions is
// found; one in session mode is as good as none, and a hub's store works through it.
func TestPoolers(t *testing.T) {
	t.Parallel()
	server := storetest.StartServer(t)
	for mode, found := range map[string]bool{"transaction": true, "statement": true, "session": false} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			cfg := store.Config{URL: server.Pooler(t, mode)("postgres"), PoolSize: 3}
			r := must(store.Examine(t.Context(), cfg))(t)
			if (r.Pooler != "") != found {
				t.Errorf("a pooler in %s mode is told as %q", mode, r.Pooler)
			}
			if found {
				return
			}
			st, err := store.Open(t.Context(), cfg)
			ok(t, err)
			defer st.Close()
			ok(t, st.Migrate(t.Context()))
			makeProject(t.Context(), t, st, "web")
			same(t, store.CurrentSetting(t.Context(), st, "lock_timeout"), "10s")
		})
	}
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		r := must(store.Examine(t.Context(), store.Config{URL: server.URL("postgres")}))(t)
		same(t, r.Pooler, "")
	})
}

func TestExamine(t *testing.T) {
	t.Parallel()
	cfg := storetest.PostgresConfig(t)
	st, err := store.Open(t.Context(), cfg)
	ok(t, err)
	defer st.Close()
	ok(t, st.JoinMember(t.Context(), &hub.Member{ID: "m", Name: "m", Nonce: []byte("n")}))
	db, err := sql.Open("pgx", cfg.URL)
	ok(t, err)
	defer db.Close()
	var name string
	ok(t, db.QueryRow(`SELECT current_database()`).Scan(&name))
	must(db.Exec(`ALTER DATABASE ` + name + ` SET synchronous_commit = off`))(t)

	r := must(store.Examine(t.Context(), cfg))(t)
	if !r.VersionKnown || r.Standby || r.Connected < 2 || r.ClockAhead.Abs() > time.Second || r.RoundTrip <= 0 {
		t.Errorf("the server is told as %+v", r)
	}
	got := store.ServerReport{Encoding: r.Encoding, Fsync: r.Fsync, SynchronousCommit: r.SynchronousCommit, Connections: r.Connections, PoolSize: r.PoolSize, Members: r.Members, Pooler: r.Pooler}
	same(t, got, store.ServerReport{Encoding: "UTF8", Fsync: "off", SynchronousCommit: "off", Connections: 397, PoolSize: 8, Members: 1})

	_, err = store.Examine(t.Context(), store.Config{URL: "postgres://u:geheim@127.0.0.1:1/d?sslmode=disable"})
	wantCode(t, err, hub.CodeUnavailable)
}
