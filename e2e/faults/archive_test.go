package faults

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// archived lists the objects below a directory.
func archived(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// The hub dies while it packs a log, before and behind the commit by which the object
// becomes the log: nothing is lost, and nothing lies in the archive twice. Then a byte is
// changed on the disk, and the hub names the chunk.
func TestHubKilledWhilePacking(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"hub.archive.before-mark", "hub.archive.after-mark"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			dir := tempDir(t)
			env := "FAIRLEAD_HUB_ARCHIVE_URL=file://" + dir
			w, _ := newWorld(t, setup{nodes: 2, local: true, hubEnv: []string{env, "FAIRLEAD_FAILPOINT=" + point}})
			w.job(2, true, "node-first", w.witnessStep(50, "0"))
			e, err := w.hub.Run(w.ctx, "p", "j", nil)
			w.must(err)
			select {
			case <-w.hub.Process.Done():
			case <-time.After(60 * time.Second):
				t.Fatalf("the hub did not reach %s", point)
			}
			w.hub.SetEnv(env)
			w.must(w.hub.Start(w.ctx))
			w.await("nothing waits to be archived", 60*time.Second, func() bool {
				var cluster struct{ Archive struct{ Waiting int } }
				err := w.hub.Do(w.ctx, "GET", "/cluster", nil, &cluster)
				return err == nil && cluster.Archive.Waiting == 0 && len(archived(t, dir)) > 0
			})
			w.end(e.ID, "succeeded", 30*time.Second)
			w.startedOnce()
			w.logEqualsCopies(e.ID)
			files := archived(t, dir)
			if len(files) != 1 {
				t.Fatalf("the archive holds %q for one log", files)
			}
			verify := func() (string, error) {
				c := exec.CommandContext(w.ctx, binaries.Hub, "archive", "verify", "--data-dir", w.hub.DataDir)
				c.Env = append(os.Environ(), env)
				out, err := c.CombinedOutput()
				return string(out), err
			}
			if out, err := verify(); err != nil || !strings.Contains(out, "1 archived logs are") {
				t.Errorf("verify: %v\n%s", err, out)
			}
			object, err := os.ReadFile(files[0])
			w.must(err)
			object[40] ^= 1 // within the first chunk
			w.must(os.WriteFile(files[0], object, 0o600))
			if out, err := verify(); err == nil || !strings.Contains(out, "chunk 0 ") {
				t.Errorf("verify of a changed object: %v\n%s", err, out)
			}
		})
	}
}
