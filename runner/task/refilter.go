package task

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"sync"

	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/disk"
)

const (
	// filterDir is where the states of filters lie, below the data directory.
	filterDir = "filters"
	// stateEvery is how much a detached command prints before what its filters hold is
	// stored anew: so much a restarted runner reads once more, at most.
	stateEvery = 4 << 20
	// maxUnended is how long filters may hold a line back. Its node keeps all of it, and
	// stops the command at four times as much.
	maxUnended = 16 << 20
)

// refilter makes the filters of a detached stream come out the same when a restarted runner
// reads the stream again. What a mask holds back must be on no disk, so it reads again from
// a line's start, with what the filters had captured by then, and drops as many bytes of
// what comes out as the spool has of it. Frames of such a stream bear as their offset how
// much has come out. Guarded by cutter.mu.
type refilter struct {
	read uint64 // of the stream
	told uint64 // has come out of the filters
	skip uint64 // of what comes out next so much is in the spool already
	// point is where the filters last held nothing back, saved where that was last stored.
	point, saved uint64
	// dropping: the line was too long; all is dropped until the filters hold nothing back.
	dropping bool
	open     bool // what came out last lacks its line break
}

// streamState is a point of a stream from which it can be read again.
type streamState struct {
	Read     uint64   `json:"read"`
	Told     uint64   `json:"told"`
	Dropping bool     `json:"dropping,omitempty"`
	Stages   [][]byte `json:"stages,omitempty"`
}

// filterState is stored for each detached command with filters that prints much.
type filterState [2]streamState

// filterStates stores points of one command once the spool has all that came out before
// them.
type filterStates struct {
	fs   disk.FS
	name string

	mu    sync.Mutex
	next  []filterPoint
	saved filterState
}

// filterPoint is a state that counts when the disk has so many chunks.
type filterPoint struct {
	chunks uint64
	stream wire.Stream
	state  streamState
}

func filterFile(cmd string) string { return path.Join(filterDir, cmd) }

// resume goes on where an earlier process of the runner was: told is how much of each
// stream the spool has. It returns from where the streams are to be read.
func (o *cellOutput) resume(told Offsets) (from Offsets, err error) {
	data, err := o.states.fs.ReadFile(filterFile(o.states.name))
	if err == nil {
		err = json.Unmarshal(data, &o.states.saved)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return from, fmt.Errorf("reading what its log filters held: %w", err)
	}
	o.cutter.mu.Lock()
	defer o.cutter.mu.Unlock()
	for i, s := range o.states.saved {
		l := &o.lines[i]
		if err := l.filter.Load(s.Stages); err != nil {
			return from, fmt.Errorf("reading what its log filters held: %w", err)
		}
		l.again = refilter{read: s.Read, told: s.Told, skip: told[i] - min(told[i], s.Told), point: s.Read, saved: s.Read, dropping: s.Dropping}
		l.raw, o.framed[i], from[i] = true, told[i], s.Read
	}
	return from, nil
}

// refilter filters raw bytes that end at an offset of their stream. How they were cut must
// make no difference. The caller holds mu.
func (o *cellOutput) refilter(stream wire.Stream, p []byte, offset uint64) error {
	l := &o.lines[stream]
	f := &l.again
	if start := offset - uint64(len(p)); start != f.read {
		f.read, f.told, f.skip = start, max(f.told, o.framed[stream]), 0
		if err := o.giveUp(stream, "output is missing here: what the log filters held of it is lost"); err != nil {
			return err
		}
	}
	for len(p) > 0 {
		piece := p
		if !f.dropping {
			piece = piece[:min(uint64(len(piece)), f.point+maxUnended-f.read)]
		}
		end := bytes.IndexByte(piece, '\n')
		if end >= 0 {
			piece = piece[:end+1]
		}
		p = p[len(piece):]
		if _, err := l.masker.Write(piece); err != nil {
			return err
		}
		f.read += uint64(len(piece))
		if err := o.passed(stream, end >= 0); err != nil {
			return err
		}
	}
	return nil
}

// passed looks whether a point is reached, or the line is too long. The caller holds mu.
func (o *cellOutput) passed(stream wire.Stream, ended bool) error {
	l := &o.lines[stream]
	f := &l.again
	switch {
	case ended && l.masker.Fresh() && l.filter.Fresh():
		f.point, f.dropping = f.read, false
		o.mark(stream, f.read)
	case f.dropping:
		o.mark(stream, f.read-uint64(l.masker.Held()))
	case f.read-f.point >= maxUnended:
		return o.giveUp(stream, fmt.Sprintf("the rest of this line is left out: log filters hold at most %d MiB of one back", maxUnended>>20))
	}
	return nil
}

// giveUp drops what is held back of a line and what follows of it, and says so.
func (o *cellOutput) giveUp(stream wire.Stream, why string) error {
	f := &o.lines[stream].again
	f.dropping = true
	o.lines[stream].filter.Abandon()
	text := "[" + why + "]\n"
	if f.open {
		text = "\n" + text
	}
	return o.retell(stream, []byte(text), false)
}

// retell takes what came out of the filters of a detached stream. The caller holds mu.
func (o *cellOutput) retell(stream wire.Stream, p []byte, masked bool) error {
	if len(p) == 0 { // a last line without an end, of which nothing is left
		return nil
	}
	l := &o.lines[stream]
	f := &l.again
	f.told += uint64(len(p))
	f.open = p[len(p)-1] != '\n'
	n := min(f.skip, uint64(len(p)))
	f.skip -= n
	if p = p[n:]; len(p) == 0 {
		return nil
	}
	if masked {
		l.flags |= wire.FlagMasked
	}
	return o.take(stream, p, false, f.told)
}

// mark notes a point now and then. While something that was dropped is not noted in the
// log, the spool does not say how much came out. The caller holds mu.
func (o *cellOutput) mark(stream wire.Stream, at uint64) {
	l, c := &o.lines[stream], o.cutter
	f := &l.again
	if at-min(at, f.saved) < stateEvery || f.skip > 0 || len(c.dropped) > 0 || c.limit.drops(o.cell) {
		return
	}
	f.saved = at
	chunks, _ := c.disk.NextChunk()
	if len(c.buf) > 0 {
		chunks++
	}
	state := streamState{Read: at, Told: f.told, Dropping: f.dropping, Stages: l.filter.Save()}
	o.states.mu.Lock()
	defer o.states.mu.Unlock()
	o.states.next = append(o.states.next, filterPoint{chunks, stream, state})
}

// keep stores the newest points that count, and returns up to where the node need keep the
// streams no longer.
func (s *filterStates) keep(c *cutter) Offsets {
	s.mu.Lock()
	defer s.mu.Unlock()
	state, changed := s.saved, false
	for len(s.next) > 0 && c.has(s.next[0].chunks) {
		state[s.next[0].stream], changed = s.next[0].state, true
		s.next = s.next[1:]
	}
	if changed {
		if err := s.write(state); err != nil {
			c.log.Warn("what log filters hold could not be stored; its node keeps the output until it can", "step", s.name, "error", err)
		} else {
			s.saved = state
		}
	}
	return Offsets{s.saved[wire.Stdout].Read, s.saved[wire.Stderr].Read}
}

func (s *filterStates) write(state filterState) error {
	data, err := json.Marshal(state)
	if err == nil {
		err = s.fs.MkdirAll(filterDir)
	}
	if err == nil {
		err = disk.WriteFile(s.fs, filterFile(s.name), data)
	}
	return err
}

// has reports whether the disk has the first n chunks, or has lost the last of them: who has
// the output would wait for that for ever.
func (c *cutter) has(n uint64) bool {
	if n <= c.disk.FirstChunk() {
		return true
	}
	_, ok := c.disk.ChunkSize(n - 1)
	return ok || c.disk.ChunkLost(n-1)
}

// DropFilterStates removes what was stored of the filters of attempts that are over.
func (h *Host) DropFilterStates(over func(attemptID string) bool) error {
	files, err := h.FS.List(filterDir)
	if err != nil {
		return fmt.Errorf("looking for what log filters held: %w", err)
	}
	var errs []error
	for _, f := range files {
		if id, _, _ := strings.Cut(f.Name, "."); over(id) {
			errs = append(errs, h.FS.Remove(filterFile(f.Name)))
		}
	}
	return errors.Join(errs...)
}
