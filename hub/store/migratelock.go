package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/pressly/goose/v3/lock"
)

const (
	// migrationRetry is the time between two tries of one that waits to migrate.
	migrationRetry = time.Second
	// migrationTell is the time between two log lines about the wait.
	migrationTell = 5 * time.Second
	// unlockTime bounds the giving back of the lock; its connection ends after it anyway.
	unlockTime = 5 * time.Second
)

// migrationLock is the advisory lock of PostgreSQL that one migrating member holds, on
// the connection that migrates: when that breaks, lock and migration end together.
type migrationLock struct{}

// SessionLock implements lock.SessionLocker: one try, and a heldError when another has
// it. The number is goose's own, which earlier releases took too.
func (migrationLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	var got bool
	if err := conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1)`, lock.DefaultLockID).Scan(&got); err != nil {
		return fmt.Errorf("taking the migration lock: %w", err)
	}
	if got {
		return nil
	}
	return lockHolder(ctx, conn)
}

// SessionUnlock implements lock.SessionLocker.
func (migrationLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, unlockTime)
	defer cancel()
	// What was applied is applied: the end of the connection, which follows, frees the
	// lock too.
	_, _ = conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, lock.DefaultLockID)
	return nil
}

// heldError says who migrates.
type heldError struct {
	// Name is the holder's application_name, Process its server process.
	Name    string
	Process int64
	// Client is the holder's address, "" for one on the server's own machine.
	Client string
	Since  time.Time
}

func (e *heldError) Error() string {
	return fmt.Sprintf("%s (server process %d) migrates the database since %s", e.Name, e.Process, e.Since.UTC().Format(time.RFC3339))
}

// lockHolder finds who holds the lock. It may be gone by now, and a stranger's sessions
// are not shown to all: then the error tells what it can.
func lockHolder(ctx context.Context, conn *sql.Conn) error {
	e := &heldError{}
	var since sql.NullTime
	err := conn.QueryRowContext(ctx, `SELECT l.pid, COALESCE(a.application_name, ''), COALESCE(host(a.client_addr), ''), a.backend_start
		FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'advisory' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND (CAST(l.classid AS BIGINT) << 32) + CAST(l.objid AS BIGINT) = $1 AND l.objsubid = 1`, lock.DefaultLockID).
		Scan(&e.Process, &e.Name, &e.Client, &since)
	if err != nil && !missing(err) {
		return fmt.Errorf("looking who migrates: %w", err)
	}
	e.Since = since.Time
	return e
}

// migrationName is the application_name of a connection that migrates; the server cuts
// it at 63 bytes.
func migrationName(member string) string {
	return fmt.Sprintf("fairlead-hub %s process %d", member, os.Getpid())
}

// migrationWait is one wait for the turn to migrate.
type migrationWait struct {
	log  *slog.Logger
	told time.Time
}

// known tells the two things that end by themselves: another member migrates, or a table
// is in use.
func (*migrationWait) known(err error) bool {
	_, held := errors.AsType[*heldError](err)
	return held || sqlState(err) == "55P03"
}

func (w *migrationWait) wait(ctx context.Context, err error) error {
	if time.Since(w.told) >= migrationTell {
		w.told = time.Now()
		if held, ok := errors.AsType[*heldError](err); ok {
			w.log.Info("waiting until another member has migrated the database",
				"holder", held.Name, "client", held.Client, "server_process", held.Process, "since", held.Since.UTC())
		} else {
			w.log.Warn("a migration waits for a table that something else uses; it is tried again", "error", err)
		}
	}
	return pauseFor(ctx, migrationRetry)
}
