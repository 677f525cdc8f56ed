package task

import (
	"bytes"
	"sync"
	"time"

	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/logfilter"
	"github.com/fairlead/fairlead/runner/mask"
	"github.com/fairlead/fairlead/runner/stepdir"
)

// quietFlush is how long bytes are held back that may begin a secret: a prompt must show
// while the command waits for an answer.
const quietFlush = 500 * time.Millisecond

// partialAfter is how long a line may wait for its end before it is shown without.
const partialAfter = 100 * time.Millisecond

// cellOutput turns what one command prints into frames.
type cellOutput struct {
	cell   Cell
	cutter *cutter
	// lines of stdout, stderr and the runner's own words.
	lines [3]line
	// framed are the offsets of the last frames; guarded by cutter.mu.
	framed Offsets
	// elsewhere is where output goes since the command was handed over; nil: it was not.
	// Written once, under cutter.mu.
	elsewhere *elsewhere

	kept keptOffsets
	// states of the filters of a detached command; nil: it has none, or is none.
	states *filterStates
}

// elsewhere takes the output of a command that was handed over. It has a lock of its
// own, since one whose output waits must not hold up the others of its attempt.
type elsewhere struct {
	mu     sync.Mutex
	keeper *stepdir.Keeper
	// pieces of each stream are what the masker has let go of since the last tell: it does
	// so a few bytes at a time, and each would cost a write to the disk.
	pieces [2][]byte
}

// tell gives what the masker has let go of to the keeper; the caller holds mu.
func (e *elsewhere) tell() (err error) {
	for i, p := range e.pieces {
		e.pieces[i] = p[:0]
		if werr := e.keeper.Write(wire.Stream(i), p); werr != nil {
			err = werr
		}
	}
	return err
}

// keptOffsets tells how far a command's own output lies in synced chunks.
type keptOffsets struct {
	mu     sync.Mutex
	cuts   []cutOffset // in chunks that may not be synced yet
	synced Offsets
}

type cutOffset struct {
	seq     uint64
	offsets Offsets
}

// line is one stream of a cell. Guarded by cutter.mu.
type line struct {
	masker *mask.Writer
	// filter is what the masker's output goes through; nil: the step has no filters.
	filter *logfilter.Stream
	// quiet lets go of what the masker holds back; written is when something came last.
	quiet   *time.Timer
	written time.Time
	rest    []byte // of a line whose end has not come
	since   time.Time
	flags   uint8
	offset  uint64 // where rest ends
	// raw bytes began at base in a file of their own.
	raw  bool
	base uint64
	// again is of a raw stream with filters.
	again refilter
}

// told is the offset behind what the masker tells at this moment; 0: there is none.
func (l *line) told() uint64 {
	if !l.raw {
		return 0
	}
	return l.base + l.masker.Passed()
}

var _ SyncedOutput = (*cellOutput)(nil)

// newCellOutput makes the output of a cell. Filters are for what is written raw: who has
// masked output has filtered it, too.
func newCellOutput(c Cell, cut *cutter, m *mask.Masker, filters *logfilter.Chain) *cellOutput {
	o := &cellOutput{cell: c, cutter: cut}
	for i := range o.lines {
		stream, l := wire.Stream(i), &o.lines[i]
		l.masker = m.MarkedWriter(func(p []byte, masked bool) error {
			switch {
			case l.again.dropping:
				return nil
			case l.filter != nil:
				return l.filter.Write(p, masked)
			}
			return o.pass(stream, p, masked, l.told())
		})
		if filters != nil {
			l.filter = filters.Stream(stream, func(p []byte, masked bool) error {
				if l.raw {
					return o.retell(stream, p, masked)
				}
				if masked {
					l.flags |= wire.FlagMasked
				}
				return o.pass(stream, p, false, 0)
			})
		}
	}
	return o
}

// pass takes what is masked and filtered. The caller holds the lock of where it goes.
func (o *cellOutput) pass(stream wire.Stream, p []byte, masked bool, offset uint64) error {
	if e := o.elsewhere; e != nil && stream <= wire.Stderr {
		e.pieces[stream] = append(e.pieces[stream], p...)
		return nil
	}
	return o.take(stream, p, masked, offset)
}

// data are the values that filters captured; complete behind close.
func (o *cellOutput) data() map[string]string {
	if f := o.lines[wire.Stdout].filter; f != nil {
		return f.Data()
	}
	return nil
}

// lock guards the lines, wherever they go.
func (o *cellOutput) lock() (unlock func()) {
	o.cutter.mu.Lock()
	if o.elsewhere == nil {
		return o.cutter.mu.Unlock
	}
	o.cutter.mu.Unlock()
	o.elsewhere.mu.Lock()
	return o.elsewhere.mu.Unlock
}

// divert sends what comes from now on to keeper. What lacks its line break goes into the
// chunk as it is; what the masker holds back follows behind. The caller holds cutter.mu.
func (o *cellOutput) divert(keeper *stepdir.Keeper) {
	for i := range o.lines {
		if len(o.lines[i].rest) > 0 {
			_ = o.emit(wire.Stream(i), time.Now(), nil, wire.FlagPartial, o.lines[i].offset) // the error stays in cutter.err
		}
	}
	o.elsewhere = &elsewhere{keeper: keeper}
}

// Write implements Output.
func (o *cellOutput) Write(stream wire.Stream, p []byte) error {
	defer o.lock()()
	return o.write(&o.lines[stream], p)
}

// WriteRaw implements Output. Frames bear offsets in the raw file, though masked text
// has another length: the masker says how much of the file each piece stands for. With
// filters they are what refilter says.
func (o *cellOutput) WriteRaw(stream wire.Stream, p []byte, offset uint64) error {
	o.cutter.mu.Lock()
	defer o.cutter.mu.Unlock()
	l := &o.lines[stream]
	if !l.raw {
		l.raw, l.base = true, offset-uint64(len(p))
	}
	if l.filter != nil {
		return o.refilter(stream, p, offset)
	}
	return o.write(l, p)
}

// write masks; the caller holds mu.
func (o *cellOutput) write(l *line, p []byte) error {
	_, err := l.masker.Write(p)
	if l.masker.Holds() {
		l.written = time.Now()
		o.watch(l)
	}
	if err == nil {
		err = o.tell()
	}
	return err
}

// tell gives the keeper what is masked, if the command was handed over.
func (o *cellOutput) tell() error {
	if o.elsewhere == nil {
		return nil
	}
	return o.elsewhere.tell()
}

// watch sees to it that what is held back is let go when nothing more comes. The caller
// holds mu.
func (o *cellOutput) watch(l *line) {
	if l.quiet != nil {
		l.quiet.Reset(o.cutter.quiet)
		return
	}
	l.quiet = time.AfterFunc(o.cutter.quiet, func() {
		defer o.lock()()
		if time.Since(l.written) >= o.cutter.quiet {
			_ = l.masker.Flush() // the error stays in cutter.err, or in the keeper's output
			_ = o.tell()
		}
	})
}

// WriteMasked implements Output. Only one stream at a time has an unfinished line, so
// that the offset of every frame covers all that was printed before it.
func (o *cellOutput) WriteMasked(stream wire.Stream, p []byte, offset uint64) error {
	o.cutter.mu.Lock()
	defer o.cutter.mu.Unlock()
	for i := range o.lines {
		if wire.Stream(i) != stream && len(o.lines[i].rest) > 0 {
			if err := o.emit(wire.Stream(i), time.Now(), nil, wire.FlagPartial, o.lines[i].offset); err != nil {
				return err
			}
		}
	}
	return o.take(stream, p, false, offset)
}

// Synced implements SyncedOutput.
func (o *cellOutput) Synced() Offsets {
	if o.states != nil {
		return o.states.keep(o.cutter)
	}
	o.kept.mu.Lock()
	defer o.kept.mu.Unlock()
	for len(o.kept.cuts) > 0 {
		cut := o.kept.cuts[0]
		if !o.cutter.has(cut.seq + 1) {
			break
		}
		o.kept.synced, o.kept.cuts = cut.offsets, o.kept.cuts[1:]
	}
	return o.kept.synced
}

// cut says that all frames so far are in chunks up to seq.
func (o *cellOutput) cut(seq uint64) {
	if o.states != nil {
		return // the offsets are of what came out, and tell its node nothing
	}
	o.kept.mu.Lock()
	defer o.kept.mu.Unlock()
	o.kept.cuts = append(o.kept.cuts, cutOffset{seq, o.framed})
}

// say writes the runner's own words about the step.
func (o *cellOutput) say(text string) error {
	if err := o.Write(wire.System, []byte(text)); err != nil {
		return err
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		return o.Write(wire.System, []byte("\n"))
	}
	return nil
}

// take splits into lines; offset is where p ends, 0 if it has none. The caller holds mu.
func (o *cellOutput) take(stream wire.Stream, p []byte, masked bool, offset uint64) error {
	l := &o.lines[stream]
	now := time.Now() // of all that came together: asking for each line is no small part of its cost
	for len(p) > 0 {
		room := wire.MaxFrameData - len(l.rest)
		if masked && len(p) > room {
			// Half of a replacement would have an offset in the middle of a secret.
			if err := o.emit(stream, now, nil, wire.FlagPartial, l.offset); err != nil {
				return err
			}
			continue
		}
		if masked {
			l.flags |= wire.FlagMasked
		}
		end := bytes.IndexByte(p, '\n')
		var err error
		switch {
		case end >= 0 && end <= room:
			err = o.emit(stream, now, p[:end], 0, behind(offset, len(p)-end-1))
			p = p[end+1:]
		case len(p) >= room:
			err = o.emit(stream, now, p[:room], wire.FlagPartial, behind(offset, len(p)-room))
			p = p[room:]
		default:
			o.hold(l, now, p, offset)
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func behind(offset uint64, rest int) uint64 {
	if offset == 0 {
		return 0
	}
	return offset - uint64(rest)
}

// hold keeps the start of a line until its end comes or the chunk is cut.
func (o *cellOutput) hold(l *line, now time.Time, p []byte, offset uint64) {
	if len(l.rest) == 0 {
		l.since = now
	}
	l.rest = append(l.rest, p...)
	l.offset = offset
	o.cutter.partial[o] = struct{}{}
	o.cutter.pace.begin(l.since)
}

// emit makes a frame of what was held and tail, which came at a time.
func (o *cellOutput) emit(stream wire.Stream, at time.Time, tail []byte, flags uint8, offset uint64) error {
	l := &o.lines[stream]
	data := tail
	if len(l.rest) > 0 {
		data = append(l.rest, tail...)
	}
	err := o.cutter.add(wire.Frame{
		Node: o.cell.Node, Step: o.cell.Step, Try: o.cell.Try, Stream: stream,
		Flags: flags | l.flags, Time: at.UnixMicro(), Offset: offset, Data: data,
	})
	l.rest, l.flags, l.offset = l.rest[:0], 0, 0
	if offset > 0 && err == nil {
		o.framed[stream] = offset
		o.cutter.offsets[o] = struct{}{}
	}
	o.forget()
	return err
}

// forget takes the cell off those with unfinished lines if it has none.
func (o *cellOutput) forget() {
	for i := range o.lines {
		if len(o.lines[i].rest) > 0 {
			return
		}
	}
	delete(o.cutter.partial, o)
}

// breakLine shows unfinished lines that have waited long enough; the caller holds mu.
func (o *cellOutput) breakLine(now time.Time) {
	for i := range o.lines {
		l := &o.lines[i]
		if len(l.rest) > 0 && now.Sub(l.since) >= partialAfter {
			_ = o.emit(wire.Stream(i), now, nil, wire.FlagPartial, l.offset)
		}
	}
}

// close ends all lines: what was held back by the masker and what lacks a line break.
// Of a command that goes on, the next process of the runner reads again what is held
// back: it may be half of a secret.
func (o *cellOutput) close(over bool) {
	defer o.lock()()
	for i := range o.lines {
		l := &o.lines[i]
		if l.quiet != nil {
			l.quiet.Stop()
		}
		if over || !l.raw {
			_ = l.masker.Flush() // the error stays in cutter.err
			if l.filter != nil {
				_ = l.filter.Close()
			}
		}
		if len(l.rest) > 0 {
			_ = o.emit(wire.Stream(i), time.Now(), nil, wire.FlagPartial, l.offset)
		}
	}
	if o.elsewhere != nil {
		_ = o.tell() // the error stays in the keeper's output
		return
	}
	o.forget()
}
