package dispatch

import (
	"context"

	"github.com/fairlead/fairlead/hub"
)

// printed is what ended steps of earlier attempts of an execution printed, by node, where a
// log limit counts it. What is not told yet, of attempts that run or were lost, does not
// count: then more is let through than the limit says, never less.
func (d *Dispatcher) printed(ctx context.Context, w *work) (map[int]hub.Printed, error) {
	if l := w.job.spec.Definition.LogLimit; l.Text == "" && l.Quota == 0 || w.job.slices <= 1 && w.tryBase == 0 {
		return nil, nil //nolint:nilnil // nobody counts it, or there was nothing
	}
	return d.st.Printed(ctx, w.assignment.ExecutionID)
}
