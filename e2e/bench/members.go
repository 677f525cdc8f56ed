package main

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

// members measures empty jobs in a cluster: how many three members finish a second
// against one, and how long one takes that is started at another member than its
// runner's.
func (b *bench) members() error {
	one, _, err := b.clusterRate("members1", 1)
	if err != nil {
		return err
	}
	three, cycle, err := b.clusterRate("members3", 3)
	if err != nil {
		return err
	}
	b.add("no-op jobs finished a second, three members", "no fewer than one member", fmt.Sprintf("%.0f/s", three),
		fmt.Sprintf("one member %.0f/s; three commits alone %s", one, ms(cycle)), three >= one)
	return b.apart()
}

// clusterRate is how many jobs a second so many members finish with three runners.
func (b *bench) clusterRate(name string, members int) (rate float64, cycle time.Duration, err error) {
	c, err := b.newCluster(name, members)
	if err != nil {
		return 0, 0, err
	}
	defer c.Stop()
	if members > 1 { // Start would take none for all
		if err := c.Start(b.ctx, c.Members[1:]...); err != nil {
			return 0, 0, err
		}
	}
	if err := c.Members[0].ImportJobs(b.ctx, "p", job("noop", "/bin/true", "name: here", 1)); err != nil {
		return 0, 0, err
	}
	for i := range 3 {
		r, err := b.clusterRunner(c.Members[i%members], name, fmt.Sprintf("runner%d", i))
		if err != nil {
			return 0, 0, err
		}
		defer r.Process.Kill()
	}
	var hubs []*lab.Hub
	for _, m := range c.Members {
		hubs = append(hubs, m.Hub)
	}
	var rates []float64
	for range b.runs {
		rate, err := b.throughput(&rig{hub: hubs[0], hubs: hubs}, 3000, 32)
		if err != nil {
			return 0, 0, err
		}
		rates = append(rates, rate)
	}
	cycle, _, err = b.limits(&rig{pg: c.Postgres})
	return median(rates), cycle, err
}

func (b *bench) clusterRunner(at *lab.Member, dir, name string) (*lab.Runner, error) {
	r, err := at.Enrol(b.ctx, b.binaries.Runner, filepath.Join(b.dir, dir), name, "p")
	if err != nil {
		return nil, err
	}
	return r, r.Start(b.ctx)
}

// apart measures one job after another, started at a member that has not the runner: in
// an idle cluster, and while others start a hundred a second at the third.
func (b *bench) apart() error {
	c, err := b.newCluster("apart", 3)
	if err != nil {
		return err
	}
	defer c.Stop()
	if err := c.Start(b.ctx, c.Members[1:]...); err != nil {
		return err
	}
	if err := c.Members[0].ImportJobs(b.ctx, "p", job("noop", "/bin/true", "name: here", 1)); err != nil {
		return err
	}
	r, err := b.clusterRunner(c.Members[0], "apart", "runner")
	if err != nil {
		return err
	}
	defer r.Process.Kill()
	var others []*lab.Hub
	if err := b.await("the runner says where it is", func() bool { return r.At() != "" }); err != nil {
		return err
	}
	for _, m := range c.Members {
		if m.Gateway != r.At() {
			others = append(others, m.Hub)
		}
	}
	if _, err := b.latencies(&rig{hub: others[0]}, 100); err != nil {
		return err
	}
	if err := b.apartRow("idle cluster", others[0]); err != nil {
		return err
	}
	stop, failed := b.load(others[1], 100)
	err = b.apartRow("100 a second beside it", others[0])
	stop()
	if n := failed.Load(); err == nil && n > 0 {
		err = fmt.Errorf("%d jobs beside it were not started", n)
	}
	return err
}

func (b *bench) apartRow(when string, hub *lab.Hub) error {
	var all []time.Duration
	for range b.runs {
		d, err := b.latencies(&rig{hub: hub}, 200)
		if err != nil {
			return err
		}
		all = append(all, d...)
	}
	p50, p99 := quantile(all, 0.5), quantile(all, 0.99)
	b.add("no-op job, API and runner at two members, "+when, "p50 11 ms", fmt.Sprintf("p50 %s, p99 %s", ms(p50), ms(p99)), "", p50 <= 11*time.Millisecond)
	return nil
}

// load starts so many jobs a second at a member until stop is called.
func (b *bench) load(hub *lab.Hub, rate int) (stop func(), failed *atomic.Int64) {
	failed = &atomic.Int64{}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(time.Second / time.Duration(rate))
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			go func() {
				if _, err := hub.Run(b.ctx, "p", "noop", nil); err != nil {
					failed.Add(1)
				}
			}()
		}
	}()
	return func() { close(done); <-ended }, failed
}
