package dispatch_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/proto/wire"
)

// What steps captured goes with the offer of every later attempt, of whichever runner.
func TestCapturedValuesGoOn(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		b.routes("a", "b")
		b.nodes("a1", "b1")
		first, second := b.runner("first", 10, "a"), b.runner("second", 10, "b")
		j := onNodes(job("x", "y"), "2", true)
		j.Workflow.Strategy = hub.StrategySequential
		j.Workflow.LogFilters = []hub.LogFilter{{Type: hub.FilterKeyValue}}
		e := b.run(j)
		one, two := first.claim(), second.claim()
		if len(one.offer.Captured) > 0 {
			t.Errorf("the first offer has %v", one.offer.Captured)
		}
		for _, a := range []*attemptSim{one, two} {
			a.started(0, 0)
			a.add(hub.StepRecord{
				Kind: hub.RecordEnded, Cell: hub.Cell{Try: 1}, Status: hub.StatusSucceeded, Exited: true, EndProven: true,
				Data: map[string]string{"from": a.offer.Execution.Nodes[a.offer.Assignment.Nodes[0]].Name},
			})
			a.finish(hub.StatusSucceeded)
		}
		one, two = first.claim(), second.claim()
		want := map[string]map[string]string{"a1": {"from": "a1"}, "b1": {"from": "b1"}}
		for _, a := range []*attemptSim{one, two} {
			if diff := cmp.Diff(want, a.offer.Captured); diff != "" {
				t.Error(diff)
			}
			a.run(0, 0, hub.StatusSucceeded)
			a.finish(hub.StatusSucceeded)
		}
		b.wantEnd(e, hub.StatusSucceeded, true)
	})
}

// A runner that reached the log limit halts the whole execution, also one that goes on
// when a node fails.
func TestLogLimitHaltsSiblings(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		b.routes("a", "b")
		b.nodes("a1", "b1", "b2")
		first, second := b.runner("first", 10, "a"), b.runner("second", 10, "b")
		e := b.run(onNodes(job("x"), "2", true))
		one, two := first.claim(), second.claim()
		one.started(0, 0)
		one.add(hub.StepRecord{Kind: hub.RecordEnded, Cell: hub.Cell{Try: 1}, Status: hub.StatusFailed, Reason: wire.ReasonLogLimit, EndProven: true})
		one.report()
		if s := receive(t, "stop", second.stops); !s.NoNew || s.All {
			t.Errorf("told to stop %+v, want nothing new", s)
		}
		one.finish(hub.StatusFailed)
		two.run(0, 0, hub.StatusSucceeded)
		two.ended(1, 0, hub.StatusSkipped)
		two.finish(hub.StatusSucceeded)
		b.wantEnd(e, hub.StatusFailed, true)
	})
}
