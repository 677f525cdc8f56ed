package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/fairlead/fairlead/hub"
)

// minPostgres is the oldest server version, as server_version_num.
const minPostgres = 140000

func postgres() *dialect {
	return &dialect{
		name:       "postgres",
		goose:      goose.DialectPostgres,
		migrations: migrationsOf("postgres"),
		hasTable:   `SELECT to_regclass($1) IS NOT NULL`,
		forUpdate:  " FOR UPDATE",
		skipLocked: " FOR UPDATE SKIP LOCKED",
		clock: func(param string) string {
			// The parameter is named so that the statement has as many on both databases.
			return "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT) + 0 * CAST(" + param + " AS BIGINT)"
		},
		skipNumbers: "SELECT setval(pg_get_serial_sequence('execution', 'number'), nextval(pg_get_serial_sequence('execution', 'number')) + 10000)",
		pipelined:   true,
		lockWriters: "LOCK TABLE execution, attempt, attempt_log IN SHARE MODE",
		isConflict:  func(err error) bool { return sqlState(err) == "23505" },
		isRetry: func(err error) bool {
			switch sqlState(err) {
			case "40001", "40P01":
				return true
			case "23505":
				// Another member took the same turn of a job since this one looked.
				return constraint(err) == "execution_turn"
			case "0A000":
				// A prepared statement outlived a migration of another member ("cached plan
				// must not change result type"); the driver forgets it at the first error.
				return true
			}
			return false
		},
		isFull: func(err error) bool { return sqlState(err) == "53100" },
		isGone: postgresGone,
		isText: func(err error) bool {
			state := sqlState(err)
			return errors.Is(err, errText) || state == "22021" || state == "22P05"
		},
	}
}

// sqlState is the code of an error that the server sent, else "".
func sqlState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// constraint names what an error of the server says was violated, else "".
func constraint(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.ConstraintName
	}
	return ""
}

// postgresGone tells errors of the way to the server, and of a server that is going
// down, is read-only, out of disk or of connections, or gave up on time.
func postgresGone(err error) bool {
	switch state := sqlState(err); state {
	case "":
	case "57014", "55P03", "25006", "58030", "25P03":
		return true
	default:
		return state[:2] == "08" || state[:2] == "53" || state[:3] == "57P"
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err) || pgconn.Timeout(err)
}

// silence is for how long a server may confirm nothing that was sent to it.
const silence = 20 * time.Second

// openPostgres opens the pool and looks at the server.
func (s *Store) openPostgres(ctx context.Context, cfg Config) error {
	s.dialect = postgres()
	db, err := postgresPool(cfg, s.checkHistory, map[string]string{
		// A transaction that hangs must not hold its rows for long: a member that is cut off
		// from the server in the middle of one would keep others from its runners until the
		// server notices. Who waits for a row must get an answer before the runner's
		// patience ends.
		"lock_timeout":                        "10s",
		"statement_timeout":                   "60s",
		"idle_in_transaction_session_timeout": "5s",
		// Every statement here goes by a key. A plan is kept for as long as its connection
		// lives: one that was made while a table was small would read the whole of it
		// when it no longer is.
		"enable_seqscan":   "off",
		"enable_hashjoin":  "off",
		"enable_mergejoin": "off",
		// The costs that the above makes up would have statements of milliseconds compiled.
		"jit":             "off",
		"plan_cache_mode": "force_generic_plan",
	})
	if err != nil {
		return err
	}
	s.writer, s.reader = db, db
	return s.lookAtPostgres(ctx)
}

// postgresPool makes a pool whose connections have the given session settings, unless
// the URL sets them otherwise; look sees each of them first.
func postgresPool(cfg Config, look func(context.Context, *pgx.Conn) error, settings map[string]string) (*sql.DB, error) {
	config, err := postgresConfig(cfg)
	if err != nil {
		return nil, err
	}
	if name, ok := settings["application_name"]; ok {
		config.RuntimeParams["application_name"] = name
	}
	// Server, database or role may have another, under which a transaction does not see
	// what was committed since it began, and a read that stands alone fails for what
	// others write.
	set := map[string]string{"default_transaction_isolation": "read committed"}
	maps.Copy(set, settings)
	for name := range config.RuntimeParams {
		delete(set, name)
	}
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		if err := setUpSession(ctx, c, set); err != nil {
			return err
		}
		return look(ctx, c)
	}))
	db.SetMaxOpenConns(cfg.poolSize())
	db.SetMaxIdleConns(cfg.poolSize())
	db.SetConnMaxIdleTime(10 * time.Minute)
	return db, nil
}

// postgresConfig reads the URL.
func postgresConfig(cfg Config) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(cfg.URL)
	if strayAt(cfg.URL, config) {
		return nil, refuse("The database URL has an @ that does not end its password. Write @ and / of user and password as %%40 and %%2F.")
	}
	if err != nil {
		// The parser's own message shows the URL, without the password.
		return nil, &hub.Error{Code: hub.CodeInvalid, Message: "The database URL cannot be read; write postgres://USER@HOST/NAME.", Cause: err}
	}
	if _, given := config.RuntimeParams["application_name"]; !given {
		config.RuntimeParams["application_name"] = "fairlead-hub"
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 10 * time.Second
	}
	config.DialFunc = (&net.Dialer{
		Timeout: config.ConnectTimeout, ControlContext: endSilent,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: silence / 2, Interval: silence / 4, Count: 2},
	}).DialContext
	return config, nil
}

// strayAt reports whether a part of the password may have been read as host or database:
// errors show those. config is nil if nothing could be read.
func strayAt(url string, config *pgx.ConnConfig) bool {
	if config == nil {
		return strings.Count(url, "@") > 1
	}
	hosts := []string{config.Host}
	for _, f := range config.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	// A socket without a file has a name that begins with it, a database may have it as %40.
	return slices.ContainsFunc(hosts, func(h string) bool { return strings.LastIndex(h, "@") > 0 }) ||
		strings.Contains(config.Database, "@") && strings.Contains(url, config.Database)
}

// setUpSession makes a new connection's settings: not as parameters of the connection,
// most of which a pooler refuses. It also undoes a synchronous_commit=off of server,
// database or role: every answer to a runner stands on a commit that is on disk.
func setUpSession(ctx context.Context, c *pgx.Conn, settings map[string]string) error {
	var names, values []string
	for name, value := range settings {
		names, values = append(names, name), append(values, value)
	}
	_, err := c.Exec(ctx, `SELECT set_config(n, v, false) FROM unnest($1::text[], $2::text[]) s (n, v)
		UNION ALL SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`,
		pgx.QueryExecModeExec, names, values)
	if err != nil {
		return fmt.Errorf("setting up a connection to the database: %w", err)
	}
	return nil
}

// connOf is the connection of pgx behind one of database/sql.
func connOf(driver any) *pgx.Conn { return driver.(*stdlib.Conn).Conn() }

// lookAtPostgres refuses a server that we cannot work with.
func (s *Store) lookAtPostgres(ctx context.Context) error {
	var version int
	var standby bool
	var encoding, sync string
	err := s.queryRow(ctx, `SELECT CAST(current_setting('server_version_num') AS INT), pg_is_in_recovery(),
		current_setting('server_encoding'), current_setting('fsync')`).Scan(&version, &standby, &encoding, &sync)
	if err != nil {
		return fmt.Errorf("looking at the database server: %w", err)
	}
	switch {
	case version < minPostgres:
		return refuse("The database server is PostgreSQL %d; version 14 or later is needed.", version/10000)
	case standby:
		return &hub.Error{Code: hub.CodeUnavailable, Message: "The database server is a standby and takes no changes; give the URL of the primary."}
	case encoding != "UTF8":
		return refuse("The database has the encoding %s; make one with ENCODING 'UTF8'.", encoding)
	}
	if sync == "off" {
		s.log.Warn("database server runs with fsync off; a power cut loses what was promised")
	}
	return nil
}
