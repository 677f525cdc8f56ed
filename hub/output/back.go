package output

import (
	"context"
	"fmt"
	"slices"

	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/proto/wire"
)

// toEnd moves the positions behind everything that is stored.
func (r *reader) toEnd() {
	for _, s := range r.order {
		r.pos[keyOf(s.log.AttemptID)] = position{seq: s.log.Next}
	}
}

// back moves the positions n wanted lines towards the beginning, the last attempt first:
// the lines that a reading then begins with are those n. Chunks before them are not read,
// nor those that hold nothing wanted.
func (r *reader) back(ctx context.Context, n int64) error {
	for _, s := range slices.Backward(r.order) {
		k := keyOf(s.log.AttemptID)
		at := r.pos[k]
		// A cursor may lie far behind the end: a forged one, or one that a log which was lost
		// in part has given. All the way from there would be chunks that nobody has.
		if at.seq > s.log.Next {
			at = position{seq: s.log.Next}
		}
		for n > 0 && (at.seq > 0 || at.skip > 0) {
			var err error
			if at, n, err = r.backInto(ctx, s, at, n); err != nil {
				return err
			}
			r.pos[k] = at
		}
	}
	return nil
}

// backInto goes back by some chunks; it returns where it is and how many lines lack.
func (r *reader) backInto(ctx context.Context, s *source, at position, n int64) (position, int64, error) {
	if s.sieve.silent() {
		return position{}, n, nil
	}
	to := at.seq
	if at.skip > 0 {
		to++
	}
	from := max(0, to-headsAtOnce)
	heads, err := r.o.heads(ctx, s, from, to)
	if err != nil {
		return at, n, err
	}
	for i := range slices.Backward(heads) {
		c := &heads[i]
		if !s.sieve.speaks(c.Nodes) {
			continue
		}
		end := int64(c.Lines)
		if c.Seq == at.seq {
			end = min(end, at.skip)
		}
		skip, found, err := r.lastLines(ctx, s, c, end, n)
		if err != nil {
			return at, n, err
		}
		if n -= found; n == 0 {
			return position{c.Seq, skip}, 0, nil
		}
	}
	return position{seq: from}, n, nil
}

// lastLines finds the last n wanted lines among the first end of a chunk; it returns how
// many lines stand before them, and how many there are.
func (r *reader) lastLines(ctx context.Context, s *source, head *store.ChunkHead, end, n int64) (skip, found int64, err error) {
	if s.sieve.all {
		found = min(end, n)
		return end - found, found, nil
	}
	rows, err := r.o.chunks(ctx, s, head.Seq, 1)
	if err != nil || len(rows) == 0 {
		return 0, 0, err
	}
	data, err := frames(&rows[0], nil)
	if err != nil {
		return 0, 0, err
	}
	var wanted []int64
	for line := int64(0); line < end && len(data) > 0; line++ {
		var f wire.Frame
		if f, data, err = wire.NextFrame(data); err != nil {
			return 0, 0, fmt.Errorf("reading chunk %d of attempt %s: %w", head.Seq, s.log.AttemptID, err)
		}
		if s.sieve.wants(&f) {
			wanted = append(wanted, line)
		}
	}
	if len(wanted) == 0 {
		return 0, 0, nil
	}
	found = min(int64(len(wanted)), n)
	return wanted[int64(len(wanted))-found], found, nil
}
