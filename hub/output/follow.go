package output

import (
	"context"
	"sync"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

const (
	// pushLimit bounds the compressed bytes that wait for one follower; a slower one reads
	// the rows.
	pushLimit = 4 << 20
	// framesLimit bounds the uncompressed ones that wait for all followers of this member,
	// which the check of a chunk left behind: who is slower decompresses again.
	framesLimit = 32 << 20
)

// followers are those who wait for the output of executions on this member.
type followers struct {
	mu     sync.Mutex
	list   map[string]map[*follower]struct{}
	frames int // bytes that wait, uncompressed
}

// follower is one of them; its fields are guarded by followers.mu, but hint.
type follower struct {
	hint    chan struct{}
	pushed  []store.ChunkRow
	bytes   int  // compressed
	frames  int  // bytes, uncompressed
	dropped bool // pushes were lost: the rows tell
	// other: it is another member, which gets what is committed here alone.
	other bool
}

func (f *followers) join(executionID string, other bool) *follower {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.list == nil {
		f.list = make(map[string]map[*follower]struct{})
	}
	if f.list[executionID] == nil {
		f.list[executionID] = make(map[*follower]struct{})
	}
	one := &follower{hint: make(chan struct{}, 1), other: other}
	f.list[executionID][one] = struct{}{}
	return one
}

func (f *followers) leave(executionID string, one *follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clear(one)
	delete(f.list[executionID], one)
	if len(f.list[executionID]) == 0 {
		delete(f.list, executionID)
	}
}

func (f *followers) follows(executionID string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.list[executionID]) > 0
}

// push hands committed chunks to the followers of an execution, never waiting for one;
// missed says that others were left out. What came from another member goes to those
// here alone.
func (f *followers) push(executionID string, rows []store.ChunkRow, missed, came bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	size := 0
	for i := range rows {
		size += len(rows[i].Data)
	}
	for one := range f.list[executionID] {
		if came && one.other {
			continue
		}
		one.dropped = one.dropped || missed
		if one.bytes+size > pushLimit {
			f.clear(one)
			one.dropped = true
		} else {
			f.add(one, rows)
			one.bytes += size
		}
		select {
		case one.hint <- struct{}{}:
		default:
		}
	}
}

// add queues rows, with their frames as long as there is room for them; the caller holds mu.
func (f *followers) add(one *follower, rows []store.ChunkRow) {
	for _, row := range rows {
		if one.other || f.frames+len(row.Frames) > framesLimit {
			row.Frames = nil
		}
		f.frames += len(row.Frames)
		one.frames += len(row.Frames)
		one.pushed = append(one.pushed, row)
	}
}

// clear lets go of what waits for one; the caller holds mu.
func (f *followers) clear(one *follower) {
	f.frames -= one.frames
	one.pushed, one.bytes, one.frames = nil, 0, 0
}

// take empties what was pushed to a follower.
func (f *followers) take(one *follower) (rows []store.ChunkRow, dropped bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rows, dropped = one.pushed, one.dropped
	f.clear(one)
	one.dropped = false
	return rows, dropped
}

// Publish tells followers of chunks that were committed within a result on this member;
// they read them from the rows.
func (o *Output) Publish(executionID string, _ []hub.Chunk) {
	o.followers.push(executionID, nil, true, false)
}

// Deliver tells the followers here of chunks that another member committed; missed says
// that some were left out.
func (o *Output) Deliver(executionID string, rows []store.ChunkRow, missed bool) {
	o.followers.push(executionID, rows, missed, true)
}

// Relay hands what this member commits for an execution to another one by send, until
// ctx ends or send fails.
func (o *Output) Relay(ctx context.Context, executionID string, send func(rows []store.ChunkRow, missed bool) error) error {
	one := o.followers.join(executionID, true)
	defer o.followers.leave(executionID, one)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-one.hint:
		}
		if err := send(o.followers.take(one)); err != nil {
			return err
		}
	}
}
