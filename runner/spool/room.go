package spool

import (
	"context"
	"sync"
)

// room makes writers of output wait while too much of it is not acknowledged.
type room struct {
	max  int64
	free func() bool // whether the disk has space left

	mu     sync.Mutex
	used   int64
	over   bool          // nobody waits because of max
	change chan struct{} // closed and replaced when used falls
}

// has reports whether there is room, of which over needs none but on the disk.
func (r *room) has(over bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hasLocked(over)
}

// hasLocked: over says that max does not count.
func (r *room) hasLocked(over bool) bool { return (over || r.over || r.used < r.max) && r.free() }

// wait returns when there is room, of which over needs none but on the disk, or ctx ends.
func (r *room) wait(ctx context.Context, over bool) error {
	for {
		r.mu.Lock()
		ok, change := r.hasLocked(over), r.change
		r.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (r *room) add(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used += n
	if n < 0 {
		r.look()
	}
}

// look wakes who waits; the caller holds mu.
func (r *room) look() {
	close(r.change)
	r.change = make(chan struct{})
}

// overfill says whether max holds nobody up.
func (r *room) overfill(over bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = over
	r.look()
}

// wake lets who waits look again: the disk may have space now.
func (r *room) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.look()
}
