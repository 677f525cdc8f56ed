// Package workflow cuts executions: a pure function from what is to run and what is
// settled to what starts next. docs/state-machines.md, "The cut".
package workflow

import (
	"slices"

	"github.com/fairlead/fairlead/hub"
)

// Plan is everything the cut needs to know of an execution. It never changes.
type Plan struct {
	Workflow *hub.Workflow
	Strategy hub.Strategy
	// Threads is the most nodes at once, at least 1.
	Threads int
	// Keepgoing: other nodes go on after a failure.
	Keepgoing bool
	// Routes are the tags that a runner must bear, and NodeRoutes says for each node, in
	// rank order, which of them.
	Routes     [][]string
	NodeRoutes []int
}

// Slice is a part of the plan: consecutive steps over nodes of one route. Its position
// is its index in Slices.
type Slice struct {
	Position int
	// Stage: a slice starts when all of the stages before are settled.
	Stage int
	Route int
	// Nodes and Steps are positions in the execution, ascending.
	Nodes []int
	Steps []int
}

// Slices cuts the plan whole. It is empty when there are no nodes or no steps.
func (p *Plan) Slices() []Slice {
	if len(p.NodeRoutes) == 0 || len(p.Workflow.Steps) == 0 {
		return nil
	}
	steps := make([]int, len(p.Workflow.Steps))
	for i := range steps {
		steps[i] = i
	}
	var all []Slice
	groups := p.groups()
	if p.Strategy != hub.StrategySequential || p.oneRoute() {
		return p.stage(all, groups, steps)
	}
	for i := range steps {
		all = p.stage(all, groups, steps[i:i+1])
	}
	return all
}

// MindsOver reports whether the cut needs Flow.OverNodes: the hub is the barrier between
// steps, so no runner sees that the success of a handler did not let its node go on.
func (p *Plan) MindsOver() bool {
	return p.Strategy == hub.StrategySequential && !p.oneRoute() && !p.Workflow.Keepgoing &&
		slices.ContainsFunc(p.Workflow.Steps, func(s hub.Step) bool {
			return s.ErrorHandler != nil && !s.ErrorHandler.KeepgoingOnSuccess
		})
}

func (p *Plan) oneRoute() bool {
	return !slices.ContainsFunc(p.NodeRoutes, func(r int) bool { return r != p.NodeRoutes[0] })
}

// stage appends one slice for each group: in one stage, or each in its own when only
// one node may run at a time, since then their order is the nodes' rank.
func (p *Plan) stage(all []Slice, groups []group, steps []int) []Slice {
	next := 0
	if len(all) > 0 {
		next = all[len(all)-1].Stage + 1
	}
	for i, g := range groups {
		stage := next
		if p.Threads <= 1 {
			stage += i
		}
		all = append(all, Slice{Position: len(all), Stage: stage, Route: g.route, Nodes: g.nodes, Steps: steps})
	}
	return all
}

type group struct {
	route int
	nodes []int
}

// groups gathers nodes by route; with one thread only neighbours in rank order.
func (p *Plan) groups() []group {
	var list []group
	for node, route := range p.NodeRoutes {
		at := slices.IndexFunc(list, func(g group) bool { return g.route == route })
		if p.Threads <= 1 && at != len(list)-1 {
			at = -1
		}
		if at < 0 {
			list = append(list, group{route: route})
			at = len(list) - 1
		}
		list[at].nodes = append(list[at].nodes, node)
	}
	return list
}

// Share divides free threads among slices of the given sizes: in proportion, at least
// one and at most its size each. With fewer threads than slices the last ones get 0
// and wait.
func Share(free int, sizes []int) []int {
	out := make([]int, len(sizes))
	if free <= len(sizes) {
		for i := range out {
			if i < free {
				out[i] = 1
			}
		}
		return out
	}
	total := 0
	for i, n := range sizes {
		total += n
		out[i] = 1
	}
	left := min(free, total) - len(sizes)
	for left > 0 {
		// The slice that has least of what it wants gets the next thread; the first of
		// equals, so that the cut is the same whoever makes it.
		best := -1
		for i, n := range sizes {
			if out[i] < n && (best < 0 || out[i]*sizes[best] < out[best]*n) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		out[best]++
		left--
	}
	return out
}
