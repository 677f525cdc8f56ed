package store

import (
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"math/bits"
)

// copyKind is what a column holds, on both databases.
type copyKind byte

const (
	copyNumber copyKind = iota + 1
	copyTruth
	copyText
	copyBytes
)

// copyKinds are PostgreSQL's names of the types that our schema has.
var copyKinds = map[string]copyKind{"bigint": copyNumber, "boolean": copyTruth, "text": copyText, "bytea": copyBytes}

// copyRow is where one row is scanned into, from either database: what does not fit the
// column's type is an error there.
type copyRow []any

func (t *copyTable) newRow() copyRow {
	row := make(copyRow, len(t.columns))
	for i, c := range t.columns {
		switch c.kind {
		case copyNumber:
			row[i] = &sql.NullInt64{}
		case copyTruth:
			row[i] = &sql.NullBool{}
		case copyText:
			row[i] = &sql.NullString{}
		case copyBytes:
			row[i] = &[]byte{}
		}
	}
	return row
}

// values are the row's values as PostgreSQL's driver takes them.
func (r copyRow) values() []any {
	out := make([]any, len(r))
	for i, v := range r {
		switch v := v.(type) {
		case *sql.NullInt64:
			if v.Valid {
				out[i] = v.Int64
			}
		case *sql.NullBool:
			if v.Valid {
				out[i] = v.Bool
			}
		case *sql.NullString:
			if v.Valid {
				out[i] = v.String
			}
		case *[]byte:
			if *v != nil {
				out[i] = *v
			}
		}
	}
	return out
}

// encode writes the row so that two rows have the same bytes only if all their values
// are the same: the kind of each value, its length, itself.
func (r copyRow) encode(b []byte) []byte {
	text := func(kind copyKind, v string) {
		b = binary.BigEndian.AppendUint64(append(b, byte(kind)), uint64(len(v)))
		b = append(b, v...)
	}
	for _, v := range r.values() {
		switch v := v.(type) {
		case nil:
			b = append(b, 0)
		case int64:
			b = binary.BigEndian.AppendUint64(append(b, byte(copyNumber)), uint64(v))
		case bool:
			truth := byte(0)
			if v {
				truth = 1
			}
			b = append(b, byte(copyTruth), truth)
		case string:
			text(copyText, v)
		case []byte:
			text(copyBytes, string(v))
		}
	}
	return b
}

// rowReader is rows or pgx.Rows.
type rowReader interface {
	Next() bool
	Scan(dest ...any) error
}

// digest reads all rows of the table, until there is no next one.
func (t *copyTable) digest(rows rowReader, tell func(int64)) (Copied, error) {
	sum := Copied{Table: t.name}
	row := t.newRow()
	var encoded []byte
	for rows.Next() {
		if err := rows.Scan(row...); err != nil {
			return sum, fmt.Errorf("row %d: %w", sum.Rows+1, err)
		}
		encoded = row.encode(encoded[:0])
		sum.Digest = addDigest(sum.Digest, sha256.Sum256(encoded))
		if sum.Rows++; sum.Rows%tellEvery == 0 {
			tell(sum.Rows)
		}
	}
	tell(sum.Rows)
	return sum, nil
}

// addDigest adds two numbers of 256 bits: unlike a chain of hashes, the sum does not
// depend on the order, which the two databases would not agree on.
func addDigest(a, b [32]byte) (sum [32]byte) {
	carry := uint64(0)
	for i := len(sum) - 8; i >= 0; i -= 8 {
		var part uint64
		part, carry = bits.Add64(binary.BigEndian.Uint64(a[i:]), binary.BigEndian.Uint64(b[i:]), carry)
		binary.BigEndian.PutUint64(sum[i:], part)
	}
	return sum
}

// copyRows feeds the rows of the file to COPY; it implements pgx.CopyFromSource.
type copyRows struct {
	rows rows
	row  copyRow
	n    int64
	tell func(int64)
}

func (r *copyRows) Next() bool { return r.rows.Next() }

func (r *copyRows) Values() ([]any, error) {
	if err := r.rows.Scan(r.row...); err != nil {
		return nil, fmt.Errorf("row %d: %w", r.n+1, err)
	}
	if r.n++; r.n%tellEvery == 0 {
		r.tell(r.n)
	}
	return r.row.values(), nil
}

func (r *copyRows) Err() error { return r.rows.Err() }
