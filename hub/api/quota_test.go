package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/api"
	"github.com/fairlead/fairlead/hub/api/apitest"
	"github.com/fairlead/fairlead/hub/store"
)

func setQuota(body, match string) call {
	return call{method: "PATCH", path: "/api/v1/quota", body: body, header: http.Header{"If-Match": {match}}}
}

// Administrators alone change the quota, knowing what they change; the audit has it, and
// everyone may see it.
func TestQuotaIsChanged(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	show := call{method: "GET", path: "/api/v1/quota"}
	if q := get[api.Quota](t, h, 200, show); q != (api.Quota{Revision: 1}) {
		t.Errorf("before: %+v", q)
	}
	wrong(t, h, 428, "If-Match", setQuota(`{"logBytes":1048576}`, ""))
	wrong(t, h, 412, "meanwhile", setQuota(`{"logBytes":1048576}`, `"7"`))
	wrong(t, h, 400, "body.executionLogBytes", setQuota(`{"logBytes":1048576,"executionLogBytes":1}`, "*"))
	wrong(t, h, 400, "body.logBytes", setQuota(`{"logBytes":-1}`, "*"))
	if q := get[api.Quota](t, h, 200, setQuota(`{"logBytes":5000000000,"executionLogBytes":2000000}`, `"1"`)); q.LogBytes != 5e9 || q.ExecutionLogBytes != 2e6 || q.Revision != 2 {
		t.Errorf("set: %+v", q)
	}
	a := do(t, h, setQuota(`{"logBytes":0}`, `"2"`))
	if a.status != 200 || a.header.Get("ETag") != `"3"` {
		t.Errorf("%d, %q: %s", a.status, a.header.Get("ETag"), a.body)
	}
	show.token = h.User(t, "bob")
	if q := get[api.Quota](t, h, 200, show); q.LogBytes != 0 || q.ExecutionLogBytes != 2e6 || q.Near || q.Over {
		t.Errorf("what is left: %+v", q)
	}
	refused := setQuota(`{"logBytes":0}`, "*")
	refused.token = show.token
	wrong(t, h, 403, "administrator", refused)
	events, _, err := h.Store.AuditEvents(t.Context(), hub.DefaultOrganisationID, store.Page{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var objects []string
	for _, e := range events {
		if e.Action == "quota.change" && e.Result == "done" {
			objects = append(objects, e.Object)
		}
	}
	if len(objects) != 2 || !strings.Contains(strings.Join(objects, ";"), "logBytes=5000000000 executionLogBytes=2000000") {
		t.Errorf("the audit has %q", objects)
	}
}

// Over the quota a start is refused with what to do, and leaves nothing; who repeats one that
// was accepted before still gets its answer.
func TestStartOverQuota(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	h.Runner(t, "r1", apitest.Succeed)
	start := call{method: "POST", path: "/api/v1/projects/web/executions", body: `{"command":"true","nodeFilter":"web1"}`, header: http.Header{"Idempotency-Key": {"first"}}}
	first := get[api.Execution](t, h, 201, start)
	get[api.Quota](t, h, 200, setQuota(`{"logBytes":1048576}`, "*"))
	held := func(n int64) {
		t.Helper()
		if err := h.Store.InTx(t.Context(), func(st *store.Store) error {
			return st.NoteUsed(t.Context(), map[string]int64{hub.DefaultOrganisationID: n})
		}); err != nil {
			t.Fatal(err)
		}
	}
	held(3 << 19)
	if e := get[api.Execution](t, h, 201, start); e.ID != first.ID {
		t.Errorf("repeated: %+v", e)
	}
	start.header = http.Header{"Idempotency-Key": {"second"}}
	if p := wrong(t, h, 409, "hold 1.5 MB, and the quota is 1 MB", start); p.Code != "quota_exceeded" || !strings.Contains(p.Detail, "fairlead quota set") {
		t.Errorf("refused: %+v", p)
	}
	if l := get[api.ExecutionList](t, h, 200, call{method: "GET", path: "/api/v1/executions"}); len(l.Items) != 1 {
		t.Errorf("%d executions", len(l.Items))
	}
	if c := get[api.Cluster](t, h, 200, call{method: "GET", path: "/api/v1/cluster"}); !c.Quota.Over || !c.Quota.Near || c.Quota.UsedBytes != 3<<19 || c.Quota.CountedAt == nil {
		t.Errorf("the cluster tells %+v", c.Quota)
	}
	body := string(do(t, h, call{method: "GET", path: "/metrics"}).body)
	for _, line := range []string{"bytes", "used_bytes"} {
		want := "\nfairlead_hub_quota_log_" + line + `{organisation="` + hub.DefaultOrganisationID + `"} `
		if !strings.Contains(body, want) {
			t.Errorf("no %q in %s", want, body)
		}
	}
	held(1<<20 - 1) // there is room, and the key of the refused one is not used up
	if e := get[api.Execution](t, h, 201, start); e.ID == first.ID {
		t.Errorf("started: %+v", e)
	}
}
