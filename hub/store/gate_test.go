package store

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestGateGoesOnAfterOneGaveUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, ctx := &gate{}, t.Context()
		if err := g.enter(ctx, false); err != nil {
			t.Fatal(err)
		}
		impatient, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := g.enter(impatient, false); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v, want the end of patience", err)
		}
		entered := make(chan struct{})
		go func() {
			if err := g.enter(ctx, true); err != nil {
				t.Error(err)
			}
			close(entered)
		}()
		synctest.Wait()
		g.leave()
		<-entered
		g.leave()
		if g.busy {
			t.Error("the turn was lost")
		}
		if err := g.enter(impatient, false); err == nil {
			t.Error("one whose context had ended got the turn")
		}
	})
}

// The turn may come to one that gives up at the same moment: it is passed on.
func TestGateKeepsItsTurn(t *testing.T) {
	t.Parallel()
	g := &gate{}
	var inside, all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			for range 20 {
				ctx, cancel := context.WithCancel(context.Background())
				inside.Go(cancel) // at any moment
				if g.enter(ctx, i%2 == 0) == nil {
					g.leave()
				}
			}
		})
	}
	all.Wait()
	inside.Wait()
	if g.busy || len(g.waiting[0])+len(g.waiting[1]) > 0 {
		t.Errorf("the gate is left with %+v", g.waiting)
	}
}
