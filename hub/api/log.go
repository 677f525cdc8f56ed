package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

type logInput struct {
	ExecutionPath
	Format string `query:"format" enum:"text,ndjson" default:"text" doc:"text: the output alone; ndjson: one LogRecord a line"`
	Follow bool   `query:"follow" doc:"Stay until the execution has ended"`
	Node   string `query:"node" maxLength:"1000" doc:"Lines of this node alone"`
	Step   int    `query:"step" minimum:"-1" maximum:"100000" default:"-1" doc:"Lines of the step at this position alone, from 0; -1: all"`
	Cursor string `query:"cursor" maxLength:"2000" doc:"Lines after this position"`
	Line   int64  `query:"line" minimum:"0" doc:"First line, counted from 0 over what the other parameters leave"`
	Lines  int64  `query:"lines" minimum:"0" doc:"How many lines at most; 0: all"`
	Tail   int64  `query:"tail" minimum:"0" maximum:"100000" doc:"The last so many lines alone"`
	Bytes  string `query:"bytes" maxLength:"50" doc:"A range of the text format, FIRST-LAST or FIRST-, from 0"`
}

func (s *server) logRoutes() {
	register(s, op{method: http.MethodGet, path: "/executions/{id}/log", id: "get-log", summary: "Read or follow the log", right: read, gives: []string{"text/plain", "application/x-ndjson"}}, s.getLog)
}

func (s *server) getLog(ctx context.Context, in *logInput) (*huma.StreamResponse, error) { panic("") }
