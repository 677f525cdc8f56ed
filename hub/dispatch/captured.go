package dispatch

import (
	"context"
	"maps"
	"slices"

	"github.com/fairlead/fairlead/proto/wire"
)

// captured are the values that earlier attempts of an execution captured, as they are
// committed: what is cut behind a barrier is offered after the results before it.
func (d *Dispatcher) captured(ctx context.Context, w *work) (map[string]map[string]string, error) {
	if !w.job.workflow.Captures() || w.job.slices <= 1 && w.tryBase == 0 {
		return nil, nil //nolint:nilnil // nothing was captured
	}
	rows, err := d.st.Captured(ctx, w.assignment.ExecutionID)
	if err != nil {
		return nil, err
	}
	out := map[string]map[string]string{}
	size := 0
	// Values of its own nodes come first, since there is a bound.
	for _, own := range []bool{true, false} {
		for i := range rows {
			node, data := rows[i].Node, rows[i].Data
			if node >= len(w.job.base.Nodes) || slices.Contains(w.assignment.Nodes, node) != own {
				continue
			}
			for key, value := range data {
				size += len(key) + len(value)
			}
			if size > wire.MaxSpecData {
				d.log.Warn("not all captured values go into an offer: they are too large together", "execution", w.assignment.ExecutionID, "most", wire.MaxSpecData)
				return out, nil
			}
			name := w.job.base.Nodes[node].Name
			if out[name] == nil {
				out[name] = map[string]string{}
			}
			maps.Copy(out[name], data)
		}
	}
	return out, nil
}
