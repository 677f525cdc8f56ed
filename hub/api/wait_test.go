package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/api"
	"github.com/fairlead/fairlead/hub/api/apitest"
)

// A run at a later time is there at once, tells until when it waits, and keeps its secure
// values closed.
func TestRunLater(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1", "web2")
	imported(t, h, "web")
	run := func(at time.Time, key string) call {
		body := `{"options":{"service":"nginx","password":"hunter2-hunter2"},"nodeFilter":"","runAt":"` + at.Format(time.RFC3339Nano) + `"}`
		return call{method: "POST", path: runPath, body: body, header: http.Header{"Idempotency-Key": {key}}}
	}
	now := h.Store.Now()
	for at, want := range map[time.Time]string{now.Add(-time.Minute): "in the past", now.AddDate(2, 0, 0): "days ahead"} {
		if p := wrong(t, h, 400, want, run(at, "refused")); len(p.Errors) != 1 || p.Errors[0].Path != "body.runAt" {
			t.Errorf("errors %+v", p.Errors)
		}
	}
	wrong(t, h, 400, "runAt", call{method: "POST", path: runPath, body: `{"options":{"service":"x"},"runAt":"2026-12-01 02:00"}`})
	at := now.Add(time.Hour).In(time.FixedZone("", 3600)).Truncate(time.Millisecond)
	e := get[api.Execution](t, h, 201, run(at, "k"))
	if e.Status != "scheduled" || e.RunAt == nil || !time.Time(*e.RunAt).Equal(at) || e.WaitingFor == nil || e.WaitingFor.Kind != "schedule" ||
		!strings.Contains(e.WaitingFor.Message, at.UTC().Format(time.RFC3339)) || len(e.Nodes) != 0 {
		t.Errorf("scheduled as %+v", e)
	}
	if again := get[api.Execution](t, h, 201, run(at, "k")); again.ID != e.ID {
		t.Errorf("a repeat began another execution")
	}
	w, err := h.Store.Wait(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := json.Marshal(w); err != nil || len(w.Spec.Sealed) == 0 || strings.Contains(string(kept)+string(w.Spec.Sealed), "hunter2") {
		t.Errorf("kept as %s, %v", kept, err)
	}
	for query, want := range map[string]int{"?status=scheduled": 1, "?status=queued": 0, "?status=queued,scheduled": 1, "": 1} {
		if n := len(get[api.ExecutionList](t, h, 200, call{method: "GET", path: "/api/v1/executions" + query}).Items); n != want {
			t.Errorf("the list %q has %d, want %d", query, n, want)
		}
	}
	if m := get[api.ExecutionNodeList](t, h, 200, call{method: "GET", path: "/api/v1/executions/" + e.ID + "/nodes"}); m.Total != 0 {
		t.Errorf("its nodes are %+v", m)
	}

	// At its time a runner gets the value; what was asked for at once is not in its way.
	secret := make(chan string, 1)
	h.Runner(t, "r1", func(_ context.Context, a *apitest.Attempt) error {
		select {
		case secret <- a.Secrets.Options["password"]:
		default:
		}
		return nil
	})
	w.DueAt = h.Store.Now()
	if _, err := h.Dispatch.StartWaiting(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	got := get[api.Execution](t, h, 200, call{method: "GET", path: "/api/v1/executions/" + e.ID + "?wait=30s"})
	if got.Status != "succeeded" || got.WaitingFor != nil || len(got.SecureOptions) != 1 {
		t.Errorf("it ended as %+v", got)
	}
	if v := apitest.Receive(t, "the runner's attempt", secret); v != "hunter2-hunter2" {
		t.Errorf("the runner got %q", v)
	}

	later := get[api.Execution](t, h, 201, call{method: "POST", path: "/api/v1/projects/web/executions", body: `{"command":"uptime","nodeFilter":".*","runAt":"` + at.Format(time.RFC3339) + `"}`})
	get[api.Execution](t, h, 200, call{method: "POST", path: "/api/v1/executions/" + later.ID + "/cancel", body: `{}`})
	if got := get[api.Execution](t, h, 200, call{method: "GET", path: "/api/v1/executions/" + later.ID}); got.Status != "cancelled" || got.Command == nil || got.Command.Command != "uptime" {
		t.Errorf("cancelled as %+v", got)
	}
}

// A job that runs lets the next run of it wait, and says for which.
func TestRunInTurn(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	yaml := http.Header{"Content-Type": {"application/yaml"}}
	const file = "- name: single\n  sequence: {commands: [{exec: x}]}\n"
	get[api.JobImport](t, h, 200, call{method: "POST", path: "/api/v1/projects/web/jobs/import", body: file, header: yaml})
	begin := call{method: "POST", path: "/api/v1/projects/web/jobs/single/executions", body: `{}`}
	first := get[api.Execution](t, h, 201, begin)
	second := get[api.Execution](t, h, 201, begin)
	if second.Status != "queued" || second.WaitingFor == nil || second.WaitingFor.Kind != "queue" || second.WaitingFor.Message != "execution #1 of this job to end" {
		t.Errorf("the second waits as %+v", second.WaitingFor)
	}
	if j := get[api.Job](t, h, 200, call{method: "GET", path: "/api/v1/projects/web/jobs/single"}); j.AtOnce != 1 {
		t.Errorf("at once %d", j.AtOnce)
	}
	h.Runner(t, "r1", nil)
	for _, e := range []api.Execution{first, second} {
		if got := get[api.Execution](t, h, 200, call{method: "GET", path: "/api/v1/executions/" + e.ID + "?wait=30s"}); hub.Status(got.Status) != hub.StatusSucceeded {
			t.Errorf("ended as %+v", got)
		}
	}
}
