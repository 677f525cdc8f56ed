package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fairlead/fairlead/runner/stepdir"
)

// ShimCommand is the argument with which the runner's binary calls itself as a shim.
const ShimCommand = "exec-shim"

// Shim is the whole of a shim process: it takes commands over the socket that is its
// stdin, one at a time, until the socket closes. If that happens while a command runs,
// it goes on to the command's end, takes another runner in the meantime, and then
// ends. It returns the exit status.
func Shim() int { return beShim(leaveWait) }

// beShim is Shim; leave is how long killed processes may take to be gone.
func beShim(leave time.Duration) int {
	// It waits, nearly always for one thing: more threads would only look for work that
	// is not there, each time that anything comes.
	runtime.GOMAXPROCS(1)
	conn, err := net.FileConn(os.Stdin)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s is started by the runner, not by hand: %v\n", ShimCommand, err)
		return 2
	}
	// Whoever ends the runner politely does not mean its commands. Caught, not ignored:
	// an ignored signal would stay so in the commands.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintf(os.Stderr, "becoming a subreaper: %v\n", err)
		return 1
	}
	s := &shim{leave: leave, bootID: stepdir.BootID(), group: newCgroup(), runs: make(chan *request)}
	defer func() { s.group.remove() }() // whichever it is by then
	self, _ := readProc(os.Getpid())
	s.start = self.start
	s.attach(stepdir.NewLink(conn))
	for req := range s.runs {
		c := newShimCommand(s, req)
		s.setCommand(c)
		if !s.attached() { // gone while the command was on its way
			c.listen()
		}
		end := c.run()
		s.setCommand(nil)
		if !s.tellExit(end) {
			return 0 // on its own: the next runner starts its own shims
		}
	}
	return 0
}

// shim is the state of a shim process.
type shim struct {
	leave  time.Duration
	bootID string
	start  uint64
	group  *cgroup
	// runs gets commands from the runner that started this shim; closed when it is gone.
	runs chan *request

	mu      sync.Mutex
	link    *stepdir.Link // to the runner; nil: none is attached
	command *shimCommand
}

// attach follows a runner's messages until it is gone.
func (s *shim) attach(l *stepdir.Link) {
	s.mu.Lock()
	s.link = l
	s.mu.Unlock()
	go func() {
		defer close(s.runs)
		for {
			var m toShim
			if err := l.Receive(&m); err != nil {
				s.detach(l)
				return
			}
			if m.Run != nil {
				s.runs <- m.Run
				continue
			}
			s.heed(m)
		}
	}()
}

// heed does what a message says about the running command.
func (s *shim) heed(m toShim) {
	s.mu.Lock()
	c := s.command
	s.mu.Unlock()
	switch {
	case c == nil:
	case m.Stop != nil:
		c.stop(*m.Stop)
	case m.Released != nil:
		c.release(*m.Released)
	}
}

func (s *shim) setCommand(c *shimCommand) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.command = c
}

// detach notes that the runner is gone; a running command waits for the next one.
func (s *shim) detach(l *stepdir.Link) {
	_ = l.Close()
	s.mu.Lock()
	if s.link == l {
		s.link = nil
	}
	c := s.command
	s.mu.Unlock()
	if c != nil {
		c.listen()
	}
}

// tell sends a message to the runner, if there is one.
func (s *shim) tell(m stepdir.News) bool {
	s.mu.Lock()
	l := s.link
	s.mu.Unlock()
	return l != nil && l.Send(m) == nil
}

// tellExit tells the runner how its command ended.
func (s *shim) tellExit(end ended) bool {
	exit, err := json.Marshal(end)
	return err == nil && s.tell(stepdir.News{Exit: exit})
}

func (s *shim) attached() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link != nil
}

// adopt takes the connection of a new runner for a command whose runner died.
func (s *shim) adopt(l *stepdir.Link, c *shimCommand) {
	s.mu.Lock()
	s.link = l
	s.mu.Unlock()
	offset := c.out.End()
	_ = l.Send(stepdir.News{Out: &offset})
	for {
		var m toShim
		if err := l.Receive(&m); err != nil {
			break
		}
		s.heed(m)
	}
	_ = l.Close()
	s.mu.Lock()
	if s.link == l {
		s.link = nil
	}
	s.mu.Unlock()
}

var errBusy = errors.New("another shim runs this step")
