package api_test

import (
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/api"
	"github.com/fairlead/fairlead/hub/api/apitest"
	"github.com/fairlead/fairlead/hub/store"
)

// audited is what the audit says since it had skip events, oldest first: "action object result".
func audited(t *testing.T, h *apitest.Hub, skip int) []string {
	t.Helper()
	events, _, err := h.Store.AuditEvents(t.Context(), hub.DefaultOrganisationID, store.Page{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(events)
	var lines []string
	for _, e := range events[skip:] {
		lines = append(lines, e.Action+" "+e.Object+" "+e.Result)
	}
	return lines
}

// Every change is in the audit once, as is what was forbidden; what failed otherwise is
// not.
func TestChangesAreAudited(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	before := len(audited(t, h, 0))
	anyMatch := http.Header{"If-Match": {"*"}}
	yaml := http.Header{"Content-Type": {"application/yaml"}, "If-Match": {"*"}}
	get[api.Project](t, h, 201, call{method: "POST", path: "/api/v1/projects", body: `{"name":"web"}`})
	wrong(t, h, 409, "already", call{method: "POST", path: "/api/v1/projects", body: `{"name":"web"}`})
	get[api.Project](t, h, 200, call{method: "PATCH", path: "/api/v1/projects/web", body: `{"description":"x"}`, header: anyMatch})
	get[api.NodeImport](t, h, 200, call{method: "PUT", path: "/api/v1/projects/web/nodes", body: "a: {hostname: h}", header: yaml})
	imported(t, h, "web")
	imported(t, h, "web") // changes nothing
	get[api.Key](t, h, 200, call{method: "PUT", path: "/api/v1/keys/db?type=password", body: "hunter2-hunter2", header: anyMatch})
	wrong(t, h, 428, "If-Match", call{method: "PUT", path: "/api/v1/keys/db?type=password", body: "hunter3-hunter3"})
	token := get[api.CreatedRunnerToken](t, h, 201, call{method: "POST", path: "/api/v1/runners/tokens", body: `{}`})
	wrong(t, h, 400, "tag", call{method: "POST", path: "/api/v1/runners/tokens", body: `{"tags":["a b"]}`})
	wrong(t, h, 403, "cannot make another", call{method: "POST", path: "/api/v1/tokens", body: `{"name":"laptop"}`})
	e := get[api.Execution](t, h, 201, call{method: "POST", path: "/api/v1/projects/web/executions", body: `{"command":"uptime","nodeFilter":"a"}`})
	cancel := call{method: "POST", path: "/api/v1/executions/" + e.ID + "/cancel", body: `{}`}
	get[api.Execution](t, h, 200, cancel)
	wrong(t, h, 409, "ended", cancel)
	for _, path := range []string{"/keys/db", "/projects/web"} {
		if a := do(t, h, call{method: "DELETE", path: "/api/v1" + path, header: anyMatch}); a.status != 204 {
			t.Fatalf("delete %s: %d %s", path, a.status, a.body)
		}
	}
	want := []string{
		"project.create web done", "project.change web done", "node.import web done", "job.import web/ops/restart done",
		"key.set keys/db done", "runner.token.create " + token.ID + " done", "create-token  forbidden",
		"execution.start uptime done", "execution.cancel " + strconv.FormatInt(e.Number, 10) + " done",
		"key.delete keys/db done", "project.delete web done",
	}
	if diff := cmp.Diff(want, audited(t, h, before)); diff != "" {
		t.Error(diff)
	}
}

// A page of another site that acts as somebody is written down; strangers are not.
func TestForeignPagesAreAudited(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	before := len(audited(t, h, 0))
	evil := http.Header{"Origin": {"http://evil.example"}, "Sec-Fetch-Site": {"cross-site"}}
	wrong(t, h, 403, "another site", call{method: "POST", path: "/api/v1/projects", body: `{"name":"x"}`, header: evil})
	wrong(t, h, 403, "another site", call{method: "POST", path: "/api/v1/projects", body: `{"name":"x"}`, header: evil, token: "-"})
	for _, path := range []string{"/api/v1/events", "/api/v1/executions/1/log/stream"} {
		_, status := dial(t, h, path, http.Header{"Authorization": bearer["Authorization"], "Origin": {"http://evil.example"}})
		if status != http.StatusForbidden && status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
	want := []string{"request.cross_origin POST /api/v1/projects forbidden", "websocket.open /api/v1/events forbidden"}
	if diff := cmp.Diff(want, audited(t, h, before)); diff != "" {
		t.Error(diff)
	}
}
