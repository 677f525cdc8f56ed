package cluster

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"fmt"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// Hold tells whether the cluster is held, as of the newest tick that this member saw.
func (c *Cluster) Hold() hub.Hold {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.hold
}

// Incarnation counts restores and detected fall-backs of the database, from 1.
func (c *Cluster) Incarnation() int64 { return c.Hold().Incarnation }

// learnHold takes what a transaction read together with a tick.
func (c *Cluster) learnHold(ctx context.Context, tick int64, hold hub.Hold) {
	c.st.Saw(tick, hold.Incarnation)
	c.mu.Lock()
	before := c.hold
	c.hold = hold
	c.mu.Unlock()
	switch {
	case hold.Recovers() && (hold.Incarnation != before.Incarnation || hold.Kind != before.Kind):
		c.log.ErrorContext(ctx, "the cluster is held: the database went back in time; `fairlead cluster status` shows what is awaited",
			"kind", hold.Kind, "why", hold.Reason, "incarnation", hold.Incarnation)
	case hold.Kind == hub.HoldPlanned && before.Kind != hub.HoldPlanned:
		c.log.WarnContext(ctx, "the cluster is held for a move of the database: nothing is granted or acknowledged", "why", hold.Reason)
	case hold.Kind == "" && before.Kind != "":
		c.log.InfoContext(ctx, "the cluster is no longer held", "incarnation", hold.Incarnation)
	}
}

// wentBack holds the cluster when the lease clock or the incarnation is behind what this
// member saw committed: on a connection that lived through it nothing else tells.
func (c *Cluster) wentBack(ctx context.Context, tick int64, hold hub.Hold) (hub.Hold, error) {
	known := c.Hold()
	behind := func() bool {
		return hold.Incarnation < known.Incarnation || hold.Incarnation == known.Incarnation && tick < c.Tick()
	}
	if !behind() {
		return hold, nil
	}
	err := c.st.InTx(ctx, func(st *store.Store) (err error) {
		// What is known may be newer than what was read. And of two servers the one that is
		// behind must be held, whichever the next connection is to.
		if hold, err = st.ReadHold(ctx); err != nil || !behind() {
			return err
		}
		why := "The lease clock of the database went back."
		if hold.Incarnation < known.Incarnation {
			why = fmt.Sprintf("The database is in incarnation %d; this hub saw %d committed, by another server.", hold.Incarnation, known.Incarnation)
		}
		if _, err = st.HoldCluster(ctx, hub.HoldRestore, why, known.Incarnation); err == nil {
			hold, err = st.ReadHold(ctx)
		}
		return err
	})
	return hold, err
}

// HoldForMove holds the cluster so that the database can be moved (docs/recovery.md).
func (c *Cluster) HoldForMove(ctx context.Context, st *store.Store, reason string) error {
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails
	_, err := st.HoldPlanned(ctx, reason, nonce)
	return err
}

// Refresh reads at once what the next tick would tell.
func (c *Cluster) Refresh(ctx context.Context) error {
	var tick int64
	var hold hub.Hold
	err := c.st.InTx(ctx, func(st *store.Store) (err error) {
		if tick, err = st.Tick(ctx); err == nil {
			hold, err = st.ReadHold(ctx)
		}
		return err
	})
	if err != nil {
		return err
	}
	c.learnHold(ctx, tick, hold)
	return nil
}

// markMAC proves a mark, and of which incarnation it is.
func (c *Cluster) markMAC(tick int64, nonce []byte, incarnation int64) []byte {
	return c.master.MAC("db mark 2", number(tick), nonce, number(incarnation))
}

// NewestMark returns the newest mark of a database that is in an incarnation, as st reads it:
// after a fall-back the one that Clock returns may be of before, and prove nothing. It is
// empty before the first tick.
func (c *Cluster) NewestMark(ctx context.Context, st *store.Store, incarnation int64) (hub.DBMark, error) {
	marks, err := st.TickMarks(ctx)
	if err != nil || len(marks) == 0 {
		return hub.DBMark{}, err
	}
	m := marks[0]
	return hub.DBMark{Tick: m.Tick, Nonce: m.Nonce, MAC: c.markMAC(m.Tick, m.Nonce, incarnation)}, nil
}

// MarkIncarnation tells of which incarnation a mark is, 1 to highest; false when no
// hub of this cluster made it.
func (c *Cluster) MarkIncarnation(m hub.DBMark, highest int64) (int64, bool) {
	for i := highest; i > 0; i-- {
		if hmac.Equal(m.MAC, c.markMAC(m.Tick, m.Nonce, i)) {
			return i, true
		}
	}
	return 0, false
}

// GrantMAC proves a grant to a later database that may have lost it.
func (c *Cluster) GrantMAC(p hub.GrantProof) []byte {
	return c.master.MAC("grant 2", number(p.Fence.Incarnation), []byte(p.Fence.AttemptID), number(int64(p.Fence.Epoch)), p.Boot,
		[]byte(p.RunnerID), []byte(p.ProjectID), []byte(p.ExecutionID), []byte(p.AssignmentID))
}
