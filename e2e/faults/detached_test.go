package faults

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// detachedJob is a job "j" of one detached step over all nodes.
func (w *world) detachedJob(threads int, step string) {
	w.Helper()
	w.must(w.hub.ImportJobs(w.ctx, "p", jobYAML("j", threads, true, "node-first", step)+"      detached: true\n"))
}

// stepDir is the directory, in the home that all nodes share, of the detached step to
// which a process belongs.
func (w *world) stepDir(pid string) string {
	w.Helper()
	env, err := os.ReadFile("/proc/" + pid + "/environ")
	w.must(err)
	for pair := range strings.SplitSeq(string(env), "\x00") {
		if name, found := strings.CutPrefix(pair, "FAIRLEAD_STEP="); found {
			return filepath.Join(sshd.Dir, ".fairlead/steps", name)
		}
	}
	w.Fatalf("process %s belongs to no step: %q", pid, env)
	return ""
}

// A detached step survives its runner: same process, one start, whole output, real end;
// and nothing of it stays on the node.
func TestRunnerKilledDuringDetachedStep(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{nodes: 3})
	w.detachedJob(2, w.witnessStep(100, "0.05"))
	id := w.run()
	w.await("two nodes print", 30*time.Second, func() bool {
		return len(w.lines("node001.copy")) > 10 && len(w.lines("node002.copy")) > 10
	})
	pid := w.lines("node001.starts")[0]
	dir := w.stepDir(pid)
	if _, err := os.Readlink(filepath.Join(dir, "claim")); err != nil {
		t.Error(err)
	}
	w.runner.Process.Kill()
	pause(t, time.Second)
	if !alive(pid) {
		t.Fatal("the command died with its runner")
	}
	w.startRunner()
	w.end(id, "succeeded", 60*time.Second)
	w.startedOnce()
	if ends := w.lines("node001.ends"); len(ends) != 1 || ends[0] != pid {
		t.Errorf("ended as %v, started as %s: not the same process", ends, pid)
	}
	w.logEqualsCopies(id)
	w.await("nothing is left on the node", 30*time.Second, func() bool {
		_, err := os.Stat(dir)
		return os.IsNotExist(err)
	})
}

// The runner is dead while the detached step ends: its exit status is found.
func TestDetachedStepEndsWithoutRunner(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{})
	w.detachedJob(1, w.witnessStep(40, "0.05")+"; exit 7")
	id := w.run()
	w.await("the command prints", 30*time.Second, func() bool { return len(w.lines("node001.copy")) > 3 })
	w.runner.Process.Kill()
	w.await("the command ends", 30*time.Second, func() bool { return len(w.lines("node001.ends")) == 1 })
	w.startRunner()
	w.end(id, "failed", 60*time.Second)
	if got := w.step(id, "node001", 1); !strings.Contains(got.Message, "exit status 7") {
		t.Errorf("the step is %+v, want exit status 7", got)
	}
	w.startedOnce()
	w.logEqualsCopies(id)
}

// Wherever on the way to a detached start the runner dies, the node can tell whether
// there was one.
func TestRunnerKilledAroundDetachedStart(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"runner.started.synced", "runner.started.before-start", "ssh.detached.started", "runner.ended.synced"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			w, _ := newWorld(t, setup{runnerEnv: []string{"FAIRLEAD_FAILPOINT=" + point}})
			w.detachedJob(1, w.witnessStep(3, "0.02"))
			id := w.run()
			select {
			case <-w.runner.Process.Done():
			case <-time.After(30 * time.Second):
				t.Fatalf("the runner did not reach %s", point)
			}
			w.startRunner()
			w.end(id, "succeeded", 60*time.Second)
			w.startedOnce()
			w.logEqualsCopies(id)
		})
	}
}

// A cancel reaches a detached step that the runner has found again.
func TestCancelDetachedStepAfterRestart(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{})
	w.detachedJob(1, "echo $$ > "+w.dir+"/pid; sleep 1000; sleep 1000")
	id := w.run()
	pid := w.pid()
	w.runner.Process.Kill()
	w.must(w.hub.Cancel(w.ctx, id))
	w.startRunner()
	w.end(id, "cancelled", 60*time.Second)
	w.untilGone(pid)
}
