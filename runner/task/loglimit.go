package task

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

// noteEvery is how much the log limit drops of one attempt before that is noted: less
// than a command on this host may have waiting to be kept, at which it would stop.
const noteEvery = 16 << 20

// logLimit counts what the commands of an attempt print against the job's limit and the
// organisation's quota. The spool says the same after a restart, since what it has was let
// through before. Guarded by cutter.mu.
type logLimit struct {
	*runnerv1.LogLimit
	printed map[uint32]*printed // by node; under 0 where the limit is of all together
	all     printed             // for the quota
	full    bool                // the quota was reached
	open    map[source]bool     // lines whose end has not come
	cut     map[source]bool     // those of them whose rest is dropped
	cells   map[Cell]*runnerv1.Printed
	// dropped is not noted in the log yet.
	dropped map[source]loss
	bytes   int // of dropped
}

// printed is what was let through; told: the log says that no more is.
type printed struct {
	lines, bytes uint64
	told         bool
}

// newLogLimit returns nil where there is no limit.
func newLogLimit(l *runnerv1.LogLimit) *logLimit {
	if l.GetLines() == 0 && l.GetBytes() == 0 && l.GetQuota() == 0 {
		return nil
	}
	limit := &logLimit{LogLimit: l, printed: map[uint32]*printed{}, open: map[source]bool{}, cut: map[source]bool{}, dropped: map[source]loss{}}
	limit.cells = map[Cell]*runnerv1.Printed{}
	return limit.begin()
}

// admit returns how many bytes of a frame's data are let through, and what is dropped of
// it. The runner's own words do not count.
func (l *logLimit) admit(f *wire.Frame) (keep int, lost loss) {
	if f.Stream == wire.System {
		return len(f.Data), loss{}
	}
	p, from := l.of(f.Node), sourceOf(f)
	begins, ends := !l.open[from], f.Flags&wire.FlagPartial == 0
	l.open[from] = !ends
	size := len(f.Data)
	if ends {
		size++
	}
	room := l.room(p, from, begins, size)
	l.cut[from] = room < size && !ends
	if begins && room > 0 {
		p.lines++
	}
	p.bytes += uint64(room)
	l.all.bytes += uint64(room)
	l.add(from.cell, begins && room > 0, room)
	if room == size {
		return len(f.Data), loss{}
	}
	lost = loss{bytes: size - room, offset: f.Offset}
	if begins && room == 0 {
		lost.lines++
	}
	return min(room, len(f.Data)), lost
}

// room is how much of a piece of a line is let through. What the job's limit drops does not
// count against the quota.
func (l *logLimit) room(p *printed, from source, begins bool, size int) int {
	room := l.own(p, from, begins, size)
	if l.GetQuota() == 0 {
		return room
	}
	if left := l.GetQuota() - l.all.bytes; left < uint64(room) {
		l.full = true
		return int(left)
	}
	return room
}

// own is what the job's own limit lets through.
func (l *logLimit) own(p *printed, from source, begins bool, size int) int {
	switch {
	case !begins && l.cut[from]:
		return 0
	case l.GetLines() > 0 && begins && p.lines >= l.GetLines():
		return 0
	case l.GetLines() > 0 || l.GetBytes() == 0:
		return size
	default:
		return int(min(l.GetBytes()-p.bytes, uint64(size)))
	}
}

func (l *logLimit) of(node uint32) *printed {
	if !l.GetPerNode() {
		node = 0
	}
	p := l.printed[node]
	if p == nil {
		p = &printed{}
		l.printed[node] = p
	}
	return p
}

// name is what was reached.
func (l *logLimit) name() string {
	if l.full {
		return "the organisation's quota of " + counted(l.GetQuota(), "byte") + " for one execution"
	}
	return "the job's log limit of " + l.GetText()
}

// halts reports whether what was reached ends the commands.
func (l *logLimit) halts() bool { return l.full || !l.GetTruncate() }

// counter is what was let through of what was reached.
func (l *logLimit) counter(node uint32) *printed {
	if l.full {
		return &l.all
	}
	return l.of(node)
}

// restore counts what the spool has of the attempt. Chunks that retention took are not
// counted: then more is let through than the limit says.
func (c *cutter) restore() error {
	total, _, _, _ := c.disk.ChunkTotals()
	if c.limit == nil || total == 0 {
		return nil
	}
	if c.disk.FirstChunk() > 0 {
		if err := c.disk.Refill(); err != nil {
			return err
		}
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(2*wire.MaxChunkBytes))
	if err != nil {
		return fmt.Errorf("making a decompressor: %w", err)
	}
	defer dec.Close()
	for seq := c.disk.FirstChunk(); seq < total; seq++ {
		chunk, ok, err := c.disk.Chunk(seq)
		if err != nil || !ok {
			return fmt.Errorf("chunk %d cannot be read: %w", seq, err)
		}
		frames, err := dec.DecodeAll(chunk.GetData(), nil)
		if err != nil {
			return fmt.Errorf("decompressing chunk %d: %w", seq, err)
		}
		c.limit.count(frames)
	}
	return nil
}

// count takes stored frames.
func (l *logLimit) count(frames []byte) {
	for len(frames) > 0 {
		f, rest, err := wire.NextFrame(frames)
		if err != nil {
			return
		}
		if f.Flags&wire.FlagTruncated == 0 {
			l.admit(&f)
		}
		frames = rest
	}
}

// bound shortens a frame to what the log limit lets through; some is false when nothing
// of it is left, over true when it was not let through whole. The caller holds mu.
func (c *cutter) bound(f *wire.Frame) (some, over bool) {
	if c.limit == nil {
		return true, false
	}
	keep, lost := c.limit.admit(f)
	if lost.bytes == 0 {
		return true, false
	}
	l := c.limit.dropped[sourceOf(f)]
	l.bytes, l.lines, l.offset = l.bytes+lost.bytes, l.lines+lost.lines, max(l.offset, lost.offset)
	c.limit.dropped[sourceOf(f)] = l
	c.limit.bytes += lost.bytes
	if keep > 0 {
		f.Data, f.Flags = f.Data[:keep], f.Flags|wire.FlagPartial
		f.Offset -= min(f.Offset, uint64(lost.bytes)) // a restarted runner reads the rest again
	}
	return keep > 0, true
}

// exceeded says in the log that no more follows, once for whatever the limit is of, and
// to the attempt. The caller holds mu.
func (c *cutter) exceeded(f wire.Frame) error {
	if c.limit.bytes >= noteEvery {
		if err := c.note(); err != nil {
			return err
		}
	}
	p := c.limit.counter(f.Node)
	if p.told {
		return nil
	}
	p.told = true
	text := sentence(c.limit.name()) + " is reached: what is printed from here on is dropped."
	if c.limit.halts() {
		text = sentence(c.limit.name()) + " is reached: the steps are ended."
		if c.over.CompareAndSwap(nil, c.limit.err()) {
			c.reached()
		}
	}
	if err := c.reserve(len(text)); err != nil {
		return err
	}
	f.Stream, f.Flags, f.Time, f.Offset, f.Data = wire.System, 0, time.Now().UnixMicro(), 0, []byte(text)
	c.append(f)
	return nil
}

// note tells in the log what the limit dropped, behind what it let through. The caller
// holds mu.
func (c *cutter) note() error {
	if c.limit == nil || len(c.limit.dropped) == 0 {
		return c.err
	}
	full := c.disk.Full()
	for from, l := range c.limit.dropped {
		text := c.limit.told(l)
		delete(c.limit.dropped, from)
		if full { // there is no room to tell why
			both := c.dropped[from]
			both.bytes, both.offset = both.bytes+l.bytes, max(both.offset, l.offset)
			c.dropped[from] = both
			continue
		}
		if err := c.reserve(len(text)); err != nil {
			return err
		}
		c.append(from.frame(l.offset, text))
	}
	c.limit.bytes = 0
	return c.cut()
}

// drops reports whether something of the cell was dropped and is not noted. No limit
// drops nothing.
func (l *logLimit) drops(c Cell) bool {
	if l == nil {
		return false
	}
	for stream := wire.Stdout; stream <= wire.Stderr; stream++ {
		if _, ok := l.dropped[source{c, stream}]; ok {
			return true
		}
	}
	return false
}

// told says what was dropped.
func (l *logLimit) told(lost loss) []byte {
	what := counted(uint64(lost.bytes), "byte")
	if lost.lines > 0 {
		what = counted(uint64(lost.lines), "line") + " (" + what + ")"
	}
	return fmt.Appendf(nil, "[%s of output were dropped here: %s was reached]", what, l.name())
}

func counted(n uint64, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// sentence begins one.
func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// limitError is why a command is ended that was not asked to end by anybody.
type limitError struct {
	text      string
	cancelled bool
}

// err is why what was reached ends the commands; it tells people what to do.
func (l *logLimit) err() *limitError {
	if l.full {
		return &limitError{text: sentence(l.name()) + " was reached: the step was ended. Print less, or have an administrator raise the quota (fairlead quota set --execution-log-bytes)."}
	}
	status := ""
	if l.GetStatus() != "" {
		status = " with status " + l.GetStatus()
	}
	return &limitError{
		text:      sentence(l.name()) + " was reached: the step was ended" + status + ". Raise loglimit, or set loglimitAction: truncate.",
		cancelled: l.GetCancelled(),
	}
}

// Error is what people are told.
func (e *limitError) Error() string { return e.text }

// Is: executors end such a command as they do a stopped one.
func (e *limitError) Is(target error) bool { return target == ErrStopped }

// checkLimit halts the attempt when its log limit was reached: that is journalled like
// a stop, so that nothing more starts after a restart either. The caller holds mu.
func (t *Attempt) checkLimit() {
	over := t.cutter.over.Load()
	if t.halted || over == nil || t.state.closed || t.mode != Working && t.mode != Expired {
		return
	}
	t.halted = true
	scope := &runnerv1.StopScope{Asked: true, NoNew: true}
	if !t.state.covers(scope) {
		n, _, err := t.disk.Append(true, record(&runnerv1.Record{Record: &runnerv1.Record_Stopped{Stopped: &runnerv1.Stopped{Scope: scope}}}))
		if err != nil {
			t.log.Error("the journal failed", "error", err)
			t.freeze()
			return
		}
		t.state.addStop(scope)
		t.lastStop = n
	}
	for _, h := range t.hand {
		h.cancel(over)
	}
}

// limited says of a command that the log limit ended how it ended: a person's stop is
// something else.
func limited(ctx context.Context, end End) End {
	limit, is := errors.AsType[*limitError](context.Cause(ctx))
	if !is || end.Outcome != runnerv1.Outcome_OUTCOME_CANCELLED {
		return end
	}
	end.Reason, end.Message = ReasonLogLimit, limit.Error()
	if !limit.cancelled {
		end.Outcome = runnerv1.Outcome_OUTCOME_FAILED
	}
	return end
}
