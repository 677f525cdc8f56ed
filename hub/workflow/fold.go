package workflow

import (
	"cmp"
	"slices"

	"github.com/fairlead/fairlead/hub"
)

// Folded is what node steps come to.
type Folded struct {
	Outcome hub.Status
	// Stops: a failure that no handler answered, a timeout, or an unknown of a step that
	// does not say to go on. What keepgoing and barriers look at.
	Stops bool
	// Nodes is the outcome of each node, by position.
	Nodes map[int]hub.Status
}

// Fold folds the node steps of an attempt or of an execution, in any order: of each step
// on each node the newest try counts, a failure whose handler succeeded is a success,
// and a cancel behind a try whose end nobody saw is unknown. cancelled are the nodes that
// a person cancelled: their cancels stop no other node.
func Fold(w *hub.Workflow, rows []hub.NodeStep, cancelled []int) Folded {
	f := Folded{Outcome: hub.StatusSkipped, Nodes: make(map[int]hub.Status)}
	newest := Newest(rows)
	doubted := make(map[[2]int]bool)
	for i := range rows {
		if rows[i].Status == hub.StatusUnknown && !rows[i].EndProven {
			doubted[[2]int{rows[i].Node, rows[i].Step}] = true
		}
	}
	handled := make(map[[2]int]bool)
	for i := range newest {
		r := &newest[i]
		if step, of := w.StepAt(r.Step); step != nil && of != r.Step && r.Status == hub.StatusSucceeded {
			handled[[2]int{r.Node, of}] = true
		}
	}
	for i := range newest {
		r := &newest[i]
		status := r.Status
		step, of := w.StepAt(r.Step)
		answered := handled[[2]int{r.Node, of}] && (status == hub.StatusFailed || status == hub.StatusTimedOut)
		if answered {
			status = hub.StatusSucceeded
		}
		if status == hub.StatusCancelled && doubted[[2]int{r.Node, r.Step}] {
			status = hub.StatusUnknown // an earlier try may still act
		}
		f.Outcome = hub.Fold(f.Outcome, status)
		f.Nodes[r.Node] = hub.Fold(orSkipped(f.Nodes[r.Node]), status)
		switch status {
		case hub.StatusFailed, hub.StatusTimedOut:
			f.Stops = true
		case hub.StatusCancelled:
			f.Stops = f.Stops || !slices.Contains(cancelled, r.Node)
		case hub.StatusUnknown:
			f.Stops = f.Stops || step == nil || !step.ContinueOnUnknown
		}
	}
	return f
}

// Over finds the nodes on which no later step may start, each with the step at which its
// way through the workflow ended: one that failed or is unknown, in a workflow that does
// not keep going. A handler's success alone does not let the node go on.
func Over(w *hub.Workflow, rows []hub.NodeStep) map[int]int {
	over := make(map[int]int)
	if w.Keepgoing {
		return over
	}
	newest := make(map[[2]int]hub.Status)
	for _, r := range Newest(rows) {
		newest[[2]int{r.Node, r.Step}] = r.Status
	}
	for at, status := range newest {
		node, position := at[0], at[1]
		step, of := w.StepAt(position)
		if step == nil || of != position {
			continue
		}
		ends := false
		switch status {
		case hub.StatusFailed, hub.StatusTimedOut:
			handled := newest[[2]int{node, w.HandlerOf(position)}] == hub.StatusSucceeded
			ends = !handled || !step.ErrorHandler.KeepgoingOnSuccess
		case hub.StatusUnknown:
			ends = !step.ContinueOnUnknown
		}
		if first, is := over[node]; ends && (!is || position < first) {
			over[node] = position
		}
	}
	return over
}

func orSkipped(s hub.Status) hub.Status {
	if s == "" {
		return hub.StatusSkipped
	}
	return s
}

// NodeStatus is the state of a node whose steps have these states, one of which at least
// may still be open; folded is what they come to once none is.
func NodeStatus(steps []hub.Status, folded hub.Status) hub.Status {
	open, begun := false, false
	for _, status := range steps {
		switch {
		case status == hub.StatusRunning:
			return hub.StatusRunning
		case status.Final():
			begun = true
		default:
			open = true
		}
	}
	switch {
	case open && begun:
		return hub.StatusRunning
	case open, len(steps) == 0:
		return hub.StatusQueued
	}
	return folded
}

// Newest returns the newest try of each step on each node, by node and step.
func Newest(rows []hub.NodeStep) []hub.NodeStep {
	list := slices.Clone(rows)
	slices.SortFunc(list, func(a, b hub.NodeStep) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Step, b.Step), cmp.Compare(b.Try, a.Try))
	})
	return slices.CompactFunc(list, func(a, b hub.NodeStep) bool { return a.Node == b.Node && a.Step == b.Step })
}

// Failure reports whether a record is a failure that nothing will answer: what sets
// no_new before its attempt has ended.
func Failure(w *hub.Workflow, step int, status hub.Status) bool {
	s, _ := w.StepAt(step)
	switch status {
	case hub.StatusUnknown:
		// One that may be run again comes again as another try.
		return s == nil || !s.ContinueOnUnknown && !s.Idempotent
	case hub.StatusFailed, hub.StatusTimedOut:
		// A handled step's is its handler's affair, a retried one's comes again as another
		// try, also where it is a handler that is retried.
		return s == nil || s.ErrorHandler == nil && s.Retries == 0
	default:
		return false
	}
}
