package stepdir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestLockThatIsNotInPlace is a keeper that opened the lock just before the runner
// removed it, gave its directory to another step, or did so and made it anew: it excludes
// nobody, or the wrong one, so nothing may start under it.
func TestLockThatIsNotInPlace(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(dir string) error{
		"removed": func(dir string) error { return os.Remove(filepath.Join(dir, FileLock)) },
		"renamed": func(dir string) error { return os.Rename(dir, dir+".other") },
		"made anew": func(dir string) error {
			if err := os.Rename(dir, dir+".other"); err != nil {
				return err
			}
			return errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, FileLock), nil, 0o600))
		},
	} {
		dir := filepath.Join(t.TempDir(), "step")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		f, err := OpenLock(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := inPlace(f); err != nil {
			t.Error(err)
		}
		if err := change(dir); err != nil {
			t.Fatal(err)
		}
		if err := inPlace(f); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}
