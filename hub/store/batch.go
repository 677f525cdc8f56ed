package store

import (
	"fmt"
	"strings"
)

// Statements about many rows are written for 1, 2, 4 .. maxPiece rows, so that few
// texts are prepared however many rows come together.
const maxPiece = 128

// inPieces calls f for consecutive parts of n rows whose sizes are powers of two.
func inPieces(n int, f func(from, to int) error) error {
	for from := 0; from < n; {
		size := maxPiece
		for size > n-from {
			size /= 2
		}
		if err := f(from, from+size); err != nil {
			return err
		}
		from += size
	}
	return nil
}

// values writes the rows of a VALUES that is joined, not inserted, with parameters from
// $1 on. types has a letter for each column: t text, i bigint, o boolean, b bytes. The
// first row is cast, since a parameter that stands alone has no type of its own.
func (s *Store) values(types string, rows int) string {
	var b strings.Builder
	n := 1
	for row := range rows {
		if row > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('(')
		for i, t := range types {
			if i > 0 {
				b.WriteString(", ")
			}
			if row > 0 {
				fmt.Fprintf(&b, "$%d", n)
			} else {
				fmt.Fprintf(&b, "CAST($%d AS %s)", n, s.sqlType(t))
			}
			n++
		}
		b.WriteByte(')')
	}
	return b.String()
}

func (s *Store) sqlType(letter rune) string {
	switch letter {
	case 't':
		return "TEXT"
	case 'i':
		return "BIGINT"
	case 'o':
		return "BOOLEAN"
	default:
		if s.dialect.name == "postgres" {
			return "BYTEA"
		}
		return "BLOB"
	}
}

// blob makes an empty byte string NULL, on both databases alike.
func blob(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

// hashInto scans a chain's value; NULL is the value before the first link.
func hashInto(h *[32]byte) *hashScanner { return &hashScanner{h} }

type hashScanner struct{ h *[32]byte }

// Scan implements sql.Scanner.
func (s *hashScanner) Scan(v any) error {
	*s.h = [32]byte{}
	if v == nil {
		return nil
	}
	b, ok := v.([]byte)
	if !ok || len(b) != len(s.h) {
		return fmt.Errorf("a hash column gave a %T of unexpected length", v)
	}
	copy(s.h[:], b)
	return nil
}

// hash is a chain's value as a parameter.
func hash(h [32]byte) any {
	if h == ([32]byte{}) {
		return nil
	}
	return h[:]
}

func scanID(r scanner) (string, error) {
	var id string
	err := r.Scan(&id)
	return id, err
}

// prefixed puts a table's name before each of a list of columns.
func prefixed(table, columns string) string {
	list := strings.Split(columns, ",")
	for i, c := range list {
		list[i] = table + "." + strings.TrimSpace(c)
	}
	return strings.Join(list, ", ")
}
