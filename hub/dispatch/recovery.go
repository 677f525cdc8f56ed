package dispatch

import (
	"context"
	"crypto/hmac"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

const (
	// proofLife is how old a mark or a grant may be that proves that the database went
	// back, and how long ago a runner may have been here to be waited for after a restore.
	proofLife = hub.ProofLife
	// maxIncarnations bounds how far above the database's own a runner's incarnation may
	// be for its marks to be looked at.
	maxIncarnations = 1000
)

// inventories is what the sessions of this member have shown of their runners' disks.
type inventories struct {
	mu sync.Mutex
	by map[string]*inventory // by runner
}

type inventory struct {
	epoch, incarnation int64
	attempts           map[string]bool
}

// begin starts a session's inventory, of the incarnation that it was greeted in.
func (v *inventories) begin(runnerID string, epoch, incarnation int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.by == nil {
		v.by = make(map[string]*inventory)
	}
	v.by[runnerID] = &inventory{epoch: epoch, incarnation: incarnation, attempts: make(map[string]bool)}
}

// with calls do with the inventory of a session, if that is the runner's newest here.
func (v *inventories) with(ref hub.SessionRef, do func(*inventory)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if i := v.by[ref.RunnerID]; i != nil && i.epoch == ref.Epoch {
		do(i)
	}
}

// before reports whether the runner's session began in an earlier incarnation.
func (v *inventories) before(runnerID string, incarnation int64) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	i := v.by[runnerID]
	return i == nil || i.incarnation < incarnation
}

// after reports whether a session was greeted in a later incarnation.
func (v *inventories) after(ref hub.SessionRef, incarnation int64) (later bool) {
	v.with(ref, func(i *inventory) { later = i.incarnation > incarnation })
	return later
}

// weigh looks whether what runners say in Hello proves that the database went back, and
// holds the cluster then. What is said without proof weighs nothing.
func (d *Dispatcher) weigh(ctx context.Context, st *store.Store, calls map[string]*sessionCall) (hub.Hold, error) {
	hold, err := st.ReadHold(ctx)
	if err == nil {
		hold, err = d.weighMarks(ctx, st, calls, hold)
	}
	if err == nil {
		hold, err = d.weighGrants(ctx, st, calls, hold)
	}
	return hold, err
}

func (d *Dispatcher) weighMarks(ctx context.Context, st *store.Store, calls map[string]*sessionCall, hold hub.Hold) (hub.Hold, error) {
	if d.cfg.MarkIncarnation == nil {
		return hold, nil
	}
	incarnationOf := make(map[int64]int64)
	var marks []hub.DBMark
	for _, c := range calls {
		h := c.Request.hello
		highest := min(max(h.Incarnation, hold.Incarnation), hold.Incarnation+maxIncarnations)
		for _, m := range h.DBMarks {
			// Marks of an earlier incarnation are of a history that is known to be lost.
			if i, ok := d.cfg.MarkIncarnation(m, highest); ok && i >= hold.Incarnation {
				incarnationOf[m.Tick] = max(incarnationOf[m.Tick], i)
				marks = append(marks, m)
			}
		}
	}
	unknown, err := st.UnknownMarks(ctx, marks)
	if err != nil {
		return hold, err
	}
	for _, m := range unknown {
		if hold, err = d.wentBack(ctx, st, "A runner has an authentic mark that the database does not know.", incarnationOf[m.Tick]); err != nil {
			return hold, err
		}
	}
	return hold, nil
}

// weighGrants looks at the proven grants of this incarnation that are shown.
func (d *Dispatcher) weighGrants(ctx context.Context, st *store.Store, calls map[string]*sessionCall, hold hub.Hold) (hub.Hold, error) {
	runnerOf, ids := make(map[string]string), []string(nil)
	var proven []*hub.Holding
	for runnerID, c := range calls {
		for i := range c.Request.hello.Inventory {
			h := &c.Request.hello.Inventory[i]
			if h.Fence.Incarnation >= hold.Incarnation && d.proven(runnerID, h) {
				runnerOf[h.Fence.AttemptID] = runnerID
				proven, ids = append(proven, h), append(ids, h.Fence.AttemptID)
			}
		}
	}
	rows, err := st.Attempts(ctx, ids, false)
	if err != nil {
		return hold, err
	}
	rowOf := make(map[string]*store.AttemptRow, len(rows))
	for _, t := range rows {
		rowOf[t.AttemptID] = t
	}
	gone, err := d.lost(ctx, st, proven, func(h *hub.Holding) string { return runnerOf[h.Fence.AttemptID] }, rowOf)
	if err != nil {
		return hold, err
	}
	var lost []hub.HoldingAnswer
	for _, h := range proven {
		if gone[h.Fence.AttemptID] {
			lost = append(lost, hub.HoldingAnswer{Fence: h.Fence, Lost: true})
		}
	}
	return d.holdForLost(ctx, st, lost, hold)
}

// wentBack holds the cluster for evidence of an incarnation.
func (d *Dispatcher) wentBack(ctx context.Context, st *store.Store, why string, incarnation int64) (hub.Hold, error) {
	held, err := st.HoldCluster(ctx, hub.HoldRestore, why, incarnation)
	if err != nil {
		return hub.Hold{}, err
	}
	if held {
		d.log.Error("the database went back in time; all work of before is held", "why", why, "incarnation", incarnation+1)
	}
	return st.ReadHold(ctx)
}

// holdForLost holds the cluster when an inventory shows proven grants of the present
// incarnation that the database does not have.
func (d *Dispatcher) holdForLost(ctx context.Context, st *store.Store, answers []hub.HoldingAnswer, hold hub.Hold) (hub.Hold, error) {
	newest := int64(0)
	for _, a := range answers {
		if a.Lost {
			newest = max(newest, a.Fence.Incarnation)
		}
	}
	if newest < hold.Incarnation {
		return hold, nil
	}
	return d.wentBack(ctx, st, "A runner has an authentic grant that the database does not know.", newest)
}

// proven reports whether a runner shows a grant that this cluster made to it, not too
// long ago.
func (d *Dispatcher) proven(runnerID string, h *hub.Holding) bool {
	if d.cfg.GrantMAC == nil || len(h.MAC) == 0 {
		return false
	}
	made := d.cfg.GrantMAC(hub.GrantProof{
		Fence: h.Fence, Boot: h.Boot, RunnerID: runnerID, ProjectID: h.ProjectID, ExecutionID: h.ExecutionID, AssignmentID: h.AssignmentID,
	})
	return hmac.Equal(made, h.MAC) && d.st.Now().Sub(madeAt(h.Fence.AttemptID)) < proofLife
}

// madeAt is the time in an id that we made.
func madeAt(id string) time.Time {
	u, err := uuid.Parse(id)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(u.Time().UnixTime()).UTC()
}

// lost returns the attempts of holdings whose grants the database has lost: it knows nothing
// of them, and did not take their rows away itself.
func (d *Dispatcher) lost(ctx context.Context, st *store.Store, shown []*hub.Holding, runnerOf func(*hub.Holding) string, rowOf map[string]*store.AttemptRow) (map[string]bool, error) {
	lost, ids := make(map[string]bool), []string(nil)
	for _, h := range shown {
		if id := h.Fence.AttemptID; d.lacks(runnerOf(h), h, rowOf[id]) {
			lost[id] = true
			ids = append(ids, id)
		}
	}
	purged, err := st.PurgedGrants(ctx, ids)
	maps.DeleteFunc(lost, func(id string, _ bool) bool { return purged[id] })
	return lost, err
}

// lacks reports whether a runner shows a grant that the row, or the lack of one, knows
// nothing of.
func (d *Dispatcher) lacks(runnerID string, h *hub.Holding, t *store.AttemptRow) bool {
	if h.State != hub.HoldingGranted && h.State != hub.HoldingClosed {
		return false
	}
	if t != nil && (t.Fence != h.Fence || t.RunnerID != runnerID || t.State != hub.AttemptOffered && t.State != hub.AttemptExpired) {
		return false
	}
	return d.proven(runnerID, h)
}

// Show takes a page of a full inventory and answers each attempt of it.
func (d *Dispatcher) Show(ctx context.Context, ref hub.SessionRef, page []hub.Holding) ([]hub.HoldingAnswer, error) {
	var out []hub.HoldingAnswer
	var back []string
	err := d.st.InTx(ctx, func(st *store.Store) (err error) {
		if out, back, err = d.answers(ctx, st, ref.RunnerID, page); err != nil {
			return err
		}
		hold, err := st.ReadHold(ctx)
		if err == nil {
			_, err = d.holdForLost(ctx, st, out, hold)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	d.heardAgain(ctx, back)
	d.shown.with(ref, func(i *inventory) {
		for _, h := range page {
			i.attempts[h.Fence.AttemptID] = true
		}
	})
	return out, nil
}

// Shown notes that the runner has shown all it has. What the database has as granted to
// it before the fall-back and its disk does not know is unknown.
func (d *Dispatcher) Shown(ctx context.Context, ref hub.SessionRef) error {
	var v inventory
	d.shown.with(ref, func(i *inventory) { v = *i })
	if v.incarnation < 2 {
		return nil
	}
	open, err := d.st.OpenAttemptsOfRunner(ctx, ref.RunnerID)
	if err != nil {
		return err
	}
	var all []error
	for _, t := range open {
		if t.State.Live() && t.Incarnation < v.incarnation && !v.attempts[t.AttemptID] {
			s := store.Silent{AttemptID: t.AttemptID, ExecutionID: t.ExecutionID, RunnerID: t.RunnerID}
			all = append(all, d.giveUpLocked(ctx, s, "the disk of its runner does not know it"))
		}
	}
	if err := errors.Join(all...); err != nil {
		return err
	}
	d.log.Info("runner has shown its inventory", "runner", ref.RunnerID, "attempts", len(v.attempts), "incarnation", v.incarnation)
	return d.st.ReportRecovery(ctx, ref.RunnerID, v.incarnation)
}

// runRecovery looks after a database that went back, while the cluster is held.
func (d *Dispatcher) runRecovery(ctx context.Context) error {
	timer := time.NewTicker(d.cfg.Poll)
	defer timer.Stop()
	last := d.cfg.Hold()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		hold := d.cfg.Hold()
		if hold.Incarnation > last.Incarnation {
			d.fell(hold)
		}
		if hold.Kind == "" && last.Kind != "" {
			d.doubt.Store(true)
			d.wake()
		}
		last = hold
		if !hold.Recovers() {
			continue
		}
		if err := d.releaseProven(ctx, hold); err != nil && ctx.Err() == nil {
			d.log.Error("cannot look whether held work may go on", "error", err)
		}
	}
}

var errFellBack = hub.Errorf(hub.CodeUnavailable, "The database went back in time; connect again and show what you have.")

// fell forgets what is remembered of a lost history, and lets runners come back with
// their inventories.
func (d *Dispatcher) fell(hold hub.Hold) {
	d.cache.clear()
	d.doubt.Store(true)
	for _, id := range d.reg.ids() {
		if sink := d.reg.sink(id); sink != nil && d.shown.before(id, hold.Incarnation) {
			sink.End(errFellBack)
		}
	}
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.jobs)
	clear(c.works)
}

// Awaited lists the runners that a recovery waits for.
func (d *Dispatcher) Awaited(ctx context.Context, hold hub.Hold) ([]hub.AwaitedRunner, error) {
	if !hold.Recovers() {
		return nil, nil
	}
	within := time.Duration(d.cfg.LostAfter) * time.Second
	if hold.Kind == hub.HoldRestore {
		within = proofLife
	}
	return d.st.AwaitedRunners(ctx, hold, within)
}

// releaseProven releases executions that no awaited runner can have had, and ends the
// hold when nothing is left of it.
func (d *Dispatcher) releaseProven(ctx context.Context, hold hub.Hold) error {
	awaited, err := d.Awaited(ctx, hold)
	if err != nil {
		return err
	}
	left := len(awaited)
	var all []error
	err = d.eachHeld(ctx, func(row *store.ExecutionRow) {
		if slices.ContainsFunc(awaited, func(r hub.AwaitedRunner) bool { return r.MayServe(row.OrganisationID, row.ProjectID) }) {
			left++
			return
		}
		if err := d.release(ctx, row.ID, hold.Incarnation, ""); err != nil {
			left++
			all = append(all, err)
		}
	})
	if err = errors.Join(append(all, err)...); err != nil || left > 0 {
		return err
	}
	return d.endHold(ctx, hold.Incarnation, "every runner has shown what it has")
}

func (d *Dispatcher) eachHeld(ctx context.Context, do func(*store.ExecutionRow)) error {
	for after := ""; ; {
		list, err := d.st.HeldExecutions(ctx, after, atOnce)
		if err != nil {
			return err
		}
		for _, row := range list {
			after = row.ID
			do(row)
		}
		if len(list) < atOnce {
			return nil
		}
	}
}

func (d *Dispatcher) endHold(ctx context.Context, incarnation int64, why string) error {
	ended, err := d.st.EndHold(ctx, incarnation)
	if ended {
		d.log.Info("the hold ends", "why", why, "incarnation", incarnation)
		d.doubt.Store(true)
		d.wake()
	}
	return err
}

// release lets a held execution go on: by proof, or by a person's word.
func (d *Dispatcher) release(ctx context.Context, id string, incarnation int64, by string) error {
	return d.changeLocked(ctx, id, false, func(st *store.Store, fx *effects, x *executionState) error {
		if err := d.unhold(ctx, st, fx, x, incarnation, by); err != nil {
			return err
		}
		switch {
		case x.row.Outcome != "":
			return nil
		case x.row.CancelRequested:
			return d.endOpen(ctx, st, fx, x, hub.AssignmentCancelled, "cancelled")
		case x.row.NoNew:
			return d.endOpen(ctx, st, fx, x, hub.AssignmentSkipped, nodeFailed)
		case len(x.row.CancelledNodes) > 0:
			if err := x.lockOpen(ctx, st); err != nil {
				return err
			}
			open, err := st.OpenAttemptsOf(ctx, x.row.ID)
			if err != nil {
				return err
			}
			return d.leaveOut(ctx, st, fx, x, open, "cancelled")
		}
		return nil
	})
}

// unhold notes the release and takes back offers: nobody has a grant of them.
func (d *Dispatcher) unhold(ctx context.Context, st *store.Store, fx *effects, x *executionState, incarnation int64, by string) error {
	if err := st.ReleaseExecution(ctx, x.row.ID, incarnation, by); err != nil {
		return err
	}
	x.row.Held = false
	fx.event(hub.EventExecution, &x.row.Execution, x.row.Status)
	if err := d.yield(ctx, st, fx, x); err != nil {
		return err
	}
	open, err := st.OpenAttemptsOf(ctx, x.row.ID)
	if err != nil {
		return err
	}
	for _, t := range open {
		if t.State != hub.AttemptOffered {
			continue
		}
		gone, err := st.WithdrawAttempts(ctx, []string{t.AttemptID}, "expire", "offered before the database went back")
		if err != nil {
			return err
		}
		if !gone[t.AttemptID] {
			continue
		}
		fx.released = append(fx.released, place{t.RunnerID, t.AttemptID})
		if err := d.ready(ctx, st, fx, x, t.AssignmentID); err != nil {
			return err
		}
	}
	return nil
}

// ReleaseRest ends the hold by a person's word: what is held goes on, or with fail it
// ends as unknown, since nobody can prove what ran of it.
func (d *Dispatcher) ReleaseRest(ctx context.Context, by string, fail bool) error {
	hold, err := d.st.ReadHold(ctx)
	if err != nil {
		return err
	}
	if hold.Kind == "" {
		return hub.Errorf(hub.CodeConflict, "The cluster is not held; there is nothing to release.")
	}
	var all []error
	if hold.Recovers() {
		err = d.eachHeld(ctx, func(row *store.ExecutionRow) {
			if fail {
				all = append(all, d.endUnknown(ctx, row.ID, hold.Incarnation, by))
			} else {
				all = append(all, d.release(ctx, row.ID, hold.Incarnation, by))
			}
		})
	}
	if err := errors.Join(append(all, err)...); err != nil {
		return err
	}
	return d.endHold(ctx, hold.Incarnation, "released by "+by)
}

// endUnknown ends a held execution: whatever has no known end of it is unknown.
func (d *Dispatcher) endUnknown(ctx context.Context, id string, incarnation int64, by string) error {
	why := "ended by " + by + " while the database was being recovered"
	open, err := d.st.OpenAttemptsOf(ctx, id)
	if err != nil {
		return err
	}
	for _, t := range open {
		if !t.State.Live() {
			continue
		}
		if err := d.giveUpLocked(ctx, store.Silent{AttemptID: t.AttemptID, ExecutionID: id, RunnerID: t.RunnerID}, why); err != nil {
			return err
		}
	}
	return d.changeLocked(ctx, id, false, func(st *store.Store, fx *effects, x *executionState) error {
		if err := d.unhold(ctx, st, fx, x, incarnation, by); err != nil || x.row.Outcome != "" {
			return err
		}
		var ends []store.AssignmentEnd
		for _, a := range x.assignments {
			if !a.State.Final() {
				a.State = hub.AssignmentUnknown
				ends = append(ends, store.AssignmentEnd{ID: a.ID, State: a.State, Stops: true, Reason: why})
			}
		}
		if err := st.EndAssignments(ctx, ends); err != nil {
			return err
		}
		return d.settle(ctx, st, fx, x, hub.StatusUnknown)
	})
}

// giveUpLocked makes an attempt unknown whatever its lease says.
func (d *Dispatcher) giveUpLocked(ctx context.Context, s store.Silent, why string) error {
	return d.giveUp(ctx, s, 1<<62, why, false)
}

// advanceRecovered ends a recovered execution when all of it that was shown has ended.
// It never starts anything: what is missing may have run elsewhere.
func (d *Dispatcher) advanceRecovered(ctx context.Context, st *store.Store, fx *effects, x *executionState) error {
	outcome := hub.StatusSkipped
	for _, a := range x.assignments {
		if !a.State.Final() {
			return nil
		}
		outcome = hub.Fold(outcome, hub.Status(a.State))
	}
	if outcome == hub.StatusSkipped {
		outcome = hub.StatusUnknown
	}
	return d.settle(ctx, st, fx, x, outcome)
}
