package dispatch

import (
	"context"
	"errors"
	"fmt"

	"github.com/fairlead/fairlead/hub"
)

// sayQuarantined says of executions that a person has to decide about a runner that has
// steps of them. Of two instances the hub may have heard the one that cannot go on, and
// then nothing else ends the execution. It is said again at each tick, since whatever else
// is said of the runner may take its place.
func (d *Dispatcher) sayQuarantined(ctx context.Context, runners []*hub.Runner) error {
	var all []error
	for _, r := range runners {
		if r.Quarantined != "" && !r.Revoked {
			all = append(all, d.sayDecide(ctx, r))
		}
	}
	return errors.Join(all...)
}

func (d *Dispatcher) sayDecide(ctx context.Context, r *hub.Runner) error {
	open, err := d.st.OpenAttemptsOfRunner(ctx, r.ID)
	if err != nil {
		return err
	}
	var ids []string
	for _, t := range open {
		if t.State.Live() {
			ids = append(ids, t.ExecutionID)
		}
	}
	rows, err := d.st.ExecutionRows(ctx, unique(ids))
	if err != nil {
		return err
	}
	want := &hub.WaitingFor{Kind: "runner", Since: d.st.Now(), Message: whyNotHeard(r)}
	var changed []string
	var events []hub.Event
	for _, row := range rows {
		if row.Outcome != "" || sameWait(row.WaitingFor, want) {
			continue
		}
		changed = append(changed, row.ID)
		events = append(events, hub.Event{Kind: hub.EventExecution, OrganisationID: row.OrganisationID, ProjectID: row.ProjectID, ExecutionID: row.ID, Status: row.Status})
	}
	if err := d.st.SetWaiting(ctx, changed, *want); err != nil {
		return err
	}
	for _, e := range events {
		d.subs.publish(e)
	}
	return nil
}

// whyNotHeard says why an execution may not move whose steps a runner has, and what
// moves it.
func whyNotHeard(r *hub.Runner) string {
	switch {
	case r.Revoked:
		return "runner " + r.Name + ", which has steps of it, was revoked and is not heard any more; they are given up in a moment"
	case r.Quarantined != "":
		return fmt.Sprintf("runner %[1]s, which has steps of it, is under quarantine: %[2]s Run `fairlead runners release %[1]s`, or `fairlead runners revoke %[1]s` to give up what it has. What runs there goes on.", r.Name, r.Quarantined)
	default:
		return "runner " + r.Name + ", which has steps of it, is not connected; what runs there goes on"
	}
}
