package api_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub/api"
	"github.com/fairlead/fairlead/hub/api/apitest"
)

const calendars = "/api/v1/projects/web/calendars"

func TestCalendars(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web")
	set := func(days, tag string) call {
		header := http.Header{}
		if tag != "" {
			header.Set("If-Match", tag)
		}
		return call{method: "PUT", path: calendars + "/feasts", body: `{"mode":"exclude","description":"No work","days":[` + days + `]}`, header: header}
	}
	p := wrong(t, h, 400, "feasts", set(`"12-25","32-32","12-24..MON"`, ""))
	if len(p.Errors) != 2 || p.Errors[0].Path != "body.days[1]" {
		t.Errorf("errors %+v", p.Errors)
	}
	wrong(t, h, 404, "no calendar", call{method: "GET", path: calendars + "/feasts"})
	changes := events(t, h, "/api/v1/events?project=web", bearer)
	c := get[api.Calendar](t, h, 200, set(`"12-25"`, ""))
	if c.Revision != 1 || c.Mode != "exclude" || c.Description != "No work" || len(c.Jobs) != 0 {
		t.Errorf("made %+v", c)
	}
	for {
		var e api.Event
		if err := changes.ReadJSON(&e); err != nil {
			t.Fatal(err)
		}
		if e.Type == "calendar" {
			if e.Calendar != "feasts" || e.Project != "web" {
				t.Errorf("event %+v", e)
			}
			break
		}
	}
	wrong(t, h, 428, "If-Match", set(`"12-26"`, ""))
	wrong(t, h, 412, "meanwhile", set(`"12-26"`, `"7"`))
	if c := get[api.Calendar](t, h, 200, set(`"12-25..12-26"`, `"1"`)); c.Revision != 2 || c.Days[0] != "12-25..12-26" {
		t.Errorf("changed %+v", c)
	}
	wrong(t, h, 403, "administrator", call{method: "DELETE", path: calendars + "/feasts", token: h.User(t, "bob")})

	const file = `
- name: nightly
  group: ops
  schedule: {crontab: 0 30 2 * * ?}
  calendars: [feasts, freeze]
  sequence: {commands: [{exec: "true"}]}
`
	yaml := http.Header{"Content-Type": {"application/yaml"}}
	imports := call{method: "POST", path: "/api/v1/projects/web/jobs/import", body: file, header: yaml}
	wrong(t, h, 400, `calendar \"freeze\"`, imports)
	get[api.Calendar](t, h, 200, call{method: "PUT", path: calendars + "/freeze", body: `{"mode":"only","days":["2198-01-01..2199-12-31"]}`})
	get[api.JobImport](t, h, 200, imports)
	list := get[api.CalendarList](t, h, 200, call{method: "GET", path: calendars}).Items
	if len(list) != 2 || list[0].Name != "feasts" || list[1].Name != "freeze" || !slices.Equal(list[1].Jobs, []string{"ops/nightly"}) {
		t.Errorf("list %+v", list)
	}
	fires := get[api.Fires](t, h, 200, call{method: "GET", path: "/api/v1/projects/web/jobs/ops%2Fnightly/fires?count=2"})
	if len(fires.Coming) != 2 || time.Time(fires.Coming[0]).UTC().Format(time.DateTime) != "2198-01-01 02:30:00" || len(fires.TakenOut) != 100 || fires.TakenOut[0].Calendar == "" {
		t.Errorf("fires %+v", fires)
	}
	anyRevision := http.Header{"If-Match": {"*"}}
	wrong(t, h, 409, "ops/nightly", call{method: "DELETE", path: calendars + "/freeze", header: anyRevision})
	get[api.JobImport](t, h, 200, call{method: "POST", path: "/api/v1/projects/web/jobs/import", body: "- name: nightly\n  group: ops\n  sequence: {commands: [{exec: x}]}\n", header: yaml})
	if a := do(t, h, call{method: "DELETE", path: calendars + "/freeze", header: anyRevision}); a.status != 204 {
		t.Errorf("deleted with %d: %s", a.status, a.body)
	}
	if got := audited(t, h, 0); !slices.Contains(got, "calendar.set web/feasts done") || !slices.Contains(got, "calendar.delete web/freeze done") {
		t.Errorf("the audit says %v", got)
	}
}
