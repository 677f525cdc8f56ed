package task

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/spool"
)

// When a chunk is cut, counted from its first byte.
const (
	cutQuiet    = 10 * time.Millisecond  // nothing before it is unacknowledged
	cutFollowed = 25 * time.Millisecond  // somebody watches
	cutBusy     = 400 * time.Millisecond // nobody does: one chunk in this time is enough
	// frameRoom is kept free in a chunk for the head of one more frame.
	frameRoom = 64
	// markEvery is how much is dropped before that is noted, also while the spool is
	// full: the place of the output may be given free only once the note is stored.
	markEvery = 4 << 20
)

// cutter gathers the frames of an attempt into chunks. Who prints waits while the
// spool has no room.
type cutter struct {
	disk *spool.Attempt
	zip  *encoders
	log  *slog.Logger
	// ctx ends when this process does: then nobody waits for room any more.
	ctx context.Context //nolint:containedctx // writers have no context of their own
	// quiet is Host.Quiet.
	quiet time.Duration

	mu      sync.Mutex // held over a cut: chunks are numbered in the order they were cut
	buf     []byte
	lines   uint32
	nodes   map[uint32]struct{}
	node    uint32 // of the last line in buf
	partial map[*cellOutput]struct{}
	offsets map[*cellOutput]struct{} // cells with offsets in buf
	err     error                    // nothing more can be stored
	dropped map[source]loss          // for want of room, not noted in the log yet
	losing  bool                     // the last chunk was dropped
	limit   *logLimit                // nil: there is none

	// over is the log limit that was reached and ends the commands, else nil; reached is
	// called when that happens, with mu held, and must not block.
	over    atomic.Pointer[limitError]
	reached func()

	pace pace
}

// source is one stream of a cell.
type source struct {
	cell   Cell
	stream wire.Stream
}

func sourceOf(f *wire.Frame) source {
	return source{Cell{Node: f.Node, Step: f.Step, Try: f.Try}, f.Stream}
}

// frame makes the note of what was dropped of a stream up to an offset.
func (s source) frame(offset uint64, text []byte) wire.Frame {
	return wire.Frame{
		Node: s.cell.Node, Step: s.cell.Step, Try: s.cell.Try, Stream: s.stream,
		Flags: wire.FlagTruncated, Time: time.Now().UnixMicro(), Offset: offset, Data: text,
	}
}

// loss is how much of a stream was dropped, and the offset behind it. Lines are counted
// where the log limit dropped them from their beginning.
type loss struct {
	bytes, lines int
	offset       uint64
}

// pace says when to cut. It has a lock of its own, because an acknowledgement must
// never wait for a writer that waits for room.
type pace struct {
	mu       sync.Mutex
	waiting  bool
	since    time.Time // of the first waiting byte
	last     time.Time // when the last one was cut
	followed bool
	quiet    bool // all cut before is acknowledged
	timer    *time.Timer
	expire   func()
}

// newCutter makes the cutter of an attempt; reached is called once the log limit is.
func newCutter(ctx context.Context, a *spool.Attempt, zip *encoders, log *slog.Logger, reached func()) *cutter {
	total, _, acked, _ := a.ChunkTotals()
	c := &cutter{ctx: ctx, disk: a, zip: zip, log: log, limit: newLogLimit(a.Spec().GetLogLimit()), reached: reached, nodes: map[uint32]struct{}{}, partial: map[*cellOutput]struct{}{}, offsets: map[*cellOutput]struct{}{}, dropped: map[source]loss{}}
	c.pace.quiet = total == acked
	c.pace.expire = c.expire
	if err := c.restore(); err != nil {
		log.Warn("what was printed before this process began is not all counted for the log limit", "attempt", a.ID(), "error", err)
	}
	return c
}

// encoder makes the compressor that an attempt's chunks go through. One at a time and
// a small window keep an attempt's memory small.
func encoder() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(wire.MaxChunkBytes), zstd.WithLowerEncoderMem(true))
}

// encoders are shared by all attempts of a Host: each costs some 300 KiB while in use.
type encoders struct{ pool sync.Pool }

// pooled is a compressor and the room that it writes to.
type pooled struct {
	*zstd.Encoder
	room []byte
}

func (e *encoders) compress(data []byte) ([]byte, error) {
	enc, ok := e.pool.Get().(*pooled)
	if !ok {
		made, err := encoder()
		if err != nil {
			return nil, fmt.Errorf("making a compressor: %w", err)
		}
		enc = &pooled{Encoder: made}
	}
	enc.room = enc.EncodeAll(data, enc.room[:0])
	// A chunk lies in memory until the hub has it: as long as it is, not as it might be.
	out := bytes.Clone(enc.room)
	e.pool.Put(enc)
	return out, nil
}

// add appends a frame; the caller holds mu. It blocks when a chunk is full and the
// spool is, too.
func (c *cutter) add(f wire.Frame) error {
	if c.err != nil {
		return c.err
	}
	some, over := c.bound(&f)
	if some {
		if err := c.reserve(len(f.Data)); err != nil {
			return err
		}
		c.append(f)
	}
	if over {
		return c.exceeded(f)
	}
	return nil
}

// reserve cuts the chunk if a frame with so much data does not fit into it any more; the
// caller holds mu.
func (c *cutter) reserve(data int) error {
	if len(c.buf)+data+frameRoom > wire.MaxChunkBytes {
		return c.cut()
	}
	return nil
}

// append puts a frame into the chunk, which has room for it; the caller holds mu.
func (c *cutter) append(f wire.Frame) {
	if len(c.buf) == 0 {
		c.pace.begin(time.Now())
	}
	c.buf = wire.AppendFrame(c.buf, f)
	if c.lines == 0 || f.Node != c.node {
		c.node = f.Node
		c.nodes[f.Node] = struct{}{}
	}
	c.lines++
}

// begin says that bytes wait since now.
func (p *pace) begin(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.waiting {
		p.waiting, p.since = true, now
		p.arm()
	}
}

// arm sets the timer for what waits; the caller holds mu.
func (p *pace) arm() {
	delay := cutBusy
	switch {
	case p.quiet && (p.followed || p.since.Sub(p.last) >= cutBusy):
		delay = cutQuiet
	case p.followed:
		delay = cutFollowed
	}
	delay = max(0, delay-time.Since(p.since))
	if p.timer == nil {
		p.timer = time.AfterFunc(delay, p.expire)
		return
	}
	p.timer.Reset(delay)
}

// again begins anew for a line that still lacks its end.
func (p *pace) again(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting, p.since = true, now
	p.arm()
}

// end says that nothing waits any more.
func (p *pace) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting, p.quiet, p.last = false, false, time.Now()
	if p.timer != nil {
		p.timer.Stop()
	}
}

// told takes what an acknowledgement says.
func (p *pace) told(quiet, followed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if quiet == p.quiet && followed == p.followed {
		return
	}
	p.quiet, p.followed = quiet, followed
	if p.waiting {
		p.arm()
	}
}

// expire cuts because of time: lines that lack their end go along as they are.
func (c *cutter) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for o := range c.partial {
		o.breakLine(time.Now())
	}
	_ = c.cut() // kept in err
	if len(c.partial) > 0 && c.err == nil {
		c.pace.again(time.Now())
	}
}

// cut makes a chunk of what waits; the caller holds mu. While the spool is full and the
// runner is to drop output then, it is dropped instead.
func (c *cutter) cut() error {
	if c.err != nil || len(c.buf) == 0 && len(c.dropped) == 0 {
		return c.err
	}
	if c.disk.Full() {
		c.drop()
		if c.unmarked() >= markEvery {
			return c.mark()
		}
		c.pace.again(time.Now())
		return nil
	}
	c.losing = false
	if err := c.mark(); err != nil || len(c.buf) == 0 {
		return err
	}
	nodes := make([]uint32, 0, len(c.nodes))
	for n := range c.nodes {
		nodes = append(nodes, n)
	}
	seq, err := c.store(c.buf, c.lines, nodes, false)
	if err != nil {
		return err
	}
	c.begin()
	c.keep(seq)
	return nil
}

// begin empties the chunk.
func (c *cutter) begin() {
	c.buf, c.lines = c.buf[:0], 0
	clear(c.nodes)
	c.rest()
}

// rest says that nothing waits to be cut any more but lines without an end.
func (c *cutter) rest() {
	c.pace.end()
	if len(c.partial) > 0 {
		c.pace.again(time.Now())
	}
}

// keep says that all output so far is in chunks up to seq, or noted there as dropped.
// Where the log limit dropped something that is not noted, who has the output keeps it,
// for a restarted runner to count it again.
func (c *cutter) keep(seq uint64) {
	for o := range c.offsets {
		if !c.limit.drops(o.cell) {
			o.cut(seq)
			delete(c.offsets, o)
		}
	}
}

// store writes frames as the next chunk. over: also where the spool has no room.
func (c *cutter) store(frames []byte, lines uint32, nodes []uint32, over bool) (seq uint64, err error) {
	seq, before := c.disk.NextChunk()
	data, err := c.zip.compress(frames)
	if err != nil {
		return 0, c.fail(err)
	}
	hash := wire.NextChunkHash(before, seq, frames)
	slices.Sort(nodes)
	nodes = slices.Compact(nodes)
	chunk := &runnerv1.Chunk{
		Fence: c.disk.Fence(), Seq: seq, Lines: lines, Bytes: uint32(len(frames)),
		Hash: hash[:], Data: data, Nodes: nodes,
	}
	if _, err := c.disk.AppendChunk(c.ctx, chunk, over); err != nil {
		return 0, c.fail(err)
	}
	return seq, nil
}

// drop counts what waits instead of storing it.
func (c *cutter) drop() {
	if !c.losing {
		c.losing = true
		c.log.Warn("the spool is full: output is dropped", "attempt", c.disk.ID())
	}
	for b := c.buf; len(b) > 0; {
		f, rest, err := wire.NextFrame(b)
		if err != nil {
			break // it is our own
		}
		at := sourceOf(&f)
		l := c.dropped[at]
		l.bytes += len(f.Data)
		if f.Flags&wire.FlagPartial == 0 {
			l.bytes++
		}
		l.offset = max(l.offset, f.Offset)
		c.dropped[at] = l
		b = rest
	}
	c.begin()
}

// unmarked is how many dropped bytes are not noted.
func (c *cutter) unmarked() (n int) {
	for _, l := range c.dropped {
		n += l.bytes
	}
	return n
}

// mark notes in the log what was dropped, also where the spool has no room: it takes
// next to none. Each note bears the offset behind what it stands for, so that a restarted
// runner goes on there, and whoever has the output gives its place free.
func (c *cutter) mark() error {
	for len(c.dropped) > 0 {
		frames, nodes := c.notes()
		seq, err := c.store(frames, uint32(len(nodes)), nodes, true)
		if err != nil {
			return err
		}
		if len(c.dropped) == 0 && len(c.buf) == 0 {
			c.keep(seq)
			c.rest()
		}
	}
	return nil
}

// notes takes as many losses as one chunk can tell; nodes has that of each.
func (c *cutter) notes() (frames []byte, nodes []uint32) {
	for from, l := range c.dropped {
		text := fmt.Appendf(nil, "[%d bytes of output were dropped here: the runner's spool was full]", l.bytes)
		if len(frames)+len(text)+frameRoom > wire.MaxChunkBytes {
			break
		}
		frames = wire.AppendFrame(frames, from.frame(l.offset, text))
		nodes = append(nodes, from.cell.Node)
		delete(c.dropped, from)
	}
	return frames, nodes
}

func (c *cutter) fail(err error) error {
	c.err = fmt.Errorf("storing output: %w", err)
	if c.ctx.Err() == nil {
		c.log.Error("output cannot be stored", "attempt", c.disk.ID(), "error", err)
	}
	return c.err
}

// flush cuts what waits, or notes that it was dropped, now.
func (c *cutter) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.note() == nil && c.cut() == nil { // else it is kept in err
		_ = c.mark()
	}
}

// empty reports whether nothing waits to be cut.
func (c *cutter) empty() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.buf) == 0 && len(c.dropped) == 0 && (c.limit == nil || len(c.limit.dropped) == 0)
}

// broken reports whether nothing more can be stored.
func (c *cutter) broken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil
}

// acked says that the hub has the chunks before next, and whether somebody watches.
func (c *cutter) acked(next uint64, followed bool) {
	total, _, _, _ := c.disk.ChunkTotals()
	c.pace.told(next >= total, followed)
}
