package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/proto/failpoint"
)

const (
	// promotedWithin is how old the newest tick may be for another timeline to be taken
	// for a promotion: a standby that took over misses seconds, a backup any time.
	promotedWithin = 5 * time.Minute
	// movedWithin is how old a planned hold may be to end by itself on another server. An
	// older one may be that of a standby that fell asleep during a move called off.
	movedWithin = 7 * 24 * time.Hour
)

// seenTick is the newest tick that this process saw committed, and the incarnation of
// the database that it was in.
type seenTick struct{ tick, incarnation int64 }

// Saw notes a tick that is committed: a connection to a database behind it, or in an
// earlier incarnation, shows that that one went back, or that there are two. Tick and
// incarnation must have been read in one transaction.
func (s *Store) Saw(tick, incarnation int64) { s.seen.Store(&seenTick{tick, incarnation}) }

// server is what tells one history of a PostgreSQL from another.
type server struct {
	systemID string // "" when the role may not ask
	timeline int64
}

// history is the cluster's row as far as it tells of servers.
type history struct {
	server
	hub.Hold
	tick     int64
	tickedAt time.Time
	now      time.Time
}

// checkHistory looks at a new connection, before anything else uses it, whether its
// server is the one that the database was last on. Another one may lack what was
// committed: then the cluster is held, here and now. The first member that notices does
// it; the others find it done.
func (s *Store) checkHistory(ctx context.Context, c *pgx.Conn) error {
	now, err := s.askServer(ctx, c)
	if err != nil {
		return err
	}
	// Taken before the row is read: what is committed and seen after that proves nothing.
	seen := s.seen.Load()
	row, ok, err := readHistory(ctx, c, "")
	if err != nil || !ok || s.verdict(seen, row, now) == verdictSame {
		return err
	}
	tx, err := c.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }() // does nothing after a commit
	if row, ok, err = readHistory(ctx, tx, " FOR UPDATE OF c"); err != nil || !ok {
		return err
	}
	if err := s.judge(ctx, tx, seen, row, now); err != nil {
		return fmt.Errorf("noting that the database is on another server: %w", err)
	}
	return tx.Commit(ctx)
}

// errStandby refuses a connection that would live through the promotion unchecked.
var errStandby = &hub.Error{Code: hub.CodeUnavailable, Message: "The database server is a standby and takes no changes; give the URL of the primary."}

func (s *Store) askServer(ctx context.Context, c *pgx.Conn) (server, error) {
	var standby, mayAsk bool
	var file string
	err := c.QueryRow(ctx, `SELECT pg_is_in_recovery(), has_function_privilege('pg_control_system()', 'execute'),
		CASE WHEN pg_is_in_recovery() THEN '' ELSE pg_walfile_name(pg_current_wal_lsn()) END`).Scan(&standby, &mayAsk, &file)
	if err != nil {
		return server{}, fmt.Errorf("asking the database server for its timeline: %w", err)
	}
	if standby || len(file) < 8 {
		return server{}, errStandby
	}
	var now server
	if now.timeline, err = strconv.ParseInt(file[:8], 16, 64); err != nil {
		return server{}, fmt.Errorf("reading the timeline of %s: %w", file, err)
	}
	if !mayAsk {
		s.quiet.Do(func() {
			s.log.Warn("the database role may not ask for the system identifier; a fall-back is told by the timeline alone")
		})
		return now, nil
	}
	if err := c.QueryRow(ctx, `SELECT CAST(system_identifier AS TEXT) FROM pg_control_system()`).Scan(&now.systemID); err != nil {
		return server{}, fmt.Errorf("asking the database server for its identifier: %w", err)
	}
	return now, nil
}

// readHistory reads the row; false before there is one, or its columns.
func readHistory(ctx context.Context, q interface {
	QueryRow(ctx context.Context, query string, args ...any) pgx.Row
}, lock string,
) (history, bool, error) {
	var h history
	err := q.QueryRow(ctx, `SELECT c.system_id, c.timeline, c.incarnation, c.held_kind, c.held_at, l.tick,
			COALESCE((SELECT max(t.ticked_at) FROM tick_history t), 0), CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)
		FROM cluster c JOIN lease_clock l ON l.singleton = c.singleton WHERE c.singleton = 1`+lock).
		Scan(&h.systemID, &h.timeline, &h.Incarnation, &h.Kind, timeInto(&h.Since), &h.tick, timeInto(&h.tickedAt), timeInto(&h.now))
	if errors.Is(err, pgx.ErrNoRows) || sqlState(err) == "42P01" || sqlState(err) == "42703" {
		return h, false, nil // not migrated yet
	}
	if err != nil {
		return h, false, fmt.Errorf("reading where the database was last: %w", err)
	}
	return h, true, nil
}

// ahead reports whether the row is behind what this process saw committed. Of two
// primaries the clocks run side by side: then the incarnation alone tells.
func (t *seenTick) ahead(row history) bool {
	return t != nil && (row.Incarnation < t.incarnation || row.Incarnation == t.incarnation && row.tick < t.tick)
}

// verdict is what a connection shows.
type verdict int

const (
	verdictSame    verdict = iota // as it was
	verdictNote                   // another server, nothing is missing
	verdictMoved                  // the same, and it ends a planned hold
	verdictPromote                // seconds may be missing
	verdictRestore                // any time may be missing
)

// verdict is the table "How it is noticed" of docs/recovery.md, for connections.
func (s *Store) verdict(seen *seenTick, row history, now server) verdict {
	behind := seen.ahead(row)
	otherSystem := row.systemID != "" && now.systemID != "" && row.systemID != now.systemID
	otherTimeline := row.timeline != 0 && row.timeline != now.timeline
	moved := otherSystem || otherTimeline
	switch {
	case !moved && !behind && row.timeline != 0 && (row.systemID != "" || now.systemID == ""):
		return verdictSame
	case !moved && !behind:
		return verdictNote
	case moved && !behind && row.Kind == hub.HoldPlanned && row.now.Sub(row.Since) < movedWithin:
		return verdictMoved
	case otherTimeline && !otherSystem && !behind && s.config.Lossless:
		return verdictNote
	case otherTimeline && !otherSystem && row.now.Sub(row.tickedAt) < promotedWithin:
		return verdictPromote
	default:
		return verdictRestore
	}
}

// judge acts on the verdict, with the row locked.
func (s *Store) judge(ctx context.Context, tx pgx.Tx, seen *seenTick, row history, now server) error {
	v := s.verdict(seen, row, now)
	if v == verdictSame {
		return nil // another member was first
	}
	if v == verdictPromote || v == verdictRestore {
		if err := s.holdFor(ctx, tx, v, seen, row, now); err != nil {
			return err
		}
	}
	if v == verdictMoved {
		s.log.Info("the database was moved, and nothing is missing: the hold ends", "timeline", now.timeline, "system", now.systemID)
		if _, err := tx.Exec(ctx, `UPDATE cluster SET held_kind = '', held_reason = '', held_at = 0, held_from = 0 WHERE singleton = 1`); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, `UPDATE cluster SET timeline = $1, system_id = CASE WHEN $2 <> '' THEN $2 ELSE system_id END WHERE singleton = 1`, now.timeline, now.systemID)
	return err
}

func (s *Store) holdFor(ctx context.Context, tx pgx.Tx, v verdict, seen *seenTick, row history, now server) error {
	if failpoint.Mutant("M9") {
		return nil
	}
	kind, reason := hub.HoldRestore, fmt.Sprintf("The database came up with lease tick %d, behind one that this hub saw committed.", row.tick)
	incarnation := row.Incarnation
	if seen != nil && seen.incarnation > incarnation {
		// Above both: marks and grants of the other history must not count as this one's.
		incarnation = seen.incarnation
		reason = fmt.Sprintf("The database is in incarnation %d; this hub saw %d committed, by another server.", row.Incarnation, incarnation)
	}
	if row.timeline != now.timeline {
		reason = fmt.Sprintf("The database server is on timeline %d; it was on %d.", now.timeline, row.timeline)
	}
	if row.systemID != "" && now.systemID != "" && row.systemID != now.systemID {
		reason = fmt.Sprintf("The database is on another server: system %s, not %s.", now.systemID, row.systemID)
	}
	if v == verdictPromote {
		kind = hub.HoldPromotion
	}
	s.log.Error("the database went back in time; all work of before is held", "kind", kind, "why", reason, "incarnation", incarnation+1)
	if _, err := tx.Exec(ctx, holdSQL, incarnation, string(kind), reason, row.now.UnixMicro()); err != nil {
		return err
	}
	return s.beginIncarnation(row.now, func(sql string, args ...any) error {
		_, err := tx.Exec(ctx, sql, args...)
		return err
	})
}

// NoteServer looks at a connection once the schema is there; new ones look by
// themselves.
func (s *Store) NoteServer(ctx context.Context) error {
	if s.dialect.name != "postgres" {
		return nil
	}
	conn, err := s.writer.Conn(ctx)
	if err != nil {
		return s.wrap(fmt.Errorf("asking the database for its history: %w", err))
	}
	defer conn.Close()
	return s.wrap(conn.Raw(func(driver any) error {
		return s.checkHistory(ctx, connOf(driver))
	}))
}
