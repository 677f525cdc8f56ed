package faults

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

// The member that holds the runner dies in the middle of steps: the runner goes to
// another, the steps go on, and who follows at a third member misses nothing. Then all
// members die and come back together.
func TestMemberKilled(t *testing.T) {
	t.Parallel()
	w := newClusterWorld(t, clusterSetup{})
	victim := w.holder()
	other := w.others(victim)[0]
	w.speak(other)
	w.job(4, true, "node-first", w.witnessStep(200, "0.1"))
	id := w.run()
	followed := w.follow(other.API, id, lab.BySocket)
	w.printing(20)
	victim.Process.Kill()
	killed := time.Now()
	w.movedFrom(victim, 10*time.Second)
	t.Logf("the runner is back after %v", time.Since(killed))
	w.must(w.cluster.Start(w.ctx, victim))

	w.printing(100)
	w.cluster.Kill()
	w.must(w.cluster.Start(w.ctx))
	w.finished(id, 60*time.Second)
	w.followedAll(followed)
}

// A member that is drained gives its runner away without disturbing a step; the runner,
// which began while the others were drained, knows the way to them when it must.
func TestMemberDrained(t *testing.T) {
	t.Parallel()
	w := newClusterWorld(t, clusterSetup{})
	first := w.holder()
	others := w.others(first)
	w.speak(first)
	w.job(4, true, "node-first", w.witnessStep(200, "0.1"))
	id := w.run()
	w.printing(10)
	w.must(w.hub.SetDraining(w.ctx, others[0].Name, true))
	w.await("the drained member is not ready", 10*time.Second, func() bool { return others[0].Health(w.ctx, "ready") != nil })
	w.must(w.hub.SetDraining(w.ctx, first.Name, true))
	second := w.movedFrom(first, 15*time.Second)
	if second != others[1] {
		t.Fatalf("the runner went to member %s, which is drained", second.Name)
	}
	for _, m := range []string{first.Name, others[0].Name} {
		w.must(second.SetDraining(w.ctx, m, false))
	}
	w.await("the members are back", 10*time.Second, func() bool {
		return first.Health(w.ctx, "ready") == nil && others[0].Health(w.ctx, "ready") == nil
	})
	w.knows(first)
	w.knows(others[0])
	second.Process.Kill()
	w.movedFrom(second, 10*time.Second)
	w.finished(id, 60*time.Second)
}

// A member that cannot reach the database, while others can, gives its runner away.
func TestMemberCutFromDatabase(t *testing.T) {
	t.Parallel()
	w := newClusterWorld(t, clusterSetup{})
	victim := w.holder()
	other := w.others(victim)[0]
	w.speak(other)
	w.job(4, true, "node-first", w.witnessStep(250, "0.1"))
	id := w.run()
	w.printing(10)
	victim.Database.Swallow()
	cut := time.Now()
	w.movedFrom(victim, 20*time.Second)
	t.Logf("the runner moved after %v", time.Since(cut))
	if err := victim.Health(w.ctx, "ready"); err == nil {
		t.Error("a member without a database says that it is ready")
	}
	if err := victim.Health(w.ctx, "live"); err != nil {
		t.Errorf("a member without a database does not live: %v", err)
	}
	victim.Database.Heal()
	w.await("the member is ready again", 30*time.Second, func() bool { return victim.Health(w.ctx, "ready") == nil })
	w.finished(id, 60*time.Second)
}

// Runners cannot reach one member, silently: they go to another.
func TestRunnersCutFromMember(t *testing.T) {
	t.Parallel()
	w := newClusterWorld(t, clusterSetup{})
	victim := w.holder()
	w.speak(victim) // people still reach it
	w.job(4, true, "node-first", w.witnessStep(250, "0.1"))
	id := w.run()
	followed := w.follow(victim.API, id, lab.ByLines)
	w.printing(10)
	victim.Runners.Swallow()
	cut := time.Now()
	w.movedFrom(victim, 30*time.Second)
	t.Logf("the runner moved after %v", time.Since(cut))
	w.finished(id, 60*time.Second)
	w.followedAll(followed)
	victim.Runners.Heal()
}

// Members cannot reach each other, while the database is fine: slower, nothing else.
func TestMembersCutFromEachOther(t *testing.T) {
	t.Parallel()
	w := newClusterWorld(t, clusterSetup{})
	for _, m := range w.cluster.Members {
		m.Peers.Swallow()
	}
	holder := w.holder()
	w.speak(w.others(holder)[0])
	w.job(4, true, "node-first", w.witnessStep(60, "0.1"))
	start := time.Now()
	id := w.run()
	followed := w.follow(w.hub.API, id, lab.BySocket)
	w.printing(1)
	t.Logf("begun after %v", time.Since(start))
	w.finished(id, 60*time.Second)
	t.Logf("finished after %v, of which the command takes 6 s", time.Since(start))
	w.followedAll(followed)
	if now := w.holder(); now != holder {
		t.Errorf("the runner moved from %s to %s", holder.Name, now.Name)
	}
	w.again()
	w.job(4, true, "node-first", w.witnessStep(1000, "0.1"))
	id = w.run()
	w.printing(3)
	w.must(w.hub.Cancel(w.ctx, id))
	w.end(id, "cancelled", 30*time.Second)
}

// PostgreSQL stops without a checkpoint under three members: they keep their sessions,
// and everything goes on.
func TestPostgresStoppedUnderCluster(t *testing.T) {
	t.Parallel()
	w := newClusterWorld(t, clusterSetup{})
	holder := w.holder()
	w.speak(w.others(holder)[0])
	w.job(4, true, "node-first", w.witnessStep(200, "0.1"))
	id := w.run()
	followed := w.follow(w.hub.API, id, lab.BySocket)
	w.printing(10)
	w.pg.StopImmediate()
	pause(t, 10*time.Second)
	for _, m := range w.cluster.Members {
		if m.Health(w.ctx, "ready") == nil {
			t.Errorf("member %s is ready without a database", m.Name)
		}
	}
	w.must(w.pg.Start(w.ctx))
	w.finished(id, 60*time.Second)
	w.followedAll(followed)
	if now := w.holder(); now != holder {
		t.Errorf("the runner moved from %s to %s, though no member could serve it better", holder.Name, now.Name)
	}
}

// The active member of an active-passive cluster hangs: another takes over, and when the
// first goes on it is passive and writes nothing of its old term. A person brings it back.
func TestActiveMemberPaused(t *testing.T) {
	t.Parallel()
	w := newClusterWorld(t, clusterSetup{env: []string{"FAIRLEAD_HUB_CLUSTER_MODE=active-passive"}})
	old := w.holder()
	if err := old.Health(w.ctx, "active"); err != nil {
		t.Fatalf("the runner is at a member that is not active: %v", err)
	}
	w.speak(w.others(old)[0])
	w.job(4, true, "node-first", w.witnessStep(300, "0.1"))
	id := w.run()
	w.printing(10)
	old.Process.Signal(syscall.SIGSTOP)
	stopped := time.Now()
	var now string
	w.await("another member is active", 12*time.Second, func() bool {
		for _, m := range w.others(old) {
			if m.Health(w.ctx, "active") == nil {
				now = m.Name
				return true
			}
		}
		return false
	})
	took := time.Since(stopped)
	t.Logf("%s took over after %v", now, took)
	if took > 10*time.Second {
		t.Errorf("the takeover took %v", took)
	}
	w.movedFrom(old, 45*time.Second)
	old.Process.Signal(syscall.SIGCONT)
	for range 20 { // its first answers are of what it believed when it was stopped
		if old.Health(w.ctx, "active") == nil {
			t.Fatal("the old member says that it is active")
		}
	}
	w.await("the old member is ready again", 20*time.Second, func() bool { return old.Health(w.ctx, "ready") == nil })
	w.activeAlone(now)
	w.must(w.hub.Promote(w.ctx, old.Name))
	w.await("the promoted member is active", 15*time.Second, func() bool { return old.Health(w.ctx, "active") == nil })
	w.activeAlone(old.Name)
	w.await("the runner is back", 20*time.Second, func() bool { return w.memberAt(w.runner.At()) == old })
	w.finished(id, 60*time.Second)
}

// The active member of an active-passive cluster keeps its runners: they are not spread over
// members that refuse them.
func TestPassiveMembersDrawNoRunners(t *testing.T) {
	t.Parallel()
	w := newClusterWorld(t, clusterSetup{nodes: 1, members: 2, env: []string{"FAIRLEAD_HUB_CLUSTER_MODE=active-passive"}})
	active, runners := w.holder(), []*lab.Runner{w.runner}
	for _, name := range []string{"two", "three", "four", "five"} { // more than a surplus that is let be
		r, err := active.Enrol(w.ctx, binaries.Runner, w.dir, name, "p")
		w.must(err)
		w.runner = r
		w.startRunner()
		runners = append(runners, r)
	}
	pause(t, 15*time.Second) // it looks every 10 s
	for _, r := range runners {
		if at := r.At(); at != active.Advertised() || len(r.Knows()) < 2 {
			t.Errorf("runner %s is at %q, and knows %v; the active member is %s at %s", r.Name, at, r.Knows(), active.Name, active.Advertised())
		}
	}
}

// activeAlone checks that one member is the active one, for all of them.
func (w *clusterWorld) activeAlone(name string) {
	w.Helper()
	for _, m := range w.cluster.Members {
		state, err := m.Cluster(w.ctx)
		w.must(err)
		for _, s := range state.Members {
			if s.Active != (s.Name == name) {
				w.Errorf("member %s shows %s as active: %v; %s is", m.Name, s.Name, s.Active, name)
			}
		}
		if active := m.Health(w.ctx, "active") == nil; active != (m.Name == name) {
			w.Errorf("member %s says that it is active: %v; %s is", m.Name, active, name)
		}
	}
}

// Two processes under one member's id, as a copied data directory makes them: the first
// ends and says why, the second serves; and a name that lives is not given twice.
func TestTwoMembersWithOneID(t *testing.T) {
	t.Parallel()
	w := newClusterWorld(t, clusterSetup{})
	first := w.holder()
	w.speak(w.others(first)[0])
	w.job(4, true, "node-first", w.witnessStep(100, "0.1"))
	id := w.run()
	w.printing(5)

	args := []string{
		"serve", "--database", w.pg.URL(), "--member", first.Name, "--master-key-path", filepath.Join(w.dir, "master.key"),
		"--http", "127.0.0.1:0", "--gateway", "127.0.0.1:0", "--data-dir",
	}
	out, err := exec.CommandContext(w.ctx, binaries.Hub, append(args, filepath.Join(w.dir, "new"))...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--member") {
		t.Fatalf("a second member of the name %s: %v\n%s", first.Name, err, out)
	}

	copied := filepath.Join(w.dir, "copied")
	w.must(exec.CommandContext(w.ctx, "cp", "-a", first.DataDir, copied).Run())
	second := exec.CommandContext(w.ctx, binaries.Hub, append(args, copied)...)
	w.must(second.Start())
	t.Cleanup(func() {
		_ = second.Process.Kill()
		_ = second.Wait()
	})
	select {
	case <-first.Process.Done():
	case <-time.After(15 * time.Second):
		t.Fatal("two processes go on under one id")
	}
	if tail := first.Process.Tail(); !strings.Contains(tail, "data directory used twice") {
		t.Errorf("the first does not say why it ended:\n%s", tail)
	}
	w.finished(id, 60*time.Second)
}

// People are served by every member, wherever the runner is: a session that one made
// counts at the others, and the log grows before the eyes of all.
func TestPeopleAtAnyMember(t *testing.T) {
	t.Parallel()
	w := newClusterWorld(t, clusterSetup{})
	holder := w.holder()
	others := w.others(holder)
	out, err := exec.CommandContext(w.ctx, binaries.Hub, "user", "link", "--data-dir", others[0].DataDir).CombinedOutput()
	w.must(err)
	_, link, _ := strings.Cut(strings.TrimSpace(string(out)), "link=")
	session, err := others[0].SignIn(w.ctx, strings.Fields(link)[0])
	w.must(err)
	w.speak(others[1])
	w.job(4, true, "node-first", w.witnessStep(60, "0.1"))
	id := w.run()
	var followed []<-chan outcome
	for _, m := range w.cluster.Members {
		there := &lab.API{URL: m.URL, Cookie: session.Cookie}
		followed = append(followed, w.follow(there, id, lab.BySocket), w.follow(there, id, lab.ByLines))
	}
	w.finished(id, 60*time.Second)
	for _, f := range followed {
		if breaks := w.followedAll(f); breaks > 0 {
			t.Errorf("a follower was broken off %d times", breaks)
		}
	}
}
