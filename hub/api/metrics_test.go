package api_test

import (
	"context"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/api"
	"github.com/fairlead/fairlead/hub/api/apitest"
)

// Metrics tell what there is to do and what became of it.
func TestMetrics(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	command := func(text, query string) {
		get[api.Execution](t, h, 201, call{method: "POST", path: "/api/v1/projects/web/executions" + query, body: `{"command":"` + text + `","nodeFilter":"web1"}`})
	}
	command("waits for a runner", "")
	says := func(lines ...string) {
		t.Helper()
		a := do(t, h, call{method: "GET", path: "/metrics", token: "-"})
		for _, line := range lines {
			if a.status != 200 || !strings.Contains(string(a.body), "\nfairlead_hub_"+line+"\n") {
				t.Errorf("no %q in %d %s", line, a.status, a.body)
			}
		}
	}
	says("member_ready 1", "runners_connected 0", "assignments_waiting 1", "attempts_open 0", `executions_ended_total{status="failed"} 0`)
	holds := make(chan struct{})
	h.Runner(t, "r1", func(ctx context.Context, a *apitest.Attempt) error {
		if a.Execution.JobName != "held" {
			return apitest.Fail(ctx, a)
		}
		close(holds)
		<-ctx.Done()
		a.Ended(0, 0, hub.StatusCancelled, 0)
		return nil
	})
	command("fails", "?wait=20s")
	command("held", "")
	apitest.Receive(t, "the start of the command that holds", holds)
	says("member_ready 1", "runners_connected 1", "assignments_waiting 0", "attempts_open 1", `executions_ended_total{status="failed"} 2`)
}

// Where people come through a proxy, everybody comes from this machine: a scraper needs
// a token then.
func TestMetricsAreNotForEverybody(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t, apitest.PublicURL("https://hub.example"))
	metrics := call{method: "GET", path: "/metrics", token: "-"}
	wrong(t, h, 401, "", metrics)
	metrics.token = h.User(t, "prometheus")
	if a := do(t, h, metrics); a.status != 200 {
		t.Errorf("with a token: %d %s", a.status, a.body)
	}
	direct := apitest.Start(t)
	wrong(t, direct, 401, "", call{method: "GET", path: "/metrics", token: "-", header: map[string][]string{"X-Forwarded-For": {"192.0.2.1"}}})
}
