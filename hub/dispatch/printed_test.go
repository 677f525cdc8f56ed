package dispatch_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/fairlead/fairlead/hub"
)

// What ended steps printed goes with the offer of every later attempt of an execution with
// a log limit, of whichever runner, so that they share one count.
func TestPrintedCountsForLaterAttempts(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		b.routes("a", "b")
		b.nodes("a1", "b1")
		first, second := b.runner("first", 10, "a"), b.runner("second", 10, "b")
		j := onNodes(job("x", "y", "z"), "2", true)
		j.Workflow.Strategy = hub.StrategySequential
		j.LogLimit = hub.LogLimit{Text: "10", Lines: 10}
		e := b.run(j)
		var want map[int]hub.Printed
		for step := range 3 {
			if step > 0 {
				want = map[int]hub.Printed{0: {Lines: int64(step), Bytes: int64(20 * step)}, 1: {Lines: int64(2 * step), Bytes: int64(40 * step)}}
			}
			for i, r := range []*runnerSim{first, second} {
				a := r.claim()
				if diff := cmp.Diff(want, a.offer.Printed, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("offer of step %d to %s: %s", step, r.row.Name, diff)
				}
				a.started(0, 0)
				a.add(hub.StepRecord{
					Kind: hub.RecordEnded, Cell: hub.Cell{Try: 1}, Status: hub.StatusSucceeded, Exited: true, EndProven: true,
					Printed: hub.Printed{Lines: int64(i + 1), Bytes: int64(20 * (i + 1))},
				})
				a.finish(hub.StatusSucceeded)
			}
		}
		b.wantEnd(e, hub.StatusSucceeded, true)
	})
}
