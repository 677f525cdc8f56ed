package api_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/api"
	"github.com/fairlead/fairlead/hub/api/apitest"
	"github.com/fairlead/fairlead/hub/archive"
	"github.com/fairlead/fairlead/hub/archive/archivetest"
)

// The state of the archive is told to those who look at the cluster, and to scrapers; what
// went wrong to administrators alone.
func TestArchiveIsTold(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "not-mounted")
	h := apitest.Start(t, apitest.Archive(archivetest.Open(t, archive.Options{URL: "file://" + dir})))
	h.Project(t, "web", "web1")
	h.Runner(t, "r1", apitest.Succeed)
	e := get[api.Execution](t, h, 201, call{method: "POST", path: "/api/v1/projects/web/executions?wait=20s", body: `{"command":"true","nodeFilter":"web1"}`})
	lease, err := h.Store.TakeLeaderLease(t.Context(), hub.LeaseArchive, h.Deps.Cluster.MemberID(), 6, true)
	if err != nil || lease == nil {
		t.Fatal(err)
	}
	pack := func() {
		t.Helper()
		if _, _, err := h.Packer.Pack(t.Context(), lease.Term); err != nil {
			t.Fatal(err)
		}
	}
	text := func() string {
		return string(do(t, h, call{method: "GET", path: "/api/v1/executions/" + e.ID + "/log"}).body)
	}
	before := text()
	pack()
	status := call{method: "GET", path: "/api/v1/cluster"}
	a := get[api.Cluster](t, h, 200, status).Archive
	if a == nil || a.URL != "file://"+dir || a.Waiting != 1 || a.Failing != 1 || a.OldestAt == nil || a.LastErrorAt == nil || !strings.Contains(a.LastError, "mount it") {
		t.Errorf("archive: %+v", a)
	}
	status.token = h.User(t, "ann")
	if a := get[api.Cluster](t, h, 200, status).Archive; a == nil || a.Failing != 1 || a.LastError != "" {
		t.Errorf("archive for a user: %+v", a)
	}
	scraped := func(lines ...string) {
		t.Helper()
		body := string(do(t, h, call{method: "GET", path: "/metrics"}).body)
		for _, line := range lines {
			if !strings.Contains(body, "\nfairlead_hub_archive_"+line+"\n") {
				t.Errorf("no %q in %s", line, body)
			}
		}
	}
	scraped("waiting_logs 1", "failing_logs 1", "failures_total 1", "packed_total 0")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Packer.Retry(t.Context()); err != nil {
		t.Fatal(err)
	}
	pack()
	scraped("waiting_logs 0", "failing_logs 0", "failures_total 1", "packed_total 1", "oldest_seconds 0")
	if after := text(); before == "" || after != before {
		t.Errorf("packing changed %q to %q", before, after)
	}
	if _, err := os.Stat(filepath.Join(dir, "default", "web", "command")); err != nil {
		t.Errorf("the text of a command is in a path: %v", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	wrong(t, h, 503, "", call{method: "GET", path: "/api/v1/executions/" + e.ID + "/log"})
	if a := do(t, h, call{method: "GET", path: "/health/ready", token: "-"}); a.status != 200 {
		t.Errorf("without its archive the hub is not ready: %d", a.status)
	}
}
