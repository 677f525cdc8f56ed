package faults

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

// clusterWorld is a world of several members over one PostgreSQL, a proxy on each link.
// Half of its nodes are run on the runner's own host, half over SSH.
type clusterWorld struct {
	*world
	cluster *lab.Cluster
}

// starting is held by the test that starts a cluster: a database that is made and three
// members that migrate it take a small machine for seconds, and from several at once other
// tests' members would miss their leases.
var starting sync.Mutex

type clusterSetup struct {
	ctx       context.Context //nolint:containedctx // of the test; nil: three minutes
	nodes     int             // 4 if none are told
	nodesYAML string          // mixedNodes if none are told
	members   int             // 3 if none are told
	programs  lab.Binaries    // of this tree if none are told
	env       []string
	starter   map[string]lab.Starter
}

func newClusterWorld(t *testing.T, s clusterSetup) *clusterWorld {
	t.Helper()
	ctx := s.ctx
	if ctx == nil {
		bounded, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		t.Cleanup(cancel)
		ctx = bounded
	}
	s.nodes, s.members, s.programs = cmp.Or(s.nodes, 4), cmp.Or(s.members, 3), cmp.Or(s.programs, binaries)
	w := &clusterWorld{world: emptyWorld(ctx, t)}
	var err error
	w.cluster, err = lab.NewCluster(ctx, lab.ClusterConfig{
		Binary: s.programs.Hub, Dir: w.dir, Members: s.members, Env: s.env, Starter: s.starter,
	})
	w.must(err)
	t.Cleanup(func() {
		if t.Failed() {
			for _, m := range w.cluster.Members {
				if m.Process != nil {
					t.Logf("member %s:\n%s", m.Name, m.Process.Tail())
				}
			}
		}
		w.cluster.Stop()
	})
	w.must(startAlone(ctx, w.cluster))
	w.pg, w.hub = w.cluster.Postgres, w.cluster.Members[0].Hub
	w.project(setup{nodes: s.nodes, nodesYAML: cmp.Or(s.nodesYAML, mixedNodes(s.nodes))})
	w.runner, err = w.hub.Enrol(ctx, s.programs.Runner, w.dir, "runner", "p")
	w.must(err)
	w.startRunner()
	// Members learn of one another with their heartbeats, and tell it on.
	w.await("the runner knows all members", 30*time.Second, func() bool { return len(w.runner.Knows()) >= s.members })
	return w
}

func startAlone(ctx context.Context, c *lab.Cluster) error {
	starting.Lock()
	defer starting.Unlock()
	return c.Start(ctx)
}

// mixedNodes has every second node on the runner's own host.
func mixedNodes(n int) string {
	var b strings.Builder
	for i, addr := range sshd.Addrs[:min(n, len(sshd.Addrs))] {
		fmt.Fprintf(&b, "node%03d:\n  nodename: node%03d\n  hostname: %q\n  username: %s\n", i+1, i+1, addr, sshd.User)
		if i%2 == 0 {
			b.WriteString("  node-executor: local\n")
		}
	}
	return b.String()
}

// holder is the member that has the runner's session.
func (w *clusterWorld) holder() *lab.Member {
	w.Helper()
	var found *lab.Member
	w.await("the runner is somewhere", 30*time.Second, func() bool {
		found = w.memberAt(w.runner.At())
		return found != nil
	})
	return found
}

func (w *clusterWorld) memberAt(addr string) *lab.Member {
	i := slices.IndexFunc(w.cluster.Members, func(m *lab.Member) bool { return m.Advertised() == addr })
	if i < 0 {
		return nil
	}
	return w.cluster.Members[i]
}

// others are all members but one.
func (w *clusterWorld) others(m *lab.Member) []*lab.Member {
	return slices.DeleteFunc(slices.Clone(w.cluster.Members), func(o *lab.Member) bool { return o == m })
}

// speak makes a member the one whose API the test uses.
func (w *clusterWorld) speak(m *lab.Member) {
	w.hub = m.Hub
	w.runner.Via(m.Hub)
}

// movedFrom waits until the runner's session is at another member, and returns it.
func (w *clusterWorld) movedFrom(m *lab.Member, limit time.Duration) *lab.Member {
	w.Helper()
	var now *lab.Member
	w.await("the runner is at another member than "+m.Name, limit, func() bool {
		now = w.memberAt(w.runner.At())
		return now != nil && now != m
	})
	return now
}

// printing waits until every node's command has printed so many lines.
func (w *clusterWorld) printing(lines int) {
	w.Helper()
	w.await(fmt.Sprintf("all nodes have printed %d lines", lines), 30*time.Second, func() bool {
		return !slices.ContainsFunc(w.nodes, func(n string) bool { return len(w.lines(n+".copy")) < lines })
	})
}

// finished checks the end of an execution: it succeeded, with one start of each command
// and every byte of output, and every member says the same.
func (w *clusterWorld) finished(id string, limit time.Duration) {
	w.Helper()
	e := w.end(id, "succeeded", limit)
	if !e.LogComplete {
		w.await("the log is whole", 10*time.Second, func() bool {
			e, err := w.hub.Execution(w.ctx, id)
			return err == nil && e.LogComplete
		})
	}
	w.startedOnce()
	for _, m := range w.cluster.Members {
		if m.Health(w.ctx, "live") != nil {
			continue
		}
		w.hub = m.Hub
		w.end(id, "succeeded", 5*time.Second)
		w.logEqualsCopies(id)
	}
}

// again moves the witness's files away, so that the next execution is counted alone.
func (w *clusterWorld) again() {
	w.Helper()
	for _, n := range w.nodes {
		for _, kind := range []string{".starts", ".copy", ".ends"} {
			w.must(os.RemoveAll(filepath.Join(w.dir, n+kind)))
		}
	}
}

// outcome is what a follower came to.
type outcome struct {
	followed *lab.Followed
	err      error
}

// follow watches an execution's log at one member.
func (w *clusterWorld) follow(at *lab.API, id string, way lab.Way) <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		f, err := at.Follow(w.ctx, id, way)
		done <- outcome{f, err}
	}()
	return done
}

// followedAll checks that a follower read every byte once and in order, and returns how
// often its connection broke.
func (w *clusterWorld) followedAll(done <-chan outcome) (breaks int) {
	w.Helper()
	select {
	case o := <-done:
		w.must(o.err)
		for _, n := range w.nodes {
			want, err := os.ReadFile(filepath.Join(w.dir, n+".copy"))
			w.must(err)
			if o.followed.Text[n] != string(want) {
				w.Errorf("%s: the follower read %d bytes, the node printed %d", n, len(o.followed.Text[n]), len(want))
			}
		}
		return o.followed.Breaks
	case <-time.After(20 * time.Second):
		w.Fatal("the follower does not see the end")
	}
	return 0
}
