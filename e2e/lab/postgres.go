package lab

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver of its statistics
)

// Postgres is a PostgreSQL server of its own, with fsync on, on loopback.
type Postgres struct {
	dir, bin, port string
	data           string // directory of the cluster, in dir
	process        *Process
	cred           *syscall.Credential // not root: postgres refuses to run as root
}

// StartPostgres makes a cluster in dir and starts it.
func StartPostgres(ctx context.Context, dir string) (*Postgres, error) {
	pg := &Postgres{dir: filepath.Join(dir, "pg"), data: "data"}
	var err error
	if pg.bin, err = postgresBin(); err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	pg.port = addr[len("127.0.0.1:"):]
	if err := os.MkdirAll(pg.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the server's directory: %w", err)
	}
	if os.Geteuid() == 0 {
		if err := pg.dropRoot(dir); err != nil {
			return nil, err
		}
	}
	initdb := exec.CommandContext(ctx, filepath.Join(pg.bin, "initdb"), "-D", filepath.Join(pg.dir, pg.data), "-U", "fairlead", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: pg.cred}
	initdb.Dir = pg.dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return pg, pg.Start(ctx)
}

func (pg *Postgres) dropRoot(dir string) error {
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return fmt.Errorf("finding a user to run PostgreSQL as: %w", err)
		}
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	pg.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	// Its files lie below directories that only root may enter.
	for d := dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		if info, err := os.Stat(d); err == nil && info.Mode().Perm()&0o011 == 0 {
			if err := os.Chmod(d, info.Mode().Perm()|0o011); err != nil {
				return fmt.Errorf("letting PostgreSQL reach its directory: %w", err)
			}
		}
	}
	return os.Chown(pg.dir, int(uid), int(gid))
}

func postgresBin() (string, error) {
	if p, err := exec.LookPath("initdb"); err == nil {
		if p, err = filepath.EvalSymlinks(p); err == nil {
			return filepath.Dir(p), nil
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", fmt.Errorf("no PostgreSQL server is installed; run: make test-deps")
	}
	return filepath.Dir(found[len(found)-1]), nil
}

// URL names the server's database.
func (pg *Postgres) URL() string { return pg.URLAt(pg.Addr()) }

// URLAt names it at a proxy's address.
func (pg *Postgres) URLAt(addr string) string {
	return "postgres://fairlead@" + addr + "/postgres?sslmode=disable"
}

// Addr is host:port of the server, for a proxy in front of it.
func (pg *Postgres) Addr() string { return "127.0.0.1:" + pg.port }

// Pid is the process that all others of the server descend from.
func (pg *Postgres) Pid() int { return pg.process.Cmd.Process.Pid }

// Start starts the server and waits until it answers.
func (pg *Postgres) Start(ctx context.Context) error {
	cmd := exec.CommandContext(context.Background(), filepath.Join(pg.bin, "postgres"), "-D", filepath.Join(pg.dir, pg.data),
		"-c", "listen_addresses=127.0.0.1", "-c", "port="+pg.port, "-c", "unix_socket_directories=", "-c", "max_connections=200", "-c", "shared_buffers=256MB")
	cmd.Dir = pg.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: pg.cred}
	out, err := os.OpenFile(pg.dir+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening PostgreSQL's log: %w", err)
	}
	defer func() { _ = out.Close() }()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	p := &Process{Name: "postgres", Log: pg.dir + ".log", Cmd: cmd, done: make(chan struct{})}
	go func() { p.err = cmd.Wait(); close(p.done) }()
	pg.process = p
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return Poll(ctx, 50*time.Millisecond, func() error {
		select {
		case <-p.done: // then what answers is another one
			return fmt.Errorf("PostgreSQL has ended: %w\n%s", p.err, p.Tail())
		default:
		}
		ready := exec.CommandContext(ctx, filepath.Join(pg.bin, "pg_isready"), "-q", "-h", "127.0.0.1", "-p", pg.port)
		if err := ready.Run(); err != nil {
			return fmt.Errorf("PostgreSQL does not answer: %w\n%s", err, p.Tail())
		}
		return nil
	})
}

// Transactions is how many the server has committed and rolled back so far, whoever's they
// are.
func (pg *Postgres) Transactions(ctx context.Context) (n int64, err error) {
	return n, pg.ask(ctx, &n, "SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database")
}

// OutputRows reports whether output is stored in rows, and not in an archive alone.
func (pg *Postgres) OutputRows(ctx context.Context) (some bool, err error) {
	return some, pg.ask(ctx, &some, "SELECT EXISTS (SELECT FROM output_chunk)")
}

// ask reads the one value of a query.
func (pg *Postgres) ask(ctx context.Context, value any, query string, args ...any) error {
	db, err := sql.Open("pgx", pg.URL())
	if err != nil {
		return fmt.Errorf("opening the database: %w", err)
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(ctx, query, args...).Scan(value); err != nil {
		return fmt.Errorf("asking the server (%s): %w", query, err)
	}
	return nil
}

// StopImmediate ends the server as pg_ctl stop -m immediate does: no checkpoint, so
// the next start recovers.
func (pg *Postgres) StopImmediate() {
	pg.process.Signal(syscall.SIGQUIT)
	<-pg.process.done
}

// Stop ends the server.
func (pg *Postgres) Stop() {
	select {
	case <-pg.process.done:
	default:
		pg.process.Signal(syscall.SIGINT)
		<-pg.process.done
	}
}
