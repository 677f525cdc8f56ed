package api_test

import (
	"strings"
	"testing"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/api"
	"github.com/fairlead/fairlead/hub/api/apitest"
	"github.com/fairlead/fairlead/hub/store"
)

// What a person keeps stays, and the audit has who did it; who may only read may not.
func TestKeepExecution(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	h.Runner(t, "r1", apitest.Succeed)
	e := get[api.Execution](t, h, 201, call{method: "POST", path: "/api/v1/projects/web/executions?wait=20s", body: `{"command":"true","nodeFilter":"web1"}`})
	at := "/api/v1/executions/" + e.ID
	if e.Kept {
		t.Error("kept from the first")
	}
	for range 2 { // twice is once
		if e := get[api.Execution](t, h, 200, call{method: "POST", path: at + "/keep"}); !e.Kept {
			t.Error("not kept")
		}
	}
	if e := get[api.Execution](t, h, 200, call{method: "GET", path: at}); !e.Kept {
		t.Error("not shown as kept")
	}
	if p := get[api.RetentionPlan](t, h, 200, call{method: "GET", path: "/api/v1/projects/web/retention"}); p.Kept != 1 || p.Ended != 1 || p.Removes != 0 || p.Days != 90 {
		t.Errorf("plan: %+v", p)
	}
	if e := get[api.Execution](t, h, 200, call{method: "DELETE", path: at + "/keep"}); e.Kept {
		t.Error("still kept")
	}
	wrong(t, h, 404, "", call{method: "POST", path: "/api/v1/executions/999/keep"})
	events, _, err := h.Store.AuditEvents(t.Context(), hub.DefaultOrganisationID, store.Page{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var did []string
	for _, a := range events {
		if strings.HasSuffix(a.Action, "keep") && a.Actor != "" {
			did = append(did, a.Action)
		}
	}
	if len(did) != 2 {
		t.Errorf("the audit has %v", did)
	}
}

// The settings of a project say how long its executions stay, and are refused when nothing
// could go by them.
func TestRetentionOfProject(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	p := get[api.Project](t, h, 201, call{method: "POST", path: "/api/v1/projects", body: `{"name":"web","settings":{"retention.failedDays":"180","retention.executions":"20"}}`})
	if p.Retention != (api.Retention{Days: 90, FailedDays: 180, Executions: 20}) {
		t.Errorf("retention: %+v", p.Retention)
	}
	a := do(t, h, call{method: "POST", path: "/api/v1/projects", body: `{"name":"db","settings":{"retention.executions":"9"}}`})
	if a.status != 422 && a.status != 400 || !strings.Contains(string(a.body), "body.settings.retention.executions") {
		t.Errorf("%d: %s", a.status, a.body)
	}
	if c := get[api.Cluster](t, h, 200, call{method: "GET", path: "/api/v1/cluster"}); c.Retention.EndedAt != nil || c.Retention.Deleting != 0 {
		t.Errorf("before the first pass: %+v", c.Retention)
	}
	body := string(do(t, h, call{method: "GET", path: "/metrics"}).body)
	for _, line := range []string{"purged_total 0", "failures_total 0", "deleting 0", "deleting_oldest_seconds 0", "last_pass_timestamp_seconds 0"} {
		if !strings.Contains(body, "\nfairlead_hub_retention_"+line+"\n") {
			t.Errorf("no %q in %s", line, body)
		}
	}
}
