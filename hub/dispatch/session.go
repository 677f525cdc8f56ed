package dispatch

import (
	"bytes"
	"context"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/batch"
	"github.com/fairlead/fairlead/hub/store"
)

// sessionRequest is a Hello, or a Confirm when hello is nil.
type sessionRequest struct {
	hello *hub.Hello
	ref   hub.SessionRef
}

type sessionAnswer struct {
	welcome hub.Welcome
	// back are attempts of the inventory that were disconnected before, all of the runner's
	// when a quarantine is over.
	back []string
}

type sessionCall = batch.Call[sessionRequest, sessionAnswer]

// Hello opens a session: one commit.
func (d *Dispatcher) Hello(ctx context.Context, h hub.Hello) (hub.Welcome, error) {
	answer, err := d.hellos.Do(ctx, sessionRequest{hello: &h, ref: hub.SessionRef{RunnerID: h.RunnerID, OrganisationID: h.OrganisationID}})
	if err == nil {
		d.heardAgain(ctx, answer.back)
	}
	return answer.welcome, err
}

// Confirm makes a session the current one. A *hub.Refused says that it is not the
// newest: the stream must end.
func (d *Dispatcher) Confirm(ctx context.Context, ref hub.SessionRef) error {
	if _, err := d.hellos.Do(ctx, sessionRequest{ref: ref}); err != nil {
		return err
	}
	d.reg.confirm(ref)
	d.settled(ctx, ref)
	return nil
}

// Attach gives a session its way to the runner: offers, stops and forgets go there,
// once it is confirmed, until detach is called. What was to be told meanwhile is told at
// once.
func (d *Dispatcher) Attach(ref hub.SessionRef, sink Sink) (detach func()) {
	d.reg.attach(ref, sink)
	d.settled(context.Background(), ref)
	return func() {
		if !d.reg.detach(ref) {
			return // another session followed
		}
		// For other members and for people only; the stream is gone either way.
		ctx, cancel := context.WithTimeout(context.Background(), d.cfg.Poll)
		defer cancel()
		if err := d.st.CloseSession(ctx, ref); err != nil {
			d.log.Warn("cannot note the end of a session", "runner", ref.RunnerID, "error", err)
		}
		d.subs.publish(hub.Event{Kind: hub.EventRunner, OrganisationID: ref.OrganisationID, RunnerID: ref.RunnerID})
	}
}

// settled tells a runner whose session became usable what waits for it: offers that it
// may not have seen, and stops.
func (d *Dispatcher) settled(ctx context.Context, ref hub.SessionRef) {
	if d.reg.sink(ref.RunnerID) != nil {
		_, _ = d.arrivals.Do(ctx, ref) // an error: the session or this member is ending
	}
}

// settleArrivals does so for runners that came together.
func (d *Dispatcher) settleArrivals(ctx context.Context, calls []*batch.Call[hub.SessionRef, struct{}]) error {
	ids := make([]string, len(calls))
	for i, c := range calls {
		ids[i] = c.Request.RunnerID
		d.subs.publish(hub.Event{Kind: hub.EventRunner, OrganisationID: c.Request.OrganisationID, RunnerID: c.Request.RunnerID})
	}
	open, err := d.st.OpenAttemptsOfRunners(ctx, ids)
	if err != nil {
		d.log.Error("cannot read the attempts of runners", "runners", ids, "error", err)
	}
	projects := make(map[string]*hub.Project)
	for _, t := range open {
		w, err := d.work(ctx, d.st, t.AttemptID)
		if err != nil || w == nil {
			continue
		}
		if t.State == hub.AttemptOffered {
			d.sendOffer(ctx, w, projects)
		}
	}
	d.tellStops(ctx)
	d.wake()
	return nil
}

// commitSessions is one transaction for hellos and confirms that came together.
func (d *Dispatcher) commitSessions(ctx context.Context, calls []*sessionCall) error {
	var accused []*sessionCall
	err := d.st.InTx(ctx, func(st *store.Store) error {
		accused = nil
		for _, c := range calls {
			c.Answer, c.Err = sessionAnswer{}, nil
		}
		if err := d.confirm(ctx, st, calls); err != nil {
			return err
		}
		var err error
		accused, err = d.greet(ctx, st, calls)
		return err
	})
	if err != nil {
		return err
	}
	for _, c := range accused {
		d.log.Error("runner quarantined", "runner", c.Request.ref.RunnerID, "presented", c.Request.hello.SessionEpoch)
	}
	return nil
}

func (d *Dispatcher) confirm(ctx context.Context, st *store.Store, calls []*sessionCall) error {
	var refs []hub.SessionRef
	for _, c := range calls {
		if c.Request.hello == nil {
			refs = append(refs, c.Request.ref)
		}
	}
	if len(refs) == 0 {
		return nil
	}
	done, err := st.ConfirmSessions(ctx, refs)
	if err != nil {
		return err
	}
	for _, c := range calls {
		if c.Request.hello == nil && !done[c.Request.ref.RunnerID] {
			c.Err = refused(hub.Fence{}, hub.RefusedOldSession, "Another session of this runner has begun.")
		}
	}
	return nil
}

// greet decides on hellos; those that show a second instance are returned.
func (d *Dispatcher) greet(ctx context.Context, st *store.Store, calls []*sessionCall) (accused []*sessionCall, err error) {
	// One Hello for each runner: of two in one batch the later one is refused and comes
	// again.
	newest := make(map[string]*sessionCall)
	var ids []string
	for _, c := range calls {
		if c.Request.hello == nil {
			continue
		}
		if newest[c.Request.ref.RunnerID] != nil {
			c.Err = refused(hub.Fence{}, hub.RefusedTryAgain, "Another session of this runner is beginning.")
			continue
		}
		newest[c.Request.ref.RunnerID] = c
		ids = append(ids, c.Request.ref.RunnerID)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	old, err := st.LockSessions(ctx, ids)
	if err != nil {
		return nil, err
	}
	runners, err := st.RunnersByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	hold, err := d.weigh(ctx, st, newest)
	if err != nil {
		return nil, err
	}
	open, err := st.OpenAttemptsOfRunners(ctx, ids)
	if err != nil {
		return nil, err
	}
	live := make(map[string][]string)
	for _, t := range open {
		live[t.RunnerID] = append(live[t.RunnerID], t.AttemptID)
	}
	_, mark := d.cfg.Clock()
	if hold.Incarnation > 1 && d.cfg.NewestMark != nil {
		if mark, err = d.cfg.NewestMark(ctx, st, hold.Incarnation); err != nil {
			return nil, err
		}
	}
	var rows []hub.RunnerSession
	var organisations []string
	for _, r := range runners {
		c := newest[r.ID]
		row, ok := d.nextSession(c, old[r.ID], hold)
		row.mark = mark
		row.full = hold.Incarnation > 1 && (hold.Recovers() || c.Request.hello.Showing ||
			min(old[r.ID].Incarnation, c.Request.hello.Incarnation) < hold.Incarnation)
		delete(newest, r.ID)
		if !ok {
			continue
		}
		row.full = row.full || row.quarantine == laterSession
		if r.Quarantined == laterSession && old[r.ID].Incarnation < hold.Incarnation {
			if err := st.LiftQuarantine(ctx, r.ID, laterSession); err != nil {
				return nil, err
			}
			r.Quarantined, row.cleared = "", true
			r.Revision++
		}
		row.cleared = row.cleared || old[r.ID].Released
		if row.quarantine != "" {
			first, err := st.QuarantineRunner(ctx, r.ID, row.quarantine)
			if err != nil {
				return nil, err
			}
			if r.Quarantined == "" {
				r.Revision++ // as in the database: rows that were read before undo nothing here
			}
			r.Quarantined = row.quarantine
			if first { // two that take each other's place are told of once
				accused = append(accused, c)
			}
		}
		if err := d.welcome(ctx, st, c, r, live[r.ID], row, hold); err != nil {
			return nil, err
		}
		rows = append(rows, row.RunnerSession)
		organisations = append(organisations, r.OrganisationID)
	}
	for _, c := range newest {
		c.Err = refused(hub.Fence{}, hub.RefusedGone, "The hub has no such runner; enrol it again.")
	}
	return accused, st.PutSessions(ctx, organisations, rows)
}

// laterSession is a quarantine that ends by itself when a fall-back of the database is
// proven: that explains it.
const laterSession = "Its disk knows a later session than the database: the database went back in time, or another hub used this identity."

type nextSession struct {
	hub.RunnerSession
	quarantine string
	// full: the runner is asked for its full inventory.
	full bool
	// cleared: what executions say of the runner's quarantine is over.
	cleared bool
	// mark proves to another primary in which incarnation the runner was greeted.
	mark hub.DBMark
}

// nextSession is the table "Sessions" of docs/state-machines.md. false: c was answered.
func (d *Dispatcher) nextSession(c *sessionCall, old hub.RunnerSession, hold hub.Hold) (nextSession, bool) {
	h := c.Request.hello
	highest := max(old.Confirmed, old.Unconfirmed)
	next := nextSession{RunnerSession: hub.RunnerSession{
		RunnerID: h.RunnerID, MemberID: d.cfg.MemberID, Confirmed: old.Confirmed, Unconfirmed: highest + 1,
		Nonce: h.Nonce, BootID: h.BootID, HostID: h.HostID, Slots: h.Slots, ConnectedAt: d.st.Now(), Incarnation: hold.Incarnation,
	}}
	switch presented := h.SessionEpoch; {
	case h.Incarnation > hold.Incarnation && !old.Released:
		// It was at a primary that this one knows nothing of, where what is open here may have
		// been granted since. It has no proof, so it alone is held; its epoch says nothing here.
		next.quarantine = laterSession
		next.Unconfirmed = max(highest, presented) + 1
	case presented == old.Confirmed:
	case old.Released:
		// A person decided which copy goes on, and stopped the other.
		next.Confirmed, next.Unconfirmed = presented, max(highest, presented)+1
	case old.Unconfirmed != 0 && presented == old.Unconfirmed:
		// Its Welcome arrived and was synced, its Confirm did not.
		next.Confirmed = presented
	case old.Confirmed < presented && presented < highest && (bytes.Equal(h.Nonce, old.Nonce) || bytes.Equal(h.BootID, old.BootID)):
		// The same, and its Confirm came behind a Hello that was late: the runner will never
		// present another session than this, so a refusal would be one for ever.
		next.Confirmed = presented
	case presented < highest && (bytes.Equal(h.Nonce, old.Nonce) || bytes.Equal(h.BootID, old.BootID) && !d.reg.stale(h.RunnerID, h.Nonce)):
		// Of this process, or of one before it: within a boot the lock file, of which the
		// boot id is made, lets only one at a time use the directory, and a copy has another.
		// One that keeps coming is no late frame: its disk was put back to an earlier day.
		c.Err = refused(hub.Fence{}, hub.RefusedOldSession, "This is an earlier session of the same runner; connect again.")
		return next, false
	case presented > highest && hold.Incarnation > 1 && (old.Incarnation < hold.Incarnation || old.Unconfirmed != 0 && h.Incarnation < hold.Incarnation):
		// Its later sessions are in what the database lost, or at the old primary: of what was
		// begun here since, it has no Welcome. A runner that dies before it has
		// this Welcome on its disk presents the same once more.
		next.Confirmed, next.Unconfirmed = presented, presented+1
	case presented > highest:
		next.quarantine = laterSession
		next.Unconfirmed = presented + 1
	default:
		next.quarantine = "Two instances use this identity: the data directory was copied, or an old copy was brought back. Stop one of them, then release the runner."
	}
	return next, true
}

// welcome makes the answer: the new epoch, and what to do with each attempt. live are
// those that the runner is offered or has.
func (d *Dispatcher) welcome(ctx context.Context, st *store.Store, c *sessionCall, r *hub.Runner, live []string, row nextSession, hold hub.Hold) error {
	h, epoch := c.Request.hello, row.Unconfirmed
	tick, _ := d.cfg.Clock()
	w := hub.Welcome{
		SessionEpoch: epoch, Incarnation: hold.Incarnation, Tick: tick, DBMark: row.mark,
		Members: d.cfg.Gateways(), Quarantined: r.Quarantined != "", FullInventory: row.full,
	}
	var err error
	if w.Holdings, c.Answer.back, err = d.answers(ctx, st, h.RunnerID, h.Inventory); err != nil {
		return err
	}
	if len(r.SealingKey) == 0 && len(h.SealingKey) > 0 {
		if err := st.SetSealingKey(ctx, r.ID, h.SealingKey); err != nil {
			return err
		}
	}
	if r.Version != h.Version || r.Hostname != h.Hostname || r.OS != h.OS || r.Arch != h.Arch || r.Slots != h.Slots || r.LastSeenAt.IsZero() {
		r.Version, r.Hostname, r.OS, r.Arch, r.Slots = clean(h.Version), clean(h.Hostname), clean(h.OS), clean(h.Arch), h.Slots
		if err := st.ReportRunner(ctx, r); err != nil {
			return err
		}
	}
	if row.cleared {
		c.Answer.back = live
	}
	d.shown.begin(c.Request.ref.RunnerID, epoch, hold.Incarnation)
	if old := d.reg.greet(r, epoch, h.Protocol, h.Slots, live); old != nil {
		old.End(errReplaced)
	}
	c.Answer.welcome = w
	return nil
}

// answers says what to do with each attempt of an inventory; back are those that were
// disconnected before.
func (d *Dispatcher) answers(ctx context.Context, st *store.Store, runnerID string, inventory []hub.Holding) (out []hub.HoldingAnswer, back []string, err error) {
	if len(inventory) == 0 {
		return nil, nil, nil
	}
	ids, shown := make([]string, len(inventory)), make([]*hub.Holding, len(inventory))
	for i := range inventory {
		ids[i], shown[i] = inventory[i].Fence.AttemptID, &inventory[i]
	}
	attempts, err := st.Attempts(ctx, ids, false)
	if err != nil {
		return nil, nil, err
	}
	logs, err := st.Logs(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	rowOf, logOf := make(map[string]*store.AttemptRow), make(map[string]*store.LogState)
	for _, t := range attempts {
		rowOf[t.AttemptID] = t
	}
	for _, l := range logs {
		logOf[l.AttemptID] = l
	}
	lost, err := d.lost(ctx, st, shown, func(*hub.Holding) string { return runnerID }, rowOf)
	if err != nil {
		return nil, nil, err
	}
	var live, runners []string
	for _, holding := range inventory {
		t, l := rowOf[holding.Fence.AttemptID], logOf[holding.Fence.AttemptID]
		if lost[holding.Fence.AttemptID] {
			out = append(out, hub.HoldingAnswer{Fence: holding.Fence, Lost: true})
			continue
		}
		if t == nil || l == nil || t.Fence != holding.Fence || t.RunnerID != runnerID {
			out = append(out, hub.HoldingAnswer{Fence: holding.Fence, Unknown: true})
			continue
		}
		a, err := d.answer(ctx, st, t, l)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, a)
		if t.State.Live() {
			live, runners = append(live, t.AttemptID), append(runners, t.RunnerID)
		}
	}
	// An inventory that shows an attempt renews its lease.
	back, err = st.RenewLeases(ctx, live, runners, d.tick())
	return out, back, err
}

func (d *Dispatcher) answer(ctx context.Context, st *store.Store, t *store.AttemptRow, l *store.LogState) (hub.HoldingAnswer, error) {
	a := hub.HoldingAnswer{Fence: t.Fence, Live: t.State.Live() || t.State == hub.AttemptOffered, NextN: t.StepNext, LogNext: l.Next}
	switch {
	case t.State == hub.AttemptExpired || t.State == hub.AttemptNotStarted:
		a.Settled = true
	case t.StepsTotal >= 0:
		a.Settled = l.Whole()
	case t.State == hub.AttemptUnknown:
		// Lost: what runs there may end and is told as late, nothing more starts.
		a.Stop = hub.StopScope{Asked: true, NoNew: true}
	case t.State.Live():
		row, err := st.ExecutionRow(ctx, t.OrganisationID, t.ExecutionID)
		if err != nil {
			return a, err
		}
		w, err := d.work(ctx, st, t.AttemptID)
		if err != nil || w == nil {
			return a, err
		}
		a.Stop = stopScope(row, w.assignment.Nodes)
	}
	return a, nil
}

// renewRequest is the leases that one runner renews.
type renewRequest struct {
	runnerID string
	attempts []string
}

// Renew keeps the leases of attempts that the runner holds. The mark is empty while this
// member has none of the incarnation that the session was greeted in.
func (d *Dispatcher) Renew(ctx context.Context, ref hub.SessionRef, fences []hub.Fence) (tick int64, mark hub.DBMark, err error) {
	r := renewRequest{runnerID: ref.RunnerID}
	for _, f := range fences {
		r.attempts = append(r.attempts, f.AttemptID)
	}
	if len(r.attempts) > 0 {
		if _, err := d.renewals.Do(ctx, r); err != nil {
			return 0, hub.DBMark{}, err
		}
	}
	tick, mark = d.cfg.Clock()
	if d.cfg.Hold != nil && d.shown.after(ref, d.cfg.Hold().Incarnation) {
		mark = hub.DBMark{} // of before; the one of its Welcome proves more
	}
	return tick, mark, nil
}

// commitRenewals is one statement for the renewals of many runners.
func (d *Dispatcher) commitRenewals(ctx context.Context, calls []*batch.Call[renewRequest, struct{}]) error {
	owner := make(map[string]string)
	for _, c := range calls {
		for _, id := range c.Request.attempts {
			owner[id] = c.Request.runnerID
		}
	}
	ids := make([]string, 0, len(owner))
	for id := range owner {
		ids = append(ids, id)
	}
	ids = unique(ids)
	runners := make([]string, len(ids))
	for i, id := range ids {
		runners[i] = owner[id]
	}
	var back []string
	err := d.st.InTx(ctx, func(st *store.Store) (err error) {
		if back, err = st.RenewLeases(ctx, ids, runners, d.tick()); err != nil {
			return err
		}
		var notes []store.AttemptEvent
		for _, id := range back {
			notes = append(notes, store.AttemptEvent{AttemptID: id, Event: "reconnected", State: hub.AttemptRunning})
		}
		return st.InsertAttemptEvents(ctx, notes)
	})
	if err == nil {
		d.heardAgain(ctx, back)
	}
	return err
}

// heardAgain ends the waits of executions for a runner. It comes behind the commit, since
// executions are taken before leases everywhere else.
func (d *Dispatcher) heardAgain(ctx context.Context, attempts []string) {
	if err := d.st.HeardAgain(ctx, attempts); err != nil {
		d.log.Warn("executions still say that they wait for a runner that is back", "error", err)
	}
}

// StopAck notes that a stop is in the runner's journal, or that the attempt had closed
// before: it is not told again in this session. What was not told, or is over, is passed
// over: a runner may confirm whatever it likes.
func (d *Dispatcher) StopAck(ref hub.SessionRef, fence hub.Fence, _ int64, _ bool) {
	d.reg.with(ref, func(r *runnerView) {
		told, ok := r.stopTold[fence.AttemptID]
		switch {
		case !r.live[fence.AttemptID]:
			delete(r.stopTold, fence.AttemptID) // told as it ended
		case ok:
			r.stopAcked[fence.AttemptID] = told
		}
	})
}

// Forgotten notes that the runner's disk no longer knows the attempt. Rows of attempts
// are kept with their execution, so there is nothing to do.
func (d *Dispatcher) Forgotten(ctx context.Context, ref hub.SessionRef, fence hub.Fence) error {
	return ctx.Err()
}
