package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// statements are the inside of a transaction: of *sql.Tx, or of a pipeline.
type statements interface {
	exec(ctx context.Context, query string, args []any) (int64, error)
	query(ctx context.Context, query string, args []any) (rows, error)
	// later runs a statement whose answer nobody waits for, and gives read its rows unless
	// that is nil. Its errors may come with any statement that follows, at the latest
	// with the commit.
	later(ctx context.Context, read func(rows) error, query string, args []any) error
	// flush has run what is to be run later.
	flush(ctx context.Context) error
	commit(ctx context.Context) error
	// rollback undoes what was not committed; after a commit it does nothing.
	rollback(ctx context.Context)
}

// rows is *sql.Rows, or what a pipeline reads.
type rows interface {
	scanner
	Next() bool
	Err() error
	Close() error
}

// plain is a transaction of SQLite, which is no journey away.
type plain struct{ tx *sql.Tx }

func (p plain) exec(ctx context.Context, query string, args []any) (int64, error) {
	return affected(p.tx.ExecContext(ctx, query, args...))
}

func (p plain) query(ctx context.Context, query string, args []any) (rows, error) {
	r, err := p.tx.QueryContext(ctx, query, args...) //nolint:rowserrcheck // who reads them does
	if err != nil {
		return nil, err // not a rows that holds a nil
	}
	return r, nil
}

func (p plain) later(ctx context.Context, read func(rows) error, query string, args []any) error {
	if read == nil {
		_, err := p.exec(ctx, query, args)
		return err
	}
	r, err := p.query(ctx, query, args)
	if err != nil {
		return err
	}
	return readAll(r, read)
}

func (plain) flush(context.Context) error { return nil }

func (p plain) commit(context.Context) error { return p.tx.Commit() }

func (p plain) rollback(context.Context) { _ = p.tx.Rollback() }

// readAll gives read the rows and closes them.
func readAll(r rows, read func(rows) error) error {
	err := read(r)
	if e := r.Err(); e != nil {
		err = e
	}
	if e := r.Close(); err == nil {
		err = e
	}
	return err
}

// pipeline is a transaction of PostgreSQL. Most statements here take the server less
// time than the way to it and back, which they make together: the beginning goes with
// the first one, what nobody waits for with the next one that somebody does, and at
// last with the commit.
type pipeline struct {
	conn   *pgx.Conn
	queued []laterStatement
	begun  bool
}

type laterStatement struct {
	read  func(rows) error // nil: nobody wants its rows
	query string
	args  []any
}

// mostQueued bounds what is held back, and with it the memory that a transaction takes.
const mostQueued = 64

// rollbackWait bounds the wait for a server that may be gone. What it holds for us ends
// with the connection.
const rollbackWait = 5 * time.Second

func (p *pipeline) later(ctx context.Context, read func(rows) error, query string, args []any) error {
	p.begin()
	p.queued = append(p.queued, laterStatement{read, query, args})
	if len(p.queued) < mostQueued {
		return nil
	}
	return p.flush(ctx)
}

// begin queues the beginning, if that was not yet.
func (p *pipeline) begin() {
	if !p.begun {
		p.begun = true
		p.queued = append(p.queued, laterStatement{query: "begin"})
	}
}

func (p *pipeline) exec(ctx context.Context, query string, args []any) (int64, error) {
	p.begin()
	tag, err := p.run(ctx, query, args)
	return tag.RowsAffected(), err
}

// run runs one statement, behind what is queued.
func (p *pipeline) run(ctx context.Context, query string, args []any) (pgconn.CommandTag, error) {
	if len(p.queued) == 0 {
		return p.conn.Exec(ctx, query, args...)
	}
	results, err := p.send(ctx, query, args)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	tag, err := results.Exec()
	if e := results.Close(); err == nil {
		err = e
	}
	return tag, err
}

func (p *pipeline) query(ctx context.Context, query string, args []any) (rows, error) {
	p.begin()
	if len(p.queued) == 0 {
		r, err := p.conn.Query(ctx, query, args...)
		if err != nil {
			return nil, err
		}
		return &pipelineRows{Rows: r}, nil
	}
	results, err := p.send(ctx, query, args)
	if err != nil {
		return nil, err
	}
	r, err := results.Query()
	if err != nil {
		_ = results.Close()
		return nil, err
	}
	return &pipelineRows{Rows: r, results: results}, nil
}

func (p *pipeline) flush(ctx context.Context) error {
	if len(p.queued) == 0 {
		return nil
	}
	results, err := p.send(ctx, "", nil)
	if err != nil {
		return err
	}
	return results.Close()
}

// send sends what is queued with one statement more, unless that is "", and takes the
// answers to all but the last. The caller closes what is returned.
func (p *pipeline) send(ctx context.Context, query string, args []any) (pgx.BatchResults, error) {
	queued := p.queued
	p.queued = nil
	batch := &pgx.Batch{}
	for _, s := range queued {
		batch.Queue(s.query, s.args...)
	}
	if query != "" {
		batch.Queue(query, args...)
	}
	results := p.conn.SendBatch(ctx, batch)
	for _, s := range queued {
		if err := take(results, s.read); err != nil {
			_ = results.Close()
			return nil, err
		}
	}
	return results, nil
}

// take takes the answer to one statement.
func take(results pgx.BatchResults, read func(rows) error) error {
	if read == nil {
		_, err := results.Exec()
		return err
	}
	r, err := results.Query()
	if err != nil {
		return err
	}
	return readAll(&pipelineRows{Rows: r}, read)
}

func (p *pipeline) commit(ctx context.Context) error {
	if !p.begun {
		return nil // nothing was asked of it
	}
	tag, err := p.run(ctx, "commit", nil)
	if err == nil && tag.String() != "COMMIT" {
		// One in which a statement failed is undone by its commit, without an error.
		err = pgx.ErrTxCommitRollback
	}
	return err
}

func (p *pipeline) rollback(ctx context.Context) {
	if p.conn.IsClosed() || p.conn.PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackWait)
	defer cancel()
	if _, err := p.conn.Exec(ctx, "rollback"); err != nil {
		_ = p.conn.Close(ctx) // so that it goes back to nobody
	}
}

// pipelineRows are the rows of one statement of a pipeline.
type pipelineRows struct {
	pgx.Rows
	results pgx.BatchResults // nil: it went alone
}

// Close reads what is left, so that the connection can be used again.
func (r *pipelineRows) Close() error {
	r.Rows.Close()
	err := r.Err()
	if r.results != nil {
		if e := r.results.Close(); err == nil {
			err = e
		}
	}
	return err
}
