package hub

// An error handler is a step of its own: in a workflow of n steps the handler of step i
// has position n+i. Node-step rows, specs and faces all count so.

// StepAt returns the step at a position, which step it handles (its own position for
// one that is no handler), and nil for a position that is none.
func (w *Workflow) StepAt(position int) (step *Step, of int) {
	switch n := len(w.Steps); {
	case position >= 0 && position < n:
		return &w.Steps[position], position
	case position >= n && position < 2*n:
		return w.Steps[position-n].ErrorHandler, position - n
	default:
		return nil, 0
	}
}

// HandlerOf returns the position of a step's error handler, or -1.
func (w *Workflow) HandlerOf(position int) int {
	if position < 0 || position >= len(w.Steps) || w.Steps[position].ErrorHandler == nil {
		return -1
	}
	return len(w.Steps) + position
}

// SpecSteps returns the positions of the steps in the spec of an assignment of the
// given steps: those, then the handlers of those that have one. A Cell's step is an
// index of this list.
func (w *Workflow) SpecSteps(steps []int) []int {
	list := append([]int(nil), steps...)
	for _, s := range steps {
		if h := w.HandlerOf(s); h >= 0 {
			list = append(list, h)
		}
	}
	return list
}

// LocalNode is the node of a job that is not sent to nodes: the runner's own host.
func LocalNode() Node {
	return Node{
		Name: "localhost", Hostname: "localhost", Description: "the runner's own host",
		Attributes: map[string]string{"node-executor": "local"},
	}
}
