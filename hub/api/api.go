package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/keys"
	"github.com/fairlead/fairlead/hub/rundeck"
)

// right is what an operation asks of its caller.
type right string

// The rights. Every signed-in user may read and run; the rest is for administrators
// until policies come.
const (
	public right = "public"
	read   right = "read"
	run    right = "run"
	admin  right = "admin"
)

// Limits of request bodies, in bytes: what has as many, or more, is refused with 413.
const (
	maxBody   = 1<<20 + 1
	maxImport = rundeck.MaxFileBytes + 1
	maxKey    = keys.MaxValue + 1
)

// bodyTimeout bounds how long a client may take to send its body.
const bodyTimeout = 60 * time.Second

// op describes an operation where it is registered.
type op struct {
	method, path string
	// id is the operation's name in clients: verb-noun.
	id, summary string
	right       right
	// status of success; 0: 200 with a body, 204 without.
	status int
	// maxBody in bytes; 0: the common limit.
	maxBody int64
	// takes are media types of a raw body; none: JSON.
	takes []string
	// gives are media types of a streamed answer.
	gives []string
}

const rightKey = "right"

// huma turns o into what huma registers.
func (o op) huma() huma.Operation {
	h := huma.Operation{
		Method: o.method, Path: "/api/v1" + o.path, OperationID: o.id, Summary: o.summary,
		DefaultStatus: o.status, MaxBodyBytes: maxBody, BodyReadTimeout: bodyTimeout,
		Metadata: map[string]any{rightKey: o.right}, Tags: []string{strings.SplitN(o.path[1:], "/", 2)[0]},
		RejectUnknownQueryParameters: true,
	}
	if o.maxBody > 0 {
		h.MaxBodyBytes = o.maxBody
	}
	if o.right == public {
		h.Security = []map[string][]string{}
	}
	if len(o.takes) > 0 {
		h.SkipValidateBody = true // it is read raw, also when it is JSON
		h.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{}}
		for _, ct := range o.takes {
			h.RequestBody.Content[ct] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
		}
	}
	if len(o.gives) > 0 {
		h.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{}}}
		for _, ct := range o.gives {
			h.Responses["200"].Content[ct] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
		}
	}
	return h
}

// register adds an operation whose handler returns any error; the adapter here turns
// it into a problem and logs what must not be shown.
func register[I, O any](s *server, o op, handle func(context.Context, *I) (*O, error)) {
	huma.Register(s.huma, o.huma(), func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err == nil {
			return out, nil
		}
		err = rooted(err, len(o.takes) > 0)
		if hub.ErrorCode(err) == hub.CodeForbidden {
			s.auditRefused(ctx, o.id, "", err)
		}
		return nil, s.problem(ctx, err)
	})
}

// newHuma makes the huma API on mux, with no paths of its own.
func newHuma(mux humago.Mux, version string) huma.API {
	useProblems()
	config := huma.DefaultConfig("Fairlead", version)
	config.CreateHooks = nil
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	strict := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshalStrict}
	config.Formats = map[string]huma.Format{"application/json": strict, "json": strict}
	config.Info.Description = "Fairlead's REST API. Lists are {items, next}; errors are problem details with a stable code."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token":   {Type: "http", Scheme: "bearer", Description: "An API token"},
		"session": {Type: "apiKey", In: "cookie", Name: "fairlead_session", Description: "A signed-in browser"},
	}
	config.Security = []map[string][]string{{"token": {}}, {"session": {}}}
	return humago.New(mux, config)
}

// routes registers every operation; the order is that of the document's tags only.
func (s *server) routes() {
	s.sessionRoutes()
	s.tokenRoutes()
	s.projectRoutes()
	s.nodeRoutes()
	s.jobRoutes()
	s.scheduleRoutes()
	s.calendarRoutes()
	s.executionRoutes()
	s.retentionRoutes()
	s.quotaRoutes()
	s.logRoutes()
	s.eventRoutes()
	s.keyRoutes()
	s.runnerRoutes()
	s.clusterRoutes()
	s.recoveryRoutes()
	registerTypes(s.huma.OpenAPI().Components.Schemas, Problem{}, LogLine{}, LogEnd{}, LogMessage{}, Event{})
}

// OpenAPI returns the document that describes this API, as it is committed and
// served: the version in it is the API's, not the build's.
func OpenAPI() ([]byte, error) {
	s := &server{huma: newHuma(http.NewServeMux(), apiVersion)}
	s.routes()
	return document(s.huma)
}

// apiVersion rises when the API changes in a way that its users must know of.
const apiVersion = "1.0.0"

// document renders the OpenAPI document. ServeMux writes the rest of a path as
// {name...}, OpenAPI as {name}.
func document(h huma.API) ([]byte, error) {
	doc := *h.OpenAPI()
	doc.Paths = map[string]*huma.PathItem{}
	for path, item := range h.OpenAPI().Paths {
		doc.Paths[strings.ReplaceAll(path, "...}", "}")] = item
	}
	b, err := json.MarshalIndent(&doc, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("rendering the OpenAPI document: %w", err)
	}
	return append(b, '\n'), nil
}
