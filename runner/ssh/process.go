package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead/fairlead/proto/failpoint"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/task"
)

// process is one prepared command on one node.
type process struct {
	executor *Executor
	target   *target
	command  *task.Command
	// mark begins our own words in the command's output, step names its processes.
	mark, step string
	// question begins sudo's questions: whoever knows it gets the password, so that, unlike
	// mark, it is in no command line.
	question string
	// text is what the shell is to run.
	text string
	// env are the command's variables as arguments of export, secret ones apart; splitEnv
	// makes them.
	env struct {
		once         sync.Once
		open, hidden string
	}
	// dir is where files were copied to; empty without any. copied tells that there may
	// be something on the node, known or not.
	dir    string
	copied bool
	// byDescriptor tells that the script is handed over as an open file.
	byDescriptor bool
	// askpass is the helper that tells sudo its password; empty: over the channel.
	askpass string
	ch      *channel
	answers *answerer
	// about is how the node was reached when the command was prepared.
	about string

	pid     chan int      // gets the shell's process id, once
	told    chan struct{} // closed when the server told the end, which exit holds then
	shut    chan struct{} // closed when the channel is
	exit    exit
	inputMu sync.Mutex
	closed  bool // input is closed; guarded by inputMu
	// abandoned is set when Run does not wait for the rest of the output.
	abandoned atomic.Bool
}

// readSize is the buffer for one read of output, fewSize that of a stream that never had so
// much at once: most commands print little, and many run at a time.
const (
	readSize = 32 << 10
	fewSize  = 1 << 10
)

// startWait is how long a stop waits for a command to tell its process id, endWait
// how long for the channel's end once nothing of the command is left.
const (
	startWait = 5 * time.Second
	endWait   = 5 * time.Second
)

func (p *process) node() *hop { return &p.target.hops[len(p.target.hops)-1] }

func (p *process) open(ctx context.Context) error {
	ch, err := p.executor.openChannel(ctx, p.target)
	if err != nil {
		return err
	}
	if p.target.pty {
		if err := ch.requestPty(); err != nil {
			ch.close()
			return notStarted("pty_refused", err, "%s: always-set-pty is set, but %v", p.node().name, err)
		}
	}
	p.about = p.target.way(ch.on)
	p.ch, p.pid, p.told, p.shut = ch, make(chan int, 1), make(chan struct{}), make(chan struct{})
	return nil
}

// About tells address, login and host keys on the way to the node.
func (p *process) About() string { return p.about }

// Discard closes the channel and removes the script.
func (p *process) Discard() {
	p.ch.close()
	p.removeScript(context.Background())
}

// Run starts the command and follows it to its end.
func (p *process) Run(ctx context.Context, out task.Output) task.End {
	defer p.ch.close()
	newHostKey := newKey(p.node(), p.ch.on)
	ctx, cancel := p.bound(ctx)
	defer cancel()
	end := p.run(ctx, out)
	end.NewHostKey = newHostKey
	return end
}

func (p *process) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := p.command.Timeout
	if t := p.target.commandTimeout; t > 0 && (limit == 0 || t < limit) {
		limit = t
	}
	if limit == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, limit, task.ErrTimedOut)
}

func (p *process) run(ctx context.Context, out task.Output) task.End {
	if ctx.Err() != nil {
		p.removeScript(ctx)
		outcome, reason := stopOutcome(context.Cause(ctx))
		return task.End{Outcome: outcome, Reason: reason, NotStarted: true, EndProven: true, Message: "ended before it was started"}
	}
	finished := make(chan task.End, 1)
	go func() { finished <- p.drive(out) }()
	select {
	case end := <-finished:
		return end
	case <-ctx.Done():
	}
	select {
	case end := <-finished: // it was first
		return end
	default:
		return p.stop(context.Cause(ctx), finished)
	}
}

// drive starts the command and returns its end as the server tells it.
func (p *process) drive(out task.Output) task.End {
	request, stdin := p.request()
	if p.target.bare {
		for _, pair := range p.command.Env {
			name, value, _ := strings.Cut(pair, "=")
			p.ch.setenv(name, value)
		}
	}
	started, err := p.ch.exec(request)
	failpoint.Hit("ssh.exec.after-send")
	if err != nil {
		close(p.shut)
		return p.lost()
	}
	if !started {
		close(p.shut)
		return task.End{
			Outcome: runnerv1.Outcome_OUTCOME_FAILED, Reason: "exec_refused", NotStarted: true, EndProven: true,
			Message: p.node().name + ": the server refused to run a command: this login may not (check its shell and ForceCommand)",
		}
	}
	p.answers = &answerer{sudo: &p.target.sudo, write: p.input, finish: p.closeInput}
	go p.feed(stdin)
	x, outErr := p.follow(out)
	return p.ended(x, outErr)
}

// feed writes what the command is to read first.
func (p *process) feed(stdin []byte) {
	if len(stdin) > 0 {
		p.input(stdin)
	}
	if p.target.sudo.expected == 0 && !p.target.pty {
		p.closeInput()
	}
}

// input writes to the command's stdin. Errors show in the command's end.
func (p *process) input(b []byte) {
	p.inputMu.Lock()
	defer p.inputMu.Unlock()
	if !p.closed {
		_, _ = p.ch.Write(b)
	}
}

func (p *process) closeInput() {
	p.inputMu.Lock()
	defer p.inputMu.Unlock()
	if !p.closed {
		p.closed = true
		_ = p.ch.CloseWrite()
	}
}

// follow copies the output and waits for the channel's end.
func (p *process) follow(out task.Output) (exit, error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	copyStream := func(stream wire.Stream, r io.Reader) {
		if err := p.copyStream(&mu, out, stream, r); err != nil {
			mu.Lock()
			failed = errors.Join(failed, err)
			mu.Unlock()
		}
	}
	wg.Go(func() { copyStream(wire.Stderr, p.ch.Stderr()) })
	wg.Go(func() { copyStream(wire.Stdout, p.ch) })
	p.ch.waitExit(func(x exit) {
		p.exit = x
		close(p.told)
	})
	close(p.shut)
	wg.Wait()
	return p.exit, failed
}

// copyStream hands one stream to out, less our marks. When out fails the rest is read
// all the same: a command must not hang because its output is lost.
func (p *process) copyStream(mu *sync.Mutex, out task.Output, stream wire.Stream, r io.Reader) error {
	f := p.filter(stream)
	buf := make([]byte, fewSize)
	var failed error
	emit := func(b []byte) {
		if len(b) == 0 || failed != nil || p.abandoned.Load() {
			return
		}
		mu.Lock()
		failed = out.Write(stream, b)
		mu.Unlock()
	}
	for {
		n, err := r.Read(buf)
		if n > 0 {
			b := buf[:n]
			if p.target.pty && len(p.target.sudo.prompts) > 0 {
				p.answers.seen(b)
			}
			if f != nil {
				b = f.push(b)
			}
			emit(b)
			if n == fewSize {
				buf = make([]byte, readSize)
			}
		}
		if err != nil {
			if f != nil {
				emit(f.flush())
			}
			return failed
		}
	}
}

// filter takes our marks out of a stream: the shell's process id comes over stdout, and
// what sudo asks over stderr. It is nil where none can come.
func (p *process) filter(stream wire.Stream) *filter {
	switch {
	case p.target.bare:
		return nil
	case stream == wire.Stdout:
		return p.pidFilter()
	case p.asks():
		return p.sudoFilter()
	}
	return nil
}

func (p *process) pidFilter() *filter {
	seen := false
	return &filter{
		mark: []byte(p.mark),
		more: func() bool { return !seen },
		onMark: func(kind byte, text string) {
			if pid, err := strconv.Atoi(text); kind == markPid && err == nil && pid > 1 && !seen {
				seen = true
				p.pid <- pid
			}
		},
	}
}

func (p *process) sudoFilter() *filter {
	return &filter{
		mark: []byte(p.question),
		more: func() bool { return true },
		onMark: func(kind byte, _ string) {
			switch kind {
			case markSudo:
				p.answers.calling()
			case markQuestion:
				p.answers.asked()
			}
		},
	}
}

// ended translates what the server told.
func (p *process) ended(x exit, outErr error) task.End {
	if !x.told {
		return p.lost()
	}
	end := task.End{Code: int32(x.code), Exited: x.signal == "", Signal: x.signal, EndProven: true}
	name := p.node().name
	switch {
	case x.signal != "":
		end.Outcome, end.Reason = runnerv1.Outcome_OUTCOME_FAILED, "signal"
		end.Message = fmt.Sprintf("%s: the command was ended by signal %s", name, x.signal)
	case x.code != 0:
		end.Outcome, end.Reason = runnerv1.Outcome_OUTCOME_FAILED, "non_zero_exit"
		end.Message = fmt.Sprintf("%s: the command ended with exit status %d", name, x.code)
	default:
		end.Outcome = runnerv1.Outcome_OUTCOME_SUCCEEDED
	}
	if p.answers.wasRefused() && end.Outcome == runnerv1.Outcome_OUTCOME_FAILED {
		end.Reason = "sudo_password_refused"
		end.Message = name + ": sudo refused the password: check sudo-password-storage-path and the user's rights there"
	}
	if len(p.pid) == 0 && end.Outcome == runnerv1.Outcome_OUTCOME_FAILED && !p.target.bare && (x.code == 126 || x.code == 127) {
		end.Message += "; it told no process id: if the login shell is not like sh, set ssh-shell to /bin/sh"
	}
	if outErr != nil {
		end.Message = strings.TrimPrefix(end.Message+"; its output could not be kept: "+outErr.Error(), "; ")
	}
	return end
}

// lost is the end of a command of which nobody told the end.
func (p *process) lost() task.End {
	return task.End{
		Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Reason: "connection_lost",
		Message: fmt.Sprintf("%s: %s: the command may have ended, or may still run: look at the node", p.node().name, p.ch.why()),
	}
}

// stop ends the command for cause and says what is proven about that.
func (p *process) stop(cause error, finished <-chan task.End) task.End {
	if errors.Is(cause, task.ErrDetach) {
		p.abandoned.Store(true)
		return task.End{
			Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Reason: "runner_ended",
			Message: p.node().name + ": the runner ended while the command ran; it may still run: look at the node",
		}
	}
	pid := 0
	if !p.target.bare {
		wait := time.NewTimer(startWait)
		defer wait.Stop()
		select {
		case pid = <-p.pid:
		case end := <-finished:
			return end
		case <-wait.C:
		}
	}
	var result killed
	if pid == 0 {
		result.err = errors.New("it told no process id")
		_ = p.ch.Close()
	} else {
		result = p.kill(pid, !isClosed(p.told))
	}
	return p.stopped(cause, result, p.await(result.gone, finished))
}

// await returns the command's own end once the channel is closed, which what is left
// of it may prevent: then it is closed from here, and after a while not waited for.
func (p *process) await(gone bool, finished <-chan task.End) task.End {
	if gone && p.within(endWait) {
		return <-finished // held up by nothing but whoever takes the output
	}
	_ = p.ch.Close()
	if p.within(endWait) {
		return <-finished
	}
	p.abandoned.Store(true)
	if !isClosed(p.told) {
		return task.End{}
	}
	return task.End{Code: int32(p.exit.code), Signal: p.exit.signal, Exited: p.exit.signal == ""}
}

// within waits for the channel's end.
func (p *process) within(limit time.Duration) bool {
	wait := time.NewTimer(limit)
	defer wait.Stop()
	select {
	case <-p.shut:
		return true
	case <-wait.C:
		return false
	}
}

func (p *process) stopped(cause error, result killed, end task.End) task.End {
	outcome, reason := stopOutcome(cause)
	if result.gone {
		end.Outcome, end.Reason, end.EndProven = outcome, reason, true
		end.Message = fmt.Sprintf("%s: the command was ended (%s); nothing of it is left", p.node().name, cause)
		return end
	}
	end.Outcome, end.EndProven = runnerv1.Outcome_OUTCOME_UNKNOWN, false
	end.Reason = "end_not_proven"
	what := "processes " + result.left + " are still there"
	if result.err != nil {
		what = "it could not be looked for: " + result.err.Error()
	}
	end.Message = fmt.Sprintf("%s: the command was to be ended (%s), but %s: look at the node", p.node().name, cause, what)
	return end
}

func stopOutcome(cause error) (runnerv1.Outcome, string) {
	if errors.Is(cause, task.ErrTimedOut) {
		return runnerv1.Outcome_OUTCOME_TIMED_OUT, "timed_out"
	}
	return runnerv1.Outcome_OUTCOME_CANCELLED, "cancelled"
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
