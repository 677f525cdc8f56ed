package ssh

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"github.com/fairlead/fairlead/runner/task"
)

// refused prepares a command that must not start, and returns why.
func refused(t *testing.T, e *Executor, c *task.Command) *task.NotStartedError {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	p, err := e.Prepare(ctx, c)
	if err == nil {
		p.Discard()
		t.Fatal("it was prepared")
	}
	var out *task.NotStartedError
	if !errors.As(err, &out) {
		t.Fatalf("not a proven start: %T %v", err, err)
	}
	return out
}

func TestNotStarted(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	otherPrivate, otherPublic := newKeyPair(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	talker := listen(t, func(c net.Conn) { _, _ = c.Write([]byte(strings.Repeat("HTTP/1.1 400 no\r\n", 1<<16))) })
	withKeys := func(keys ...string) func(*task.Command) {
		return func(c *task.Command) { c.Node.HostKeys = keys }
	}
	tests := []struct {
		name   string
		change func(*task.Command)
		reason string
		// words must stand in the message.
		words  string
		newKey bool
	}{
		{name: "nothing listens", change: func(c *task.Command) { c.Node.Hostname = "127.0.0.1:" + freePort(t) }, reason: "connection_refused", words: "127.0.0.1"},
		{name: "no such name", change: func(c *task.Command) { c.Node.Hostname = "no-such-host.invalid" }, reason: "host_not_found", words: "no-such-host.invalid"},
		{name: "no answer", change: func(c *task.Command) {
			c.Node.Hostname = silent.Addr().String()
			c.Settings["ssh-connection-timeout"] = "200ms"
		}, reason: "connection_timeout", words: "ssh-connection-timeout"},
		{name: "no SSH server", change: func(c *task.Command) { c.Node.Hostname = talker }, reason: "connection_failed", words: "no SSH server"},
		{name: "wrong key", change: func(c *task.Command) { c.Keys[keyPath] = otherPrivate }, reason: "authentication_failed", words: keyPath},
		{name: "wrong key at an unknown node", change: func(c *task.Command) { c.Keys[keyPath] = otherPrivate; c.Node.HostKeys = nil }, reason: "authentication_failed", newKey: true},
		{name: "key not stored", change: func(c *task.Command) { c.Keys = nil }, reason: "key_missing", words: keyPath},
		{name: "no login named", change: func(c *task.Command) { c.Settings = nil }, reason: "key_missing", words: "ssh-key-storage-path"},
		{name: "no key at all", change: func(c *task.Command) { c.Keys[keyPath] = []byte("hello") }, reason: "invalid", words: keyPath},
		{name: "host key changed", change: withKeys(authorizedKey(otherPublic)), reason: "host_key_changed", words: "SHA256:"},
		{name: "host keys in conflict", change: func(c *task.Command) { c.Node.HostKeyConflict = true }, reason: "host_key_conflict", words: "hostkeys list"},
		{name: "another key than the pinned one, which was seen", change: set("ssh-host-key", authorizedKey(otherPublic)), reason: "host_key_changed", words: "ssh-host-key"},
		{name: "host key of another kind", change: withKeys("ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg="), reason: "host_key_changed"},
		{name: "strict and unknown", change: func(c *task.Command) { c.Node.HostKeys = nil; c.Settings["ssh-host-key-checking"] = "strict" }, reason: "host_key_unknown", words: "ssh-host-key"},
		{name: "checking switched off", change: set("ssh-host-key-checking", "no"), reason: "invalid", words: "cannot be switched off"},
		{name: "no host key in the attribute", change: set("ssh-host-key", "abc"), reason: "invalid", words: "ssh-host-key"},
		{name: "no hostname", change: func(c *task.Command) { c.Node.Hostname = "" }, reason: "invalid", words: "hostname"},
		{name: "bad port", change: func(c *task.Command) { c.Node.Hostname = "h:70000" }, reason: "invalid", words: "65535"},
		{name: "no username", change: func(c *task.Command) { c.Node.Username = "" }, reason: "invalid", words: "username"},
		{name: "NUL in the command", change: func(c *task.Command) { c.Text = "a\x00b" }, reason: "invalid", words: "NUL"},
		{name: "NUL in a variable", change: func(c *task.Command) { c.Env = []string{"A=\x00"} }, reason: "invalid", words: "NUL"},
		{name: "bad variable name", change: func(c *task.Command) { c.Env = []string{"A;id=1"} }, reason: "invalid", words: "A;id"},
		{name: "bad timeout", change: set("ssh-connection-timeout", "soon"), reason: "invalid", words: "soon"},
		{name: "bad pattern", change: func(c *task.Command) {
			c.Text = "sudo id"
			c.Settings["sudo-command-enabled"] = "true"
			c.Settings["sudo-command-pattern"] = "("
		}, reason: "invalid", words: "sudo-command-pattern"},
		{name: "sudo password not stored", change: func(c *task.Command) {
			c.Text = "sudo id"
			c.Settings["sudo-command-enabled"] = "true"
			c.Settings["sudo-password-storage-path"] = "keys/sudo"
		}, reason: "key_missing", words: "keys/sudo"},
		{name: "key files not lent", change: func(c *task.Command) { c.Settings = map[string]string{"ssh-keypath": "/etc/shadow"} }, reason: "invalid", words: "keyFiles"},
		{name: "interpreter of the step missing", change: func(c *task.Command) { c.Script = &task.Script{Text: "x", Interpreter: "/opt/nope -x"} }, reason: "script_interpreter", words: "/opt/nope"},
		{name: "interpreter of the script missing", change: func(c *task.Command) { c.Script = &task.Script{Text: "#! /usr/bin/env nope-lang\n"} }, reason: "script_interpreter", words: "nope-lang"},
		{name: "no place for the script", change: func(c *task.Command) {
			c.Script = &task.Script{Text: "x"}
			c.Settings["file-copy-destination-dir"] = "/nonexistent"
		}, reason: "script_copy_failed", words: "/nonexistent"},
		{name: "bad extension", change: func(c *task.Command) { c.Script = &task.Script{Text: "x", FileExtension: "../x"} }, reason: "invalid", words: "fileExtension"},
		{name: "jump host refuses", change: set("ssh-proxy-jump", "127.0.0.1:"+freePort(t)), reason: "connection_refused", words: "jump host"},
		{name: "bad jump host", change: set("ssh-proxy-jump", "a b"), reason: "invalid", words: "ssh-proxy-jump"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := refused(t, newExecutor(t), s.command("true", test.change))
			if got.Reason != test.reason || !strings.Contains(got.Message, test.words) {
				t.Errorf("got %s: %s\nwant %s with %q", got.Reason, got.Message, test.reason, test.words)
			}
			if !strings.Contains(got.Message, "web1") && !strings.Contains(got.Message, "jump host") {
				t.Errorf("the message does not name the node: %s", got.Message)
			}
			if (got.NewHostKey != "") != test.newKey {
				t.Errorf("new host key %q", got.NewHostKey)
			}
		})
	}
}

// listen serves each connection with f and returns the address.
func listen(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); f(c) }()
		}
	}()
	return l.Addr().String()
}

func TestAcceptNew(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	e := newExecutor(t)
	unknownNode := func(c *task.Command) { c.Node.HostKeys = nil; c.AttemptID = "accept-new" }
	for range 2 {
		end, _ := run(t, e, s.command("true", unknownNode))
		if end.Outcome != succeeded || end.NewHostKey != authorizedKey(s.hostKey) {
			t.Fatalf("got %+v", end)
		}
	}
	if end, _ := run(t, e, s.command("true")); end.NewHostKey != "" {
		t.Errorf("a known key is told as new: %+v", end)
	}
	// The node is reinstalled in the middle of the attempt.
	private, public := newKeyPair(t)
	s.write(t, "host_key", private)
	s.killConnections(t)
	s.stop()
	s.start(t)
	if got := refused(t, e, s.command("true", unknownNode)); got.Reason != "host_key_changed" {
		t.Errorf("within the attempt: %s: %s", got.Reason, got.Message)
	}
	end, _ := run(t, e, s.command("true", unknownNode, func(c *task.Command) { c.AttemptID = "another" }))
	if end.NewHostKey != authorizedKey(public) {
		t.Errorf("in another attempt: %+v", end)
	}
	// A pooled connection does not serve a command that knows another key.
	if got := refused(t, e, s.command("true")); got.Reason != "host_key_changed" {
		t.Errorf("with the old key known: %s: %s", got.Reason, got.Message)
	}
}

// A key that was new to another attempt, whose connection is used, holds for the rest of
// this one, too.
func TestAcceptNewOnAnothersConnection(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	e := newExecutor(t)
	by := func(attempt string) *task.Command {
		return s.command("true", func(c *task.Command) { c.Node.HostKeys, c.AttemptID = nil, attempt })
	}
	for _, attempt := range []string{"first", "second"} {
		if end, _ := run(t, e, by(attempt)); end.Outcome != succeeded || end.NewHostKey != authorizedKey(s.hostKey) {
			t.Fatalf("got %+v", end)
		}
	}
	private, _ := newKeyPair(t)
	s.write(t, "host_key", private)
	s.killConnections(t)
	s.stop()
	s.start(t)
	if got := refused(t, e, by("second")); got.Reason != "host_key_changed" {
		t.Errorf("%s: %s", got.Reason, got.Message)
	}
}

// A key is recorded behind a last line that somebody left without its end.
func TestKnownHostsWithoutALastLineEnd(t *testing.T) {
	t.Parallel()
	jump, node := startSSHD(t), startSSHD(t)
	_, other := newKeyPair(t)
	before := "other.example " + authorizedKey(other)
	known := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(known, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	through := func(c *task.Command) {
		c.Settings["ssh-proxy-jump"] = "127.0.0.1:" + jump.port
		c.Settings["ssh-proxy-jump-key-storage-path"] = "keys/jump"
		c.Keys["keys/jump"] = jump.clientKey
	}
	for range 2 {
		e := New(Config{KnownHosts: known})
		t.Cleanup(e.Close)
		if end, _ := run(t, e, node.command("true", through)); end.Outcome != succeeded {
			t.Fatalf("got %+v", end)
		}
	}
	text, err := os.ReadFile(known)
	if lines := strings.Split(string(text), "\n"); err != nil || len(lines) != 3 || lines[0] != before || !strings.Contains(lines[1], jump.port) {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestHostKeySources(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	otherPrivate, other := newKeyPair(t)
	_ = otherPrivate
	file := func(t *testing.T, text string) *Executor {
		path := filepath.Join(t.TempDir(), "known_hosts")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		e := New(Config{KnownHosts: path})
		t.Cleanup(e.Close)
		return e
	}
	strict := func(c *task.Command) { c.Node.HostKeys = nil; c.Settings["ssh-host-key-checking"] = "strict" }
	address := "[127.0.0.1]:" + s.port + " "
	t.Run("attribute", func(t *testing.T) {
		end, _ := run(t, newExecutor(t), s.command("true", strict, set("ssh-host-key", authorizedKey(other)+"\n"+authorizedKey(s.hostKey))))
		if end.Outcome != succeeded {
			t.Errorf("got %+v", end)
		}
	})
	t.Run("attribute, and runners that saw different ones", func(t *testing.T) {
		end, _ := run(t, newExecutor(t), s.command("true", set("ssh-host-key", authorizedKey(s.hostKey)), func(c *task.Command) {
			c.Node.HostKeys, c.Node.HostKeyConflict = []string{authorizedKey(other)}, true
		}))
		if end.Outcome != succeeded {
			t.Errorf("got %+v", end)
		}
	})
	t.Run("known_hosts", func(t *testing.T) {
		end, _ := run(t, file(t, address+authorizedKey(s.hostKey)+"\n"), s.command("true", strict))
		if end.Outcome != succeeded {
			t.Errorf("got %+v", end)
		}
	})
	t.Run("known_hosts has another", func(t *testing.T) {
		got := refused(t, file(t, address+authorizedKey(other)+"\n"), s.command("true", func(c *task.Command) { c.Node.HostKeys = nil }))
		if got.Reason != "host_key_changed" {
			t.Errorf("got %s: %s", got.Reason, got.Message)
		}
	})
	t.Run("known_hosts revokes", func(t *testing.T) {
		got := refused(t, file(t, "@revoked * "+authorizedKey(s.hostKey)+"\n"), s.command("true"))
		if got.Reason != "host_key_changed" {
			t.Errorf("got %s: %s", got.Reason, got.Message)
		}
	})
}

func TestHostCA(t *testing.T) {
	t.Parallel()
	caPrivate, caPublic := newKeyPair(t)
	ca, err := xssh.ParsePrivateKey(caPrivate)
	if err != nil {
		t.Fatal(err)
	}
	s := startSSHD(t)
	cert := &xssh.Certificate{
		Key: s.hostKey, CertType: xssh.HostCert, KeyId: "web1", ValidBefore: xssh.CertTimeInfinity,
		ValidPrincipals: []string{"127.0.0.1"},
	}
	if err := cert.SignCert(strings.NewReader(strings.Repeat("r", 4096)), ca); err != nil {
		t.Fatal(err)
	}
	certified := startSSHDWithKeyOf(t, s, cert)
	end, _ := run(t, newExecutor(t), certified.command("true", func(c *task.Command) {
		c.Node.HostKeys = []string{"cert-authority " + authorizedKey(caPublic)}
	}))
	if end.Outcome != succeeded || end.NewHostKey != "" {
		t.Errorf("got %+v", end)
	}
	_, otherCA := newKeyPair(t)
	got := refused(t, newExecutor(t), certified.command("true", func(c *task.Command) {
		c.Node.HostKeys = []string{"cert-authority " + authorizedKey(otherCA)}
	}))
	if got.Reason != "host_key_changed" {
		t.Errorf("got %s: %s", got.Reason, got.Message)
	}
}

// Where no authority is known, a host certificate is nothing but its key: it is renewed, and
// the node must not be taken for another then.
func TestHostCertificateThatIsRenewed(t *testing.T) {
	t.Parallel()
	caPrivate, _ := newKeyPair(t)
	ca, err := xssh.ParsePrivateKey(caPrivate)
	if err != nil {
		t.Fatal(err)
	}
	s := startSSHD(t)
	known := []string(nil)
	for serial := range uint64(2) {
		cert := &xssh.Certificate{Key: s.hostKey, Serial: serial, CertType: xssh.HostCert, ValidBefore: xssh.CertTimeInfinity}
		if err := cert.SignCert(strings.NewReader(strings.Repeat("r", 4096)), ca); err != nil {
			t.Fatal(err)
		}
		certified := startSSHDWithKeyOf(t, s, cert)
		end, _ := run(t, newExecutor(t), certified.command("true", func(c *task.Command) { c.Node.HostKeys = known }))
		if end.Outcome != succeeded || known == nil && end.NewHostKey != authorizedKey(s.hostKey) {
			t.Errorf("got %+v, want the host key %s", end, authorizedKey(s.hostKey))
		}
		// As an earlier build, or a person, may have noted it.
		known = []string{authorizedKey(cert)}
	}
}

// startSSHDWithKeyOf starts a server that shows a certificate for the other's key.
func startSSHDWithKeyOf(t *testing.T, s *sshd, cert *xssh.Certificate) *sshd {
	t.Helper()
	s.write(t, "host_key-cert.pub", xssh.MarshalAuthorizedKey(cert))
	return startSSHD(t, "HostKey "+filepath.Join(s.dir, "host_key"), "HostCertificate "+filepath.Join(s.dir, "host_key-cert.pub"))
}

func TestKeyFiles(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "id"), s.clientKey, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	e := New(Config{KeyFiles: dir})
	t.Cleanup(e.Close)
	at := func(path string) *task.Command {
		return s.command("true", func(c *task.Command) { c.Settings = map[string]string{"ssh-keypath": path} })
	}
	for _, path := range []string{"id", filepath.Join(dir, "id")} {
		if end, _ := run(t, e, at(path)); end.Outcome != succeeded {
			t.Errorf("%s: got %+v", path, end)
		}
	}
	for _, path := range []string{"/etc/hostname", "../id", "out", "missing"} {
		if got := refused(t, e, at(path)); got.Reason != "key_missing" {
			t.Errorf("%s: got %s: %s", path, got.Reason, got.Message)
		}
	}
}

func TestPassphrase(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	private, err := xssh.ParseRawPrivateKey(s.clientKey)
	if err != nil {
		t.Fatal(err)
	}
	block, err := xssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("open sesame"))
	if err != nil {
		t.Fatal(err)
	}
	locked := func(c *task.Command) { c.Keys[keyPath] = pemBytes(block) }
	e := newExecutor(t)
	if got := refused(t, e, s.command("true", locked)); got.Reason != "key_missing" || !strings.Contains(got.Message, "passphrase") {
		t.Errorf("without: %s: %s", got.Reason, got.Message)
	}
	end, _ := run(t, e, s.command("true", locked, set("ssh-key-passphrase-storage-path", "keys/p"), func(c *task.Command) {
		c.Keys["keys/p"] = []byte("open sesame\n")
	}))
	if end.Outcome != succeeded {
		t.Errorf("stored: %+v", end)
	}
	end, _ = run(t, e, s.command("true", locked, set("ssh-key-passphrase-option", "option.pass"), func(c *task.Command) {
		c.Options["pass"] = "open sesame"
	}))
	if end.Outcome != succeeded {
		t.Errorf("option: %+v", end)
	}
	got := refused(t, e, s.command("true", locked, set("ssh-key-passphrase-option", "pass"), func(c *task.Command) {
		c.Options["pass"] = "wrong"
	}))
	if got.Reason != "invalid" || !strings.Contains(got.Message, "passphrase") {
		t.Errorf("wrong: %s: %s", got.Reason, got.Message)
	}
}

func TestProxyJump(t *testing.T) {
	t.Parallel()
	first, second, node := startSSHD(t), startSSHD(t), startSSHD(t)
	known := filepath.Join(t.TempDir(), "known_hosts")
	e := New(Config{KnownHosts: known})
	t.Cleanup(e.Close)
	through := func(c *task.Command) {
		c.Settings["ssh-proxy-jump"] = first.username + "@127.0.0.1:" + first.port + ", 127.0.0.1:" + second.port
		c.Settings["ssh-proxy-jump-key-storage-path"] = "keys/jump"
		c.Keys["keys/jump"] = first.clientKey
	}
	// Both jump hosts take the same login.
	authorized, err := os.ReadFile(filepath.Join(first.dir, "authorized_keys"))
	if err != nil {
		t.Fatal(err)
	}
	second.write(t, "authorized_keys", authorized)
	for range 2 {
		end, out := run(t, e, node.command("echo $SSH_CONNECTION", through))
		if end.Outcome != succeeded || !strings.Contains(out.out(), " "+node.port) {
			t.Fatalf("got %+v %q", end, out.out())
		}
	}
	text, err := os.ReadFile(known)
	if err != nil || strings.Count(string(text), "\n") != 2 {
		t.Fatalf("the jump hosts' keys should be recorded once each: %v\n%s", err, text)
	}
	// A cancel works through the tunnel.
	if end := stopped(t, e, node.command("echo started; sleep 1000", through), task.ErrStopped); end.Outcome != cancelled || !end.EndProven {
		t.Errorf("got %+v", end)
	}
	// The node's own host key is checked behind the jump hosts.
	_, other := newKeyPair(t)
	got := refused(t, e, node.command("true", through, func(c *task.Command) { c.Node.HostKeys = []string{authorizedKey(other)} }))
	if got.Reason != "host_key_changed" || !strings.Contains(got.Message, "web1") {
		t.Errorf("got %s: %s", got.Reason, got.Message)
	}
	// And the jump host's.
	got = refused(t, e, node.command("true", through, set("ssh-proxy-jump-host-key", authorizedKey(other))))
	if got.Reason != "host_key_changed" || !strings.Contains(got.Message, "jump host") {
		t.Errorf("got %s: %s", got.Reason, got.Message)
	}
	got = refused(t, e, node.command("true", through, func(c *task.Command) { c.Node.Hostname = "127.0.0.1:1" }))
	if got.Reason != "connection_refused" || !strings.Contains(got.Message, "jump host") {
		t.Errorf("got %s: %s", got.Reason, got.Message)
	}
}

// A jump host's connection that nobody knows to be dead is replaced, be it cut or silent.
func TestDeadJumpConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{"cut": syscall.SIGKILL, "silent": syscall.SIGSTOP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, jump := newExecutor(t), startSSHD(t)
			for range 2 { // nodes, each with a connection of its own
				node := startSSHD(t)
				end, _ := run(t, e, node.command("true", set("ssh-connection-timeout", "5s"), func(c *task.Command) {
					c.Settings["ssh-proxy-jump"] = "127.0.0.1:" + jump.port
					c.Settings["ssh-proxy-jump-key-storage-path"] = "keys/jump"
					c.Keys["keys/jump"] = jump.clientKey
				}))
				if end.Outcome != succeeded {
					t.Fatalf("got %+v", end)
				}
				t.Cleanup(func() { jump.signalConnections(t, syscall.SIGKILL) })
				jump.signalConnections(t, signal)
			}
		})
	}
}

func TestJumpHostForbidsTunnels(t *testing.T) {
	t.Parallel()
	jump, node := startSSHD(t, "AllowTcpForwarding no"), startSSHD(t)
	got := refused(t, newExecutor(t), node.command("true", func(c *task.Command) {
		c.Settings["ssh-proxy-jump"] = "127.0.0.1:" + jump.port
		c.Settings["ssh-proxy-jump-key-storage-path"] = "keys/jump"
		c.Keys["keys/jump"] = jump.clientKey
	}))
	if got.Reason != "jump_refused" {
		t.Errorf("got %s: %s", got.Reason, got.Message)
	}
}

func TestForcedCommandIsNoStart(t *testing.T) {
	t.Parallel()
	s := startSSHD(t, "MaxSessions 0")
	if got := refused(t, newExecutor(t), s.command("true")); got.Reason != "session_refused" {
		t.Errorf("got %s: %s", got.Reason, got.Message)
	}
}
