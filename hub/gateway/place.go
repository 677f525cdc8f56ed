package gateway

import (
	"context"
	"slices"
	"time"

	"github.com/fairlead/fairlead/hub"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
)

// How runners find their place among the members.
const (
	// placeEvery is how often a member looks whether its runners are better off elsewhere.
	placeEvery = time.Second
	// spreadEvery so many looks runners are spread again: heartbeats, by which members
	// know each other's numbers, must have told of the last time.
	spreadEvery = 10
	// most of the surplus stays for the next time, so that a member which came back is not
	// met by all at once.
	spreadPart = 4
	spreadMost = 250
)

// errElsewhere ends what is left of sessions that were asked to move.
var errElsewhere = hub.Errorf(hub.CodeUnavailable, "This member serves no runners now; connect to another.")

// placed are the methods that a member answers only while it serves runners.
func placed(method string) bool {
	return method == runnerv1.RunnerService_Session_FullMethodName || method == runnerv1.RunnerService_Output_FullMethodName
}

// watchPlace asks runners to move when they are better off at other members: because
// this one is drained, passive or cut off, or because it has more than its share.
func (g *Gateway) watchPlace(ctx context.Context) {
	ticker := time.NewTicker(placeEvery)
	defer ticker.Stop()
	var asked time.Time
	for looks := 1; ; looks++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		g.tellMembers()
		switch {
		case g.cfg.Better(ctx) && asked.IsZero():
			asked = time.Now()
			g.log.InfoContext(ctx, "asking runners to move to other members", "why", g.cfg.Serves(ctx))
			g.dispatch.Drain(g.cfg.Others())
		case g.cfg.Better(ctx):
			if time.Since(asked) >= drainTime {
				g.endStreams(func(s *openStream) bool { return s.runner }, errElsewhere)
			}
		default:
			asked = time.Time{}
			if looks%spreadEvery == 0 && g.cfg.Serves(ctx) == nil {
				g.spread(ctx)
			}
		}
	}
}

func (g *Gateway) addSession(s *session) (remove func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sessions[s] = s.told
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.sessions, s)
	}
}

// tellMembers tells runners of members that came after their session began. Of those
// that went nothing is told: their runners find out, and a restart of the database, when
// all look dead for a moment, must not make runners forget the way.
func (g *Gateway) tellMembers() {
	now := g.cfg.Gateways()
	g.mu.Lock()
	defer g.mu.Unlock()
	for s, told := range g.sessions {
		if !slices.ContainsFunc(now, func(a string) bool { return !slices.Contains(told, a) }) {
			continue
		}
		g.sessions[s] = now
		s.push(&runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_Members{Members: &runnerv1.Members{Gateways: now}}})
	}
}

// spread asks some runners to move to members that have fewer.
func (g *Gateway) spread(ctx context.Context) {
	n, to := surplus(g.dispatch.Sessions(), g.cfg.Members())
	if n == 0 {
		return
	}
	g.log.InfoContext(ctx, "asking runners to move to members with fewer", "runners", n, "members", to)
	g.dispatch.Move(n, to)
}

// surplus is how many of this member's runners are to move now, and to which gateways:
// those below the mean. A tenth above the mean is no surplus.
func surplus(own int, others []*hub.Member) (n int, to []string) {
	total, serving := own, 1
	for _, m := range others {
		if serves(m) {
			total, serving = total+m.Sessions, serving+1
		}
	}
	mean := total / serving
	over := own - mean
	if over <= max(mean/10, 1) {
		return 0, nil
	}
	for _, m := range others {
		if serves(m) && m.Sessions < mean {
			to = append(to, m.Gateway)
		}
	}
	if len(to) == 0 {
		return 0, nil
	}
	return min((over+spreadPart-1)/spreadPart, spreadMost), to
}

func serves(m *hub.Member) bool {
	return m.Gateway != "" && !m.Draining && slices.Contains(m.Roles, hub.RoleGateway)
}
