package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fairlead/fairlead/runner"
	"github.com/fairlead/fairlead/runner/disk"
)

const (
	// readyWait bounds how long a new process may take to be ready.
	readyWait = 30 * time.Second
	// Waits before another new process is started when one did not come up.
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

// selfPath is where this program's file lies, or the one that took its place: what was
// called, so that a link which was set to another version is followed.
func selfPath(called string) (string, error) {
	path, err := exec.LookPath(called)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err == nil {
		return path, nil
	}
	return os.Executable()
}

// successor is a new process that is to take over from this one.
type successor struct {
	cmd   *exec.Cmd
	conn  net.Conn
	said  *bufio.Reader
	ended chan struct{} // closed when it has ended
}

// startSuccessor starts the program's file as it is now, with this call's arguments, and
// returns when the new process is ready. It has touched nothing by then.
func (p *program) startSuccessor() (*successor, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making a socket to a new process: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "old"), os.NewFile(uintptr(fds[1]), "new")
	defer func() { _ = errors.Join(ours.Close(), theirs.Close()) }()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, fmt.Errorf("making a socket to a new process: %w", err)
	}
	// Not bound to a context: it is to outlive this process.
	cmd := exec.Command(p.self, p.args...) //nolint:noctx // see above
	cmd.Stdout, cmd.Stderr = p.stdout, p.stderr
	cmd.ExtraFiles = []*os.File{theirs} // becomes 3
	cmd.Env = append(slices.DeleteFunc(slices.Clone(p.environ), func(pair string) bool {
		return strings.HasPrefix(pair, takeoverFD+"=")
	}), takeoverFD+"=3")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = theirs.Close() // or a new process that ended would be waited for, since its end of the socket lived on here
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("starting %s: %w", p.self, err)
	}
	n := &successor{cmd: cmd, conn: conn, said: bufio.NewReader(conn), ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // its state tells the same
		close(n.ended)
	}()
	_ = conn.SetReadDeadline(time.Now().Add(readyWait))
	if err := expect(n.said, sayReady); err != nil {
		return nil, fmt.Errorf("%s does not come up: %w", p.self, n.give(err))
	}
	_ = conn.SetReadDeadline(time.Time{})
	return n, nil
}

// give ends a new process that is not wanted, and returns why, or how it ended by itself.
func (n *successor) give(why error) error {
	_ = n.conn.Close()
	select {
	case <-n.ended:
		return fmt.Errorf("it ended by itself (%v), its own words are in this log", n.cmd.ProcessState)
	case <-time.After(time.Second):
	}
	_ = n.cmd.Process.Kill()
	<-n.ended
	return why
}

// takeOver lets the new process have the data directory, and returns when it serves.
func (n *successor) takeOver(dataDir string, log *slog.Logger) error {
	_, err := n.conn.Write([]byte(sayGo))
	for err == nil {
		_ = n.conn.SetReadDeadline(time.Now().Add(readyWait))
		if err = expect(n.said, sayServing); err == nil {
			return n.conn.Close()
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		// One that has the lock is reading the disk, and nobody else could serve.
		if pid, herr := disk.Holder(dataDir, lockFile); herr == nil && pid == n.cmd.Process.Pid {
			log.Error("the new process has the data directory and does not serve yet", "process", pid)
			err = nil
		}
	}
	return n.give(err)
}

// reload has a new process made ready and hands over to it what is under way. After an
// error nothing has changed.
func (p *program) reload(r *runner.Runner, log *slog.Logger) (*successor, error) {
	if os.Getpid() == 1 {
		return nil, errors.New("this is process 1, whose end would be the container's: replace the container")
	}
	next, err := p.startSuccessor()
	if err != nil {
		return nil, err
	}
	commands, err := r.HandOver()
	if err != nil {
		return nil, next.give(err)
	}
	log.Info("a new process takes over", "process", next.cmd.Process.Pid, "commands_over_ssh_kept", commands)
	return next, nil
}

// awaitReload returns the process that takes over; nil when ctx has ended.
func (p *program) awaitReload(ctx context.Context, r *runner.Runner, log *slog.Logger) *successor {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.hangups:
		}
		p.manager.reloading()
		next, err := p.reload(r, log)
		if err == nil {
			return next
		}
		log.Error("the reload is refused; this process goes on, and nothing was disturbed", "error", err)
		p.manager.refused(err)
	}
}

// handOver lets next have the data directory, which this process has let go of. When it
// does not come up, another one is tried: without any, nobody would serve here.
func (p *program) handOver(ctx context.Context, next *successor, dataDir string, log *slog.Logger) {
	err := next.takeOver(dataDir, log)
	for wait := firstRetry; err != nil; wait = min(2*wait, lastRetry) {
		log.Error("nobody serves here, because the new process did not take over; another one is started", "error", err, "after", wait)
		p.manager.orphaned(err)
		select {
		case <-ctx.Done():
			log.Error("stopped while nobody serves here; start the runner again", "data_dir", dataDir)
			return
		case <-time.After(wait):
		}
		if pid, herr := disk.Holder(dataDir, lockFile); herr == nil && pid != 0 {
			log.Info("another process serves here", "process", pid)
			return
		}
		if next, err = p.startSuccessor(); err == nil {
			err = next.takeOver(dataDir, log)
		}
	}
	log.Info("the new process serves")
}

// outlive waits for the commands that were handed over; once ctx ends, no longer than
// limit.
func outlive(ctx context.Context, r *runner.Runner, limit time.Duration, log *slog.Logger) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.WaitHandedOver()
	}()
	select {
	case <-ended:
		return
	case <-ctx.Done():
	}
	log.Warn("commands over SSH that were handed over get a while to end", "timeout", limit)
	select {
	case <-ended:
	case <-time.After(limit):
		log.Error("stopped before commands over SSH have ended that were handed over: they are unknown; look at their nodes")
	}
}
