package api

import (
	"context"
	"net/http"
	"time"

	"github.com/fairlead/fairlead/hub"
)

// How long after its last heartbeat a member is shown as inactive and as dead.
const (
	inactiveAfter = 6 * time.Second
	deadAfter     = 10 * time.Second
)

func (s *server) clusterRoutes() {
	register(s, op{method: http.MethodGet, path: "/cluster", id: "get-cluster", summary: "Members and state of the installation", right: read}, s.cluster)
}

func (s *server) cluster(ctx context.Context, _ *empty) (*body[Cluster], error) {
	c, err := s.Store.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	members, err := s.Store.Members(ctx)
	if err != nil {
		return nil, err
	}
	now := s.Store.Now()
	return &body[Cluster]{Cluster{
		ID: c.ID, Incarnation: c.Incarnation, Tick: s.Tick(), Database: s.Store.Dialect(), Time: Time(now),
		Members: mapped(members, func(m *hub.Member) Member { return s.toMember(m, now) }),
	}}, nil
}

func (s *server) toMember(m *hub.Member, now time.Time) Member {
	out := Member{
		ID: m.ID, Name: m.Name, Version: m.Version, Gateway: m.Gateway, Address: m.Address, Roles: list(m.Roles),
		State: "active", StartedAt: Time(m.StartedAt), HeartbeatAt: Time(m.HeartbeatAt), Self: m.ID == s.MemberID,
	}
	switch age := now.Sub(m.HeartbeatAt); {
	case age >= deadAfter:
		out.State = "dead"
	case age >= inactiveAfter:
		out.State = "inactive"
	}
	return out
}

// live answers while the process can answer at all.
func (s *server) live(w http.ResponseWriter, _ *http.Request) { health(w, http.StatusOK, "live") }

// ready answers whether a balancer should send requests here. Every member of this
// version is active when it is ready.
func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	if err := s.Ready(r.Context()); err != nil {
		s.Log.WarnContext(r.Context(), "not ready", "error", err)
		health(w, http.StatusServiceUnavailable, "not ready")
		return
	}
	health(w, http.StatusOK, "ready")
}

// health says one word: whoever may ask this needs no account.
func health(w http.ResponseWriter, status int, word string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(word + "\n")) // the client is gone if this fails
}
