package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/cluster"
	"github.com/fairlead/fairlead/hub/store"
)

func (s *server) clusterRoutes() {
	register(s, op{method: http.MethodGet, path: "/cluster", id: "get-cluster", summary: "Members and state of the installation", right: read}, s.cluster)
	register(s, op{method: http.MethodPatch, path: "/cluster", id: "change-cluster", summary: "Say whether schedules fire", right: admin}, s.changeCluster)
	register(s, op{method: http.MethodPatch, path: "/cluster/members/{member}", id: "change-member", summary: "Drain a member, or say whether schedules fire on it", right: admin}, s.changeMember)
	register(s, op{method: http.MethodPost, path: "/cluster/promote", id: "promote-member", summary: "Make a member of an active-passive cluster the active one", right: admin}, s.promote)
}

func (s *server) cluster(ctx context.Context, _ *empty) (*body[Cluster], error) {
	status, err := s.Cluster.Status(ctx)
	if err != nil {
		return nil, err
	}
	// One reading for both: else a hold may be shown under the incarnation before it.
	hold, err := s.Store.ReadHold(ctx)
	if err != nil {
		return nil, err
	}
	out := Cluster{
		ID: status.Row.ID, Incarnation: hold.Incarnation, Tick: s.Cluster.Tick(), Database: s.Store.Dialect(), Time: s.timeNow(),
		Mode: status.Mode, ExecutionMode: string(status.Row.ExecutionMode),
		Members: mapped(status.Members, func(m *cluster.MemberStatus) Member { return s.toMember(m) }),
	}
	if out.Recovery, err = s.recovery(ctx, hold); err != nil {
		return nil, err
	}
	if out.Archive, err = s.archive(ctx); err != nil {
		return nil, err
	}
	if out.Retention, err = s.lastPurge(ctx); err != nil {
		return nil, err
	}
	quota, err := s.Store.Quota(ctx, principal(ctx).OrganisationID)
	if err != nil {
		return nil, err
	}
	out.Quota = toQuota(quota)
	out.Leases = mapped(status.Leases, func(l *hub.LeaderLease) LeaderLease {
		holder := l.Holder
		if i := slices.IndexFunc(status.Members, func(m *cluster.MemberStatus) bool { return m.ID == l.Holder }); i >= 0 {
			holder = status.Members[i].Name
		}
		return LeaderLease{Name: l.Name, Holder: holder, Term: l.Term, Held: l.UntilTick >= s.Cluster.Tick(), TakenAt: Time(l.TakenAt)}
	})
	return &body[Cluster]{out}, nil
}

func (s *server) toMember(m *cluster.MemberStatus) Member {
	return Member{
		ID: m.ID, Name: m.Name, Version: m.Version, Gateway: m.Gateway, Address: m.Address, Roles: list(m.Roles),
		State: string(m.State), StartedAt: Time(m.StartedAt), HeartbeatAt: Time(m.HeartbeatAt), Sessions: m.Sessions,
		Draining: m.Draining, Active: m.Active, ExecutionMode: string(m.ExecutionMode), Self: m.ID == s.Cluster.MemberID(),
	}
}

func (s *server) changeCluster(ctx context.Context, in *struct{ Body ClusterChange }) (*body[Cluster], error) {
	err := s.Store.InTx(ctx, func(st *store.Store) error {
		if err := st.SetExecutionMode(ctx, hub.ExecutionMode(in.Body.ExecutionMode)); err != nil {
			return err
		}
		return s.audit(ctx, st, "cluster.mode", in.Body.ExecutionMode)
	})
	if err != nil {
		return nil, err
	}
	return s.cluster(ctx, nil)
}

func (s *server) changeMember(ctx context.Context, in *struct {
	Member string `path:"member"`
	Body   MemberChange
},
) (*body[Cluster], error) {
	err := s.Store.InTx(ctx, func(st *store.Store) error {
		m, err := st.Member(ctx, in.Member)
		if err != nil {
			return err
		}
		if d := in.Body.Draining; d != nil {
			m.Draining = *d
		}
		if mode := in.Body.ExecutionMode; mode != nil {
			m.ExecutionMode = hub.ExecutionMode(*mode)
		}
		if err := st.SetMember(ctx, m); err != nil {
			return err
		}
		return s.audit(ctx, st, "member.change", m.Name)
	})
	if err != nil {
		return nil, err
	}
	return s.cluster(ctx, nil)
}

func (s *server) promote(ctx context.Context, in *struct{ Body Promotion }) (*body[Cluster], error) {
	err := s.Store.InTx(ctx, func(st *store.Store) error {
		m, err := st.Member(ctx, in.Body.Member)
		if err != nil {
			return err
		}
		if err := s.Cluster.MayBePromoted(m); err != nil {
			return err
		}
		if err := st.GiveLeaderLease(ctx, hub.LeaseActive, m.ID); err != nil {
			return err
		}
		return s.audit(ctx, st, "member.promote", m.Name)
	})
	if err != nil {
		return nil, err
	}
	return s.cluster(ctx, nil)
}

// live answers while the process can answer at all.
func (s *server) live(w http.ResponseWriter, _ *http.Request) { health(w, http.StatusOK, "live") }

// ready answers whether this member can do what a request asks for.
func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	if err := s.Cluster.Ready(r.Context()); err != nil {
		s.Log.WarnContext(r.Context(), "not ready", "error", err)
		health(w, http.StatusServiceUnavailable, "not ready")
		return
	}
	health(w, http.StatusOK, "ready")
}

// active answers whether a balancer should send runners here: in an active-passive
// cluster one member alone says yes, else every one that is ready and serves them.
func (s *server) active(w http.ResponseWriter, r *http.Request) {
	if s.Cluster.Serves(r.Context()) != nil {
		health(w, http.StatusServiceUnavailable, "not active")
		return
	}
	health(w, http.StatusOK, "active")
}

// health says one word: whoever may ask this needs no account.
func health(w http.ResponseWriter, status int, word string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(word + "\n")) // the client is gone if this fails
}
