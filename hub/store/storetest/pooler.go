package storetest

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// pooler runs PgBouncer, and ends it when standard input ends: then the test is over, or
// its process gone.
const pooler = `
dir=$1 program=$2
exec >>"$dir/log" 2>&1
cd "$dir" || exit 1
"$program" -q "$dir/ini" &
trap 'kill $! 2>/dev/null; wait; cd /; rm -rf "$dir"' EXIT
trap '' INT HUP
cat >/dev/null
`

// poolerTime bounds the start of PgBouncer.
const poolerTime = 30 * time.Second

// Pooler starts a PgBouncer in front of the server for one test, in the mode session,
// transaction or statement, and returns how URL of the server is written through it.
func (s *Server) Pooler(t testing.TB, mode string) func(database string) string {
	t.Helper()
	program, err := exec.LookPath("/usr/sbin/pgbouncer")
	if err != nil {
		t.Fatalf("PgBouncer for this test: %v; install the package pgbouncer, or run: make test-deps", err)
	}
	dir, err := os.MkdirTemp(socketParent(), "fairlead-pgb-") //nolint:usetesting // another user enters it, and a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	ini := fmt.Sprintf("[databases]\n* = host=%s user=postgres\n[pgbouncer]\nunix_socket_dir = %s\nlisten_port = 6432\nauth_type = any\npool_mode = %s\n", s.dir, dir, mode)
	if err := os.WriteFile(filepath.Join(dir, "ini"), []byte(ini), 0o644); err != nil { //nolint:gosec // no secret, and read by another user
		t.Fatal(err)
	}
	if s.creds != nil {
		if err := os.Chown(dir, int(s.creds.Uid), int(s.creds.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "/bin/sh", "-c", pooler, "fairlead-pgb", dir, program)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: s.creds}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting PgBouncer: %v", err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait() // ends as it was told
	})
	if !answers(t, filepath.Join(dir, ".s.PGSQL.6432")) {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		t.Fatalf("PgBouncer did not start:\n%s", log)
	}
	return func(database string) string {
		q := url.Values{"host": {dir}, "port": {"6432"}, "user": {"postgres"}, "sslmode": {"disable"}}
		return "postgres:///" + database + "?" + q.Encode()
	}
}

// answers waits until a socket takes connections: its file is there a moment before.
func answers(t testing.TB, socket string) bool {
	ctx, cancel := context.WithTimeout(t.Context(), poolerTime)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var d net.Dialer
	for {
		if c, err := d.DialContext(ctx, "unix", socket); err == nil {
			_ = c.Close() // nothing was said
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}
