package ssh

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"github.com/fairlead/fairlead/runner/task"
)

// channel is an open session channel with its place in the pool.
type channel struct {
	xssh.Channel
	requests <-chan *xssh.Request
	on       *connection
}

// close closes the channel and gives its place back.
func (ch *channel) close() {
	_ = ch.Close()
	ch.on.release()
}

// openChannel opens a session channel to the node, on a pooled connection if one has
// room, else on a new one. Nothing runs on it yet. Errors are *task.NotStartedError.
func (e *Executor) openChannel(ctx context.Context, t *target) (*channel, error) {
	h := &t.hops[len(t.hops)-1]
	for {
		conn, fresh, err := e.connect(ctx, t, t.hops)
		if err != nil {
			return nil, asNotStarted(ctx, h, err)
		}
		ch, err := openOn(ctx, t, conn)
		if err == nil {
			return ch, nil
		}
		if refused, ok := errors.AsType[*xssh.OpenChannelError](err); ok {
			others := conn.full()
			if !fresh && others == 0 {
				conn.retire() // the server has sessions left that nobody here uses any more
			}
			conn.release()
			if (others > 0 || !fresh) && ctx.Err() == nil {
				continue
			}
			out := notStarted("session_refused", err, "%s (%s) grants no session: %s (check MaxSessions of its sshd)", h.name, h.address, refused.Message)
			out.NewHostKey = newKey(h, conn)
			return nil, out
		}
		if ctx.Err() != nil {
			conn.release()
			return nil, asNotStarted(ctx, h, err)
		}
		// A pooled connection may have died unnoticed: then nothing was sent that
		// mattered, and a new one tells the truth about the node.
		conn.retire()
		conn.release()
		if fresh {
			return nil, asNotStarted(ctx, h, err)
		}
	}
}

// openOn opens a channel on one connection, waiting no longer for the answer than for
// a new connection. Others may run on it: they go on when this one gives up waiting, and
// when the server is slow with this one; whether it is there at all keepAlive finds out.
func openOn(ctx context.Context, t *target, conn *connection) (*channel, error) {
	o := &opening{conn: conn, answer: make(chan opened, 1), limit: time.NewTimer(t.connectTimeout)}
	go func() {
		ch, requests, err := conn.client.OpenChannel("session", nil)
		o.answer <- opened{ch, requests, err}
	}()
	a := o.wait(ctx)
	if a.err != nil {
		return nil, a.err
	}
	return &channel{Channel: a.channel, requests: a.requests, on: conn}, nil
}

// opening is a channel that a server was asked for.
type opening struct {
	conn   *connection
	answer chan opened
	limit  *time.Timer
}

type opened struct {
	channel  xssh.Channel
	requests <-chan *xssh.Request
	err      error
}

// wait returns the server's answer, or errSilent when none came in time, or why ctx ended.
func (o *opening) wait(ctx context.Context) opened {
	select {
	case a := <-o.answer:
		o.limit.Stop()
		return a
	case <-ctx.Done():
		o.conn.hold() // until the server has answered it counts this channel
		go o.giveUp(context.WithoutCancel(ctx))
		return opened{err: context.Cause(ctx)}
	case <-o.limit.C:
		o.conn.retire()
		go o.discard()
		return opened{err: errSilent}
	}
}

// giveUp gives the channel's place back; ctx does not end.
func (o *opening) giveUp(ctx context.Context) {
	if a := o.wait(ctx); a.err == nil {
		_ = a.channel.Close()
	}
	o.conn.release()
}

// discard closes a channel that came too late.
func (o *opening) discard() {
	if a := <-o.answer; a.err == nil {
		_ = a.channel.Close()
	}
}

func newKey(h *hop, conn *connection) string {
	if h.rules.scope == "" || len(h.rules.known) > 0 || !conn.newKey {
		return ""
	}
	return authorizedKey(conn.hostKey)
}

func asNotStarted(ctx context.Context, h *hop, err error) error {
	if _, already := errors.AsType[*task.NotStartedError](err); already {
		return err
	}
	return dialError(ctx, h, err)
}

// why tells what ended the channel before its time.
func (ch *channel) why() error {
	select {
	case <-ch.on.dead:
		return ch.on.why()
	case <-time.After(noticedIn):
		return errNoStatus
	}
}

var errNoStatus = errors.New("the server closed the channel without an exit status")

// exec asks the server to run a command. started is false when it is proven that it
// did not; with an error it is not known.
func (ch *channel) exec(command string) (started bool, err error) {
	return ch.SendRequest("exec", true, xssh.Marshal(struct{ Command string }{command}))
}

// requestPty asks for a terminal without echo, so that no password is ever shown.
func (ch *channel) requestPty() error {
	modes := []byte{53 /* ECHO */, 0, 0, 0, 0, 0 /* end */}
	ok, err := ch.SendRequest("pty-req", true, xssh.Marshal(struct {
		Term                  string
		Columns, Rows, Px, Py uint32
		Modes                 string
	}{"xterm", 200, 50, 0, 0, string(modes)}))
	if err == nil && !ok {
		err = errors.New("the server grants no terminal")
	}
	return err
}

// setenv offers a variable, without waiting: servers refuse most of them.
func (ch *channel) setenv(name, value string) {
	_, _ = ch.SendRequest("env", false, xssh.Marshal(struct{ Name, Value string }{name, value}))
}

// exit is what a server said about a command's end.
type exit struct {
	told   bool
	code   uint32
	signal string
}

// waitExit reads the channel's requests until it is closed. It calls told with the
// news of the end, which may come long before: background processes can hold a channel
// open.
func (ch *channel) waitExit(told func(exit)) {
	done := false
	for r := range ch.requests {
		x, isExit := readExit(r)
		if r.WantReply {
			_ = r.Reply(false, nil)
		}
		if isExit && !done {
			done = true
			told(x)
		}
	}
}

func readExit(r *xssh.Request) (exit, bool) {
	switch r.Type {
	case "exit-status":
		if len(r.Payload) >= 4 {
			return exit{told: true, code: binary.BigEndian.Uint32(r.Payload)}, true
		}
	case "exit-signal":
		var m struct {
			Signal   string
			Core     bool
			Message  string
			Language string
		}
		if xssh.Unmarshal(r.Payload, &m) == nil && m.Signal != "" && len(m.Signal) <= 16 {
			return exit{told: true, signal: m.Signal}, true
		}
	}
	return exit{}, false
}

// maxReply bounds what our own helper commands may print.
const maxReply = 64 << 10

// call runs a small helper command of our own on the channel and returns what it
// printed. It closes the channel.
func (ch *channel) call(ctx context.Context, command string, stdin io.Reader) (stdout, stderr []byte, x exit, err error) {
	defer ch.close()
	stop := context.AfterFunc(ctx, func() { _ = ch.Close() })
	defer stop()
	r, ok := unlessItHangs(ctx, func() reply { return ch.ask(command, stdin) })
	if !ok {
		r.err = errNoExit
	}
	if r.err != nil {
		r.err = errors.Join(r.err, context.Cause(ctx))
	}
	return r.stdout, r.stderr, r.exit, r.err
}

// closeWait is how long a server may take to close a channel that was closed from here.
const closeWait = time.Second

// unlessItHangs returns what f does, which a closed channel ends, where ctx closes one. A
// server goes on to answer and keeps the channel open while a process hangs on its node,
// as on a disk that does not answer: that is not waited for, and ok is false.
func unlessItHangs[T any](ctx context.Context, f func() T) (v T, ok bool) {
	done := make(chan T, 1)
	go func() { done <- f() }()
	select {
	case v = <-done:
		return v, true
	case <-ctx.Done():
	}
	select {
	case v = <-done:
		return v, true
	case <-time.After(closeWait):
		return v, false
	}
}

// reply is what a helper command printed, and how it ended.
type reply struct {
	stdout, stderr []byte
	exit           exit
	err            error
}

// ask runs a helper command until the channel is closed.
func (ch *channel) ask(command string, stdin io.Reader) (r reply) {
	ok, err := ch.exec(command)
	if err != nil || !ok {
		return reply{err: errors.Join(err, errNotAccepted)}
	}
	read := func(r io.Reader) <-chan []byte {
		out := make(chan []byte, 1)
		go func() {
			b, _ := io.ReadAll(io.LimitReader(r, maxReply))
			_, _ = io.Copy(io.Discard, r)
			out <- b
		}()
		return out
	}
	outs, errs := read(ch), read(ch.Stderr())
	go func() {
		if stdin != nil {
			_, _ = io.Copy(ch, stdin)
		}
		_ = ch.CloseWrite()
	}()
	ch.waitExit(func(e exit) { r.exit = e })
	r.stdout, r.stderr = <-outs, <-errs
	if !r.exit.told {
		r.err = errNoExit
	}
	return r
}

var (
	errNotAccepted = errors.New("the server did not accept the command")
	errNoExit      = errors.New("no exit status came")
)
