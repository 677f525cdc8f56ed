package api_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/api"
	"github.com/fairlead/fairlead/hub/api/apitest"
	"github.com/fairlead/fairlead/hub/cluster"
	"github.com/fairlead/fairlead/hub/keys"
	"github.com/fairlead/fairlead/hub/store"
)

// everyRoute lists the operations of the document, with values for their parameters.
func everyRoute(t *testing.T) []call {
	t.Helper()
	b, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]struct {
			Security []any
		}
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("{project}", "web", "{job}", "ops%2Frestart", "{node}", "web1", "{id}", "1", "{path}", "project%2Fx")
	var all []call
	for path, methods := range doc.Paths {
		for method, operation := range methods {
			if operation.Security == nil { // public ones say []
				all = append(all, call{method: strings.ToUpper(method), path: fill.Replace(path)})
			}
		}
	}
	all = append(all, call{method: "GET", path: "/api/v1/executions/1/log/stream"})
	return all
}

// Nothing answers without an identity, whatever is wrong with the request besides.
func TestEveryRouteNeedsIdentity(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	imported(t, h, "web")
	routes := everyRoute(t)
	if len(routes) < 35 {
		t.Fatalf("only %d routes", len(routes))
	}
	for _, c := range routes {
		c.token = "-"
		wrong(t, h, 401, "", c)
		c.token = "flt_nonsense_token"
		wrong(t, h, 401, "", c)
	}
}

// A user of another organisation sees nothing of this one: 404 everywhere.
func TestForeignOrganisationSeesNothing(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	p := &hub.Project{OrganisationID: hub.DefaultOrganisationID, Name: "theirs"}
	if err := h.Store.CreateProject(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	list := get[api.ProjectList](t, h, 200, call{method: "GET", path: "/api/v1/projects"})
	if len(list.Items) != 1 {
		t.Fatalf("own projects %+v", list)
	}
	if _, err := h.Store.Project(t.Context(), store.NewID(), "theirs"); hub.ErrorCode(err) != hub.CodeNotFound {
		t.Errorf("a foreign organisation reads the project: %v", err)
	}
}

// Changes that are for administrators are refused to others, and that is written down.
func TestAdministratorsOnly(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	imported(t, h, "web")
	bob := h.User(t, "bob")
	for _, c := range []call{
		{method: "POST", path: "/api/v1/projects", body: `{"name":"x"}`},
		{method: "DELETE", path: "/api/v1/projects/web", header: http.Header{"If-Match": {"*"}}},
		{method: "PUT", path: "/api/v1/projects/web/nodes", body: "{}", header: http.Header{"Content-Type": {"application/json"}}},
		{method: "POST", path: "/api/v1/projects/web/jobs/import", body: "[]", header: http.Header{"Content-Type": {"application/yaml"}}},
		{method: "PUT", path: "/api/v1/keys/x?type=password", body: "x"},
		{method: "DELETE", path: "/api/v1/keys/x"},
		{method: "POST", path: "/api/v1/runners/tokens", body: `{}`},
		{method: "GET", path: "/api/v1/runners/tokens"},
		{method: "POST", path: "/api/v1/runners/1/revoke"},
	} {
		c.token = bob
		wrong(t, h, 403, "administrator", c)
	}
	get[api.JobList](t, h, 200, call{method: "GET", path: "/api/v1/projects/web/jobs", token: bob})
	events, _, err := h.Store.AuditEvents(t.Context(), hub.DefaultOrganisationID, store.Page{})
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, e := range events {
		if e.Result == "forbidden" && e.Actor == "token:bob" {
			refused++
		}
	}
	if refused != 9 {
		t.Errorf("%d refusals in the audit, want 9", refused)
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	if _, err := h.Auth.CreateUser(t.Context(), hub.DefaultOrganisationID, "ann", "correct horse battery", true); err != nil {
		t.Fatal(err)
	}
	wrong(t, h, 401, "", call{method: "POST", path: "/api/v1/sessions", body: `{"user":"ann","password":"wrong"}`, token: "-"})
	wrong(t, h, 400, "either", call{method: "POST", path: "/api/v1/sessions", body: `{"user":"ann","password":"x","link":"y"}`, token: "-"})
	a := do(t, h, call{method: "POST", path: "/api/v1/sessions", body: `{"user":"ann","password":"correct horse battery"}`, token: "-"})
	set := a.header.Get("Set-Cookie")
	if a.status != 201 || !strings.Contains(set, "HttpOnly") || !strings.Contains(set, "SameSite=Lax") {
		t.Fatalf("sign-in: %d, cookie %q: %s", a.status, set, a.body)
	}
	cookie, _, _ := strings.Cut(set, ";")
	as := func(c call, extra ...string) call {
		c.token, c.header = "-", http.Header{"Cookie": {cookie}}
		for i := 0; i < len(extra); i += 2 {
			c.header.Set(extra[i], extra[i+1])
		}
		return c
	}
	me := get[api.Me](t, h, 200, as(call{method: "GET", path: "/api/v1/me"}))
	if me.Name != "ann" || me.Method != "session" || !me.Admin {
		t.Errorf("me %+v", me)
	}
	create := call{method: "POST", path: "/api/v1/projects", body: `{"name":"mine"}`}
	wrong(t, h, 403, "another site", as(create, "Origin", "http://evil.example", "Sec-Fetch-Site", "cross-site"))
	wrong(t, h, 403, "another site", as(create, "Origin", "http://evil.example"))
	get[api.Project](t, h, 201, as(create, "Origin", h.URL, "Sec-Fetch-Site", "same-origin"))

	token := get[api.CreatedToken](t, h, 201, as(call{method: "POST", path: "/api/v1/tokens", body: `{"name":"ci"}`}))
	if me := get[api.Me](t, h, 200, call{method: "GET", path: "/api/v1/me", token: token.Secret}); me.Method != "token" || me.Name != "ann" {
		t.Errorf("me by token %+v", me)
	}
	if list := do(t, h, as(call{method: "GET", path: "/api/v1/tokens"})); strings.Contains(string(list.body), token.Secret) || !strings.Contains(string(list.body), token.ID) {
		t.Errorf("tokens: %s", list.body)
	}
	if a := do(t, h, as(call{method: "DELETE", path: "/api/v1/sessions/current"})); a.status != 204 {
		t.Errorf("sign-out: %d %s", a.status, a.body)
	}
	wrong(t, h, 401, "", as(call{method: "GET", path: "/api/v1/me"}))
}

func TestOddRequests(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	for _, c := range []struct {
		call
		status int
	}{
		{call{method: "GET", path: "/api/v1/nothing"}, 404},
		{call{method: "GET", path: "/api/v2/projects"}, 404},
		{call{method: "GET", path: "/api/v1/projects/"}, 404},
		{call{method: "GET", path: "/api/v1/Projects"}, 404},
		{call{method: "GET", path: "/api/v1/projects;x/web"}, 404},
		{call{method: "GET", path: "/api/v1/projects/%2e%2e"}, 404},
		{call{method: "GET", path: "/api/v1/projects/web/executions", header: http.Header{"X-Http-Method-Override": {"POST"}}}, 405},
		{call{method: "PUT", path: "/api/v1/projects"}, 405},
		{call{method: "GET", path: "/api/v1/projects?limit=1000000000"}, 400},
		{call{method: "GET", path: "/api/v1/projects?limit=-1"}, 400},
		{call{method: "GET", path: "/api/v1/projects?cursor=x"}, 400},
		{call{method: "GET", path: "/api/v1/projects?access_token=" + apitest.Token, token: "-"}, 401},
		{call{method: "GET", path: "/api/v1/executions/9223372036854775808"}, 404},
		{call{method: "POST", path: "/api/v1/projects", body: `{"name":"a\u0000b"}`}, 400},
		{call{method: "POST", path: "/api/v1/projects", body: `{"name":"<img src=x onerror=alert(1)>"}`}, 400},
		{call{method: "POST", path: "/api/v1/projects", body: `{"name":"a","isAdmin":true}`}, 400},
		{call{method: "POST", path: "/api/v1/projects", body: `{"name":"a","name":"b"}`}, 400},
		{call{method: "POST", path: "/api/v1/projects", body: `name: a`, header: http.Header{"Content-Type": {"application/yaml"}}}, 415},
		{call{method: "POST", path: "/api/v1/projects", body: strings.Repeat(" ", 2<<20)}, 413},
		{call{method: "POST", path: "/api/v1/projects"}, 400},
	} {
		p := wrong(t, h, c.status, "", c.call)
		if strings.Contains(p.Detail, "sql") || strings.Contains(p.Detail, "goroutine") {
			t.Errorf("%s: the detail tells too much: %s", c.path, p.Detail)
		}
	}
	if a := do(t, h, call{method: "GET", path: "/api/v1//projects"}); a.status != 301 && a.status != 307 && a.status != 404 {
		t.Errorf("double slash: %d", a.status)
	}
	a := do(t, h, call{method: "GET", path: "/api/v1/me"})
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Cross-Origin-Opener-Policy": "same-origin",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("other sites may read answers")
	}
}

// A body without a stated length is refused at the limit and not read on.
func TestEndlessBody(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	endless := &zeros{}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.URL+"/api/v1/projects", endless)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+apitest.Token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		defer resp.Body.Close()
		if resp.StatusCode != 413 {
			t.Errorf("status %d", resp.StatusCode)
		}
	}
	if n := endless.read.Load(); n > 8<<20 {
		t.Errorf("the hub took %d bytes", n)
	}
}

// zeros may still be read by the connection when its answer is there.
type zeros struct{ read atomic.Int64 }

func (z *zeros) Read(b []byte) (int, error) {
	z.read.Add(int64(len(b)))
	clear(b)
	return len(b), nil
}

func TestRunnersAndTokens(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	token := get[api.CreatedRunnerToken](t, h, 201, call{method: "POST", path: "/api/v1/runners/tokens", body: `{"projects":["web"],"tags":["b","a","b"],"ttlMs":600000}`})
	if !strings.HasPrefix(token.Token, "flr1.") || token.State != "open" || strings.Join(token.Tags, ",") != "a,b" || token.Projects[0] != "web" {
		t.Errorf("token %+v", token)
	}
	if left := time.Until(time.Time(token.ExpiresAt)); left < 9*time.Minute || left > 11*time.Minute {
		t.Errorf("it lives %s", left)
	}
	if list := do(t, h, call{method: "GET", path: "/api/v1/runners/tokens"}); strings.Contains(string(list.body), token.Token) || !strings.Contains(string(list.body), token.ID) {
		t.Errorf("tokens: %s", list.body)
	}
	if a := do(t, h, call{method: "DELETE", path: "/api/v1/runners/tokens/" + token.ID}); a.status != 204 {
		t.Errorf("revoke: %d %s", a.status, a.body)
	}
	wrong(t, h, 404, "other", call{method: "POST", path: "/api/v1/runners/tokens", body: `{"projects":["other"]}`})

	r := h.Runner(t, "r1", nil)
	one := get[api.Runner](t, h, 200, call{method: "GET", path: "/api/v1/runners/r1"})
	if one.ID != r.ID || one.State != "connected" || !one.Connected {
		t.Errorf("runner %+v", one)
	}
	etag := http.Header{"If-Match": {`"1"`}}
	changed := get[api.Runner](t, h, 200, call{method: "PATCH", path: "/api/v1/runners/" + r.ID, body: `{"tags":["z"],"projects":["web"]}`, header: etag})
	if strings.Join(changed.Tags, "") != "z" || strings.Join(changed.Projects, "") != "web" {
		t.Errorf("changed %+v", changed)
	}
	wrong(t, h, 412, "meanwhile", call{method: "PATCH", path: "/api/v1/runners/" + r.ID, body: `{"tags":[]}`, header: etag})
	for _, c := range []struct{ verb, state string }{{"drain", "draining"}, {"release", "connected"}, {"revoke", "revoked"}} {
		if got := get[api.Runner](t, h, 200, call{method: "POST", path: "/api/v1/runners/" + r.ID + "/" + c.verb}); got.State != c.state {
			t.Errorf("after %s it is %s", c.verb, got.State)
		}
	}
	c := get[api.Cluster](t, h, 200, call{method: "GET", path: "/api/v1/cluster"})
	if len(c.Members) != 1 || !c.Members[0].Self || c.Members[0].State != "active" || c.Database != "sqlite" {
		t.Errorf("cluster %+v", c)
	}
}

// Browsers are told to come back over HTTPS also where a proxy speaks it.
func TestStrictTransportBehindAProxy(t *testing.T) {
	t.Parallel()
	for public, want := range map[string]string{"https://hub.example": "max-age=31536000", "http://hub.example": "", "": ""} {
		h := apitest.Start(t, apitest.PublicURL(public))
		if got := do(t, h, call{method: "GET", path: "/health/live", token: "-"}).header.Get("Strict-Transport-Security"); got != want {
			t.Errorf("public URL %q: %q, want %q", public, got, want)
		}
	}
}

// wantSumOncePerVersion: a file is read for its sum when it is another than before, by size
// and time, and not for each who asks.
func wantSumOncePerVersion(t *testing.T, h *apitest.Hub, want string) {
	t.Helper()
	path := filepath.Join(h.Deps.RunnerDir, "fairlead-runner")
	original, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Repeat([]byte("BINARY"), len(original)/6)
	sum := sha256.Sum256(other)
	for _, version := range []struct {
		content []byte
		changed time.Time
		want    string
	}{
		{other, info.ModTime(), want}, // which no copy makes: it shows that nobody reads
		{other, info.ModTime().Add(time.Second), hex.EncodeToString(sum[:]) + "  fairlead-runner\n"},
		{original, info.ModTime().Add(2 * time.Second), want},
	} {
		if err := os.WriteFile(path, version.content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, version.changed, version.changed); err != nil {
			t.Fatal(err)
		}
		if a := do(t, h, call{method: "GET", path: "/install/fairlead-runner.sha256", token: "-"}); string(a.body) != version.want {
			t.Errorf("sum of the version of %v: %q, want %q", version.changed, a.body, version.want)
		}
	}
}

// A balancer in front of runners asks /health/active: it must send none to a member that
// refuses them, whose few connections would draw all that are new.
func TestFrontEndWantsNoRunners(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	deps := h.Deps
	deps.Metrics = prometheus.NewRegistry() // one takes each metric once
	master, err := keys.NewMaster(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	deps.Cluster = cluster.New(h.Store, master, cluster.Config{ID: store.NewID(), Name: "front", Roles: []string{hub.RoleAPI}}, deps.Log)
	if err := deps.Cluster.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	handler, err := api.New(deps)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/health/ready": 200, "/health/active": 503} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		if w.Code != want {
			t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, want)
		}
	}
}

func TestPublicPaths(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	for path, want := range map[string]string{
		"/health/live": "live", "/health/ready": "ready", "/health/active": "active", "/api/v1/enrolment": "BEGIN CERTIFICATE",
		"/api/v1/openapi.json": `"openapi": "3.1.0"`,
	} {
		if a := do(t, h, call{method: "GET", path: path, token: "-"}); a.status != 200 || !strings.Contains(string(a.body), want) {
			t.Errorf("%s: %d %.200s", path, a.status, a.body)
		}
	}
	wrong(t, h, 404, "beside the hub", call{method: "GET", path: "/install/fairlead-runner", token: "-"})
	wrong(t, h, 404, "beside the hub", call{method: "GET", path: "/install/SHA256SUMS", token: "-"})
	binary := bytes.Repeat([]byte("binary"), 1000)
	if err := os.WriteFile(filepath.Join(h.Deps.RunnerDir, "fairlead-runner"), binary, 0o600); err != nil {
		t.Fatal(err)
	}
	if a := do(t, h, call{method: "GET", path: "/install/fairlead-runner", token: "-"}); a.status != 200 || !bytes.Equal(a.body, binary) {
		t.Errorf("binary: %d, %d bytes", a.status, len(a.body))
	}
	sum := sha256.Sum256(binary)
	want := hex.EncodeToString(sum[:]) + "  fairlead-runner\n"
	if a := do(t, h, call{method: "GET", path: "/install/fairlead-runner.sha256", token: "-"}); string(a.body) != want {
		t.Errorf("sum: %q, want %q", a.body, want)
	}
	wantSumOncePerVersion(t, h, want)
	wrong(t, h, 404, "no runner for plan9/arm", call{method: "GET", path: "/install/fairlead-runner?os=plan9&arch=arm", token: "-"})
	other := []byte("for another system")
	for _, name := range []string{"fairlead-runner-plan9-arm", "fairlead-runner-", "fairlead-runner-Plan9-arm", "fairlead-runner.old", "fairlead-hub"} {
		if err := os.WriteFile(filepath.Join(h.Deps.RunnerDir, name), other, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	otherSum := sha256.Sum256(other)
	want = hex.EncodeToString(sum[:]) + "  fairlead-runner-" + runtime.GOOS + "-" + runtime.GOARCH + "\n" +
		hex.EncodeToString(otherSum[:]) + "  fairlead-runner-plan9-arm\n"
	if a := do(t, h, call{method: "GET", path: "/install/SHA256SUMS", token: "-"}); a.status != 200 || string(a.body) != want {
		t.Errorf("sums: %d %q, want %q", a.status, a.body, want)
	}
	for _, odd := range []string{"?os=..%2f..", "?arch=$(id)", "?os=plan9", "?os=" + strings.Repeat("a", 100)} {
		if a := do(t, h, call{method: "GET", path: "/install/fairlead-runner" + odd, token: "-"}); a.status != 400 && a.status != 404 {
			t.Errorf("%s: %d", odd, a.status)
		}
	}
	for _, name := range []string{"hub.db", "fairlead-hub", "..%2fhub.db"} {
		wrong(t, h, 404, "serves", call{method: "GET", path: "/install/" + name, token: "-"})
	}
}

// A request that waits tells nothing to whose token was deleted meanwhile.
func TestWaitOfDeletedToken(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	token := h.User(t, "ann")
	answered := make(chan answer, 1)
	go func() {
		answered <- do(t, h, call{method: "POST", path: "/api/v1/projects/web/executions?wait=60s", body: `{"command":"x","nodeFilter":".*"}`, token: token})
	}()
	for len(get[api.ExecutionList](t, h, 200, call{method: "GET", path: "/api/v1/executions"}).Items) == 0 {
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
	}
	own := get[api.TokenList](t, h, 200, call{method: "GET", path: "/api/v1/tokens", token: token})
	if a := do(t, h, call{method: "DELETE", path: "/api/v1/tokens/" + own.Items[0].ID, token: token}); a.status != 204 {
		t.Fatalf("deleting the token: %d %s", a.status, a.body)
	}
	h.Runner(t, "r1", nil)
	if a := apitest.Receive(t, "the answer", answered); a.status != 401 {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}
