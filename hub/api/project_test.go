package api_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/api"
	"github.com/fairlead/fairlead/hub/api/apitest"
	"github.com/fairlead/fairlead/hub/rundeck"
)

func TestProjects(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	made := get[api.Project](t, h, 201, call{method: "POST", path: "/api/v1/projects", body: `{"name":"web","settings":{"ssh-key-storage-path":"keys/web"},"routes":[{"filter":"tags: dc2","tags":["dc2"]}]}`})
	if made.Name != "web" || made.Revision != 1 || made.Routes[0].Tags[0] != "dc2" {
		t.Errorf("made %+v", made)
	}
	wrong(t, h, 409, "already", call{method: "POST", path: "/api/v1/projects", body: `{"name":"web"}`})

	etag := http.Header{"If-Match": {`"1"`}}
	wrong(t, h, 428, "If-Match", call{method: "PATCH", path: "/api/v1/projects/web", body: `{"description":"x"}`})
	changed := get[api.Project](t, h, 200, call{method: "PATCH", path: "/api/v1/projects/web", body: `{"description":"x"}`, header: etag})
	if changed.Revision != 2 || changed.Settings["ssh-key-storage-path"] != "keys/web" {
		t.Errorf("a change of the description made %+v", changed)
	}
	wrong(t, h, 412, "changed meanwhile", call{method: "PATCH", path: "/api/v1/projects/web", body: `{"description":"y"}`, header: etag})
	p := wrong(t, h, 400, "routes", call{method: "PATCH", path: "/api/v1/projects/web", body: `{"routes":[{"filter":"tags: /(/","tags":["a"]}]}`, header: http.Header{"If-Match": {"*"}}})
	if len(p.Errors) != 1 || p.Errors[0].Path != "body.routes[0].filter" {
		t.Errorf("errors %+v", p.Errors)
	}

	p = wrong(t, h, 400, "routes", call{method: "PATCH", path: "/api/v1/projects/web", body: `{"routes":[{"filter":".*","tags":["tags: x"]}]}`, header: http.Header{"If-Match": {"*"}}})
	if len(p.Errors) != 1 || p.Errors[0].Path != "body.routes[0].tags" {
		t.Errorf("errors %+v", p.Errors)
	}
	p = wrong(t, h, 400, "settings", call{method: "PATCH", path: "/api/v1/projects/web", body: `{"settings":{"retention.dayz":"3"}}`, header: http.Header{"If-Match": {"*"}}})
	if len(p.Errors) != 1 || !strings.Contains(p.Errors[0].Message, "retention.days") {
		t.Errorf("errors %+v", p.Errors)
	}

	anyRevision := http.Header{"If-Match": {"*"}}
	p = wrong(t, h, 400, "steps", call{method: "PATCH", path: "/api/v1/projects/web", body: `{"settings":{"ssh-key-storage-path":"keys//web","sudo-password-storage-path":"keys/${node.name}"}}`, header: anyRevision})
	if len(p.Errors) != 1 || p.Errors[0].Path != "body.settings.ssh-key-storage-path" {
		t.Errorf("errors %+v", p.Errors)
	}
	wrong(t, h, 400, "steps", call{method: "POST", path: "/api/v1/projects", body: `{"name":"other","settings":{"ssh-key-storage-path":"deploy"}}`})
	// What an older hub took stays, and is in nobody's way.
	if err := h.Store.CreateProject(t.Context(), &hub.Project{OrganisationID: hub.DefaultOrganisationID, Name: "old", Settings: map[string]string{"ssh-key-storage-path": "deploy"}}); err != nil {
		t.Fatal(err)
	}
	get[api.Project](t, h, 200, call{method: "PATCH", path: "/api/v1/projects/old", body: `{"settings":{"ssh-key-storage-path":"deploy","schedule-enabled":"false"}}`, header: anyRevision})

	if a := do(t, h, call{method: "DELETE", path: "/api/v1/projects/web", header: http.Header{"If-Match": {"*"}}}); a.status != 204 {
		t.Errorf("delete: %d %s", a.status, a.body)
	}
	wrong(t, h, 404, "web", call{method: "GET", path: "/api/v1/projects/web"})
}

func TestIdempotentCreates(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	key := http.Header{"Idempotency-Key": {"k1"}}
	var mu sync.Mutex
	ids := map[string]bool{}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			p := get[api.Project](t, h, 201, call{method: "POST", path: "/api/v1/projects", body: `{"name":"once"}`, header: key})
			mu.Lock()
			defer mu.Unlock()
			ids[p.ID] = true
		})
	}
	all.Wait()
	if len(ids) != 1 {
		t.Errorf("%d projects under one key", len(ids))
	}
	wrong(t, h, 422, "another request", call{method: "POST", path: "/api/v1/projects", body: `{"name":"other"}`, header: key})
	other := h.User(t, "bob")
	wrong(t, h, 403, "administrator", call{method: "POST", path: "/api/v1/projects", body: `{"name":"once"}`, header: key, token: other})

	secret := http.Header{"Idempotency-Key": {"k2"}}
	get[api.CreatedRunnerToken](t, h, 201, call{method: "POST", path: "/api/v1/runners/tokens", body: `{}`, header: secret})
	wrong(t, h, 409, "only once", call{method: "POST", path: "/api/v1/runners/tokens", body: `{}`, header: secret})
}

func TestNodes(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "old")
	file := func(ct, body string) call {
		return call{method: "PUT", path: "/api/v1/projects/web/nodes", body: body, header: http.Header{"Content-Type": {ct}, "If-Match": {"*"}}}
	}
	done := get[api.NodeImport](t, h, 200, file("application/yaml", "web1:\n  hostname: web1.example\n  tags: web, prod\nweb2:\n  hostname: web2.example\n  tags: web\ndb1:\n  hostname: db1.example:2222\n  username: ops\n  ssh-key-storage-path: keys/db\n  retry-enable: 'true'\n"))
	want := api.NodeImport{Nodes: 3, Added: 3, Removed: 1, Revision: 2, Warnings: []api.FieldProblem{{Path: "db1.retry-enable", Message: "not supported yet: it has no effect"}}}
	if diff := cmp.Diff(want, done); diff != "" {
		t.Error(diff)
	}
	list := get[api.NodeList](t, h, 200, call{method: "GET", path: "/api/v1/projects/web/nodes?filter=tags:+web&limit=1"})
	if list.Total != 2 || len(list.Items) != 1 || list.Items[0].Name != "web1" || list.Next == "" {
		t.Errorf("first page %+v", list)
	}
	list = get[api.NodeList](t, h, 200, call{method: "GET", path: "/api/v1/projects/web/nodes?filter=tags:+web&limit=1&cursor=" + list.Next})
	if len(list.Items) != 1 || list.Items[0].Name != "web2" || list.Next != "" {
		t.Errorf("second page %+v", list)
	}
	n := get[api.Node](t, h, 200, call{method: "GET", path: "/api/v1/projects/web/nodes/db1"})
	if n.Username != "ops" || n.Attributes["ssh-key-storage-path"] != "keys/db" {
		t.Errorf("node %+v", n)
	}
	p := wrong(t, h, 400, "filter", call{method: "GET", path: "/api/v1/projects/web/nodes?filter=tags:+/(/"})
	if len(p.Errors) == 0 || !strings.HasPrefix(p.Errors[0].Path, "query.filter") {
		t.Errorf("errors of a bad filter: %+v", p.Errors)
	}
	wrong(t, h, 415, "Content-Type", file("text/plain", "x"))
	wrong(t, h, 400, "", file("application/json", `{"web1":{"hostname":"a"},"web1":{"hostname":"b"}}`))
	wrong(t, h, 413, "at most 8388608 bytes (8 MiB)", file("application/yaml", strings.Repeat("#", 10_000_000)))
	wrong(t, h, 400, "", file("application/yaml", strings.Repeat("#", rundeck.MaxFileBytes-2)+"\nx"))
	if list := get[api.NodeList](t, h, 200, call{method: "GET", path: "/api/v1/projects/web/nodes"}); list.Total != 3 {
		t.Errorf("refused imports left %d nodes", list.Total)
	}
}

func TestHostKeys(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	p := h.Project(t, "web", "web1")
	one, two := "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAmr5rPAGpFBLVHBzzEHXSZrgPaKjMxbYG8v+Skf3H0b", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBmr5rPAGpFBLVHBzzEHXSZrgPaKjMxbYG8v+Skf3H0b"
	for _, key := range []string{one, two} {
		if _, err := h.Store.RecordHostKey(t.Context(), p.ID, "web1", key, "r1"); err != nil {
			t.Fatal(err)
		}
	}
	path := "/api/v1/projects/web/nodes/web1/hostkeys"
	list := get[api.HostKeyList](t, h, 200, call{method: "GET", path: path})
	if len(list.Items) != 2 || list.Items[0].State != "accepted" || list.Items[1].State != "conflict" || !strings.HasPrefix(list.Items[0].Fingerprint, "SHA256:") {
		t.Fatalf("host keys %+v", list)
	}
	wrong(t, h, 404, "No runner has seen", call{method: "POST", path: path, body: `{"key":"ssh-ed25519 AAAA"}`})
	list = get[api.HostKeyList](t, h, 200, call{method: "POST", path: path, body: `{"key":"` + two + `"}`})
	if len(list.Items) != 1 || list.Items[0].Key != two || list.Items[0].State != "accepted" {
		t.Errorf("after the choice %+v", list)
	}
	if a := do(t, h, call{method: "DELETE", path: path}); a.status != 204 {
		t.Errorf("forget: %d %s", a.status, a.body)
	}
	if list := get[api.HostKeyList](t, h, 200, call{method: "GET", path: path}); len(list.Items) != 0 {
		t.Errorf("after forgetting %+v", list)
	}
}

func TestJobs(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	yaml := http.Header{"Content-Type": {"application/yaml"}}
	dry := get[api.JobImport](t, h, 200, call{method: "POST", path: "/api/v1/projects/web/jobs/import?dryRun=true", body: job, header: yaml})
	if !dry.DryRun || len(dry.Items) != 1 || dry.Items[0].Result != "created" || dry.Items[0].ID != "" {
		t.Errorf("dry run %+v", dry)
	}
	wrong(t, h, 404, "restart", call{method: "GET", path: "/api/v1/projects/web/jobs/restart"})
	for _, want := range []string{"created", "unchanged"} {
		done := get[api.JobImport](t, h, 200, call{method: "POST", path: "/api/v1/projects/web/jobs/import", body: job, header: yaml})
		if done.Items[0].Result != want {
			t.Errorf("import: %+v, want %s", done, want)
		}
	}
	for _, ref := range []string{"restart", "ops%2Frestart"} {
		j := get[api.Job](t, h, 200, call{method: "GET", path: "/api/v1/projects/web/jobs/" + ref})
		if j.Name != "restart" || j.Group != "ops" || len(j.Steps) != 2 || j.Steps[0].Label != "systemctl restart ${option.service}" || j.Steps[1].Kind != "script" || len(j.Options) != 2 {
			t.Errorf("job by %s: %+v", ref, j)
		}
	}
	exported := do(t, h, call{method: "GET", path: "/api/v1/projects/web/jobs/restart/export"})
	if exported.status != 200 || exported.header.Get("Content-Type") != "application/yaml" {
		t.Fatalf("export: %d %s", exported.status, exported.body)
	}
	again := get[api.JobImport](t, h, 200, call{method: "POST", path: "/api/v1/projects/web/jobs/import", body: string(exported.body), header: yaml})
	if again.Items[0].Result != "unchanged" {
		t.Errorf("what was exported came back as %+v:\n%s", again, exported.body)
	}

	wrong(t, h, 413, "at most 8388608 bytes (8 MiB)", call{method: "POST", path: "/api/v1/projects/web/jobs/import", body: strings.Repeat("#", 10_000_000), header: yaml})
	bad := job + "- name: second\n  sequenze: {}\n  schedule: {}\n"
	p := wrong(t, h, 400, "", call{method: "POST", path: "/api/v1/projects/web/jobs/import", body: bad, header: yaml})
	if len(p.Errors) < 2 || !strings.HasPrefix(p.Errors[0].Path, "[1]") {
		t.Errorf("errors of a bad file: %+v", p.Errors)
	}
	if a := do(t, h, call{method: "DELETE", path: "/api/v1/projects/web/jobs/restart", header: http.Header{"If-Match": {`"1"`}}}); a.status != 204 {
		t.Errorf("delete: %d %s", a.status, a.body)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	raw := http.Header{"Content-Type": {"application/octet-stream"}}
	anyRaw := http.Header{"Content-Type": {"application/octet-stream"}, "If-Match": {"*"}}
	for _, path := range []string{"project/web/db", "keys/project/web/db"} { // the same key
		k := get[api.Key](t, h, 200, call{method: "PUT", path: "/api/v1/keys/" + path + "?type=password", body: "hunter2-hunter2", header: anyRaw})
		if k.Path != "keys/project/web/db" || k.Size != 15 {
			t.Errorf("key %+v", k)
		}
	}
	for _, prefix := range []string{"", "keys/project/web", "project/web/", "k"} {
		a := do(t, h, call{method: "GET", path: "/api/v1/keys?prefix=" + prefix})
		if strings.Contains(string(a.body), "hunter2") || !strings.Contains(string(a.body), `"revision":2`) {
			t.Errorf("list of %q: %s", prefix, a.body)
		}
	}
	wrong(t, h, 400, "", call{method: "PUT", path: "/api/v1/keys/a/..%2Fb?type=password", body: "x", header: raw})
	wrong(t, h, 400, "type", call{method: "PUT", path: "/api/v1/keys/a?type=other", body: "x", header: raw})
	wrong(t, h, 413, "too large", call{method: "PUT", path: "/api/v1/keys/a?type=password", body: strings.Repeat("x", 65<<10), header: raw})
	if a := do(t, h, call{method: "DELETE", path: "/api/v1/keys/project/web/db", header: http.Header{"If-Match": {`"2"`}}}); a.status != 204 {
		t.Errorf("delete: %d %s", a.status, a.body)
	}
	wrong(t, h, 404, "no key", call{method: "DELETE", path: "/api/v1/keys/project/web/db", header: http.Header{"If-Match": {"*"}}})
}
