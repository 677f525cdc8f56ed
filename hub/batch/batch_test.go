package batch_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/batch"
)

type call = batch.Call[int, int]

// TestBatchesFormWhileACommitRuns: the first request commits alone, what came meanwhile
// is the next batch, and no batch is larger than its limits.
func TestBatchesFormWhileACommitRuns(t *testing.T) {
	t.Parallel()
	var sizes []int
	begun, goOn := make(chan struct{}), make(chan struct{})
	l := batch.New(4, func(_ context.Context, calls []*call) error {
		sizes = append(sizes, len(calls))
		if len(sizes) == 1 {
			close(begun)
			<-goOn
		}
		for _, c := range calls {
			c.Answer = c.Request * 2
		}
		return nil
	}).Limit(3, func(int) int { return 1 })
	ctx, cancel := context.WithCancel(t.Context())
	var runs, asks sync.WaitGroup
	runs.Go(func() { _ = l.Run(ctx) })
	ask := func(n int) {
		asks.Go(func() {
			if got, err := l.Do(ctx, n); err != nil || got != 2*n {
				t.Errorf("Do(%d) = %d, %v", n, got, err)
			}
		})
	}
	ask(1)
	<-begun
	for n := range 9 {
		ask(n)
	}
	close(goOn)
	asks.Wait()
	cancel()
	runs.Wait()
	total := 0
	for _, n := range sizes {
		total += n
		if n > 3 {
			t.Errorf("batches are %v, want at most 3", sizes)
		}
	}
	if total != 10 || sizes[0] != 1 {
		t.Errorf("batches are %v, want 10 requests, the first alone", sizes)
	}
}

func TestOneBadRequestFailsAlone(t *testing.T) {
	t.Parallel()
	bad := errors.New("bad")
	begun, goOn := make(chan struct{}), make(chan struct{})
	first := true
	l := batch.New(10, func(_ context.Context, calls []*call) error {
		if first {
			first = false
			close(begun)
			<-goOn
		}
		for _, c := range calls {
			if c.Request == 3 {
				return bad
			}
		}
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	var runs, asks sync.WaitGroup
	runs.Go(func() { _ = l.Run(ctx) })
	for n := range 6 {
		asks.Go(func() {
			if _, err := l.Do(ctx, n); (n == 3) != errors.Is(err, bad) {
				t.Errorf("request %d: %v", n, err)
			}
		})
	}
	<-begun
	close(goOn)
	asks.Wait()
	cancel()
	runs.Wait()
}

func TestDatabaseThatIsGoneIsAskedOnce(t *testing.T) {
	t.Parallel()
	gone := hub.Errorf(hub.CodeUnavailable, "gone")
	commits := 0
	l := batch.New(10, func(context.Context, []*call) error {
		commits++
		return gone
	})
	ctx, cancel := context.WithCancel(t.Context())
	var runs sync.WaitGroup
	runs.Go(func() { _ = l.Run(ctx) })
	if _, err := l.Do(ctx, 1); hub.ErrorCode(err) != hub.CodeUnavailable {
		t.Errorf("err %v", err)
	}
	cancel()
	runs.Wait()
	if commits != 1 {
		t.Errorf("%d commits, want 1", commits)
	}
	if _, err := l.Do(t.Context(), 2); hub.ErrorCode(err) != hub.CodeUnavailable {
		t.Errorf("a request nobody serves any more: %v", err)
	}
}

// One request after another never waits; a crowd's next commit begins a little later.
func TestCrowdIsGathered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		type commit struct {
			calls int
			at    time.Duration
		}
		var commits []commit
		l := batch.New(10, func(_ context.Context, calls []*call) error {
			commits = append(commits, commit{len(calls), time.Since(start)})
			<-time.After(time.Millisecond) // of the bubble's clock: a commit takes time
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		var runs, asks sync.WaitGroup
		runs.Go(func() { _ = l.Run(ctx) })
		ask := func(n int) {
			for range n {
				asks.Go(func() { _, _ = l.Do(ctx, 1) })
			}
			synctest.Wait()
		}
		for range 2 {
			ask(1)
			asks.Wait()
		}
		ask(1)
		ask(4)
		asks.Wait()
		ask(1)
		asks.Wait()
		ask(1)
		asks.Wait()
		cancel()
		runs.Wait()
		const ms = time.Millisecond
		if want := []commit{{1, 0}, {1, ms}, {1, 2 * ms}, {4, 3 * ms}, {1, 13 * ms}, {1, 14 * ms}}; !slices.Equal(commits, want) {
			t.Errorf("commits are %v, want %v", commits, want)
		}
	})
}
