package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"os/exec"
	"sync"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver of the limit

	"github.com/fairlead/fairlead/e2e/lab"
)

// noop measures an empty job from the API call until the API shows it finished, one
// after another, and then many at once.
func (b *bench) noop() error {
	r, err := b.newRig("noop", true, nil, localNode)
	if err != nil {
		return err
	}
	defer r.stop()
	if err := r.hub.ImportJobs(b.ctx, "p", job("noop", "/bin/true", "name: here", 1)); err != nil {
		return err
	}
	if _, err := b.latencies(r, 100); err != nil { // warms shims and caches
		return err
	}
	var all []time.Duration
	for range b.runs {
		d, err := b.latencies(r, 200)
		if err != nil {
			return err
		}
		all = append(all, d...)
	}
	cycle, starts, err := b.limits(r)
	if err != nil {
		return err
	}
	p50, p99 := quantile(all, 0.5), quantile(all, 0.99)
	b.add("no-op job, call to finished", "p50 10 ms, p99 30 ms", fmt.Sprintf("p50 %s, p99 %s", ms(p50), ms(p99)),
		fmt.Sprintf("three commits alone %s", ms(cycle)), p50 <= 10*time.Millisecond && p99 <= 30*time.Millisecond)

	var rates []float64
	for range b.runs {
		rate, err := b.throughput(r, 3000, 32)
		if err != nil {
			return err
		}
		rates = append(rates, rate)
	}
	rate := median(rates)
	b.add("no-op jobs finished a second, 32 clients", "600/s", fmt.Sprintf("%.0f/s", rate),
		fmt.Sprintf("bare process starts %.0f/s", starts), rate >= 600)
	return nil
}

// latencies runs n jobs one after another.
func (b *bench) latencies(r *rig, n int) ([]time.Duration, error) {
	var all []time.Duration
	for range n {
		start := time.Now()
		var e lab.Execution
		if err := r.hub.Do(b.ctx, http.MethodPost, "/projects/p/jobs/noop/executions?wait=60s", map[string]any{}, &e); err != nil {
			return nil, err
		}
		if e.Status != "succeeded" {
			return nil, fmt.Errorf("a no-op job is %s: %+v", e.Status, e)
		}
		all = append(all, time.Since(start))
	}
	return all, nil
}

// throughput has so many clients run n jobs together, each waiting for one before it
// starts the next, at all members in turn.
func (b *bench) throughput(r *rig, n, clients int) (float64, error) {
	hubs := r.hubs
	if hubs == nil {
		hubs = []*lab.Hub{r.hub}
	}
	start := time.Now()
	err := share(n, clients, func(i int) error {
		var e lab.Execution
		if err := hubs[i%len(hubs)].Do(b.ctx, http.MethodPost, "/projects/p/jobs/noop/executions?wait=60s", map[string]any{}, &e); err != nil {
			return err
		}
		if e.Status != "succeeded" {
			steps, _ := r.hub.NodeSteps(b.ctx, e.ID)
			return fmt.Errorf("a no-op job is %s: %+v", e.Status, steps)
		}
		return nil
	})
	return float64(n) / time.Since(start).Seconds(), err
}

// share does n things with so many workers and returns the first error.
func share(n, workers int, do func(int) error) error {
	work := make(chan int, n)
	for i := range n {
		work <- i
	}
	close(work)
	errs := make(chan error, workers)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range work {
				if err := do(i); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

// limits measures three commits in a row by one client, and process starts by two.
func (b *bench) limits(r *rig) (cycle time.Duration, starts float64, err error) {
	db, err := sql.Open("pgx", r.pg.URL())
	if err != nil {
		return 0, 0, fmt.Errorf("opening the database: %w", err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(b.ctx, "CREATE TABLE IF NOT EXISTS bench_limit (id bigint PRIMARY KEY, state text)"); err != nil {
		return 0, 0, fmt.Errorf("making the limit's table: %w", err)
	}
	var cycles []time.Duration
	for i := range 300 {
		start := time.Now()
		for _, q := range []string{"INSERT INTO bench_limit VALUES ($1, 'new')", "UPDATE bench_limit SET state = 'claimed' WHERE id = $1", "UPDATE bench_limit SET state = 'done' WHERE id = $1"} {
			if _, err := db.ExecContext(b.ctx, q, i); err != nil {
				return 0, 0, fmt.Errorf("measuring commits: %w", err)
			}
		}
		cycles = append(cycles, time.Since(start))
	}
	if _, err := db.ExecContext(b.ctx, "DROP TABLE bench_limit"); err != nil {
		return 0, 0, fmt.Errorf("dropping the limit's table: %w", err)
	}
	return quantile(cycles, 0.5), processStarts(b.ctx, 1000), nil
}

func processStarts(ctx context.Context, n int) float64 {
	start := time.Now()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range n / 2 {
				_ = exec.CommandContext(ctx, "/bin/true").Run()
			}
		})
	}
	wg.Wait()
	return float64(n) / time.Since(start).Seconds()
}
