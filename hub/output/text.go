package output

import (
	"context"
	"iter"
	"slices"

	"github.com/fairlead/fairlead/proto/wire"
)

// seam knows whether the text so far ends within a line, and whose line that is. The
// size of a text is counted with it when chunks are stored, and the text is made with
// it when they are read: both must break at the same places, else ranges shift.
type seam struct {
	open bool
	node int
}

// breaks reports whether a newline must come before what node prints: another node's
// line is not at its end.
func (s seam) breaks(node int) bool { return s.open && s.node != node }

// line notes what node printed last.
func (s *seam) line(node int, partial bool) { s.open, s.node = partial, node }

// stored is the seam as store.LogState has it, seamOf the reverse.
func (s seam) stored() int {
	if !s.open {
		return 0
	}
	return s.node + 1
}

func seamOf(stored int) seam { return seam{stored > 0, stored - 1} }

// ByteRange is what to read of a text: from byte First up to End, -1 for no end.
type ByteRange struct{ First, End int64 }

// text makes the text of lines, and cuts a range of it.
type text struct {
	want ByteRange
	buf  []byte
	at   int64 // how much of the text lies before the next line
	seam seam
	of   key // the attempt that printed last
	// resumes: the text begins within an attempt, and only the size of the chunk tells
	// whether a newline comes before it.
	resumes bool
}

// ReadText returns the text form of a query: what commands printed, each whole line
// with its newline. The line of a node that is not at its end when another node prints,
// or another attempt, ends there with a newline that nobody printed. The runner's own
// words are left out.
//
// Only a range of it is returned. Where the query leaves nothing out, chunks that lie
// before or behind the range are not read.
func (o *Output) ReadText(ctx context.Context, q Query, want ByteRange) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		r := o.reader(q)
		r.text = &text{want: want}
		r.yield = func(b *Batch, err error) bool {
			if err != nil {
				return yield(nil, err)
			}
			part := r.text.part(b)
			return (len(part) == 0 || yield(part, nil)) && !r.text.done()
		}
		r.run(ctx)
	}
}

func (t *text) done() bool { return t.want.End >= 0 && t.at >= t.want.End }

// part returns what is wanted of the text of a batch, until it is called again.
func (t *text) part(b *Batch) []byte {
	t.buf = t.buf[:0]
	for i := range b.Lines {
		t.add(b.key, &b.Lines[i])
	}
	if t.resumes && int64(len(t.buf)) < b.textBytes {
		t.buf = slices.Insert(t.buf, 0, '\n')
	}
	t.resumes = false
	part := within(t.buf, t.at, t.want)
	t.at += int64(len(t.buf))
	return part
}

func (t *text) add(of key, l *Line) {
	if l.Stream == wire.System {
		return
	}
	if t.seam.breaks(l.Node) || t.seam.open && t.of != of {
		t.buf = append(t.buf, '\n')
	}
	partial := l.Flags&wire.FlagPartial != 0
	t.buf = append(t.buf, l.Data...)
	if !partial {
		t.buf = append(t.buf, '\n')
	}
	t.seam.line(l.Node, partial)
	t.of = of
}

// within cuts what is wanted from b, which begins at byte at.
func within(b []byte, at int64, want ByteRange) []byte {
	if want.End >= 0 && at+int64(len(b)) > want.End {
		b = b[:max(0, want.End-at)]
	}
	if at < want.First {
		b = b[min(int64(len(b)), want.First-at):]
	}
	return b
}

// seekByte moves the positions to the chunk that holds the first byte that is wanted,
// and bounds what is read of each attempt by the end.
func (r *reader) seekByte(ctx context.Context) error {
	t := r.text
	begins, found := int64(0), t.want.First == 0
	var last seam
	for _, s := range r.order {
		if t.want.End >= 0 {
			s.before = t.want.End - begins
		}
		if last.open && s.log.TextBytes > 0 {
			begins++ // the newline between this attempt and the one before
		}
		ends := begins + s.log.TextBytes
		switch {
		case found:
		case t.want.First >= ends:
			t.skip(s, ends)
			r.pos[keyOf(s.log.AttemptID)] = position{seq: s.log.Next}
		default:
			found = true
			if err := r.enter(ctx, s, begins); err != nil {
				return err
			}
		}
		begins = ends
		if s.log.TextBytes > 0 {
			last = seamOf(s.log.TextOpen)
		}
	}
	return nil
}

// skip leaves out the text of an attempt, which ends before byte ends.
func (t *text) skip(s *source, ends int64) {
	t.at = ends
	if s.log.TextBytes == 0 {
		return
	}
	open := seamOf(s.log.TextOpen)
	t.seam, t.of = seam{open.open, s.node(open.node)}, keyOf(s.log.AttemptID)
}

// enter begins at the chunk of an attempt that holds the first byte that is wanted.
func (r *reader) enter(ctx context.Context, s *source, begins int64) error {
	t := r.text
	seq, first, err := r.o.chunkAtByte(ctx, s, max(0, t.want.First-begins))
	if err != nil {
		return err
	}
	r.pos[keyOf(s.log.AttemptID)] = position{seq: seq}
	if first > 0 {
		t.at, t.seam, t.resumes = begins+first, seam{}, true
	}
	return nil
}
