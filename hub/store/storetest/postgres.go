package storetest

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // for making databases

	"github.com/fairlead/fairlead/hub/store"
)

// Server is a PostgreSQL server on a Unix socket in a directory of its own. It ends,
// and its directory goes, when the test process does, however that ends.
type Server struct {
	dir   string
	data  string // directory of the cluster, in dir
	port  string // that names the socket
	bin   string
	creds *syscall.Credential
	fsync string

	making    sync.Mutex // a template must not be in use while it is copied
	databases atomic.Int64
	// alive is the end of a pipe that the watchdog reads: it closes with this process.
	alive io.Closer
}

// template is the database that those of tests are copies of.
const template = "fairlead_template"

// sharedServer starts the server of this test process, once, without syncs.
var sharedServer = sync.OnceValues(func() (*Server, error) {
	s, err := newServer("off")
	if err != nil {
		return nil, err
	}
	if err := s.makeTemplate(); err != nil {
		return nil, err
	}
	return s, nil
})

// StartServer starts a server for one test, which may stop and start it. It syncs as
// a real one does.
func StartServer(t testing.TB) *Server {
	t.Helper()
	s, err := newServer("on")
	if err != nil {
		t.Fatalf("PostgreSQL for this test: %v", err)
	}
	t.Cleanup(func() { _ = s.alive.Close() })
	return s
}

// URL of a database of the server; "postgres" is there from the beginning.
func (s *Server) URL(database string) string {
	q := url.Values{"host": {s.dir}, "port": {s.port}, "user": {"postgres"}, "sslmode": {"disable"}}
	return "postgres:///" + database + "?" + q.Encode()
}

// StopImmediate ends the server as a crash does: without a checkpoint, its
// connections cut.
func (s *Server) StopImmediate(t testing.TB) {
	t.Helper()
	s.control(t, "stop", "-m", "immediate")
}

// Start starts the server again.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	s.control(t, "start", "-l", filepath.Join(s.dir, "log"))
}

func (s *Server) control(t testing.TB, args ...string) {
	t.Helper()
	// A test that is over still may want its server stopped.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(s.bin, "pg_ctl"), append([]string{"-D", filepath.Join(s.dir, s.data), "-w", "-s"}, args...)...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.creds}
	// No pipe to wait for: the server that is started inherits what pg_ctl has open.
	if err := cmd.Run(); err != nil {
		t.Fatalf("pg_ctl %v: %v\n%s", args, err, s.log())
	}
}

func (s *Server) log() string {
	b, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// watchdog makes a cluster, starts its server, says so, and ends both when its
// standard input does: then the test process is gone.
const watchdog = `
dir=$1 bin=$2 fsync=$3
exec 2>>"$dir/log"
cd "$dir" || exit 1
trap 'for f in "$dir"/*/postmaster.pid; do "$bin/pg_ctl" -D "${f%/*}" -m immediate -s stop; done; cd /; rm -rf "$dir"' EXIT
trap '' INT HUP
"$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C --no-sync --no-instructions >>"$dir/log" || exit 1
cat >>"$dir/data/postgresql.conf" <<END
listen_addresses = ''
unix_socket_directories = '$dir'
max_connections = 400
shared_buffers = 64MB
fsync = $fsync
full_page_writes = $fsync
END
"$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w -s start >>"$dir/log" || exit 1
echo ready
cat >/dev/null
`

func newServer(fsync string) (*Server, error) {
	bin, err := postgresPrograms()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(socketParent(), "fairlead-pg-")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, data: "data", port: "5432", bin: bin, fsync: fsync}
	if s.creds, err = unprivileged(); err != nil {
		return nil, err
	}
	if s.creds != nil {
		if err := os.Chown(dir, int(s.creds.Uid), int(s.creds.Gid)); err != nil {
			return nil, err
		}
	}
	return s, s.watch()
}

// socketParent is where directories with sockets are made: the directory for temporary
// files unless its path is long, for that of a socket has 107 bytes at most.
func socketParent() string {
	if dir := os.TempDir(); len(dir) <= 64 {
		return dir
	}
	return "/tmp"
}

// watch starts the watchdog and waits until the server takes connections.
func (s *Server) watch() error {
	cmd := exec.CommandContext(context.Background(), "/bin/sh", "-c", watchdog, "fairlead-pg", s.dir, s.bin, s.fsync)
	cmd.Dir = "/"
	// A session of its own: Ctrl-C at the tests must not end the watchdog first.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: s.creds}
	alive, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the watchdog: %w", err)
	}
	s.alive = alive
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		log := s.log()
		return errors.Join(fmt.Errorf("the server did not start:\n%s", log), alive.Close())
	}
	return nil
}

// postgresPrograms finds the folder of initdb and pg_ctl, the newest of several.
func postgresPrograms() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		// The others lie beside the program itself, not beside a link to it.
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.New("no initdb in PATH or /usr/lib/postgresql/*/bin; install the package postgresql, or run: make test-deps")
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest), nil
}

// unprivileged is whom the server runs as when the tests run as root, which it
// refuses; nil for the present user.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("tests run as root and PostgreSQL must not: %w", err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func (s *Server) makeTemplate() error {
	if err := s.sql("CREATE DATABASE " + template); err != nil {
		return err
	}
	return migrate(store.Config{URL: s.URL(template)})
}

// newDatabase copies the template for one test.
func (s *Server) newDatabase(t testing.TB) string { return s.copyDatabase(t, template) }

// copyDatabase copies a database that nobody uses, for one test.
func (s *Server) copyDatabase(t testing.TB, from string) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", s.databases.Add(1))
	s.making.Lock()
	// The server may notice late that who used it has closed the connection.
	err := s.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + from + "'")
	if err == nil {
		err = s.sql("CREATE DATABASE " + name + " TEMPLATE " + from)
	}
	s.making.Unlock()
	if err != nil {
		t.Fatalf("making a database: %v", err)
	}
	t.Cleanup(func() {
		if err := s.sql("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Errorf("dropping a database: %v", err)
		}
	})
	return s.URL(name)
}

// sql runs one statement on the server.
func (s *Server) sql(statement string) error {
	db, err := sql.Open("pgx", s.URL("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(context.Background(), statement)
	return err
}
