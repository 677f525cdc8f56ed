package dispatch

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/workflow"
	"github.com/fairlead/fairlead/proto/failpoint"
)

const (
	// maxAttempts bounds how often an idempotent assignment is tried again.
	maxAttempts = 3
	// atOnce bounds how much one look at the rows takes.
	atOnce = 1000
	// remoteEvery so many ticks the rows of other members' runners are read again, if any
	// has changed: those members look at each tick, and refuse what a person barred.
	remoteEvery = 5
	// readAllEvery so many ticks all are, whatever the mark says: in a database that went
	// back it may be as it was, over other rows.
	readAllEvery = 60
	// overdue is how long behind the job's time a runner may be before it is told again.
	overdue = time.Minute
)

// runTicks does what lapses: offers, leases, lost runners, logs that do not come, time
// limits. Nothing here is needed for safety; it decides when to stop waiting.
func (d *Dispatcher) runTicks(ctx context.Context) error {
	timer := time.NewTicker(d.cfg.Poll)
	defer timer.Stop()
	first, seen := d.tick(), int64(-1)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		d.tellStops(ctx)
		tick := d.tick()
		if tick == seen {
			continue
		}
		if tick < seen {
			first = tick // the database went back, and its clock with it
		}
		seen = tick
		// Until it has accepted streams for the life of a lease, a member cannot tell a
		// runner that is gone from one that is on its way here.
		if err := d.lapse(ctx, tick, tick-first >= d.cfg.LeaseTicks); err != nil && ctx.Err() == nil {
			d.log.Error("cannot look after what lapses", "error", err)
		}
		d.looked.Add(1)
	}
}

// lapse looks once at everything that time decides.
func (d *Dispatcher) lapse(ctx context.Context, tick int64, mayExpire bool) error {
	d.reg.forgetRefusals(tick)
	all := []error{d.readRunners(ctx, tick), d.sayQuarantined(ctx, d.reg.quarantined())}
	if mayExpire {
		all = append(all, d.expireOffers(ctx, tick), d.loseSilent(ctx, tick))
	}
	return errors.Join(append(all, d.lookAtOpen(ctx))...)
}

// readRunners takes over what has changed about runners.
func (d *Dispatcher) readRunners(ctx context.Context, tick int64) error {
	mark, err := d.st.RunnersMark(ctx)
	if err != nil {
		return err
	}
	own := mark != d.ownMark || tick%readAllEvery == 0
	remote := tick%remoteEvery == 0 && (mark != d.remoteMark || tick%readAllEvery == 0)
	rows, err := d.st.RunnersByID(ctx, d.reg.toRead(own, remote))
	if err != nil {
		return err
	}
	for _, sink := range d.reg.refresh(rows) {
		sink.End(errReleased)
	}
	d.ownMark = mark
	if remote {
		d.remoteMark = mark
	}
	return nil
}

// tellStops tells the runners of this member again what they have to stop and have not
// confirmed.
func (d *Dispatcher) tellStops(ctx context.Context) {
	for after := ""; ; {
		list, err := d.st.StoppableAttempts(ctx, after, atOnce)
		if err != nil {
			if ctx.Err() == nil {
				d.log.Error("cannot read what is to stop", "error", err)
			}
			return
		}
		d.tellSome(ctx, list)
		if len(list) < atOnce {
			return
		}
		after = list[len(list)-1].AttemptID
	}
}

func (d *Dispatcher) tellSome(ctx context.Context, list []*store.AttemptRow) {
	for _, t := range list {
		if d.reg.sink(t.RunnerID) == nil {
			continue // another member's, or nobody's now
		}
		row, err := d.st.ExecutionRow(ctx, t.OrganisationID, t.ExecutionID)
		if err != nil {
			continue
		}
		w, err := d.work(ctx, d.st, t.AttemptID)
		if err != nil || w == nil {
			continue
		}
		scope := stopScope(row, w.assignment.Nodes)
		if !scope.Asked {
			continue
		}
		for _, sink := range d.reg.stop(t.RunnerID, t.AttemptID, scope) {
			sink.Stop(t.Fence, scope)
		}
	}
}

// change runs f on an execution that it locks, in a transaction of its own, and advances
// it. One that another transaction holds is left for the next tick.
func (d *Dispatcher) change(ctx context.Context, id string, f func(st *store.Store, fx *effects, x *executionState) error) error {
	return d.changeLocked(ctx, id, true, f)
}

func (d *Dispatcher) changeLocked(ctx context.Context, id string, skipLocked bool, f func(st *store.Store, fx *effects, x *executionState) error) error {
	fx := &effects{d: d}
	err := fx.commit(ctx, func(st *store.Store) error {
		states, err := d.lockAll(ctx, st, []string{id}, skipLocked)
		if err != nil || states[id] == nil {
			return err // held by another: it moves, look again at the next tick
		}
		if err := f(st, fx, states[id]); err != nil {
			return err
		}
		return d.advance(ctx, st, fx, states[id])
	})
	if err != nil {
		return err
	}
	fx.apply(ctx)
	return nil
}

// expireOffers takes back offers that nobody claimed.
func (d *Dispatcher) expireOffers(ctx context.Context, tick int64) error {
	list, err := d.st.ExpiredOffers(ctx, tick-d.cfg.OfferTicks, atOnce)
	if err != nil {
		return err
	}
	var all []error
	for _, t := range list {
		all = append(all, d.change(ctx, t.ExecutionID, func(st *store.Store, fx *effects, x *executionState) error {
			gone, err := st.WithdrawAttempts(ctx, []string{t.AttemptID}, "expire", "nobody claimed it")
			if err != nil || !gone[t.AttemptID] {
				return err
			}
			fx.released = append(fx.released, place{t.RunnerID, t.AttemptID})
			d.reg.refuse(t.AssignmentID, t.RunnerID, tick+d.cfg.OfferTicks)
			return d.ready(ctx, st, fx, x, t.AssignmentID)
		}))
	}
	return errors.Join(all...)
}

// loseSilent flags attempts whose lease is over, and gives up those whose runner was
// not heard of for lost_after more. A runner that was revoked is not waited for, not even
// by what waits for ever: nobody will hear it again.
//
// It looks at all of them: those that wait for ever stay in the list, and must not keep it
// from the others.
func (d *Dispatcher) loseSilent(ctx context.Context, tick int64) error {
	var all []error
	for after := ""; ; {
		silent, err := d.st.SilentAttempts(ctx, tick-d.cfg.LeaseTicks, after, atOnce)
		if err != nil || len(silent) == 0 {
			return errors.Join(append(all, err)...)
		}
		all = append(all, d.loseSome(ctx, silent, tick))
		after = silent[len(silent)-1].AttemptID
	}
}

func (d *Dispatcher) loseSome(ctx context.Context, silent []store.Silent, tick int64) error {
	barred, err := d.st.BarredRunners(ctx)
	if err != nil {
		return err
	}
	var worry []store.Silent
	var all []error
	for _, s := range silent {
		if barred[s.RunnerID].Revoked {
			all = append(all, d.giveUp(ctx, s, tick-d.cfg.LeaseTicks, "its runner was revoked", true))
		} else if s.LostAfter > 0 && s.Tick+d.cfg.LeaseTicks+s.LostAfter < tick {
			all = append(all, d.lose(ctx, s, tick))
		} else if !s.Disconnected {
			worry = append(worry, s)
		}
	}
	if len(worry) > 0 {
		all = append(all, d.st.InTx(ctx, func(st *store.Store) error {
			var notes []store.AttemptEvent
			for _, s := range worry {
				notes = append(notes, store.AttemptEvent{AttemptID: s.AttemptID, Event: "disconnected", State: hub.AttemptRunning})
			}
			// Executions first, as everywhere.
			if err := d.sayGone(ctx, st, worry); err != nil {
				return err
			}
			if err := st.Disconnect(ctx, worry); err != nil {
				return err
			}
			if failpoint.Mutant("M5") {
				return d.requeue(ctx, st, worry)
			}
			return st.InsertAttemptEvents(ctx, notes)
		}))
		if failpoint.Mutant("M5") {
			d.wake()
		}
	}
	return errors.Join(all...)
}

// sayGone says of executions that they wait for a runner that holds something of them.
func (d *Dispatcher) sayGone(ctx context.Context, st *store.Store, worry []store.Silent) error {
	byRunner := make(map[string][]string)
	for _, s := range worry {
		byRunner[s.RunnerID] = append(byRunner[s.RunnerID], s.ExecutionID)
	}
	runners, err := st.RunnersByID(ctx, unique(slices.Collect(maps.Keys(byRunner))))
	if err != nil {
		return err
	}
	for _, r := range runners {
		err := st.SetWaiting(ctx, unique(byRunner[r.ID]), hub.WaitingFor{
			Kind: "runner", Since: st.Now(), Message: whyNotHeard(r),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// requeue is mutant M5: an expired claim goes back to ready, with a grant out.
func (d *Dispatcher) requeue(ctx context.Context, st *store.Store, worry []store.Silent) error {
	for _, s := range worry {
		w, err := d.work(ctx, st, s.AttemptID)
		if err != nil || w == nil {
			return err
		}
		if err := st.ReleaseAssignments(ctx, []string{w.assignment.ID}); err != nil {
			return err
		}
	}
	return nil
}

// lose gives up an attempt whose runner was not heard of.
func (d *Dispatcher) lose(ctx context.Context, s store.Silent, tick int64) error {
	return d.giveUp(ctx, s, tick-d.cfg.LeaseTicks-s.LostAfter, "nothing was heard of its runner", true)
}

// giveUp makes an attempt that was not renewed since before unknown: what has no
// acknowledged end of it is. What may be tried again is cut anew.
func (d *Dispatcher) giveUp(ctx context.Context, s store.Silent, before int64, why string, skipLocked bool) error {
	return d.changeLocked(ctx, s.ExecutionID, skipLocked, func(st *store.Store, fx *effects, x *executionState) error {
		gone, err := st.LoseAttempts(ctx, []string{s.AttemptID}, before, why)
		if err != nil || !gone[s.AttemptID] {
			return err
		}
		fx.released = append(fx.released, place{s.RunnerID, s.AttemptID})
		w, err := d.work(ctx, st, s.AttemptID)
		if err != nil || w == nil {
			return err
		}
		a := x.assignment(w.assignment.ID)
		if a == nil || a.State != hub.AssignmentActive {
			return nil
		}
		rows, err := st.NodeStepsOfAttempts(ctx, s.AttemptID)
		if err != nil {
			return err
		}
		disputed, err := st.HasAttemptEvent(ctx, s.AttemptID, eventOtherHistory)
		if err != nil {
			return err
		}
		l := &loss{work: w, a: a, rows: rows[s.AttemptID], x: x, now: st.Now(), disputed: disputed}
		open, barred := l.open()
		if err := st.PutNodeSteps(ctx, append(barred, open...)); err != nil {
			return err
		}
		l.rows = append(l.rows, barred...)
		fx.event(hub.EventNodeSteps, &x.row.Execution, x.row.Status)
		return d.endLost(ctx, st, fx, l, open)
	})
}

// endLost settles the assignment of a lost attempt, or cuts what is left of it anew.
func (d *Dispatcher) endLost(ctx context.Context, st *store.Store, fx *effects, l *loss, open []hub.NodeStep) error {
	// A node that a person cancelled is not begun again.
	left := slices.DeleteFunc(slices.Clone(open), func(r hub.NodeStep) bool { return slices.Contains(l.x.row.CancelledNodes, r.Node) })
	again := l.again(left)
	if !again {
		left = nil
	}
	ended := slices.DeleteFunc(slices.Concat(l.rows, open), func(r hub.NodeStep) bool { return !r.Status.Final() || has(left, r) })
	folded := workflow.Fold(l.work.job.workflow, ended, l.x.row.CancelledNodes)
	end := store.AssignmentEnd{ID: l.a.ID, State: hub.AssignmentState(folded.Outcome), Stops: folded.Stops, Reason: "nothing was heard of its runner"}
	if again {
		end.Reason = "nothing was heard of its runner; what is left is tried again"
		if err := d.tryAgain(ctx, st, fx, l, left); err != nil {
			return err
		}
	}
	l.a.State, l.a.Stops = end.State, end.Stops
	return st.EndAssignments(ctx, []store.AssignmentEnd{end})
}

// tryAgain makes assignments of the steps that are open: one for each group of nodes
// that lack the same ones.
func (d *Dispatcher) tryAgain(ctx context.Context, st *store.Store, fx *effects, l *loss, open []hub.NodeStep) error {
	tries := 0
	for _, r := range append(l.rows, open...) {
		tries = max(tries, r.Try)
	}
	var made []*store.AssignmentRow
	for _, n := range l.a.Nodes {
		var steps []int
		for _, r := range open {
			if r.Node == n {
				steps = append(steps, r.Step)
			}
		}
		if len(steps) == 0 {
			continue
		}
		if last := len(made) - 1; last >= 0 && equalInts(made[last].Steps, steps) {
			made[last].Nodes = append(made[last].Nodes, n)
			continue
		}
		a := *l.a
		a.ID, a.Nodes, a.Steps = store.NewID(), []int{n}, steps
		a.State, a.OpenAttempt, a.TryBase, a.ReadyAt = hub.AssignmentReady, true, tries, st.Now()
		made = append(made, &a)
	}
	// Together they use no more threads than the one they replace: those for which there is
	// none wait until others have ended, see OfferAssignments.
	sizes := make([]int, len(made))
	for i, a := range made {
		sizes[i] = len(a.Nodes)
	}
	for i, threads := range workflow.Share(l.a.Threads, sizes) {
		made[i].Threads = max(threads, 1)
	}
	fx.wake, fx.ready = true, true
	d.waiting.Store(true)
	l.x.assignments = append(l.x.assignments, made...)
	return st.InsertAssignments(ctx, made)
}

func equalInts(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// lookAtOpen looks at executions that only time can move: those whose log does not
// come, whose time is over, or that found no runner for too long.
func (d *Dispatcher) lookAtOpen(ctx context.Context) error {
	var all []error
	for after := ""; ; {
		list, err := d.st.DueExecutions(ctx, after, atOnce)
		if err != nil {
			return errors.Join(append(all, err)...)
		}
		for _, row := range list {
			after = row.ID
			all = append(all, d.change(ctx, row.ID, func(st *store.Store, fx *effects, x *executionState) error {
				return d.whatIsDue(ctx, st, fx, x)
			}))
		}
		if len(list) < atOnce {
			return errors.Join(all...)
		}
	}
}

func (d *Dispatcher) timeOver(row *store.ExecutionRow) time.Duration {
	if row.Timeout <= 0 || row.StartedAt.IsZero() {
		return 0
	}
	return max(d.st.Now().Sub(row.StartedAt)-row.Timeout, 0)
}

func (d *Dispatcher) waitOver(row *store.ExecutionRow) bool {
	w := row.WaitingFor
	return row.RunnerTimeout > 0 && w != nil && d.st.Now().Sub(w.Since) > row.RunnerTimeout
}

// whatIsDue does what time decided about an execution; advance does the rest.
func (d *Dispatcher) whatIsDue(ctx context.Context, st *store.Store, fx *effects, x *executionState) error {
	switch over := d.timeOver(x.row); {
	case x.row.Outcome != "":
		return nil
	case over > overdue && !x.row.CancelRequested:
		// The runner should have stopped by its own clock; tell it, and whoever waits.
		if err := st.SetCancel(ctx, x.row.ID, "the job's timeout"); err != nil {
			return err
		}
		x.row.CancelRequested = true
		return d.endOpen(ctx, st, fx, x, hub.AssignmentTimedOut, "the job's time was over before it could start")
	case over > 0:
		return endReady(ctx, st, x, hub.AssignmentTimedOut, "the job's time was over before it could start")
	case d.waitOver(x.row):
		why := "no runner took it in time; " + x.row.WaitingFor.Message
		if x.row.StartedAt.IsZero() {
			// No step has a message then, and what it waited for is gone with its end.
			x.row.Reason = why
			if err := st.SetReason(ctx, x.row.ID, why); err != nil {
				return err
			}
		}
		return endReady(ctx, st, x, hub.AssignmentFailed, why)
	}
	return nil
}

// endReady ends assignments that wait for a runner; those that have one go on. What
// was not cut yet is barred.
func endReady(ctx context.Context, st *store.Store, x *executionState, state hub.AssignmentState, reason string) error {
	if err := x.lockOpen(ctx, st); err != nil {
		return err
	}
	var ends []store.AssignmentEnd
	for _, a := range x.assignments {
		if a.State != hub.AssignmentReady {
			continue
		}
		end := store.AssignmentEnd{ID: a.ID, State: state, Stops: true, Reason: reason}
		if a.OpenAttempt {
			end.State = hub.AssignmentUnknown
		}
		a.State, a.Stops = end.State, true
		ends = append(ends, end)
	}
	if len(ends) == 0 {
		return nil
	}
	return st.EndAssignments(ctx, ends)
}
