package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/fairlead/fairlead/e2e/lab"
)

// A node behind a jump host is reached with a login of its own at each, and the jump
// host's key is held to: what is given, nobody's where that is asked for, or else the
// first that it showed, also across a restart of the runner.
func TestProxyJump(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{})
	jump, node := w.ownSSHD("jump", 2), w.ownSSHD("node", 1)
	front, err := lab.NewProxy(jump.Addrs[0])
	w.must(err)
	t.Cleanup(front.Close)
	w.setKey("jump", jump)
	w.setKey("node", node)
	behind := func(name, via string, more ...string) string {
		return fmt.Sprintf("%s:\n  nodename: %s\n  hostname: %q\n  username: %s\n  ssh-key-storage-path: keys/project/p/node\n"+
			"  ssh-proxy-jump: %s@%s\n  ssh-proxy-jump-key-storage-path: keys/project/p/jump\n  %s\n", name, name, node.Addrs[0], node.User, jump.User, via, strings.Join(more, "\n  "))
	}
	w.must(w.hub.ImportNodes(w.ctx, "p", behind("node001", front.Addr())+
		behind("node002", jump.Addrs[1], "ssh-proxy-jump-host-key: "+publicHostKey(w, jump), "ssh-host-key: "+publicHostKey(w, node), "ssh-host-key-checking: strict")+
		behind("node-wrong", jump.Addrs[1], "ssh-proxy-jump-host-key: "+publicHostKey(w, node))+
		behind("node-strict", jump.Addrs[1], "ssh-host-key: "+publicHostKey(w, node), "ssh-host-key-checking: strict")))
	w.job(1, true, "node-first", w.witnessStep(3, "0"))
	id := w.run()
	w.end(id, "failed", 60*time.Second)
	w.statuses(id, map[string]string{"node001": "succeeded", "node002": "succeeded"})
	w.refusedAt(id, "node-wrong", "host_key_changed", "jump host "+jump.Addrs[1], "ssh-proxy-jump-host-key")
	w.refusedAt(id, "node-strict", "host_key_unknown", "jump host "+jump.Addrs[1], "ssh-proxy-jump-host-key")

	// Another host stands in the place of the one that node001 is behind.
	other := w.ownSSHD("other", 1)
	w.copyAuthorized(jump, other)
	front.SetTarget(other.Addrs[0])
	w.runner.Process.Kill() // and with it the connections it keeps
	w.startRunner()
	id = w.run()
	w.end(id, "failed", 60*time.Second)
	w.statuses(id, map[string]string{"node002": "succeeded"})
	w.refusedAt(id, "node001", "host_key_changed", "jump host "+front.Addr(), "known_hosts")
	if got := w.starts("node001"); got != 1 {
		t.Errorf("node001 was started %d times, want once, before its jump host changed", got)
	}
}

// ownSSHD starts servers for n nodes with host key and login of their own.
func (w *world) ownSSHD(name string, n int) *lab.SSHD {
	w.Helper()
	s, err := lab.StartSSHD(w.ctx, filepath.Join(w.dir, name), n)
	w.must(err)
	w.Cleanup(s.Stop)
	return s
}

// setKey stores the key that may sign in.
func (w *world) setKey(name string, s *lab.SSHD) {
	w.Helper()
	key, err := os.ReadFile(s.KeyFile)
	w.must(err)
	w.must(w.hub.SetKey(w.ctx, "keys/project/p/"+name, "private-key", key))
}

// copyAuthorized lets who may sign in at one server sign in at another.
func (w *world) copyAuthorized(from, to *lab.SSHD) {
	w.Helper()
	text, err := os.ReadFile(filepath.Join(from.Dir, "authorized_keys"))
	w.must(err)
	w.must(os.WriteFile(filepath.Join(to.Dir, "authorized_keys"), text, 0o600))
}

func publicHostKey(w *world, s *lab.SSHD) string {
	w.Helper()
	text, err := os.ReadFile(filepath.Join(s.Dir, "host_key"))
	w.must(err)
	key, err := ssh.ParsePrivateKey(text)
	w.must(err)
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
}

// refusedAt checks that a node's step failed, not started, for a reason that says all of
// the words.
func (w *world) refusedAt(id, node, reason string, words ...string) {
	w.Helper()
	s := w.step(id, node, 1)
	if s.Status != "failed" || s.Reason != reason {
		w.Errorf("%s: %+v, want failed for %s", node, s, reason)
	}
	for _, word := range words {
		if !strings.Contains(s.Message, word) {
			w.Errorf("%s: %q does not say %q", node, s.Message, word)
		}
	}
}
