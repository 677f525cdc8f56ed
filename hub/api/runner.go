package api

import (
	"context"
	"net/http"
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

type newRunnerTokenInput struct {
	IdempotencyHeader
	Body NewRunnerToken
}

func (s *server) runnerRoutes() {
	register(s, op{method: http.MethodGet, path: "/runners", id: "list-runners", summary: "List runners", right: read}, s.listRunners)
	register(s, op{method: http.MethodGet, path: "/runners/{id}", id: "get-runner", summary: "Show a runner", right: read}, s.getRunner)
	register(s, op{method: http.MethodPatch, path: "/runners/{id}", id: "change-runner", summary: "Change a runner's name, tags and projects", right: admin}, s.changeRunner)
	register(s, op{method: http.MethodPost, path: "/runners/{id}/revoke", id: "revoke-runner", summary: "Refuse a runner for ever", right: admin}, s.revokeRunner)
	register(s, op{method: http.MethodPost, path: "/runners/{id}/release", id: "release-runner", summary: "Give a quarantined runner work again", right: admin}, s.releaseRunner)
	register(s, op{method: http.MethodPost, path: "/runners/{id}/drain", id: "drain-runner", summary: "Give a runner no more work; release ends it", right: admin}, s.drainRunner)
	register(s, op{method: http.MethodGet, path: "/runners/tokens", id: "list-runner-tokens", summary: "List enrolment tokens", right: admin}, s.listRunnerTokens)
	register(s, op{method: http.MethodPost, path: "/runners/tokens", id: "create-runner-token", summary: "Create a one-use enrolment token", right: admin, status: http.StatusCreated}, s.createRunnerToken)
	register(s, op{method: http.MethodDelete, path: "/runners/tokens/{id}", id: "revoke-runner-token", summary: "Revoke an enrolment token", right: admin}, s.revokeRunnerToken)
}

func (s *server) listRunners(ctx context.Context, in *empty) (*body[RunnerList], error) { panic("") }
func (s *server) getRunner(ctx context.Context, in *RunnerPath) (*tagged[Runner], error) {
	panic("")
}
func (s *server) changeRunner(ctx context.Context, in *changeRunnerInput) (*tagged[Runner], error) {
	panic("")
}
func (s *server) revokeRunner(ctx context.Context, in *RunnerPath) (*tagged[Runner], error) {
	panic("")
}
func (s *server) releaseRunner(ctx context.Context, in *RunnerPath) (*tagged[Runner], error) {
	panic("")
}
func (s *server) drainRunner(ctx context.Context, in *RunnerPath) (*tagged[Runner], error) {
	panic("")
}
func (s *server) listRunnerTokens(ctx context.Context, in *empty) (*body[RunnerTokenList], error) {
	panic("")
}
func (s *server) createRunnerToken(ctx context.Context, in *newRunnerTokenInput) (*created[CreatedRunnerToken], error) {
	panic("")
}
func (s *server) revokeRunnerToken(ctx context.Context, in *tokenInput) (*empty, error) { panic("") }
