package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// ProjectPath names a project in a path.
type ProjectPath struct {
	Project string `path:"project" maxLength:"100" doc:"Name or id of the project"`
}

type newProjectInput struct {
	IdempotencyHeader
	Body NewProject
}

type changeProjectInput struct {
	ProjectPath
	IfMatchHeader
	Body ProjectChange
}

type deleteProjectInput struct {
	ProjectPath
	IfMatchHeader
}

func (s *server) projectRoutes() {
	register(s, op{method: http.MethodGet, path: "/projects", id: "list-projects", summary: "List projects", right: read}, s.listProjects)
	register(s, op{method: http.MethodPost, path: "/projects", id: "create-project", summary: "Create a project", right: admin, status: http.StatusCreated}, s.createProject)
	register(s, op{method: http.MethodGet, path: "/projects/{project}", id: "get-project", summary: "Show a project", right: read}, s.getProject)
	register(s, op{method: http.MethodPatch, path: "/projects/{project}", id: "change-project", summary: "Change a project", right: admin}, s.changeProject)
	register(s, op{method: http.MethodDelete, path: "/projects/{project}", id: "delete-project", summary: "Delete a project with its jobs and nodes", right: admin}, s.deleteProject)
}

// project finds the project of a path in the caller's organisation.
func (s *server) project(ctx context.Context, nameOrID string) (*hub.Project, error) {
	return s.Store.Project(ctx, principal(ctx).OrganisationID, nameOrID)
}

func (s *server) listProjects(ctx context.Context, in *Page) (*body[ProjectList], error) {
	items, next, err := s.Store.Projects(ctx, principal(ctx).OrganisationID, in.store())
	if err != nil {
		return nil, err
	}
	return &body[ProjectList]{ProjectList{Items: mapped(items, s.toProject), Next: next}}, nil
}

func (s *server) createProject(ctx context.Context, in *newProjectInput) (*created[Project], error) {
	r, err := s.newRequest(ctx, in.IdempotencyKey, "create-project", in.Body)
	if err != nil {
		return nil, err
	}
	if err := checkRoutes(in.Body.Routes); err != nil {
		return nil, err
	}
	if err := s.checkSettings(in.Body.Settings, nil); err != nil {
		return nil, err
	}
	p := &hub.Project{
		OrganisationID: principal(ctx).OrganisationID, Name: in.Body.Name, Description: in.Body.Description,
		Settings: in.Body.Settings, Routes: fromRoutes(in.Body.Routes),
	}
	id, again, err := s.once(ctx, r, func(st *store.Store) (string, error) {
		if err := st.CreateProject(ctx, p); err != nil {
			return "", err
		}
		return p.ID, s.audit(ctx, st, "project.create", p.Name)
	})
	if err == nil && again {
		p, err = s.project(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	return &created[Project]{Location: "/api/v1/projects/" + p.Name, ETag: etag(p.Revision), Body: s.toProject(p)}, nil
}

// checkRoutes refuses filters that would route nothing when it matters, and tags that no
// runner can bear: what they route would wait for ever.
func checkRoutes(routes []Route) error {
	var filters []filterAt
	var tags []hub.FieldError
	for i, r := range routes {
		at := "body.routes[" + strconv.Itoa(i) + "]"
		filters = append(filters, filterAt{at + ".filter", r.Filter})
		for _, tag := range r.Tags {
			if !hub.IsTag(tag) {
				tags = append(tags, hub.FieldError{Path: at + ".tags", Message: strconv.Quote(tag) + " is no tag of a runner: letters and digits, then also . _ : - (at most 128)"})
			}
		}
	}
	if err := hub.Invalid("The project's routes hold tags that no runner bears.", tags); err != nil {
		return err
	}
	return checkFilters("The project's routes hold a node filter that cannot be read.", filters...)
}

func (s *server) getProject(ctx context.Context, in *ProjectPath) (*tagged[Project], error) {
	p, err := s.project(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	return &tagged[Project]{ETag: etag(p.Revision), Body: s.toProject(p)}, nil
}

func (s *server) changeProject(ctx context.Context, in *changeProjectInput) (*tagged[Project], error) {
	p, err := s.project(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	if err := in.check(p.Revision, "project", p.Name); err != nil {
		return nil, err
	}
	if in.Body.Description != nil {
		p.Description = *in.Body.Description
	}
	if in.Body.Settings != nil {
		if err := s.checkSettings(*in.Body.Settings, p.Settings); err != nil {
			return nil, err
		}
		p.Settings = *in.Body.Settings
	}
	if in.Body.Routes != nil {
		if err := checkRoutes(*in.Body.Routes); err != nil {
			return nil, err
		}
		p.Routes = fromRoutes(*in.Body.Routes)
	}
	var changed hub.Project
	err = s.Store.InTx(ctx, func(st *store.Store) error {
		changed = *p // another try must see the revision that was read
		if err := st.UpdateProject(ctx, &changed); err != nil {
			return err
		}
		return s.audit(ctx, st, "project.change", p.Name)
	})
	if err != nil {
		return nil, err
	}
	return &tagged[Project]{ETag: etag(changed.Revision), Body: s.toProject(&changed)}, nil
}

func (s *server) deleteProject(ctx context.Context, in *deleteProjectInput) (*empty, error) {
	p, err := s.project(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	if err := in.check(p.Revision, "project", p.Name); err != nil {
		return nil, err
	}
	return &empty{}, s.Store.InTx(ctx, func(st *store.Store) error {
		if err := st.DeleteProject(ctx, p.OrganisationID, p.ID, in.revision(p.Revision)); err != nil {
			return err
		}
		return s.audit(ctx, st, "project.delete", p.Name)
	})
}

// etag is a revision as a header.
func etag(revision int64) string { return strconv.Quote(strconv.FormatInt(revision, 10)) }

// check compares If-Match with what is there. A change without it is refused: two
// people who edit at once must find out. Where nothing is yet (revision 0) there is
// nothing to overwrite, and no need of it.
func (h IfMatchHeader) check(revision int64, noun, name string) error {
	switch tag := strings.TrimPrefix(strings.TrimSpace(h.IfMatch), "W/"); tag {
	case "":
		if revision == 0 {
			return nil
		}
		return newProblem(http.StatusPreconditionRequired,
			"The "+noun+" \""+name+"\" is there already: a change needs the header If-Match with the ETag of what it is based on, or * for whatever is there.")
	case "*", etag(revision):
		return nil
	default:
		return newProblem(http.StatusPreconditionFailed,
			"The "+noun+" \""+name+"\" was changed meanwhile: read it again and repeat your change.")
	}
}

// revision is what the store should still find: any for *.
func (h IfMatchHeader) revision(current int64) int64 {
	if strings.TrimSpace(h.IfMatch) == "*" {
		return 0
	}
	return current
}

// store is the page as the store takes it.
func (p Page) store() store.Page { return store.Page{Limit: p.Limit, Cursor: p.Cursor} }
