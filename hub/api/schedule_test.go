package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/api"
	"github.com/fairlead/fairlead/hub/api/apitest"
)

func TestSchedules(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web")
	const file = `
- name: nightly
  group: ops
  schedule: {crontab: 0 30 2 * * ?}
  timeZone: Asia/Tokyo
  missed: once
  sequence: {commands: [{exec: "true"}]}
- name: past
  schedule: {crontab: 0 0 0 1 1 ? 2020}
  sequence: {commands: [{exec: "true"}]}
- name: by hand
  executionEnabled: false
  sequence: {commands: [{exec: "true"}]}
`
	yaml := http.Header{"Content-Type": {"application/yaml"}}
	get[api.JobImport](t, h, 200, call{method: "POST", path: "/api/v1/projects/web/jobs/import", body: file, header: yaml})

	list := get[api.ScheduleList](t, h, 200, call{method: "GET", path: "/api/v1/schedules?project=web"}).Items
	if len(list) != 2 || list[0].Name != "past" || list[1].Name != "nightly" {
		t.Fatalf("schedules %+v", list)
	}
	if list[0].NextFireAt != nil || list[0].WhyNot != "The expression has no time left." || list[0].TimeZone != "UTC" {
		t.Errorf("a schedule whose time is over: %+v", list[0])
	}
	s := list[1]
	if s.NextFireAt == nil || time.Time(*s.NextFireAt).UTC().Format("15:04") != "17:30" || s.WhyNot != "" || s.Missed != "once" {
		t.Errorf("a schedule: %+v", s)
	}
	const job = "/api/v1/projects/web/jobs/ops%2Fnightly"
	fires := get[api.Fires](t, h, 200, call{method: "GET", path: job + "/fires?count=3"})
	if len(fires.Coming) != 3 || len(fires.Past) != 0 || time.Time(fires.Coming[2]).Sub(time.Time(fires.Coming[0])) != 48*time.Hour {
		t.Errorf("fires %+v", fires)
	}

	due := h.Store.Now().Truncate(time.Second)
	for i, status := range []hub.FireStatus{hub.FireStarted, hub.FireMissed, hub.FireFailed} {
		f := hub.Fire{JobID: s.JobID, At: due.Add(time.Duration(i) * time.Second), Status: status, Reason: "why"}
		if _, err := h.Store.AddFire(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	unstarted := get[api.JobFireList](t, h, 200, call{method: "GET", path: "/api/v1/projects/web/fires"}).Items
	if len(unstarted) != 2 || unstarted[0].Status != "failed" || unstarted[1].Status != "missed" || unstarted[0].Group != "ops" || unstarted[0].Reason != "why" {
		t.Errorf("fires that started nothing: %+v", unstarted)
	}

	if s := get[api.Schedule](t, h, 200, call{method: "POST", path: job + "/schedule/pause"}); !s.Paused || s.WhyNot != "The schedule is paused." || s.NextFireAt != nil {
		t.Errorf("a paused schedule: %+v", s)
	}
	if f := get[api.Fires](t, h, 200, call{method: "GET", path: job + "/fires"}); len(f.Coming) != 0 || f.WhyNot == "" {
		t.Errorf("fires of a paused schedule: %+v", f)
	}
	if s := get[api.Schedule](t, h, 200, call{method: "POST", path: job + "/schedule/resume"}); s.Paused || s.NextFireAt == nil {
		t.Errorf("a resumed schedule: %+v", s)
	}
	wrong(t, h, 404, "no schedule", call{method: "POST", path: "/api/v1/projects/web/jobs/by%20hand/schedule/pause"})
	wrong(t, h, 403, "administrator", call{method: "POST", path: job + "/schedule/pause", token: h.User(t, "bob")})
	wrong(t, h, 409, "executionEnabled", call{method: "POST", path: "/api/v1/projects/web/jobs/by%20hand/executions", body: `{}`})

	anyRevision := http.Header{"If-Match": {"*"}}
	p := wrong(t, h, 400, "schedules", call{method: "PATCH", path: "/api/v1/projects/web", body: `{"settings":{"schedule-time-zone":"PST","schedule-enabled":"maybe"}}`, header: anyRevision})
	if len(p.Errors) != 2 || p.Errors[0].Path != "body.settings.schedule-time-zone" {
		t.Errorf("errors %+v", p.Errors)
	}
	// Of members, the only one fires nothing; then the cluster does not.
	for _, change := range [][2]string{{"/members/test", "No member fires schedules"}, {"", "The cluster fires no schedules"}} {
		get[api.Cluster](t, h, 200, call{method: "PATCH", path: "/api/v1/cluster" + change[0], body: `{"executionMode":"passive"}`})
		list = get[api.ScheduleList](t, h, 200, call{method: "GET", path: "/api/v1/schedules"}).Items
		if len(list) != 2 || !strings.HasPrefix(list[1].WhyNot, change[1]) || list[1].NextFireAt == nil || list[0].WhyNot != "The expression has no time left." {
			t.Errorf("schedules that nobody fires: %+v", list)
		}
	}
	get[api.Cluster](t, h, 200, call{method: "PATCH", path: "/api/v1/cluster", body: `{"executionMode":"active"}`})
	get[api.Cluster](t, h, 200, call{method: "PATCH", path: "/api/v1/cluster/members/test", body: `{"executionMode":"active"}`})

	get[api.Project](t, h, 200, call{method: "PATCH", path: "/api/v1/projects/web", body: `{"settings":{"schedule-enabled":"false"}}`, header: anyRevision})
	list = get[api.ScheduleList](t, h, 200, call{method: "GET", path: "/api/v1/schedules"}).Items
	if len(list) != 2 || list[1].WhyNot == "" || list[1].NextFireAt != nil {
		t.Errorf("schedules of a project that is off: %+v", list)
	}
}
