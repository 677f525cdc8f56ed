package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// timedJob is a job "j" of one step that would run for ever, with a limit of its own
// or of its step.
func (w *world) timedJob(job, step string) {
	w.Helper()
	limit := func(indent, value string) string {
		if value == "" {
			return ""
		}
		return indent + "timeout: " + value + "\n"
	}
	w.must(w.hub.ImportJobs(w.ctx, "p", "- name: j\n"+limit("  ", job)+"  nodefilters: {filter: 'name: node001'}\n  sequence:\n    commands:\n"+
		fmt.Sprintf("    - exec: %q\n", "echo $$ > "+w.dir+"/pid; sleep 1000; sleep 1000")+limit("      ", step)))
}

// pid of the step's shell, once it runs.
func (w *world) pid() int {
	w.Helper()
	pid := 0
	w.await("the step runs", 30*time.Second, func() bool {
		text, _ := os.ReadFile(filepath.Join(w.dir, "pid"))
		pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return pid > 0
	})
	return pid
}

func (w *world) untilGone(pid int) {
	w.Helper()
	w.await("the step's shell is gone", 30*time.Second, func() bool { return syscall.Kill(pid, 0) != nil })
}

// The time of a job and of a step ends what runs, and what ran over its time is told
// so.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	for name, local := range map[string]bool{"local": true, "ssh": false} {
		for of, limits := range map[string][2]string{"job": {"2s", ""}, "step": {"", "2s"}} {
			t.Run(of+", "+name, func(t *testing.T) {
				t.Parallel()
				w, _ := newWorld(t, setup{local: local})
				w.timedJob(limits[0], limits[1])
				id := w.run()
				pid := w.pid()
				w.end(id, "timed_out", 30*time.Second)
				w.untilGone(pid)
			})
		}
	}
}

// The runner is restarted, and no hub is there: time goes on all the same.
func TestTimeoutsOverARestart(t *testing.T) {
	t.Parallel()
	for of, limits := range map[string][2]string{"job": {"6s", ""}, "step": {"", "6s"}} {
		t.Run(of, func(t *testing.T) {
			t.Parallel()
			w, _ := newWorld(t, setup{local: true})
			w.timedJob(limits[0], limits[1])
			id := w.run()
			pid := w.pid()
			w.runner.Process.Kill()
			w.hub.Process.Kill()
			w.must(w.runner.Launch())
			t.Cleanup(w.runner.Process.Kill)
			w.untilGone(pid)
			w.must(w.hub.Start(w.ctx))
			w.end(id, "timed_out", 60*time.Second)
		})
	}
}
