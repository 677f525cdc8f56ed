package stepdir

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fairlead/fairlead/proto/wire"
)

const (
	// SegmentBytes is how much output one file holds at most.
	SegmentBytes = 16 << 20
	// OutLimit is how much may wait to be kept by the runner before the command blocks.
	OutLimit = 64 << 20
	// MaxRecord is how many bytes of output one record holds. A record is a byte of
	// stream, four of length, and the bytes.
	MaxRecord  = 64 << 10
	recordHead = 5
	// fullPause is how long a write waits before it tries a full disk again.
	fullPause = 200 * time.Millisecond
)

func segmentName(offset uint64) string { return fmt.Sprintf("%s%020d", OutPrefix, offset) }

// OutWriter writes a command's output to segments. Offsets count its bytes alone. It is
// safe for concurrent use.
type OutWriter struct {
	dir    string
	notify func()

	mu       sync.Mutex
	room     *sync.Cond
	file     *os.File
	size     int64  // of file, whole records alone
	base     uint64 // where file starts
	offset   uint64
	released uint64 // what the runner keeps elsewhere
	// turning: the next record begins a segment, so that what is kept elsewhere can go.
	turning bool
	closed  bool
	err     error
	scratch []byte
}

// NewOutWriter makes a writer; notify is called behind each write and must not block.
func NewOutWriter(dir string, notify func()) *OutWriter {
	w := &OutWriter{dir: dir, notify: notify}
	w.room = sync.NewCond(&w.mu)
	return w
}

// Write appends bytes of one stream. It blocks at the limit, and while the disk is full:
// so the command's pipe fills and the command waits.
func (w *OutWriter) Write(stream wire.Stream, p []byte) error {
	for len(p) > 0 {
		n := min(len(p), MaxRecord)
		if err := w.record(stream, p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

func (w *OutWriter) record(stream wire.Stream, p []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for w.offset-w.released >= OutLimit && !w.closed {
			w.room.Wait()
		}
		if w.err != nil {
			return w.err
		}
		err := w.append(stream, p)
		if errors.Is(err, syscall.ENOSPC) && !w.closed {
			time.AfterFunc(fullPause, w.room.Broadcast)
			w.room.Wait()
			continue
		}
		if w.err = err; err == nil {
			w.notify()
		}
		return err
	}
}

// append writes a whole record, or nothing of it: the next one must stand where a reader
// looks for it. The caller holds mu.
func (w *OutWriter) append(stream wire.Stream, p []byte) error {
	if w.file == nil || w.offset-w.base >= SegmentBytes || w.turning {
		if err := w.turn(); err != nil {
			return err
		}
	}
	w.scratch = append(w.scratch[:0], byte(stream), 0, 0, 0, 0)
	binary.BigEndian.PutUint32(w.scratch[1:], uint32(len(p)))
	w.scratch = append(w.scratch, p...)
	if _, err := w.file.Write(w.scratch); err != nil {
		if terr := w.file.Truncate(w.size); terr != nil {
			return terr
		}
		return err
	}
	w.size += int64(len(w.scratch))
	w.offset += uint64(len(p))
	return nil
}

// turn begins a segment; without one file is nil. The caller holds mu.
func (w *OutWriter) turn() error {
	if w.file != nil {
		err := w.file.Close()
		w.file = nil
		if err != nil {
			return err
		}
	}
	w.base, w.size, w.turning = w.offset, 0, false
	file, err := os.OpenFile(filepath.Join(w.dir, segmentName(w.base)), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err == nil {
		w.file = file
	}
	return err
}

// Release says that the runner keeps elsewhere what is before offset.
func (w *OutWriter) Release(offset uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.released = max(w.released, offset)
	w.turning = w.turning || w.released > w.base
	w.room.Broadcast()
}

// End is how many bytes of output there are.
func (w *OutWriter) End() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.offset
}

// Close ends writing, also for who waits for room. With sync the disk has the output
// when it returns.
func (w *OutWriter) Close(sync bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.room.Broadcast()
	if w.file == nil {
		return w.err
	}
	if sync && w.err == nil {
		w.err = w.file.Sync()
	}
	err := w.file.Close()
	w.file = nil
	if w.err == nil {
		w.err = err
	}
	if w.err != nil {
		return w.err
	}
	w.err = os.ErrClosed
	return nil
}

// outReader reads what an OutWriter wrote, from an offset on.
type outReader struct {
	dir    string
	offset uint64

	file *os.File
	buf  *bufio.Reader // of file
	base uint64        // where file starts
	at   uint64        // offset of what buf gives next
	// turned: another segment may follow before this one is full.
	turned bool
}

// next returns the next piece, its stream and the offset behind it; io.EOF when no
// whole record follows yet. p holds until the next call.
func (r *outReader) next() (stream wire.Stream, p []byte, err error) {
	for {
		if r.file == nil {
			if err := r.open(); err != nil {
				return 0, nil, err
			}
		}
		stream, p, err = r.record()
		if errors.Is(err, io.EOF) && r.advance() {
			continue
		}
		if err != nil {
			return 0, nil, err
		}
		r.at += uint64(len(p))
		if r.at <= r.offset {
			continue // before where we were asked to begin
		}
		p = p[uint64(len(p))-(r.at-r.offset):]
		r.offset = r.at
		return stream, p, nil
	}
}

// segments are the offsets at which the files in the directory begin.
func (r *outReader) segments() ([]uint64, error) {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, fmt.Errorf("reading a step's output: %w", err)
	}
	var out []uint64
	for _, e := range entries {
		if name, found := strings.CutPrefix(e.Name(), OutPrefix); found {
			if n, err := strconv.ParseUint(name, 10, 64); err == nil {
				out = append(out, n)
			}
		}
	}
	slices.Sort(out)
	return out, nil
}

// open opens the segment that holds offset.
func (r *outReader) open() error {
	starts, err := r.segments()
	if err != nil {
		return err
	}
	i, exact := slices.BinarySearch(starts, r.offset)
	if !exact {
		i--
	}
	if i < 0 {
		return io.EOF
	}
	file, err := os.Open(filepath.Join(r.dir, segmentName(starts[i])))
	if err != nil {
		return err
	}
	r.begin(file, starts[i])
	return nil
}

func (r *outReader) begin(file *os.File, base uint64) {
	r.file, r.base, r.at = file, base, base
	if r.buf == nil {
		r.buf = bufio.NewReaderSize(file, recordHead+MaxRecord)
		return
	}
	r.buf.Reset(file)
}

// advance goes on to the segment behind this one, if there is one. None is begun before
// the last is full, unless something was released: so that nothing is looked for in vain
// each time that all is read.
func (r *outReader) advance() bool {
	if r.at-r.base < SegmentBytes && !r.turned {
		return false
	}
	next, err := os.Open(filepath.Join(r.dir, segmentName(r.at)))
	if err != nil {
		return false
	}
	_ = r.file.Close()
	r.begin(next, r.at)
	r.turned = false
	return true
}

// record reads the next record of the file; one that is not whole yet is left for later.
func (r *outReader) record() (wire.Stream, []byte, error) {
	head, err := r.buf.Peek(recordHead)
	if err != nil {
		return 0, nil, err
	}
	stream, size := wire.Stream(head[0]), binary.BigEndian.Uint32(head[1:])
	if size > MaxRecord || stream > wire.Stderr {
		return 0, nil, errors.New("a step's output file is damaged")
	}
	whole, err := r.buf.Peek(recordHead + int(size))
	if err != nil {
		return 0, nil, err
	}
	_, err = r.buf.Discard(len(whole)) // it stays in the buffer until more is read
	return stream, whole[recordHead:], err
}

func (r *outReader) close() {
	if r.file != nil {
		_ = r.file.Close()
		r.file = nil
	}
}

// drop removes segments that end at or before offset.
func (r *outReader) drop(offset uint64) error {
	starts, err := r.segments()
	if err != nil {
		return err
	}
	for i := 0; i+1 < len(starts) && starts[i+1] <= offset; i++ {
		if err := os.Remove(filepath.Join(r.dir, segmentName(starts[i]))); err != nil {
			return fmt.Errorf("removing a step's output: %w", err)
		}
	}
	return nil
}
