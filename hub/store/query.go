package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// errText is a text that PostgreSQL could not store; SQLite is held to the same.
var errText = errors.New("text holds a NUL character or is not UTF-8")

// scanner is our row, or one of rows.
type scanner interface{ Scan(dest ...any) error }

// exec runs a statement that changes rows and returns how many: inside the
// transaction if there is one, else as a commit of its own.
func (s *Store) exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := checkText(args); err != nil {
		return 0, s.wrap(err)
	}
	if s.tx != nil {
		return s.tx.exec(ctx, query, args)
	}
	n, err := s.execAlone(ctx, query, args)
	for try := 1; err != nil && try < maxTries && s.dialect.isRetry(err) && ctx.Err() == nil; try++ {
		s.counts.retries.Add(1)
		if e := pause(ctx, try); e != nil {
			break
		}
		n, err = s.execAlone(ctx, query, args)
	}
	return n, s.wrap(err)
}

// later is exec for a statement whose answer nobody waits for: inside a transaction its
// error may come with any statement that follows, or with the commit.
func (s *Store) later(ctx context.Context, query string, args ...any) error {
	if s.tx == nil {
		_, err := s.exec(ctx, query, args...)
		return err
	}
	if err := checkText(args); err != nil {
		return s.wrap(err)
	}
	return s.tx.later(ctx, nil, query, args)
}

// flush has run what was to be run later.
func (s *Store) flush(ctx context.Context) error {
	if s.tx == nil {
		return nil
	}
	return s.tx.flush(ctx)
}

func (s *Store) execAlone(ctx context.Context, query string, args []any) (int64, error) {
	leave, err := s.enter(ctx, false)
	if err != nil {
		return 0, err
	}
	defer leave()
	if err := s.hitFault(FaultCommit); err != nil {
		return 0, err
	}
	n, err := affected(s.writer.ExecContext(ctx, query, args...))
	if err != nil {
		return 0, err
	}
	if n > 0 {
		s.counts.statements.Add(1)
	}
	return n, s.hitFault(FaultCommitted)
}

func affected(r sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// query reads rows. A statement that writes and returns rows must run inside InTx:
// outside, SQLite gives it a connection that only reads. The caller closes the rows;
// collect does that by itself.
func (s *Store) query(ctx context.Context, query string, args ...any) (rows, error) {
	if err := checkText(args); err != nil {
		return nil, s.wrap(err)
	}
	if s.tx != nil {
		// The raw error decides about another try.
		return s.tx.query(ctx, query, args)
	}
	r, err := s.reader.QueryContext(ctx, query, args...) //nolint:rowserrcheck // who reads them does
	if err != nil {
		return nil, s.wrap(err)
	}
	return r, nil
}

// row is one row, or why there is none.
type row struct {
	s    *Store
	rows rows
	err  error
}

// Scan reads the row: sql.ErrNoRows when there is none.
func (r *row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	err := readAll(r.rows, func(rows rows) error {
		if !rows.Next() {
			return sql.ErrNoRows
		}
		return rows.Scan(dest...)
	})
	if err == nil || r.s.tx != nil {
		// Inside a transaction the raw error decides about another try.
		return err
	}
	return r.s.wrap(err)
}

// queryRow reads at most one row; the rule of query holds.
func (s *Store) queryRow(ctx context.Context, query string, args ...any) *row {
	rows, err := s.query(ctx, query, args...)
	return &row{s: s, rows: rows, err: err}
}

// collect reads all rows of a query with scan.
func collect[T any](ctx context.Context, s *Store, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := s.query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	var all []T
	if err := readAll(rows, into(&all, scan)); err != nil {
		if s.tx == nil {
			err = s.wrap(err)
		}
		return nil, err
	}
	return all, nil
}

// collectLater is collect into all, which inside a transaction holds the rows once the
// store was flushed.
func collectLater[T any](ctx context.Context, s *Store, all *[]T, scan func(scanner) (T, error), query string, args ...any) error {
	if s.tx == nil {
		part, err := collect(ctx, s, scan, query, args...)
		*all = append(*all, part...)
		return err
	}
	if err := checkText(args); err != nil {
		return s.wrap(err)
	}
	return s.tx.later(ctx, into(all, scan), query, args)
}

// into appends what scan makes of rows.
func into[T any](all *[]T, scan func(scanner) (T, error)) func(rows) error {
	return func(rows rows) error {
		for rows.Next() {
			v, err := scan(rows)
			if err != nil {
				return err
			}
			*all = append(*all, v)
		}
		return nil
	}
}

// before scans columns that stand before those of another scan.
type before struct {
	scanner
	columns []any
}

// Scan implements scanner.
func (b before) Scan(dest ...any) error { return b.scanner.Scan(append(b.columns, dest...)...) }

// columnsOf notes where a scan wants its columns.
type columnsOf []any

// Scan implements scanner.
func (c *columnsOf) Scan(dest ...any) error {
	*c = append(*c, dest...)
	return nil
}

// beside scans v, by a scan that does nothing behind its Scan, from the columns that stand
// before those of another scan of the same row.
func beside[T any](r scanner, v *T, scan func(scanner) (T, error)) before {
	var columns columnsOf
	*v, _ = scan(&columns) // which never fails
	return before{r, columns}
}

// missing reports whether err says that there was no row.
func missing(err error) bool { return errors.Is(err, sql.ErrNoRows) }

// checkText refuses texts that PostgreSQL cannot store, so that both databases give
// the same answer, before anything is sent.
func checkText(args []any) error {
	for _, a := range args {
		t, ok := a.(string)
		if ok && (!utf8.ValidString(t) || strings.IndexByte(t, 0) >= 0) {
			return errText
		}
	}
	return nil
}

// params writes n parameters from $first on: "$3, $4, $5".
func params(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", first+i)
	}
	return b.String()
}

// tuples writes rows of parameters from $first on, for a VALUES of many rows:
// "($1, $2), ($3, $4)". A statement takes at most 32,766 of them (SQLite), so callers
// insert in pieces.
func tuples(first, rows, columns int) string {
	var b strings.Builder
	for i := range rows {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("(" + params(first+i*columns, columns) + ")")
	}
	return b.String()
}

// beginsWith is the condition that column begins with parameter $n; LIKE would take
// upper for lower case on SQLite.
func beginsWith(column string, n int) string {
	return fmt.Sprintf("substr(%s, 1, length(CAST($%d AS TEXT))) = CAST($%d AS TEXT)", column, n, n)
}

// anys turns a list into arguments.
func anys[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}

// asJSON is v as the text of a JSON column. Only plain data is given to it, which
// always can be written.
func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("writing %T as JSON: %v", v, err))
	}
	return string(b)
}

// jsonInto scans a JSON column into v, a pointer.
func jsonInto(v any) *jsonScanner { return &jsonScanner{v} }

type jsonScanner struct{ v any }

// Scan implements sql.Scanner.
func (s *jsonScanner) Scan(v any) error {
	var b []byte
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		b = []byte(v)
	case []byte:
		b = v
	default:
		return fmt.Errorf("a JSON column gave a %T", v)
	}
	if len(b) == 0 {
		return nil
	}
	if err := json.Unmarshal(b, s.v); err != nil {
		return fmt.Errorf("reading a JSON column: %w", err)
	}
	return nil
}
