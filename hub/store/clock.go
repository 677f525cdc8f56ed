package store

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// clock turns this process's monotonic time into database time.
type clock struct {
	// start bears a monotonic reading; only distances from it count.
	start time.Time
	// offset in microseconds: database time at start.
	offset atomic.Int64
	// newest that was told, in microseconds: Now never goes back for less than
	// maxStepBack, so that a row is not updated before it was made.
	newest atomic.Int64
}

// maxStepBack is how far the database's clock must have been set back before we
// follow it; less is the noise of the network.
const maxStepBack = time.Second

// now returns database time in microseconds since 1970.
func (c *clock) now() int64 {
	n := c.offset.Load() + time.Since(c.start).Microseconds()
	for {
		newest := c.newest.Load()
		if n <= newest && newest-n < maxStepBack.Microseconds() {
			return newest
		}
		if c.newest.CompareAndSwap(newest, n) {
			return n
		}
	}
}

// learn takes what the database's clock said in microseconds, at a moment between
// before and after.
func (c *clock) learn(said int64, before, after time.Time) {
	middle := before.Add(after.Sub(before) / 2)
	c.offset.Store(said - middle.Sub(c.start).Microseconds())
}

// Now is database time in microseconds' resolution: this process's own monotonic
// clock and the offset that LearnClock found. Inside a transaction it stands still.
func (s *Store) Now() time.Time {
	if s.tx != nil {
		return s.tx.now
	}
	return time.UnixMicro(s.clock.now()).UTC()
}

// LearnClock asks the database for its time, so that Now follows it. Open does it
// once, Heartbeat each time. The clock of SQLite is this process's own: there is no
// other hub to agree with.
func (s *Store) LearnClock(ctx context.Context) error {
	before := time.Now()
	said := before.UnixMicro()
	if s.dialect.ownClock {
		s.clock.learn(said, before, before)
		return nil
	}
	err := s.queryRow(ctx, `SELECT `+s.dialect.clock("$1"), said).Scan(&said)
	if err != nil {
		return fmt.Errorf("asking the database for its time: %w", err)
	}
	s.clock.learn(said, before, time.Now())
	return nil
}

// at turns a time into what columns hold: microseconds, 0 for the zero time.
func at(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// timeInto scans a column of microseconds into t; 0 and NULL give the zero time.
func timeInto(t *time.Time) *timeScanner { return &timeScanner{t} }

type timeScanner struct{ t *time.Time }

// Scan implements sql.Scanner.
func (s *timeScanner) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*s.t = time.Time{}
	case int64:
		if v == 0 {
			*s.t = time.Time{}
			return nil
		}
		*s.t = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("a time column gave a %T", v)
	}
	return nil
}
