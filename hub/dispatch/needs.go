package dispatch

import (
	"context"
	"fmt"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/proto/wire"
)

// needs is what a job asks of the build of its runners.
type needs struct {
	// protocol is the version that they must speak.
	protocol uint32
	// what an earlier one does not know, for people.
	what string
}

// needsOf looks at the whole job, not at the steps of one assignment: a runner that knows no
// log filters would also leave ${data.x} of another runner's step as it stands.
func needsOf(def *hub.Job) needs {
	limited := def.LogLimit.Text != "" || def.LogLimit.Quota > 0
	switch filtered := def.Workflow.Filtered(); {
	case filtered && limited:
		return needs{wire.ProtocolLogFilters, "log filters and no log limit"}
	case filtered:
		return needs{wire.ProtocolLogFilters, "log filters"}
	case limited:
		return needs{wire.ProtocolLogFilters, "log limit"}
	default:
		return needs{}
	}
}

func olderThanHub(runner, lacks string) string {
	return fmt.Sprintf("runner %s is older than its hub: it knows no %s; upgrade it", runner, lacks)
}

// tooOldToClaim refuses a claim of an offer that was made to a later build of the runner. The
// runner gives it back: so does one whose claim was granted and its grant lost.
func (d *Dispatcher) tooOldToClaim(ctx context.Context, w *work) error {
	r, err := d.st.Runner(ctx, w.runnerID)
	if err != nil {
		return err
	}
	return refused(w.fence, hub.RefusedOldSession, "The runner is too old for this: "+olderThanHub(r.Name, w.job.needs.what)+".")
}

// tooOldToResume makes an attempt wait for the build of its runner that began it, or a later
// one, and its execution say so. Its steps that run on are masked by what started them. An
// attempt that is over it leaves to the refusal that says so.
func (d *Dispatcher) tooOldToResume(ctx context.Context, w *work) error {
	rows, err := d.st.Attempts(ctx, []string{w.fence.AttemptID}, false)
	if err != nil || len(rows) == 0 || !rows[0].State.Live() {
		return err
	}
	r, err := d.st.Runner(ctx, w.runnerID)
	if err != nil {
		return err
	}
	why := olderThanHub(r.Name, w.job.needs.what)
	wait := hub.WaitingFor{Kind: "runner", Since: d.st.Now(), Message: why}
	if err := d.st.SetStalled(ctx, r.ID, []string{w.fence.AttemptID}, wait); err != nil {
		return fmt.Errorf("noting that a runner is too old to go on: %w", err)
	}
	return refused(w.fence, hub.RefusedTryAgain, "The runner is too old to go on: "+why+".")
}

// resumedByNewer takes back what tooOldToResume said.
func (d *Dispatcher) resumedByNewer(ctx context.Context, w *work) error {
	if w.job.needs.protocol == 0 {
		return nil
	}
	if err := d.st.EndStall(ctx, w.runnerID, []string{w.fence.AttemptID}); err != nil {
		return fmt.Errorf("noting that a runner goes on: %w", err)
	}
	return nil
}
