package disk_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/fairlead/fairlead/runner/disk"
)

func TestLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if pid, err := disk.Holder(dir, "lock"); pid != 0 || err != nil {
		t.Errorf("before there is a lock: %d, %v", pid, err)
	}
	first, err := disk.TakeLock(dir, "lock")
	if err != nil {
		t.Fatal(err)
	}
	_, err = disk.TakeLock(dir, "lock")
	var locked *disk.LockedError
	if !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Errorf("the second got %v", err)
	}
	if pid, err := disk.Holder(dir, "lock"); pid != os.Getpid() || err != nil {
		t.Errorf("held: %d, %v", pid, err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	if pid, err := disk.Holder(dir, "lock"); pid != 0 || err != nil {
		t.Errorf("released: %d, %v", pid, err)
	}
	again, err := disk.TakeLock(dir, "lock")
	if err != nil {
		t.Fatal(err)
	}
	if again.Ident != first.Ident {
		t.Errorf("the same file has the idents %q and %q", first.Ident, again.Ident)
	}
	copied := t.TempDir()
	other, err := disk.TakeLock(copied, "lock")
	if err != nil {
		t.Fatal(err)
	}
	if other.Ident == again.Ident {
		t.Errorf("a copy has the same ident %q", other.Ident)
	}
}

func TestOS(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	fs, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory is %v, %v", info.Mode(), err)
	}
	if _, err := fs.ReadFile("missing"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file gives %v", err)
	}
	for _, text := range []string{"one", "two"} {
		if err := disk.WriteFile(fs, "file", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := fs.ReadFile("file"); err != nil || string(got) != text {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if err := fs.MkdirAll("a/b"); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Append("a/b/log")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"hello ", "world"} {
		if _, err := f.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(f.Sync(), fs.SyncDir("a/b"), f.Truncate(7)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, 6); err != nil || string(b) != "w" {
		t.Errorf("read %q, %v", b, err)
	}
	if infos, err := fs.List("a/b"); err != nil || len(infos) != 1 || infos[0].Name != "log" || infos[0].Size != 7 {
		t.Errorf("list %v, %v", infos, err)
	}
	if infos, err := fs.List("missing"); err != nil || len(infos) != 0 {
		t.Errorf("a missing directory lists %v, %v", infos, err)
	}
	if free, total, err := fs.Free(); err != nil || free == 0 || total < free {
		t.Errorf("free %d of %d, %v", free, total, err)
	}
	if _, err := fs.Append("../outside"); err == nil {
		t.Error("a name led out of the directory")
	}
}
