package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/dispatch"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/workflow"
)

// maxWait bounds how long a request may wait for an execution.
const maxWait = 10 * time.Minute

// WaitQuery lets a request wait until its execution is final.
type WaitQuery struct {
	Wait string `query:"wait" maxLength:"20" doc:"Answer only when the execution is final, or after this long (30s, 5m; at most 10m)"`
}

type runCommandInput struct {
	ProjectPath
	IdempotencyHeader
	WaitQuery
	Body RunCommand
}

type listExecutionsInput struct {
	Page
	StatusFilter
	Project string `query:"project" maxLength:"100"`
	Job     string `query:"job" maxLength:"1000" doc:"Id of a job, or its name with a project"`
}

// ExecutionPath names an execution in a path.
type ExecutionPath struct {
	ID string `path:"id" maxLength:"100" doc:"Id or number"`
}

type getExecutionInput struct {
	ExecutionPath
	WaitQuery
}

type cancelInput struct {
	ExecutionPath
	IdempotencyHeader
	Body CancelExecution
}

type executionNodesInput struct {
	ExecutionPath
	Page
	StatusFilter
}

func (s *server) executionRoutes() {
	register(s, op{method: http.MethodPost, path: "/projects/{project}/executions", id: "run-command", summary: "Run a command or script on nodes", right: run, status: http.StatusCreated}, s.runCommand)
	register(s, op{method: http.MethodGet, path: "/executions", id: "list-executions", summary: "List executions, newest first", right: read}, s.listExecutions)
	register(s, op{method: http.MethodGet, path: "/executions/{id}", id: "get-execution", summary: "Show an execution", right: read}, s.getExecution)
	register(s, op{method: http.MethodPost, path: "/executions/{id}/cancel", id: "cancel-execution", summary: "Cancel an execution or single nodes of it", right: run}, s.cancelExecution)
	register(s, op{method: http.MethodGet, path: "/executions/{id}/nodes", id: "list-execution-nodes", summary: "The matrix of nodes and steps", right: read}, s.listExecutionNodes)
}

// duration reads the wait; 0: answer at once.
func (w WaitQuery) duration() (time.Duration, error) {
	if w.Wait == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(w.Wait)
	if err != nil || d < 0 {
		return 0, hub.Invalid("The wait cannot be read.", []hub.FieldError{{Path: "query.wait", Message: "a duration like 30s or 5m"}})
	}
	return min(d, maxWait), nil
}

func (s *server) runCommand(ctx context.Context, in *runCommandInput) (*created[Execution], error) {
	p, err := s.project(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	definition, err := commandJob(&in.Body)
	if err != nil {
		return nil, err
	}
	start := dispatch.StartRequest{ProjectID: p.ID, Project: p, Definition: definition, Nodes: in.Body.Nodes}
	start.RunAt = timeOf(in.Body.RunAt)
	return s.start(ctx, p, start, in.IdempotencyKey, in.WaitQuery, in.Body)
}

// checkRunAt refuses a time to start that is over or too far ahead; zero is at once.
func checkRunAt(at, now time.Time) error {
	var wrong string
	switch {
	case at.IsZero():
		return nil
	case !at.After(now):
		wrong = "is in the past: by the database's clock it is " + now.UTC().Format(timeFormat)
	case at.After(now.Add(hub.MaxAhead)):
		wrong = fmt.Sprintf("is more than %d days ahead", hub.MaxAhead/(24*time.Hour))
	default:
		return nil
	}
	return hub.Invalid("The time "+at.Format(time.RFC3339)+" to run at "+wrong+".", []hub.FieldError{{Path: "body.runAt", Message: wrong}})
}

// start begins an execution, or finds the one that the same request began before, and
// waits for its end if that was asked for.
func (s *server) start(ctx context.Context, p *hub.Project, start dispatch.StartRequest, key string, wait WaitQuery, input any) (*created[Execution], error) {
	patience, err := wait.duration()
	if err != nil {
		return nil, err
	}
	r, err := s.newRequest(ctx, key, "run "+p.ID, input)
	if err != nil {
		return nil, err
	}
	id, err := s.earlier(ctx, r)
	if err != nil {
		return nil, err
	}
	var e *store.ExecutionRow
	if id == "" {
		e, err = s.startNew(ctx, r, start)
		if errors.Is(err, errRepeated) {
			id, err = s.earlier(ctx, r)
		}
	}
	if err == nil && e == nil {
		e, err = s.Dispatch.Execution(ctx, principal(ctx).OrganisationID, id)
	}
	if err == nil && patience > 0 {
		e, err = s.wait(ctx, e, id == "", patience)
	}
	if err != nil {
		return nil, err
	}
	out, err := s.single(ctx, e, p.Name)
	if err != nil {
		return nil, err
	}
	return &created[Execution]{Location: "/api/v1/executions/" + e.ID, Body: out}, nil
}

// startNew begins an execution, with key and audit in the same transaction.
func (s *server) startNew(ctx context.Context, r request, start dispatch.StartRequest) (*store.ExecutionRow, error) {
	// A repeat of a request that was answered before does not come here.
	if err := checkRunAt(start.RunAt, s.Store.Now()); err != nil {
		return nil, err
	}
	p := principal(ctx)
	start.OrganisationID, start.By = p.OrganisationID, p.Name
	event := done(ctx, "execution.start", start.Definition.FullName())
	start.Audit = &event
	if r.key != "" {
		start.InTx = func(ctx context.Context, st *store.Store, e *hub.Execution) error { return r.keep(ctx, st, e.ID) }
	}
	return s.Dispatch.Start(ctx, start)
}

// wait returns the execution when it is final, or as it is when patience is over; started
// tells that it was begun for this request. Who has lost the right to ask meanwhile is
// told nothing.
func (s *server) wait(ctx context.Context, e *store.ExecutionRow, started bool, patience time.Duration) (*store.ExecutionRow, error) {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s.cancelWhenDone(waiting, cancel)
	e, err := s.Dispatch.Wait(waiting, e, started)
	// Within some seconds the answer of before is given again, and costs no query.
	if r, ok := ctx.Value(requestKey{}).(*http.Request); ok && err == nil {
		if _, aerr := s.Auth.Authenticate(r); refusal(aerr) {
			return nil, aerr
		}
	}
	return e, err
}

// cancelWhenDone ends a wait when the server shuts down.
func (s *server) cancelWhenDone(ctx context.Context, cancel func()) {
	if s.Done == nil {
		return
	}
	go func() {
		select {
		case <-s.Done:
			cancel()
		case <-ctx.Done():
		}
	}()
}

// single renders an execution with its detail, and its nodes counted while it runs.
func (s *server) single(ctx context.Context, e *store.ExecutionRow, project string) (Execution, error) {
	counts, err := s.Dispatch.Counts(ctx, []*store.ExecutionRow{e})
	if err != nil {
		return Execution{}, err
	}
	e.NodeCounts = counts[e.ID]
	return withDetail(s.toExecution(&e.Execution, project), &e.Execution), nil
}

// executionByID finds the execution of a path, with the name of its project.
func (s *server) executionByID(ctx context.Context, id string) (*store.ExecutionRow, string, error) {
	e, err := s.Dispatch.Execution(ctx, principal(ctx).OrganisationID, id)
	if err != nil {
		return nil, "", err
	}
	name, err := s.projectName(ctx, e.ProjectID)
	return e, name, err
}

// projectName is the name of a project, or its id when it was deleted since.
func (s *server) projectName(ctx context.Context, id string) (string, error) {
	p, err := s.Store.Project(ctx, principal(ctx).OrganisationID, id)
	switch {
	case hub.ErrorCode(err) == hub.CodeNotFound:
		return id, nil
	case err != nil:
		return "", err
	}
	return p.Name, nil
}

func (s *server) listExecutions(ctx context.Context, in *listExecutionsInput) (*body[ExecutionList], error) {
	f := store.ExecutionFilter{OrganisationID: principal(ctx).OrganisationID, JobID: in.Job, Limit: in.Limit + 1}
	if in.Cursor != "" {
		n, err := strconv.ParseInt(in.Cursor, 10, 64)
		if err != nil || n < 1 {
			return nil, store.BadCursor(err)
		}
		f.Before = n
	}
	var err error
	if f.Statuses, err = in.statuses(); err != nil {
		return nil, err
	}
	if in.Project != "" {
		p, err := s.project(ctx, in.Project)
		if err != nil {
			return nil, err
		}
		f.ProjectID = p.ID
		if in.Job != "" {
			j, err := s.Store.Job(ctx, p.ID, in.Job)
			if err != nil {
				return nil, err
			}
			f.JobID = j.ID
		}
	}
	rows, err := s.Store.ListExecutions(ctx, f)
	if err != nil {
		return nil, err
	}
	var out ExecutionList
	if len(rows) > in.Limit {
		rows = rows[:in.Limit]
		out.Next = strconv.FormatInt(rows[in.Limit-1].Number, 10)
	}
	if out.Items, err = s.listed(ctx, rows); err != nil {
		return nil, err
	}
	return &body[ExecutionList]{out}, nil
}

// listed renders the executions of a list.
func (s *server) listed(ctx context.Context, rows []*store.ExecutionRow) ([]Execution, error) {
	counts, err := s.Dispatch.Counts(ctx, rows)
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	out := make([]Execution, 0, len(rows))
	for _, row := range rows {
		name, ok := names[row.ProjectID]
		if !ok {
			if name, err = s.projectName(ctx, row.ProjectID); err != nil {
				return nil, err
			}
			names[row.ProjectID] = name
		}
		row.NodeCounts = counts[row.ID]
		out = append(out, s.toExecution(&row.Execution, name))
	}
	return out, nil
}

func (s *server) getExecution(ctx context.Context, in *getExecutionInput) (*body[Execution], error) {
	patience, err := in.duration()
	if err != nil {
		return nil, err
	}
	e, project, err := s.executionByID(ctx, in.ID)
	if err == nil && patience > 0 && !e.Status.Final() {
		e, err = s.wait(ctx, e, false, patience)
	}
	if err != nil {
		return nil, err
	}
	out, err := s.single(ctx, e, project)
	if err != nil {
		return nil, err
	}
	return &body[Execution]{out}, nil
}

func (s *server) cancelExecution(ctx context.Context, in *cancelInput) (*body[Execution], error) {
	e, project, err := s.executionByID(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	r, err := s.newRequest(ctx, in.IdempotencyKey, "cancel "+e.ID, in.Body)
	if err != nil {
		return nil, err
	}
	if err := s.cancel(ctx, r, &e.Execution, in.Body.Nodes); err != nil {
		return nil, err
	}
	if e, err = s.Dispatch.Execution(ctx, e.OrganisationID, e.ID); err != nil {
		return nil, err
	}
	out, err := s.single(ctx, e, project)
	if err != nil {
		return nil, err
	}
	return &body[Execution]{out}, nil
}

// cancel ends an execution or nodes of it, unless the same request did so before: a
// repeat that comes when it has ended is no conflict then.
func (s *server) cancel(ctx context.Context, r request, e *hub.Execution, nodes []string) error {
	done, err := s.earlier(ctx, r)
	if err != nil || done != "" {
		return err
	}
	number := strconv.FormatInt(e.Number, 10)
	err = s.Dispatch.Cancel(ctx, e.OrganisationID, e.ID, dispatch.CancelRequest{
		Nodes: nodes, By: principal(ctx).Name, InTx: func(ctx context.Context, st *store.Store) error {
			if err := r.keep(ctx, st, number); err != nil {
				return err
			}
			return s.audit(ctx, st, "execution.cancel", number)
		},
	})
	if errors.Is(err, errRepeated) {
		_, err = s.earlier(ctx, r)
	}
	return err
}

func (s *server) listExecutionNodes(ctx context.Context, in *executionNodesInput) (*body[ExecutionNodeList], error) {
	wanted, err := in.statuses()
	if err != nil {
		return nil, err
	}
	e, _, err := s.executionByID(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	rows, err := s.matrix(ctx, &e.Execution)
	if err != nil {
		return nil, err
	}
	if len(wanted) > 0 {
		rows = slices.DeleteFunc(rows, func(r ExecutionNode) bool { return !slices.Contains(wanted, hub.Status(r.Status)) })
	}
	items, next, err := slicePage(rows, in.Page)
	if err != nil {
		return nil, err
	}
	if err := s.nameRunners(ctx, &e.Execution, items); err != nil {
		return nil, err
	}
	return &body[ExecutionNodeList]{ExecutionNodeList{Items: items, Next: next, Total: len(rows)}}, nil
}

// matrix is the rows of an execution's nodes, in rank order.
func (s *server) matrix(ctx context.Context, e *hub.Execution) ([]ExecutionNode, error) {
	steps, err := s.Dispatch.Matrix(ctx, e.OrganisationID, e.ID)
	if err != nil {
		return nil, err
	}
	rows := make([]ExecutionNode, len(e.Nodes))
	for i, n := range e.Nodes {
		rows[i] = ExecutionNode{Node: n.Name, Position: i, Steps: []StepOn{}}
	}
	folded := workflow.Fold(&e.Definition.Workflow, steps, nil)
	for i := range steps {
		n := &steps[i]
		if n.Node < 0 || n.Node >= len(rows) {
			continue
		}
		row := &rows[n.Node]
		row.Steps = append(row.Steps, toStepOn(n))
		if n.AttemptID != "" {
			row.attemptID = n.AttemptID
		}
	}
	for i := range rows {
		rows[i].Status = Status(workflow.NodeStatus(mapped(rows[i].Steps, func(s StepOn) hub.Status { return hub.Status(s.Status) }), folded.Nodes[i]))
	}
	return rows, nil
}

// nameRunners tells of the rows which runner has them.
func (s *server) nameRunners(ctx context.Context, e *hub.Execution, rows []ExecutionNode) error {
	attempts, err := s.Store.AttemptsOf(ctx, e.ID)
	if err != nil {
		return err
	}
	runners := make(map[string]string, len(attempts))
	for _, a := range attempts {
		runners[a.AttemptID] = a.RunnerID
	}
	for i := range rows {
		rows[i].RunnerID = runners[rows[i].attemptID]
	}
	return nil
}
