package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a started program whose output goes to a file.
type Process struct {
	Name string
	Log  string // path of its output
	Cmd  *exec.Cmd

	done chan struct{}
	err  error // of Wait; read after done
	once sync.Once
}

// Environ is this process's environment with more added, and without what steers
// Fairlead's programs: a person's own settings must not reach what is started here.
func Environ(more ...string) []string {
	own := slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "FAIRLEAD_") })
	return append(own, more...)
}

// Starter is StartProcess, or what starts a process in some odd way.
type Starter func(dir, name string, env []string, program string, args ...string) (*Process, error)

// StartProcess starts a program in a process group of its own, output appended to
// DIR/NAME.log. env is added to Environ.
func StartProcess(dir, name string, env []string, program string, args ...string) (*Process, error) {
	return startProcess((*exec.Cmd).Start, dir, name, env, program, args...)
}

func startProcess(start func(*exec.Cmd) error, dir, name string, env []string, program string, args ...string) (*Process, error) {
	p := &Process{Name: name, Log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	out, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", name, err)
	}
	defer func() { _ = out.Close() }()
	p.Cmd = exec.CommandContext(context.Background(), program, args...)
	p.Cmd.Stdout, p.Cmd.Stderr = out, out
	p.Cmd.Env = Environ(env...)
	p.Cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := start(p.Cmd); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		p.err = p.Cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends sig to the process alone.
func (p *Process) Signal(sig syscall.Signal) { _ = p.Cmd.Process.Signal(sig) }

// Kill ends the process as kill -9 does, and waits until it is gone.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Stop asks the process to end, kills it after limit, and returns how it ended.
func (p *Process) Stop(limit time.Duration) error {
	p.once.Do(func() { p.Signal(syscall.SIGTERM) })
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
		return p.err
	case <-timer.C:
		p.Kill()
		return fmt.Errorf("%s did not end within %v of SIGTERM", p.Name, limit)
	}
}

// Peak is the most memory that the process ever had resident, in bytes; 0 when it has
// ended.
func (p *Process) Peak() int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Cmd.Process.Pid))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// Tail returns the last bytes of the process's output, for a failure message.
func (p *Process) Tail() string {
	f, err := os.Open(p.Log)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() > 4096 {
		_, _ = f.Seek(-4096, io.SeekEnd)
	}
	b, _ := io.ReadAll(f)
	return string(b)
}

// handedOut are the addresses that FreeAddr gave away: one that is not listened on yet
// would be given to a second server, and both would take the first one for their own.
var handedOut sync.Map

// Ports that FreeAddr chooses from lie below those that the system gives to outgoing
// connections: one of these could take the port before its server listens.
const (
	firstPort = 15000
	lastPort  = 32000
)

// FreeAddr returns a loopback address that nobody listens on now, and never the same one
// again.
func FreeAddr() (string, error) {
	for range 1000 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(lastPort-firstPort)))
		if _, taken := handedOut.LoadOrStore(addr, true); !taken && free(addr) {
			return addr, nil
		}
	}
	return "", fmt.Errorf("finding a free port between %d and %d: none in 1000 tries", firstPort, lastPort)
}

// free reports whether addr can be listened on.
func free(addr string) bool {
	l, err := net.Listen("tcp", addr)
	if err == nil {
		_ = l.Close()
	}
	return err == nil
}

// Poll calls try until it returns nil, and returns its last error when ctx ends. It begins
// with so much time between two calls, and goes on with a twentieth of what has passed, a
// fifth of a second at most: many that wait at once would else have hub and database
// answer nobody but them.
func Poll(ctx context.Context, every time.Duration, try func() error) error {
	const seldom = 200 * time.Millisecond
	began := time.Now()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(max(every, min(time.Since(began)/20, seldom))):
		}
	}
}
