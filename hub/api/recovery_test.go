package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/api"
	"github.com/fairlead/fairlead/hub/api/apitest"
	"github.com/fairlead/fairlead/hub/store"
)

// A runner that was taken in again serves no project until a person says which, and what
// its answer shows can be sent back with one more.
func TestRecoveredRunnerGetsItsProjects(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	lost := &hub.RunnerCertificate{Serial: "1", RunnerID: store.NewID(), PublicKey: []byte("key"), DER: []byte("certificate")}
	if _, err := h.Store.RecoverCertificate(t.Context(), hub.DefaultOrganisationID, lost); err != nil {
		t.Fatal(err)
	}
	at := "/api/v1/runners/" + lost.RunnerID
	shown := get[api.Runner](t, h, 200, call{method: "GET", path: at})
	if shown.State != "quarantined" || len(shown.Projects) != 1 {
		t.Fatalf("taken in as %+v", shown)
	}
	change := func(projects ...string) call {
		body, err := json.Marshal(map[string]any{"projects": projects})
		if err != nil {
			t.Fatal(err)
		}
		return call{method: "PATCH", path: at, body: string(body), header: http.Header{"If-Match": {"*"}}}
	}
	wrong(t, h, 404, "nowhere", change(shown.Projects[0], "nowhere"))
	if both := get[api.Runner](t, h, 200, change(shown.Projects[0], "web")); len(both.Projects) != 2 || both.Projects[1] != "web" {
		t.Errorf("it serves %q", both.Projects)
	}
	if got := get[api.Runner](t, h, 200, change("web")); len(got.Projects) != 1 || got.Projects[0] != "web" {
		t.Errorf("it serves %q", got.Projects)
	}
	wrong(t, h, 404, "", change(shown.Projects[0])) // it has left that
}

// After a restore work waits, and every face says so until a person releases it.
func TestHeldClusterIsShownAndReleased(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	imported(t, h, "web")
	// A runner that is known and never comes: it may have had anything.
	if err := h.Store.CreateRunner(t.Context(), &hub.Runner{OrganisationID: hub.DefaultOrganisationID, Name: "away"}); err != nil {
		t.Fatal(err)
	}
	before := get[api.Execution](t, h, 201, call{method: "POST", path: runPath, body: `{"options":{"service":"x"}}`})
	wrong(t, h, 403, "", call{method: "POST", path: "/api/v1/cluster/hold", body: `{"kind":"restored"}`, token: h.User(t, "ann")})
	wrong(t, h, 409, "", call{method: "POST", path: "/api/v1/cluster/release", body: `{"rest":"release"}`})
	c := get[api.Cluster](t, h, 200, call{method: "POST", path: "/api/v1/cluster/hold", body: `{"kind":"restored","reason":"of the night"}`})
	if c.Incarnation != 2 || c.Recovery == nil || c.Recovery.Kind != "restore" || c.Recovery.Reason != "of the night" || c.Recovery.Held != 1 ||
		len(c.Recovery.Awaited) != 1 || c.Recovery.Awaited[0].Name != "away" || time.Time(c.Recovery.Since).IsZero() {
		t.Errorf("held as %+v, recovery %+v", c, c.Recovery)
	}
	after := get[api.Execution](t, h, 201, call{method: "POST", path: runPath, body: `{"options":{"service":"x"}}`})
	for _, id := range []string{before.ID, after.ID} {
		e := get[api.Execution](t, h, 200, call{method: "GET", path: "/api/v1/executions/" + id})
		if e.Status != "held" || e.WaitingFor == nil || e.WaitingFor.Kind != "recovery" || !strings.Contains(e.WaitingFor.Message, "back in time") {
			t.Errorf("shown as %s, waiting for %+v", e.Status, e.WaitingFor)
		}
	}
	if list := get[api.ExecutionList](t, h, 200, call{method: "GET", path: "/api/v1/executions?status=held"}); len(list.Items) != 2 {
		t.Errorf("%d executions are listed as held", len(list.Items))
	}
	c = get[api.Cluster](t, h, 200, call{method: "POST", path: "/api/v1/cluster/release", body: `{"rest":"fail"}`})
	if c.Recovery != nil || c.Incarnation != 2 {
		t.Errorf("released as %+v", c)
	}
	if e := get[api.Execution](t, h, 200, call{method: "GET", path: "/api/v1/executions/" + before.ID + "?wait=20s"}); e.Status != "unknown" {
		t.Errorf("what was given up is %s", e.Status)
	}
	if e := get[api.Execution](t, h, 200, call{method: "GET", path: "/api/v1/executions/" + after.ID}); e.Status != "queued" {
		t.Errorf("new work is %s", e.Status)
	}
}

// While the database is moved nothing is changed, and all can be looked at.
func TestNothingChangesWhileTheDatabaseIsMoved(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	imported(t, h, "web")
	c := get[api.Cluster](t, h, 200, call{method: "POST", path: "/api/v1/cluster/hold", body: `{"kind":"planned"}`})
	if c.Incarnation != 1 || c.Recovery == nil || c.Recovery.Kind != "planned" || len(c.Recovery.Awaited) != 0 {
		t.Errorf("held as %+v, recovery %+v", c, c.Recovery)
	}
	wrong(t, h, 503, "", call{method: "POST", path: runPath, body: `{"options":{"service":"x"}}`})
	wrong(t, h, 503, "", call{method: "POST", path: "/api/v1/projects", body: `{"name":"other"}`})
	wrong(t, h, 409, "", call{method: "POST", path: "/api/v1/cluster/hold", body: `{"kind":"planned"}`})
	get[api.ProjectList](t, h, 200, call{method: "GET", path: "/api/v1/projects"})
	if c := get[api.Cluster](t, h, 200, call{method: "POST", path: "/api/v1/cluster/release", body: `{"rest":"release"}`}); c.Recovery != nil {
		t.Errorf("released as %+v", c.Recovery)
	}
	get[api.Project](t, h, 201, call{method: "POST", path: "/api/v1/projects", body: `{"name":"other"}`})
}
