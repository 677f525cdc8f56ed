package local

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fairlead/fairlead/proto/failpoint"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/logfilter"
	"github.com/fairlead/fairlead/runner/mask"
	"github.com/fairlead/fairlead/runner/stepdir"
)

const (
	// leaveWait is how long killed processes may take to be gone.
	leaveWait = 5 * time.Second
	// quietFlush is how long bytes are held back that may begin a secret.
	quietFlush = 500 * time.Millisecond
)

var (
	errTombstone     = errors.New("the step was given up before its start")
	errStartedBefore = errors.New("the step was started before")
)

// shimCommand is one command in the shim.
type shimCommand struct {
	shim *shim
	req  *request
	out  *stepdir.OutWriter
	// held is run.lock.
	held *os.File
	// script holds the script's text where that is a link; else nil.
	script *os.File

	pid     int
	readers [2]*os.File
	filters [2]*logfilter.Stream
	copied  sync.WaitGroup
	main    chan syscall.WaitStatus // gets the end of pid
	empty   chan struct{}           // closed when no child of ours is left
	stops   chan stepdir.Stop
	// changed has a token when there is more output than was told.
	changed chan struct{}

	mu       sync.Mutex
	listener io.Closer
	over     bool
}

func newShimCommand(s *shim, req *request) *shimCommand {
	c := &shimCommand{shim: s, req: req, stops: make(chan stepdir.Stop, 1), changed: make(chan struct{}, 1)}
	c.out = stepdir.NewOutWriter(req.Dir, func() {
		select {
		case c.changed <- struct{}{}:
		default:
		}
	})
	return c
}

// run takes a command from its lock to its exit file.
func (c *shimCommand) run() ended {
	end, err := c.begin()
	if err != nil {
		return ended{NotStarted: errors.Is(err, errTombstone), Error: err.Error()}
	}
	defer c.held.Close()
	if end == nil {
		stopTelling := c.tellOutput()
		e := c.follow()
		stopTelling()
		end = &e
	}
	c.removeScript()
	c.finish(end)
	return *end
}

// begin does what comes before the command, in the order that makes a second start
// impossible: lock, tombstone, started, start. An end is returned when it could not be
// started, an error when it must not be.
func (c *shimCommand) begin() (*ended, error) {
	var err error
	if failpoint.Mutant("M10") {
		if c.held, err = stepdir.OpenLock(c.req.Dir); err != nil {
			return nil, err
		}
		return c.start(), nil
	}
	var free bool
	if c.held, free, err = stepdir.Lock(c.req.Dir); err != nil {
		return nil, err
	}
	if !free {
		return nil, errBusy
	}
	failpoint.Hit("shim.locked")
	if stepdir.Exists(c.req.Dir, fileTombstone) {
		err = errTombstone
	} else if r, rerr := stepdir.ReadRecord(c.req.Dir); rerr != nil {
		err = rerr
	} else if r.Begun() {
		err = errStartedBefore
	}
	if err != nil {
		_ = c.held.Close()
		return nil, err
	}
	return c.start(), nil
}

func (c *shimCommand) start() *ended {
	s := started{Shim: os.Getpid(), ShimStart: c.shim.start, BootID: c.shim.bootID, Step: c.req.Step}
	if c.shim.group != nil {
		s.Cgroup = c.shim.group.path
	}
	late := failpoint.Mutant("M2")
	fail := func(err error) *ended { return &ended{NotStarted: true, Gone: true, Error: err.Error()} }
	filters, err := logfilter.New(c.req.Filters, c.req.LogLevel)
	if err != nil {
		return fail(err)
	}
	if err := c.writeScript(); err != nil {
		return fail(err)
	}
	failpoint.Hit("shim.script")
	if !late {
		if err := (stepdir.Entry{Started: s}).Append(c.held); err != nil {
			return fail(err)
		}
		failpoint.Hit("shim.started")
	}
	if err := c.fork(); err != nil {
		return fail(err)
	}
	p, _ := readProc(c.pid)
	s.Pid, s.PidStart = c.pid, p.start
	if late {
		failpoint.Hit("shim.started")
	}
	// Failing here costs only the way to find the command if this shim is killed.
	_ = stepdir.Entry{Started: s}.Append(c.held)
	c.copyOutput(filters)
	return nil
}

// fork starts the command in a session of its own, and in the shim's cgroup.
func (c *shimCommand) fork() error {
	devNull, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer devNull.Close()
	var writers [2]*os.File
	for i := range writers {
		if c.readers[i], writers[i], err = os.Pipe(); err != nil {
			return fmt.Errorf("making a pipe: %w", err)
		}
		defer writers[i].Close()
	}
	attr := &syscall.ProcAttr{
		Dir: c.req.WorkDir, Env: c.req.Env,
		Files: []uintptr{devNull.Fd(), writers[0].Fd(), writers[1].Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}
	if c.req.Text != "" {
		text, err := memoryFile("command", []byte(c.req.Text))
		if err != nil {
			return err
		}
		defer text.Close()
		attr.Files = append(attr.Files, text.Fd()) // becomes 3
	}
	if g := c.shim.group; g != nil {
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, int(g.dir.Fd())
	}
	err = syscall.ENOENT
	if len(c.req.Direct) > 0 {
		c.pid, err = syscall.ForkExec(c.req.Direct[0], c.req.Direct, attr)
	}
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.ENOEXEC), errors.Is(err, syscall.ENOTDIR):
		// The shell says best what is wrong, or knows how to run it.
		c.pid, err = syscall.ForkExec(c.req.Argv[0], c.req.Argv, attr)
	}
	if err != nil {
		return fmt.Errorf("starting %s in %s: %w", c.req.Argv[0], c.req.WorkDir, err)
	}
	c.main, c.empty = make(chan syscall.WaitStatus, 1), make(chan struct{})
	go c.reap()
	return nil
}

// reap collects every child, also those adopted as a subreaper. That there is none
// left is the proof that nothing of the command is.
func (c *shimCommand) reap() {
	defer close(c.empty)
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return
		case pid == c.pid && !status.Stopped():
			c.main <- status
		}
	}
}

// copyOutput copies both pipes through the masker and the filters to the segments.
func (c *shimCommand) copyOutput(filters *logfilter.Chain) {
	masker := mask.New(c.req.Masks)
	for i, r := range c.readers {
		stream := wire.Stream(i)
		// The masker lets go of a few bytes at a time, and each would cost a write.
		var pieces []byte
		c.filters[i] = filters.Stream(stream, func(p []byte, _ bool) error {
			pieces = append(pieces, p...)
			return nil
		})
		w := masker.MarkedWriter(c.filters[i].Write)
		tell := func() {
			_ = c.out.Write(stream, pieces) // the error is told with the exit
			pieces = pieces[:0]
		}
		c.copied.Go(func() {
			copyPipe(r, w, tell, len(c.req.Masks) > 0)
			_ = c.filters[i].Close() // what it lets go of goes to pieces, which takes all
			tell()
			_ = r.Close()
		})
	}
}

// copyPipe copies until all writers of the pipe are gone. What the masker holds back
// because it may begin a secret is let go when nothing has come for a while. When the
// disk fails, the rest is read and dropped: the command must not hang; the error is told
// with the exit.
func copyPipe(r *os.File, w *mask.Writer, tell func(), holds bool) {
	buf := make([]byte, stepdir.MaxRecord)
	flushed := true
	for {
		deadline := time.Time{}
		if holds && !flushed {
			deadline = time.Now().Add(quietFlush)
		}
		if holds {
			_ = r.SetReadDeadline(deadline)
		}
		n, err := r.Read(buf)
		if n > 0 {
			_, _ = w.Write(buf[:n])
			tell()
			flushed = false
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			_ = w.Flush()
			tell()
			flushed = true
		case err != nil:
			_ = w.Flush()
			tell()
			return
		}
	}
}

// tellOutput tells the runner how much output there is, whenever that has changed.
func (c *shimCommand) tellOutput() (stop func()) {
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-c.changed:
				offset := c.out.End()
				c.shim.tell(stepdir.News{Out: &offset})
			case <-over:
				return
			}
		}
	}()
	return func() {
		close(over)
		<-done
	}
}

// follow waits for the command's end, or ends it, and sees to it that nothing is left.
func (c *shimCommand) follow() ended {
	timeout, cancel := afterBoottime(c.req.Timeout)
	defer cancel()
	var end ended
	var status syscall.WaitStatus
	select {
	case status = <-c.main:
	case s := <-c.stops:
		end.Cause = s.Cause
		status = c.terminate(s.Grace)
	case <-timeout:
		end.Cause = stepdir.CauseTimedOut
		status = c.terminate(c.req.Grace)
	}
	end.Gone = c.killRest()
	end.Exited, end.Code = status.Exited(), max(status.ExitStatus(), 0)
	if status.Signaled() {
		end.Signal = strings.TrimPrefix(unix.SignalName(status.Signal()), "SIG")
	}
	if !end.Gone { // somebody still has our pipes
		for _, r := range c.readers {
			_ = r.SetReadDeadline(time.Now())
			_ = r.Close()
		}
	}
	c.drain(end.Cause != "", timeout)
	end.Data = c.filters[wire.Stdout].Data()
	return end
}

// pipesHold is more than what lies in the pipes of a command that has ended, and comes out
// of its filters.
const pipesHold = 16 << 20

// drain waits for the rest of the output. A process that is not below this one may have the
// pipes open, as the service manager has those of systemd-run --pipe: once the command was
// to be ended, or its time is over, that is waited for no longer than it takes to read what
// they hold.
func (c *shimCommand) drain(stopped bool, timeout <-chan struct{}) {
	copied := make(chan struct{})
	go func() {
		c.copied.Wait()
		close(copied)
	}()
	if !stopped {
		select {
		case <-copied:
			return
		case <-c.stops:
		case <-timeout:
		}
	}
	for from := c.out.End(); ; {
		select {
		case <-copied:
			return
		case <-time.After(c.shim.leave):
		}
		if c.pipesEmpty() || c.out.End()-from > pipesHold {
			for _, r := range c.readers {
				_ = r.Close()
			}
			<-copied
			return
		}
	}
}

// pipesEmpty reports whether nothing lies in the command's pipes.
func (c *shimCommand) pipesEmpty() bool {
	left := 0
	for _, r := range c.readers {
		raw, err := r.SyscallConn()
		if err != nil {
			continue
		}
		_ = raw.Control(func(fd uintptr) { // it fails for one that is at its end and closed
			n, _ := unix.IoctlGetInt(int(fd), unix.TIOCINQ)
			left += n
		})
	}
	return left == 0
}

// terminate asks everything of the command to end, and waits until it has, or until
// the grace is over.
func (c *shimCommand) terminate(grace time.Duration) syscall.WaitStatus {
	c.signal(unix.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-c.empty:
	case <-timer.C:
		c.killRest()
	}
	select {
	case status := <-c.main:
		return status
	case <-time.After(c.shim.leave):
		return unseen
	}
}

// unseen is the status of a command that would not go: it neither exited nor was ended by
// a signal.
const unseen = syscall.WaitStatus(0x7f)

// signal signals the command's group at once, then what left it.
func (c *shimCommand) signal(sig syscall.Signal) {
	_ = unix.Kill(-c.pid, sig)
	for _, pid := range descendants(os.Getpid()) {
		if group, err := unix.Getpgid(pid); err != nil || group != c.pid {
			_ = unix.Kill(pid, sig)
		}
	}
}

// killRest kills what is left and reports whether nothing is: then this process, to
// which all orphans come, has no child any more.
func (c *shimCommand) killRest() bool {
	if c.isEmpty() {
		return true
	}
	// Linux kills at once whatever is started in a group in which cgroup.kill was ever
	// written, if it is started there from outside (seen with 6.18): the next command
	// needs another group.
	defer c.shim.renewGroup()
	limit := time.NewTimer(c.shim.leave)
	defer limit.Stop()
	for {
		if c.isEmpty() {
			return true
		}
		if g := c.shim.group; g != nil {
			_ = os.WriteFile(filepath.Join(g.path, "cgroup.kill"), []byte("1"), 0)
		}
		for _, pid := range descendants(os.Getpid()) {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		select {
		case <-c.empty:
			return true
		case <-time.After(5 * time.Millisecond):
		case <-limit.C:
			return false
		}
	}
}

// isEmpty gives the reaper a moment: mostly the command was all there was.
func (c *shimCommand) isEmpty() bool {
	select {
	case <-c.empty:
		return true
	case <-time.After(time.Millisecond):
		return false
	}
}

// afterBoottime is closed after d by the clock that also runs while the machine
// sleeps; 0 is never.
func afterBoottime(d time.Duration) (<-chan struct{}, func()) {
	if d <= 0 {
		return nil, func() {}
	}
	done := make(chan struct{})
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err == nil {
		err = unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(d.Nanoseconds())}, nil)
	}
	if err != nil {
		t := time.AfterFunc(d, func() { close(done) })
		return done, func() { t.Stop() }
	}
	f := os.NewFile(uintptr(fd), "timer")
	go func() {
		var b [8]byte
		if _, err := f.Read(b[:]); err == nil {
			close(done)
		}
	}()
	return done, func() { _ = f.Close() }
}

func (c *shimCommand) stop(s stepdir.Stop) {
	select {
	case c.stops <- s:
	default: // it is being stopped
	}
}

func (c *shimCommand) release(offset uint64) { c.out.Release(offset) }

// listen opens the control socket for the next runner. Harmless to repeat.
func (c *shimCommand) listen() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.listener != nil {
		return
	}
	l, err := stepdir.Listen(c.req.Dir)
	if err != nil {
		return // the command goes on, and its files tell its end
	}
	c.listener = l
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.shim.adopt(stepdir.NewLink(conn), c)
		}
	}()
}

// finish writes the exit, synced if no runner is there to sync its own record of it.
func (c *shimCommand) finish(end *ended) {
	c.mu.Lock()
	c.over = true
	if c.listener != nil {
		_ = c.listener.Close()
		_ = os.Remove(filepath.Join(c.req.Dir, stepdir.FileControl))
	}
	c.mu.Unlock()
	alone := !c.shim.attached()
	end.Out = c.out.End()
	if err := c.out.Close(alone); err != nil {
		end.Error = "its output could not be kept: " + err.Error()
	}
	err := stepdir.AppendExit(c.held, end)
	if err == nil && alone {
		err = stepdir.Sync(c.held, c.req.Dir)
	}
	if err != nil {
		end.Error = err.Error()
	}
	failpoint.Hit("shim.exited")
}
