package store

import (
	"encoding/base64"
	"encoding/json"

	"github.com/fairlead/fairlead/hub"
)

// Limits of a list.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// Page asks for a part of a list. The zero value asks for the beginning.
type Page struct {
	// Limit is how many at most; 0 means 100, more than 1,000 means 1,000.
	Limit int
	// Cursor is what the page before gave as next, "" for the first.
	Cursor string
}

func (p Page) limit() int {
	switch {
	case p.Limit <= 0:
		return defaultLimit
	case p.Limit > maxLimit:
		return maxLimit
	default:
		return p.Limit
	}
}

// encodeCursor makes an opaque cursor from the last row's sort key.
func encodeCursor(key ...string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(asJSON(key)))
}

// decodeCursor reverses encodeCursor; want is the number of its parts. Without a
// cursor all parts are "".
func decodeCursor(cursor string, want int) ([]string, error) {
	if cursor == "" {
		return make([]string, want), nil
	}
	var key []string
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		err = json.Unmarshal(b, &key)
	}
	if err != nil || len(key) != want {
		return nil, BadCursor(err)
	}
	return key, nil
}

// BadCursor is the error for a cursor that no list gave.
func BadCursor(cause error) error {
	const message = "The cursor is not one that this list gave; begin again without one."
	return &hub.Error{Code: hub.CodeInvalid, Message: message, Fields: []hub.FieldError{{Path: "cursor", Message: message}}, Cause: cause}
}

// cut makes a page of rows that were read with one more than the limit, and the
// cursor of what follows: "" at the end.
func cut[T any](rows []T, limit int, key func(T) []string) ([]T, string) {
	if len(rows) <= limit {
		return rows, ""
	}
	return rows[:limit], encodeCursor(key(rows[limit-1])...)
}
