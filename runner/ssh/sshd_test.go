package ssh

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
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
	"time"

	xssh "golang.org/x/crypto/ssh"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/task"
)

// sshd is a real OpenSSH server on loopback, with keys of its own.
type sshd struct {
	dir      string
	port     string
	username string
	hostKey  xssh.PublicKey
	// clientKey is a private key that may log in.
	clientKey []byte
	process   *exec.Cmd
}

// newKeyPair makes an ed25519 key in OpenSSH's format.
func newKeyPair(t testing.TB) (private []byte, public xssh.PublicKey) {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := xssh.MarshalPrivateKey(priv, "")
	if err != nil {
		t.Fatal(err)
	}
	public, err = xssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block), public
}

// startSSHD starts a server with extra lines of configuration.
func startSSHD(t testing.TB, lines ...string) *sshd {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &sshd{dir: t.TempDir(), username: me.Username}
	hostPrivate, hostPublic := newKeyPair(t)
	clientPrivate, clientPublic := newKeyPair(t)
	s.hostKey, s.clientKey = hostPublic, clientPrivate
	s.write(t, "host_key", hostPrivate)
	s.write(t, "authorized_keys", xssh.MarshalAuthorizedKey(clientPublic))
	s.port = freePort(t)
	// A home without start-up files: bash reads ~/.bashrc even for a command over SSH,
	// and a developer's may take a second.
	env, home := "SetEnv", " HOME="+s.dir
	lines = slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
		more, found := strings.CutPrefix(line, "SetEnv")
		if found {
			env += more
			if strings.Contains(more, "HOME=") {
				home = ""
			}
		}
		return found
	})
	config := append(lines, // sshd keeps the first value it reads
		env+home,
		"ListenAddress 0.0.0.0:"+s.port,
		"HostKey "+filepath.Join(s.dir, "host_key"),
		"AuthorizedKeysFile "+filepath.Join(s.dir, "authorized_keys"),
		"PidFile none", "StrictModes no", "UsePAM no", "PermitRootLogin yes",
		"MaxStartups 500:1:1000", "PrintMotd no", "LogLevel ERROR",
	)
	s.write(t, "sshd_config", []byte(strings.Join(config, "\n")+"\n"))
	s.start(t)
	return s
}

func (s *sshd) write(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// start runs sshd. As root it wants /run/sshd, which a bare machine does not have: it
// gets one in a mount namespace of its own.
func (s *sshd) start(t testing.TB) {
	t.Helper()
	args := []string{"-D", "-e", "-f", filepath.Join(s.dir, "sshd_config")}
	// Whoever runs the tests may ignore hangups, and all below would inherit that.
	args = append([]string{"--default-signal=HUP", "/usr/sbin/sshd"}, args...)
	cmd := exec.Command("/usr/bin/env", args...)
	if _, err := os.Stat("/run/sshd"); err != nil && os.Getuid() == 0 {
		cmd = exec.Command("/bin/sh", append([]string{"-c", `mount -t tmpfs tmpfs /run && mkdir /run/sshd && exec /usr/bin/env "$@"`, "sshd"}, args...)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	}
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = []string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin"}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting sshd (install openssh-server): %v", err)
	}
	log.Close()
	s.process = cmd
	t.Cleanup(func() { s.stop() })
	deadline := time.Now().Add(10 * time.Second)
	for {
		c, err := net.Dial("tcp", "127.0.0.1:"+s.port)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			t.Fatalf("sshd does not answer: %v\n%s", err, text)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func (s *sshd) stop() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
}

// killConnections ends the server's processes for open connections, as a node that
// dies would.
func (s *sshd) killConnections(t testing.TB) {
	t.Helper()
	s.signalConnections(t, syscall.SIGKILL)
}

// signalConnections signals the server's processes for open connections.
func (s *sshd) signalConnections(t testing.TB, sig syscall.Signal) {
	t.Helper()
	for _, pid := range children(t, s.process.Process.Pid) {
		_ = syscall.Kill(pid, sig)
		for _, grandchild := range children(t, pid) {
			if name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", grandchild)); strings.HasPrefix(string(name), "sshd") {
				_ = syscall.Kill(grandchild, sig)
			}
		}
	}
}

func children(t testing.TB, pid int) []int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	var out []int
	for field := range strings.FieldsSeq(string(text)) {
		if child, err := strconv.Atoi(field); err == nil {
			out = append(out, child)
		}
	}
	return out
}

var attempts atomic.Int64

const keyPath = "keys/project/test/key"

// command makes a command for the server; change adjusts it.
func (s *sshd) command(text string, change ...func(*task.Command)) *task.Command {
	c := &task.Command{
		// Its own for each command: a cancel ends whatever bears the same name.
		AttemptID: fmt.Sprintf("test-%d-%d", os.Getpid(), attempts.Add(1)),
		Cell:      task.Cell{Node: 1, Step: 2, Try: 1},
		Node: &runnerv1.Node{
			Name: "web1", Hostname: "127.0.0.1:" + s.port, Username: s.username,
			HostKeys: []string{authorizedKey(s.hostKey)},
		},
		Settings: map[string]string{"ssh-key-storage-path": keyPath},
		Keys:     map[string][]byte{keyPath: s.clientKey},
		Options:  map[string]string{},
		Text:     text,
		Grace:    2 * time.Second,
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func set(name, value string) func(*task.Command) {
	return func(c *task.Command) { c.Settings[name] = value }
}

// recorder is an Output in memory.
type recorder struct {
	offsets        task.Offsets
	bad            string // what was wrong with offsets
	mu             sync.Mutex
	stdout, stderr strings.Builder
	said           strings.Builder // in the runner's own words
	wrote          chan struct{}   // gets a token for each write, if anybody looks
	fail           error
}

func newRecorder() *recorder { return &recorder{wrote: make(chan struct{}, 1)} }

func (r *recorder) Write(stream wire.Stream, p []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return r.fail
	}
	switch stream {
	case wire.Stdout:
		r.stdout.Write(p)
	case wire.Stderr:
		r.stderr.Write(p)
	default:
		r.said.Write(p)
	}
	select {
	case r.wrote <- struct{}{}:
	default:
	}
	return nil
}

func (r *recorder) WriteMasked(stream wire.Stream, p []byte, _ uint64) error {
	return r.Write(stream, p)
}

func (r *recorder) WriteRaw(stream wire.Stream, p []byte, offset uint64) error {
	r.count(stream, p, offset)
	return r.Write(stream, p)
}

func (r *recorder) count(stream wire.Stream, p []byte, offset uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if want := r.offsets[stream] + uint64(len(p)); offset != want && r.bad == "" {
		r.bad = fmt.Sprintf("%d bytes of %v end at %d, want %d", len(p), stream, offset, want)
	}
	r.offsets[stream] = offset
}

func (r *recorder) out() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stdout.String()
}

func (r *recorder) err() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stderr.String()
}

// waitFor waits until stdout holds text.
func (r *recorder) waitFor(t testing.TB, text string) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for !strings.Contains(r.out(), text) {
		select {
		case <-r.wrote:
		case <-timeout:
			t.Fatalf("output %q never came; stdout %q, stderr %q", text, r.out(), r.err())
		}
	}
}

func newExecutor(t testing.TB) *Executor {
	t.Helper()
	e := New(Config{})
	t.Cleanup(e.Close)
	return e
}

// run prepares and runs a command to its end.
func run(t testing.TB, e *Executor, c *task.Command) (task.End, *recorder) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	p, err := e.Prepare(ctx, c)
	if err != nil {
		t.Fatalf("prepare: %v", err)
	}
	r := newRecorder()
	return p.Run(ctx, r), r
}
