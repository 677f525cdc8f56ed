package workflow

import (
	"slices"

	"github.com/fairlead/fairlead/hub"
)

// Have is an assignment so far.
type Have struct {
	Position int
	// Nodes it was cut with, without those cancelled before; nil: all of its slice.
	Nodes   []int
	State   hub.AssignmentState
	Threads int
	// Stops: something in it failed, or is unknown, and was not answered (Fold).
	Stops bool
}

// Flow is what was decided about the execution meanwhile.
type Flow struct {
	Cancelled bool
	NoNew     bool
	// CancelledNodes are left out of what is cut from now on.
	CancelledNodes []int
	// OverNodes have no step to come (Over), and are left out too.
	OverNodes []int
}

// Start is a slice that may start now, with its share of the threads.
type Start struct {
	Slice
	Threads int
}

// Cut is what comes next.
type Cut struct {
	Start []Start
	// NoNew: a failure was seen that bars further starts, and was not barred yet.
	NoNew bool
	// Settled: every assignment is settled and nothing more will be cut; Outcome is then
	// the outcome of the execution.
	Settled bool
	Outcome hub.Status
}

// Next decides what comes next. It is total: whatever the assignments are, it starts
// something, waits for something, or settles.
func (p *Plan) Next(have []Have, flow Flow) Cut {
	var cut Cut
	all := p.Slices()
	if !p.Keepgoing && !flow.NoNew && slices.ContainsFunc(have, func(h Have) bool { return h.Stops }) {
		cut.NoNew, flow.NoNew = true, true
	}
	stage, open := p.reached(all, have, flow)
	if !open && stage < 0 {
		cut.Settled = true
		cut.Outcome = outcome(all, have, flow)
		return cut
	}
	if stage >= 0 {
		cut.Start = p.start(all, have, flow, stage)
	}
	return cut
}

// reached tells the stage of which slices may start now, -1 for none, and whether
// anything is still open.
func (p *Plan) reached(all []Slice, have []Have, flow Flow) (stage int, open bool) {
	begun := make(map[int]bool, len(have))
	for _, h := range have {
		begun[h.Position] = true
		open = open || !h.State.Final()
	}
	if flow.Cancelled || flow.NoNew {
		return -1, open
	}
	stage = -1
	for i := range all {
		s := &all[i]
		if begun[s.Position] || len(nodesOf(s, flow)) == 0 {
			continue
		}
		stage = s.Stage
		break
	}
	if stage < 0 {
		return -1, open
	}
	for _, h := range have {
		s := &all[h.Position]
		if s.Stage < stage && !h.State.Final() {
			return -1, true
		}
		if h.Stops && p.barrierStops(s, &all[firstOf(all, stage)]) {
			return -1, open
		}
	}
	return stage, open
}

// barrierStops reports whether a failure in one slice keeps a later one from starting
// for good: when the workflow moved on to another step there and does not keep going.
func (p *Plan) barrierStops(failed, next *Slice) bool {
	return failed.Steps[0] < next.Steps[0] && !p.Workflow.Keepgoing
}

func firstOf(all []Slice, stage int) int {
	return slices.IndexFunc(all, func(s Slice) bool { return s.Stage == stage })
}

// start shares the free threads among the slices of a stage that have not begun.
func (p *Plan) start(all []Slice, have []Have, flow Flow, stage int) []Start {
	free := max(p.Threads, 1)
	begun := make(map[int]bool, len(have))
	for _, h := range have {
		begun[h.Position] = true
		if !h.State.Final() {
			free -= h.Threads
		}
	}
	var waiting []Slice
	var sizes []int
	for _, s := range all {
		if s.Stage != stage || begun[s.Position] {
			continue
		}
		if s.Nodes = nodesOf(&s, flow); len(s.Nodes) > 0 {
			waiting = append(waiting, s)
			sizes = append(sizes, len(s.Nodes))
		}
	}
	var out []Start
	for i, threads := range Share(max(free, 0), sizes) {
		if threads > 0 {
			out = append(out, Start{waiting[i], threads})
		}
	}
	return out
}

// nodesOf are the nodes of a slice that nobody cancelled and that have steps to come.
func nodesOf(s *Slice, flow Flow) []int {
	if len(flow.CancelledNodes) == 0 && len(flow.OverNodes) == 0 {
		return s.Nodes
	}
	return slices.DeleteFunc(slices.Clone(s.Nodes), func(n int) bool {
		return slices.Contains(flow.CancelledNodes, n) || slices.Contains(flow.OverNodes, n)
	})
}

// outcome folds the assignments, and what was never cut.
func outcome(all []Slice, have []Have, flow Flow) hub.Status {
	result := hub.StatusSkipped
	begun := make(map[int][]int, len(have)) // the nodes that a slice was cut with
	for _, h := range have {
		if h.Nodes == nil {
			h.Nodes = all[h.Position].Nodes
		}
		begun[h.Position] = append(begun[h.Position], h.Nodes...)
		result = hub.Fold(result, hub.Status(h.State))
	}
	for i := range all {
		nodes, cut := begun[all[i].Position]
		left := slices.DeleteFunc(slices.Clone(all[i].Nodes), func(n int) bool { return slices.Contains(nodes, n) })
		cancelled := slices.ContainsFunc(left, func(n int) bool { return slices.Contains(flow.CancelledNodes, n) })
		if cancelled || flow.Cancelled && !cut {
			result = hub.Fold(result, hub.StatusCancelled)
		}
	}
	if result == hub.StatusSkipped {
		// Nothing ran and nobody cancelled: there was nothing to do.
		return hub.StatusSucceeded
	}
	return result
}
