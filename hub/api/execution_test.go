package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/api"
	"github.com/fairlead/fairlead/hub/api/apitest"
)

const runPath = "/api/v1/projects/web/jobs/ops%2Frestart/executions"

func TestRunJob(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1", "web2")
	imported(t, h, "web")
	h.Runner(t, "r1", nil)

	p := wrong(t, h, 400, "service", call{method: "POST", path: runPath, body: `{"options":{"other":"x"}}`})
	if len(p.Errors) != 2 {
		t.Errorf("a missing and an unknown option: %+v", p.Errors)
	}
	e := get[api.Execution](t, h, 201, call{method: "POST", path: runPath + "?wait=20s", body: `{"options":{"service":"nginx","password":"hunter2-secret"}}`})
	if e.Status != "succeeded" || e.Outcome != "succeeded" || !e.LogComplete || e.Nodes["succeeded"] != 2 || e.EndedAt == nil || e.StartedAt == nil {
		t.Errorf("execution %+v", e)
	}
	if e.Job == nil || e.Job.Name != "restart" || e.Job.Group != "ops" || e.Job.Revision != 1 || e.Project != "web" || e.Number < 1 || !strings.HasSuffix(e.URL, "/executions/"+e.ID) {
		t.Errorf("execution %+v of job %+v", e, e.Job)
	}
	if diff := cmp.Diff(map[string]string{"service": "nginx"}, e.Options); diff != "" || len(e.SecureOptions) != 1 || len(e.Steps) != 2 {
		t.Errorf("options %v, secure %v, steps %v: %s", e.Options, e.SecureOptions, e.Steps, diff)
	}
	raw := do(t, h, call{method: "GET", path: fmt.Sprintf("/api/v1/executions/%d", e.Number)})
	if strings.Contains(string(raw.body), "hunter2") || !strings.Contains(string(raw.body), e.ID) {
		t.Errorf("execution by number: %s", raw.body)
	}
	rows := get[api.ExecutionNodeList](t, h, 200, call{method: "GET", path: "/api/v1/executions/" + e.ID + "/nodes"})
	if rows.Total != 2 || rows.Items[0].Node != "web1" || len(rows.Items[0].Steps) != 2 || rows.Items[0].Steps[1].Status != "succeeded" || *rows.Items[0].Steps[1].Code != 0 || rows.Items[0].RunnerID == "" {
		t.Errorf("matrix %+v", rows)
	}
	list := get[api.ExecutionList](t, h, 200, call{method: "GET", path: "/api/v1/executions?project=web&job=restart&status=succeeded"})
	if len(list.Items) != 1 || list.Items[0].Number != e.Number || list.Items[0].Nodes["succeeded"] != 2 {
		t.Errorf("list %+v", list)
	}
}

func TestRunOverrides(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1", "web2", "web3")
	imported(t, h, "web")
	h.Runner(t, "r1", nil)
	e := get[api.Execution](t, h, 201, call{method: "POST", path: runPath + "?wait=20s", body: `{"options":{"service":"x"},"threadcount":2,"keepgoing":true,"nodes":["web3","web1"]}`})
	if e.Threadcount != 2 || !e.Keepgoing || e.Nodes["succeeded"] != 2 {
		t.Errorf("execution %+v", e)
	}
	wrong(t, h, 400, "", call{method: "POST", path: runPath, body: `{"options":{"service":"x"},"nodeFilter":"tags: demo"}`}) // not editable
}

func TestOneKeyOneExecution(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	imported(t, h, "web")
	h.Runner(t, "r1", nil)
	key := http.Header{"Idempotency-Key": {"run-1"}}
	var mu sync.Mutex
	numbers := map[int64]int{}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			e := get[api.Execution](t, h, 201, call{method: "POST", path: runPath + "?wait=20s", body: `{"options":{"service":"x"}}`, header: key})
			mu.Lock()
			defer mu.Unlock()
			numbers[e.Number]++
			if e.Status != "succeeded" {
				t.Errorf("a repeat was answered %s", e.Status)
			}
		})
	}
	all.Wait()
	if len(numbers) != 1 {
		t.Errorf("executions of one key: %v", numbers)
	}
	wrong(t, h, 422, "another request", call{method: "POST", path: runPath, body: `{"options":{"service":"y"}}`, header: key})
}

func TestCommandWaitsForRunner(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	e := get[api.Execution](t, h, 201, call{method: "POST", path: "/api/v1/projects/web/executions", body: `{"command":"uptime","nodeFilter":"web1"}`})
	if e.Status != "queued" || e.Name != "uptime" || e.Job != nil || e.Nodes["queued"] != 1 {
		t.Errorf("execution %+v", e)
	}
	if e.WaitingFor == nil || e.WaitingFor.Kind != "runner" || e.WaitingFor.Message == "" {
		t.Errorf("it waits for %+v", e.WaitingFor)
	}
	h.Runner(t, "late", nil)
	e = get[api.Execution](t, h, 200, call{method: "GET", path: "/api/v1/executions/" + e.ID + "?wait=20s"})
	if e.Status != "succeeded" || e.WaitingFor != nil {
		t.Errorf("once a runner came: %+v", e)
	}
	for body, want := range map[string]string{
		`{}`:                                                                "either command or script",
		`{"command":"a","script":"b"}`:                                      "either command or script",
		`{"command":"a","isAdmin":true}`:                                    "unexpected property",
		`{"command":"a","command":"b"}`:                                     "appears twice",
		`{"command":"a","threadcount":-1}`:                                  "threadcount",
		`{"command":"a","threadcount":1e400}`:                               "",
		`{"command":"a","timeoutMs":9223372036854775808}`:                   "",
		`{"command":"a","nodeFilter":"tags: /(/"}`:                          "",
		`{"command":"a` + strings.Repeat("x", 200_000) + `"}`:               "length",
		`{"command":` + strings.Repeat("[", 9000) + `}`:                     "",
		"{\"command\":\"a\\u0000b\",\"nodeFilter\":\"web1\"}":               "NUL",
		`{"command":"a","nodeFilter":"` + strings.Repeat("x", 1<<20) + `"}`: "too large",
	} {
		a := do(t, h, call{method: "POST", path: "/api/v1/projects/web/executions", body: body})
		if a.status < 400 || a.status >= 500 || !strings.Contains(string(a.body), want) {
			t.Errorf("%.80s: %d %.300s, want 4xx and %q", body, a.status, a.body, want)
		}
	}
}

func TestFailedAndCancelled(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	stop := make(chan struct{})
	h.Runner(t, "r1", func(ctx context.Context, a *apitest.Attempt) error {
		if strings.Contains(a.Execution.JobName, "sleep") {
			a.Started(0, 0)
			close(stop)
			<-ctx.Done()
			a.Ended(0, 0, hub.StatusCancelled, 0)
			return nil
		}
		return apitest.Fail(ctx, a)
	})
	e := get[api.Execution](t, h, 201, call{method: "POST", path: "/api/v1/projects/web/executions?wait=20s", body: `{"command":"false","nodeFilter":"web1"}`})
	if e.Status != "failed" || e.Nodes["failed"] != 1 {
		t.Errorf("execution %+v", e)
	}
	e = get[api.Execution](t, h, 201, call{method: "POST", path: "/api/v1/projects/web/executions", body: `{"command":"sleep 100","nodeFilter":"web1"}`})
	apitest.Receive(t, "the start of the command", stop)
	cancelled := get[api.Execution](t, h, 200, call{method: "POST", path: "/api/v1/executions/" + e.ID + "/cancel", body: `{}`})
	if !cancelled.CancelRequested || (cancelled.Status != "cancelling" && cancelled.Status != "cancelled") {
		t.Errorf("cancelled %+v", cancelled)
	}
	e = get[api.Execution](t, h, 200, call{method: "GET", path: "/api/v1/executions/" + e.ID + "?wait=20s"})
	if e.Status != "cancelled" || e.CancelledBy == "" {
		t.Errorf("in the end %+v", e)
	}
	wrong(t, h, 409, "", call{method: "POST", path: "/api/v1/executions/" + e.ID + "/cancel", body: `{}`})
	wrong(t, h, 404, "", call{method: "POST", path: "/api/v1/executions/9999/cancel", body: `{}`})
}

// What an ad-hoc execution tells of its command runs the same again, on some nodes if asked.
func TestCommandRunsAgain(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1", "web2")
	const path = "/api/v1/projects/web/executions"
	for _, in := range []api.RunCommand{
		{Command: "line one\nline two " + strings.Repeat("x", 100), NodeFilter: "tags: demo", Threadcount: 2, Keepgoing: true, TimeoutMs: 60000},
		{Script: "#!/bin/sh\necho $1", Args: "a b", Interpreter: "sh", Threadcount: 1},
	} {
		first := get[api.Execution](t, h, 201, call{method: "POST", path: path, body: text(t, in)})
		shown := get[api.Execution](t, h, 200, call{method: "GET", path: "/api/v1/executions/" + first.ID})
		if shown.Command == nil {
			t.Fatalf("no command in %+v", shown)
		}
		if diff := cmp.Diff(in, *shown.Command); diff != "" {
			t.Error(diff)
		}
	}
	e := get[api.Execution](t, h, 201, call{method: "POST", path: path, body: `{"command":"x","nodeFilter":"tags: demo","nodes":["web2"]}`})
	if e.Nodes["queued"] != 1 {
		t.Errorf("of two nodes one was named: %v", e.Nodes)
	}
}

// Who names nodes means them, never the runner's own host, which has no node filter.
func TestNamedNodesNeedAFilter(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1", "web2")
	const path = "/api/v1/projects/web/executions"
	wrong(t, h, 400, "has no node filter", call{method: "POST", path: path, body: `{"command":"reboot","nodes":["web1"]}`})
	wrong(t, h, 400, "none of the nodes", call{method: "POST", path: path, body: `{"command":"x","nodeFilter":"tags: demo","nodes":["web9"]}`})
	e := get[api.Execution](t, h, 201, call{method: "POST", path: path, body: `{"command":"x","nodes":["localhost"]}`})
	if e.Nodes["queued"] != 1 {
		t.Errorf("where it ran before it runs again: %v", e.Nodes)
	}
}

// text is v as JSON.
func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A list, a single execution, its matrix and its events count the same nodes.
func TestCountsAgree(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1", "web2", "web3")
	imported(t, h, "web")
	halfway, goOn := make(chan struct{}, 2), make(chan struct{})
	h.Runner(t, "r1", func(ctx context.Context, a *apitest.Attempt) error {
		a.Started(0, 0)
		a.Ended(0, 0, hub.StatusSucceeded, 0)
		halfway <- struct{}{}
		if err := apitest.Await(ctx, goOn); err != nil {
			return err
		}
		a.Started(0, 1)
		a.Ended(0, 1, hub.StatusFailed, 1)
		return nil
	})
	for range 2 {
		get[api.Execution](t, h, 201, call{method: "POST", path: runPath, body: `{"options":{"service":"x"},"threadcount":1}`})
	}
	for range 2 {
		apitest.Receive(t, "the middle of an execution", halfway)
	}
	counts := func() map[int64]map[string]int {
		out := map[int64]map[string]int{}
		for _, e := range get[api.ExecutionList](t, h, 200, call{method: "GET", path: "/api/v1/executions"}).Items {
			out[e.Number] = e.Nodes
			one := get[api.Execution](t, h, 200, call{method: "GET", path: "/api/v1/executions/" + e.ID})
			rows := get[api.ExecutionNodeList](t, h, 200, call{method: "GET", path: "/api/v1/executions/" + e.ID + "/nodes"})
			matrix := map[string]int{}
			for _, row := range rows.Items {
				matrix[string(row.Status)]++
			}
			if diff := cmp.Diff(e.Nodes, one.Nodes) + cmp.Diff(e.Nodes, matrix); diff != "" {
				t.Errorf("execution %d: list, single and matrix differ: %s", e.Number, diff)
			}
		}
		return out
	}
	half := counts()
	for number, nodes := range half {
		if diff := cmp.Diff(map[string]int{"running": 1, "queued": 2}, nodes); diff != "" {
			t.Errorf("execution %d halfway: %s", number, diff)
		}
	}
	close(goOn)
	for number := range half {
		get[api.Execution](t, h, 200, call{method: "GET", path: fmt.Sprintf("/api/v1/executions/%d?wait=20s", number)})
	}
	for number, nodes := range counts() {
		if nodes["failed"] != 1 || nodes["skipped"] != 2 {
			t.Errorf("execution %d in the end: %v", number, nodes)
		}
	}
}
