package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

// primaries is a world whose standby is promoted while the primary lives: member a stays
// with the old one, member b goes with the promoted one.
type primaries struct {
	*clusterWorld
	a, b          *lab.Member
	first, second *lab.Runner
	promoted      *lab.Postgres
	over, nowhere string
	ids           map[string]string // of executions, by job
	numbers       map[string]int64
}

// Two primaries at once. What must happen:
//
// The promoted one is on another timeline, so it is held by the first connection of b.
// What was not finished waits there for the runners that could have had it: one that is
// still at a may have got it from the old primary since. New work goes on there. The old
// primary has nothing to notice by, and works on with the runner that it has.
//
// A runner that comes from a to b shows its disk, and with it what the old primary
// granted: the promoted one takes that in and starts none of it again. A runner that comes
// from b to a has a mark of the later incarnation, which the old primary does not know:
// that one is held too, before anything is offered there, and takes in the rest.
//
// A member that comes from the old primary to the promoted one finds an earlier
// incarnation there than it has seen: held once more, for what the old one granted last.
func TestTwoPrimaries(t *testing.T) {
	t.Parallel()
	w := newPrimaries(t)
	w.split()
	w.eachSideAlone()
	w.runnerComesToPromoted()
	w.runnersComeToOld()
	w.oldIsPutAway()
}

func newPrimaries(t *testing.T) *primaries {
	t.Helper()
	c := newClusterWorld(t, clusterSetup{members: 2, nodes: 2, nodesYAML: sshd.NodesYAML(2, "node-executor: local")})
	w := &primaries{
		clusterWorld: c, a: c.cluster.Members[0], b: c.cluster.Members[1], first: c.runner,
		over: filepath.Join(c.dir, "over"), ids: map[string]string{}, numbers: map[string]int64{},
	}
	var err error
	w.nowhere, err = lab.FreeAddr()
	w.must(err)
	w.promoted, err = w.pg.Standby(w.ctx)
	w.must(err)
	t.Cleanup(w.promoted.Stop)
	w.second, err = w.a.Enrol(w.ctx, binaries.Runner, w.dir, "second", "p", "two")
	w.must(err)
	// Also at the end of a test that failed, which removes the directory.
	jobs := w.traced("across", fmt.Sprintf("; until [ -e %s ] || [ ! -d %s ]; do sleep 0.1; done", w.over, w.dir)) +
		w.traced("theirs", "", "two") + w.traced("lone", "", "none")
	for _, job := range []string{"before", "queued", "old", "new", "late", "after"} {
		jobs += w.traced(job, "")
	}
	w.must(w.a.ImportJobs(w.ctx, "p", jobs))
	return w
}

// traced is a job whose command leaves traces of the job's name on each node, and does more
// after that, for runners with these tags.
func (w *primaries) traced(job, more string, tags ...string) string {
	step := fmt.Sprintf("bash %s/witness %s %s-${node.name} 50 0%s", w.dir, w.dir, job, more)
	yaml := jobYAML(job, 2, true, "node-first", step)
	if len(tags) > 0 {
		yaml += "  runnerTags: [" + strings.Join(tags, ", ") + "]\n"
	}
	return yaml
}

// split leaves one job running, and two that wait for their runners, in both databases;
// then there are two primaries.
func (w *primaries) split() {
	w.Helper()
	w.run(w.a, "before")
	w.succeeds(w.a, "before")
	w.run(w.a, "across")
	w.await("it prints on both nodes", 30*time.Second, func() bool {
		return len(w.lines("across-node001.copy")) == 50 && len(w.lines("across-node002.copy")) == 50
	})
	w.first.Process.Kill() // its steps live on
	w.run(w.a, "queued")
	w.run(w.a, "theirs")

	w.must(w.promoted.CatchUp(w.ctx, w.pg))
	w.must(w.promoted.Promote(w.ctx))
	w.b.Database.SetTarget(w.promoted.Addr())
	w.b.Database.Cut()
	s := w.held(w.b, "promotion", 2)
	if !strings.Contains(s.Recovery.Reason, "timeline 2") || s.Recovery.Held != 3 {
		w.Errorf("the promoted side is held as %+v", s.Recovery)
	}
	// From the next ticks on, what is begun at the member is of the new incarnation.
	w.await("the member has made ticks of its own", 30*time.Second, func() bool {
		now, err := w.state(w.b)
		return err == nil && now.Tick > s.Tick+1
	})
}

// eachSideAlone works on both sides, each with a runner of its own.
func (w *primaries) eachSideAlone() {
	w.Helper()
	w.runnersAt(w.a)
	w.speak(w.a)
	w.begin(w.first, w.a)
	w.succeeds(w.a, "queued")
	w.run(w.a, "old")
	w.succeeds(w.a, "old")

	w.runnersAt(w.b) // the first one's session stays
	w.begin(w.second, w.b)
	w.awaiting(w.b, "runner")
	w.run(w.b, "new")
	w.succeeds(w.b, "new")
	for _, job := range []string{"across", "queued", "theirs"} {
		w.waits(w.b, job)
	}
	w.says(w.b, "(promotion)", "timeline 2; it was on 1", "Executions that wait: 3", "have not shown what they have: runner")
	if s, err := w.state(w.a); err != nil || s.Recovery != nil || s.Incarnation != 1 {
		w.Errorf("the old side, of which nobody has seen both, is %+v, %v", s, err)
	}
}

// runnerComesToPromoted brings what the old primary granted since.
func (w *primaries) runnerComesToPromoted() {
	w.Helper()
	w.a.Runners.Cut()
	w.free(w.b, 2)
	w.must(os.WriteFile(w.over, nil, 0o600))
	for _, job := range []string{"queued", "old", "theirs", "across"} {
		w.succeeds(w.b, job)
	}
}

// runnersComeToOld brings what the promoted one granted since, while the old one still
// shows it as open.
func (w *primaries) runnersComeToOld() {
	w.Helper()
	_, err := w.b.Enrol(w.ctx, binaries.Runner, w.dir, "spare", "p")
	w.must(err)
	w.second.Process.Kill()
	w.runnersAt(w.a)
	w.b.Runners.Cut()
	w.held(w.a, "restore", 3)
	w.awaiting(w.a, "second")
	w.waits(w.a, "theirs")
	w.run(w.a, "late")
	w.waits(w.a, "late")
	w.says(w.a, "(restore)", "A runner has an authentic mark that the database does not know.", "have not shown what they have: second")
	w.begin(w.second, w.a)
	w.free(w.a, 3)
	for _, job := range []string{"theirs", "across", "new", "late"} {
		w.succeeds(w.a, job)
	}
}

// oldIsPutAway goes on with the promoted one alone, by the steps of docs/recovery.md.
func (w *primaries) oldIsPutAway() {
	w.Helper()
	lone, err := w.a.Run(w.ctx, "p", "lone", nil)
	w.must(err)
	if out := w.cli(w.a, "executions", "list", "-p", "p", "--status", "queued"); !strings.Contains(out, fmt.Sprint(lone.Number)) || !strings.Contains(out, "lone") {
		w.Errorf("the old side does not list what goes away with it:\n%s", out)
	}
	w.first.Process.Kill()
	w.second.Process.Kill()
	w.a.Database.SetTarget(w.promoted.Addr())
	w.a.Database.Cut()
	w.pg.StopImmediate()
	for _, m := range w.cluster.Members {
		if s := w.held(m, "restore", 4); !strings.Contains(s.Recovery.Reason, "incarnation") {
			w.Errorf("member %s gives as the reason: %s", m.Name, s.Recovery.Reason)
		}
	}
	w.runnersAt(w.cluster.Members...)
	w.begin(w.first, w.a)
	w.begin(w.second, w.b)
	w.awaiting(w.a, "spare") // it never had a session, and nobody but a person can know
	w.run(w.a, "after")
	w.waits(w.b, "after")
	w.says(w.a, "have not shown what they have: spare")
	w.cli(w.b, "cluster", "release", "--yes")
	w.free(w.a, 4)
	w.free(w.b, 4)
	for _, m := range w.cluster.Members {
		for job := range w.ids {
			w.succeeds(m, job)
		}
	}
	if e, err := w.a.Execution(w.ctx, lone.ID); err == nil {
		w.Errorf("what no runner had is there, as %+v; the documentation says that it is not", e)
	}
	runners, err := w.hub.Runners(w.ctx)
	if err != nil || len(runners) != 3 || slices.ContainsFunc(runners, func(r lab.RunnerInfo) bool { return r.Quarantined != "" }) {
		w.Errorf("runners are %+v, %v", runners, err)
	}
}

// runnersAt lets runners reach these members alone. Connections that are open stay.
func (w *primaries) runnersAt(members ...*lab.Member) {
	for _, m := range w.cluster.Members {
		if slices.Contains(members, m) {
			m.Runners.SetTarget(m.Gateway)
		} else {
			m.Runners.SetTarget(w.nowhere)
		}
	}
}

// begin starts a runner and waits until a member shows it as connected. It has the
// addresses of both sides: each tells it of its own members alone, after a while.
func (w *primaries) begin(r *lab.Runner, seenBy *lab.Member) {
	w.Helper()
	r.Via(seenBy.Hub)
	r.SetEnv("FAIRLEAD_RUNNER_GATEWAYS=" + w.a.Advertised() + "," + w.b.Advertised())
	w.must(r.Start(w.ctx))
	p := r.Process
	w.Cleanup(func() {
		if w.Failed() {
			w.Logf("runner %s:\n%s", r.Name, p.Tail())
		}
		p.Kill()
	})
}

func (w *primaries) run(at *lab.Member, job string) {
	w.Helper()
	e, err := at.Run(w.ctx, "p", job, nil)
	w.must(err)
	w.ids[job], w.numbers[job] = e.ID, e.Number
}

// succeeds waits until a member shows that a job succeeded, and checks that it ran once on
// each node, under the number that was told, and that its log is whole.
func (w *primaries) succeeds(at *lab.Member, job string) {
	w.Helper()
	w.speak(at)
	// Until a runner has shown it, the other side does not have it.
	var e lab.Execution
	w.await("member "+at.Name+" has "+job, 60*time.Second, func() (ok bool) {
		var err error
		e, err = at.Execution(w.ctx, w.ids[job])
		return err == nil
	})
	e = w.end(w.ids[job], "succeeded", 60*time.Second)
	if e.Number != w.numbers[job] || !e.LogComplete {
		w.Errorf("member %s shows %s as %+v; its number was %d", at.Name, job, e, w.numbers[job])
	}
	w.ranOnce(job, w.ids[job])
}

// waits checks that a member shows a job as held, and why.
func (w *primaries) waits(at *lab.Member, job string) {
	w.Helper()
	e, err := at.Execution(w.ctx, w.ids[job])
	w.must(err)
	if e.Status != "held" || e.WaitingFor == nil || e.WaitingFor.Kind != "recovery" {
		w.Errorf("member %s shows %s as %+v, waiting for %+v", at.Name, job, e, e.WaitingFor)
	}
}

func (w *primaries) state(of *lab.Member) (s clusterState, err error) {
	return s, of.Do(w.ctx, "GET", "/cluster", nil, &s)
}

// held waits until a member's database is held.
func (w *primaries) held(at *lab.Member, kind string, incarnation int64) (s clusterState) {
	w.Helper()
	w.await(fmt.Sprintf("member %s is held (%s, incarnation %d)", at.Name, kind, incarnation), 30*time.Second, func() bool {
		var err error
		s, err = w.state(at)
		return err == nil && s.Recovery != nil
	})
	if s.Recovery.Kind != kind || s.Incarnation != incarnation {
		w.Fatalf("member %s is held in incarnation %d as %+v; want %s, %d", at.Name, s.Incarnation, s.Recovery, kind, incarnation)
	}
	return s
}

// free waits until a member's database is no longer held.
func (w *primaries) free(at *lab.Member, incarnation int64) {
	w.Helper()
	var s clusterState
	w.await(fmt.Sprintf("member %s is free", at.Name), 60*time.Second, func() bool {
		var err error
		s, err = w.state(at)
		return err == nil && s.Recovery == nil
	})
	if s.Incarnation != incarnation {
		w.Errorf("member %s is in incarnation %d, want %d", at.Name, s.Incarnation, incarnation)
	}
}

// awaiting waits until this runner alone has not shown its disk at a member.
func (w *primaries) awaiting(at *lab.Member, runner string) {
	w.Helper()
	w.await(fmt.Sprintf("member %s awaits %s alone", at.Name, runner), 60*time.Second, func() bool {
		s, err := w.state(at)
		return err == nil && s.Recovery != nil && len(s.Recovery.Awaited) == 1 && s.Recovery.Awaited[0].Name == runner
	})
}

// says checks what `fairlead cluster status` shows at a member.
func (w *primaries) says(at *lab.Member, parts ...string) {
	w.Helper()
	out := w.cli(at, "cluster", "status")
	for _, p := range parts {
		if !strings.Contains(out, p) {
			w.Errorf("fairlead cluster status at %s does not say %q:\n%s", at.Name, p, out)
		}
	}
}

func (w *primaries) cli(at *lab.Member, args ...string) string {
	w.Helper()
	cmd := exec.CommandContext(w.ctx, binaries.CLI, args...)
	cmd.Env = lab.Environ("FAIRLEAD_URL="+at.URL, "FAIRLEAD_TOKEN="+at.Token)
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.Fatalf("fairlead %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
