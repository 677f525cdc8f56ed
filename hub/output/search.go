package output

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/fairlead/fairlead/hub/terminal"
	"github.com/fairlead/fairlead/proto/wire"
)

// Search says what to look for and where.
type Search struct {
	OrganisationID string
	ExecutionID    string
	Filter
	Pattern
	// Cursor continues behind a position; "" from the beginning.
	Cursor string
	// Limit is how many lines are found at most; Context how many lines stand around each.
	Limit, Context int
	// Within is how long one page may take; it ends soon after.
	Within time.Duration
}

// Found is one page of what a search found.
type Found struct {
	Matches []Match
	// Next goes on behind the page; "" when all that is stored was looked through.
	Next string
	// Reached is how many lines of the log lie before Next, of Lines that are stored.
	Reached, Lines int64
}

// Match is a line that matches.
type Match struct {
	AttemptID string
	// Before is the position in front of the line, After the one behind it.
	Before, After string
	// Line with the text that was searched, cut to what stands around the first match: the
	// line, without what a terminal would act on; of a line that came in pieces those up to
	// this one.
	Line Line
	// Cut: the text is not the whole line.
	Cut bool
	// Marks are where in the text the pattern stands.
	Marks [][2]int
	// Lines around it, cut as well, with the position behind each.
	Ahead, Behind []ContextLine
}

// ContextLine is a line that stands near a match.
type ContextLine struct {
	Line
	After string
	Cut   bool
}

const (
	// maxFoundText bounds what is told of one line, maxFoundBytes a whole page, in bytes.
	maxFoundText  = 4 << 10
	maxFoundBytes = 4 << 20
	// searchesAtOnce bounds the searches of one member: each holds some chunks.
	searchesAtOnce = 8
	// maxCarry is how much of a line's earlier pieces is searched with a later one, if the
	// pattern does not say how much it spans.
	maxCarry = 4 << 10
	// maxOpen bounds the lines of an attempt that are to be continued: a runner may begin one
	// in each of as many tries as it likes. Of one beyond them each piece is searched alone.
	maxOpen = 4096
)

// searcher is one search.
type searcher struct {
	r *reader
	q *Search
	m *matcher
	// from are the positions to begin at; what is found before them is not told.
	from positions
	// open are lines that are to be continued, of one attempt.
	open  map[cell]*openLine
	of    *source
	near  *reader // reads what stands around, if that is asked for
	found Found
	bytes int
	// done: the page is full; late: its time is over. It ends once it has moved, else the
	// next one would begin where this one did.
	done, late, moved bool
}

// openLine is the end of a line so far; hit: it was told already.
type openLine struct {
	text []byte
	hit  bool
}

// Search looks for lines. A page ends when it is full, or after some time.
func (o *Output) Search(ctx context.Context, q *Search) (*Found, error) {
	m, err := newMatcher(q.Pattern)
	if err != nil {
		return nil, err
	}
	select {
	case o.searches <- struct{}{}:
		defer func() { <-o.searches }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r := o.reader(Query{OrganisationID: q.OrganisationID, ExecutionID: q.ExecutionID, Filter: q.Filter, Cursor: q.Cursor})
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	if err := r.learn(ctx); err != nil {
		return nil, err
	}
	s := &searcher{r: r, q: q, m: m, from: maps.Clone(r.pos)}
	if q.Context > 0 {
		s.near = r.near() // now, as the scan writes to the sources that it copies
	}
	if err := s.run(ctx); err != nil {
		return nil, err
	}
	return &s.found, nil
}

func (s *searcher) run(ctx context.Context) error {
	// Whoever leaves early must not leave chunks in work behind.
	ctx, cancel := context.WithCancel(ctx)
	late := time.NewTimer(s.q.Within)
	defer late.Stop()
	order := s.r.scans(ctx, s.m, s.r.o.scanning)
	defer func() {
		cancel()
		for range order { // until the reader of chunks has ended
			continue
		}
	}()
	for one := range order {
		c := <-one
		if c.err != nil {
			return c.err
		}
		err := s.take(ctx, c)
		c.leave(s.r.o)
		if err != nil {
			return err
		}
		select {
		case <-late.C:
			s.late = true
		default:
		}
		if s.done || s.late && s.moved {
			s.finish(false)
			return nil
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.finish(true)
	return nil
}

// finish tells where the page ended.
func (s *searcher) finish(all bool) {
	for _, src := range s.r.order {
		s.found.Lines += src.log.Lines
	}
	if all {
		s.found.Reached = s.found.Lines
		return
	}
	s.found.Next = s.r.pos.String()
}

// take tells what was found in a chunk.
func (s *searcher) take(ctx context.Context, c *scanned) error {
	if s.of != c.s {
		s.enter(c.s)
	}
	hits, texts := c.hits, [][]byte(nil)
	if c.pieces || s.continues(c) {
		var err error
		if hits, texts, err = s.join(c); err != nil {
			return err
		}
	}
	k := keyOf(c.row.AttemptID)
	from := s.from[k]
	for i, h := range hits {
		if c.row.Seq < from.seq || c.row.Seq == from.seq && h.line < from.skip {
			continue
		}
		var text []byte
		if texts != nil {
			text = texts[i]
		}
		if err := s.tell(ctx, c, h, text); err != nil {
			return err
		}
		if len(s.found.Matches) >= s.q.Limit || s.bytes >= maxFoundBytes {
			s.done = true
			s.moveTo(c, position{c.row.Seq, h.line + 1}, h.line+1)
			return nil
		}
	}
	if c.row.Seq >= from.seq {
		s.moveTo(c, position{seq: c.row.Seq + 1}, int64(c.row.Lines))
	}
	return nil
}

// enter begins with an attempt: those before it are read.
func (s *searcher) enter(src *source) {
	s.of, s.open = src, make(map[cell]*openLine)
	for _, one := range s.r.order {
		if one == src {
			return
		}
		s.r.pos[keyOf(one.log.AttemptID)] = position{seq: one.log.Next}
	}
}

// moveTo moves the position within an attempt, of whose chunk so many lines are read.
func (s *searcher) moveTo(c *scanned, at position, lines int64) {
	s.moved = true
	s.r.pos[keyOf(c.row.AttemptID)] = at
	s.found.Reached = c.row.FirstLine + lines
	for _, one := range s.r.order {
		if one == c.s {
			return
		}
		s.found.Reached += one.log.Lines
	}
}

// continues reports whether a chunk may go on with lines that are open.
func (s *searcher) continues(c *scanned) bool {
	if len(s.open) == 0 {
		return false
	}
	if len(c.cells) > maxCells {
		return true
	}
	for _, who := range c.cells {
		if s.open[who] != nil {
			return true
		}
	}
	return false
}

// join finds the lines of a chunk that match, with those that came in pieces: one is
// told once, with the piece that completes the first match, and texts has what the pieces
// together say.
func (s *searcher) join(c *scanned) (hits []hit, texts [][]byte, err error) {
	alone := c.hits
	err = c.walk(func(line int64, at int, f *wire.Frame, _ int) {
		if !c.s.sieve.wants(f) {
			return
		}
		byItself := len(alone) > 0 && alone[0].line == line
		if byItself {
			alone = alone[1:]
		}
		who, partial := cellOf(f), f.Flags&wire.FlagPartial != 0
		before := s.open[who]
		text := terminal.Plain(f.Data)
		switch {
		case before == nil:
			if byItself {
				hits, texts = append(hits, hit{line, at}), append(texts, text)
			}
		case !before.hit:
			// Also when the piece matches by itself: ^ may not mean its beginning.
			text = terminal.Plain(append(slices.Clip(before.text), f.Data...))
			if byItself = s.m.matches(text); byItself {
				hits, texts = append(hits, hit{line, at}), append(texts, text)
			}
		default:
			byItself = true
		}
		if !partial {
			delete(s.open, who)
			return
		}
		if before == nil && len(s.open) >= maxOpen {
			return
		}
		s.open[who] = &openLine{text: s.carry(before, f.Data), hit: byItself}
	})
	return hits, texts, err
}

// carry is what of a line's pieces is searched with the next one.
func (s *searcher) carry(before *openLine, data []byte) []byte {
	keep := maxCarry
	if s.m.re == nil {
		keep = len(s.m.literal) + 256 // colours may stand between
	}
	var text []byte
	if before != nil {
		text = before.text
	}
	text = append(slices.Clip(text), data...)
	return bytes.Clone(text[max(0, len(text)-keep):])
}

// tell adds a match to the page; text is what its line says, nil for that of its frame.
func (s *searcher) tell(ctx context.Context, c *scanned, h hit, text []byte) error {
	f, _, err := wire.NextFrame(c.data[h.at:])
	if err != nil {
		return err
	}
	k := keyOf(c.row.AttemptID)
	before := maps.Clone(s.r.pos)
	before[k] = position{c.row.Seq, h.line}
	after := maps.Clone(before)
	after[k] = position{c.row.Seq, h.line + 1}
	m := Match{AttemptID: c.row.AttemptID, Before: before.String(), After: after.String(), Line: c.s.line(&f, c.row.FirstLine+h.line)}
	if text == nil {
		text = terminal.Plain(f.Data)
	}
	s.show(&m, text)
	if s.q.Context > 0 {
		if err := s.around(ctx, &m, before, k); err != nil {
			return err
		}
	}
	s.found.Matches = append(s.found.Matches, m)
	return nil
}

// show cuts the text of a match to what stands around the first place.
func (s *searcher) show(m *Match, text []byte) {
	marks := s.m.findAll(text)
	from := 0
	if len(marks) > 0 {
		from = boundary(text, max(0, min(marks[0][0]-maxFoundText/4, len(text)-maxFoundText)))
	}
	to := boundary(text, min(len(text), from+maxFoundText))
	m.Cut = from > 0 || to < len(text)
	m.Line.Data = bytes.Clone(text[from:to])
	s.bytes += to - from
	for _, mark := range marks {
		a, b := max(mark[0], from), min(mark[1], to)
		if a < b {
			m.Marks = append(m.Marks, [2]int{a - from, b - from})
		}
	}
}

// boundary is the place at or before at where a character begins.
func boundary(text []byte, at int) int {
	for back := 0; at > 0 && at < len(text) && back < utf8.UTFMax && !utf8.RuneStart(text[at]); back++ {
		at--
	}
	return at
}

// around reads what stands around a match.
func (s *searcher) around(ctx context.Context, m *Match, before positions, k key) error {
	s.near.pos, s.near.left, s.near.stopped = maps.Clone(before), int64(2*s.q.Context+1), false
	behind := false
	s.near.yield = func(b *Batch, err error) bool {
		for i := range b.Lines {
			l := &b.Lines[i]
			switch {
			case b.key == k && l.N == m.Line.N:
				behind = true
			case !behind:
				m.Ahead = append(m.Ahead, s.noted(b, i))
			case len(m.Behind) < s.q.Context:
				m.Behind = append(m.Behind, s.noted(b, i))
			}
		}
		return len(m.Behind) < s.q.Context
	}
	if err := s.near.back(ctx, int64(s.q.Context)); err != nil {
		return err
	}
	for _, src := range s.near.order {
		if err := s.near.drain(ctx, src); err != nil || s.near.stopped {
			return err
		}
	}
	return nil
}

// noted counts a line that stands near a match.
func (s *searcher) noted(b *Batch, i int) ContextLine {
	l := contextLine(b, i)
	s.bytes += len(l.Data)
	return l
}

// contextLine is a line of a batch as a page of a search tells it.
func contextLine(b *Batch, i int) ContextLine {
	l := b.Lines[i]
	text := terminal.Plain(l.Data)
	to := boundary(text, min(len(text), maxFoundText))
	l.Data = bytes.Clone(text[:to])
	return ContextLine{Line: l, After: b.CursorAt(i), Cut: to < len(text)}
}

// near is a reader of the same log for a few lines at a time.
func (r *reader) near() *reader {
	n := r.o.reader(Query{Filter: r.q.Filter})
	n.row, n.steps, n.few = r.row, r.steps, true
	for _, s := range r.order {
		own := *s // its heads are not those of the other reader, which works beside this one
		n.order = append(n.order, &own)
	}
	return n
}
