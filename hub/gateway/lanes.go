package gateway

import (
	"context"
	"sync"
)

// maxInLanes bounds the frames of one session that are being handled; beyond it the
// session is not read, which the runner feels as flow control.
const maxInLanes = 256

// lanes runs work in order within a key and side by side across keys. A key costs a
// goroutine only while it has work.
type lanes struct {
	slots chan struct{}
	wg    sync.WaitGroup

	mu     sync.Mutex
	queue  map[string][]func() // by key; a key that is there has a goroutine
	closed bool
}

func newLanes() *lanes {
	return &lanes{slots: make(chan struct{}, maxInLanes), queue: map[string][]func(){}}
}

// do runs work after all that was given for its key before. It blocks while the lanes
// are full, and drops the work when ctx ends or the lanes are closed meanwhile.
func (l *lanes) do(ctx context.Context, key string, work func()) {
	select {
	case l.slots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	waiting, busy := l.queue[key]
	l.queue[key] = append(waiting, work)
	if !busy {
		l.wg.Go(func() { l.run(key) })
	}
}

func (l *lanes) run(key string) {
	for {
		l.mu.Lock()
		waiting := l.queue[key]
		if len(waiting) == 0 {
			delete(l.queue, key)
			l.mu.Unlock()
			return
		}
		work := waiting[0]
		l.queue[key] = waiting[1:]
		l.mu.Unlock()
		work()
		<-l.slots
	}
}

// close takes no more work and returns when all that was taken is done.
func (l *lanes) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.wg.Wait()
}
