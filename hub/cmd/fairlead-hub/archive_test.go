package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// The commands work by a hub that runs, and without one.
func TestArchiveCommands(t *testing.T) {
	t.Parallel()
	dir, place := t.TempDir(), "file://"+filepath.Join(t.TempDir(), "logs")
	environ := []string{"FAIRLEAD_HUB_ARCHIVE_URL=" + place}
	asked := func() {
		t.Helper()
		for _, c := range []struct {
			args []string
			code int
			want string
		}{
			{[]string{"status"}, 0, "Archive: " + place},
			{[]string{"status"}, 0, "No log waits"},
			{[]string{"retry"}, 0, "0 logs"},
			{[]string{"verify"}, 0, "0 archived logs are as they were"},
			{[]string{"verify", "7"}, exitOther, "does not exist"},
			{[]string{"move"}, exitUsage, "--to"},
			{[]string{"move", "--to", "s3://other"}, exitUsage, "archive.other"},
			{[]string{"move", "--to", place}, 0, "0 logs moved"},
		} {
			code, out, errs := command(t, environ, append([]string{"archive", "--data-dir", dir}, c.args...)...)
			if code != c.code || !strings.Contains(out+errs, c.want) {
				t.Errorf("%v: %d\n%s%s", c.args, code, out, errs)
			}
		}
	}
	h := serve(t, dir, environ)
	asked()
	h.end()
	asked()
}
