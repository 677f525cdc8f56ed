package faults

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
	"github.com/fairlead/fairlead/runner/disk"
)

// ownBinary has the runner started from a copy of the program, which a test can replace.
func (w *world) ownBinary() (path string) {
	w.Helper()
	path = filepath.Join(w.dir, "fairlead-runner")
	w.must(exec.CommandContext(w.ctx, "cp", binaries.Runner, path).Run())
	w.runner.SetBinary(path)
	return path
}

// serving returns the process that has the runner's data directory; 0 when none has, or
// has not written its number yet.
func (w *world) serving() int {
	w.Helper()
	pid, err := disk.Holder(w.runner.DataDir, "runner.lock")
	w.must(err)
	if pid == 1 {
		return 0
	}
	return pid
}

// signal sends sig to the process that serves, and returns it.
func (w *world) signal(sig syscall.Signal) (pid int) {
	w.Helper()
	w.await("a process serves", 30*time.Second, func() bool {
		pid = w.serving()
		return pid != 0
	})
	w.must(syscall.Kill(pid, sig))
	return pid
}

// endServing ends the process that serves with the test.
func (w *world) endServing() {
	w.Cleanup(func() {
		if pid := w.serving(); pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
}

// reload has the process that serves replaced, and returns the new one, which is ended
// with the test.
func (w *world) reload() int {
	w.Helper()
	before, after := w.signal(syscall.SIGHUP), 0
	w.await("another process serves", 30*time.Second, func() bool {
		after = w.serving()
		return after != 0 && after != before
	})
	w.endServing()
	return after
}

// handedOver lists the commands that lie in the data directory as handed over.
func (w *world) handedOver() []string {
	dirs, err := filepath.Glob(filepath.Join(w.runner.DataDir, "handover", "*"))
	w.must(err)
	return dirs
}

// A reload cuts nothing: commands over SSH go on to their own end, what has not started
// goes on under the new process, and nothing starts twice or loses a byte. Neither does a
// second reload while the first process still has some of them.
func TestReloadCutsNothing(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{nodes: 24, idle: true})
	w.ownBinary()
	w.startRunner()
	old := w.runner.Process
	w.job(20, true, "node-first", w.witnessStep(200, "0.05"), "echo second on ${node.name} | tee -a "+w.dir+"/${node.name}.copy")
	id := w.run()
	w.await("20 nodes print", 60*time.Second, func() bool {
		return !slices.ContainsFunc(w.nodes[:20], func(n string) bool { return len(w.lines(n+".copy")) <= 10 })
	})
	second := w.reload()
	if n := len(w.handedOver()); n != 20 {
		t.Errorf("%d commands were handed over, want 20", n)
	}
	w.await("the new process's own node prints", 60*time.Second, func() bool { return len(w.lines("node021.copy")) > 10 })
	third := w.reload()
	if second == third {
		t.Error("the second reload changed nothing")
	}
	w.end(id, "succeeded", 120*time.Second)
	w.startedOnce()
	w.logEqualsCopies(id)
	w.await("the first process ends by itself", 20*time.Second, func() bool { return ended(old) })
	w.await("the second process ends by itself", 20*time.Second, func() bool { return !alive(strconv.Itoa(second)) })
	w.await("nothing is left in the data directory", 20*time.Second, func() bool { return len(w.handedOver()) == 0 })
}

func ended(p *lab.Process) bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}

// Work that is offered, granted, prepared, begun or just ending while the process is
// replaced is done once, whatever of this it was.
func TestReloadUnderManyJobs(t *testing.T) {
	t.Parallel()
	for name, local := range map[string]bool{"local": true, "ssh": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := newWorld(t, setup{local: local})
			w.job(1, true, "node-first", w.witnessStep(3, "0.02"))
			const runs = 60
			var ids []string
			for i := range runs {
				ids = append(ids, w.run())
				if i == runs/3 || i == 2*runs/3 {
					w.signal(syscall.SIGHUP)
				}
			}
			w.endServing()
			for _, id := range ids {
				w.end(id, "succeeded", 90*time.Second)
			}
			if n := w.starts("node001"); n != runs {
				t.Errorf("%d commands were started, want %d", n, runs)
			}
		})
	}
}

// What a command prints behind the hand-over is masked before any disk has it, and its
// lines go on where they were cut.
func TestReloadMasks(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{})
	wait := func(file string) string { return "while [ ! -e " + w.dir + "/" + file + " ]; do sleep 0.05; done; " }
	step := "printf 'begin '; touch " + w.dir + "/begun; " + wait("go") + "echo ${option.pw}; echo end; " + wait("over")
	w.must(w.hub.ImportJobs(w.ctx, "p", "- name: j\n  nodefilters: {filter: 'name: node001'}\n  options:\n    - {name: pw, secure: true, valueExposed: true}\n  sequence:\n    commands:\n    - exec: "+strconv.Quote(step)+"\n"))
	e, err := w.hub.Run(w.ctx, "p", "j", map[string]string{"pw": "hunter2secret"})
	w.must(err)
	w.await("half of a line is printed", 30*time.Second, func() bool { return len(w.lines("begun")) > 0 })
	w.reload()
	w.must(os.WriteFile(filepath.Join(w.dir, "go"), nil, 0o600))
	var text []byte
	w.await("the secret is in the hand-over, masked", 20*time.Second, func() bool {
		text, _ = exec.CommandContext(w.ctx, "sh", "-c", "cat "+w.runner.DataDir+"/handover/*/out.*").Output()
		return bytes.Contains(text, []byte("*****"))
	})
	if bytes.Contains(text, []byte("hunter")) {
		t.Errorf("the secret is on the disk: %q", text)
	}
	w.must(os.WriteFile(filepath.Join(w.dir, "over"), nil, 0o600))
	w.end(e.ID, "succeeded", 60*time.Second)
	log, err := w.hub.Log(w.ctx, e.ID, "format=text&node=node001")
	w.must(err)
	if log != "begin *****\nend\n" {
		t.Errorf("log %q", log)
	}
}

// The new process can end what the old one has: on a cancel, and at the end of the job's
// time. The step's own time the old one keeps.
func TestReloadThenEnd(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, job, step, status string
	}{
		{"cancel", "", "", "cancelled"},
		{"job timeout", "  timeout: 12s\n", "", "timed_out"},
		{"step timeout", "", "      timeout: 12s\n", "timed_out"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, _ := newWorld(t, setup{})
			w.must(w.hub.ImportJobs(w.ctx, "p", jobYAML("j", 1, true, "node-first", w.witnessStep(2000, "0.05"))+tt.step+tt.job))
			id := w.run()
			w.await("the command prints", 20*time.Second, func() bool { return len(w.lines("node001.copy")) > 5 })
			pid := w.lines("node001.starts")[0]
			w.reload()
			if len(w.handedOver()) != 1 {
				t.Errorf("handed over: %v", w.handedOver())
			}
			if tt.name == "cancel" {
				w.must(w.hub.Cancel(w.ctx, id))
			}
			w.end(id, tt.status, 60*time.Second)
			w.startedOnce()
			if alive(pid) {
				t.Error("the command outlived its end")
			}
		})
	}
}

// The old process is killed while it has a command: nobody knows the end, and nothing is
// begun again. What was printed until then is in the log.
func TestOldProcessKilledAfterReload(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{})
	w.job(1, true, "node-first", w.witnessStep(200, "0.05"))
	id := w.run()
	w.await("the command prints", 20*time.Second, func() bool { return len(w.lines("node001.copy")) > 5 })
	w.reload()
	printed := len(w.lines("node001.copy"))
	logged := func() int {
		log, err := w.hub.Log(w.ctx, id, "format=text&node=node001")
		w.must(err)
		return strings.Count(log, "\n")
	}
	// What the node printed is the old process's to lose until that has read it.
	w.await("the log goes on through the new process", 20*time.Second, func() bool { return logged() > printed+5 })
	before := logged()
	w.runner.Process.Kill()
	w.end(id, "unknown", 60*time.Second)
	w.startedOnce()
	if n := logged(); n < before {
		t.Errorf("the log has %d lines, it had %d before", n, before)
	}
}

// An old process that is told to end gives what it has a while, as any runner does.
func TestOldProcessToldToEnd(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ timeout, status string }{"in time": {"60s", "succeeded"}, "too late": {"100ms", "unknown"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := newWorld(t, setup{runnerEnv: []string{"FAIRLEAD_RUNNER_DRAIN_TIMEOUT=" + tt.timeout}})
			w.job(1, true, "node-first", w.witnessStep(100, "0.05"))
			id := w.run()
			w.await("the command prints", 20*time.Second, func() bool { return len(w.lines("node001.copy")) > 5 })
			w.reload()
			w.runner.Process.Signal(syscall.SIGTERM)
			w.end(id, tt.status, 60*time.Second)
			w.startedOnce()
			w.await("the old process ends", 20*time.Second, func() bool { return ended(w.runner.Process) })
		})
	}
}

// The new process is killed, too: the one that comes after it finds the command with the
// old one.
func TestNewProcessKilledAfterReload(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{})
	w.job(1, true, "node-first", w.witnessStep(150, "0.05"))
	id := w.run()
	w.await("the command prints", 20*time.Second, func() bool { return len(w.lines("node001.copy")) > 5 })
	second := w.reload()
	printed := len(w.lines("node001.copy"))
	w.await("it prints on", 20*time.Second, func() bool { return len(w.lines("node001.copy")) > printed+5 })
	w.must(syscall.Kill(second, syscall.SIGKILL))
	w.await("nobody serves", 10*time.Second, func() bool { return w.serving() == 0 })
	w.startRunner()
	w.end(id, "succeeded", 60*time.Second)
	w.startedOnce()
	w.logEqualsCopies(id)
}

// A program that does not come up is not let in: the process that serves goes on, and
// says what is wrong.
func TestReloadIsRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no program":        "this is no program",
		"ends at once":      "#!/bin/sh\necho broken for a reason >&2\nexit 3\n",
		"of an old version": "#!/bin/sh\nexec 3>&-\nexec " + binaries.Runner + " \"$@\"\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := newWorld(t, setup{nodes: 2, idle: true})
			binary := w.ownBinary()
			w.startRunner()
			w.job(1, true, "node-first", w.witnessStep(60, "0.05"))
			id := w.run()
			w.await("the command prints", 20*time.Second, func() bool { return len(w.lines("node001.copy")) > 5 })
			w.must(os.Remove(binary))
			w.must(os.WriteFile(binary, []byte(text), 0o700))
			before := w.signal(syscall.SIGHUP)
			w.await("the refusal is told", 40*time.Second, func() bool { return strings.Contains(w.runner.Process.Tail(), "the reload is refused") })
			w.end(id, "succeeded", 60*time.Second)
			if after := w.serving(); after != before {
				t.Errorf("process %d serves, before it was %d", after, before)
			}
			w.startedOnce()
			w.logEqualsCopies(id)
		})
	}
}

// The configuration is wrong: the new process says so, and is not let in.
func TestReloadWithAWrongConfiguration(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{idle: true})
	config := filepath.Join(w.dir, "runner.yaml")
	w.must(os.WriteFile(config, []byte("slots: 7\n"), 0o600))
	w.runner.SetArgs("--config", config)
	w.startRunner()
	w.must(os.WriteFile(config, []byte("slotz: 8\n"), 0o600))
	w.signal(syscall.SIGHUP)
	w.await("the refusal is told", 40*time.Second, func() bool {
		tail := w.runner.Process.Tail()
		return strings.Contains(tail, "the reload is refused") && strings.Contains(tail, "did you mean slots?")
	})
	w.must(os.WriteFile(config, []byte("slots: 8\n"), 0o600))
	w.reload()
	w.await("the new configuration holds", 20*time.Second, func() bool {
		text, err := os.ReadFile(filepath.Join(w.runner.DataDir, "status.json"))
		return err == nil && strings.Contains(string(text), `"slots":8`)
	})
}

// systemd is told which process is the service, and when a reload begins and is over.
func TestReloadTellsTheServiceManager(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	said := func() string {
		t.Helper()
		buf := make([]byte, 4096)
		_ = manager.SetReadDeadline(time.Now().Add(30 * time.Second))
		n, err := manager.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
	w, _ := newWorld(t, setup{local: true, runnerEnv: []string{"NOTIFY_SOCKET=" + filepath.Join(dir, "notify")}})
	old := w.serving()
	if got, want := said(), fmt.Sprintf("READY=1\nMAINPID=%d\nSTATUS=serving", old); got != want {
		t.Errorf("at the start %q, want %q", got, want)
	}
	w.job(1, true, "node-first", "echo ${NOTIFY_SOCKET-none}")
	id := w.run()
	w.end(id, "succeeded", 30*time.Second)
	if log, err := w.hub.Log(w.ctx, id, "format=text&node=node001"); err != nil || log != "none\n" {
		t.Errorf("a command can speak for the service: %q, %v", log, err)
	}
	next := w.reload()
	if got := said(); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
		t.Errorf("then %q", got)
	}
	if got, want := said(), fmt.Sprintf("READY=1\nMAINPID=%d\nSTATUS=serving", next); got != want {
		t.Errorf("then %q, want %q", got, want)
	}
	w.must(syscall.Kill(next, syscall.SIGTERM))
	if got := said(); got != "STOPPING=1" {
		t.Errorf("at the end %q", got)
	}
}

// A new process that dies behind the hand-over is followed by another one, loudly.
func TestReloadTriesAgain(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{idle: true})
	binary := w.ownBinary()
	w.startRunner()
	w.job(1, true, "node-first", w.witnessStep(200, "0.05"))
	id := w.run()
	w.await("the command prints", 20*time.Second, func() bool { return len(w.lines("node001.copy")) > 5 })
	// It says that it is ready, ends when the data directory is free, and does so once.
	text := fmt.Sprintf("#!/bin/sh\n[ -e %[1]s/once ] && exec %[2]s \"$@\"\n: >%[1]s/once\necho ready >&3\nread -r go <&3\nexit 7\n", w.dir, binaries.Runner)
	w.must(os.Remove(binary))
	w.must(os.WriteFile(binary, []byte(text), 0o700))
	w.reload()
	if tail := w.runner.Process.Tail(); !strings.Contains(tail, "nobody serves here") || !strings.Contains(tail, "exit status 7") {
		t.Errorf("not told:\n%s", tail)
	}
	w.end(id, "succeeded", 60*time.Second)
	w.startedOnce()
	w.logEqualsCopies(id)
}
