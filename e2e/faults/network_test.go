package faults

import (
	"strings"
	"testing"
	"time"
)

// The network between runner and hub is silent for a minute while commands print.
func TestNetworkCut(t *testing.T) {
	t.Parallel()
	w, proxy := newWorld(t, setup{nodes: 4, proxied: true})
	w.job(4, true, "node-first", w.witnessStep(400, "0.2"))
	id := w.run()
	w.await("all nodes print", 20*time.Second, func() bool { return len(w.lines("node004.copy")) > 10 })
	proxy.Swallow()
	pause(t, 60*time.Second)
	proxy.Heal()
	w.end(id, "succeeded", 120*time.Second)
	w.startedOnce()
	w.logEqualsCopies(id)
}

// Connections are reset again and again while commands print.
func TestConnectionReset(t *testing.T) {
	t.Parallel()
	w, proxy := newWorld(t, setup{nodes: 4, proxied: true})
	w.job(4, true, "node-first", w.witnessStep(400, "0.02"))
	id := w.run()
	w.await("all nodes print", 20*time.Second, func() bool { return len(w.lines("node004.copy")) > 10 })
	for range 5 {
		proxy.Cut()
		pause(t, 1500*time.Millisecond)
	}
	w.end(id, "succeeded", 120*time.Second)
	w.startedOnce()
	w.logEqualsCopies(id)
}

// PostgreSQL stops without a checkpoint for ten seconds in mid-output.
func TestPostgresStopped(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{nodes: 4, postgres: true})
	w.job(4, true, "node-first", w.witnessStep(200, "0.1"))
	id := w.run()
	w.await("all nodes print", 20*time.Second, func() bool { return len(w.lines("node004.copy")) > 10 })
	w.pg.StopImmediate()
	pause(t, 10*time.Second)
	w.must(w.pg.Start(w.ctx))
	w.end(id, "succeeded", 120*time.Second)
	w.startedOnce()
	w.logEqualsCopies(id)
}

// Cancel reaches what runs, and what has not started never starts.
func TestCancel(t *testing.T) {
	t.Parallel()
	for name, local := range map[string]bool{"local": true, "ssh": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := newWorld(t, setup{nodes: 4, local: local})
			w.job(2, true, "node-first", w.witnessStep(1000, "0.1"))
			id := w.run()
			w.await("two nodes print", 20*time.Second, func() bool {
				return len(w.lines("node001.copy")) > 2 && len(w.lines("node002.copy")) > 2
			})
			w.must(w.hub.Cancel(w.ctx, id))
			w.end(id, "cancelled", 60*time.Second)
			for _, n := range []string{"node001", "node002"} {
				if pid := w.lines(n + ".starts")[0]; alive(pid) {
					t.Errorf("%s: cancelled, and pid %s still runs", n, pid)
				}
			}
			if w.starts("node003")+w.starts("node004") > 0 {
				t.Error("a node was started after the cancel")
			}
		})
	}
}

// One node of several is cancelled, the others go on.
func TestCancelOneNode(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{nodes: 2})
	w.job(2, true, "node-first", w.witnessStep(60, "0.1"))
	id := w.run()
	w.await("both nodes print", 20*time.Second, func() bool {
		return len(w.lines("node001.copy")) > 2 && len(w.lines("node002.copy")) > 2
	})
	w.must(w.hub.Cancel(w.ctx, id, "node001"))
	w.end(id, "cancelled", 60*time.Second)
	if got := w.step(id, "node001", 1).Status; got != "cancelled" {
		t.Errorf("node001 is %s, want cancelled", got)
	}
	if got := w.step(id, "node002", 1).Status; got != "succeeded" {
		t.Errorf("node002 is %s, want succeeded", got)
	}
}

// Nothing that could run it is connected: the execution says so, and runs when one is.
func TestWaitsForRunner(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{local: true, idle: true})
	w.job(1, true, "node-first", w.witnessStep(3, "0"))
	id := w.run()
	e, err := w.hub.Execution(w.ctx, id)
	w.must(err)
	if e.Status != "queued" || e.WaitingFor == nil || e.WaitingFor.Kind != "runner" || !strings.Contains(e.WaitingFor.Message, "runner") {
		t.Errorf("execution is %s, waiting for %+v; want queued, waiting for a runner", e.Status, e.WaitingFor)
	}
	w.startRunner()
	w.end(id, "succeeded", 30*time.Second)
	w.startedOnce()
}
