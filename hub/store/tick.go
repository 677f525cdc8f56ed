package store

import (
	"context"
	"fmt"
)

// How long marks are kept, in ticks, which come at most once a second: all of them
// for an hour, every 60th for 30 days.
const (
	keepTicks     = 3600
	keepEvery     = 60
	keepLongTicks = 30 * 24 * 3600
)

// Tick returns the lease clock.
func (s *Store) Tick(ctx context.Context) (int64, error) {
	var tick int64
	if err := s.queryRow(ctx, `SELECT tick FROM lease_clock WHERE singleton = 1`).Scan(&tick); err != nil {
		return 0, fmt.Errorf("reading the lease clock: %w", err)
	}
	return tick, nil
}

// AdvanceTick moves the lease clock on from seen and keeps the new tick's nonce, if
// no other member did before and the database is not being moved; else it changes
// nothing. The caller has seen that value
// for a second of its own monotonic time. It returns the tick that is now.
func (s *Store) AdvanceTick(ctx context.Context, seen int64, nonce []byte) (tick int64, moved bool, err error) {
	err = s.InTx(ctx, func(s *Store) error {
		n, err := s.exec(ctx, `UPDATE lease_clock SET tick = tick + 1 WHERE singleton = 1 AND tick = $1 AND NOT `+planned, seen)
		if err != nil {
			return err
		}
		if moved = n == 1; !moved {
			tick, err = s.Tick(ctx)
			return err
		}
		tick = seen + 1
		_, err = s.exec(ctx, `INSERT INTO tick_history (tick, nonce, ticked_at) VALUES ($1, $2, $3)`, tick, nonce, at(s.Now()))
		return err
	})
	if err != nil {
		return 0, false, fmt.Errorf("advancing the lease clock: %w", err)
	}
	return tick, moved, nil
}

// TickMark is what a tick left for proving later that it was.
type TickMark struct {
	Tick  int64
	Nonce []byte
}

// TickMarks returns the newest mark and the newest that is kept long, which may be
// the same; none before the first tick.
func (s *Store) TickMarks(ctx context.Context) ([]TickMark, error) {
	marks, err := collect(ctx, s, func(r scanner) (m TickMark, err error) {
		return m, r.Scan(&m.Tick, &m.Nonce)
	}, `SELECT tick, nonce FROM tick_history WHERE tick IN (
			(SELECT max(tick) FROM tick_history),
			(SELECT max(tick) FROM tick_history WHERE tick % 60 = 0)) ORDER BY tick DESC`)
	if err != nil {
		return nil, fmt.Errorf("reading the tick marks: %w", err)
	}
	return marks, nil
}

// TickNonce returns the nonce of a tick; nil when the database does not know that
// tick (any more).
func (s *Store) TickNonce(ctx context.Context, tick int64) ([]byte, error) {
	var nonce []byte
	err := s.queryRow(ctx, `SELECT nonce FROM tick_history WHERE tick = $1`, tick).Scan(&nonce)
	if err != nil && !missing(err) {
		return nil, fmt.Errorf("reading tick %d: %w", tick, err)
	}
	return nonce, nil
}

// PruneTickHistory removes marks that are old enough; how many it were.
func (s *Store) PruneTickHistory(ctx context.Context) (int64, error) {
	now, err := s.Tick(ctx)
	if err != nil {
		return 0, err
	}
	n, err := s.exec(ctx, `DELETE FROM tick_history WHERE tick < $1 OR (tick < $2 AND tick % $3 <> 0)`,
		now-keepLongTicks, now-keepTicks, keepEvery)
	if err != nil {
		return 0, fmt.Errorf("removing old ticks: %w", err)
	}
	return n, nil
}
