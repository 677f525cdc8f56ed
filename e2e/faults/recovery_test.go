package faults

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

// clusterState is what GET /cluster tells of a recovery.
type clusterState struct {
	Incarnation int64 `json:"incarnation"`
	Tick        int64 `json:"tick"`
	Recovery    *struct {
		Kind    string `json:"kind"`
		Reason  string `json:"reason"`
		Held    int    `json:"held"`
		Awaited []struct {
			Name string `json:"name"`
		} `json:"awaited"`
	} `json:"recovery"`
}

func (w *world) cluster() clusterState {
	w.Helper()
	var c clusterState
	w.await("the hub tells of its cluster", 60*time.Second, func() bool {
		return w.hub.Do(w.ctx, http.MethodGet, "/cluster", nil, &c) == nil
	})
	return c
}

// freeAgain waits until the fall-back was noticed, and all of it is over.
func (w *world) freeAgain() {
	w.Helper()
	var c clusterState
	defer func() {
		if w.Failed() {
			w.Logf("cluster %+v", c)
		}
	}()
	w.await("the fall-back is noticed and recovered from", 120*time.Second, func() bool {
		c = w.cluster()
		return c.Incarnation == 2 && c.Recovery == nil
	})
}

// named imports a job whose witness on each node leaves traces of the job's name.
func (w *world) named(job, pause string, lines int) {
	w.Helper()
	step := fmt.Sprintf("bash %s/witness %s %s-${node.name} %d %s", w.dir, w.dir, job, lines, pause)
	w.must(w.hub.ImportJobs(w.ctx, "p", jobYAML(job, 2, true, "node-first", step)))
}

func (w *world) start(job string) string {
	w.Helper()
	e, err := w.hub.Run(w.ctx, "p", job, nil)
	w.must(err)
	return e.ID
}

// ranOnce checks that a job ran once on each node, and that its log is whole.
func (w *world) ranOnce(job, id string) {
	w.Helper()
	for _, n := range w.nodes {
		if got := w.starts(job + "-" + n); got != 1 {
			w.Errorf("%s ran %d times on %s, want exactly once", job, got, n)
		}
		want, err := os.ReadFile(filepath.Join(w.dir, job+"-"+n+".copy"))
		w.must(err)
		got, err := w.hub.Log(w.ctx, id, "format=text&node="+n)
		w.must(err)
		if got != string(want) {
			w.Errorf("%s on %s: the log (%d bytes) is not the node's copy (%d bytes)", job, n, len(got), len(want))
		}
	}
}

// A standby takes over without the last seconds: what ran in them is shown as it ran,
// what still runs goes on, and nothing starts again.
func TestLaggingStandbyTakesOver(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{postgres: true, local: true, nodes: 2})
	standby, err := w.pg.Standby(w.ctx)
	w.must(err)
	t.Cleanup(standby.Stop)
	w.named("before", "0", 20)
	w.named("across", "0.05", 600)
	w.named("forgotten", "0", 50)
	before := w.start("before")
	w.end(before, "succeeded", 60*time.Second)
	across := w.start("across")
	w.await("it prints", 60*time.Second, func() bool { return len(w.lines("across-node001.copy")) > 20 })
	standby.Stop()
	forgotten := w.start("forgotten")
	first := w.end(forgotten, "succeeded", 60*time.Second)
	w.pg.StopImmediate()
	w.must(standby.TakeOver(w.ctx, w.pg))

	w.freeAgain()
	again := w.end(forgotten, "succeeded", 60*time.Second)
	if again.Number != first.Number || !again.LogComplete {
		t.Errorf("recovered as %+v, it was %+v", again, first)
	}
	w.end(across, "succeeded", 120*time.Second)
	w.ranOnce("before", before)
	w.ranOnce("across", across)
	w.ranOnce("forgotten", forgotten)
	w.named("after", "0", 5)
	after := w.start("after")
	w.end(after, "succeeded", 60*time.Second)
	w.ranOnce("after", after)
}

// The database's file is put back to an earlier day: what the hub forgot comes from the
// runner's disk.
func TestDatabaseFilePutBack(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{local: true, nodes: 2})
	w.named("forgotten", "0", 50)
	w.hub.Process.Kill()
	file := filepath.Join(w.hub.DataDir, "fairlead.db")
	backup := w.copyDatabase(file)
	w.must(w.hub.Start(w.ctx))
	id := w.start("forgotten")
	w.end(id, "succeeded", 60*time.Second)
	w.hub.Process.Kill()
	for name, data := range backup {
		if data == nil {
			w.must(ignoreMissing(os.Remove(name)))
		} else {
			w.must(os.WriteFile(name, data, 0o600))
		}
	}
	w.must(w.hub.Start(w.ctx))

	w.freeAgain()
	w.end(id, "succeeded", 60*time.Second)
	w.ranOnce("forgotten", id)
	runners, err := w.hub.Runners(w.ctx)
	if err != nil || len(runners) != 1 || runners[0].Quarantined != "" {
		t.Errorf("runners are %+v, %v", runners, err)
	}
}

// copyDatabase reads the files of a database that nobody has open; nil for one that is
// not there.
func (w *world) copyDatabase(file string) map[string][]byte {
	w.Helper()
	files := map[string][]byte{}
	for _, name := range []string{file, file + "-wal", file + "-shm"} {
		data, err := os.ReadFile(name)
		w.must(ignoreMissing(err))
		files[name] = data
	}
	return files
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// A backup that was restored by hand is held by a command, on a hub that is stopped; and
// a runner that was enrolled in what is lost is taken in, for a person to judge.
func TestRestoreByHand(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{local: true, nodes: 1})
	w.hub.Process.Kill()
	file := filepath.Join(w.hub.DataDir, "fairlead.db")
	backup := w.copyDatabase(file)
	w.must(w.hub.Start(w.ctx))
	second, err := w.hub.Enrol(w.ctx, binaries.Runner, w.dir, "second", "p")
	w.must(err)
	w.must(second.Start(w.ctx))
	t.Cleanup(func() { second.Process.Kill() })
	w.await("it is connected", 60*time.Second, func() bool {
		runners, err := w.hub.Runners(w.ctx)
		return err == nil && len(runners) == 2 && runners[0].Connected && runners[1].Connected
	})
	w.hub.Process.Kill()
	for name, data := range backup {
		if data == nil {
			w.must(ignoreMissing(os.Remove(name)))
		} else {
			w.must(os.WriteFile(name, data, 0o600))
		}
	}
	p, err := lab.StartProcess(w.dir, "hold", nil, binaries.Hub, "hold", "--data-dir", w.hub.DataDir, "--reason", "of the night")
	w.must(err)
	select {
	case <-p.Done():
	case <-w.ctx.Done():
		p.Kill()
		t.Fatal("the command did not end")
	}
	if out := p.Tail(); !strings.Contains(out, "Held, incarnation 2") {
		t.Fatalf("the command says: %s", out)
	}
	w.must(w.hub.Start(w.ctx))
	w.freeAgain()
	w.await("the second runner is taken in", 60*time.Second, func() bool {
		runners, err := w.hub.Runners(w.ctx)
		return err == nil && len(runners) == 2 && (runners[0].Quarantined != "" || runners[1].Quarantined != "")
	})
}
