package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/fairlead/fairlead/hub"
)

// sqliteReaders is the number of connections that read.
const sqliteReaders = 8

// checkTime bounds the integrity check at start, so that a big file does not keep
// the hub from starting.
const checkTime = 10 * time.Second

func sqliteDialect() *dialect {
	return &dialect{
		name:       "sqlite",
		goose:      goose.DialectSQLite3,
		migrations: migrationsOf("sqlite"),
		hasTable:   `SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = $1)`,
		clock:      func(param string) string { return "CAST(" + param + " AS BIGINT)" },
		// The row is there once an execution was; before that no number was given.
		skipNumbers: "UPDATE sqlite_sequence SET seq = seq + 10000 WHERE name = 'execution'",
		ownClock:    true,
		isConflict: func(err error) bool {
			code := sqliteCode(err)
			return code == lib.SQLITE_CONSTRAINT_UNIQUE || code == lib.SQLITE_CONSTRAINT_PRIMARYKEY
		},
		isRetry: func(err error) bool {
			code := sqliteCode(err) & 0xff
			return code == lib.SQLITE_BUSY || code == lib.SQLITE_LOCKED
		},
		isFull: func(err error) bool { return sqliteCode(err)&0xff == lib.SQLITE_FULL },
		isGone: func(err error) bool {
			switch sqliteCode(err) & 0xff {
			case lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_READONLY, lib.SQLITE_CANTOPEN, lib.SQLITE_NOMEM:
				return true
			}
			return errors.Is(err, sql.ErrConnDone)
		},
		isText: func(err error) bool { return errors.Is(err, errText) },
	}
}

// sqliteCode is the extended result code of an error of SQLite, else 0.
func sqliteCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()
	}
	return 0
}

// fileBehind follows path to the file itself, also to one that is yet to be made. SQLite
// follows links too: its log lies beside the file, and so must our lock, by whichever of
// its names the file is called.
func fileBehind(path string) (string, error) {
	path, err := filepath.Abs(path)
	for links := 0; err == nil; links++ {
		target, failed := os.Readlink(path)
		if failed != nil {
			return path, nil //nolint:nilerr // no link, or nothing at all: who opens it says so
		}
		if links == maxLinks {
			return "", hub.Errorf(hub.CodeInvalid, "The database file %s is a link that leads to no file; correct it.", path)
		}
		if filepath.IsAbs(target) {
			path = target
			continue
		}
		// A link in the way changes what .. means behind it.
		var dir string
		dir, err = filepath.EvalSymlinks(filepath.Dir(path))
		path = filepath.Join(dir, target)
	}
	return "", fmt.Errorf("finding the database file: %w", err)
}

// maxLinks is how many links to links are followed; the kernel has about as many.
const maxLinks = 40

// openSQLite locks and opens the file: one connection that writes, some that read.
func (s *Store) openSQLite(ctx context.Context, cfg Config) error {
	s.dialect = sqliteDialect()
	s.gate = &gate{}
	path, err := fileBehind(cfg.Path)
	if err != nil {
		return err
	}
	if err := refuseNetworkFS(filepath.Dir(path)); err != nil {
		return err
	}
	if s.lock, err = lockFile(path + ".lock"); err != nil {
		return err
	}
	if err := makePrivate(path); err != nil {
		return err
	}
	if s.writer, err = sql.Open("sqlite", sqliteDSN(path, cfg, false)); err != nil {
		return fmt.Errorf("opening the database file %s: %w", path, err)
	}
	s.writer.SetMaxOpenConns(1)
	if s.reader, err = sql.Open("sqlite", sqliteDSN(path, cfg, true)); err != nil {
		return fmt.Errorf("opening the database file %s: %w", path, err)
	}
	s.reader.SetMaxOpenConns(sqliteReaders)
	s.reader.SetMaxIdleConns(sqliteReaders)
	return s.checkSQLite(ctx, path)
}

// openSerial uses a database that others opened, with one connection for everything: a
// second would wait for the first.
func (s *Store) openSerial(cfg Config) {
	s.dialect = sqliteDialect()
	s.gate = &gate{}
	s.writer = sql.OpenDB(cfg.Serial)
	s.writer.SetMaxOpenConns(1)
	s.reader = s.writer
}

// openToRead opens a file that is there without locking, making or changing anything;
// a hub may be working on it.
func openToRead(cfg Config) (*Store, error) {
	s := &Store{base: &base{config: cfg, dialect: sqliteDialect(), log: cfg.logger(), clock: clock{start: time.Now()}}}
	path, err := fileBehind(cfg.Path)
	if err != nil {
		return nil, err
	}
	if err := refuseNetworkFS(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("looking for the database file: %w", err)
	}
	q := url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(10000)", "query_only(1)"}}
	if _, err := os.Stat(path + "-wal"); errors.Is(err, fs.ErrNotExist) {
		// Nobody has it open; SQLite would make a log and shared memory beside it even so.
		q.Set("immutable", "1")
	}
	db, err := sql.Open("sqlite", fileURL(path, q))
	if err != nil {
		return nil, fmt.Errorf("opening the database file %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	s.writer, s.reader = db, db
	return s, nil
}

func fileURL(path string, q url.Values) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// sqliteDSN is the data source of the writer or of a reader.
func sqliteDSN(path string, cfg Config, readOnly bool) string {
	q := url.Values{}
	sync := "FULL"
	if cfg.NoSync {
		sync = "OFF"
	}
	for _, p := range []string{
		// The journal mode first: it is the only one that writes to the file.
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(" + sync + ")", "foreign_keys(1)",
		"cache_size(-16000)", "temp_store(MEMORY)", "journal_size_limit(67108864)",
	} {
		q.Add("_pragma", p)
	}
	if readOnly {
		q.Add("_pragma", "query_only(1)")
	} else {
		q.Set("_txlock", "immediate")
	}
	return fileURL(path, q)
}

// makePrivate makes the file for its owner alone; SQLite gives its companions the
// same mode.
func makePrivate(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return &hub.Error{Code: hub.CodeUnavailable, Message: fmt.Sprintf("The database file %s cannot be opened for writing.", path), Cause: err}
	}
	return f.Close()
}

// checkSQLite refuses a file that is damaged or no database.
func (s *Store) checkSQLite(ctx context.Context, path string) error {
	limited, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	var answer string
	err := s.writer.QueryRowContext(limited, `PRAGMA quick_check(1)`).Scan(&answer)
	switch {
	case err != nil && ctx.Err() == nil && limited.Err() != nil:
		s.log.Warn("integrity check of the database file was cut short", "path", path, "after_ms", checkTime.Milliseconds())
		return nil
	case sqliteCode(err)&0xff == lib.SQLITE_NOTADB, sqliteCode(err)&0xff == lib.SQLITE_CORRUPT, err == nil && answer != "ok":
		return &hub.Error{
			Code: hub.CodeInvalid, Message: fmt.Sprintf(
				"The file %s is damaged or no database of SQLite; restore a backup, and keep this file as evidence.", path),
			Cause: errors.Join(err, errors.New(answer)),
		}
	case err != nil:
		return s.wrap(fmt.Errorf("checking the database file %s: %w", path, err))
	}
	return nil
}
