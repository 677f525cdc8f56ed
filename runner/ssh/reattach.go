package ssh

import (
	"context"
	"errors"
	"fmt"

	"github.com/fairlead/fairlead/runner/task"
)

// Reattach implements task.Reattacher. Whether the command was started at all its Run
// finds out: the node may be out of reach for a while, and a stop must be able to end
// the search.
func (e *Executor) Reattach(_ context.Context, c *task.Command, from task.Offsets) (task.Process, bool, error) {
	t, err := e.readTarget(c)
	if err != nil {
		return nil, false, err
	}
	d := e.detached(t, c)
	d.again, d.from, d.copied = true, from, c.Script != nil
	e.remember(d)
	return d, true, nil
}

// remember keeps a step until its attempt is forgotten: then its directory goes, too.
func (e *Executor) remember(d *detached) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.steps[d.command.AttemptID] = append(e.steps[d.command.AttemptID], d)
}

// Forget implements task.Reattacher: it removes the directories of an attempt's
// detached steps. One that cannot be removed is told as an error, and goes with a later
// step on its node.
func (e *Executor) Forget(ctx context.Context, attemptID string) error {
	e.mu.Lock()
	steps := e.steps[attemptID]
	delete(e.steps, attemptID)
	e.mu.Unlock()
	var errs []error
	for i, d := range steps {
		if ctx.Err() != nil {
			errs = append(errs, fmt.Errorf("%d directories of detached steps stay on their nodes: %w", len(steps)-i, context.Cause(ctx)))
			break
		}
		errs = append(errs, d.remove(ctx))
	}
	return errors.Join(errs...)
}
