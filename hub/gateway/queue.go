package gateway

import (
	"context"
	"sync"
)

// queue hands what many goroutines add to the one that takes it. newQueue makes one.
type queue[T any] struct {
	limit int
	wake  chan struct{}

	mu    sync.Mutex
	items []T
	shut  bool
}

// newQueue makes a queue that holds at most limit items.
func newQueue[T any](limit int) *queue[T] {
	return &queue[T]{limit: limit, wake: make(chan struct{}, 1)}
}

// add never blocks. It reports false when the queue is full or closed.
func (q *queue[T]) add(item T) bool {
	q.mu.Lock()
	if q.shut || len(q.items) >= q.limit {
		q.mu.Unlock()
		return false
	}
	q.items = append(q.items, item)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return true
}

// take waits for items and returns all there are, or nil when ctx ends.
func (q *queue[T]) take(ctx context.Context) []T {
	for {
		q.mu.Lock()
		items := q.items
		q.items = nil
		q.mu.Unlock()
		if len(items) > 0 {
			return items
		}
		select {
		case <-ctx.Done():
			return nil
		case <-q.wake:
		}
	}
}

// clear forgets what nobody took.
func (q *queue[T]) clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items = nil
}

// close takes nothing more and returns what nobody took.
func (q *queue[T]) close() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items, q.shut = nil, true
	return items
}
