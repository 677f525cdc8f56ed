package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		starts, copied, log string
		says                string
		wrong               int
	}{
		"as it should be":       {"12\n", "a\nb\n", "a\nb\n", "equals", 0},
		"started twice":         {"12\n13\n", "a\n", "a\n", "equals", 1},
		"never started":         {"", "", "", "equals", 1},
		"a line is lacking":     {"12\n", "a\nb\n", "a\n", "DIFFERS", 1},
		"a line is there twice": {"12\n13\n", "a\n", "a\na\n", "DIFFERS", 2},
	} {
		if r := compare("web1", c.starts, c.copied, c.log); !strings.Contains(r.text, c.says) || len(r.wrong) != c.wrong {
			t.Errorf("%s: %q, wrong: %q", name, r.text, r.wrong)
		}
	}
}

func TestForward(t *testing.T) {
	t.Parallel()
	for connection, want := range map[string]string{
		"10.0.0.7 51234 10.0.0.1 22":   "ssh -L 8440:127.0.0.1:8440 ann@10.0.0.1",
		"10.0.0.7 51234 10.0.0.1 2222": "ssh -L 8440:127.0.0.1:8440 -p 2222 ann@10.0.0.1",
		"odd":                          "ssh -L 8440:127.0.0.1:8440 ann@this-machine",
	} {
		if got := forward("127.0.0.1:8440", connection, "ann"); got != want {
			t.Errorf("%q: %q", connection, got)
		}
	}
}

// Packages are installed anew when the lock file is newer than what is there.
func TestOlder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	installed, lock := filepath.Join(dir, "installed"), filepath.Join(dir, "lock")
	now := time.Now()
	for i, want := range []bool{true, false, true} {
		switch i {
		case 1:
			write(t, installed, now)
			write(t, lock, now.Add(-time.Hour))
		case 2:
			write(t, lock, now.Add(time.Hour))
		}
		if got := older(installed, lock); got != want {
			t.Errorf("step %d: older %v", i, got)
		}
	}
}

func write(t *testing.T, file string, at time.Time) {
	t.Helper()
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, at, at); err != nil {
		t.Fatal(err)
	}
}
