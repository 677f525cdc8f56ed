package workflow_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/workflow"
)

func steps(n int) *hub.Workflow {
	w := &hub.Workflow{}
	for range n {
		w.Steps = append(w.Steps, hub.Step{Exec: "true"})
	}
	return w
}

func slicesText(list []workflow.Slice) (out []string) {
	for _, s := range list {
		out = append(out, fmt.Sprintf("stage %d route %d nodes %v steps %v", s.Stage, s.Route, s.Nodes, s.Steps))
	}
	return out
}

func TestSlices(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		plan workflow.Plan
		want []string
	}{
		{
			name: "no nodes",
			plan: workflow.Plan{Workflow: steps(2), Threads: 1},
		},
		{
			name: "node-first, one route",
			plan: workflow.Plan{Workflow: steps(2), Threads: 1, NodeRoutes: []int{0, 0, 0}},
			want: []string{"stage 0 route 0 nodes [0 1 2] steps [0 1]"},
		},
		{
			name: "node-first, one thread: runs of neighbours, one after another",
			plan: workflow.Plan{Workflow: steps(1), Threads: 1, NodeRoutes: []int{0, 0, 1, 0}},
			want: []string{
				"stage 0 route 0 nodes [0 1] steps [0]",
				"stage 1 route 1 nodes [2] steps [0]",
				"stage 2 route 0 nodes [3] steps [0]",
			},
		},
		{
			name: "node-first, more threads: one for each route",
			plan: workflow.Plan{Workflow: steps(2), Threads: 2, NodeRoutes: []int{0, 1, 0}},
			want: []string{
				"stage 0 route 0 nodes [0 2] steps [0 1]",
				"stage 0 route 1 nodes [1] steps [0 1]",
			},
		},
		{
			name: "sequential, one route: the runner is the barrier",
			plan: workflow.Plan{Workflow: steps(2), Strategy: hub.StrategySequential, Threads: 2, NodeRoutes: []int{0, 0}},
			want: []string{"stage 0 route 0 nodes [0 1] steps [0 1]"},
		},
		{
			name: "sequential, several routes: the hub is the barrier",
			plan: workflow.Plan{Workflow: steps(2), Strategy: hub.StrategySequential, Threads: 2, NodeRoutes: []int{0, 1}},
			want: []string{
				"stage 0 route 0 nodes [0] steps [0]",
				"stage 0 route 1 nodes [1] steps [0]",
				"stage 1 route 0 nodes [0] steps [1]",
				"stage 1 route 1 nodes [1] steps [1]",
			},
		},
		{
			name: "sequential, several routes, one thread",
			plan: workflow.Plan{Workflow: steps(2), Strategy: hub.StrategySequential, Threads: 1, NodeRoutes: []int{0, 1}},
			want: []string{
				"stage 0 route 0 nodes [0] steps [0]",
				"stage 1 route 1 nodes [1] steps [0]",
				"stage 2 route 0 nodes [0] steps [1]",
				"stage 3 route 1 nodes [1] steps [1]",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, slicesText(tt.plan.Slices())); diff != "" {
				t.Errorf("slices (-want +got):\n%s", diff)
			}
		})
	}
}

func TestShare(t *testing.T) {
	t.Parallel()
	tests := []struct {
		free  int
		sizes []int
		want  []int
	}{
		{0, []int{3}, []int{0}},
		{1, []int{3, 1}, []int{1, 0}},
		{2, []int{3, 1}, []int{1, 1}},
		{4, []int{3, 1}, []int{3, 1}},
		{50, []int{3, 1}, []int{3, 1}},
		{10, []int{90, 10}, []int{9, 1}},
		{10, []int{60, 30, 10}, []int{6, 3, 1}},
		{5, nil, []int{}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, workflow.Share(tt.free, tt.sizes)); diff != "" {
			t.Errorf("Share(%d, %v) (-want +got):\n%s", tt.free, tt.sizes, diff)
		}
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	two := workflow.Plan{Workflow: steps(2), Threads: 3, NodeRoutes: []int{0, 0, 1}, Routes: [][]string{{"a"}, {"b"}}}
	barrier := two
	barrier.Strategy = hub.StrategySequential
	goOn := barrier
	goOn.Keepgoing = true
	keep := goOn
	keep.Workflow = steps(2)
	keep.Workflow.Keepgoing = true
	one := two
	one.Threads = 1
	tests := []struct {
		name string
		plan workflow.Plan
		have []workflow.Have
		flow workflow.Flow
		want string
	}{
		{name: "both routes at once", plan: two, want: "start 0 with 2, 1 with 1"},
		{
			name: "one is done, one runs", plan: two,
			have: []workflow.Have{{Position: 0, State: "succeeded", Threads: 2}, {Position: 1, State: "active", Threads: 1}},
			want: "wait",
		},
		{
			name: "all done", plan: two,
			have: []workflow.Have{{Position: 0, State: "succeeded"}, {Position: 1, State: "succeeded"}},
			want: "settled succeeded",
		},
		{
			name: "unknown outranks failed", plan: two,
			have: []workflow.Have{{Position: 0, State: "failed", Stops: true}, {Position: 1, State: "unknown", Stops: true}},
			flow: workflow.Flow{NoNew: true}, want: "settled unknown",
		},
		{name: "one thread, first run of neighbours", plan: one, want: "start 0 with 1"},
		{
			name: "one thread, a failure stops the rest", plan: one,
			have: []workflow.Have{{Position: 0, State: "failed", Stops: true, Threads: 1}},
			want: "no new, settled failed",
		},
		{
			name: "one thread, next run", plan: one,
			have: []workflow.Have{{Position: 0, State: "succeeded", Threads: 1}},
			want: "start 1 with 1",
		},
		{
			name: "cancelled before the next run", plan: one,
			have: []workflow.Have{{Position: 0, State: "succeeded", Threads: 1}},
			flow: workflow.Flow{Cancelled: true}, want: "settled cancelled",
		},
		{
			name: "the next run's only node was cancelled", plan: one,
			have: []workflow.Have{{Position: 0, State: "succeeded", Threads: 1}},
			flow: workflow.Flow{CancelledNodes: []int{2}}, want: "settled cancelled",
		},
		{
			name: "a node of the run was cancelled before its cut", plan: one,
			have: []workflow.Have{{Position: 0, State: "succeeded", Nodes: []int{1}, Threads: 1}, {Position: 1, State: "succeeded", Threads: 1}},
			flow: workflow.Flow{CancelledNodes: []int{0}}, want: "settled cancelled",
		},
		{
			name: "a node was cancelled when all of it was done", plan: one,
			have: []workflow.Have{{Position: 0, State: "succeeded", Nodes: []int{0, 1}, Threads: 1}, {Position: 1, State: "succeeded", Threads: 1}},
			flow: workflow.Flow{CancelledNodes: []int{0}}, want: "settled succeeded",
		},
		{
			name: "the barrier waits for both", plan: barrier,
			have: []workflow.Have{{Position: 0, State: "succeeded", Threads: 2}, {Position: 1, State: "active", Threads: 1}},
			want: "wait",
		},
		{
			name: "behind the barrier", plan: barrier,
			have: []workflow.Have{{Position: 0, State: "succeeded", Threads: 2}, {Position: 1, State: "succeeded", Threads: 1}},
			want: "start 2 with 2, 3 with 1",
		},
		{
			name: "a failed step stops the workflow, also where nodes keep going", plan: goOn,
			have: []workflow.Have{{Position: 0, State: "failed", Stops: true}, {Position: 1, State: "succeeded"}},
			want: "settled failed",
		},
		{
			name: "the others of its step end first", plan: goOn,
			have: []workflow.Have{{Position: 0, State: "failed", Stops: true}, {Position: 1, State: "active", Threads: 1}},
			want: "wait",
		},
		{
			name: "unless the workflow keeps going", plan: keep,
			have: []workflow.Have{{Position: 0, State: "failed", Stops: true}, {Position: 1, State: "succeeded"}},
			want: "start 2 with 2, 3 with 1",
		},
		{
			name: "a cancelled node is left out behind the barrier", plan: barrier,
			have: []workflow.Have{{Position: 0, State: "succeeded"}, {Position: 1, State: "succeeded"}},
			flow: workflow.Flow{CancelledNodes: []int{0, 2}}, want: "start 2 with 1",
		},
		{name: "nothing to do", plan: workflow.Plan{Workflow: steps(1), Threads: 1}, want: "settled succeeded"},
		{
			name: "what is tried again holds its place", plan: two,
			have: []workflow.Have{{Position: 0, State: "succeeded"}, {Position: 0, State: "ready", Threads: 2}, {Position: 1, State: "succeeded"}},
			want: "wait",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := cutText(tt.plan.Next(tt.have, tt.flow)); got != tt.want {
				t.Errorf("next: %s, want %s", got, tt.want)
			}
		})
	}
}

func cutText(c workflow.Cut) string {
	text := ""
	add := func(s string) {
		if text != "" {
			text += ", "
		}
		text += s
	}
	if c.NoNew {
		add("no new")
	}
	for i, s := range c.Start {
		if i == 0 {
			add(fmt.Sprintf("start %d with %d", s.Position, s.Threads))
		} else {
			add(fmt.Sprintf("%d with %d", s.Position, s.Threads))
		}
	}
	if c.Settled {
		add("settled " + string(c.Outcome))
	}
	if text == "" {
		return "wait"
	}
	return text
}

// TestNextIsTotal runs random plans to their end: threads are never exceeded, stages
// never overlap, every cell is cut once at most, and all of them unless something
// stopped.
func TestNextIsTotal(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		p := workflow.Plan{Workflow: steps(1 + rnd.IntN(3)), Threads: 1 + rnd.IntN(5), Keepgoing: rnd.IntN(2) == 0}
		p.Workflow.Keepgoing = rnd.IntN(2) == 0
		if rnd.IntN(2) == 0 {
			p.Strategy = hub.StrategySequential
		}
		for range 1 + rnd.IntN(8) {
			p.NodeRoutes = append(p.NodeRoutes, rnd.IntN(3))
		}
		if err := play(&p, rnd); err != nil {
			t.Fatalf("seed %d, plan %+v: %v", seed, p, err)
		}
	}
}

func play(p *workflow.Plan, rnd *rand.Rand) error {
	var have []workflow.Have
	var flow workflow.Flow
	cells := make(map[[2]int]bool)
	all := p.Slices()
	stopped := false
	for range 1000 {
		cut := p.Next(have, flow)
		flow.NoNew = flow.NoNew || cut.NoNew
		for _, s := range cut.Start {
			for _, n := range s.Nodes {
				for _, step := range s.Steps {
					if cells[[2]int{n, step}] {
						return fmt.Errorf("node %d step %d is cut twice", n, step)
					}
					cells[[2]int{n, step}] = true
				}
			}
			have = append(have, workflow.Have{Position: s.Position, State: hub.AssignmentReady, Threads: s.Threads})
		}
		threads, open := 0, []int{}
		for i, h := range have {
			if h.State.Final() {
				continue
			}
			threads += h.Threads
			open = append(open, i)
			if all[h.Position].Stage != all[have[open[0]].Position].Stage {
				return fmt.Errorf("stages overlap: %+v", have)
			}
		}
		if threads > p.Threads {
			return fmt.Errorf("%d threads of %d are in use", threads, p.Threads)
		}
		if cut.Settled {
			if len(open) > 0 {
				return fmt.Errorf("settled with %d open", len(open))
			}
			if want := len(p.NodeRoutes) * len(p.Workflow.Steps); !stopped && len(cells) != want {
				return fmt.Errorf("settled after %d of %d cells", len(cells), want)
			}
			return nil
		}
		if len(open) == 0 {
			return fmt.Errorf("nothing is open and nothing is settled: %+v", have)
		}
		i := open[rnd.IntN(len(open))]
		have[i].State = hub.AssignmentSucceeded
		if rnd.IntN(4) == 0 {
			have[i].State, have[i].Stops, stopped = hub.AssignmentFailed, true, true
		}
	}
	return fmt.Errorf("no end")
}

func TestFold(t *testing.T) {
	t.Parallel()
	w := steps(2)
	w.Steps[0].ErrorHandler = &hub.Step{Exec: "fix"}
	w.Steps[1].ContinueOnUnknown = true
	row := func(node, step, try int, s hub.Status) hub.NodeStep {
		return hub.NodeStep{Node: node, Step: step, Try: try, Status: s}
	}
	tests := []struct {
		name      string
		rows      []hub.NodeStep
		cancelled []int
		want      hub.Status
		stops     bool
	}{
		{name: "nothing", want: hub.StatusSkipped},
		{name: "good", rows: []hub.NodeStep{row(0, 0, 1, "succeeded"), row(0, 1, 1, "succeeded")}, want: "succeeded"},
		{name: "bad", rows: []hub.NodeStep{row(0, 0, 1, "succeeded"), row(0, 1, 1, "failed")}, want: "failed", stops: true},
		{name: "the newest try counts", rows: []hub.NodeStep{row(0, 1, 2, "succeeded"), row(0, 1, 1, "failed")}, want: "succeeded"},
		{name: "handled", rows: []hub.NodeStep{row(0, 0, 1, "failed"), row(0, 2, 1, "succeeded")}, want: "succeeded"},
		{name: "the handler failed too", rows: []hub.NodeStep{row(0, 0, 1, "failed"), row(0, 2, 1, "failed")}, want: "failed", stops: true},
		{name: "handled elsewhere", rows: []hub.NodeStep{row(0, 0, 1, "failed"), row(1, 2, 1, "succeeded")}, want: "failed", stops: true},
		{name: "a handler answers no doubt", rows: []hub.NodeStep{row(0, 0, 1, "unknown"), row(0, 2, 1, "succeeded")}, want: "unknown", stops: true},
		{name: "unknown over all", rows: []hub.NodeStep{row(0, 0, 1, "cancelled"), row(1, 0, 1, "unknown"), row(2, 0, 1, "failed")}, want: "unknown", stops: true},
		{name: "cancelled over timed out", rows: []hub.NodeStep{row(0, 0, 1, "cancelled"), row(1, 0, 1, "timed_out")}, want: "cancelled", stops: true},
		{name: "a cancel by a runner of its own stops the others", rows: []hub.NodeStep{row(0, 0, 1, "cancelled")}, cancelled: []int{1}, want: "cancelled", stops: true},
		{name: "a cancel of one node stops no other", rows: []hub.NodeStep{row(0, 0, 1, "cancelled")}, cancelled: []int{0}, want: "cancelled"},
		{name: "unknown that may go on", rows: []hub.NodeStep{row(0, 1, 1, "unknown")}, want: "unknown"},
		{name: "skipped counts for nothing", rows: []hub.NodeStep{row(0, 0, 1, "succeeded"), row(1, 0, 1, "skipped")}, want: "succeeded"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := workflow.Fold(w, tt.rows, tt.cancelled)
			if got.Outcome != tt.want || got.Stops != tt.stops {
				t.Errorf("fold: %s, stops %v; want %s, %v", got.Outcome, got.Stops, tt.want, tt.stops)
			}
		})
	}
}

func TestOver(t *testing.T) {
	t.Parallel()
	w := steps(2)
	w.Steps[0].ErrorHandler = &hub.Step{Exec: "fix"}
	w.Steps[1].ContinueOnUnknown = true
	goesOn := steps(1)
	goesOn.Steps[0].ErrorHandler = &hub.Step{Exec: "fix", KeepgoingOnSuccess: true}
	row := func(step, try int, s hub.Status) hub.NodeStep {
		return hub.NodeStep{Node: 3, Step: step, Try: try, Status: s}
	}
	for _, c := range []struct {
		name string
		w    *hub.Workflow
		rows []hub.NodeStep
		want map[int]int
	}{
		{"succeeded", w, []hub.NodeStep{row(0, 1, "succeeded"), row(1, 1, "succeeded")}, map[int]int{}},
		{"failed", w, []hub.NodeStep{row(0, 1, "succeeded"), row(1, 1, "failed")}, map[int]int{3: 1}},
		{"a retry succeeded", w, []hub.NodeStep{row(1, 1, "failed"), row(1, 2, "succeeded")}, map[int]int{}},
		{"handled", w, []hub.NodeStep{row(0, 1, "failed"), row(2, 1, "succeeded")}, map[int]int{3: 0}},
		{"handled, to go on", goesOn, []hub.NodeStep{row(0, 1, "failed"), row(1, 1, "succeeded")}, map[int]int{}},
		{"not handled", goesOn, []hub.NodeStep{row(0, 1, "failed"), row(1, 1, "failed")}, map[int]int{3: 0}},
		{"unknown", w, []hub.NodeStep{row(0, 1, "unknown")}, map[int]int{3: 0}},
		{"unknown that may go on", w, []hub.NodeStep{row(1, 1, "unknown")}, map[int]int{}},
	} {
		if diff := cmp.Diff(c.want, workflow.Over(c.w, c.rows)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestNodeStatus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		steps []hub.Status
		want  hub.Status
	}{
		{nil, hub.StatusQueued},
		{[]hub.Status{hub.StatusQueued, hub.StatusQueued}, hub.StatusQueued},
		{[]hub.Status{hub.StatusSucceeded, hub.StatusQueued}, hub.StatusRunning},
		{[]hub.Status{hub.StatusRunning, hub.StatusQueued}, hub.StatusRunning},
		{[]hub.Status{hub.StatusSucceeded, hub.StatusFailed}, hub.StatusFailed},
	} {
		if got := workflow.NodeStatus(c.steps, hub.StatusFailed); got != c.want {
			t.Errorf("node of %v is %s, want %s", c.steps, got, c.want)
		}
	}
}
