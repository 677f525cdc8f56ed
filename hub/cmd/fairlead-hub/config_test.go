package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a start would fail on is told by config check: that is what it is run for.
func TestConfigCheckLooksAtFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	short := filepath.Join(dir, "short.key")
	if err := os.WriteFile(short, []byte("abc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		environ, args []string
		says          string
	}{
		"no such certificate":   {args: []string{"--tls-cert", dir + "/none.pem", "--tls-key", dir + "/none.key"}, says: "none.pem"},
		"master key too short":  {environ: []string{"FAIRLEAD_HUB_MASTER_KEY=abc"}, says: "masterKey"},
		"file of a short key":   {args: []string{"--master-key-path", short}, says: "masterKey"},
		"port beyond all ports": {args: []string{"--http", ":99999"}, says: ":99999"},
	} {
		args := append([]string{"config", "check", "--data-dir", dir}, tt.args...)
		if code, _, errs := command(t, tt.environ, args...); code != exitUsage || !strings.Contains(errs, tt.says) {
			t.Errorf("%s: %d %q", name, code, errs)
		}
	}
	if code, out, errs := command(t, nil, "config", "check", "--data-dir", dir); code != 0 {
		t.Errorf("nothing wrong: %d %q %q", code, out, errs)
	}
}
