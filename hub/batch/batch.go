// Package batch runs commit loops: requests of one kind that arrive while a commit runs
// are the next commit together, and the first one never waits. While many come at a time,
// commits begin a little apart, so that fewer of them do the same work. Every answer
// follows the commit that holds it.
package batch

import (
	"context"
	"time"

	"github.com/fairlead/fairlead/hub"
)

// Loop is the commit loop of one kind of write. Make it with New; Run makes it work.
type Loop[Q, A any] struct {
	in chan *Call[Q, A]
	// most requests of one commit, and most of their size together (size may be nil).
	most    int
	largest int
	size    func(Q) int
	commit  func(context.Context, []*Call[Q, A]) error
	ended   chan struct{}
}

// While a commit holds more than crowd requests, the next begins apart after it began at
// the earliest: a commit costs the database and the hub much more than a request in it.
const (
	crowd = 2
	apart = 10 * time.Millisecond
)

var errEnded = hub.Errorf(hub.CodeUnavailable, "This member of the hub is ending; try again.")

// Call is a request on its way through a loop. Commit sets Answer or Err.
type Call[Q, A any] struct {
	Request Q
	Answer  A
	Err     error
	done    chan struct{}
}

// New makes a loop. commit answers every call of a batch in one transaction; an error
// of its own means that nothing was committed for any.
func New[Q, A any](most int, commit func(context.Context, []*Call[Q, A]) error) *Loop[Q, A] {
	return &Loop[Q, A]{in: make(chan *Call[Q, A]), most: most, commit: commit, ended: make(chan struct{})}
}

// Limit bounds batches by size too: a batch ends with the request that reaches largest.
func (l *Loop[Q, A]) Limit(largest int, size func(Q) int) *Loop[Q, A] {
	l.largest, l.size = largest, size
	return l
}

// Do hands a request to the loop and waits for its answer. When ctx ends first the
// request may still be committed: who asks again must be able to tell by the rows. When
// the loop has ended the error has the code unavailable.
func (l *Loop[Q, A]) Do(ctx context.Context, request Q) (A, error) {
	c := &Call[Q, A]{Request: request, done: make(chan struct{})}
	var none A
	select {
	case l.in <- c:
	case <-l.ended:
		return none, errEnded
	case <-ctx.Done():
		return none, ctx.Err()
	}
	select {
	case <-c.done:
		return c.Answer, c.Err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// Run serves requests until ctx ends; it is called once. Those made before wait for it.
func (l *Loop[Q, A]) Run(ctx context.Context) error {
	defer close(l.ended)
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case c := <-l.in:
			select {
			case <-next.C:
			case <-ctx.Done():
			}
			begun := time.Now()
			batch := l.gather(c)
			l.serve(ctx, batch)
			pause := time.Duration(0)
			if len(batch) > crowd {
				pause = apart - time.Since(begun)
			}
			next.Reset(pause)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// gather takes what waits already.
func (l *Loop[Q, A]) gather(first *Call[Q, A]) []*Call[Q, A] {
	batch := []*Call[Q, A]{first}
	for total := l.sizeOf(first); len(batch) < l.most && (l.size == nil || total < l.largest); {
		select {
		case c := <-l.in:
			batch = append(batch, c)
			total += l.sizeOf(c)
		default:
			return batch
		}
	}
	return batch
}

func (l *Loop[Q, A]) sizeOf(c *Call[Q, A]) int {
	if l.size == nil {
		return 0
	}
	return l.size(c.Request)
}

// serve commits a batch. If that fails for a reason that may lie in one request, each
// is tried alone, so that a bad one fails nobody else.
func (l *Loop[Q, A]) serve(ctx context.Context, batch []*Call[Q, A]) {
	err := l.commit(ctx, batch)
	if err != nil && len(batch) > 1 && hub.ErrorCode(err) != hub.CodeUnavailable && ctx.Err() == nil {
		for _, c := range batch {
			l.serve(ctx, []*Call[Q, A]{c})
		}
		return
	}
	if err != nil && ctx.Err() != nil {
		err = errEnded
	}
	for _, c := range batch {
		if err != nil {
			c.Err = err
		}
		close(c.done)
	}
}
