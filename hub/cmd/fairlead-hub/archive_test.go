package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
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

	// Of an archive that is not configured nobody can say that it lost anything.
	storetest.Exec(t, store.Config{Path: filepath.Join(dir, "fairlead.db")}, `INSERT INTO log_archive (attempt_id, execution_id, state, archive, path, sha256, changed_at, ended_at)
		VALUES ('a', 'e', 'archived', 's3://elsewhere', 'p', zeroblob(32), 0, 0)`)
	code, out, errs := command(t, environ, "archive", "--data-dir", dir, "verify")
	if code != exitOther || !strings.Contains(out, "archive.other.url") || !strings.Contains(errs, "1 of 1 archived logs could not be read") || !strings.Contains(errs, "an archive that is not known") {
		t.Errorf("an archive that is not known: %d\n%s%s", code, out, errs)
	}
}
