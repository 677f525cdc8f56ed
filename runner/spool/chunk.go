package spool

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

// maxUnsynced bounds what is written and not yet synced: a command that prints faster
// than the disk syncs feels the disk.
const maxUnsynced = 16 << 20

// chunks is what is known of an attempt's output. Guarded by Attempt.mu.
type chunks struct {
	refs  []chunkRef // from first on
	first uint64
	hash  wire.Hash // behind the last
	acked uint64    // the hub has those before
	bytes int64     // not acknowledged
	hole  bool      // a chunk is missing on disk: what follows can never be told
}

type chunkRef struct {
	segment uint64
	offset  int64
	size    int
	ticket  ticket
	missing bool
}

func (c *chunks) next() uint64 { return c.first + uint64(len(c.refs)) }

// pending returns the bytes that are not acknowledged.
func (c *chunks) pending() int64 { return c.bytes }

// NextChunk returns number and chain hash for the next chunk.
func (a *Attempt) NextChunk() (seq uint64, before wire.Hash) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.chunks.next(), a.chunks.hash
}

// AppendChunk writes the next chunk and asks for a sync, without waiting for it; the
// returned function waits. It blocks while too much output is not acknowledged, unless
// over is set or little of that is this attempt's, and while the disk has no space, until ctx ends. Only one goroutine at a
// time may append chunks of an attempt.
func (a *Attempt) AppendChunk(ctx context.Context, c *runnerv1.Chunk, over bool) (wait func() error, err error) {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encoding a chunk: %w", err)
	}
	spool := a.store.spool
	a.stalled.Store(time.Now().UnixNano())
	defer a.stalled.Store(0)
	t, s, offset, err := a.store.appendWithRoom(ctx, frame{kindChunk, a.id, data}, over, a.modest())
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	if err != nil {
		a.mu.Lock()
		a.chunks.hole = true
		a.mu.Unlock()
		return nil, fmt.Errorf("writing output of attempt %s: %w", a.id, err)
	}
	a.mu.Lock()
	ref := chunkRef{segment: s.number, offset: offset + int64(headLength+len(a.id)), size: len(data), ticket: t}
	a.chunks.push(ref, c)
	a.mu.Unlock()
	a.store.room.add(int64(len(data)))
	if spool.passed(t) {
		a.store.progress() // the sync was faster: who was told of it found no such chunk
	}
	spool.mu.Lock()
	late := spool.unsynced > maxUnsynced
	spool.mu.Unlock()
	if late {
		if err := spool.wait(t); err != nil {
			return nil, err
		}
	}
	return func() error { return spool.wait(t) }, nil
}

// stallAfter is how long a chunk waits before that is worth a word: behind a slow link each
// waits a little.
const stallAfter = 2 * time.Second

// Stalled reports whether output has waited for room so long that people should know, and
// whether it is the disk that is full. Then it may wait where nothing is known of it here:
// at a shim, which writes to the same disk.
func (a *Attempt) Stalled() (stalled, disk bool) {
	since, full := a.stalled.Load(), !a.store.HasSpace()
	return full || since != 0 && time.Since(time.Unix(0, since)) >= stallAfter, full
}

// Full reports whether output is to be dropped now instead of waiting for room.
func (a *Attempt) Full() bool { return a.store.c.Truncate && !a.store.room.has(a.modest()) }

// modestShare of all that may be unacknowledged an attempt may have of its own before it
// waits for others: one that prints without end must not hold up those that print little.
const modestShare = 128

// modest reports whether the attempt has little that is not acknowledged.
func (a *Attempt) modest() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.chunks.bytes < a.store.c.MaxUnacknowledged/modestShare
}

// appendWithRoom waits for room and writes; a full disk is one more reason to wait. What
// may go over the limit is little, and tries the disk's last space first. One that is
// modest goes over it, and needs space as all do.
func (s *Store) appendWithRoom(ctx context.Context, f frame, over, modest bool) (ticket, *segment, int64, error) {
	for first := true; ; first = false {
		if !over || !first {
			if err := s.room.wait(ctx, over || modest); err != nil {
				return 0, nil, 0, err
			}
		}
		t, seg, offset, err := s.spool.append(f, true)
		if !errors.Is(err, syscall.ENOSPC) {
			return t, seg, offset, err
		}
		if s.hasSpace.Swap(false) {
			s.log.Warn("the disk is full: commands that print wait")
		}
	}
}

func (c *chunks) push(ref chunkRef, chunk *runnerv1.Chunk) {
	c.refs = append(c.refs, ref)
	c.hash = wire.Hash(chunk.GetHash())
	c.bytes += int64(ref.size)
}

// load takes a chunk that was read from disk.
func (c *chunks) load(ref chunkRef, chunk *runnerv1.Chunk) {
	if len(chunk.GetHash()) != len(c.hash) || (len(c.refs) > 0 && chunk.GetSeq() < c.next()) {
		return
	}
	if len(c.refs) == 0 {
		c.first = chunk.GetSeq()
		c.acked = c.first
	}
	for c.next() < chunk.GetSeq() {
		c.refs = append(c.refs, chunkRef{missing: true})
	}
	c.push(ref, chunk)
}

// Chunk returns a chunk that the disk has; ok is false when it does not have it yet
// or never will.
func (a *Attempt) Chunk(seq uint64) (c *runnerv1.Chunk, ok bool, err error) {
	a.mu.Lock()
	if seq < a.chunks.first || seq >= a.chunks.next() {
		a.mu.Unlock()
		return nil, false, nil
	}
	ref := a.chunks.refs[seq-a.chunks.first]
	a.mu.Unlock()
	if ref.missing || !a.store.spool.has(ref.ticket) {
		return nil, false, nil
	}
	data, err := a.store.spool.at(ref.segment, ref.offset, ref.size)
	if err != nil {
		return nil, false, err
	}
	c = &runnerv1.Chunk{}
	if err := proto.Unmarshal(data, c); err != nil || c.GetSeq() != seq {
		return nil, false, fmt.Errorf("chunk %d of attempt %s cannot be read back: %w", seq, a.id, err)
	}
	return c, true, nil
}

// ChunkSize returns the stored size of a chunk and whether the disk has it.
func (a *Attempt) ChunkSize(seq uint64) (size int, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if seq < a.chunks.first || seq >= a.chunks.next() {
		return 0, false
	}
	ref := a.chunks.refs[seq-a.chunks.first]
	return ref.size, !ref.missing && a.store.spool.has(ref.ticket)
}

// ChunkLost reports whether the disk lost a chunk, so that it will never have it.
func (a *Attempt) ChunkLost(seq uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if seq < a.chunks.first || seq >= a.chunks.next() {
		return false
	}
	ref := a.chunks.refs[seq-a.chunks.first]
	return ref.missing || a.store.spool.passed(ref.ticket) && !a.store.spool.has(ref.ticket)
}

// ChunkTotals returns number and chain hash of the chunks, how many are acknowledged,
// and whether each was synced, or lost by a failed sync.
func (a *Attempt) ChunkTotals() (total uint64, hash wire.Hash, acked uint64, synced bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := &a.chunks
	synced = len(c.refs) == 0 || a.store.spool.passed(c.refs[len(c.refs)-1].ticket)
	return c.next(), c.hash, c.acked, synced
}

// AckChunks says that the hub has the chunks before next. It never goes back.
func (a *Attempt) AckChunks(next uint64) {
	a.mu.Lock()
	c := &a.chunks
	next = min(next, c.next())
	freed := int64(0)
	for ; c.acked < next; c.acked++ {
		if c.acked >= c.first {
			freed += int64(c.refs[c.acked-c.first].size)
		}
	}
	c.bytes -= freed
	// The last chunk stays: its hash and the offsets in it are needed after a restart.
	needed := uint64(0)
	if n := len(c.refs); n > 0 {
		keep := min(c.acked, c.next()-1)
		needed = c.refs[max(keep, c.first)-c.first].segment
	}
	settled := a.settled
	a.mu.Unlock()
	if freed == 0 || settled {
		return
	}
	a.store.room.add(-freed)
	a.store.spool.release(a.id, func(s *segment) bool { return s.number < needed }, false)
}
