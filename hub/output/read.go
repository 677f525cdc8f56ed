package output

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/proto/wire"
)

// Query says which lines.
type Query struct {
	OrganisationID string
	ExecutionID    string
	Filter
	// Cursor continues after a line; "" from the beginning.
	Cursor string
	// FirstLine skips so many of the lines that the rest leaves; Lines bounds how many
	// are told (0: all); Tail tells the last so many of what is stored alone (0: off);
	// Back begins so many lines in front of the cursor.
	FirstLine, Lines, Tail, Back int64
	// Follow stays until the execution has ended and everything is told.
	Follow bool
}

// Line is one output frame.
type Line struct {
	// Node, Step and Try as in hub.NodeStep.
	Node, Step, Try int
	Stream          wire.Stream
	// Flags of wire: partial, masked, truncated.
	Flags uint8
	// Time by the runner's clock.
	Time time.Time
	// N numbers the lines of its attempt from 0.
	N    int64
	Data []byte
}

// Batch is some lines that follow one another.
type Batch struct {
	Lines []Line
	// before are the positions ahead of the batch, which is of one attempt and chunk;
	// after[i] is how many lines of the chunk are read after line i.
	before positions
	key    key
	seq    int64
	after  []int64
	end    position
	// textBytes is how large the text of the whole chunk is within its attempt's.
	textBytes int64
}

// Cursor is the position after the last line.
func (b *Batch) Cursor() string { return b.at(b.end) }

// CursorAt is the position after line i.
func (b *Batch) CursorAt(i int) string { return b.at(position{b.seq, b.after[i]}) }

func (b *Batch) at(p position) string {
	all := maps.Clone(b.before)
	all[b.key] = p
	return all.String()
}

// source is the log of one attempt, with what makes its cells those of the execution.
type source struct {
	log       *store.LogState
	nodes     []int
	specSteps []int
	tryBase   int
	// before: chunks that begin at this byte of the attempt's text or later are not
	// wanted.
	before int64
	// place is where archived chunks lie; nil: as far as is known, they are rows.
	place *store.LogArchive
	sieve *sieve
	// heads are chunks from headsFrom up to headsTo without their data.
	heads              []store.ChunkHead
	headsFrom, headsTo int64
}

// node is the position in the execution of one of the attempt's nodes, -1 for none.
func (s *source) node(n int) int {
	if n < 0 || n >= len(s.nodes) {
		return -1
	}
	return s.nodes[n]
}

// reader reads one log for one query.
type reader struct {
	o       *Output
	q       Query
	row     *store.ExecutionRow
	steps   *hub.Workflow
	sources map[string]*source
	order   []*source
	pos     positions
	skip    int64 // lines still to be left out
	left    int64 // lines still to be told; -1: all
	yield   func(*Batch, error) bool
	stopped bool
	// only, if set, is the one cell that is wanted, in place of the query's filter.
	only *hub.NodeStep
	// few: a few lines are wanted, so that few chunks are read at once.
	few bool
	// text is what the lines are made to; nil: lines are told.
	text *text
	// lineRoom and afterRoom are the memory of the last batch that became text, for the
	// next; lines that are told are their reader's.
	lineRoom  []Line
	afterRoom []int64
}

// Read returns the lines of a query in batches, in the order of the workflow; with
// Follow, what comes later in the order of commits. Iteration ends with an error at
// most once.
func (o *Output) Read(ctx context.Context, q Query) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		r := o.reader(q)
		r.yield = yield
		r.run(ctx)
	}
}

func (o *Output) reader(q Query) *reader {
	r := &reader{o: o, q: q, sources: make(map[string]*source), skip: q.FirstLine, left: -1}
	if q.Lines > 0 {
		r.left = q.Lines
	}
	return r
}

// run reads and tells an error last.
func (r *reader) run(ctx context.Context) {
	if err := r.read(ctx); err != nil && !r.stopped {
		r.yield(nil, err)
	}
}

// open finds the execution.
func (r *reader) open(ctx context.Context) error {
	var err error
	if r.pos, err = parseCursor(r.q.Cursor); err != nil {
		return err
	}
	if r.row, err = r.o.st.ExecutionRow(ctx, r.q.OrganisationID, r.q.ExecutionID); err != nil {
		return err
	}
	spec, err := r.o.st.ExecutionSpec(ctx, r.row.ID)
	if err != nil {
		return err
	}
	r.steps = &spec.Definition.Workflow
	return nil
}

func (r *reader) read(ctx context.Context) error {
	if err := r.open(ctx); err != nil {
		return err
	}
	var one *follower
	var events <-chan hub.Event
	if r.q.Follow {
		// Before history is read, so that nothing falls between.
		one = r.o.followers.join(r.row.ID, false)
		defer r.o.followers.leave(r.row.ID, one)
		if r.o.cfg.Follow != nil {
			defer r.o.cfg.Follow(r.row.ID)()
		}
		if r.o.cfg.Events != nil {
			var cancel func()
			events, cancel = r.o.cfg.Events(r.q.OrganisationID, r.row.ID)
			defer cancel()
		}
	}
	if err := r.history(ctx); err != nil || r.stopped {
		return err
	}
	if one == nil {
		return r.still(ctx)
	}
	return r.follow(ctx, one, events)
}

// still is an error when the execution is gone behind a reading: what retention took
// meanwhile lacks in it, and nobody would see that.
func (r *reader) still(ctx context.Context) error {
	_, err := r.o.st.ExecutionRow(ctx, r.q.OrganisationID, r.row.ID)
	return err
}

// history tells what is stored, attempt after attempt.
func (r *reader) history(ctx context.Context) error {
	if err := r.learn(ctx); err != nil {
		return err
	}
	if err := r.begin(ctx); err != nil {
		return err
	}
	if r.text != nil && r.whole() {
		if err := r.seekByte(ctx); err != nil {
			return err
		}
	}
	for _, s := range r.order {
		if err := r.drain(ctx, s); err != nil || r.stopped {
			return err
		}
	}
	return nil
}

// begin moves the positions to where the query begins.
func (r *reader) begin(ctx context.Context) error {
	switch {
	case r.q.Tail > 0:
		from := maps.Clone(r.pos)
		r.toEnd()
		if err := r.back(ctx, r.q.Tail); err != nil {
			return err
		}
		for k, at := range from {
			r.pos[k] = later(at, r.pos[k])
		}
	case r.q.Back > 0:
		return r.back(ctx, r.q.Back)
	case r.plain():
		return r.seek(ctx)
	}
	return nil
}

// plain: no filter, so that line numbers can be looked up.
func (r *reader) plain() bool { return r.q.none() && r.q.Cursor == "" }

// whole: nothing is left out, so that bytes of the text can be looked up.
func (r *reader) whole() bool {
	return r.plain() && r.q.FirstLine == 0 && r.q.Lines == 0 && r.q.Tail == 0
}

// seek turns the number of the first line into positions.
func (r *reader) seek(ctx context.Context) error {
	for _, s := range r.order {
		if r.skip <= 0 {
			return nil
		}
		if r.skip >= s.log.Lines {
			r.skip -= s.log.Lines
			r.pos[keyOf(s.log.AttemptID)] = position{seq: s.log.Next}
			continue
		}
		seq, first, err := r.o.chunkAtLine(ctx, s, r.skip)
		if err != nil {
			return err
		}
		r.pos[keyOf(s.log.AttemptID)] = position{seq, r.skip - first}
		r.skip = 0
	}
	return nil
}

// learn reads which attempts there are, and how far their logs go.
func (r *reader) learn(ctx context.Context) error {
	logs, err := r.o.st.LogsOf(ctx, r.row.ID)
	if err != nil {
		return err
	}
	assignments, err := r.o.st.AssignmentsOf(ctx, []string{r.row.ID})
	if err != nil {
		return err
	}
	byID := make(map[string]*store.AssignmentRow, len(assignments))
	for _, a := range assignments {
		byID[a.ID] = a
	}
	r.order = r.order[:0]
	for _, l := range logs {
		s := r.sources[l.AttemptID]
		if s == nil {
			a := byID[l.AssignmentID]
			if a == nil {
				continue // made after the second query; the next look has it
			}
			s = &source{nodes: a.Nodes, specSteps: r.steps.SpecSteps(a.Steps), tryBase: a.TryBase, before: math.MaxInt64}
			s.sieve = r.q.sieve(s.nodes, s.specSteps, r.steps)
			if r.only != nil {
				s.sieve = s.cell(r.only)
			}
			r.sources[l.AttemptID] = s
		}
		s.log = l
		r.order = append(r.order, s)
	}
	return nil
}

// drain tells the stored chunks of an attempt from its position on.
func (r *reader) drain(ctx context.Context, s *source) error {
	k := keyOf(s.log.AttemptID)
	for r.pos[k].seq < s.log.Next {
		rows, err := r.fetch(ctx, s, r.pos[k].seq)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			// Dropped by retention, or not wanted: nothing of this log is left.
			r.pos[k] = position{seq: s.log.Next}
			return nil
		}
		for i := range rows {
			if err := r.tell(s, &rows[i]); err != nil || r.stopped {
				return err
			}
		}
	}
	return nil
}

// tell tells the lines of one chunk that the query wants.
func (r *reader) tell(s *source, c *store.ChunkRow) error {
	k := keyOf(c.AttemptID)
	at := r.pos[k]
	if c.Seq != at.seq {
		at = position{seq: c.Seq} // after a retention gap, or chunks that are not wanted
	}
	b := &Batch{before: r.pos, key: k, seq: c.Seq, end: position{seq: c.Seq + 1}, textBytes: c.TextBytes}
	b.Lines, b.after = r.lineRoom, r.afterRoom
	if s.sieve.speaks(c.Nodes) {
		data := c.Frames
		if data == nil {
			var err error
			if data, err = frames(c, nil); err != nil {
				return err
			}
		}
		if err := r.lines(s, c, at.skip, data, b); err != nil {
			return err
		}
	}
	next := maps.Clone(r.pos)
	next[k] = b.end
	if len(b.Lines) > 0 && !r.yield(b, nil) {
		r.stopped = true
	}
	if r.text != nil {
		r.lineRoom, r.afterRoom = b.Lines[:0], b.after[:0]
	}
	r.pos = next
	r.stopped = r.stopped || r.left == 0
	return nil
}

// lines decodes a chunk into a batch.
func (r *reader) lines(s *source, c *store.ChunkRow, skip int64, data []byte, b *Batch) error {
	b.Lines = slices.Grow(b.Lines, c.Lines)
	b.after = slices.Grow(b.after, c.Lines)
	for n := int64(0); len(data) > 0; n++ {
		f, rest, err := wire.NextFrame(data)
		if err != nil {
			return fmt.Errorf("reading chunk %d of attempt %s: %w", c.Seq, c.AttemptID, err)
		}
		data = rest
		if n < skip {
			continue
		}
		if !s.sieve.wants(&f) {
			continue
		}
		if r.skip > 0 {
			r.skip--
			continue
		}
		b.Lines = append(b.Lines, s.line(&f, c.FirstLine+n))
		b.after = append(b.after, n+1)
		if r.left > 0 {
			if r.left--; r.left == 0 {
				b.end = position{c.Seq, n + 1}
				return nil
			}
		}
	}
	return nil
}

// line turns a frame into a line of the execution; n is its number.
func (s *source) line(f *wire.Frame, n int64) Line {
	l := Line{Node: s.node(int(f.Node)), Step: -1, Try: int(f.Try) + s.tryBase, Stream: f.Stream, Flags: f.Flags, Time: time.UnixMicro(f.Time).UTC(), N: n, Data: f.Data}
	if int(f.Step) < len(s.specSteps) {
		l.Step = s.specSteps[f.Step]
	}
	return l
}

// follow tells what comes, until the execution has ended and all of it is told.
func (r *reader) follow(ctx context.Context, one *follower, events <-chan hub.Event) error {
	poll := time.NewTicker(r.o.cfg.Poll)
	defer poll.Stop()
	for look := true; ; {
		if look {
			// The row first: an end that it shows has all of its output stored already.
			row, err := r.o.st.ExecutionRow(ctx, r.q.OrganisationID, r.row.ID)
			if err != nil {
				return err
			}
			if err := r.catchUp(ctx); err != nil || r.stopped {
				return err
			}
			if row.Status.Final() {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
			look = true
		case e := <-events:
			look = e.Kind != hub.EventNodeSteps
		case <-one.hint:
			var err error
			if look, err = r.takePushed(one); err != nil || r.stopped {
				return err
			}
		}
	}
}

// catchUp reads what is stored beyond the positions.
func (r *reader) catchUp(ctx context.Context) error {
	if err := r.learn(ctx); err != nil {
		return err
	}
	for _, s := range r.order {
		if err := r.drain(ctx, s); err != nil || r.stopped {
			return err
		}
	}
	return nil
}

// takePushed tells chunks that were pushed and are next; it reports whether the rows
// have to be read because something is missing.
func (r *reader) takePushed(one *follower) (look bool, err error) {
	rows, look := r.o.followers.take(one)
	for i := range rows {
		s := r.sources[rows[i].AttemptID]
		at := r.pos[keyOf(rows[i].AttemptID)]
		switch {
		case s == nil || rows[i].Seq > at.seq:
			look = true
		case rows[i].Seq == at.seq:
			if err := r.tell(s, &rows[i]); err != nil || r.stopped {
				return look, err
			}
		}
	}
	return look, nil
}
