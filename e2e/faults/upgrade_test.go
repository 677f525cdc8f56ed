package faults

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

// A cluster of the release before is upgraded in the middle of a job: one member, the
// runner, the other member. Both releases serve beside each other meanwhile; each step
// starts once and no byte of output is lost.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	before, err := lab.BuildPrevious(t.Context(), tempDir(t), "grpcnotrace")
	if err != nil {
		t.Fatal(err)
	}
	const nodes = 4
	w := newClusterWorld(t, clusterSetup{members: 2, programs: before, nodes: nodes, nodesYAML: sshd.NodesYAML(nodes, "node-executor: local")})
	first := w.holder()
	second := w.others(first)[0]
	for name, step := range map[string]string{"j": w.witnessStep(300, "0.1"), "short": "/bin/true"} {
		// What the release before does not know yet is left out.
		job := strings.ReplaceAll(jobYAML(name, nodes, true, "node-first", step), "  multipleExecutions: true\n", "")
		w.must(w.hub.ImportJobs(w.ctx, "p", job))
	}
	id := w.run()
	w.speak(second)
	followed := w.follow(second.API, id, lab.BySocket)
	w.printing(10)

	w.migrations("The database has schema ", "beside members that serve")
	w.upgrade(first)
	w.migrations("there is nothing to apply", "after the first new member")
	w.await("the old member serves beside the new one", 10*time.Second, func() bool { return second.Health(w.ctx, "ready") == nil })
	w.short(second)
	w.short(first)

	w.must(w.runner.Process.Stop(20 * time.Second))
	w.runner.SetBinary(binaries.Runner)
	w.startRunner()
	w.printing(100)

	w.upgrade(second)
	w.finished(id, 60*time.Second)
	w.followedAll(followed)
	w.short(second)
}

// migrations asks the new program what it would change in the database.
func (w *clusterWorld) migrations(want, when string) {
	w.Helper()
	cmd := exec.CommandContext(w.ctx, binaries.Hub, "migrate", "--check", "--database", w.cluster.Postgres.URL(), "--data-dir", w.dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), want) {
		w.Errorf("migrate --check %s says, with %v:\n%s", when, err, out)
	}
}

// upgrade ends a member as an operator does and starts the program of this tree in its
// place.
func (w *clusterWorld) upgrade(m *lab.Member) {
	w.Helper()
	w.must(m.Process.Stop(30 * time.Second))
	m.SetBinary(binaries.Hub)
	w.must(w.cluster.Start(w.ctx, m))
}

// short runs a command through a member.
func (w *clusterWorld) short(m *lab.Member) {
	w.Helper()
	e, err := m.Run(w.ctx, "p", "short", nil)
	w.must(err)
	if e, err = m.Wait(w.ctx, e.ID, 20*time.Second); err != nil || e.Status != "succeeded" {
		w.Errorf("through member %s: %s, %v", m.Name, e.Status, err)
	}
}
