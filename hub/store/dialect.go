package store

import (
	"embed"
	"io/fs"

	"github.com/pressly/goose/v3"
)

// dialect is everything that differs between the two databases.
type dialect struct {
	name  string // postgres, sqlite
	goose goose.Dialect
	// migrations are the files of migrations/postgres or migrations/sqlite.
	migrations fs.FS
	// forUpdate and skipLocked end a SELECT that takes row locks; "" on SQLite, where
	// the transaction is alone anyway.
	forUpdate  string
	skipLocked string
	// hasTable asks whether the table $1 is there.
	hasTable string
	// clock is an expression for the database's own time in microseconds; param is a
	// parameter that bears this process's wall time, which is what SQLite gives back.
	clock func(param string) string
	// skipNumbers makes the numbers of executions leap, so that those which a lost
	// history gave are not given again. lockWriters waits for all transactions that
	// acknowledge something, "" where there is only one at a time.
	skipNumbers string
	lockWriters string
	// pipelined: statements of a transaction travel together.
	pipelined bool
	// ownClock: the database has no clock but ours.
	ownClock bool
	// isConflict tells a unique violation, isRetry a transaction that must be run again,
	// isFull one whose disk has no room, isGone any that cannot be reached or takes no
	// writes now, isText a text that cannot be stored.
	isConflict func(error) bool
	isRetry    func(error) bool
	isFull     func(error) bool
	isGone     func(error) bool
	isText     func(error) bool
}

//go:embed migrations
var migrationFiles embed.FS

// migrationsOf returns the migrations of one dialect.
func migrationsOf(name string) fs.FS {
	sub, err := fs.Sub(migrationFiles, "migrations/"+name)
	if err != nil {
		// Only an invalid name can fail, and the names are constants.
		panic(err)
	}
	return sub
}
