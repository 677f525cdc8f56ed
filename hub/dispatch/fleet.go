package dispatch

import (
	"context"
	"errors"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// remoteRunner is a runner whose session another member holds; its fields are guarded by
// registry.mu.
type remoteRunner struct {
	member string
	row    *hub.Runner // nil until it was read
	read   bool        // see toRead
	slots  int
	live   int // as its member told last
	// protocol is the version that its session speaks.
	protocol uint32
	// own are attempts that this member offered to it, and when: its member may not have
	// counted them yet.
	own map[string]time.Time
}

// ownFor is how long an attempt offered through another member is counted here beside what
// that member tells: it tells several times a second.
const ownFor = time.Second

func (r *remoteRunner) load() int { return r.live + len(r.own) }

// Fleet takes what another member tells of its runners; whole says that it has no
// others.
func (d *Dispatcher) Fleet(ctx context.Context, member string, whole bool, runners []hub.FleetRunner) error {
	unknown := d.reg.fleet(member, whole, runners, time.Now())
	if len(unknown) == 0 {
		return nil
	}
	rows, err := d.st.RunnersByID(ctx, unknown)
	if err != nil {
		return err
	}
	d.reg.refresh(rows)
	if d.waiting.Load() {
		d.wake()
	}
	return nil
}

// FleetGone forgets the runners of a member that cannot be heard.
func (d *Dispatcher) FleetGone(member string) { d.reg.fleet(member, true, nil, time.Now()) }

// OwnFleet returns this member's runners with a session, and a number that changes with
// them.
func (d *Dispatcher) OwnFleet() ([]hub.FleetRunner, int64) { return d.reg.ownFleet() }

// FleetVersion is the number that OwnFleet returns now.
func (d *Dispatcher) FleetVersion() int64 { return d.reg.version.Load() }

// Sessions counts the runners that this member serves.
func (d *Dispatcher) Sessions() int { return len(d.reg.ids()) }

// fleet notes another member's runners and returns those whose rows are not known.
func (g *registry) fleet(member string, whole bool, runners []hub.FleetRunner, now time.Time) (unknown []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if whole {
		for id, r := range g.remote {
			if r.member == member {
				delete(g.remote, id)
			}
		}
	}
	for _, f := range runners {
		r := g.remote[f.ID]
		switch {
		case f.Gone && r != nil && r.member == member:
			delete(g.remote, f.ID)
			continue
		case f.Gone:
			continue
		case r == nil:
			r = &remoteRunner{own: make(map[string]time.Time)}
			g.remote[f.ID] = r
		}
		r.member, r.slots, r.live, r.protocol = member, f.Slots, f.Live, f.Protocol
		for id, at := range r.own {
			if now.Sub(at) > ownFor {
				delete(r.own, id)
			}
		}
		if r.row == nil {
			unknown = append(unknown, f.ID)
		}
	}
	return unknown
}

func (g *registry) ownFleet() ([]hub.FleetRunner, int64) {
	version := g.version.Load()
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []hub.FleetRunner
	for id, r := range g.runners {
		if r.connected() {
			live := len(r.live)
			if r.paused {
				live = max(live, r.slots)
			}
			out = append(out, hub.FleetRunner{ID: id, Slots: r.slots, Live: live, Protocol: r.protocol})
		}
	}
	return out, version
}

// memberOf is the member that holds a runner's session; "" when it is this one, or none.
func (g *registry) memberOf(runnerID string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r := g.runners[runnerID]; r != nil && r.connected() {
		return ""
	}
	if r := g.remote[runnerID]; r != nil {
		return r.member
	}
	return ""
}

// take counts an attempt that another member offered to a runner of this one, unless that
// has gone, or an older build took its place since.
func (g *registry) take(w *work) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.runners[w.runnerID]
	if r == nil || !r.connected() || r.protocol < w.job.needs.protocol {
		return false
	}
	r.live[w.fence.AttemptID] = true
	g.version.Add(1)
	return true
}

// holds reports whether an attempt is counted of a runner of this member.
func (g *registry) holds(runnerID, attemptID string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.runners[runnerID]
	return r != nil && r.live[attemptID]
}

// Woken does what another member asks for. What goes wrong here the poll does again.
func (d *Dispatcher) Woken(ctx context.Context, w hub.Wake) error {
	var all []error
	for _, id := range w.Offers {
		all = append(all, d.passOffer(ctx, id, w.From))
	}
	if w.Look {
		all = append(all, d.passOffers(ctx))
	}
	if w.Stops {
		d.tellStops(ctx)
	}
	if w.Ready {
		d.waiting.Store(true)
		d.wake()
	}
	return errors.Join(all...)
}

// passOffers looks for offers of other members whose wake did not come.
func (d *Dispatcher) passOffers(ctx context.Context) error {
	list, err := d.st.OffersThrough(ctx, d.cfg.MemberID, atOnce)
	if err != nil {
		return err
	}
	var all []error
	for _, t := range list {
		if !d.reg.holds(t.RunnerID, t.AttemptID) {
			all = append(all, d.passOffer(ctx, t.AttemptID, ""))
		}
	}
	return errors.Join(all...)
}

// passOffer tells a runner of an attempt that another member, from, offered to it. One
// whose session has ended since is no use to wait for.
func (d *Dispatcher) passOffer(ctx context.Context, attemptID, from string) error {
	w, err := d.work(ctx, d.st, attemptID)
	if err != nil || w == nil {
		return err
	}
	if d.reg.take(w) {
		d.expect(from, &w.job.base)
		d.sendOffer(ctx, w, map[string]*hub.Project{})
		return nil
	}
	return d.change(ctx, w.assignment.ExecutionID, func(st *store.Store, fx *effects, x *executionState) error {
		if x.row.Held {
			return nil // a database that went back may have lost that it was claimed
		}
		gone, err := st.WithdrawAttempts(ctx, []string{attemptID}, "expire", "its runner is not connected any more, or is an older build now")
		if err != nil || !gone[attemptID] {
			return err
		}
		return d.ready(ctx, st, fx, x, w.assignment.ID)
	})
}

// wakeOther tells another member, or all with "".
func (d *Dispatcher) wakeOther(member string, w hub.Wake) {
	if d.cfg.Wake != nil {
		d.cfg.Wake(member, w)
	}
}
