package api

import (
	"context"
	"net/http"
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

func (s *server) listProjects(ctx context.Context, in *Page) (*body[ProjectList], error) { panic("") }
func (s *server) createProject(ctx context.Context, in *newProjectInput) (*created[Project], error) {
	panic("")
}
func (s *server) getProject(ctx context.Context, in *ProjectPath) (*tagged[Project], error) {
	panic("")
}
func (s *server) changeProject(ctx context.Context, in *changeProjectInput) (*tagged[Project], error) {
	panic("")
}
func (s *server) deleteProject(ctx context.Context, in *deleteProjectInput) (*empty, error) {
	panic("")
}
