package schedule

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

const (
	// lookEvery bounds how long a change that another member made stays unseen.
	lookEvery = time.Second
	// batch is how many schedules are looked at together, atOnce how many are started at
	// the same time: one that takes long keeps a place, not the others.
	batch  = 200
	atOnce = 4
	// startTimeout bounds one start; what did not come to an end is tried again.
	startTimeout = 15 * time.Second
	// clockSlack is how far back database time may seem to go: each member knows it to
	// within a question's way, which is long on a machine that is full.
	clockSlack = 2 * time.Second
	// clockSettle is how long a clock that is behind at the beginning of a term may take to
	// be set right.
	clockSettle = 10 * time.Minute
	// Records of fires are kept for so long; so many are deleted at each look.
	keepFires    = 30 * 24 * time.Hour
	deletedFires = 200
)

// leader is a Scheduler during one term.
type leader struct {
	*Scheduler
	term int64
	// seen is database time at the latest look, of whoever led then; until settled, by this
	// process's clock, one that is behind it may still be set right.
	seen, settled time.Time

	mu sync.Mutex
	// madeUp counts by job the fires that were made up for in a row.
	madeUp map[string]int
}

// errOver ends the work: another member leads.
var errOver = errors.New("the term is over")

// lead fires until ctx or the term ends.
func (s *Scheduler) lead(ctx context.Context, term int64) error {
	l := &leader{Scheduler: s, term: term, madeUp: map[string]int{}}
	for {
		wait, err := l.look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // ending is what the caller asked for
		case errors.Is(err, errOver):
			return err
		case err != nil:
			s.log.WarnContext(ctx, "schedules not fired; trying again", "error", err)
			wait = lookEvery
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// look fires what is due, one fire of each schedule, starts what was to run once by now,
// and tells how long to wait for the next look. An execution that cannot be started now,
// and may never be, keeps no schedule from its fire.
func (l *leader) look(ctx context.Context) (wait time.Duration, err error) {
	if err := l.followClock(ctx); err != nil {
		return 0, err
	}
	started, notStarted := l.startDue(ctx)
	due, err := l.st.DueSchedules(ctx, batch)
	if err != nil {
		return 0, err
	}
	if len(due) > 0 {
		// What did not start is tried again by the next look, which follows at once.
		return 0, l.fireAll(ctx, due)
	}
	if notStarted != nil {
		return 0, notStarted
	}
	if started {
		return 0, nil
	}
	if err := l.deleteOld(ctx); err != nil {
		return 0, err
	}
	return l.untilNext(ctx)
}

// followClock plans anew once the database's clock was set back: what was planned or missed
// while it ran ahead would keep schedules silent for as long as that was.
func (l *leader) followClock(ctx context.Context) error {
	if l.seen.IsZero() {
		if err := l.inherit(ctx); err != nil {
			return err
		}
	}
	now := l.st.Now()
	back := l.seen.Sub(now)
	if back > 0 && (back <= clockSlack || time.Now().Before(l.settled)) {
		return nil
	}
	if back > 0 {
		l.log.WarnContext(ctx, "the clock of the database was set back; next fires are looked for anew", "by", back.Round(time.Second).String())
		if err := l.st.ReplanSchedules(ctx); err != nil {
			return err
		}
	}
	l.seen, l.settled = now, time.Time{}
	return nil
}

// inherit takes from the rows until when schedules were kept before this term. If the clock is
// behind that, it ran ahead then, or is behind now, as it is on a host without a clock of its
// own that has just started. The second soon ends by itself, and to plan anew before would
// have what lies between come as missed: so the term waits to see which of them it is.
func (l *leader) inherit(ctx context.Context) (err error) {
	if l.seen, err = l.st.SchedulesSeen(ctx); err != nil {
		return err
	}
	if back := l.seen.Sub(l.st.Now()); back > clockSlack {
		l.settled = time.Now().Add(l.settle)
		l.log.WarnContext(ctx, "the clock of the database is behind what schedules have seen; set it right, or next fires are looked for anew as by this clock",
			"by", back.Round(time.Second).String(), "after", l.settle.String())
	}
	return nil
}

// untilNext tells how long nothing is due.
func (l *leader) untilNext(ctx context.Context) (time.Duration, error) {
	wait := lookEvery
	for _, earliest := range []func(context.Context) (time.Time, error){l.st.EarliestFire, l.st.EarliestWait} {
		first, err := earliest(ctx)
		if err != nil {
			return 0, err
		}
		if !first.IsZero() {
			wait = min(wait, max(first.Sub(l.st.Now()), 0))
		}
	}
	return wait, nil
}

// startDue starts executions whose time has come; false if there was none. No term has to
// guard this: what waits is taken out of its line once, by whoever is first.
func (l *leader) startDue(ctx context.Context) (started bool, err error) {
	due, err := l.st.DueWaits(ctx, batch)
	if err != nil {
		return false, err
	}
	moved := make([]bool, len(due))
	err = eachAtOnce(ctx, due, func(ctx context.Context, i int, w *store.Wait) (err error) {
		moved[i], err = l.dispatch.StartWaiting(ctx, w)
		return err
	})
	return slices.Contains(moved, true), err
}

// fireAll handles schedules side by side. The error of one keeps no other from its fire.
func (l *leader) fireAll(ctx context.Context, due []*hub.Schedule) error {
	return eachAtOnce(ctx, due, func(ctx context.Context, _ int, s *hub.Schedule) error { return l.handle(ctx, s) })
}

// eachAtOnce does something about each of a list, some of them side by side.
func eachAtOnce[T any](ctx context.Context, list []T, do func(ctx context.Context, i int, what T) error) error {
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i, what := range list {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, startTimeout)
			defer cancel()
			return do(ctx, i, what)
		})
	}
	return g.Wait()
}

func (l *leader) deleteOld(ctx context.Context) error {
	return l.st.InBackgroundTx(ctx, func(st *store.Store) error {
		return st.DeleteFires(ctx, st.Now().Add(-keepFires), deletedFires)
	})
}
