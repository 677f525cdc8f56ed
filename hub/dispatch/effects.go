package dispatch

import (
	"context"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// effects gathers what a transaction brings about outside of the database. They happen
// after its commit; a transaction that is run again starts with none.
type effects struct {
	d *Dispatcher
	// reserved attempts count for their runner already.
	reserved []place
	// released attempts no longer do.
	released []place
	offers   []*work
	stops    []stopOrder
	forgets  []forgetOrder
	events   []hub.Event
	// ended are executions as they are now that they have ended.
	ended []*store.ExecutionRow
	wake  bool
	// ready: there are new rows that wait for a runner; other members may have one.
	ready bool
	// line: a turn of a job may have become free.
	line bool
	// endings and audit are written as the last of the transaction, all at once.
	endings []store.Ending
	audit   []hub.AuditEvent
	// projects are those of the offers that were read just now, by id; may be nil.
	projects map[string]*hub.Project
}

type place struct{ runnerID, attemptID string }

type stopOrder struct {
	runnerID string
	fence    hub.Fence
	scope    hub.StopScope
}

type forgetOrder struct {
	runnerID string
	fence    hub.Fence
}

// reset undoes what was prepared; call it first in every transaction, and when one
// has failed.
func (f *effects) reset() {
	for _, p := range f.reserved {
		f.d.reg.release(p.runnerID, p.attemptID)
	}
	*f = effects{d: f.d, projects: f.projects}
}

// commit runs fn in a transaction of which these are the effects; whoever calls it applies
// them. An error means that nothing was committed, or that nobody knows.
func (f *effects) commit(ctx context.Context, fn func(st *store.Store) error) error {
	err := f.d.st.InTx(ctx, func(st *store.Store) error {
		f.reset()
		if err := fn(st); err != nil {
			return err
		}
		if err := st.EndExecutions(ctx, f.endings); err != nil {
			return err
		}
		return st.Audit(ctx, f.audit...)
	})
	if err != nil {
		f.reset()
		f.d.failed(err)
	}
	return err
}

// apply makes them happen.
func (f *effects) apply(ctx context.Context) {
	for _, p := range f.released {
		// A slot became free: perhaps something waits for it.
		f.wake = f.d.reg.release(p.runnerID, p.attemptID) && f.d.waiting.Load() || f.wake
	}
	f.sendOffers(ctx)
	for _, s := range f.stops {
		if member := f.d.reg.memberOf(s.runnerID); member != "" {
			f.d.wakeOther(member, hub.Wake{Stops: true})
		}
		for _, sink := range f.d.reg.stop(s.runnerID, s.fence.AttemptID, s.scope) {
			sink.Stop(s.fence, s.scope)
		}
	}
	for _, o := range f.forgets {
		if sink := f.d.reg.sink(o.runnerID); sink != nil {
			sink.Forget(o.fence)
		}
	}
	for _, row := range f.ended {
		f.d.cache.dropJob(row.ID) // before who waits is told: Wait looks here first
		f.d.waiters.ended(row)
	}
	for _, e := range f.events {
		f.d.subs.publish(e)
	}
	if f.wake {
		f.d.wake()
	}
	if f.line {
		f.d.lineMoved()
	}
	if f.ready {
		f.d.wakeOther("", hub.Wake{Ready: true})
	}
}

// sendOffers tells the runners here of their attempts, and other members of those for
// theirs.
func (f *effects) sendOffers(ctx context.Context) {
	elsewhere := make(map[string][]string)
	if f.projects == nil {
		f.projects = make(map[string]*hub.Project)
	}
	for _, w := range f.offers {
		f.d.cache.addWork(w)
		if member := f.d.reg.memberOf(w.runnerID); member != "" {
			elsewhere[member] = append(elsewhere[member], w.fence.AttemptID)
			continue
		}
		f.d.sendOffer(ctx, w, f.projects)
	}
	for member, ids := range elsewhere {
		f.d.wakeOther(member, hub.Wake{Offers: ids})
	}
}

func (f *effects) event(kind hub.EventKind, e *hub.Execution, status hub.Status) {
	f.events = append(f.events, hub.Event{
		Kind: kind, OrganisationID: e.OrganisationID, ProjectID: e.ProjectID, ExecutionID: e.ID, Status: status,
	})
}

// sendOffer tells a runner of an attempt. What goes wrong here costs time, nothing
// else: the offer is told again, or lapses. projects are those read just now, by id, and
// gets the one that has to be read for it.
func (d *Dispatcher) sendOffer(ctx context.Context, w *work, projects map[string]*hub.Project) {
	sink := d.reg.sink(w.runnerID)
	if sink == nil || d.reg.protocol(w.runnerID) < w.job.needs.protocol {
		return // an older build took its place since: the offer lapses
	}
	e := &w.job.base
	if d.cfg.Hold().Kind != "" {
		// A claim of held work is refused; the runner need not ask.
		if row, err := d.st.ExecutionRow(ctx, e.OrganisationID, e.ID); err != nil || row.Held {
			return
		}
	}
	project := projects[e.ProjectID]
	if project == nil {
		var err error
		if project, err = d.st.Project(ctx, e.OrganisationID, e.ProjectID); err != nil {
			d.log.Error("cannot offer an attempt", "attempt", w.fence.AttemptID, "error", err)
			return
		}
		projects[e.ProjectID] = project
	}
	keys, err := d.hostKeys(ctx, w)
	if err != nil {
		d.log.Error("cannot offer an attempt", "attempt", w.fence.AttemptID, "error", err)
		return
	}
	captured, err := d.captured(ctx, w)
	if err != nil {
		d.log.Error("cannot offer an attempt", "attempt", w.fence.AttemptID, "error", err)
		return
	}
	printed, err := d.printed(ctx, w)
	if err != nil {
		d.log.Error("cannot offer an attempt", "attempt", w.fence.AttemptID, "error", err)
		return
	}
	w.project.Store(project)
	sink.Offer(hub.Offer{
		Fence: w.fence, RunnerID: w.runnerID, Execution: e, Assignment: &w.assignment, HostKeys: keys, Project: project, Captured: captured, Printed: printed,
	})
}

// hostKeys are what is known of the nodes that are reached over the network.
func (d *Dispatcher) hostKeys(ctx context.Context, w *work) (map[string][]hub.HostKey, error) {
	var names []string
	for _, n := range w.assignment.Nodes {
		node := &w.job.base.Nodes[n]
		if node.Attributes["node-executor"] != "local" {
			names = append(names, node.Name)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	list, err := d.st.HostKeys(ctx, w.job.base.ProjectID, names...)
	if err != nil {
		return nil, err
	}
	keys := make(map[string][]hub.HostKey, len(list))
	for _, k := range list {
		keys[k.Node] = append(keys[k.Node], k)
	}
	return keys, nil
}
