package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// tickEvery is how long a member must have seen a tick, by its own monotonic clock,
// before it makes the next: so there is at most one a second, and none while the
// database or all members are down.
const tickEvery = time.Second

// housekeepingEvery is how often old rows are removed.
const housekeepingEvery = 10 * time.Minute

// every runs f at once and then at each interval until ctx ends or f returns an error.
func every(ctx context.Context, interval time.Duration, f func(context.Context) error) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := f(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// beats writes heartbeats. A database that is away is waited for; another process
// under this member's id ends this one.
func (c *Cluster) beats(ctx context.Context) error {
	return every(ctx, c.cfg.Interval, func(ctx context.Context) error {
		bounded, cancel := context.WithTimeout(ctx, ReadyWithin)
		defer cancel()
		err := c.TryCommit(bounded)
		if err == nil {
			c.compareClocks(ctx)
			err = c.learnMembers(bounded)
		}
		switch {
		case err == nil || ctx.Err() != nil:
			return nil
		case hub.ErrorCode(err) == hub.CodeConflict:
			return err
		}
		c.failed(err)
		c.log.WarnContext(ctx, "heartbeat not written", "error", err)
		return nil
	})
}

// clocksApart is how far this machine's clock may be from the database's.
const clocksApart = 5 * time.Second

// compareClocks warns of a clock that is wrong: nothing here depends on it, but logs,
// certificates and what people compare them with do.
func (c *Cluster) compareClocks(ctx context.Context) {
	apart := time.Since(c.st.Now()).Abs() > clocksApart
	c.mu.Lock()
	told := c.clockTold
	c.clockTold = apart
	c.mu.Unlock()
	if apart && !told {
		c.log.WarnContext(ctx, "the clocks of this machine and of the database differ; set them right", "by", time.Since(c.st.Now()).Round(time.Second).String())
	}
}

// learnMembers reads who else is there.
func (c *Cluster) learnMembers(ctx context.Context) error {
	members, err := c.st.Members(ctx)
	if err != nil {
		return err
	}
	var gateways, elsewhere []string
	var others []*hub.Member
	for _, m := range members {
		if m.ID == c.cfg.ID {
			c.note(m)
			gateways = slices.Insert(gateways, 0, open(m)...)
			continue
		}
		if c.State(m) == Dead {
			continue
		}
		others = append(others, m)
		gateways, elsewhere = append(gateways, open(m)...), append(elsewhere, open(m)...)
	}
	row, err := c.st.Cluster(ctx)
	if err != nil {
		return err
	}
	if c.cfg.ActivePassive {
		if elsewhere, err = c.activeElsewhere(ctx, others, elsewhere); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gateways, c.elsewhere, c.others, c.mode = each(gateways), each(elsewhere), others, row.ExecutionMode
	return nil
}

// open is the address that runners are sent to, if they are sent to this member.
func open(m *hub.Member) []string {
	if m.Gateway == "" || m.Draining {
		return nil
	}
	return []string{m.Gateway}
}

// each leaves repetitions out: members behind one balancer have one address.
func each(list []string) []string {
	var out []string
	for _, a := range list {
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// ticks moves the lease clock.
func (c *Cluster) ticks(ctx context.Context) error {
	for {
		c.mu.RLock()
		wait := tickEvery - time.Since(c.seenAt)
		c.mu.RUnlock()
		timer := time.NewTimer(max(wait, 10*time.Millisecond))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		if err := c.advance(ctx); err != nil && ctx.Err() == nil {
			c.failed(err)
			c.log.WarnContext(ctx, "lease clock not moved", "error", err)
			c.pause()
		}
	}
}

// advance tries to make the next tick; who lost learns what the winner made.
func (c *Cluster) advance(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ReadyWithin)
	defer cancel()
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails
	var tick int64
	var moved bool
	var hold hub.Hold
	err := c.st.InTx(ctx, func(st *store.Store) (err error) {
		if tick, moved, err = st.AdvanceTick(ctx, c.Tick(), nonce); err == nil {
			hold, err = st.ReadHold(ctx)
		}
		return err
	})
	if err == nil {
		hold, err = c.wentBack(ctx, tick, hold)
	}
	if err != nil {
		return err
	}
	c.learnHold(ctx, tick, hold)
	if !moved {
		return c.see(ctx, tick, nil)
	}
	c.committed()
	return c.see(ctx, tick, nonce)
}

// see takes note of a tick. Without its nonce it is read; a tick that has none (there
// was none yet) has an empty mark.
func (c *Cluster) see(ctx context.Context, tick int64, nonce []byte) error {
	if nonce == nil {
		var err error
		if nonce, err = c.st.TickNonce(ctx, tick); err != nil {
			return err
		}
	}
	mark := hub.DBMark{Tick: tick, Nonce: nonce}
	if nonce != nil {
		mark.MAC = c.markMAC(tick, nonce, c.Incarnation())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tick, c.mark, c.seenAt = tick, mark, time.Now()
	return nil
}

// pause keeps a database that is away from being asked in a loop.
func (c *Cluster) pause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seenAt = time.Now()
}

// keepCertificates is how long a certificate that was replaced is kept after its end,
// for checking signatures of results that came with it.
const keepCertificates = 90 * 24 * time.Hour

func (c *Cluster) housekeeping(ctx context.Context) error {
	return every(ctx, housekeepingEvery, func(ctx context.Context) error {
		_, err := c.st.PruneTickHistory(ctx)
		_, err2 := c.st.DeleteOldCertificates(ctx, c.st.Now().Add(-keepCertificates))
		_, err3 := c.st.DeleteOldIdempotency(ctx)
		if err := errors.Join(err, err2, err3); err != nil && ctx.Err() == nil {
			c.log.WarnContext(ctx, "old rows not removed", "error", err)
		}
		return nil
	})
}
