package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/runner/disk"
	"github.com/fairlead/fairlead/runner/spool"
)

// The runner dies at each point on the way to a start. Before the start is recorded
// nothing is lost; after it only a shim can prove that nothing started.
func TestRunnerKilledBeforeStart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		point  string
		local  bool
		status string
		starts int
	}{
		{"runner.offer.journalled", true, "succeeded", 1},
		{"runner.claim.before-send", true, "succeeded", 1},
		{"runner.claim.after-send", true, "succeeded", 1},
		{"runner.claim.after-send", false, "succeeded", 1},
		{"runner.grant.received", true, "succeeded", 1},
		{"runner.grant.received", false, "succeeded", 1},
		{"runner.started.synced", true, "succeeded", 1},
		{"runner.started.synced", false, "unknown", 0},
		{"runner.started.before-start", true, "succeeded", 1},
		{"runner.ended.synced", true, "succeeded", 1},
		{"runner.ended.synced", false, "succeeded", 1},
		{"runner.result.sent", false, "succeeded", 1},
		{"runner.chunk.sent", true, "succeeded", 1},
	} {
		name := tt.point + map[bool]string{true: "/local", false: "/ssh"}[tt.local]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := newWorld(t, setup{local: tt.local, runnerEnv: []string{"FAIRLEAD_FAILPOINT=" + tt.point}})
			w.job(1, true, "node-first", w.witnessStep(3, "0.02"))
			id := w.run()
			select {
			case <-w.runner.Process.Done():
			case <-time.After(30 * time.Second):
				t.Fatalf("the runner did not reach %s", tt.point)
			}
			w.startRunner()
			w.end(id, tt.status, 60*time.Second)
			if got := w.starts("node001"); got != tt.starts {
				t.Errorf("started %d times, want %d", got, tt.starts)
			}
			if tt.starts == 1 {
				w.logEqualsCopies(id)
			}
		})
	}
}

// A local step survives its runner: same process, whole output.
func TestRunnerKilledDuringLocalStep(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{local: true})
	w.job(1, true, "node-first", w.witnessStep(100, "0.05"))
	id := w.run()
	w.await("the command prints", 20*time.Second, func() bool { return len(w.lines("node001.copy")) > 10 })
	pid := w.lines("node001.starts")[0]
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
}

// TestMutantM12 breaks "started is written before the start" where there is a shim: its
// lock keeps the step from a second start all the same, but what the hub is told is wrong,
// as the test above notices.
func TestMutantM12(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{local: true, runnerEnv: []string{"FAIRLEAD_MUTANT=M12"}})
	w.job(1, true, "node-first", w.witnessStep(100, "0.05"))
	id := w.run()
	w.await("the command prints", 20*time.Second, func() bool { return len(w.lines("node001.copy")) > 10 })
	w.runner.Process.Kill()
	w.startRunner()
	w.end(id, "failed", 60*time.Second)
	w.await("the command ends", 20*time.Second, func() bool { return len(w.lines("node001.ends")) > 0 })
	w.startedOnce()
}

// Attached SSH steps die with their runner: what was in mid-step is unknown, what had
// ended keeps its end, and what had not started goes on under the same grant, or is left
// alone where the job says so. Either way nobody is offered anything a second time.
func TestRunnerKilledDuringSSHStep(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		keepgoing bool
		rest      string
		starts    int
	}{
		{"keepgoing", true, "succeeded", 1},
		{"stop", false, "skipped", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, _ := newWorld(t, setup{nodes: 6})
			// Nodes 1 and 2 are quick, 3 and 4 wait for a file, 5 and 6 have not begun.
			step := w.witnessStep(3, "0") + " && case ${node.name} in node003|node004) while [ ! -e " + w.dir + "/go ]; do sleep 0.1; done;; esac"
			w.job(2, tt.keepgoing, "node-first", step)
			id := w.run()
			w.await("nodes 3 and 4 are in mid-step", 20*time.Second, func() bool {
				return len(w.lines("node003.ends")) == 1 && len(w.lines("node004.ends")) == 1
			})
			before := w.journal()
			w.runner.Process.Kill()
			w.must(os.WriteFile(filepath.Join(w.dir, "go"), nil, 0o600))
			w.startRunner()
			w.end(id, "unknown", 60*time.Second)
			w.statuses(id, map[string]string{
				"node001": "succeeded", "node002": "succeeded", "node003": "unknown",
				"node004": "unknown", "node005": tt.rest, "node006": tt.rest,
			})
			for i, node := range w.nodes {
				want := 1
				if i >= 4 {
					want = tt.starts
				}
				if got := w.starts(node); got != want {
					t.Errorf("%s was started %d times, want %d", node, got, want)
				}
			}
			w.runner.Process.Kill()
			if after := w.journal(); len(before) != 1 || !slices.Equal(before, after) {
				t.Errorf("the runner's journal knows attempts %q, before it died %q; want one, the same", after, before)
			}
		})
	}
}

// statuses checks how each node's first step ended.
func (w *world) statuses(id string, want map[string]string) {
	w.Helper()
	for node, status := range want {
		if got := w.step(id, node, 1).Status; got != status {
			w.Errorf("%s is %s, want %s", node, got, status)
		}
	}
}

// journal tells the attempts that the runner was ever offered, as "id, epoch", from a
// copy of what is on its disk: reading cuts torn tails, which a live runner has.
func (w *world) journal() []string {
	w.Helper()
	dir := tempDir(w.T)
	for _, part := range []string{"journal", "spool"} {
		w.must(os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join(w.runner.DataDir, part))))
	}
	fs, err := disk.Open(dir)
	w.must(err)
	defer func() { _ = fs.Close() }()
	store, err := spool.Open(fs, spool.Config{})
	w.must(err)
	settled, err := store.Kept()
	w.must(err)
	var out []string
	add := func(f *runnerv1.Fence) { out = append(out, fmt.Sprintf("%s, %d", f.GetAttemptId(), f.GetEpoch())) }
	for _, h := range settled {
		add(h.GetFence())
	}
	for _, a := range store.Attempts() {
		add(a.Fence())
	}
	slices.Sort(out)
	return out
}

// A shim that dies proves nothing: its node is unknown, and nothing of it is left.
func TestShimKilled(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{local: true})
	w.job(1, true, "node-first", w.witnessStep(600, "0.05"))
	id := w.run()
	w.await("the command prints", 20*time.Second, func() bool { return len(w.lines("node001.copy")) > 3 })
	pid := w.lines("node001.starts")[0]
	shim := shimOf(t, pid)
	w.must(syscall.Kill(shim, syscall.SIGKILL))
	w.end(id, "unknown", 60*time.Second)
	w.startedOnce()
	if alive(pid) {
		t.Errorf("the command (pid %s) outlived its unknown end", pid)
	}
	if s := w.step(id, "node001", 1); s.Message == "" {
		t.Error("an unknown end without a word why")
	}
}

// shimOf finds the shim above a command.
func shimOf(t *testing.T, pid string) int {
	t.Helper()
	for range 10 {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.Fields(string(stat)[strings.LastIndexByte(string(stat), ')')+1:])
		pid = fields[1]
		cmdline, err := os.ReadFile("/proc/" + pid + "/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(cmdline), "exec-shim") {
			n, err := strconv.Atoi(pid)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("no shim above the command")
	return 0
}

func alive(pid string) bool {
	n, err := strconv.Atoi(pid)
	if err != nil || syscall.Kill(n, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// The host reboots: what was in mid-step is unknown, what had not started goes on.
func TestHostReboots(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{nodes: 3, local: true, runnerEnv: []string{"FAIRLEAD_TEST_HOST=one", "FAIRLEAD_TEST_BOOT=one"}})
	step := "echo $$ > " + w.dir + "/${node.name}.shell; bash " + w.dir + "/witness " + w.dir + " ${node.name} 3 0 && case ${node.name} in node002) sleep 300;; esac"
	w.job(1, true, "node-first", step)
	id := w.run()
	w.await("node 2 is in mid-step", 20*time.Second, func() bool { return len(w.lines("node002.ends")) == 1 })
	pid := w.lines("node002.shell")[0]
	shim := shimOf(t, pid)
	w.runner.Process.Kill()
	_ = syscall.Kill(shim, syscall.SIGKILL)
	w.killGroup(pid)
	w.runner.SetEnv("FAIRLEAD_TEST_HOST=one", "FAIRLEAD_TEST_BOOT=two")
	w.startRunner()
	w.end(id, "unknown", 60*time.Second)
	w.startedOnce()
	for node, want := range map[string]string{"node001": "succeeded", "node002": "unknown", "node003": "succeeded"} {
		if got := w.step(id, node, 1).Status; got != want {
			t.Errorf("%s is %s, want %s", node, got, want)
		}
	}
}

// The same disk on another host: nothing goes on by itself.
func TestDiskOnAnotherHost(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{nodes: 3, local: true, runnerEnv: []string{"FAIRLEAD_TEST_HOST=one", "FAIRLEAD_TEST_BOOT=one"}})
	step := "echo $$ > " + w.dir + "/${node.name}.shell; bash " + w.dir + "/witness " + w.dir + " ${node.name} 3 0 && case ${node.name} in node002) sleep 300;; esac"
	w.job(1, true, "node-first", step)
	id := w.run()
	w.await("node 2 is in mid-step", 20*time.Second, func() bool { return len(w.lines("node002.ends")) == 1 })
	pid := w.lines("node002.shell")[0]
	shim := shimOf(t, pid)
	w.runner.Process.Kill()
	_ = syscall.Kill(shim, syscall.SIGKILL)
	w.killGroup(pid)
	w.runner.SetEnv("FAIRLEAD_TEST_HOST=two", "FAIRLEAD_TEST_BOOT=two")
	w.startRunner()
	w.end(id, "unknown", 60*time.Second)
	if got := w.starts("node003"); got != 0 {
		t.Errorf("node003 was started %d times on another host's word", got)
	}
}

// killGroup ends a command as a reboot would.
func (w *world) killGroup(pid string) {
	w.Helper()
	_ = exec.CommandContext(w.ctx, "pkill", "-9", "-f", w.dir+"/witness").Run()
	n, err := strconv.Atoi(pid)
	w.must(err)
	if group, err := syscall.Getpgid(n); err == nil {
		_ = syscall.Kill(-group, syscall.SIGKILL)
	}
}

// The runner dies between a script's copy and its start: the next one removes it from
// the node, and what it copies anew.
func TestRunnerKilledBehindACopy(t *testing.T) {
	t.Parallel()
	for point, status := range map[string]string{"runner.started.before-start": "unknown", "runner.prepared": "succeeded"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			place := tempDir(t)
			w, _ := newWorld(t, setup{runnerEnv: []string{"FAIRLEAD_FAILPOINT=" + point}, attributes: []string{"file-copy-destination-dir: " + place}})
			w.must(w.hub.ImportJobs(w.ctx, "p", "- name: j\n  nodefilters: {filter: 'name: node001'}\n  sequence:\n    commands:\n    - script: echo ran\n"))
			id := w.run()
			select {
			case <-w.runner.Process.Done():
			case <-time.After(30 * time.Second):
				t.Fatalf("the runner did not reach %s", point)
			}
			if left, _ := os.ReadDir(place); len(left) != 1 {
				t.Fatalf("on the node: %v", left)
			}
			w.startRunner()
			w.end(id, status, 60*time.Second)
			w.await("the script is gone", 30*time.Second, func() bool {
				left, err := os.ReadDir(place)
				return err == nil && len(left) == 0
			})
		})
	}
}
