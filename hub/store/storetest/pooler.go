package storetest

import (
	"bufio"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// pooler starts PgBouncer, says so once it takes connections, and ends it when standard
// input ends: then the test is over, or its process gone.
const pooler = `
dir=$1 program=$2
exec 2>>"$dir/log"
cd "$dir" || exit 1
"$program" -q "$dir/ini" >>"$dir/log" &
trap 'kill $! 2>/dev/null; wait; cd /; rm -rf "$dir"' EXIT
trap '' INT HUP
until [ -S "$dir/.s.PGSQL.6432" ]; do
	kill -0 $! 2>/dev/null || exit 1
	sleep 0.02
done
echo ready
cat >/dev/null
`

// Pooler starts a PgBouncer in front of the server for one test, in the mode session,
// transaction or statement, and returns how URL of the server is written through it.
func (s *Server) Pooler(t testing.TB, mode string) func(database string) string {
	t.Helper()
	program, err := exec.LookPath("/usr/sbin/pgbouncer")
	if err != nil {
		t.Fatalf("PgBouncer for this test: %v; install the package pgbouncer, or run: make test-deps", err)
	}
	dir, err := os.MkdirTemp("/tmp", "fairlead-pgb-") //nolint:usetesting // another user enters it, and a socket's path is short
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
	out, err := cmd.StdoutPipe()
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
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		t.Fatalf("PgBouncer did not start:\n%s", log)
	}
	return func(database string) string {
		q := url.Values{"host": {dir}, "port": {"6432"}, "user": {"postgres"}, "sslmode": {"disable"}}
		return "postgres:///" + database + "?" + q.Encode()
	}
}
