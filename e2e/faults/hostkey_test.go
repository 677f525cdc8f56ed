package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

type hostKey struct{ Key, State string }

// Two runners see two host keys at one node. Both are shown, and nothing runs there
// until a person has chosen.
func TestHostKeyConflict(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{idle: true})
	other := w.ownSSHD("other", 1)
	w.copyAuthorized(sshd, other)
	node, err := lab.NewProxy(sshd.Addrs[0])
	w.must(err)
	t.Cleanup(node.Close)
	w.must(w.hub.ImportNodes(w.ctx, "p", fmt.Sprintf("node001:\n  nodename: node001\n  hostname: %q\n  username: %s\n", node.Addr(), sshd.User)))
	w.runner.SetEnv("FAIRLEAD_RUNNER_SLOTS=1")
	w.startRunner()

	// The first runner has no room for the second job, so the other one takes it.
	wait := func(file string) string {
		return "echo here; while [ ! -e " + w.dir + "/" + file + " ]; do sleep 0.05; done"
	}
	w.must(w.hub.ImportJobs(w.ctx, "p", jobYAML("one", 1, true, "node-first", wait("go-one"))+jobYAML("two", 1, true, "node-first", wait("go-two"))+jobYAML("j", 1, true, "node-first", "echo ran")))
	start := func(job string) string {
		e, err := w.hub.Run(w.ctx, "p", job, nil)
		w.must(err)
		w.await(job+" runs", 30*time.Second, func() bool {
			text, err := w.hub.Log(w.ctx, e.ID, "format=text")
			return err == nil && strings.Contains(text, "here")
		})
		return e.ID
	}
	one := start("one")
	node.SetTarget(other.Addrs[0])
	second, err := w.hub.Enrol(w.ctx, binaries.Runner, w.dir, "second", "p")
	w.must(err)
	w.must(second.Start(w.ctx))
	t.Cleanup(second.Process.Kill)
	two := start("two")
	// One after the other: the key that is told first is the accepted one.
	w.must(os.WriteFile(filepath.Join(w.dir, "go-one"), nil, 0o600))
	w.end(one, "succeeded", 30*time.Second)
	w.must(os.WriteFile(filepath.Join(w.dir, "go-two"), nil, 0o600))
	w.end(two, "succeeded", 30*time.Second)

	var keys struct{ Items []hostKey }
	w.must(w.hub.Do(w.ctx, "GET", "/projects/p/nodes/node001/hostkeys", nil, &keys))
	if len(keys.Items) != 2 || keys.Items[0].State != "accepted" || keys.Items[1].State != "conflict" {
		t.Fatalf("the hub knows %+v", keys.Items)
	}
	id := w.run()
	w.end(id, "failed", 30*time.Second)
	if s := w.step(id, "node001", 1); s.Reason != "host_key_conflict" || !strings.Contains(s.Message, "hostkeys") {
		t.Errorf("the node was used, or the refusal does not say what to do: %+v", s)
	}
	// The person chooses the second: the node shows that one now.
	w.must(w.hub.Do(w.ctx, "POST", "/projects/p/nodes/node001/hostkeys", map[string]string{"key": keys.Items[1].Key}, nil))
	w.end(w.run(), "succeeded", 30*time.Second)
}
