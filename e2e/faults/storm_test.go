package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

// Members die at random while steps run, and come back: no step is started twice, none
// is lost, and no byte of output is lost or repeated. `make faults` kills more of them.
func TestMembersKilledAtRandom(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Duration(*kills)*10*time.Second)
	t.Cleanup(cancel)
	w := newClusterWorld(t, clusterSetup{ctx: ctx, nodes: *steps, nodesYAML: localNodes(*steps)})
	// Each line takes a second; the steps outlast the kills.
	w.job(*steps, true, "node-first", w.witnessStep(10+*kills*3, "1"))
	id := w.run()
	followed := w.follow(w.cluster.Members[1].API, id, lab.ByLines)
	w.printing(2)
	for range *kills {
		m := w.cluster.Members[rand.IntN(len(w.cluster.Members))]
		m.Process.Kill()
		pause(t, rand.N(time.Second))
		w.must(w.cluster.Start(ctx, m))
		pause(t, rand.N(2*time.Second))
	}
	if e := w.end(id, "succeeded", time.Minute+time.Duration(*kills)*5*time.Second); !e.LogComplete {
		t.Error("the log is not whole")
	}
	w.startedOnce()
	breaks := w.followedAll(followed)
	for _, m := range w.cluster.Members { // at once for all nodes: node by node it would take longer than all else
		w.followedAll(w.follow(m.API, id, lab.ByLines))
	}
	t.Logf("%d kills during %d steps; the follower's connection broke %d times", *kills, *steps, breaks)
}

// localNodes are nodes on the runner's own host.
func localNodes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "node%03d:\n  nodename: node%03d\n  hostname: localhost\n  username: me\n  node-executor: local\n", i+1, i+1)
	}
	return b.String()
}
