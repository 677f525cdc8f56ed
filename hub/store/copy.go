package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/fairlead/fairlead/hub"
)

// tellEvery is the number of rows between two reports of progress inside a table.
const tellEvery = 10_000

// CopyProgress is how far a copy is inside one table.
type CopyProgress struct {
	// Verifying: both sides are read and compared; before that, rows are written.
	Verifying bool
	Table     string
	// Rows so far, of Total.
	Rows, Total int64
}

// Copied is a table that was copied and found the same on both sides.
type Copied struct {
	Table string
	Rows  int64
	// Digest is the sum of the SHA-256 of each row, whatever their order.
	Digest [32]byte
}

// Copy copies all rows of the SQLite file at from into the PostgreSQL database of to,
// which must hold none, and is migrated if it is quite empty. All is read back and
// compared before the one transaction commits: a copy that fails or is interrupted
// leaves no row. The file's hub must be stopped, and the file is not changed. tell is
// called now and then, at least once for each table and pass.
//
// The tables are those that the schemas have, so a new one is copied without being
// listed anywhere.
func Copy(ctx context.Context, from string, to Config, tell func(CopyProgress)) (copied []Copied, err error) {
	lock, source, err := openCopySource(ctx, from)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, source.Close(), unlockFile(lock)) }()
	target, err := openCopyTarget(ctx, to)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	config, err := postgresConfig(to)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, target.wrap(fmt.Errorf("connecting to copy: %w", err))
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // what counts is the commit
	copied, err = copyAll(ctx, source, conn, tell)
	return copied, target.wrap(err)
}

// openCopySource locks the file and opens it to be read.
func openCopySource(ctx context.Context, path string) (lock *os.File, source *Store, err error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil, hub.Errorf(hub.CodeNotFound, "There is no SQLite file %s to copy from. Name it with --from sqlite:PATH, or its directory with --data-dir.", path)
	}
	// By whatever name: it must end up at the lock of the file's hub.
	if path, err = fileBehind(path); err != nil {
		return nil, nil, err
	}
	lock, err = lockFile(path + ".lock")
	if hub.ErrorCode(err) == hub.CodeConflict {
		return nil, nil, &hub.Error{Code: hub.CodeConflict, Message: fmt.Sprintf("The file %s is in use: stop its hub first, then copy. Nothing was copied.", path), Cause: err}
	}
	if err != nil {
		return nil, nil, err
	}
	source, err = openToRead(Config{Path: path})
	if err == nil {
		err = checkCopySource(ctx, source, path)
		if err != nil {
			err = errors.Join(err, source.Close())
		}
	}
	if err != nil {
		return nil, nil, errors.Join(err, unlockFile(lock))
	}
	return lock, source, nil
}

func checkCopySource(ctx context.Context, source *Store, path string) error {
	if err := source.checkSQLite(ctx, path); err != nil {
		return err
	}
	schema, err := source.Schema(ctx)
	if err != nil {
		return err
	}
	if err := schema.Refusal(); err != nil {
		return err
	}
	if len(schema.Pending) > 0 {
		return hub.Errorf(hub.CodeConflict, "The file %s has schema %d, and this program copies schema %d alone. Bring it there with `fairlead-hub migrate` (without --to), then copy.",
			path, schema.Database, schema.Program)
	}
	return nil
}

// openCopyTarget opens the database and gives it our tables, unless it has others.
func openCopyTarget(ctx context.Context, to Config) (*Store, error) {
	target, err := Open(ctx, to)
	if err != nil {
		return nil, err
	}
	if err = refuseStrangers(ctx, target); err == nil {
		err = target.Migrate(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, target.Close())
	}
	return target, nil
}

// refuseStrangers refuses a database that has tables, and none of ours.
func refuseStrangers(ctx context.Context, target *Store) error {
	schema, err := target.Schema(ctx)
	if err != nil || schema.Database > 0 {
		return err
	}
	names, err := collect(ctx, target, scanID, `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY table_name LIMIT 6`)
	if err != nil {
		return fmt.Errorf("looking at the database to copy into: %w", err)
	}
	if len(names) > 0 {
		return hub.Errorf(hub.CodeConflict, "The PostgreSQL database is not empty: it has %s, which is not Fairlead's. Give one of its own: createdb NAME.", strings.Join(names, ", "))
	}
	return nil
}

// copier is one copy inside its transaction.
type copier struct {
	source *Store
	tx     pgx.Tx
	tables []*copyTable
	tell   func(CopyProgress)
}

func copyAll(ctx context.Context, source *Store, conn *pgx.Conn, tell func(CopyProgress)) ([]Copied, error) {
	seeds, err := seedRows(ctx)
	if err != nil {
		return nil, err
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("beginning to copy: %w", err)
	}
	// After a commit this does nothing.
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	c := &copier{source: source, tx: tx, tell: tell}
	copied, err := c.run(ctx, seeds)
	if err != nil {
		return nil, err
	}
	if err := tx.Commit(ctx); err != nil {
		return nil, fmt.Errorf("committing the copy, which is there whole or not at all (to find out, run this again): %w", err)
	}
	return copied, nil
}

func (c *copier) run(ctx context.Context, seeds map[string]int64) (copied []Copied, err error) {
	if err := c.settle(ctx); err != nil {
		return nil, err
	}
	if c.tables, err = planCopy(ctx, c.source, c.tx); err != nil {
		return nil, err
	}
	for _, step := range []func() error{
		func() error { return c.lockTables(ctx) },
		func() error { return c.refuseRows(ctx, seeds) },
		// The state machines' triggers let a row begin in its first state alone, and note
		// events that are among the rows. The tables' owner may turn them off; foreign
		// keys stay on.
		func() error { return c.each(ctx, "ALTER TABLE %s DISABLE TRIGGER USER") },
		func() error { return c.clear(ctx) },
		func() error { return c.write(ctx) },
		func() error { copied, err = c.verify(ctx); return err },
		func() error { return c.restartNumbers(ctx) },
		func() error { return c.each(ctx, "ALTER TABLE %s ENABLE TRIGGER USER") },
		// Plans that were made without it would read whole tables.
		func() error { return c.each(ctx, "ANALYZE %s") },
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return copied, nil
}

// settle lifts the limits that a role or database may set for a statement, and keeps
// the commit durable.
func (c *copier) settle(ctx context.Context) error {
	_, err := c.tx.Exec(ctx, `SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL lock_timeout = '10s';
		SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'`)
	if err != nil {
		return fmt.Errorf("setting up the copy: %w", err)
	}
	return nil
}

// lockTables keeps a hub that is started on the database meanwhile away from all of it.
func (c *copier) lockTables(ctx context.Context) error {
	names := make([]string, len(c.tables))
	for i, t := range c.tables {
		names[i] = t.quoted()
	}
	_, err := c.tx.Exec(ctx, `LOCK TABLE `+strings.Join(names, ", ")+` IN ACCESS EXCLUSIVE MODE`)
	if sqlState(err) == "55P03" {
		return &hub.Error{Code: hub.CodeConflict, Message: "Something uses the PostgreSQL database to copy into; stop it, then copy. Nothing was copied.", Cause: err}
	}
	if err != nil {
		return fmt.Errorf("locking the tables to copy into: %w", err)
	}
	return nil
}

// each runs a statement on every table.
func (c *copier) each(ctx context.Context, statement string) error {
	for _, t := range c.tables {
		if _, err := c.tx.Exec(ctx, fmt.Sprintf(statement, t.quoted())); err != nil {
			return fmt.Errorf("preparing the table %s: %w", t.name, err)
		}
	}
	return nil
}

// refuseRows refuses a database that holds more than the migrations put there.
func (c *copier) refuseRows(ctx context.Context, seeds map[string]int64) error {
	var found []string
	for _, t := range c.tables {
		var n int64
		if err := c.tx.QueryRow(ctx, `SELECT COUNT(*) FROM `+t.quoted()).Scan(&n); err != nil {
			return fmt.Errorf("counting the rows of %s: %w", t.name, err)
		}
		if n > seeds[t.name] {
			found = append(found, fmt.Sprintf("%s (%d)", t.name, n))
		}
	}
	if len(found) == 0 {
		return nil
	}
	return hub.Errorf(hub.CodeConflict, "The PostgreSQL database is not empty: it has rows in %s. Nothing was copied. "+
		"A copy is whole or not there at all, so if these are of an earlier one, it is complete: start the hub on it. Else give an empty database: createdb NAME.",
		strings.Join(found, ", "))
}

// seedRows counts the rows that migrations themselves make.
func seedRows(ctx context.Context) (_ map[string]int64, err error) {
	dir, err := os.MkdirTemp("", "fairlead-copy-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for an empty database: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	st, err := Open(ctx, Config{Path: filepath.Join(dir, "empty.db"), NoSync: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if err := st.Migrate(ctx); err != nil {
		return nil, err
	}
	tables, err := sqliteColumns(ctx, st)
	if err != nil {
		return nil, err
	}
	seeds := make(map[string]int64, len(tables))
	for name := range tables {
		if seeds[name], err = st.countRows(ctx, name); err != nil {
			return nil, err
		}
	}
	return seeds, nil
}

// countRows counts the rows of a table.
func (s *Store) countRows(ctx context.Context, table string) (n int64, err error) {
	if err = s.queryRow(ctx, `SELECT COUNT(*) FROM `+quoted(table)).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting the rows of %s: %w", table, err)
	}
	return n, nil
}

// clear removes what the migrations put there: the file has its own.
func (c *copier) clear(ctx context.Context) error {
	for _, t := range slices.Backward(c.tables) {
		if _, err := c.tx.Exec(ctx, `DELETE FROM `+t.quoted()); err != nil {
			return fmt.Errorf("clearing %s: %w", t.name, err)
		}
	}
	return nil
}

func (c *copier) write(ctx context.Context) (err error) {
	for _, t := range c.tables {
		if t.rows, err = c.source.countRows(ctx, t.name); err != nil {
			return err
		}
		if err := c.writeTable(ctx, t); err != nil {
			return fmt.Errorf("copying the table %s: %w", t.name, err)
		}
	}
	return nil
}

// writeTable streams a table: no more than some rows are in memory at a time.
func (c *copier) writeTable(ctx context.Context, t *copyTable) error {
	rows, err := c.source.query(ctx, t.selectsFile())
	if err != nil {
		return err
	}
	defer rows.Close()
	from := &copyRows{rows: rows, row: t.newRow(), tell: func(n int64) { c.tell(CopyProgress{Table: t.name, Rows: n, Total: t.rows}) }}
	if _, err := c.tx.CopyFrom(ctx, pgx.Identifier{t.name}, t.names(), from); err != nil {
		return err
	}
	from.tell(from.n)
	return rows.Err()
}

// verify reads both sides again and compares them, table by table.
func (c *copier) verify(ctx context.Context) ([]Copied, error) {
	all := make([]Copied, len(c.tables))
	for i, t := range c.tables {
		want, err := c.digestSource(ctx, t)
		if err != nil {
			return nil, fmt.Errorf("reading the table %s again: %w", t.name, err)
		}
		if all[i], err = c.digestCopy(ctx, t); err != nil {
			return nil, fmt.Errorf("reading the copy of %s: %w", t.name, err)
		}
		if all[i] != want {
			return nil, hub.Errorf(hub.CodeInternal, "The copy of the table %s is not what the file has: %d rows against %d, digest %x against %x. Nothing was kept; please report this.",
				t.name, all[i].Rows, want.Rows, all[i].Digest[:8], want.Digest[:8])
		}
	}
	return all, nil
}

func (c *copier) digestSource(ctx context.Context, t *copyTable) (Copied, error) {
	rows, err := c.source.query(ctx, t.selectsFile())
	if err != nil {
		return Copied{}, err
	}
	defer rows.Close()
	sum, err := t.digest(rows, func(int64) {})
	return sum, errors.Join(err, rows.Err())
}

func (c *copier) digestCopy(ctx context.Context, t *copyTable) (Copied, error) {
	rows, err := c.tx.Query(ctx, t.selects())
	if err != nil {
		return Copied{}, err
	}
	defer rows.Close()
	sum, err := t.digest(rows, func(n int64) { c.tell(CopyProgress{Verifying: true, Table: t.name, Rows: n, Total: t.rows}) })
	return sum, errors.Join(err, rows.Err())
}

// restartNumbers lets numbers that the database gives go on behind the highest that the
// file ever gave, also to a row that is gone: no execution's number comes twice.
func (c *copier) restartNumbers(ctx context.Context) error {
	for _, t := range c.tables {
		for _, column := range t.columns {
			if !column.identity {
				continue
			}
			next, err := nextNumber(ctx, c.source, t.name, column.name)
			if err != nil {
				return fmt.Errorf("reading the last number of %s: %w", t.name, err)
			}
			_, err = c.tx.Exec(ctx, fmt.Sprintf(`ALTER TABLE %s ALTER COLUMN %s RESTART WITH %d`, t.quoted(), quoted(column.name), next))
			if err != nil {
				return fmt.Errorf("setting the next number of %s: %w", t.name, err)
			}
		}
	}
	return nil
}

func nextNumber(ctx context.Context, source *Store, table, column string) (next int64, err error) {
	err = source.queryRow(ctx, `SELECT 1 + MAX((SELECT COALESCE(MAX(`+quoted(column)+`), 0) FROM `+quoted(table)+`),
		COALESCE((SELECT seq FROM sqlite_sequence WHERE name = $1), 0))`, table).Scan(&next)
	return next, err
}
