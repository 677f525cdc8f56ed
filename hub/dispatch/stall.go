package dispatch

import (
	"context"
	"fmt"

	"github.com/fairlead/fairlead/hub"
)

// Stalls takes what a runner says of output that waits for room. It keeps nothing here:
// the runner says it again with every renewal, to whichever member it is connected to.
func (d *Dispatcher) Stalls(ctx context.Context, ref hub.SessionRef, s hub.Stalls) error {
	if len(s.Flowing) > 0 {
		if err := d.st.EndStall(ctx, ref.RunnerID, unique(s.Flowing)); err != nil {
			return fmt.Errorf("noting that output goes on: %w", err)
		}
	}
	if len(s.Disk)+len(s.Unacknowledged) == 0 {
		return nil
	}
	r, err := d.st.Runner(ctx, ref.RunnerID)
	if err != nil {
		return fmt.Errorf("reading a runner whose output waits: %w", err)
	}
	for _, why := range []struct {
		attempts []string
		message  string
	}{
		{s.Disk, "the disk of runner %s is full: commands that print wait until there is space"},
		{s.Unacknowledged, "the spool of runner %s is full: commands that print wait until the hub has taken more of what they printed"},
	} {
		if len(why.attempts) == 0 {
			continue
		}
		w := hub.WaitingFor{Kind: "runner", Since: d.st.Now(), Message: fmt.Sprintf(why.message, r.Name)}
		if err := d.st.SetStalled(ctx, r.ID, unique(why.attempts), w); err != nil {
			return fmt.Errorf("noting that output waits: %w", err)
		}
	}
	return nil
}
