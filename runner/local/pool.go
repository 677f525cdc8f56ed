package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/fairlead/fairlead/runner/stepdir"
)

// pool keeps shims that wait for work.
type pool struct {
	argv    []string
	warmFor time.Duration

	mu      sync.Mutex
	idle    []*warmShim // the longest unused first
	waiting []chan *warmShim
	living  int         // shims that have not ended
	timer   *time.Timer // runs while idle is not empty
	closed  bool
}

// Starting a shim costs the time of several short commands. Once there are as many as
// keep the machine busy, a command waits this long for one to come free before it has
// another one started; long commands lose next to nothing by it.
const freeSoon = 50 * time.Millisecond

func enough() int { return 4 * runtime.GOMAXPROCS(0) }

// warmShim is a shim process and the socket to it.
type warmShim struct {
	*stepdir.Link
	pid int
	// messages is closed when the shim is gone.
	messages chan stepdir.News
	since    time.Time
}

var errClosed = errors.New("the runner is ending")

// get returns an idle shim, or starts one.
func (p *pool) get(ctx context.Context) (*warmShim, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errClosed
	}
	for len(p.idle) > 0 {
		s := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		select {
		case <-s.messages: // it has nothing to say: it is gone
			continue
		default:
		}
		p.mu.Unlock()
		return s, nil
	}
	if p.living >= enough() {
		turn := make(chan *warmShim, 1)
		p.waiting = append(p.waiting, turn)
		p.mu.Unlock()
		if s := p.await(ctx, turn); s != nil {
			return s, nil
		}
		p.mu.Lock()
	}
	p.living++
	p.mu.Unlock()
	if ctx.Err() != nil {
		p.gone()
		return nil, context.Cause(ctx)
	}
	s, err := startShim(p.argv, p.gone)
	if err != nil {
		p.gone()
	}
	return s, err
}

// await takes a shim that comes free soon; nil if none does.
func (p *pool) await(ctx context.Context, turn chan *warmShim) *warmShim {
	timer := time.NewTimer(freeSoon)
	defer timer.Stop()
	select {
	case s := <-turn:
		return s
	case <-timer.C:
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiting, turn); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
		return nil
	}
	return <-turn // it was given just now
}

// gone notes the end of a shim.
func (p *pool) gone() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.living--
}

// put gives a shim back that has ended its command.
func (p *pool) put(s *warmShim) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = s.Close()
		return
	}
	if len(p.waiting) > 0 {
		p.waiting[0] <- s
		p.waiting = p.waiting[1:]
		return
	}
	s.since = time.Now()
	p.idle = append(p.idle, s)
	if p.timer == nil {
		p.timer = time.AfterFunc(p.warmFor, p.cool)
	}
}

// cool ends shims that nobody has used for long.
func (p *pool) cool() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = nil
	now := time.Now()
	for len(p.idle) > 0 && now.Sub(p.idle[0].since) >= p.warmFor {
		_ = p.idle[0].Close()
		p.idle = p.idle[1:]
	}
	if len(p.idle) > 0 && !p.closed {
		p.timer = time.AfterFunc(p.warmFor-now.Sub(p.idle[0].since), p.cool)
	}
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
	}
	for _, s := range p.idle {
		_ = s.Close()
	}
	p.idle = nil
}

// startShim starts a shim process in a session of its own; gone is called when it ended.
func startShim(argv []string, gone func()) (*warmShim, error) {
	if len(argv) == 0 {
		return nil, errors.New("no command for shims is configured")
	}
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making a socket for a shim: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "shim"), os.NewFile(uintptr(fds[1]), "runner")
	defer ours.Close()
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, fmt.Errorf("making a socket for a shim: %w", err)
	}
	// Not bound to a context: it is to outlive whatever asked for it.
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx // see above
	cmd.Stdin = theirs
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("starting a shim: %w", err)
	}
	s := &warmShim{Link: stepdir.NewLink(conn), pid: cmd.Process.Pid, messages: make(chan stepdir.News, 1)}
	go s.ReceiveNews(s.messages)
	go func() {
		_ = cmd.Wait()
		gone()
	}()
	return s, nil
}
