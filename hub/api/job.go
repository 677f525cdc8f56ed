package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

type listJobsInput struct {
	ProjectPath
	Page
	Search string `query:"search" maxLength:"200" doc:"Part of group/name, any case"`
}

type importJobsInput struct {
	ProjectPath
	DryRun  bool   `query:"dryRun" doc:"Check and report, change nothing"`
	RawBody []byte `contentType:"application/yaml"`
}

// JobPath names a job in a path.
type JobPath struct {
	ProjectPath
	Job string `path:"job" maxLength:"1000" doc:"Id, group/name (escaped), or a name that is unique in the project"`
}

type deleteJobInput struct {
	JobPath
	IfMatchHeader
}

type runJobInput struct {
	JobPath
	IdempotencyHeader
	WaitQuery
	Body RunJob
}

func (s *server) jobRoutes() {
	register(s, op{method: http.MethodGet, path: "/projects/{project}/jobs", id: "list-jobs", summary: "List jobs by group and name", right: read}, s.listJobs)
	register(s, op{method: http.MethodPost, path: "/projects/{project}/jobs/import", id: "import-jobs", summary: "Create or update jobs from a Rundeck YAML file, all or none", right: admin, maxBody: maxImport, takes: []string{"application/yaml"}}, s.importJobs)
	register(s, op{method: http.MethodGet, path: "/projects/{project}/jobs/{job}", id: "get-job", summary: "Show a job", right: read}, s.getJob)
	register(s, op{method: http.MethodGet, path: "/projects/{project}/jobs/{job}/export", id: "export-job", summary: "Download a job as a Rundeck YAML file", right: read, gives: []string{"application/yaml"}}, s.exportJob)
	register(s, op{method: http.MethodGet, path: "/projects/{project}/export/jobs", id: "export-jobs", summary: "Download all jobs as a Rundeck YAML file", right: read, gives: []string{"application/yaml"}}, s.exportJobs)
	register(s, op{method: http.MethodDelete, path: "/projects/{project}/jobs/{job}", id: "delete-job", summary: "Delete a job; its executions stay", right: admin}, s.deleteJob)
	register(s, op{method: http.MethodPost, path: "/projects/{project}/jobs/{job}/executions", id: "run-job", summary: "Run a job", right: run, status: http.StatusCreated}, s.runJob)
}

func (s *server) listJobs(ctx context.Context, in *listJobsInput) (*body[JobList], error) { panic("") }
func (s *server) importJobs(ctx context.Context, in *importJobsInput) (*body[JobImport], error) {
	panic("")
}
func (s *server) getJob(ctx context.Context, in *JobPath) (*tagged[Job], error) { panic("") }
func (s *server) exportJob(ctx context.Context, in *JobPath) (*huma.StreamResponse, error) {
	panic("")
}
func (s *server) exportJobs(ctx context.Context, in *ProjectPath) (*huma.StreamResponse, error) {
	panic("")
}
func (s *server) deleteJob(ctx context.Context, in *deleteJobInput) (*empty, error) { panic("") }
func (s *server) runJob(ctx context.Context, in *runJobInput) (*created[Execution], error) {
	panic("")
}
