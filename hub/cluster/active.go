package cluster

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/fairlead/fairlead/hub"
)

// note keeps what this member's own row says.
func (c *Cluster) note(m *hub.Member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.self = m
}

// beActive is the work of the active member in a cluster of one active and many passive
// ones: to be it. Serves, Schedules and Active look at the term.
func (c *Cluster) beActive() Leads {
	return Leads{
		Lease: hub.LeaseActive,
		May:   func() bool { return canBeActive(c.cfg.Roles) && c.Ready(context.Background()) == nil },
		Inherits: func() bool {
			return !c.cfg.ManualTakeover && (len(c.cfg.Successors) == 0 || slices.Contains(c.cfg.Successors, c.cfg.Name))
		},
		Work: func(ctx context.Context, term int64) error {
			c.become(term)
			defer c.become(0)
			<-ctx.Done()
			return nil
		},
	}
}

// canBeActive reports whether a member of these roles is of use as the active one: beside it
// nobody serves runners or fires schedules.
func canBeActive(roles []string) bool {
	return slices.Contains(roles, hub.RoleGateway) && slices.Contains(roles, hub.RoleScheduler)
}

func (c *Cluster) become(term int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.activeTerm = term
}

// activeElsewhere is the gateway of the active member, if that is another and known; else
// it may be any of those.
func (c *Cluster) activeElsewhere(ctx context.Context, others []*hub.Member, all []string) ([]string, error) {
	lease, err := c.st.LeaderLease(ctx, hub.LeaseActive)
	if err != nil || lease == nil {
		return all, err
	}
	if lease.Holder == c.cfg.ID {
		return nil, nil
	}
	for _, m := range others {
		if m.ID == lease.Holder && c.State(m) == Active && len(open(m)) > 0 {
			return open(m), nil
		}
	}
	return all, nil
}

// Active tells why this member does nothing but answer people, or nil.
func (c *Cluster) Active(ctx context.Context) error {
	if err := c.Ready(ctx); err != nil {
		return err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.cfg.ActivePassive && (c.activeTerm == 0 || time.Now().After(c.trusted[hub.LeaseActive])) {
		return hub.Errorf(hub.CodeUnavailable, "This member is passive; another one is active.")
	}
	return nil
}

// Serves tells why runners should be at another member, or nil.
func (c *Cluster) Serves(ctx context.Context) error {
	if !slices.Contains(c.cfg.Roles, hub.RoleGateway) {
		return hub.Errorf(hub.CodeUnavailable, "This member serves no runners; it has not the role gateway.")
	}
	return c.Active(ctx)
}

// Schedules reports whether this member may fire schedules.
func (c *Cluster) Schedules() bool {
	if !slices.Contains(c.cfg.Roles, hub.RoleScheduler) || c.Active(context.Background()) != nil {
		return false
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.mode != hub.ModePassive && (c.self == nil || c.self.ExecutionMode != hub.ModePassive)
}

// MayBePromoted tells why a member cannot be made the active one, or nil.
func (c *Cluster) MayBePromoted(m *hub.Member) error {
	switch {
	case !c.cfg.ActivePassive:
		return hub.Errorf(hub.CodeConflict, "All members of this cluster are active (cluster.mode active-active); there is nobody to promote.")
	case !canBeActive(m.Roles):
		return hub.Errorf(hub.CodeConflict, "Member %s has the roles %s; the active one needs gateway and scheduler. Promote another.", m.Name, strings.Join(m.Roles, ", "))
	case c.State(m) == Dead:
		return hub.Errorf(hub.CodeConflict, "Member %s is dead; start it first, or promote another.", m.Name)
	case m.Draining:
		return hub.Errorf(hub.CodeConflict, "Member %s is drained; bring it back first (fairlead cluster drain --undo), or promote another.", m.Name)
	}
	return nil
}

// Status is the cluster as its rows tell it now.
type Status struct {
	Row     *hub.Cluster
	Mode    string // active-active or active-passive
	Members []*MemberStatus
	Leases  []*hub.LeaderLease
}

// Fires reports whether there is a member that may fire schedules.
func (s *Status) Fires() bool {
	return s.Row.ExecutionMode != hub.ModePassive && slices.ContainsFunc(s.Members, func(m *MemberStatus) bool {
		return m.Active && m.ExecutionMode != hub.ModePassive && slices.Contains(m.Roles, hub.RoleScheduler)
	})
}

// MemberStatus is a member, how it looks, and whether it serves runners and schedules.
type MemberStatus struct {
	*hub.Member
	State  State
	Active bool
}

// Status reads the cluster's rows.
func (c *Cluster) Status(ctx context.Context) (*Status, error) {
	row, err := c.st.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	members, err := c.st.Members(ctx)
	if err != nil {
		return nil, err
	}
	out := &Status{Row: row, Mode: "active-active"}
	if out.Leases, err = c.st.LeaderLeases(ctx); err != nil {
		return nil, err
	}
	active := ""
	for _, l := range out.Leases {
		if l.Name == hub.LeaseActive && l.UntilTick >= c.Tick() {
			active = l.Holder
		}
	}
	if c.cfg.ActivePassive {
		out.Mode = "active-passive"
	}
	for _, m := range members {
		state := c.State(m)
		out.Members = append(out.Members, &MemberStatus{
			Member: m, State: state, Active: state != Dead && !m.Draining && (!c.cfg.ActivePassive || m.ID == active),
		})
	}
	return out, nil
}
