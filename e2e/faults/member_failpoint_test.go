package faults

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

// The member with the runner dies between its commits and its answers, and does not come
// back: what it had promised holds at the other member, and what it had not is done again.
func TestMemberKilledAroundGrant(t *testing.T) {
	t.Parallel()
	killedAt(t, "hub.claim.before-commit", "hub.claim.after-commit", "hub.grant.after-send")
}

// The same around the answers to what a runner reports.
func TestMemberKilledAroundAcknowledgement(t *testing.T) {
	t.Parallel()
	killedAt(t, "hub.chunks.after-commit", "hub.steps.after-commit", "hub.result.before-commit", "hub.result.after-commit")
}

// killedAt brings the runner to a member that will die at each point in turn.
func killedAt(t *testing.T, points ...string) {
	w := newClusterWorld(t, clusterSetup{members: 2})
	for _, point := range points {
		stays, dies := w.bringTo(point)
		w.speak(stays)
		w.job(4, true, "node-first", w.witnessStep(20, "0.05"), "true")
		id := w.run()
		w.dead(dies, point)
		w.finished(id, 60*time.Second)
		w.again()
		if t.Failed() {
			t.Fatalf("after the death at %s", point)
		}
	}
}

// A runner that was killed comes back, and the member dies between the commit of its
// Resume and the answer: it resumes at the next, and no step is disturbed.
func TestMemberKilledAtResume(t *testing.T) {
	t.Parallel()
	w := newClusterWorld(t, clusterSetup{members: 2, nodes: 4, nodesYAML: localNodes(4)})
	const point = "hub.resume.after-commit"
	stays, dies := w.bringTo(point)
	w.speak(stays)
	w.job(4, true, "node-first", w.witnessStep(100, "0.1"))
	id := w.run()
	w.printing(5)
	w.runner.Process.Kill()
	stays.Process.Kill() // else the runner might go there first
	w.must(w.runner.Launch())
	t.Cleanup(w.runner.Process.Kill)
	w.dead(dies, point)
	w.must(w.cluster.Start(w.ctx, stays))
	w.finished(id, 60*time.Second)
}

// bringTo restarts the member that has not the runner so that it dies at a point, and
// moves the runner there.
func (w *clusterWorld) bringTo(point string) (stays, dies *lab.Member) {
	w.Helper()
	stays = w.holder()
	dies = w.others(stays)[0]
	w.restart(dies, "FAIRLEAD_FAILPOINT="+point)
	w.must(stays.SetDraining(w.ctx, stays.Name, true))
	w.await("the runner is at "+dies.Name, 30*time.Second, func() bool { return w.memberAt(w.runner.At()) == dies })
	w.must(stays.SetDraining(w.ctx, stays.Name, false))
	w.await(stays.Name+" is back", 10*time.Second, func() bool { return stays.Health(w.ctx, "ready") == nil })
	w.knows(stays)
	return stays, dies
}

// restart starts a member anew with so much more in its environment.
func (w *clusterWorld) restart(m *lab.Member, env ...string) {
	w.Helper()
	m.Process.Kill()
	m.SetEnv(env...)
	w.must(w.cluster.Start(w.ctx, m))
}

// knows waits until the runner has learned a member's address.
func (w *clusterWorld) knows(m *lab.Member) {
	w.Helper()
	w.await("the runner knows "+m.Name, 15*time.Second, func() bool {
		return slices.ContainsFunc(w.lines("runner/identity/runner.json"), func(l string) bool { return strings.Contains(l, m.Advertised()) })
	})
}

// dead waits until a member has died at its point.
func (w *clusterWorld) dead(m *lab.Member, point string) {
	w.Helper()
	select {
	case <-m.Process.Done():
	case <-time.After(30 * time.Second):
		w.Fatalf("member %s did not reach %s", m.Name, point)
	}
}
