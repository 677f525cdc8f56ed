package spool

import (
	"encoding/binary"
	"errors"

	"google.golang.org/protobuf/proto"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
)

// loader rebuilds attempts from the frames of all segments that are not put away.
type loader struct {
	s *Store
	// orphans own frames of segments but are not open: settled, or known to nobody.
	orphans map[string]struct{}
	damaged map[string]struct{}
	// later are those that are open and of which a later build wrote what this one cannot read.
	later map[string]struct{}
}

var errLater = errors.New("the data directory holds entries of a kind that this build of the runner does not know, so a later build has used it and has not ended what it began: start that build again, or a later one")

func (s *Store) load() error {
	l := &loader{s: s, orphans: map[string]struct{}{}, damaged: map[string]struct{}{}, later: map[string]struct{}{}}
	if err := s.journal.open(l.journalFrame, l.journalDamage); err != nil {
		return err
	}
	if err := s.spool.open(l.chunkFrame, func(*segment, damage) {}); err != nil {
		return err
	}
	if len(l.later) > 0 {
		return errLater
	}
	for key := range l.orphans {
		if s.attempts[key] == nil {
			s.journal.release(key, nil, true)
			s.spool.release(key, nil, false)
		}
	}
	s.journal.release("", nil, true)
	s.spool.release("", nil, false)
	for _, a := range s.attempts {
		a.mu.Lock()
		_, damaged := l.damaged[a.id]
		if (damaged && !a.closed) || a.gap {
			a.freeze("its journal on disk is damaged")
		}
		s.room.add(a.chunks.pending())
		a.mu.Unlock()
	}
	return nil
}

func (l *loader) journalFrame(seg *segment, f frame, offset int) {
	seg.refs[f.key] = struct{}{}
	if f.kind == kindOffer {
		l.offer(f)
		return
	}
	a := l.s.attempts[f.key]
	if a == nil {
		l.orphans[f.key] = struct{}{}
		return
	}
	switch f.kind {
	case kindRecord:
		if a.loadRecord(f.payload) {
			l.later[f.key] = struct{}{}
		}
	case kindDeclined:
		a.declined = true
	case kindCut:
		a.loadCut(f.payload)
	case kindSettled:
		delete(l.s.attempts, f.key)
		delete(l.later, f.key)
		l.orphans[f.key] = struct{}{}
	default:
		l.s.log.Error("a journal frame of an unknown kind", "attempt", f.key, "kind", f.kind, "offset", offset)
		l.later[f.key] = struct{}{}
	}
}

func (l *loader) offer(f frame) {
	fence, spec, err := parseOffer(f.payload)
	if err != nil {
		l.s.log.Error("an offer cannot be read", "attempt", f.key, "error", err)
		l.orphans[f.key] = struct{}{}
		return
	}
	if l.s.attempts[f.key] == nil {
		l.s.attempts[f.key] = &Attempt{store: l.s, id: f.key, fence: fence, spec: spec}
	}
}

func parseOffer(b []byte) (*runnerv1.Fence, *runnerv1.Spec, error) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, nil, errors.New("the fence is cut off")
	}
	fence, spec := &runnerv1.Fence{}, &runnerv1.Spec{}
	if err := proto.Unmarshal(b[n:n+int(size)], fence); err != nil {
		return nil, nil, err
	}
	if err := proto.Unmarshal(b[n+int(size):], spec); err != nil {
		return nil, nil, err
	}
	return fence, spec, nil
}

// loadRecord takes a record; unknown is one of a kind that this build does not know.
func (a *Attempt) loadRecord(payload []byte) (unknown bool) {
	n, size := binary.Uvarint(payload)
	next := uint64(len(a.records))
	if size <= 0 || n > next {
		a.gap = true
	}
	if a.gap || n < next {
		return false
	}
	data := append([]byte(nil), payload[size:]...)
	r := &runnerv1.Record{}
	if proto.Unmarshal(data, r) != nil {
		a.gap = true
		return false
	}
	a.push(data, 0)
	a.closed = a.closed || r.GetClosed() != nil
	return r.GetRecord() == nil
}

// loadCut voids records that a failed sync may or may not have left on disk.
func (a *Attempt) loadCut(payload []byte) {
	n, size := binary.Uvarint(payload)
	if size <= 0 || n > uint64(len(a.records)) {
		a.gap = true
		return
	}
	a.gap = false
	a.frozen = "its journal was cut off after an error of the disk"
	if n < uint64(len(a.records)) {
		a.hash, a.records = a.records[n].before, a.records[:n:n]
		a.closed = false
	}
}

func (l *loader) journalDamage(seg *segment, d damage) {
	if d.key != "" {
		l.damaged[d.key] = struct{}{}
		return
	}
	for key := range seg.refs {
		l.damaged[key] = struct{}{}
	}
}

func (l *loader) chunkFrame(seg *segment, f frame, offset int) {
	a := l.s.attempts[f.key]
	if a == nil || f.kind != kindChunk {
		seg.refs[f.key] = struct{}{}
		l.orphans[f.key] = struct{}{}
		return
	}
	seg.refs[f.key] = struct{}{}
	c := &runnerv1.Chunk{}
	if err := proto.Unmarshal(f.payload, c); err != nil {
		l.s.log.Error("a chunk cannot be read", "attempt", f.key, "error", err)
		return
	}
	a.chunks.load(chunkRef{segment: seg.number, offset: int64(offset + headLength + len(f.key)), size: len(f.payload)}, c)
}
