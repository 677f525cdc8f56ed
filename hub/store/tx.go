package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/fairlead/fairlead/hub"
)

// transaction is what a Store inside InTx has besides.
type transaction struct {
	statements
	now time.Time
}

// maxTries bounds how often a transaction is run again after another one stood in
// its way.
const maxTries = 12

// InTx runs fn in one transaction: committed when fn returns nil, else undone. A
// call inside another joins it. fn may run more than once (a serialization failure,
// a deadlock, a busy file) and so must leave nothing behind but rows; it must not
// wait for anything but the database.
//
// An error of code unavailable may have lost the answer to a commit that happened:
// who repeats must be able to tell by the rows.
func (s *Store) InTx(ctx context.Context, fn func(st *Store) error) error {
	return s.inTx(ctx, false, fn)
}

// InBackgroundTx is InTx for output and cleaning: on SQLite, where one transaction
// runs at a time, those of InTx go before it. Keep it under 1 MiB of rows.
func (s *Store) InBackgroundTx(ctx context.Context, fn func(st *Store) error) error {
	return s.inTx(ctx, true, fn)
}

func (s *Store) inTx(ctx context.Context, background bool, fn func(st *Store) error) error {
	if s.tx != nil {
		return fn(s)
	}
	for try := 1; ; try++ {
		err := s.once(ctx, background, fn)
		if err == nil || try == maxTries || !s.dialect.isRetry(err) || ctx.Err() != nil {
			return s.wrap(err)
		}
		s.counts.retries.Add(1)
		if err := pause(ctx, try); err != nil {
			return s.wrap(err)
		}
	}
}

// pause waits before another try: 1 ms doubling to 256 ms, with full jitter, so that
// those who met do not meet again.
func pause(ctx context.Context, try int) error {
	limit := time.Millisecond << min(try-1, 8)
	return pauseFor(ctx, rand.N(limit)+time.Microsecond) //nolint:gosec // spread, not secrecy
}

// pauseFor waits d, or less if ctx ends before.
func pauseFor(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// once runs fn in a transaction of its own, one time.
func (s *Store) once(ctx context.Context, background bool, fn func(st *Store) error) error {
	leave, err := s.enter(ctx, background)
	if err != nil {
		return err
	}
	defer leave()
	if s.dialect.pipelined {
		conn, err := s.writer.Conn(ctx)
		if err != nil {
			return fmt.Errorf("beginning a transaction: %w", err)
		}
		defer func() { _ = conn.Close() }()
		return conn.Raw(func(driver any) error { return s.within(ctx, &pipeline{conn: connOf(driver)}, fn) })
	}
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	return s.within(ctx, plain{tx}, fn)
}

// within runs fn in a transaction and commits it.
func (s *Store) within(ctx context.Context, tx statements, fn func(st *Store) error) error {
	// After a commit this does nothing; after an error or a panic of fn it undoes all.
	defer tx.rollback(ctx)
	if err := fn(&Store{base: s.base, tx: &transaction{statements: tx, now: s.Now()}}); err != nil {
		return err
	}
	if err := s.hitFault(FaultCommit); err != nil {
		return err
	}
	if err := tx.commit(ctx); err != nil {
		if errors.Is(err, sql.ErrTxDone) && ctx.Err() != nil {
			err = ctx.Err() // database/sql undid it for that, before we got here
		}
		return fmt.Errorf("committing: %w", err)
	}
	s.counts.transactions.Add(1)
	return s.hitFault(FaultCommitted)
}

// enter takes the writer's turn and returns what gives it back.
func (s *Store) enter(ctx context.Context, background bool) (leave func(), err error) {
	if err := s.hitFault(FaultBegin); err != nil {
		return nil, err
	}
	if s.gate == nil {
		return func() {}, nil
	}
	if err := s.gate.enter(ctx, background); err != nil {
		return nil, fmt.Errorf("waiting for the database: %w", err)
	}
	return s.gate.leave, nil
}

func (s *Store) hitFault(point string) error {
	if s.fault == nil {
		return nil
	}
	return s.fault(point)
}

// wrap gives errors of the database a code and a message that may be shown; those
// that have one, and those of the context, stay as they are.
func (s *Store) wrap(err error) error {
	var coded *hub.Error
	switch {
	case err == nil, errors.As(err, &coded), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case s.dialect.isText(err):
		return &hub.Error{Code: hub.CodeInvalid, Message: "A text holds a NUL character or is not UTF-8; remove it and try again.", Cause: err}
	case s.dialect.isFull(err):
		return &hub.Error{Code: hub.CodeUnavailable, Message: "The disk of the database is full: make room on it. What could not be stored waits until then.", Cause: err}
	case s.dialect.isGone(err):
		return &hub.Error{Code: hub.CodeUnavailable, Message: "The database does not answer or takes no changes now; try again in a moment.", Cause: err}
	case s.dialect.isRetry(err):
		return &hub.Error{Code: hub.CodeUnavailable, Message: "The database is too busy with the same rows; try again in a moment.", Cause: err}
	default:
		return err
	}
}
