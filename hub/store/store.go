package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
)

// Points of a transaction at which Config.Fault is asked.
const (
	FaultBegin     = "begin"     // nothing was sent to the database
	FaultCommit    = "commit"    // all is written, nothing is committed
	FaultCommitted = "committed" // it is committed; an error here is an answer that got lost
)

// Config says where the database is. Exactly one of URL, Path and Serial is set.
type Config struct {
	// URL of a PostgreSQL database, "postgres://user@host/name".
	URL string
	// Path of an SQLite file; it is made when absent, its directory is not.
	Path string
	// Serial connects to a database of SQLite's dialect that is open already and takes
	// one transaction at a time; whoever opened it closes it. Simulations share one
	// between the hubs of a history, and keep it for the next.
	Serial driver.Connector
	// Name is what others call this process when they wait for it: the member's name.
	Name string
	// Log takes what happens beside the answers; nil discards it.
	Log *slog.Logger
	// PoolSize bounds the connections to PostgreSQL; 0 means 16.
	PoolSize int
	// Lossless: of two servers of one system the later one has all that the earlier one
	// committed (db.failover: lossless), so another timeline holds nothing.
	Lossless bool
	// NoSync lets SQLite answer before the disk has it. For tests only: a power cut
	// loses what was promised.
	NoSync bool
	// Fault, if set, is called at the Fault* points of every write and may fail it:
	// tests cut transactions with it. It may be called by many goroutines at once.
	Fault func(point string) error
}

// Store is the database, or inside InTx one transaction of it. The zero value is of
// no use; Open makes one. All methods may be called by many goroutines at once,
// except inside a transaction, which belongs to one.
type Store struct {
	*base
	tx *transaction // nil outside
}

// base is what a store and its transactions share.
type base struct {
	config  Config
	dialect *dialect
	writer  *sql.DB
	reader  *sql.DB // the same as writer on PostgreSQL
	gate    *gate   // nil on PostgreSQL
	log     *slog.Logger
	fault   func(string) error
	lock    *os.File // of the SQLite file
	clock   clock
	counts  counters
	seen    atomic.Pointer[seenTick]
	quiet   sync.Once // what is said once about the server
}

type counters struct {
	transactions atomic.Int64
	statements   atomic.Int64
	retries      atomic.Int64
}

// Stats counts since Open.
type Stats struct {
	// Transactions that were committed by InTx.
	Transactions int64
	// Statements that changed rows outside of InTx, each a commit of its own.
	Statements int64
	// Retries of transactions that another one had stood in the way of.
	Retries int64
	// Connections open now.
	Connections int
}

// Stats returns the counters.
func (s *Store) Stats() Stats {
	n := s.writer.Stats().OpenConnections
	if s.reader != s.writer {
		n += s.reader.Stats().OpenConnections
	}
	return Stats{
		Transactions: s.counts.transactions.Load(),
		Statements:   s.counts.statements.Load(),
		Retries:      s.counts.retries.Load(),
		Connections:  n,
	}
}

// Dialect is "postgres" or "sqlite".
func (s *Store) Dialect() string { return s.dialect.name }

// NewID makes an id: a UUID of version 7, so that ids sort by the time they were
// made at.
func NewID() string {
	// NewV7 fails only when the system has no randomness left, which no caller could
	// answer.
	return uuid.Must(uuid.NewV7()).String()
}

// Ping asks the database for an answer: nil when it can be written to.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.writer.PingContext(ctx); err != nil {
		return s.wrap(fmt.Errorf("asking the database for an answer: %w", err))
	}
	return nil
}

// Close ends all connections and lets go of the SQLite file. Transactions must have
// ended.
func (s *Store) Close() error {
	err := s.reader.Close()
	if s.writer != s.reader {
		// The writer last: SQLite folds its log into the file as the last one leaves.
		if e := s.writer.Close(); e != nil {
			err = e
		}
	}
	if s.lock != nil {
		if e := s.lock.Close(); e != nil {
			err = e
		}
	}
	return err
}
