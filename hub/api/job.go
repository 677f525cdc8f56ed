package api

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/dispatch"
	"github.com/fairlead/fairlead/hub/rundeck"
	"github.com/fairlead/fairlead/hub/store"
)

type listJobsInput struct {
	ProjectPath
	Page
	Search string `query:"search" maxLength:"200" doc:"Part of group/name, any case"`
}

type importJobsInput struct {
	ProjectPath
	IdempotencyHeader
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

func (s *server) listJobs(ctx context.Context, in *listJobsInput) (*body[JobList], error) {
	p, err := s.project(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	jobs, next, err := s.Store.Jobs(ctx, p.ID, store.JobQuery{Search: in.Search, Page: in.store()})
	if err != nil {
		return nil, err
	}
	items := mapped(jobs, func(j *hub.Job) JobSummary { return toJobSummary(j, p.Name) })
	return &body[JobList]{JobList{Items: items, Next: next}}, nil
}

// errDryRun undoes an import that was only to be tried.
var errDryRun = errors.New("dry run")

func (s *server) importJobs(ctx context.Context, in *importJobsInput) (*body[JobImport], error) {
	p, err := s.project(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	jobs, report := rundeck.ParseJobs(in.RawBody)
	if err := report.Err(); err != nil {
		return nil, err
	}
	if in.DryRun {
		in.IdempotencyKey = "" // nothing is done that a repeat could do twice
	}
	r, err := s.newRequest(ctx, in.IdempotencyKey, "import-jobs "+p.ID, in.RawBody)
	if err != nil {
		return nil, err
	}
	out := &JobImport{DryRun: in.DryRun, Warnings: mapped(report.Warnings, toFieldProblem)}
	done, err := onceJSON(ctx, s, r, func(st *store.Store) (*JobImport, error) {
		var err error
		if out.Items, err = s.importAll(ctx, st, p, jobs); err != nil {
			return nil, err
		}
		if in.DryRun {
			return nil, errDryRun
		}
		return out, nil
	})
	if errors.Is(err, errDryRun) {
		withoutNewIDs(out.Items)
		return &body[JobImport]{*out}, nil
	}
	if err != nil {
		return nil, err
	}
	return &body[JobImport]{*done}, nil
}

// importAll stores the jobs of a file.
func (s *server) importAll(ctx context.Context, st *store.Store, p *hub.Project, jobs []rundeck.ParsedJob) ([]ImportedJob, error) {
	items := []ImportedJob{}
	var wrong *hub.Error
	for _, parsed := range jobs {
		done, err := s.importJob(ctx, st, p, parsed.Job)
		var e *hub.Error
		if errors.As(err, &e) && (e.Code == hub.CodeInvalid || e.Code == hub.CodeConflict) {
			wrong = alsoWrong(wrong, e, "["+strconv.Itoa(parsed.Index)+"]")
			continue // the other jobs' problems are told too
		}
		if err != nil {
			return nil, err
		}
		items = append(items, done)
	}
	if wrong != nil {
		return nil, wrong
	}
	return items, nil
}

// alsoWrong adds to what is wrong with a file what is wrong with one of its jobs.
func alsoWrong(wrong, e *hub.Error, path string) *hub.Error {
	if wrong == nil {
		wrong = &hub.Error{Code: e.Code, Message: e.Message, Cause: e}
	}
	wrong.Fields = append(wrong.Fields, hub.FieldError{Path: path, Message: e.Message})
	return wrong
}

// importJob stores one job of a file.
func (s *server) importJob(ctx context.Context, st *store.Store, p *hub.Project, job *hub.Job) (ImportedJob, error) {
	j := *job
	j.OrganisationID, j.ProjectID = p.OrganisationID, p.ID
	// What a file says beside the definition (its order, its comments) makes no new
	// revision; the source is written anew for who asks.
	j.Source = ""
	change, err := st.PutJob(ctx, &j, principal(ctx).Name)
	if err != nil {
		return ImportedJob{}, err
	}
	if change != store.JobUnchanged {
		if err := s.audit(ctx, st, "job.import", p.Name+"/"+j.FullName()); err != nil {
			return ImportedJob{}, err
		}
	}
	out := ImportedJob{ID: j.ID, UUID: j.UUID, Name: j.Name, Group: j.Group, Result: string(change), Revision: j.Revision}
	if change == store.JobUpdated {
		out.Replaced = j.Revision - 1
	}
	return out, nil
}

// withoutNewIDs leaves out ids that were made in a transaction that was undone.
func withoutNewIDs(items []ImportedJob) {
	for i := range items {
		if items[i].Result == string(store.JobCreated) {
			items[i].ID = ""
		}
	}
}

func toFieldProblem(f hub.FieldError) FieldProblem {
	return FieldProblem{Path: f.Path, Message: f.Message}
}

// job finds the job of a path.
func (s *server) job(ctx context.Context, in *JobPath) (*hub.Project, *hub.Job, error) {
	p, err := s.project(ctx, in.Project)
	if err != nil {
		return nil, nil, err
	}
	j, err := s.Store.Job(ctx, p.ID, in.Job)
	return p, j, err
}

func (s *server) getJob(ctx context.Context, in *JobPath) (*tagged[Job], error) {
	p, j, err := s.job(ctx, in)
	if err != nil {
		return nil, err
	}
	source, err := rundeck.FormatJobs([]*hub.Job{j})
	if err != nil {
		return nil, err
	}
	out := toJob(j, p.Name)
	out.Source = string(source)
	return &tagged[Job]{ETag: etag(j.Revision), Body: out}, nil
}

func (s *server) exportJob(ctx context.Context, in *JobPath) (*huma.StreamResponse, error) {
	_, j, err := s.job(ctx, in)
	if err != nil {
		return nil, err
	}
	return download([]*hub.Job{j})
}

func (s *server) exportJobs(ctx context.Context, in *ProjectPath) (*huma.StreamResponse, error) {
	p, err := s.project(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	var all []*hub.Job
	page := store.Page{Limit: 1000}
	for {
		jobs, next, err := s.Store.Jobs(ctx, p.ID, store.JobQuery{Page: page})
		if err != nil {
			return nil, err
		}
		all = append(all, jobs...)
		if next == "" {
			return download(all)
		}
		page.Cursor = next
	}
}

// download answers with jobs as a file.
func download(jobs []*hub.Job) (*huma.StreamResponse, error) {
	file, err := rundeck.FormatJobs(jobs)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		ctx.SetHeader("Content-Type", "application/yaml")
		ctx.SetHeader("Content-Disposition", `attachment; filename="jobs.yaml"`)
		_, _ = bytes.NewReader(file).WriteTo(ctx.BodyWriter()) // the client is gone if this fails
	}}, nil
}

func (s *server) deleteJob(ctx context.Context, in *deleteJobInput) (*empty, error) {
	p, j, err := s.job(ctx, &in.JobPath)
	if err != nil {
		return nil, err
	}
	if err := in.check(j.Revision, "job", j.FullName()); err != nil {
		return nil, err
	}
	return &empty{}, s.Store.InTx(ctx, func(st *store.Store) error {
		if err := st.DeleteJob(ctx, p.ID, j.ID, in.revision(j.Revision)); err != nil {
			return err
		}
		return s.audit(ctx, st, "job.delete", p.Name+"/"+j.FullName())
	})
}

func (s *server) runJob(ctx context.Context, in *runJobInput) (*created[Execution], error) {
	found, err := s.Dispatch.JobToRun(ctx, principal(ctx).OrganisationID, in.Project, in.Job)
	if err != nil {
		return nil, err
	}
	p, j := found.Project, found.Job
	if filter := in.Body.NodeFilter; !strings.Contains(filter, "${") { // else it can be read once it has its values
		if err := checkFilters("", filterAt{"body.nodeFilter", filter}); err != nil {
			return nil, err
		}
	}
	start := dispatch.StartRequest{
		ProjectID: p.ID, Project: p, JobID: j.ID, Definition: j, Quota: found.Quota, Options: in.Body.Options, NodeFilter: in.Body.NodeFilter, Nodes: in.Body.Nodes,
		Threads: in.Body.Threadcount, Keepgoing: in.Body.Keepgoing,
		RunAt: timeOf(in.Body.RunAt),
	}
	return s.start(ctx, p, start, in.IdempotencyKey, in.WaitQuery, struct {
		Job string
		Run RunJob
	}{j.ID, in.Body})
}

// commandJob is the definition that an ad-hoc command is.
func commandJob(in *RunCommand) (*hub.Job, error) {
	if (in.Command == "") == (in.Script == "") {
		const message = "Give either command or script."
		return nil, hub.Invalid(message, []hub.FieldError{{Path: "body.command", Message: message}, {Path: "body.script", Message: message}})
	}
	if err := checkFilters("", filterAt{"body.nodeFilter", in.NodeFilter}); err != nil {
		return nil, err
	}
	step := hub.Step{Exec: in.Command}
	if in.Script != "" {
		step.Script = &hub.Script{Text: in.Script, Args: in.Args, Interpreter: in.Interpreter}
	}
	j := &hub.Job{
		Name: shortened(cmp.Or(in.Command, scriptLabel(in.Script))), LogLevel: "INFO",
		Workflow: hub.Workflow{Strategy: hub.StrategyNodeFirst, Steps: []hub.Step{step}},
		Dispatch: hub.Dispatch{
			Nodes: in.NodeFilter != "", Filter: in.NodeFilter, Keepgoing: in.Keepgoing, ExcludePrecedence: true,
		},
	}
	if in.Threadcount > 0 {
		j.Dispatch.Threadcount = strconv.Itoa(in.Threadcount)
	}
	if in.TimeoutMs > 0 {
		j.Timeout = strconv.FormatInt(int64((time.Duration(in.TimeoutMs)*time.Millisecond+time.Second-1)/time.Second), 10)
	}
	return j, nil
}
