package api

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/auth"
	"github.com/fairlead/fairlead/hub/ca"
	"github.com/fairlead/fairlead/hub/cluster"
	"github.com/fairlead/fairlead/hub/dispatch"
	"github.com/fairlead/fairlead/hub/keys"
	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/hub/retention"
	"github.com/fairlead/fairlead/hub/store"
)

// Deps are what the API stands on. Those without a remark are required.
type Deps struct {
	Store    *store.Store
	Dispatch *dispatch.Dispatcher
	Output   *output.Output
	Packer   *output.Packer
	Purger   *retention.Purger
	Auth     *auth.Auth
	Keys     *keys.Keys
	CA       *ca.CA
	Cluster  *cluster.Cluster
	Log      *slog.Logger
	// MemberName is this member's.
	MemberName string
	// Version of the build.
	Version string
	// PublicURL is the address that people and runners are shown; "": not configured.
	PublicURL string
	// RunnerDir holds the runner's binary to serve to new hosts; "": none is served.
	RunnerDir string
	// Metrics takes this API's metrics and is served; nil: none are.
	Metrics *prometheus.Registry
	// UI answers every other path; nil: 404.
	UI http.Handler
	// Done ends streams when it is closed, so that a server that shuts down is not kept
	// by its followers; nil: they end with their connections.
	Done <-chan struct{}
}

// server holds what handlers need.
type server struct {
	Deps
	huma huma.API
	mux  *http.ServeMux
	// publicOrigin is that of PublicURL as browsers name it, "" when there is none.
	publicOrigin string
	openAPI      []byte
	counted      *metrics
	sums         sums // of the runners' binaries
}

// New makes the handler of everything that people's listener serves.
func New(d Deps) (http.Handler, error) {
	s := &server{Deps: d, mux: http.NewServeMux()}
	s.huma = newHuma(s.mux, apiVersion)
	s.huma.UseMiddleware(s.authorize)
	s.routes()
	var err error
	if s.openAPI, err = document(s.huma); err != nil {
		return nil, err
	}
	s.plainRoutes()
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(s.crossOrigin))
	if u, uerr := url.Parse(d.PublicURL); uerr == nil && u.Host != "" {
		s.publicOrigin = origin(u)
		if err := protection.AddTrustedOrigin(s.publicOrigin); err != nil {
			return nil, hub.Errorf(hub.CodeInvalid, "The public URL %q is not one that a browser can use as an origin; it looks like https://hub.example:8440.", d.PublicURL)
		}
	}
	s.counted = newMetrics(d.Metrics)
	if d.Metrics != nil {
		if err := d.Metrics.Register(newWork(s)); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return s.observe(s.headers(protection.Handler(s.sockets(s.mux)))), nil
}

// origin is that of an address as browsers write it: without the port that its scheme
// implies.
func origin(u *url.URL) string {
	host := u.Host
	if u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	return strings.ToLower(u.Scheme + "://" + host)
}

// sockets lets a WebSocket be opened at the path of its NDJSON twin.
func (s *server) sockets(next http.Handler) http.Handler {
	events := s.signedIn(s.streamEvents)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/events" && websocket.IsWebSocketUpgrade(r) {
			events(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// plainRoutes are those that the OpenAPI document does not list.
func (s *server) plainRoutes() {
	s.mux.HandleFunc("GET /api/v1/openapi.json", s.openapi)
	s.mux.HandleFunc("GET /api/v1/executions/{id}/log/stream", s.signedIn(s.streamLog))
	s.mux.HandleFunc("GET /install/{file}", s.install)
	s.mux.HandleFunc("GET /health/live", s.live)
	s.mux.HandleFunc("GET /health/ready", s.ready)
	s.mux.HandleFunc("GET /health/active", s.active)
	s.mux.HandleFunc("/api/", s.unknown)
	if s.Metrics != nil {
		s.mux.HandleFunc("GET /metrics", s.scraped)
	}
	if s.UI != nil {
		s.mux.Handle("/", s.UI)
	} else {
		s.mux.HandleFunc("/", s.unknown)
	}
}

type principalKey struct{}

// requestKey is of the request that authorize let through.
type requestKey struct{}

// principal is who the request acts as; authorize put it there.
func principal(ctx context.Context) hub.Principal {
	p, _ := ctx.Value(principalKey{}).(hub.Principal)
	return p
}

// authorize finds out who asks and whether they may. It is the only door to every
// operation.
func (s *server) authorize(ctx huma.Context, next func(huma.Context)) {
	needed, _ := ctx.Operation().Metadata[rightKey].(right)
	if needed == public {
		next(ctx)
		return
	}
	r, w := humago.Unwrap(ctx)
	p, err := s.allowed(r, needed)
	if err != nil {
		if hub.ErrorCode(err) == hub.CodeForbidden {
			s.auditRefused(context.WithValue(r.Context(), principalKey{}, p), ctx.Operation().OperationID, "", err)
		}
		s.fail(w, r, err)
		return
	}
	if s.Cluster.Hold().Kind == hub.HoldPlanned && !whileMoved(ctx.Operation().OperationID, r.Method) {
		s.fail(w, r, errMoved)
		return
	}
	next(huma.WithValue(huma.WithValue(ctx, principalKey{}, p), requestKey{}, r))
}

// allowed returns who r comes from if they have the right. Opening a WebSocket is no use
// of a session: a page opens it again by itself.
func (s *server) allowed(r *http.Request, needed right) (hub.Principal, error) {
	identify := s.Auth.Authenticate
	if websocket.IsWebSocketUpgrade(r) {
		identify = s.Auth.Recheck
	}
	p, err := identify(r)
	if err != nil {
		return p, err
	}
	switch needed {
	case read, run:
		return p, nil
	case admin:
		if p.Admin {
			return p, nil
		}
	}
	return p, hub.Errorf(hub.CodeForbidden, "Only an administrator may do this; %s is none.", p.Name)
}

// signedIn guards a handler that huma does not know.
func (s *server) signedIn(h func(http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p, err := s.allowed(r, read)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		h(w, r.WithContext(context.WithValue(r.Context(), principalKey{}, p)))
	}
}

// problem renders err for its client and logs what must not be shown.
func (s *server) problem(ctx context.Context, err error) *Problem {
	p := problemOf(err)
	if p.Status >= http.StatusInternalServerError && ctx.Err() == nil {
		s.Log.ErrorContext(ctx, "request failed", "error", err, "status", p.Status)
	}
	return p
}

// fail answers a request with an error.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	writeProblem(w, s.problem(r.Context(), err))
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="fairlead"`)
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client is gone if this fails
}

// headers sets what every answer bears. The UI sets a content policy of its own.
func (s *server) headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("X-Frame-Options", "DENY")
		// Also when a proxy in front speaks TLS for this hub.
		if r.TLS != nil || strings.HasPrefix(s.publicOrigin, "https://") {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		if strings.HasPrefix(r.URL.Path, "/api/") {
			h.Set("Cache-Control", "no-store")
			h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		}
		next.ServeHTTP(w, r)
	})
}

// crossOrigin answers a change that a page of another site asked for. It is written down
// when it came with somebody's session: without one it could have done nothing, and
// anybody could fill the audit.
func (s *server) crossOrigin(w http.ResponseWriter, r *http.Request) {
	err := hub.Errorf(hub.CodeForbidden, "The request came from a page of another site and was refused; if people reach this hub through a proxy, set its public URL (--public-url).")
	if p, aerr := s.Auth.Authenticate(r); aerr == nil {
		what := r.Method + " " + r.URL.EscapedPath()
		s.auditRefused(context.WithValue(r.Context(), principalKey{}, p), "request.cross_origin", what[:min(len(what), maxAuditObject)], err)
	}
	s.fail(w, r, err)
}

// unknown answers paths that do not exist, and methods that a path does not have.
func (s *server) unknown(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := s.mux.Handler(other); pattern != "/api/" && pattern != "/" && pattern != "" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		writeProblem(w, newProblem(http.StatusMethodNotAllowed, "This path does not take "+r.Method+"; it takes "+strings.Join(allowed, ", ")+"."))
		return
	}
	s.fail(w, r, hub.Errorf(hub.CodeNotFound, "There is nothing at this path; /api/v1/openapi.json lists what there is."))
}

// openapi serves the document.
func (s *server) openapi(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/openapi+json")
	_, _ = w.Write(s.openAPI) // the client is gone if this fails
}

// url of a page of the UI: absolute when the public address is known.
func (s *server) url(path string) string { return strings.TrimSuffix(s.PublicURL, "/") + path }

// timeNow is database time, for answers.
func (s *server) timeNow() Time { return Time(s.Store.Now()) }

// millis is a duration as the API writes it.
func millis(d time.Duration) int64 { return d.Milliseconds() }
