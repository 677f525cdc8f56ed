package api

import (
	"context"
	"net/http"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// otherMembersLearn is how long it takes until every member that lives acts on a hold.
const otherMembersLearn = 3 * time.Second

type holdInput struct{ Body HoldCluster }

type releaseInput struct{ Body ReleaseCluster }

func (s *server) recoveryRoutes() {
	register(s, op{method: http.MethodPost, path: "/cluster/hold", id: "hold-cluster", summary: "Hold all work: before the database is moved, or after a backup was restored", right: admin}, s.holdCluster)
	register(s, op{method: http.MethodPost, path: "/cluster/release", id: "release-cluster", summary: "End the hold: what is still open goes on, or ends as unknown", right: admin}, s.releaseCluster)
}

// whileMoved are the changes that are taken while the database is being moved.
func whileMoved(operation, method string) bool {
	switch operation {
	case "hold-cluster", "release-cluster", "create-session", "delete-session":
		return true
	}
	return method == http.MethodGet
}

// errMoved refuses what the moved database would not know.
var errMoved = hub.Errorf(hub.CodeUnavailable, "The database is being moved; nothing is changed until it is over. Try again then, or see `fairlead cluster status`.")

func (s *server) holdCluster(ctx context.Context, in *holdInput) (*body[Cluster], error) {
	before, err := s.Store.ReadHold(ctx)
	if err != nil {
		return nil, err
	}
	who := principal(ctx).Name
	err = s.Store.InTx(ctx, func(st *store.Store) error {
		if in.Body.Kind == "planned" {
			reason := in.Body.Reason
			if reason == "" {
				reason = "The database is being moved, says " + who + "."
			}
			if err := s.Cluster.HoldForMove(ctx, st, reason); err != nil {
				return err
			}
		} else {
			reason := in.Body.Reason
			if reason == "" {
				reason = "A backup was restored, says " + who + "."
			}
			if _, err := st.HoldCluster(ctx, hub.HoldRestore, reason, before.Incarnation); err != nil {
				return err
			}
		}
		return s.audit(ctx, st, "cluster.hold", in.Body.Kind)
	})
	if err != nil {
		return nil, err
	}
	if err := s.learned(ctx); err != nil {
		return nil, err
	}
	return s.cluster(ctx, &empty{})
}

// learned returns when all members that live act on a change of the hold.
func (s *server) learned(ctx context.Context) error {
	if err := s.Cluster.Refresh(ctx); err != nil {
		return err
	}
	members, err := s.Store.Members(ctx)
	if err != nil || len(members) < 2 {
		return err
	}
	timer := time.NewTimer(otherMembersLearn)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *server) releaseCluster(ctx context.Context, in *releaseInput) (*body[Cluster], error) {
	if err := s.Dispatch.ReleaseRest(ctx, principal(ctx).Name, in.Body.Rest == "fail"); err != nil {
		return nil, err
	}
	if err := s.audit(ctx, s.Store, "cluster.release", in.Body.Rest); err != nil {
		return nil, err
	}
	if err := s.Cluster.Refresh(ctx); err != nil {
		return nil, err
	}
	return s.cluster(ctx, &empty{})
}

// recovery tells of the hold; nil when there is none.
func (s *server) recovery(ctx context.Context, hold hub.Hold) (*Recovery, error) {
	if hold.Kind == "" {
		return nil, nil
	}
	out := &Recovery{Kind: string(hold.Kind), Since: Time(hold.Since), Reason: hold.Reason, Awaited: []AwaitedRunner{}}
	awaited, err := s.Dispatch.Awaited(ctx, hold)
	if err != nil {
		return nil, err
	}
	for _, r := range awaited {
		if r.OrganisationID == principal(ctx).OrganisationID {
			out.Awaited = append(out.Awaited, AwaitedRunner{ID: r.ID, Name: r.Name, LastSeenAt: timePtr(r.LastSeenAt)})
		}
	}
	out.Held, err = s.Store.CountHeld(ctx)
	return out, err
}

// heldFor is what a held execution waits for.
func (s *server) heldFor() *WaitingFor {
	hold := s.Cluster.Hold()
	w := &WaitingFor{Kind: "recovery", Since: Time(hold.Since), Message: "the database went back in time; runners show what they have, `fairlead cluster status` tells who is awaited"}
	if hold.Kind == hub.HoldPlanned {
		w.Message = "the database is being moved"
	}
	return w
}
