package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

type eventsInput struct {
	Follow  bool   `query:"follow" doc:"Stay and tell what changes, as NDJSON; without it: one hello"`
	Project string `query:"project" maxLength:"100" doc:"Executions of this project alone"`
}

func (s *server) eventRoutes() {
	register(s, op{method: http.MethodGet, path: "/events", id: "get-events", summary: "Live changes of executions and runners", right: read, gives: []string{"application/x-ndjson"}}, s.getEvents)
}

func (s *server) getEvents(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	panic("")
}
