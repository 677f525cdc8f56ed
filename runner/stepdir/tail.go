package stepdir

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/fairlead/fairlead/proto/wire"
)

// Output takes what a command printed, as task.Output does.
type Output interface {
	WriteMasked(stream wire.Stream, p []byte, offset uint64) error
}

// Tail hands a command's output on from its directory, and gives the keeper room again.
type Tail struct {
	out Output
	// synced tells up to which offset out is kept elsewhere; nil: it cannot tell.
	synced func() uint64
	reader outReader
	log    *slog.Logger

	err      error
	released uint64
	since    time.Time // when that was told
}

// NewTail begins at an offset of the output in dir. Close ends it.
func NewTail(dir string, offset uint64, out Output, synced func() uint64, log *slog.Logger) *Tail {
	return &Tail{
		out: out, synced: synced, log: log, since: time.Now(),
		// An earlier process may have released something last.
		reader: outReader{dir: dir, offset: offset, turned: offset > 0},
	}
}

// What is kept elsewhere is removed before the system writes it to the disk, by default
// after 30 s: that would be for nothing, and what waits for the disk meanwhile would wait
// for it. The segment in which it lies goes with the release behind it.
const (
	releaseBytes = SegmentBytes / 4
	releaseAfter = 10 * time.Second
	// releaseLeast is not worth a file of its own.
	releaseLeast = 256 << 10
)

// releaseEvery is how often segments are looked at that wait to be synced elsewhere.
const releaseEvery = 50 * time.Millisecond

// Follow hands output on until the command's exit is told, which it returns; until the
// keeper is gone: nil; or until ctx ended and stop says that the command is left alone:
// left is true. stop is called once when ctx ends, while output may wait for room.
func (t *Tail) Follow(ctx context.Context, link *Link, news <-chan News, stop func(cause error) (Stop, bool)) (exit json.RawMessage, left bool) {
	leave := make(chan struct{})
	ended := context.AfterFunc(ctx, func() {
		if s, ask := stop(context.Cause(ctx)); ask {
			_ = link.Send(Control{Stop: &s})
			return
		}
		close(leave)
	})
	defer ended()
	tick := time.NewTimer(releaseEvery)
	defer tick.Stop()
	for {
		if !t.owes() {
			tick.Stop() // most commands never print that much, and there may be thousands
		}
		select {
		case m, ok := <-news:
			switch {
			case !ok:
				return nil, false
			case m.Out != nil:
				t.Read()
				t.release(link)
				tick.Reset(releaseEvery)
			case m.Exit != nil:
				t.Read()
				return m.Exit, false
			}
		case <-tick.C:
			t.release(link)
			tick.Reset(releaseEvery)
		case <-leave:
			return nil, true
		}
	}
}

// Read hands on what there is of new output. When it cannot be kept any more, it is
// dropped, so that the command does not hang; Err tells.
func (t *Tail) Read() {
	for {
		stream, p, err := t.reader.next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.err = errors.Join(t.err, err)
			return
		}
		if t.err == nil {
			t.err = t.out.WriteMasked(stream, p, t.reader.offset)
		}
	}
}

// owes reports whether so much was read that the keeper is to be told once it is kept
// elsewhere.
func (t *Tail) owes() bool { return t.worth(t.reader.offset) }

// worth reports whether what is before offset is to be released now.
func (t *Tail) worth(offset uint64) bool {
	n := offset - min(offset, t.released)
	return n >= releaseBytes || n >= releaseLeast && t.synced != nil && time.Since(t.since) >= releaseAfter
}

// release removes segments that are kept elsewhere and tells the keeper, which may wait
// for room. An output that cannot tell how far it is synced keeps one segment's length.
func (t *Tail) release(link *Link) {
	offset := t.reader.offset
	switch {
	case t.err != nil:
	case t.synced != nil:
		offset = min(offset, t.synced())
	default:
		offset -= min(offset, SegmentBytes)
	}
	if !t.worth(offset) {
		return
	}
	t.released, t.since, t.reader.turned = offset, time.Now(), true
	if err := t.reader.drop(offset); err != nil {
		t.log.Warn("output of a step stays until the step is forgotten", "dir", t.reader.dir, "error", err)
	}
	_ = link.Send(Control{Released: &offset})
}

// Err is why output was dropped; nil: none was.
func (t *Tail) Err() error { return t.err }

// Close closes the output's file.
func (t *Tail) Close() { t.reader.close() }
