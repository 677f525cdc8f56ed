package output

import (
	"context"
	"fmt"
	"slices"

	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/terminal"
	"github.com/fairlead/fairlead/proto/wire"
)

// A search decompresses chunks and looks through them beside each other, and takes what
// was found in order. Lines that came in pieces are put together there.

// scanned is a chunk that was looked through.
type scanned struct {
	s    *source
	row  store.ChunkRow
	data []byte
	room *room
	// hits are the lines that match by themselves.
	hits []hit
	// pieces: it has lines that do not end in it; cells says whose lines it has, unless
	// they are many.
	pieces bool
	cells  []cell
	err    error
}

// hit is a line of a chunk: its number there, and where its frame is.
type hit struct {
	line int64
	at   int
}

// cell is whose line it is, and on which stream.
type cell struct {
	node, step, try uint32
	stream          wire.Stream
}

func cellOf(f *wire.Frame) cell { return cell{f.Node, f.Step, f.Try, f.Stream} }

// maxCells is how many cells of a chunk are noted; of a chunk with more all may be.
const maxCells = 16

// room is the memory of one chunk in work, used again for the next.
type room struct{ data, small []byte }

// leave gives the memory of a chunk back.
func (c *scanned) leave(o *Output) {
	if c.room != nil {
		o.rooms.Put(c.room)
		c.room, c.data = nil, nil
	}
}

// scan looks through a chunk in a room.
func (c *scanned) scan(m *matcher, in *room) {
	c.room = in
	if in.data, c.err = frames(&c.row, in.data); c.err != nil {
		return
	}
	c.data = in.data
	var spots spots
	spots, in.small = m.spots(c.data, in.small)
	var last cell
	c.err = c.walk(func(line int64, at int, f *wire.Frame, rest int) {
		if !c.s.sieve.wants(f) {
			return
		}
		c.pieces = c.pieces || f.Flags&wire.FlagPartial != 0
		if who := cellOf(f); (who != last || c.cells == nil) && len(c.cells) <= maxCells {
			last = who
			if !slices.Contains(c.cells, who) {
				c.cells = append(c.cells, who)
			}
		}
		if spots.within(at, rest) && m.matches(terminal.Plain(f.Data)) {
			c.hits = append(c.hits, hit{line, at})
		}
	})
}

// walk goes over the frames of a chunk: the number of each, where it is and where it ends.
func (c *scanned) walk(each func(line int64, at int, f *wire.Frame, end int)) error {
	rest := c.data
	var f wire.Frame // one for all: it escapes
	for line := int64(0); len(rest) > 0; line++ {
		at := len(c.data) - len(rest)
		var err error
		if f, rest, err = wire.NextFrame(rest); err != nil {
			return fmt.Errorf("reading chunk %d of attempt %s: %w", c.row.Seq, c.row.AttemptID, err)
		}
		each(line, at, &f, len(c.data)-len(rest))
	}
	return nil
}

// scans reads chunks from the positions on and has them looked through, as many at a time
// as there are turns; it gives them in order.
func (r *reader) scans(ctx context.Context, m *matcher, turns chan struct{}) <-chan chan *scanned {
	order := make(chan chan *scanned, 2*cap(turns))
	from := make([]int64, len(r.order))
	for i, s := range r.order {
		from[i] = r.pos[keyOf(s.log.AttemptID)].seq
	}
	go func() {
		defer close(order)
		for i, s := range r.order {
			if !r.scanSource(ctx, m, s, from[i], turns, order) {
				return
			}
		}
	}()
	return order
}

// scanSource has the chunks of one attempt looked through; it reports whether to go on.
func (r *reader) scanSource(ctx context.Context, m *matcher, s *source, from int64, turns chan struct{}, order chan<- chan *scanned) bool {
	tell := func(one chan *scanned) bool {
		select {
		case order <- one:
			return true
		case <-ctx.Done():
			return false
		}
	}
	// The chunk before the first, too: a line that is to be continued may have begun there.
	for from = max(0, from-1); from < s.log.Next; {
		rows, err := r.fetch(ctx, s, from)
		if err != nil {
			failed := make(chan *scanned, 1)
			failed <- &scanned{err: err}
			tell(failed)
			return false
		}
		if len(rows) == 0 {
			return true
		}
		from = rows[len(rows)-1].Seq + 1
		for i := range rows {
			if !s.sieve.speaks(rows[i].Nodes) {
				continue
			}
			select {
			case turns <- struct{}{}:
			case <-ctx.Done():
				return false
			}
			one := make(chan *scanned, 1)
			go func() {
				defer func() { <-turns }()
				c := &scanned{s: s, row: rows[i]}
				room, _ := r.o.rooms.Get().(*room)
				c.scan(m, room)
				one <- c
			}()
			if !tell(one) {
				return false
			}
		}
	}
	return true
}
