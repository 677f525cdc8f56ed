package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

// newCluster starts PostgreSQL and prepares members without proxies; the first is
// started, and has project p with one local node.
func (b *bench) newCluster(name string, members int, env ...string) (*lab.Cluster, error) {
	dir := filepath.Join(b.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making %s: %w", dir, err)
	}
	c, err := lab.NewCluster(b.ctx, lab.ClusterConfig{Binary: b.binaries.Hub, Dir: dir, Members: members, Direct: true, Env: env})
	if err != nil {
		return nil, err
	}
	first := c.Members[0]
	err = c.Start(b.ctx, first)
	if err == nil {
		err = first.CreateProject(b.ctx, "p", nil)
	}
	if err == nil {
		err = first.ImportNodes(b.ctx, "p", localNode)
	}
	if err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// await waits for what the programs bring about.
func (b *bench) await(what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Minute)
	defer cancel()
	return lab.Poll(ctx, 5*time.Millisecond, func() error {
		if ok() {
			return nil
		}
		return fmt.Errorf("still waiting until %s", what)
	})
}

// failover kills the member that holds all simulated runners, and measures when each has
// a confirmed session at another.
func (b *bench) failover() error {
	c, err := b.newCluster("failover", 3)
	if err != nil {
		return err
	}
	defer c.Stop()
	victim := c.Members[0]
	f, err := b.newFleet(victim.Hub, filepath.Join(b.dir, "failover"), b.fleet)
	if err != nil {
		return err
	}
	defer f.end()
	if err := c.Start(b.ctx, c.Members[1:]...); err != nil {
		return err
	}
	if err := b.await("all simulated runners know three members", func() bool {
		return f.count(func(r *simRunner) bool { return len(r.known()) >= 3 }) == b.fleet
	}); err != nil {
		return err
	}
	held := f.count(func(r *simRunner) bool { return r.place() == victim.Gateway })
	left := make([]int, 0, len(c.Members))
	for _, m := range c.Members[1:] {
		left = append(left, m.Process.Cmd.Process.Pid)
	}
	cpu, err := spend(map[string][]int{"members": left, "PostgreSQL": {c.Postgres.Pid()}})
	if err != nil {
		return err
	}
	start := time.Now()
	victim.Process.Kill()
	if err := b.await("all simulated runners are at other members", func() bool {
		return f.count(func(r *simRunner) bool { at := r.place(); return at != "" && at != victim.Gateway }) == b.fleet
	}); err != nil {
		return err
	}
	spent, err := cpu.each(b.fleet)
	if err != nil {
		return err
	}
	var took []time.Duration
	for _, r := range f.runners {
		if _, at := r.since(); at.After(start) {
			took = append(took, at.Sub(start))
		}
	}
	p50, all := quantile(took, 0.5), slices.Max(took)
	b.add(fmt.Sprintf("member of %d runners killed, until they are confirmed elsewhere", held), "1,000: p50 1.5 s, all 4 s; 5,000: all 10 s",
		fmt.Sprintf("p50 %s, all %s", ms(p50), ms(all)), "three members, one machine; the first wait is 0 to 1 s; CPU for each: "+spent,
		b.fleet >= 5000 && all <= 10*time.Second || p50 <= 1500*time.Millisecond && all <= 4*time.Second)
	return nil
}

// takeover kills the active member of an active-passive cluster over and over.
func (b *bench) takeover() error {
	c, err := b.newCluster("takeover", 3, "FAIRLEAD_HUB_CLUSTER_MODE=active-passive")
	if err != nil {
		return err
	}
	defer c.Stop()
	if err := c.Start(b.ctx, c.Members[1:]...); err != nil {
		return err
	}
	var took []time.Duration
	for range b.runs {
		old, err := b.activeMember(c, nil)
		if err != nil {
			return err
		}
		start := time.Now()
		old.Process.Kill()
		if _, err := b.activeMember(c, old); err != nil {
			return err
		}
		took = append(took, time.Since(start))
		if err := c.Start(b.ctx, old); err != nil {
			return err
		}
	}
	longest := slices.Max(took)
	b.add("active member killed, until /health/active turns", "10 s", fmt.Sprintf("median %s, longest %s", ms(quantile(took, 0.5)), ms(longest)),
		fmt.Sprintf("%d kills; a lease lasts 6 ticks", len(took)), longest <= 10*time.Second)
	return nil
}

// activeMember waits until a member other than not says that it is active.
func (b *bench) activeMember(c *lab.Cluster, not *lab.Member) (active *lab.Member, err error) {
	err = b.await("a member is active", func() bool {
		for _, m := range c.Members {
			if m != not && m.Health(b.ctx, "active") == nil {
				active = m
				return true
			}
		}
		return false
	})
	return active, err
}

// idle measures what connected runners without work cost: memory of the members, and
// transactions of the database.
func (b *bench) idle() error {
	c, err := b.newCluster("idle", 3)
	if err != nil {
		return err
	}
	defer c.Stop()
	if err := c.Start(b.ctx, c.Members[1:]...); err != nil {
		return err
	}
	memory := func() (total float64) {
		for _, m := range c.Members {
			total += status(m.Process, "VmRSS:")
		}
		return total
	}
	before := memory()
	f, err := b.newFleet(c.Members[0].Hub, filepath.Join(b.dir, "idle"), b.fleet)
	if err != nil {
		return err
	}
	defer f.end()
	// Two minutes: what enrolment left in the members' memory goes back by and by.
	rate, err := b.transactions(c.Postgres, 2*time.Minute)
	if err != nil {
		return err
	}
	each := (memory() - before) / float64(b.fleet) / 1024
	b.add(fmt.Sprintf("%d idle runners, memory of the members for each", b.fleet), "80 KiB", fmt.Sprintf("%.0f KiB", each), fmt.Sprintf("resident, two minutes after the last has connected; %.0f MiB before", before/(1<<20)), each <= 80)
	b.add("database transactions a second then", "200/s", fmt.Sprintf("%.0f/s", rate), "three members, no work", rate < 200)
	return nil
}

// transactions counts what the database commits a second over some time.
func (b *bench) transactions(pg *lab.Postgres, over time.Duration) (float64, error) {
	select { // what the start of the runners cost is told by then
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	case <-time.After(5 * time.Second):
	}
	first, err := pg.Transactions(b.ctx)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	select {
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	case <-time.After(over):
	}
	last, err := pg.Transactions(b.ctx)
	return float64(last-first) / time.Since(start).Seconds(), err
}
