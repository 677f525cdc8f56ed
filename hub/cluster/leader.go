package cluster

import (
	"context"
	"time"

	"github.com/fairlead/fairlead/hub"
)

// Times of a leader lease. It is over leaseTicks after its last renewal, which takes at
// least a second less than that; the holder trusts it for less still, counted from before
// the renewal was sent, so that two never lead at once by their own clocks.
const (
	leaseTicks  = 6
	leaseTrust  = 4 * time.Second
	renewEvery  = 2 * time.Second
	lookAtLease = 500 * time.Millisecond
)

// Leads is work that one member does for all.
type Leads struct {
	// Lease is its name.
	Lease string
	// May says whether this member takes a lease that is free, and keeps one that it has.
	May func() bool
	// Inherits says whether it takes one that another had, though no person gave it to
	// this member; nil: it does.
	Inherits func() bool
	// Work runs while this member leads; its ctx ends when the lease may have lapsed. What
	// it writes must name term (store.HoldLeaderLease).
	Work func(ctx context.Context, term int64) error
}

// Lead does such work whenever this member holds its lease, until ctx ends.
func (c *Cluster) Lead(ctx context.Context, l Leads) error {
	return every(ctx, lookAtLease, func(ctx context.Context) error {
		if !l.May() {
			return nil
		}
		sent := time.Now()
		lease, err := c.takeLease(ctx, l)
		if err != nil && ctx.Err() == nil {
			c.failed(err)
			c.log.WarnContext(ctx, "lease not taken", "lease", l.Lease, "error", err)
		}
		if lease == nil {
			return nil
		}
		c.committed()
		c.log.InfoContext(ctx, "leading", "lease", l.Lease, "term", lease.Term)
		err = c.lead(ctx, l, lease.Term, sent)
		c.log.InfoContext(ctx, "leading no more", "lease", l.Lease, "term", lease.Term, "error", err)
		return nil
	})
}

// takeLease looks before it writes: most of the time another member leads.
func (c *Cluster) takeLease(ctx context.Context, l Leads) (*hub.LeaderLease, error) {
	ctx, cancel := context.WithTimeout(ctx, leaseTrust)
	defer cancel()
	now, err := c.st.LeaderLease(ctx, l.Lease)
	if err != nil {
		return nil, err
	}
	if now != nil && now.UntilTick >= c.Tick() {
		return nil, nil
	}
	return c.st.TakeLeaderLease(ctx, l.Lease, c.cfg.ID, leaseTicks, l.Inherits == nil || l.Inherits())
}

// lead works under a lease that was taken at sent, and keeps it.
func (c *Cluster) lead(ctx context.Context, l Leads, term int64, sent time.Time) error {
	c.trust(l.Lease, sent.Add(leaseTrust))
	leading, end := context.WithCancel(ctx)
	defer end()
	done := make(chan error, 1)
	go func() { done <- l.Work(leading, term) }()
	trust := time.NewTimer(time.Until(sent.Add(leaseTrust)))
	defer trust.Stop()
	renew := time.NewTicker(renewEvery)
	defer renew.Stop()
	for {
		select {
		case err := <-done:
			c.giveBack(ctx, l.Lease, term)
			return err
		case <-ctx.Done():
		case <-trust.C:
		case <-renew.C:
			sent := time.Now()
			if kept, err := c.renew(ctx, l, term); err == nil && kept {
				c.trust(l.Lease, sent.Add(leaseTrust))
				trust.Reset(time.Until(sent.Add(leaseTrust)))
				continue
			} else if err != nil {
				continue // trust says for how long
			}
		}
		end()
		err := <-done
		c.giveBack(ctx, l.Lease, term)
		return err
	}
}

// trust notes until when this member may believe that it leads. A process that was stopped
// and goes on asks this before its timers have run.
func (c *Cluster) trust(lease string, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trusted[lease] = until
}

func (c *Cluster) renew(ctx context.Context, l Leads, term int64) (kept bool, err error) {
	if !l.May() {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, renewEvery)
	defer cancel()
	kept, err = c.st.RenewLeaderLease(ctx, l.Lease, c.cfg.ID, term, leaseTicks)
	if err != nil {
		c.failed(err)
		c.log.WarnContext(ctx, "lease not renewed", "lease", l.Lease, "error", err)
	}
	return kept, err
}

// giveBack lets another member lead at once instead of after the lease. The work has
// ended by now.
func (c *Cluster) giveBack(ctx context.Context, name string, term int64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewEvery)
	defer cancel()
	if err := c.st.EndLeaderLease(ctx, name, c.cfg.ID, term); err != nil {
		c.log.WarnContext(ctx, "lease not given back; it lapses by itself", "lease", name, "error", err)
	}
}
