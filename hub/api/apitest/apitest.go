// Package apitest starts a hub for tests of what speaks to its API: real store,
// dispatch, output and handlers over HTTP on loopback, and a runner that speaks to
// dispatch in place of a gateway.
package apitest

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/api"
	"github.com/fairlead/fairlead/hub/archive"
	"github.com/fairlead/fairlead/hub/auth"
	"github.com/fairlead/fairlead/hub/ca"
	"github.com/fairlead/fairlead/hub/cluster"
	"github.com/fairlead/fairlead/hub/dispatch"
	"github.com/fairlead/fairlead/hub/keys"
	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/hub/retention"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

// Token is the administrator's API token.
const Token = "apitest-bootstrap-token-0123456789abcdef"

// Hub is a running hub.
type Hub struct {
	URL      string
	Store    *store.Store
	Auth     *auth.Auth
	CA       *ca.CA
	Dispatch *dispatch.Dispatcher
	Output   *output.Output
	Packer   *output.Packer
	Purger   *retention.Purger
	Deps     api.Deps

	tls      bool
	public   string
	archives archive.Archives
	mu       sync.Mutex // guards server
	server   *httptest.Server
}

// Option changes the hub before it starts.
type Option func(*Hub)

// TLS serves HTTPS with a certificate of the hub's own CA.
func TLS(h *Hub) { h.tls = true }

// PublicURL tells the hub the address that people reach it at.
func PublicURL(url string) Option { return func(h *Hub) { h.public = url } }

// Archive is where the hub packs logs; the test does it by Packer.
func Archive(a archive.Archive) Option { return func(h *Hub) { h.archives.Current = a } }

// Start starts a hub that ends with the test.
func Start(t testing.TB, options ...Option) *Hub {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log := storetest.Logger(t)
	h := &Hub{Store: storetest.New(t)}
	for _, o := range options {
		o(h)
	}
	master, err := keys.NewMaster([]byte("a master key for tests: 32 bytes"))
	must(t, err)
	h.CA, err = ca.Open(ctx, h.Store, master)
	must(t, err)
	members := cluster.New(h.Store, master, cluster.Config{ID: store.NewID(), Name: "test", Version: "test", Gateway: "127.0.0.1:8441", Roles: hub.Roles()}, log)
	must(t, members.Join(ctx))
	h.Auth = auth.New(h.Store, auth.Config{}, log)
	_, err = h.Auth.Bootstrap(ctx, Token)
	must(t, err)
	secrets := keys.New(h.Store, master)
	h.services(members, secrets, t)
	h.Deps = api.Deps{
		Store: h.Store, Dispatch: h.Dispatch, Output: h.Output, Packer: h.Packer, Purger: h.Purger, Auth: h.Auth, Keys: secrets, CA: h.CA, Log: log,
		Cluster: members, MemberName: "test", Version: "test", Done: ctx.Done(), RunnerDir: t.TempDir(), PublicURL: h.public,
	}
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{members.Run, h.Auth.Run, h.Dispatch.Run, h.Output.Run} {
		running.Go(func() { _ = run(ctx) }) // ends with the context
	}
	h.serve(t, "127.0.0.1:0")
	t.Cleanup(func() {
		cancel()
		h.stop()
		running.Wait()
	})
	return h
}

// serve listens and serves.
func (h *Hub) serve(t testing.TB, address string) {
	t.Helper()
	deps := h.Deps
	deps.Metrics = prometheus.NewRegistry() // one takes each metric once
	handler, err := api.New(deps)
	must(t, err)
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", address)
	must(t, err)
	s := &httptest.Server{Listener: l, Config: &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}}
	scheme := "http"
	if h.tls {
		scheme = "https"
		cert, err := h.CA.HTTPS([]string{"hub.example"})
		must(t, err)
		s.TLS = serverTLS(cert)
		s.StartTLS()
	} else {
		s.Start()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.server, h.URL = s, scheme+"://"+l.Addr().String()
}

// stop ends the listener and every connection, as a kill would.
func (h *Hub) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	_ = h.server.Listener.Close()
	h.server.CloseClientConnections()
	h.server.Close()
}

// Restart cuts every connection, refuses new ones until while has returned, and
// serves again at the same address.
func (h *Hub) Restart(t testing.TB, while func()) {
	t.Helper()
	address := h.server.Listener.Addr().String()
	h.stop()
	if while != nil {
		while()
	}
	h.serve(t, address)
}

// Cut ends every connection; new ones are served.
func (h *Hub) Cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.server.CloseClientConnections()
}

// Project makes a project with nodes of the given names.
func (h *Hub) Project(t testing.TB, name string, nodes ...string) *hub.Project {
	t.Helper()
	p := &hub.Project{OrganisationID: hub.DefaultOrganisationID, Name: name}
	must(t, h.Store.CreateProject(t.Context(), p))
	var list []hub.Node
	for _, n := range nodes {
		list = append(list, hub.Node{Name: n, Hostname: n + ".example", Tags: []string{"demo"}})
	}
	_, err := h.Store.ReplaceNodes(t.Context(), p.ID, list)
	must(t, err)
	return p
}

// User makes an account that is no administrator, and a token for it.
func (h *Hub) User(t testing.TB, name string) (token string) {
	t.Helper()
	u, err := h.Auth.CreateUser(t.Context(), hub.DefaultOrganisationID, name, "", false)
	must(t, err)
	token, _, err = h.Auth.CreateToken(t.Context(), hub.Principal{UserID: u.ID, OrganisationID: u.OrganisationID, Name: name}, "test", time.Hour)
	must(t, err)
	return token
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
