package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// poolerRivals is how many transactions are held open beside a connection that is
// watched: a pooler that shares its server processes runs out of idle ones or hands the
// watched one's on.
const poolerRivals = 4

// ServerReport is what `fairlead-hub doctor` looks at in a PostgreSQL server.
type ServerReport struct {
	// Version as the server writes it, and whether it is one that we work with.
	Version      string
	VersionKnown bool
	// Standby: it takes no changes.
	Standby bool
	// Encoding, Fsync and SynchronousCommit are its settings.
	Encoding, Fsync, SynchronousCommit string
	// Connections that it admits to an ordinary role, that are there now, and that a member
	// keeps.
	Connections, Connected, PoolSize int
	// Members that are in the database.
	Members int
	// ClockAhead is the server's clock minus this host's, to about half of RoundTrip.
	ClockAhead, RoundTrip time.Duration
	// Pooler tells by what a pooler between us and the server was found out that gives a
	// connection another server process for each transaction; "" if there is none.
	Pooler string
}

// Examine looks at the server of a URL as far as it can be reached, whatever it is.
func Examine(ctx context.Context, cfg Config) (*ServerReport, error) {
	s := &Store{base: &base{dialect: postgres()}}
	config, err := postgresConfig(cfg)
	if err != nil {
		return nil, err
	}
	// Prepared statements would trip over the very poolers that are looked for.
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	r := &ServerReport{PoolSize: cfg.poolSize()}
	if err := r.ask(ctx, config); err != nil {
		return nil, s.wrap(fmt.Errorf("asking the database server: %w", err))
	}
	if r.Pooler, err = findPooler(ctx, config); err != nil {
		return nil, s.wrap(fmt.Errorf("looking for a connection pooler: %w", err))
	}
	return r, nil
}

func (r *ServerReport) ask(ctx context.Context, config *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing was changed
	var number int
	err = conn.QueryRow(ctx, `SELECT current_setting('server_version'), CAST(current_setting('server_version_num') AS INT), pg_is_in_recovery(),
		current_setting('server_encoding'), current_setting('fsync'), current_setting('synchronous_commit'),
		CAST(current_setting('max_connections') AS INT) - CAST(current_setting('superuser_reserved_connections') AS INT)
			- CAST(COALESCE(current_setting('reserved_connections', true), '0') AS INT),
		(SELECT COUNT(*) FROM pg_stat_activity WHERE backend_type = 'client backend')`).
		Scan(&r.Version, &number, &r.Standby, &r.Encoding, &r.Fsync, &r.SynchronousCommit, &r.Connections, &r.Connected)
	if err != nil {
		return err
	}
	r.VersionKnown = number >= minPostgres
	if err := r.countMembers(ctx, conn); err != nil {
		return err
	}
	before := time.Now()
	var said int64
	if err := conn.QueryRow(ctx, `SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)`).Scan(&said); err != nil {
		return err
	}
	r.RoundTrip = time.Since(before)
	r.ClockAhead = time.UnixMicro(said).Sub(before.Add(r.RoundTrip / 2))
	return nil
}

func (r *ServerReport) countMembers(ctx context.Context, conn *pgx.Conn) error {
	var there bool
	err := conn.QueryRow(ctx, `SELECT to_regclass('member') IS NOT NULL`).Scan(&there)
	if err == nil && there {
		err = conn.QueryRow(ctx, `SELECT COUNT(*) FROM member`).Scan(&r.Members)
	}
	return err
}

// findPooler finds out whether a connection keeps its server process. A pooler in
// session mode, or none, gives each connection one of its own until it ends. One in
// transaction mode gives it any that is idle, so with others inside transactions either
// one of those has got the process of the first, or the first has got another.
func findPooler(ctx context.Context, config *pgx.ConnConfig) (string, error) {
	watched, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return "", err
	}
	defer func() { _ = watched.Close(ctx) }() // nothing was changed
	first, err := serverProcess(ctx, watched)
	if err != nil {
		return "", err
	}
	for range poolerRivals {
		rival, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			return "", err
		}
		defer func() { _ = rival.Close(ctx) }() // as above
		_, err = rival.Exec(ctx, `BEGIN`)
		if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
			return "it refuses a transaction: " + refused.Message, nil
		}
		if err != nil {
			return "", err
		}
		process, err := serverProcess(ctx, rival)
		if err != nil {
			return "", err
		}
		if process == first {
			return fmt.Sprintf("two connections at once had the one server process %d", first), nil
		}
		if process, err = serverProcess(ctx, watched); err != nil {
			return "", err
		}
		if process != first {
			return fmt.Sprintf("one connection had the server process %d, then %d", first, process), nil
		}
	}
	return "", nil
}

func serverProcess(ctx context.Context, conn *pgx.Conn) (pid uint32, err error) {
	err = conn.QueryRow(ctx, `SELECT CAST(pg_backend_pid() AS BIGINT)`).Scan(&pid)
	return pid, err
}
