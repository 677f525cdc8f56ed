package store_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

// usedBy opens a store on a database of a server, as a hub that starts does.
func usedBy(t *testing.T, server *storetest.Server, change func(*store.Config)) *store.Store {
	t.Helper()
	cfg := store.Config{URL: server.URL("postgres"), PoolSize: 2, Log: storetest.Logger(t)}
	if change != nil {
		change(&cfg)
	}
	st, err := store.Open(t.Context(), cfg)
	ok(t, err)
	t.Cleanup(func() { ok(t, st.Close()) })
	ok(t, st.Migrate(t.Context()))
	must(st.Cluster(t.Context()))(t)
	ok(t, st.NoteServer(t.Context()))
	return st
}

// tickOn moves the lease clock on.
func tickOn(t *testing.T, st *store.Store, ticks int) {
	t.Helper()
	for range ticks {
		tick := must(st.Tick(t.Context()))(t)
		_, moved, err := st.AdvanceTick(t.Context(), tick, []byte{byte(tick)})
		ok(t, err)
		same(t, moved, true)
	}
}

func wantHold(t *testing.T, st *store.Store, kind hub.HoldKind, incarnation int64) hub.Hold {
	t.Helper()
	h := must(st.ReadHold(t.Context()))(t)
	if h.Kind != kind || h.Incarnation != incarnation {
		t.Fatalf("hold is %+v, want %q in incarnation %d", h, kind, incarnation)
	}
	return h
}

// failOver replaces a primary by its standby, which lacks what lost does on the primary.
func failOver(t *testing.T, lost func(st *store.Store)) *storetest.Server {
	t.Helper()
	primary := storetest.StartServer(t)
	st := usedBy(t, primary, nil)
	tickOn(t, st, 2)
	standby := primary.Standby(t)
	// Its connections would outlive it; a standby is refused, and so is never one of ours.
	_, err := store.Open(t.Context(), store.Config{URL: standby.URL("postgres")})
	wantCode(t, err, hub.CodeUnavailable)
	if lost != nil {
		standby.Stop(t)
		lost(st)
		primary.StopImmediate(t)
		standby.Start(t)
	} else {
		primary.Stop(t) // a fast stop waits until the standby has all
	}
	standby.Promote(t)
	return standby
}

func TestPromotionOfALaggingStandbyIsNoticed(t *testing.T) {
	t.Parallel()
	standby := failOver(t, func(st *store.Store) { tickOn(t, st, 3) })
	st := usedBy(t, standby, nil)
	h := wantHold(t, st, hub.HoldPromotion, 2)
	if !strings.Contains(h.Reason, "timeline 2") || h.Since.IsZero() || h.From.IsZero() {
		t.Errorf("held as %+v", h)
	}
	// Another member, or another connection, finds it noticed.
	wantHold(t, usedBy(t, standby, nil), hub.HoldPromotion, 2)
	same(t, must(st.EndHold(t.Context(), 1))(t), false)
	same(t, must(st.EndHold(t.Context(), 2))(t), true)
	wantHold(t, usedBy(t, standby, nil), "", 2)
}

func TestLosslessFailoverIsUndisturbed(t *testing.T) {
	t.Parallel()
	standby := failOver(t, nil)
	lossless := func(c *store.Config) { c.Lossless = true }
	wantHold(t, usedBy(t, standby, lossless), "", 1)
	// It is written down: also a hub that does not rely on it is content.
	st := usedBy(t, standby, nil)
	wantHold(t, st, "", 1)
	// A member that saw a later tick knows better than the setting.
	st = usedBy(t, standby, lossless)
	st.Saw(99, 1)
	ok(t, st.NoteServer(t.Context()))
	wantHold(t, st, hub.HoldRestore, 2)
}

// Of two primaries the clocks run side by side: a hub that comes from the promoted one to
// the old one has nothing but the incarnation to tell them apart.
func TestEarlierIncarnationIsNoticed(t *testing.T) {
	t.Parallel()
	st := usedBy(t, storetest.StartServer(t), nil)
	tickOn(t, st, 3)
	st.Saw(2, 1)
	ok(t, st.NoteServer(t.Context()))
	wantHold(t, st, "", 1)
	st.Saw(2, 2)
	ok(t, st.NoteServer(t.Context()))
	// Marks and grants of the other one's incarnation 2 must not count as this one's.
	h := wantHold(t, st, hub.HoldRestore, 3)
	if !strings.Contains(h.Reason, "in incarnation 1; this hub saw 2") {
		t.Errorf("held as %+v", h)
	}
}

func TestAnotherServerIsNoticed(t *testing.T) {
	t.Parallel()
	old, fresh := storetest.StartServer(t), storetest.StartServer(t)
	ctx, st := t.Context(), usedBy(t, old, nil)
	tickOn(t, st, 1)
	due := put(ctx, t, st, scheduledJob(makeProject(ctx, t, st, "web"), "due", "0 0 12 * * ?"), store.JobCreated)
	same(t, must(st.MoveSchedule(ctx, must(st.Schedule(ctx, due))(t), later(st, -time.Hour), time.Time{}))(t), true)
	old.Dump(t, "postgres", fresh, "postgres")
	st = usedBy(t, fresh, func(c *store.Config) { c.Lossless = true })
	h := wantHold(t, st, hub.HoldRestore, 2)
	if !strings.Contains(h.Reason, "another server") {
		t.Errorf("held as %+v", h)
	}
	if s, fires := must(st.Schedule(ctx, due))(t), must(st.Fires(ctx, due.ID, 10))(t); s.Planned || len(fires) != 1 {
		t.Errorf("what was due is %+v, recorded as %+v", s, fires)
	}
}

// A planned move ends by itself where the last mark is, and nowhere else.
func TestPlannedMoveEndsByItself(t *testing.T) {
	t.Parallel()
	hold := func(st *store.Store) {
		mark := must(st.HoldPlanned(t.Context(), "to another host", []byte("nonce")))(t)
		same(t, must(st.Tick(t.Context()))(t), mark)
		_, moved, err := st.AdvanceTick(t.Context(), mark, []byte("next"))
		ok(t, err)
		same(t, moved, false)
		_, err = st.HoldPlanned(t.Context(), "again", []byte("nonce"))
		wantCode(t, err, hub.CodeConflict)
	}
	t.Run("moved", func(t *testing.T) {
		t.Parallel()
		old, fresh := storetest.StartServer(t), storetest.StartServer(t)
		st := usedBy(t, old, nil)
		tickOn(t, st, 2)
		hold(st)
		wantHold(t, usedBy(t, old, nil), hub.HoldPlanned, 1) // still the old one
		old.Dump(t, "postgres", fresh, "postgres")
		moved := usedBy(t, fresh, nil)
		wantHold(t, moved, "", 1)
		tickOn(t, moved, 1)
	})
	t.Run("switched over", func(t *testing.T) {
		t.Parallel()
		primary := storetest.StartServer(t)
		st := usedBy(t, primary, nil)
		standby := primary.Standby(t)
		hold(st)
		primary.Stop(t)
		standby.Promote(t)
		wantHold(t, usedBy(t, standby, nil), "", 1)
	})
	t.Run("without the mark", func(t *testing.T) {
		t.Parallel()
		standby := failOver(t, hold)
		wantHold(t, usedBy(t, standby, nil), hub.HoldPromotion, 2)
	})
}

// An ordinary role may ask for all that tells one server from another, and one that may
// not ask for the identifier goes by the timeline.
func TestOrdinaryRoleNoticesToo(t *testing.T) {
	t.Parallel()
	server := storetest.StartServer(t)
	server.SQL(t, "postgres", "CREATE ROLE app LOGIN")
	server.SQL(t, "postgres", "CREATE DATABASE app OWNER app")
	url := strings.ReplaceAll(server.URL("app"), "user=postgres", "user=app")
	asApp := func(c *store.Config) { c.URL = url }
	usedBy(t, server, asApp)
	db, err := sql.Open("pgx", url)
	ok(t, err)
	defer db.Close()
	known := func() (system string, timeline int) {
		ok(t, db.QueryRowContext(t.Context(), `SELECT system_id, timeline FROM cluster`).Scan(&system, &timeline))
		return system, timeline
	}
	if system, timeline := known(); system == "" || timeline != 1 {
		t.Errorf("known are system %q, timeline %d", system, timeline)
	}
	server.SQL(t, "app", "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
	st := usedBy(t, server, asApp)
	wantHold(t, st, "", 1)
	server.SQL(t, "app", "UPDATE cluster SET timeline = 7")
	wantHold(t, usedBy(t, server, asApp), hub.HoldRestore, 2)
}
