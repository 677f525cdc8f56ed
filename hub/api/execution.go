package api

import (
	"context"
	"net/http"
)

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
	Project string   `query:"project" maxLength:"100"`
	Job     string   `query:"job" maxLength:"1000" doc:"Id of a job, or its name with a project"`
	Status  []string `query:"status" doc:"Any of these states"`
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
	Body CancelExecution
}

type executionNodesInput struct {
	ExecutionPath
	Page
	Status []string `query:"status" doc:"Rows in any of these states"`
}

func (s *server) executionRoutes() {
	register(s, op{method: http.MethodPost, path: "/projects/{project}/executions", id: "run-command", summary: "Run a command or script on nodes", right: run, status: http.StatusCreated}, s.runCommand)
	register(s, op{method: http.MethodGet, path: "/executions", id: "list-executions", summary: "List executions, newest first", right: read}, s.listExecutions)
	register(s, op{method: http.MethodGet, path: "/executions/{id}", id: "get-execution", summary: "Show an execution", right: read}, s.getExecution)
	register(s, op{method: http.MethodPost, path: "/executions/{id}/cancel", id: "cancel-execution", summary: "Cancel an execution or single nodes of it", right: run}, s.cancelExecution)
	register(s, op{method: http.MethodGet, path: "/executions/{id}/nodes", id: "list-execution-nodes", summary: "The matrix of nodes and steps", right: read}, s.listExecutionNodes)
}

func (s *server) runCommand(ctx context.Context, in *runCommandInput) (*created[Execution], error) {
	panic("")
}
func (s *server) listExecutions(ctx context.Context, in *listExecutionsInput) (*body[ExecutionList], error) {
	panic("")
}
func (s *server) getExecution(ctx context.Context, in *getExecutionInput) (*body[Execution], error) {
	panic("")
}
func (s *server) cancelExecution(ctx context.Context, in *cancelInput) (*body[Execution], error) {
	panic("")
}
func (s *server) listExecutionNodes(ctx context.Context, in *executionNodesInput) (*body[ExecutionNodeList], error) {
	panic("")
}
