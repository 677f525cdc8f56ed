package output

import (
	"context"
	"maps"

	"github.com/fairlead/fairlead/hub"
)

// Failure is the node step of an execution that failed first, and where it speaks.
type Failure struct {
	hub.NodeStep
	// Before is the position in front of the first line that it printed, Line the number of
	// that line within its attempt; "" and 0 when it printed nothing.
	Before string
	Line   int64
	// Last are the last lines that it printed.
	Last []ContextLine
}

// failureLines is how many last lines of a failure are told.
const failureLines = 20

// FirstFailure finds what failed first in an execution, nil for nothing.
func (o *Output) FirstFailure(ctx context.Context, organisationID, executionID string) (*Failure, error) {
	r := o.reader(Query{OrganisationID: organisationID, ExecutionID: executionID})
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	n, err := o.st.FirstFailure(ctx, executionID)
	if n == nil || err != nil {
		return nil, err
	}
	r.only, r.few = n, true
	if err := r.learn(ctx); err != nil {
		return nil, err
	}
	out := &Failure{NodeStep: *n}
	for _, s := range r.order {
		k := keyOf(s.log.AttemptID)
		if s.log.AttemptID != n.AttemptID {
			r.pos[k] = position{seq: s.log.Next} // what stands before it is read
			continue
		}
		return out, r.failure(ctx, s, k, out)
	}
	return out, nil
}

// failure fills in the first line and the last ones of the cell that is wanted.
func (r *reader) failure(ctx context.Context, s *source, k key, out *Failure) error {
	before := maps.Clone(r.pos)
	r.left = 1
	r.yield = func(b *Batch, _ error) bool {
		before[k] = position{b.seq, b.after[0] - 1}
		out.Before, out.Line = before.String(), b.Lines[0].N
		return true
	}
	if err := r.drain(ctx, s); err != nil || out.Before == "" {
		return err
	}
	r.pos[k], r.left, r.stopped = position{seq: s.log.Next}, -1, false
	r.order = []*source{s}
	if err := r.back(ctx, failureLines); err != nil {
		return err
	}
	r.yield = func(b *Batch, _ error) bool {
		for i := range b.Lines {
			out.Last = append(out.Last, contextLine(b, i))
		}
		return true
	}
	return r.drain(ctx, s)
}

// cell makes the sieve of one try of one step on one node.
func (s *source) cell(n *hub.NodeStep) *sieve {
	v := (&Filter{}).sieve(nil, nil, nil)
	v.all, v.try = false, uint32(max(1, n.Try-s.tryBase))
	v.nodes, v.steps = make([]bool, len(s.nodes)), make([]bool, len(s.specSteps))
	for i := range s.nodes {
		v.nodes[i] = s.nodes[i] == n.Node
	}
	for i := range s.specSteps {
		v.steps[i] = s.specSteps[i] == n.Step
	}
	return v
}
