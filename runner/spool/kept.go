package spool

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
)

// Kept returns the settled attempts that are still on disk and were granted or given
// back, by id: what a hub whose database went back may lack. Of each it keeps no more than the inventory
// shows, since there may be many.
func (s *Store) Kept() ([]*runnerv1.Holding, error) {
	found := map[string]*runnerv1.Holding{}
	err := s.journal.reread(func(_ uint64, f frame, _ int) {
		h := found[f.key]
		if f.kind == kindOffer {
			if fence, spec, err := parseOffer(f.payload); err == nil {
				found[f.key] = &runnerv1.Holding{
					Fence: fence, State: runnerv1.Holding_STATE_OFFERED,
					ProjectId: spec.GetProjectId(), ExecutionId: spec.GetExecutionId(), AssignmentId: spec.GetAssignmentId(),
				}
			}
			return
		}
		if h == nil {
			return
		}
		switch f.kind {
		case kindRecord:
			countRecord(h, f.payload)
		case kindDeclined:
			h.State = runnerv1.Holding_STATE_NOT_STARTED
		case kindCut:
			if n, size := binary.Uvarint(f.payload); size > 0 && n < h.GetSteps() {
				h.Steps, h.State = n, runnerv1.Holding_STATE_GRANTED
			}
		}
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*runnerv1.Holding
	for id, h := range found {
		if s.attempts[id] == nil && h.GetState() != runnerv1.Holding_STATE_OFFERED {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b *runnerv1.Holding) int {
		return cmp.Compare(a.GetFence().GetAttemptId(), b.GetFence().GetAttemptId())
	})
	return out, nil
}

// countRecord takes what the inventory shows of a record.
func countRecord(h *runnerv1.Holding, payload []byte) {
	n, size := binary.Uvarint(payload)
	if size <= 0 || n != h.GetSteps() {
		return
	}
	r := &runnerv1.Record{}
	if proto.Unmarshal(payload[size:], r) != nil {
		return
	}
	h.Steps++
	if n == 0 {
		h.State, h.Mac, h.BootId = runnerv1.Holding_STATE_GRANTED, r.GetGranted().GetMac(), r.GetGranted().GetBootId()
	}
	if r.GetClosed() != nil {
		h.State = runnerv1.Holding_STATE_CLOSED
	}
}

// Reopen reads settled attempts back whole, so that they can be told again. Those that
// retention took meanwhile are not in the answer.
func (s *Store) Reopen(ids map[string]bool) ([]*Attempt, error) {
	found := map[string]*Attempt{}
	err := s.journal.reread(func(_ uint64, f frame, _ int) {
		a := found[f.key]
		switch {
		case !ids[f.key]:
		case f.kind == kindOffer:
			if fence, spec, err := parseOffer(f.payload); err == nil {
				found[f.key] = &Attempt{store: s, id: f.key, fence: fence, spec: spec}
			}
		case a == nil:
		case f.kind == kindRecord:
			a.loadRecord(f.payload)
		case f.kind == kindDeclined:
			a.declined = true
		case f.kind == kindCut:
			a.loadCut(f.payload)
		}
	})
	if err == nil {
		err = s.rereadChunks(found)
	}
	if err != nil {
		return nil, err
	}
	var out []*Attempt
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, a := range found {
		if s.attempts[id] != nil || a.gap || len(a.records) == 0 && !a.declined {
			continue
		}
		// The hub had it all once: it does not count as output that commands wait for.
		a.chunks.acked, a.chunks.bytes = a.chunks.next(), 0
		s.attempts[id] = a
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b *Attempt) int { return cmp.Compare(a.id, b.id) })
	return out, nil
}

func (s *Store) rereadChunks(attempts map[string]*Attempt) error {
	return s.spool.reread(func(segment uint64, f frame, offset int) {
		a := attempts[f.key]
		if a == nil || f.kind != kindChunk {
			return
		}
		c := &runnerv1.Chunk{}
		if proto.Unmarshal(f.payload, c) == nil {
			a.chunks.load(chunkRef{segment: segment, offset: int64(offset + headLength + len(f.key)), size: len(f.payload)}, c)
		}
	})
}

// FirstChunk is the first chunk that can be read: those before it were acknowledged and
// put away before this process began. Refill finds them again.
func (a *Attempt) FirstChunk() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.chunks.first
}

// Refill finds chunks of the attempt that were put away before this process began, as
// far as they are still there: a hub whose database went back lacks them again, and only
// they may tell how much of a command's output is kept. It reads all that the spool has.
func (a *Attempt) Refill() error {
	old := &Attempt{store: a.store, id: a.id}
	if err := a.store.rereadChunks(map[string]*Attempt{a.id: old}); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	c := &a.chunks
	if old.chunks.first >= c.first || old.chunks.next() < c.first {
		return nil
	}
	c.refs = append(old.chunks.refs[:c.first-old.chunks.first:c.first-old.chunks.first], c.refs...)
	c.first = old.chunks.first
	return nil
}

// reread calls visit for each frame of all segments on disk, also of those that were put
// away, in the order in which they were written.
func (l *segmentLog) reread(visit func(segment uint64, f frame, offset int)) error {
	infos, err := l.fs.List(l.dir)
	if err != nil {
		return fmt.Errorf("listing %s: %w", l.dir, err)
	}
	var numbers []uint64
	for _, info := range infos {
		if number, _, ok := parseSegment(info.Name); ok {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	for _, number := range slices.Compact(numbers) {
		data, err := l.readSegment(number)
		if err != nil {
			return err
		}
		// Behind the last whole frame somebody may be writing.
		scan(data, func(f frame, offset int) { visit(number, f, offset) })
	}
	return nil
}

// readSegment reads a segment under whichever name it has now; nothing when retention
// took it.
func (l *segmentLog) readSegment(number uint64) ([]byte, error) {
	name := segmentName(l.dir, number)
	done := strings.TrimSuffix(name, ".log") + ".done"
	for _, n := range []string{name, done} {
		data, err := l.fs.ReadFile(n)
		if err == nil {
			return data, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("reading %s: %w", n, err)
		}
	}
	return nil, nil
}
