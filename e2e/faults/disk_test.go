package faults

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

// smallDisk puts a disk of so many MiB over a directory until the test has ended.
func (w *world) smallDisk(dir string, mib int) *lab.SmallDisk {
	w.Helper()
	d, err := lab.NewSmallDisk(w.ctx, dir, mib)
	w.must(err)
	w.Cleanup(d.Remove)
	return d
}

// The disk of a hub with SQLite is full in the midst of a log: what it has can be read, and
// what cannot be stored waits at the runner. The hub is killed, and with more room
// everything goes on to its end.
func TestHubDiskFull(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{local: true})
	w.hub.Process.Kill()
	d := w.smallDisk(w.hub.DataDir, 16)
	w.hub.SetStarter(d.Start)
	w.must(w.hub.Start(w.ctx))
	w.must(w.runner.WaitConnected(w.ctx))
	// Random, so that no compressor makes it fit.
	w.job(1, true, "node-first", fmt.Sprintf("echo first; head -c 20000000 /dev/urandom | base64 | tee %s/copy", w.dir))
	id := w.run()
	full := func(what string) func() bool {
		return func() bool { return strings.Contains(w.hub.Process.Tail(), what) }
	}
	w.await("the hub says that output cannot be stored", 120*time.Second, full("waits at the runners"))
	log, err := w.hub.Log(w.ctx, id, "format=text&lines=1")
	if err != nil || log != "first\n" {
		t.Errorf("the log of a full disk begins with %q, %v", log, err)
	}
	if e, err := w.hub.Execution(w.ctx, id); err != nil || e.Status != "running" {
		t.Errorf("with its output not stored the execution is %s, %v", e.Status, err)
	}
	w.hub.Process.Kill()
	w.must(d.Resize(w.ctx, 200))
	w.must(w.hub.Start(w.ctx))
	w.end(id, "succeeded", 60*time.Second)
	copied, err := os.ReadFile(filepath.Join(w.dir, "copy"))
	w.must(err)
	if log, err = w.hub.Log(w.ctx, id, "format=text"); err != nil || log != "first\n"+string(copied) {
		t.Errorf("the log has %d bytes, the command printed %d; %v", len(log), len("first\n")+len(copied), err)
	}
}

// Something else fills the disk of a runner in the midst of a step: the step waits, and
// the execution says for what. With the room back it goes on, and nothing is lost.
func TestRunnerDiskFull(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{local: true, idle: true})
	d := w.smallDisk(w.runner.DataDir, 96)
	w.runner.SetStarter(d.Start)
	w.startRunner()
	over := filepath.Join(w.dir, "over")
	w.job(1, true, "node-first", fmt.Sprintf("while [ ! -e %s ]; do head -c 3000 /dev/urandom | base64 | tee -a %s/node001.copy; sleep 0.01; done", over, w.dir))
	id := w.run()
	w.await("the step prints", 30*time.Second, func() bool { return len(w.lines("node001.copy")) > 20 })
	ballast, err := os.Create(d.Path("ballast"))
	w.must(err)
	for err == nil {
		_, err = ballast.Write(make([]byte, 1<<16))
	}
	w.must(ballast.Close())
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	w.await("the execution says that the disk is full", 60*time.Second, func() bool {
		e, err := w.hub.Execution(w.ctx, id)
		return err == nil && e.WaitingFor != nil && strings.Contains(e.WaitingFor.Message, "disk")
	})
	w.must(os.Remove(d.Path("ballast")))
	w.must(os.WriteFile(over, nil, 0o600))
	w.end(id, "succeeded", 60*time.Second)
	w.logEqualsCopies(id)
}
