package store

import (
	"context"
	"sync"
)

// gate lets one writer at a time into SQLite, those that move state before those
// that carry output: a claim must not wait behind a gigabyte of log. Within a
// priority it is first come, first served (database/sql's own queue is neither).
type gate struct {
	mu      sync.Mutex
	busy    bool
	waiting [2][]chan struct{} // by priority, 0 first
}

// enter waits for the turn.
func (g *gate) enter(ctx context.Context, background bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	class := 0
	if background {
		class = 1
	}
	g.mu.Lock()
	if !g.busy {
		g.busy = true
		g.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	g.waiting[class] = append(g.waiting[class], turn)
	g.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		g.abandon(class, turn)
		return ctx.Err()
	}
}

// abandon gives up a place in the queue, or the turn if it came meanwhile.
func (g *gate) abandon(class int, turn chan struct{}) {
	g.mu.Lock()
	for i, w := range g.waiting[class] {
		if w == turn {
			g.waiting[class] = append(g.waiting[class][:i], g.waiting[class][i+1:]...)
			g.mu.Unlock()
			return
		}
	}
	g.mu.Unlock()
	g.leave()
}

// leave hands the turn to the next one.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for class := range g.waiting {
		if len(g.waiting[class]) > 0 {
			next := g.waiting[class][0]
			g.waiting[class] = g.waiting[class][1:]
			close(next)
			return
		}
	}
	g.busy = false
}
