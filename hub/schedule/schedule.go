// Package schedule starts jobs at their times. The member that leads does it for all;
// docs/schedules.md is its specification.
package schedule

import (
	"context"
	"log/slog"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/cluster"
	"github.com/fairlead/fairlead/hub/cron"
	"github.com/fairlead/fairlead/hub/dispatch"
	"github.com/fairlead/fairlead/hub/store"
)

// By is who starts what a schedule starts, in executions and the audit.
const By = "schedule"

// Scheduler fires the schedules of the installation while this member leads.
type Scheduler struct {
	st       *store.Store
	dispatch *dispatch.Dispatcher
	cluster  *cluster.Cluster
	log      *slog.Logger
	settle   time.Duration // clockSettle, but in tests
}

// New makes a Scheduler; Run makes it work.
func New(st *store.Store, d *dispatch.Dispatcher, c *cluster.Cluster, log *slog.Logger) *Scheduler {
	return &Scheduler{st: st, dispatch: d, cluster: c, log: log, settle: clockSettle}
}

// Run fires schedules whenever this member holds the lease and may, until ctx ends.
func (s *Scheduler) Run(ctx context.Context) error {
	return s.cluster.Lead(ctx, cluster.Leads{Lease: hub.LeaseScheduler, May: s.cluster.Schedules, Work: s.lead})
}

// times are when a schedule fires.
type times struct {
	expression *cron.Schedule
	zone       *time.Location
	calendars  []*cron.Calendar
}

func timesOf(s *hub.Schedule) (t times, err error) {
	if t.expression, err = cron.Parse(s.Job.Schedule.Expression); err != nil {
		return t, err
	}
	if t.zone, err = cron.LoadZone(s.Zone()); err != nil {
		return t, err
	}
	for _, from := range s.Calendars {
		c, err := cron.NewCalendar(from)
		if err != nil {
			return t, err
		}
		t.calendars = append(t.calendars, c)
	}
	return t, nil
}

// after is the first fire after a time, zero if there is none.
func (t times) after(from time.Time) time.Time {
	next, _ := t.expression.Next(from, t.zone, t.calendars...)
	return next
}

// Next returns up to n fires of a schedule after a time; none while it is off.
func Next(s *hub.Schedule, after time.Time, n int) ([]time.Time, error) {
	if s.Off() != "" {
		return nil, nil
	}
	t, err := timesOf(s)
	if err != nil {
		return nil, err
	}
	return t.expression.NextN(after, t.zone, n, t.calendars...), nil
}

// maxTakenOut bounds what TakenOut tells: a calendar may take out all of a year.
const maxTakenOut = 100

// Taken is a time at which a schedule does not fire because of a calendar.
type Taken struct {
	At       time.Time
	Calendar string
}

// TakenOut returns what calendars take out of a schedule between a time and another, the
// first maxTakenOut of it; until is zero for no end.
func TakenOut(s *hub.Schedule, after, until time.Time) ([]Taken, error) {
	if s.Off() != "" || len(s.Calendars) == 0 {
		return nil, nil
	}
	t, err := timesOf(s)
	if err != nil {
		return nil, err
	}
	var taken []Taken
	fire := t.after(after)
	for at := after; len(taken) < maxTakenOut; {
		var ok bool
		if at, ok = t.expression.Next(at, t.zone); !ok || !until.IsZero() && at.After(until) {
			break
		}
		if at.Equal(fire) {
			fire = t.after(at)
			continue
		}
		taken = append(taken, Taken{At: at, Calendar: s.Calendars[t.taker(at)].Name})
	}
	return taken, nil
}

// taker finds the calendar that takes a time out.
func (t times) taker(at time.Time) int {
	for i, c := range t.calendars {
		if next, ok := t.expression.Next(at.Add(-time.Second), t.zone, c); !ok || !next.Equal(at) {
			return i
		}
	}
	return 0
}
