package dispatch

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/proto/failpoint"
)

// offersAtOnce bounds how many assignments one transaction offers.
const offersAtOnce = 100

// runOffers offers what is ready: when there is a hint, and by the poll.
func (d *Dispatcher) runOffers(ctx context.Context) error {
	timer := time.NewTicker(d.cfg.Poll)
	defer timer.Stop()
	for polls := 1; ; {
		full := false
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.woken:
		case <-timer.C:
			full = true
			polls++
		}
		if d.doubt.Swap(false) || full && polls%recountEvery == 0 {
			if err := d.recount(ctx); err != nil && ctx.Err() == nil {
				d.doubt.Store(true)
				d.log.Error("cannot count what runners hold", "error", err)
			}
		}
		if full && d.cfg.Wake != nil {
			if err := d.passOffers(ctx); err != nil && ctx.Err() == nil {
				d.log.Error("cannot look for offers of other members", "error", err)
			}
		}
		if err := d.offerReady(ctx, full); err != nil && ctx.Err() == nil {
			d.log.Error("cannot offer what is ready", "error", err)
		}
	}
}

// recountEvery so many polls the counts of live attempts are taken from the rows.
const recountEvery = 60

// recount takes from the rows what runners hold, and offers again what was offered: a
// commit whose answer was lost may have happened without its effects.
func (d *Dispatcher) recount(ctx context.Context) error {
	ids := d.reg.ids()
	open, err := d.st.OpenAttemptsOfRunners(ctx, ids)
	if err != nil {
		return err
	}
	d.reg.recount(ids, open)
	projects := make(map[string]*hub.Project)
	for _, t := range open {
		if t.State != hub.AttemptOffered {
			continue
		}
		w, err := d.work(ctx, d.st, t.AttemptID)
		if err != nil {
			return err
		}
		if w != nil {
			d.sendOffer(ctx, w, projects)
		}
	}
	return nil
}

// failed notes that a transaction failed in a way that may have committed.
func (d *Dispatcher) failed(err error) {
	if hub.ErrorCode(err) == hub.CodeUnavailable {
		d.doubt.Store(true)
	}
}

// pagesForPeople bounds how much of a long queue is looked at only to say what it waits
// for.
const pagesForPeople = 10

// offerReady looks at assignments that wait for a runner, oldest first, while there is
// any that is free; a full look also says of those at the front what they wait for.
// The others do not: with a long queue, saying it would take longer than the work.
func (d *Dispatcher) offerReady(ctx context.Context, full bool) error {
	waiting, after := false, ""
	for page := 0; ; page++ {
		most := min(d.reg.free(), offersAtOnce)
		if full && page < pagesForPeople {
			most = offersAtOnce
		}
		if most == 0 {
			break
		}
		list, err := d.st.ReadyAssignments(ctx, after, most)
		if err != nil {
			return err
		}
		if len(list) > 0 {
			left, err := d.offerSome(ctx, list, full)
			if err != nil {
				return err
			}
			waiting = waiting || left
			after = list[len(list)-1].ID
		}
		if len(list) < most {
			d.waiting.Store(waiting)
			return nil
		}
	}
	d.waiting.Store(true)
	return nil
}

// offerSome offers those of a list for which there is a runner; it reports whether some
// are left. note says of each what it waits for.
func (d *Dispatcher) offerSome(ctx context.Context, list []*store.AssignmentRow, note bool) (left bool, err error) {
	fx := &effects{d: d}
	err = fx.commit(ctx, func(st *store.Store) error {
		left = false
		var offered []*store.AssignmentRow
		var attempts []*store.AttemptRow
		started := make(map[string]bool)
		lacking := make(map[string]*hub.WaitingFor)
		for _, read := range list {
			a := *read
			j, err := d.job(ctx, st, a.OrganisationID, a.ExecutionID)
			if err != nil {
				return err
			}
			t, why := d.offer(fx, j, &a, true)
			if t == nil {
				left = true
				lacking[a.ExecutionID] = d.waitingFor(&a.Assignment, why, st.Now())
				continue
			}
			started[a.ExecutionID] = true
			offered = append(offered, read)
			attempts = append(attempts, t)
		}
		if note {
			if err := d.noteWaiting(ctx, st, fx, started, lacking); err != nil {
				return err
			}
		}
		return d.insertOffers(ctx, st, fx, offered, attempts)
	})
	if err != nil {
		return false, err
	}
	fx.apply(ctx)
	return left, nil
}

// insertOffers writes offers of assignments that are still as they were read.
func (d *Dispatcher) insertOffers(ctx context.Context, st *store.Store, fx *effects, offered []*store.AssignmentRow, attempts []*store.AttemptRow) error {
	offer := st.OfferAssignments
	if failpoint.Mutant("M4") || failpoint.Mutant("M5") {
		offer = st.OfferBlindly
	}
	won, err := offer(ctx, offered)
	if err != nil {
		return err
	}
	var rows []*store.AttemptRow
	var works []*work
	for i, a := range offered {
		if !won[a.ID] {
			// Another member was first, or the execution was stopped.
			fx.released = append(fx.released, place{attempts[i].RunnerID, attempts[i].AttemptID})
			continue
		}
		attempts[i].Epoch = a.Attempts + 1
		fx.offers[i].fence.Epoch = a.Attempts + 1
		rows = append(rows, attempts[i])
		works = append(works, fx.offers[i])
	}
	fx.offers = works
	failpoint.Hit("hub.offer.before-commit")
	return st.InsertAttempts(ctx, rows)
}

// noteWaiting keeps what executions say that they wait for. An offer ends no wait, a claim
// does: a runner that refuses again and again must not begin runnerTimeout anew each time.
func (d *Dispatcher) noteWaiting(ctx context.Context, st *store.Store, fx *effects, started map[string]bool, lacking map[string]*hub.WaitingFor) error {
	rows, err := st.ExecutionRows(ctx, slices.Collect(maps.Keys(lacking)))
	if err != nil {
		return err
	}
	same := make(map[hub.WaitingFor][]string) // the executions that wait for one thing
	for _, row := range rows {
		want := lacking[row.ID]
		if started[row.ID] || sameWait(row.WaitingFor, want) {
			continue
		}
		if row.Status == hub.StatusRunning && d.anyActive(ctx, st, row.ID) {
			continue // something of it runs; what may be said of that one's runner stays
		}
		key := hub.WaitingFor{Kind: want.Kind, Since: want.Since, Message: want.Message}
		same[key] = append(same[key], row.ID)
		fx.event(hub.EventExecution, &row.Execution, row.Status)
	}
	for w, ids := range same {
		if err := st.SetWaiting(ctx, ids, w); err != nil {
			return err
		}
	}
	return nil
}

func (d *Dispatcher) anyActive(ctx context.Context, st *store.Store, id string) bool {
	open, err := st.OpenAttemptsOf(ctx, id)
	return err == nil && len(open) > 0
}

func sameWait(a, b *hub.WaitingFor) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Kind == b.Kind && a.Message == b.Message
}
