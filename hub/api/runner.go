package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/ca"
	"github.com/fairlead/fairlead/hub/dispatch"
	"github.com/fairlead/fairlead/hub/store"
)

// RunnerPath names a runner in a path.
type RunnerPath struct {
	ID string `path:"id" maxLength:"200" doc:"Id, or a name that is unique"`
}

type changeRunnerInput struct {
	RunnerPath
	IfMatchHeader
	Body RunnerChange
}

type listRunnersInput struct {
	Page
	Revoked bool `query:"revoked" doc:"Revoked ones too"`
}

type newRunnerTokenInput struct {
	IdempotencyHeader
	Body NewRunnerToken
}

func (s *server) runnerRoutes() {
	register(s, op{method: http.MethodGet, path: "/runners", id: "list-runners", summary: "List runners", right: read}, s.listRunners)
	register(s, op{method: http.MethodGet, path: "/runners/{id}", id: "get-runner", summary: "Show a runner", right: read}, s.getRunner)
	register(s, op{method: http.MethodPatch, path: "/runners/{id}", id: "change-runner", summary: "Change a runner's name, tags and projects", right: admin}, s.changeRunner)
	register(s, op{method: http.MethodPost, path: "/runners/{id}/revoke", id: "revoke-runner", summary: "Refuse a runner for ever", right: admin}, s.revokeRunner)
	register(s, op{method: http.MethodPost, path: "/runners/{id}/release", id: "release-runner", summary: "Give a quarantined or drained runner work again", right: admin}, s.releaseRunner)
	register(s, op{method: http.MethodPost, path: "/runners/{id}/drain", id: "drain-runner", summary: "Give a runner no more work; release ends it", right: admin}, s.drainRunner)
	register(s, op{method: http.MethodGet, path: "/runners/tokens", id: "list-runner-tokens", summary: "List enrolment tokens, newest first", right: admin}, s.listRunnerTokens)
	register(s, op{method: http.MethodPost, path: "/runners/tokens", id: "create-runner-token", summary: "Create a one-use enrolment token", right: admin, status: http.StatusCreated}, s.createRunnerToken)
	register(s, op{method: http.MethodDelete, path: "/runners/tokens/{id}", id: "revoke-runner-token", summary: "Revoke an enrolment token", right: admin}, s.revokeRunnerToken)
}

// projectNames are the names of an organisation's projects by id.
func (s *server) projectNames(ctx context.Context) (map[string]string, error) {
	names := map[string]string{}
	page := store.Page{Limit: 1000}
	for {
		list, next, err := s.Store.Projects(ctx, principal(ctx).OrganisationID, page)
		if err != nil {
			return nil, err
		}
		for _, p := range list {
			names[p.ID] = p.Name
		}
		if next == "" {
			return names, nil
		}
		page.Cursor = next
	}
}

// named turns ids of projects into names; one that was deleted keeps its id.
func named(ids []string, names map[string]string) []string {
	return mapped(ids, func(id string) string {
		if name, ok := names[id]; ok {
			return name
		}
		return id
	})
}

// projectIDs turns names of projects into ids. Those of known may be given as they are
// shown: who adds a project sends back the ids of deleted ones too, and that of no
// project, which a recovered runner is bound to.
func (s *server) projectIDs(ctx context.Context, names []string, known ...string) ([]string, error) {
	ids := []string{}
	var unknown *hub.Error
	for i, name := range names {
		if slices.Contains(known, name) {
			ids = append(ids, name)
			continue
		}
		p, err := s.project(ctx, name)
		var e *hub.Error
		if errors.As(err, &e) && e.Code == hub.CodeNotFound {
			unknown = alsoWrong(unknown, e, "body.projects["+strconv.Itoa(i)+"]")
			continue
		}
		if err != nil {
			return nil, err
		}
		ids = append(ids, p.ID)
	}
	if unknown != nil {
		return nil, unknown
	}
	return ids, nil
}

func toRunner(r *hub.Runner, load dispatch.RunnerLoad, names map[string]string) Runner {
	out := Runner{
		ID: r.ID, Name: r.Name, Tags: list(r.Tags), Projects: named(r.ProjectIDs, names), State: "disconnected",
		Connected: load.Connected || r.Connected, Draining: r.Draining, Quarantined: r.Quarantined, Version: r.Version, OS: r.OS, Arch: r.Arch,
		Hostname: r.Hostname, Slots: r.Slots, Live: max(load.Live, r.LiveCount), Revision: r.Revision, EnrolledAt: Time(r.EnrolledAt),
		LastSeenAt: timePtr(r.LastSeenAt), CertificateExpiresAt: timePtr(r.CertExpires),
	}
	switch {
	case r.Revoked:
		out.State = "revoked"
	case r.Quarantined != "":
		out.State = "quarantined"
	case out.Connected && r.Draining:
		out.State = "draining"
	case out.Connected:
		out.State = "connected"
	}
	return out
}

func (s *server) listRunners(ctx context.Context, in *listRunnersInput) (*body[RunnerList], error) {
	organisation := principal(ctx).OrganisationID
	runners, next, err := s.Store.ListRunners(ctx, organisation, in.Revoked, in.store())
	if err != nil {
		return nil, err
	}
	names, err := s.projectNames(ctx)
	if err != nil {
		return nil, err
	}
	loads := s.Dispatch.Runners(organisation)
	items := mapped(runners, func(r *hub.Runner) Runner { return toRunner(r, loads[r.ID], names) })
	return &body[RunnerList]{RunnerList{Items: items, Next: next}}, nil
}

// runner finds and renders one.
func (s *server) runner(ctx context.Context, nameOrID string) (Runner, error) {
	organisation := principal(ctx).OrganisationID
	r, err := s.Store.FindRunner(ctx, organisation, nameOrID)
	if err != nil {
		return Runner{}, err
	}
	names, err := s.projectNames(ctx)
	if err != nil {
		return Runner{}, err
	}
	return toRunner(r, s.Dispatch.Runners(organisation)[r.ID], names), nil
}

func (s *server) taggedRunner(ctx context.Context, nameOrID string) (*tagged[Runner], error) {
	r, err := s.runner(ctx, nameOrID)
	if err != nil {
		return nil, err
	}
	return &tagged[Runner]{ETag: etag(r.Revision), Body: r}, nil
}

func (s *server) getRunner(ctx context.Context, in *RunnerPath) (*tagged[Runner], error) {
	return s.taggedRunner(ctx, in.ID)
}

func (s *server) changeRunner(ctx context.Context, in *changeRunnerInput) (*tagged[Runner], error) {
	r, err := s.Store.FindRunner(ctx, principal(ctx).OrganisationID, in.ID)
	if err != nil {
		return nil, err
	}
	if err := in.check(r.Revision, "runner", r.Name); err != nil {
		return nil, err
	}
	if in.Body.Name != nil {
		r.Name = *in.Body.Name
	}
	if in.Body.Tags != nil {
		r.Tags = slices.Compact(slices.Sorted(slices.Values(*in.Body.Tags)))
	}
	if in.Body.Projects != nil {
		if r.ProjectIDs, err = s.projectIDs(ctx, *in.Body.Projects, r.ProjectIDs...); err != nil {
			return nil, err
		}
	}
	return s.updateRunner(ctx, r, "runner.change")
}

// updateRunner stores a changed runner.
func (s *server) updateRunner(ctx context.Context, r *hub.Runner, action string) (*tagged[Runner], error) {
	err := s.Store.InTx(ctx, func(st *store.Store) error {
		changed := *r // another try must see the revision that was read
		if err := st.UpdateRunner(ctx, &changed); err != nil {
			return err
		}
		return s.audit(ctx, st, action, r.Name)
	})
	if err != nil {
		return nil, err
	}
	return s.taggedRunner(ctx, r.ID)
}

func (s *server) revokeRunner(ctx context.Context, in *RunnerPath) (*tagged[Runner], error) {
	return s.judgeRunner(ctx, in.ID, "runner.revoke", func(st *store.Store, r *hub.Runner) error {
		return st.RevokeRunner(ctx, r.OrganisationID, r.ID)
	})
}

func (s *server) releaseRunner(ctx context.Context, in *RunnerPath) (*tagged[Runner], error) {
	return s.judgeRunner(ctx, in.ID, "runner.release", func(st *store.Store, r *hub.Runner) error {
		if r.Draining {
			r.Draining = false
			if err := st.UpdateRunner(ctx, r); err != nil {
				return err
			}
		}
		return st.ReleaseRunner(ctx, r.OrganisationID, r.ID)
	})
}

func (s *server) drainRunner(ctx context.Context, in *RunnerPath) (*tagged[Runner], error) {
	return s.judgeRunner(ctx, in.ID, "runner.drain", func(st *store.Store, r *hub.Runner) error {
		if r.Draining {
			return nil
		}
		r.Draining = true
		return st.UpdateRunner(ctx, r)
	})
}

// judgeRunner does something to a runner and writes it down.
func (s *server) judgeRunner(ctx context.Context, nameOrID, action string, do func(*store.Store, *hub.Runner) error) (*tagged[Runner], error) {
	var id string
	err := s.Store.InTx(ctx, func(st *store.Store) error {
		r, err := st.FindRunner(ctx, principal(ctx).OrganisationID, nameOrID)
		if err != nil {
			return err
		}
		id = r.ID
		if err := do(st, r); err != nil {
			return err
		}
		return s.audit(ctx, st, action, r.Name)
	})
	if err != nil {
		return nil, err
	}
	return s.taggedRunner(ctx, id)
}

func (s *server) toRunnerToken(t *hub.EnrolmentToken, names map[string]string) RunnerToken {
	out := RunnerToken{
		ID: t.ID, Projects: named(t.ProjectIDs, names), Tags: list(t.Tags), CreatedBy: t.CreatedBy, CreatedAt: Time(t.CreatedAt),
		ExpiresAt: Time(t.ExpiresAt), UsedAt: timePtr(t.UsedAt), RunnerID: t.RunnerID, State: "open",
	}
	switch {
	case !t.UsedAt.IsZero():
		out.State = "used"
	case t.Revoked:
		out.State = "revoked"
	case !s.Store.Now().Before(t.ExpiresAt):
		out.State = "expired"
	}
	return out
}

func (s *server) listRunnerTokens(ctx context.Context, in *Page) (*body[RunnerTokenList], error) {
	tokens, next, err := s.Store.EnrolmentTokens(ctx, principal(ctx).OrganisationID, in.store())
	if err != nil {
		return nil, err
	}
	names, err := s.projectNames(ctx)
	if err != nil {
		return nil, err
	}
	items := mapped(tokens, func(t *hub.EnrolmentToken) RunnerToken { return s.toRunnerToken(t, names) })
	return &body[RunnerTokenList]{RunnerTokenList{Items: items, Next: next}}, nil
}

func (s *server) createRunnerToken(ctx context.Context, in *newRunnerTokenInput) (*created[CreatedRunnerToken], error) {
	p := principal(ctx)
	ids, err := s.projectIDs(ctx, in.Body.Projects)
	if err != nil {
		return nil, err
	}
	names, err := s.projectNames(ctx)
	if err != nil {
		return nil, err
	}
	return secretOnce(ctx, s, in.IdempotencyKey, "create-runner-token", in.Body, func(st *store.Store) (*created[CreatedRunnerToken], error) {
		text, t, err := s.CA.In(st).CreateToken(ctx, ca.NewToken{
			OrganisationID: p.OrganisationID, ProjectIDs: ids, Tags: slices.Compact(slices.Sorted(slices.Values(in.Body.Tags))),
			Life: time.Duration(in.Body.TTLMs) * time.Millisecond, By: p.Name,
		})
		if err != nil {
			return nil, err
		}
		if err := s.audit(ctx, st, "runner.token.create", t.ID); err != nil {
			return nil, err
		}
		out := CreatedRunnerToken{RunnerToken: s.toRunnerToken(t, names), Token: text, HubURL: s.PublicURL}
		return &created[CreatedRunnerToken]{Location: "/api/v1/runners/tokens/" + t.ID, Body: out}, nil
	})
}

func (s *server) revokeRunnerToken(ctx context.Context, in *tokenInput) (*empty, error) {
	return &empty{}, s.Store.InTx(ctx, func(st *store.Store) error {
		if err := st.RevokeEnrolmentToken(ctx, principal(ctx).OrganisationID, in.ID); err != nil {
			return err
		}
		return s.audit(ctx, st, "runner.token.revoke", in.ID)
	})
}
