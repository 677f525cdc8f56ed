package storetest

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"testing"

	"modernc.org/sqlite"

	"github.com/fairlead/fairlead/hub/store"
)

// Serial is a database in memory that several stores share, one transaction after
// another, and that goes back to its beginning in no time: what simulations of
// thousands of short histories need. It is SQLite, so no statement means anything else
// here; but each is prepared once, which otherwise takes longer than all the rest.
//
// A store over it has no second connection: what reads outside of a transaction from
// within one waits for ever.
type Serial struct {
	conn     serialConn
	prepared map[string]serialStatement
	// fresh is what the database is before a history; forked says that Undo must load it.
	fresh  []byte
	forked bool
	// turn holds one token while somebody uses the connection. It is a channel and of
	// the history's own, so that the waiting is seen in a synctest bubble.
	turn chan struct{}
}

// serialConn is what SQLite's driver gives.
type serialConn interface {
	driver.Conn
	driver.ConnPrepareContext
	Serialize() ([]byte, error)
	Deserialize(data []byte) error
}

type serialStatement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// NewSerial makes a migrated database. Call it outside of synctest bubbles.
func NewSerial(t testing.TB) *Serial {
	t.Helper()
	c, err := (&sqlite.Driver{}).Open("file::memory:?_pragma=foreign_keys(1)&_pragma=temp_store(MEMORY)")
	if err != nil {
		t.Fatalf("opening a database in memory: %v", err)
	}
	s := &Serial{conn: c.(serialConn), prepared: map[string]serialStatement{}, turn: make(chan struct{}, 1)}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Errorf("closing the database in memory: %v", err)
		}
	})
	st, err := store.Open(t.Context(), store.Config{Serial: s, Log: Logger(t)})
	if err == nil {
		err = errors.Join(st.Migrate(t.Context()), st.Close())
	}
	if err != nil {
		t.Fatalf("migrating the database in memory: %v", err)
	}
	s.forget() // the statements of the migration
	if s.fresh, err = s.conn.Serialize(); err != nil {
		t.Fatalf("copying the database in memory: %v", err)
	}
	return s
}

// Begin starts a history; Undo takes everything back that happened since. All stores
// must be closed by then. Both belong into the same bubble.
func (s *Serial) Begin() error {
	s.turn = make(chan struct{}, 1)
	return s.exec("BEGIN")
}

// Undo ends a history.
func (s *Serial) Undo() error {
	if err := s.exec("ROLLBACK"); err != nil || !s.forked {
		return err
	}
	s.forked = false
	return s.load(s.fresh)
}

// Copy returns the database as it is, with all that is committed, as a replica would have
// it. Stores may be open; Keep must not be in use.
func (s *Serial) Copy() ([]byte, error) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if err := s.exec("COMMIT"); err != nil {
		return nil, err
	}
	s.forked = true
	image, err := s.conn.Serialize()
	return image, errors.Join(err, s.exec("BEGIN"))
}

// BeginWith starts a history on a copy of another database.
func (s *Serial) BeginWith(image []byte) error {
	s.forked = true
	if err := s.load(image); err != nil {
		return err
	}
	return s.Begin()
}

func (s *Serial) load(image []byte) error {
	s.forget() // statements keep the database that was there from being replaced
	if err := s.conn.Deserialize(image); err != nil {
		return fmt.Errorf("loading the database in memory: %w", err)
	}
	return nil
}

// Keep takes a backup, PutBack makes the database what it was at the last one. No store is
// open at either.
func (s *Serial) Keep() error { return s.exec("SAVEPOINT kept") }

// PutBack goes back to the last Keep.
func (s *Serial) PutBack() error { return s.exec("ROLLBACK TO kept") }

func (s *Serial) close() error {
	s.forget()
	return s.conn.Close()
}

func (s *Serial) forget() {
	for text, p := range s.prepared {
		_ = p.Close() // only memory
		delete(s.prepared, text)
	}
}

// prepare returns the prepared statement of a text.
func (s *Serial) prepare(text string) (serialStatement, error) {
	if p := s.prepared[text]; p != nil {
		return p, nil
	}
	// A bare parameter as the limit makes SQLite plan anew each time that it is bound.
	sql := strings.ReplaceAll(text, "LIMIT $", "LIMIT 0 + $")
	// Never with a context that can end: SQLite would undo more than the statement.
	p, err := s.conn.PrepareContext(context.Background(), sql)
	if err != nil {
		return nil, err
	}
	own := p.(serialStatement)
	s.prepared[text] = own
	return own, nil
}

func (s *Serial) exec(text string) error {
	p, err := s.prepare(text)
	if err == nil {
		_, err = p.ExecContext(context.Background(), nil)
	}
	if err != nil {
		return fmt.Errorf("%s in the database in memory: %w", text, err)
	}
	return nil
}

// Connect implements driver.Connector.
func (s *Serial) Connect(context.Context) (driver.Conn, error) { return &serialSession{s: s}, nil }

// Driver implements driver.Connector.
func (s *Serial) Driver() driver.Driver { return &sqlite.Driver{} }

// serialSession is a store's connection. A transaction of it is a savepoint, since the
// history is the transaction that is undone in the end.
type serialSession struct {
	s     *Serial
	began bool
}

// enter takes the turn, unless a transaction has it already.
func (c *serialSession) enter(ctx context.Context) (leave func(), err error) {
	if c.began {
		return func() {}, nil
	}
	select {
	case c.s.turn <- struct{}{}:
		return c.leave, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *serialSession) leave() { <-c.s.turn }

// BeginTx implements driver.ConnBeginTx.
func (c *serialSession) BeginTx(ctx context.Context, _ driver.TxOptions) (driver.Tx, error) {
	leave, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.s.exec("SAVEPOINT one"); err != nil {
		leave()
		return nil, err
	}
	c.began = true
	return c, nil
}

// Commit implements driver.Tx.
func (c *serialSession) Commit() error { return c.end() }

// Rollback implements driver.Tx.
func (c *serialSession) Rollback() error { return errors.Join(c.s.exec("ROLLBACK TO one"), c.end()) }

func (c *serialSession) end() error {
	err := c.s.exec("RELEASE one")
	c.began = false
	c.leave()
	return err
}

// ExecContext implements driver.ExecerContext.
func (c *serialSession) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	leave, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	p, err := c.s.prepare(text)
	if err != nil {
		return nil, err
	}
	return p.ExecContext(context.Background(), args)
}

// QueryContext implements driver.QueryerContext.
func (c *serialSession) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	leave, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	p, err := c.s.prepare(text)
	if err != nil {
		leave()
		return nil, err
	}
	rows, err := p.QueryContext(context.Background(), args)
	if err != nil {
		leave()
		return nil, err
	}
	return &serialRows{Rows: rows, leave: leave}, nil
}

// Prepare implements driver.Conn.
func (c *serialSession) Prepare(string) (driver.Stmt, error) {
	return nil, errors.New("the database in memory prepares its statements itself")
}

// Begin implements driver.Conn.
func (c *serialSession) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// Close implements driver.Conn.
func (c *serialSession) Close() error { return nil }

// serialRows gives the turn back behind its last row.
type serialRows struct {
	driver.Rows
	leave func()
}

// Close implements driver.Rows.
func (r *serialRows) Close() error {
	err := r.Rows.Close()
	r.leave()
	return err
}
