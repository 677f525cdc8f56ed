package ssh

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	xssh "golang.org/x/crypto/ssh"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/runner/task"
)

func pemBytes(b *pem.Block) []byte { return pem.EncodeToMemory(b) }

// oddServer is a small SSH server for what OpenSSH does not do on request: passwords
// without an account, and bad manners.
type oddServer struct {
	address string
	hostKey xssh.PublicKey
}

// serveOdd serves sessions with handle, which gets the channel and its requests.
func serveOdd(t *testing.T, config *xssh.ServerConfig, handle func(xssh.Channel, <-chan *xssh.Request, *xssh.ServerConn)) *oddServer {
	t.Helper()
	return serveChannels(t, config, func(asked xssh.NewChannel, conn *xssh.ServerConn) {
		if ch, requests, err := asked.Accept(); err == nil {
			go handle(ch, requests, conn)
		}
	})
}

// serveChannels has channel called for each channel that a client asks for, in turn.
func serveChannels(t *testing.T, config *xssh.ServerConfig, channel func(xssh.NewChannel, *xssh.ServerConn)) *oddServer {
	t.Helper()
	private, public := newKeyPair(t)
	signer, err := xssh.ParsePrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	config.AddHostKey(signer)
	address := listen(t, func(c net.Conn) {
		conn, chans, reqs, err := xssh.NewServerConn(c, config)
		if err != nil {
			return
		}
		go xssh.DiscardRequests(reqs)
		for asked := range chans {
			channel(asked, conn)
		}
	})
	return &oddServer{address: address, hostKey: public}
}

func (s *oddServer) command(change ...func(*task.Command)) *task.Command {
	c := &task.Command{
		AttemptID: "odd", Text: "true",
		Node:     &runnerv1.Node{Name: "odd", Hostname: s.address, Username: "me", HostKeys: []string{authorizedKey(s.hostKey)}},
		Settings: map[string]string{"ssh-authentication": "password", "ssh-password-storage-path": "keys/p"},
		Keys:     map[string][]byte{"keys/p": []byte("secret\n")},
	}
	for _, f := range change {
		f(c)
	}
	return c
}

// succeed accepts every request and ends with status 0.
func succeed(ch xssh.Channel, requests <-chan *xssh.Request, _ *xssh.ServerConn) {
	for r := range requests {
		_ = r.Reply(true, nil)
		if r.Type == "exec" {
			_, _ = ch.SendRequest("exit-status", false, []byte{0, 0, 0, 0})
			_ = ch.Close()
		}
	}
}

func byPassword(_ xssh.ConnMetadata, password []byte) (*xssh.Permissions, error) {
	if string(password) != "secret" {
		return nil, xssh.ErrNoAuth
	}
	return nil, nil
}

func TestPassword(t *testing.T) {
	t.Parallel()
	interactive := func(_ xssh.ConnMetadata, ask xssh.KeyboardInteractiveChallenge) (*xssh.Permissions, error) {
		if answers, err := ask("", "", []string{"Password: "}, []bool{false}); err != nil || len(answers) != 1 || answers[0] != "secret" {
			return nil, xssh.ErrNoAuth
		}
		_, err := ask("", "welcome", nil, nil)
		return nil, err
	}
	endless := func(_ xssh.ConnMetadata, ask xssh.KeyboardInteractiveChallenge) (*xssh.Permissions, error) {
		for {
			if _, err := ask("", "", []string{"Password: "}, []bool{false}); err != nil {
				return nil, err
			}
		}
	}
	nosy := func(_ xssh.ConnMetadata, ask xssh.KeyboardInteractiveChallenge) (*xssh.Permissions, error) {
		_, err := ask("", "", []string{"Your mother's name: "}, []bool{true})
		return nil, err
	}
	tests := []struct {
		name   string
		config xssh.ServerConfig
		change func(*task.Command)
		want   string // reason; empty: it runs
	}{
		{name: "password", config: xssh.ServerConfig{PasswordCallback: byPassword}},
		{name: "keyboard-interactive", config: xssh.ServerConfig{KeyboardInteractiveCallback: interactive}},
		{name: "from an option", config: xssh.ServerConfig{PasswordCallback: byPassword}, change: func(c *task.Command) {
			c.Settings = map[string]string{"ssh-password-option": "option.sshPassword"}
			c.Options = map[string]string{"sshPassword": "secret"}
		}},
		{name: "wrong", config: xssh.ServerConfig{PasswordCallback: byPassword}, change: func(c *task.Command) { c.Keys["keys/p"] = []byte("x") }, want: "authentication_failed"},
		{name: "questions without end", config: xssh.ServerConfig{KeyboardInteractiveCallback: endless, MaxAuthTries: -1}, want: "authentication_failed"},
		{name: "another question", config: xssh.ServerConfig{KeyboardInteractiveCallback: nosy}, want: "authentication_failed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := serveOdd(t, &test.config, succeed)
			c := s.command()
			if test.change != nil {
				test.change(c)
			}
			if test.want == "" {
				if end, _ := run(t, newExecutor(t), c); end.Outcome != succeeded {
					t.Errorf("got %+v", end)
				}
				return
			}
			if got := refused(t, newExecutor(t), c); got.Reason != test.want {
				t.Errorf("got %s: %s", got.Reason, got.Message)
			}
		})
	}
}

func TestBadManners(t *testing.T) {
	t.Parallel()
	onExec := func(f func(xssh.Channel, *xssh.Request, *xssh.ServerConn)) func(xssh.Channel, <-chan *xssh.Request, *xssh.ServerConn) {
		return func(ch xssh.Channel, requests <-chan *xssh.Request, conn *xssh.ServerConn) {
			for r := range requests {
				if r.Type == "exec" {
					f(ch, r, conn)
				}
			}
		}
	}
	tests := []struct {
		name    string
		handle  func(xssh.Channel, <-chan *xssh.Request, *xssh.ServerConn)
		change  func(*task.Command)
		outcome runnerv1.Outcome
		reason  string
		started bool
	}{
		{name: "refuses to run it", handle: onExec(func(_ xssh.Channel, r *xssh.Request, _ *xssh.ServerConn) { _ = r.Reply(false, nil) }), outcome: failed, reason: "exec_refused"},
		{name: "no exit status", handle: onExec(func(ch xssh.Channel, r *xssh.Request, _ *xssh.ServerConn) { _ = r.Reply(true, nil); _ = ch.Close() }), outcome: unknown, reason: "connection_lost", started: true},
		{name: "cut before the answer", handle: onExec(func(_ xssh.Channel, _ *xssh.Request, conn *xssh.ServerConn) { _ = conn.Close() }), outcome: unknown, reason: "connection_lost", started: true},
		{name: "malformed exit", handle: onExec(func(ch xssh.Channel, r *xssh.Request, _ *xssh.ServerConn) {
			_ = r.Reply(true, nil)
			_, _ = ch.SendRequest("exit-status", false, []byte{1})
			_, _ = ch.SendRequest("exit-signal", false, []byte{1})
			_ = ch.Close()
		}), outcome: unknown, reason: "connection_lost", started: true},
		{name: "two exits", handle: onExec(func(ch xssh.Channel, r *xssh.Request, _ *xssh.ServerConn) {
			_ = r.Reply(true, nil)
			_, _ = ch.SendRequest("exit-status", false, []byte{0, 0, 0, 5})
			_, _ = ch.SendRequest("exit-status", false, []byte{0, 0, 0, 0})
			_ = ch.Close()
		}), outcome: failed, reason: "non_zero_exit", started: true},
		{name: "falls silent", handle: onExec(func(_ xssh.Channel, _ *xssh.Request, conn *xssh.ServerConn) {
			// The server's own reading stops with this goroutine's channel; keepalives are
			// answered by the mux, so the connection itself must die.
			_ = conn.Close()
		}), outcome: unknown, reason: "connection_lost", started: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := serveOdd(t, &xssh.ServerConfig{PasswordCallback: byPassword}, test.handle)
			end, _ := run(t, newExecutor(t), s.command())
			if end.Outcome != test.outcome || end.Reason != test.reason || end.NotStarted == test.started {
				t.Errorf("got %+v", end)
			}
		})
	}
}

// TestSilentNode stops answering in the middle of a command, without closing anything.
func TestSilentNode(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	pipe := newProxy(t, "127.0.0.1:"+s.port)
	c := s.command("echo started; sleep 30", set("keep-alive-interval", "1"), set("keep-alive-max-alive-count", "1"))
	c.Node.Hostname = pipe.address
	began := time.Now()
	end := during(t, newExecutor(t), c, pipe.freeze)
	if end.Outcome != unknown || end.Reason != "connection_lost" || !strings.Contains(end.Message, "did not answer") {
		t.Errorf("got %+v", end)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

// When something came last is known by a clock that nobody sets: by the host's own, setting
// it back would keep a dead connection so much longer, and setting it on, or a host that
// slept, would end one that lives.
func TestHeardByNoClockThatIsSet(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	go func() { _, _ = far.Write([]byte("x")) }()
	l := &listening{Conn: near, began: time.Now()}
	if _, err := l.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if last := l.last(); last == last.Round(0) { //nolint:staticcheck // whether it has a monotonic reading
		t.Errorf("%v is a time of the host's clock alone", last)
	} else if !last.After(l.began) {
		t.Errorf("%v is not behind %v", last, l.began)
	}
}

// TestSlowLink has the answer to a keepalive come late, behind what a command prints.
func TestSlowLink(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	const size, second = 4 << 20, 1 << 20
	address := listen(t, func(in net.Conn) {
		out, err := net.Dial("tcp", "127.0.0.1:"+s.port)
		if err != nil {
			return
		}
		defer out.Close()
		go func() { _, _ = io.Copy(out, in) }()
		for {
			_, err := io.CopyN(in, out, second/50)
			if err != nil {
				return
			}
			<-time.After(time.Second / 50)
		}
	})
	c := s.command(fmt.Sprintf("head -c %d /dev/zero", size), set("keep-alive-interval", "1"), set("keep-alive-max-alive-count", "1"))
	c.Node.Hostname = address
	if end, out := run(t, newExecutor(t), c); end.Outcome != succeeded || len(out.out()) != size {
		t.Errorf("got %+v, %d bytes", end, len(out.out()))
	}
}

// A command that is given up while the node opens its channel, and a node that does not
// open it in time, take nothing from the command that runs on the same connection.
func TestOpeningHarmsNoOther(t *testing.T) {
	t.Parallel()
	for _, stopped := range []bool{true, false} {
		t.Run(fmt.Sprintf("stopped %v", stopped), func(t *testing.T) {
			t.Parallel()
			opens := make(chan xssh.NewChannel, 3)
			s := serveChannels(t, &xssh.ServerConfig{PasswordCallback: byPassword}, func(asked xssh.NewChannel, _ *xssh.ServerConn) { opens <- asked })
			e := newExecutor(t)
			command := s.command(func(c *task.Command) { c.Settings["ssh-connection-timeout"] = "1000" })
			prepared := prepare(t.Context(), e, command)
			ch, requests := accept(t, opens)
			first, end := within(t, prepared), make(chan task.End, 1)
			go func() { end <- first.Run(t.Context(), newRecorder()) }()
			_ = within(t, requests).Reply(true, nil)

			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			second := prepare(ctx, e, command)
			late := within(t, opens)
			if stopped {
				stop()
			} else {
				accept(t, opens) // on a connection of its own
			}
			if p := within(t, second); (p == nil) != stopped {
				t.Errorf("prepared %v, want %v", p != nil, !stopped)
			}
			_, requests, err := late.Accept()
			if err != nil {
				t.Fatal(err)
			}
			for range requests { // until the client closes it
			}
			_, _ = ch.SendRequest("exit-status", false, []byte{0, 0, 0, 0})
			_ = ch.Close()
			if got := within(t, end); got.Outcome != succeeded {
				t.Errorf("the first command: %+v", got)
			}
		})
	}
}

// TestNodeHangs is a node that goes on to answer while every process on it hangs, as on a
// disk that does not answer.
func TestNodeHangs(t *testing.T) {
	t.Parallel()
	t.Run("before the command is there", func(t *testing.T) {
		t.Parallel()
		hangs := filepath.Join(t.TempDir(), "hangs")
		s := startSSHD(t, "ForceCommand touch "+hangs+"; while [ -e "+hangs+" ]; do sleep 0.1; done")
		ctx, cancel := context.WithCancelCause(t.Context())
		prepared := prepare(ctx, newExecutor(t), s.command("true", detach))
		waitForFile(t, hangs)
		cancel(task.ErrStopped)
		if within(t, prepared) != nil {
			t.Error("it was prepared")
		}
	})
	t.Run("while its output is read", func(t *testing.T) {
		t.Parallel()
		s := startSSHD(t)
		c := s.command("echo started; while [ -e "+s.dir+" ]; do sleep 0.1; done", detach)
		cancel, end, _ := background(t, s, newExecutor(t), c)
		for _, pid := range running(t, "fairlead."+c.Name()) {
			must(t, syscall.Kill(pid, syscall.SIGSTOP))
			t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
		}
		cancel(task.ErrDetach)
		if got := within(t, end); got.Reason != "detached" {
			t.Errorf("got %+v", got)
		}
	})
}

// running are the processes with word in their command lines.
func running(t *testing.T, word string) (pids []int) {
	t.Helper()
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range paths {
		text, err := os.ReadFile(path)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && strings.Contains(string(text), word) {
			pids = append(pids, pid)
		}
	}
	if len(pids) == 0 {
		t.Fatalf("no process has %s in its command line", word)
	}
	return pids
}

// Sessions that a server goes on to have, and that nobody here uses any more, keep no
// command from a connection of its own.
func TestSessionsThatStay(t *testing.T) {
	t.Parallel()
	s := startSSHD(t, "MaxSessions 1")
	e := newExecutor(t)
	cancel, end, _ := background(t, s, e, s.command("echo started; while [ -e "+s.dir+" ]; do sleep 0.1; done"))
	cancel(task.ErrDetach)
	within(t, end)
	if got, out := run(t, e, s.command("echo second")); got.Outcome != succeeded || out.out() != "second\n" {
		t.Errorf("got %+v %q", got, out.out())
	}
}

// Commands that wait for another one's connection do not all dial when that one is stopped.
func TestDialIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pool{entries: map[string]*entry{}}
		var dials atomic.Int64
		get := func(ctx context.Context) {
			_, _, err := p.get(ctx, "node", func(*connection) bool { return true }, func() (*connection, error) {
				dials.Add(1)
				<-ctx.Done()
				return nil, context.Cause(ctx)
			})
			if err == nil {
				t.Error("there is a connection")
			}
		}
		first, stop := context.WithCancel(t.Context())
		go get(first)
		synctest.Wait()
		others, stopOthers := context.WithCancel(t.Context())
		for range 10 {
			go get(others)
		}
		synctest.Wait()
		stop()
		synctest.Wait()
		if n := dials.Load(); n != 2 {
			t.Errorf("%d dials, want the first and one more", n)
		}
		stopOthers()
		synctest.Wait()
	})
}

// prepare tells the command once it is prepared, nil if it is not.
func prepare(ctx context.Context, e *Executor, c *task.Command) <-chan task.Process {
	prepared := make(chan task.Process, 1)
	go func() {
		p, err := e.Prepare(ctx, c)
		if err != nil {
			p = nil
		}
		prepared <- p
	}()
	return prepared
}

func accept(t *testing.T, opens <-chan xssh.NewChannel) (xssh.Channel, <-chan *xssh.Request) {
	t.Helper()
	ch, requests, err := within(t, opens).Accept()
	if err != nil {
		t.Fatal(err)
	}
	return ch, requests
}

// proxy passes bytes until it is frozen.
type proxy struct {
	address string
	frozen  chan struct{}
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	p := &proxy{frozen: make(chan struct{})}
	p.address = listen(t, func(in net.Conn) {
		out, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		defer out.Close()
		done := make(chan struct{}, 2)
		pass := func(dst, src net.Conn) {
			defer func() { done <- struct{}{} }()
			buf := make([]byte, 32<<10)
			for {
				n, err := src.Read(buf)
				select {
				case <-p.frozen:
					<-t.Context().Done()
					return
				default:
				}
				if _, werr := dst.Write(buf[:n]); err != nil || werr != nil {
					return
				}
			}
		}
		go pass(out, in)
		go pass(in, out)
		<-done
	})
	return p
}

func (p *proxy) freeze() { close(p.frozen) }
