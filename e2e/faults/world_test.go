package faults

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

// world is one hub, one runner and a project "p" with nodes whose commands leave
// traces of their own.
type world struct {
	*testing.T
	ctx    context.Context
	dir    string
	hub    *lab.Hub
	runner *lab.Runner
	pg     *lab.Postgres
	nodes  []string
}

type setup struct {
	postgres bool
	// local runs the nodes' commands on the runner's own host.
	local bool
	nodes int
	// proxied puts a proxy between runner and gateway.
	proxied bool
	// onePort has one port for people and runners.
	onePort bool
	hubEnv  []string
	// runnerEnv is for the first start alone.
	runnerEnv []string
	// idle leaves the runner enrolled and not started.
	idle bool
	// attributes are added to every node.
	attributes []string
	nodesYAML  string
	hubArgs    []string
}

// witness notes its start, prints numbered lines and keeps a copy of them. It waits and
// counts within the shell: a process for each line would be most of what these tests do.
const witness = `#!/bin/bash
# usage: witness DIR NAME LINES PAUSE
echo $$ >> "$1/$2.starts"
exec 3<> <(:) # nothing comes from there
for ((i = 1; i <= $3; i++)); do
  printf -v line '%s line %d of %d %0*d' "$2" $i "$3" $((i % 60 + 1)) $i
  echo "$line"
  echo "$line" >> "$1/$2.copy"
  [ "$4" = 0 ] || read -rt "$4" -u 3
done
echo $$ >> "$1/$2.ends"
`

func newWorld(t *testing.T, s setup) (*world, *lab.Proxy) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	w := emptyWorld(ctx, t)
	config := lab.HubConfig{Binary: binaries.Hub, Dir: w.dir, Env: s.hubEnv, Args: s.hubArgs}
	if s.postgres {
		var err error
		w.pg, err = lab.StartPostgres(ctx, w.dir)
		w.must(err)
		t.Cleanup(w.pg.Stop)
		config.Database = w.pg.URL()
	}
	hub, err := lab.NewHub(config)
	w.must(err)
	w.hub = hub
	if s.onePort {
		hub.OnePort()
	}
	var proxy *lab.Proxy
	if s.proxied {
		proxy, err = lab.NewProxy(hub.Gateway)
		w.must(err)
		t.Cleanup(proxy.Close)
		hub.SetAdvertise(proxy.Addr())
	}
	w.must(hub.Start(ctx))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("hub:\n%s", hub.Process.Tail())
		}
		hub.Process.Kill()
	})
	w.project(s)
	w.runner, err = hub.Enrol(ctx, binaries.Runner, w.dir, "runner", "p")
	w.must(err)
	w.runner.SetEnv(s.runnerEnv...)
	if !s.idle {
		w.startRunner()
		w.runner.SetEnv()
	}
	return w, proxy
}

func emptyWorld(ctx context.Context, t *testing.T) *world {
	t.Helper()
	w := &world{T: t, ctx: ctx, dir: tempDir(t)}
	w.must(os.WriteFile(filepath.Join(w.dir, "witness"), []byte(witness), 0o700))
	return w
}

// tempDir is short, since sockets may lie in it, and kept out of t.TempDir so that a
// leftover process cannot fail the test's cleanup.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "flt-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (w *world) startRunner() {
	w.Helper()
	w.must(w.runner.Start(w.ctx))
	p := w.runner.Process
	w.Cleanup(func() {
		if w.Failed() {
			w.Logf("runner:\n%s", p.Tail())
		}
		select {
		case <-p.Done():
		default:
			p.Kill()
		}
	})
}

func (w *world) project(s setup) {
	w.Helper()
	key, err := os.ReadFile(sshd.KeyFile)
	w.must(err)
	w.must(w.hub.SetKey(w.ctx, "keys/project/p/lab", "private-key", key))
	w.must(w.hub.CreateProject(w.ctx, "p", map[string]string{"ssh-key-storage-path": "keys/project/p/lab"}))
	yaml := s.nodesYAML
	if yaml == "" {
		attributes := s.attributes
		if s.local {
			attributes = append(attributes, "node-executor: local")
		}
		yaml = sshd.NodesYAML(max(s.nodes, 1), attributes...)
	}
	w.must(w.hub.ImportNodes(w.ctx, "p", yaml))
	for i := range max(s.nodes, 1) {
		w.nodes = append(w.nodes, fmt.Sprintf("node%03d", i+1))
	}
}

// job imports a job "j" of the given steps over all nodes.
func (w *world) job(threads int, keepgoing bool, strategy string, steps ...string) {
	w.Helper()
	w.must(w.hub.ImportJobs(w.ctx, "p", jobYAML("j", threads, keepgoing, strategy, steps...)))
}

func jobYAML(name string, threads int, keepgoing bool, strategy string, steps ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "- name: %s\n  multipleExecutions: true\n  nodefilters:\n    filter: 'name: node.*'\n    dispatch:\n      threadcount: %d\n      keepgoing: %v\n", name, threads, keepgoing)
	fmt.Fprintf(&b, "  sequence:\n    keepgoing: %v\n    strategy: %s\n    commands:\n", keepgoing, strategy)
	for _, s := range steps {
		fmt.Fprintf(&b, "    - exec: %s\n", strconv.Quote(s))
	}
	return b.String()
}

func (w *world) witnessStep(lines int, pause string) string {
	return fmt.Sprintf("bash %s/witness %s ${node.name} %d %s", w.dir, w.dir, lines, pause)
}

func (w *world) run() string {
	w.Helper()
	e, err := w.hub.Run(w.ctx, "p", "j", nil)
	w.must(err)
	return e.ID
}

// end waits for the execution's end and checks its status.
func (w *world) end(id, status string, limit time.Duration) lab.Execution {
	w.Helper()
	e, err := w.hub.Wait(w.ctx, id, limit)
	w.must(err)
	if e.Status != status {
		steps, _ := w.hub.NodeSteps(w.ctx, id)
		w.Fatalf("execution ended %s, want %s\nnode steps: %+v", e.Status, status, steps)
	}
	return e
}

// lines of a witness's file.
func (w *world) lines(name string) []string {
	b, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func (w *world) starts(node string) int { return len(w.lines(node + ".starts")) }

// await waits until the condition holds.
func (w *world) await(what string, limit time.Duration, ok func() bool) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, limit)
	defer cancel()
	if err := lab.Poll(ctx, 10*time.Millisecond, func() error {
		if ok() {
			return nil
		}
		return fmt.Errorf("still waiting until %s", what)
	}); err != nil {
		w.Fatal(err)
	}
}

// startedOnce checks that each node's command was started exactly once.
func (w *world) startedOnce() {
	w.Helper()
	for _, n := range w.nodes {
		if got := w.starts(n); got != 1 {
			w.Errorf("%s: started %d times, want exactly once", n, got)
		}
	}
}

// logEqualsCopies compares each node's log with the copy that its command kept.
func (w *world) logEqualsCopies(id string) {
	w.Helper()
	for _, n := range w.nodes {
		want, err := os.ReadFile(filepath.Join(w.dir, n+".copy"))
		w.must(err)
		got, err := w.hub.Log(w.ctx, id, "format=text&node="+n)
		w.must(err)
		if got != string(want) {
			w.Errorf("%s: the log (%d bytes) is not the node's copy (%d bytes)", n, len(got), len(want))
		}
	}
}

// step finds one row of the matrix by node and step (from 1).
func (w *world) step(id, node string, step int) lab.NodeStep {
	w.Helper()
	rows, err := w.hub.NodeSteps(w.ctx, id)
	w.must(err)
	for _, r := range rows {
		if r.Node == node && r.Step == step {
			return r
		}
	}
	w.Fatalf("no row for %s step %d in %+v", node, step, rows)
	return lab.NodeStep{}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}
