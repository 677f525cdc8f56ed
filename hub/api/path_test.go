package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub/api/apitest"
)

// Whatever is wrong with an input is told at once, each with where it stands.
func TestErrorsTellWhere(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	imported(t, h, "web")
	yaml := http.Header{"Content-Type": {"application/yaml"}}
	const other = "- {name: %, group: ops, uuid: 00000000-0000-4000-8000-00000000000%, sequence: {commands: [{exec: x}]}}\n"
	twice := strings.ReplaceAll(other, "%", "1") + strings.ReplaceAll(other, "%", "2")
	if a := do(t, h, call{method: "POST", path: "/api/v1/projects/web/jobs/import", body: twice, header: yaml}); a.status != 200 {
		t.Fatalf("import: %d %s", a.status, a.body)
	}
	clash := strings.NewReplacer("0001,", "0008,", "0002,", "0009,").Replace(twice)
	for name, tc := range map[string]struct {
		call
		status int
		paths  []string
	}{
		"jobs of a file":      {call{method: "POST", path: "/api/v1/projects/web/jobs/import", body: clash, header: yaml}, 409, []string{"[0]", "[1]"}},
		"options":             {call{method: "POST", path: runPath, body: `{"options":{"other":"x"}}`}, 400, []string{"body.options.other", "body.options.service"}},
		"filter of a run":     {call{method: "POST", path: runPath, body: `{"options":{"service":"x"},"nodeFilter":"tags: /(/"}`}, 400, []string{"body.nodeFilter"}},
		"filter of a command": {call{method: "POST", path: "/api/v1/projects/web/executions", body: `{"command":"x","nodeFilter":"tags: /(/"}`}, 400, []string{"body.nodeFilter"}},
		"command and script":  {call{method: "POST", path: "/api/v1/projects/web/executions", body: `{}`}, 400, []string{"body.command", "body.script"}},
		"both filters":        {call{method: "GET", path: "/api/v1/projects/web/nodes?filter=tags:+/(/&exclude=name:+/)/"}, 400, []string{"query.filter", "query.exclude"}},
		"exclude alone":       {call{method: "GET", path: "/api/v1/projects/web/nodes?exclude=name:+/)/"}, 400, []string{"query.exclude"}},
		"cursor of nodes":     {call{method: "GET", path: "/api/v1/projects/web/nodes?cursor=x"}, 400, []string{"query.cursor"}},
		"cursor of projects":  {call{method: "GET", path: "/api/v1/projects?cursor=x"}, 400, []string{"query.cursor"}},
		"cursor of runs":      {call{method: "GET", path: "/api/v1/executions?cursor=x"}, 400, []string{"query.cursor"}},
		"cursor of keys":      {call{method: "GET", path: "/api/v1/keys?cursor=x"}, 400, []string{"query.cursor"}},
		"projects of a token": {call{method: "POST", path: "/api/v1/runners/tokens", body: `{"projects":["a","web","b"]}`}, 404, []string{"body.projects[0]", "body.projects[2]"}},
		"sign-in":             {call{method: "POST", path: "/api/v1/sessions", body: `{}`, token: "-"}, 400, []string{"body.user", "body.link"}},
		"states":              {call{method: "GET", path: "/api/v1/executions?status=failed,finished,RUNNING"}, 400, []string{"query.status", "query.status"}},
		"state of a row":      {call{method: "GET", path: "/api/v1/executions/1/nodes?status=faild"}, 400, []string{"query.status"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var paths []string
			for _, e := range wrong(t, h, tc.status, "", tc.call).Errors {
				paths = append(paths, e.Path)
				if e.Message == "" {
					t.Errorf("%s has no message", e.Path)
				}
			}
			if diff := cmp.Diff(tc.paths, paths); diff != "" {
				t.Error(diff)
			}
		})
	}
}
