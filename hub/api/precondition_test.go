package api_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fairlead/fairlead/hub/api"
	"github.com/fairlead/fairlead/hub/api/apitest"
)

// Who replaces nodes or a key must have seen what they replace; of many who saw the
// same, one gets through.
func TestOverwritingNeedsWhatWasSeen(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	get[api.Project](t, h, 201, call{method: "POST", path: "/api/v1/projects", body: `{"name":"web"}`})
	for name, c := range map[string]struct {
		read string
		put  func(n int) call
	}{
		"nodes": {"/api/v1/projects/web/nodes?limit=1", func(n int) call {
			return call{path: "/api/v1/projects/web/nodes", body: fmt.Sprintf("web%d: {hostname: h}", n), header: http.Header{"Content-Type": {"application/yaml"}}}
		}},
		"key": {"/api/v1/keys/db", func(n int) call {
			return call{path: "/api/v1/keys/db?type=password", body: fmt.Sprintf("password %d", n), header: http.Header{"Content-Type": {"application/octet-stream"}}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			put := func(n int, match string) call {
				p := c.put(n)
				p.method = "PUT"
				if match != "" {
					p.header.Set("If-Match", match)
				}
				return p
			}
			wrong(t, h, 412, "meanwhile", put(1, `"7"`))
			if a := do(t, h, put(1, "")); a.status != 200 || a.header.Get("ETag") != `"1"` {
				t.Fatalf("the first needs no precondition: %d, %q, %s", a.status, a.header.Get("ETag"), a.body)
			}
			wrong(t, h, 428, "If-Match", put(2, ""))
			seen := do(t, h, call{method: "GET", path: c.read}).header.Get("ETag")
			var won, lost atomic.Int64
			var all sync.WaitGroup
			for n := range 8 {
				all.Go(func() {
					switch a := do(t, h, put(n, seen)); a.status {
					case 200:
						won.Add(1)
					case 412:
						lost.Add(1)
					default:
						t.Errorf("status %d: %s", a.status, a.body)
					}
				})
			}
			all.Wait()
			if won.Load() != 1 || lost.Load() != 7 {
				t.Errorf("%d of 8 who saw the same got through, %d did not", won.Load(), lost.Load())
			}
			if now := do(t, h, call{method: "GET", path: c.read}).header.Get("ETag"); now != `"2"` {
				t.Errorf("it is now of revision %s", now)
			}
			if a := do(t, h, put(9, "*")); a.status != 200 || a.header.Get("ETag") != `"3"` {
				t.Errorf("*: %d, %q", a.status, a.header.Get("ETag"))
			}
		})
	}
}

// A key is not deleted by who saw an older one.
func TestDeleteKeyNeedsWhatWasSeen(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	for range 2 {
		get[api.Key](t, h, 200, call{method: "PUT", path: "/api/v1/keys/db?type=password", body: "hunter2-hunter2", header: http.Header{"Content-Type": {"application/octet-stream"}, "If-Match": {"*"}}})
	}
	key := call{method: "DELETE", path: "/api/v1/keys/db"}
	wrong(t, h, 428, "If-Match", key)
	key.header = http.Header{"If-Match": {`"1"`}}
	wrong(t, h, 412, "meanwhile", key)
	a := do(t, h, call{method: "GET", path: "/api/v1/keys/db"})
	if a.status != 200 || a.header.Get("ETag") != `"2"` {
		t.Errorf("the key: %d %s", a.status, a.body)
	}
	key.header = http.Header{"If-Match": {a.header.Get("ETag")}}
	if a := do(t, h, key); a.status != 204 {
		t.Errorf("delete: %d %s", a.status, a.body)
	}
}

// An import tells which revisions it took the place of.
func TestImportTellsWhatItReplaced(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	for _, want := range []api.ImportedJob{{Result: "created", Revision: 1}, {Result: "unchanged", Revision: 1}, {Result: "updated", Revision: 2, Replaced: 1}} {
		file := "- name: a\n  sequence: {commands: [{exec: 'echo " + map[string]string{"updated": "two"}[want.Result] + "'}]}\n"
		got := get[api.JobImport](t, h, 200, call{method: "POST", path: "/api/v1/projects/web/jobs/import", body: file, header: http.Header{"Content-Type": {"application/yaml"}}}).Items[0]
		if got.Result != want.Result || got.Revision != want.Revision || got.Replaced != want.Replaced {
			t.Errorf("import %+v, want %+v", got, want)
		}
	}
}
