package task

import (
	"context"
	"time"
)

// cleanWait bounds the removal of what an earlier process left on one node.
const cleanWait = time.Minute

// clean has removed what an earlier process left on nodes. It takes secrets to log in,
// so it comes with Resumed. For cells that are begun anew it is not needed: they find
// what lies there. The caller holds mu.
func (t *Attempt) clean(stopped bool) {
	cells := t.leftovers
	t.leftovers = nil
	if stopped {
		// These may have been prepared, and will not be again.
		for _, s := range Next(t.plan, t.state, Working, t.inHand).Start {
			cells = append(cells, s.Cell)
		}
	}
	v, data := t.vault, t.state.data.clone()
	for _, c := range cells {
		t.running.Go(func() { t.cleanCell(c, v, data) })
	}
}

func (t *Attempt) cleanCell(c Cell, v *vault, data captured) {
	cmd, err := build(t.plan.Spec, t.disk.ID(), c, v, data)
	if err != nil {
		return // so it never was prepared
	}
	executor, _ := t.executor(cmd.Node) // one that is gone cleans nothing
	cleaner, ok := executor.(Cleaner)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(t.ctx, cleanWait)
	defer cancel()
	if err := cleaner.Clean(ctx, cmd); err != nil {
		t.log.Warn("what an earlier process left on a node may still be there", "node", cmd.Node.GetName(), "error", err)
	}
}
