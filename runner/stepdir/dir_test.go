package stepdir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestLockOfARemovedDirectory is a keeper that opened the lock just before the runner
// removed it: it excludes nobody, so nothing may start under it.
func TestLockOfARemovedDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, err := OpenLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := linked(f); err != nil {
		t.Error(err)
	}
	if err := os.Remove(filepath.Join(dir, FileLock)); err != nil {
		t.Fatal(err)
	}
	if err := linked(f); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
