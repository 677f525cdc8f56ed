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
}

// New makes a Scheduler; Run makes it work.
func New(st *store.Store, d *dispatch.Dispatcher, c *cluster.Cluster, log *slog.Logger) *Scheduler {
	return &Scheduler{st: st, dispatch: d, cluster: c, log: log}
}

// Run fires schedules whenever this member holds the lease and may, until ctx ends.
func (s *Scheduler) Run(ctx context.Context) error {
	return s.cluster.Lead(ctx, cluster.Leads{Lease: hub.LeaseScheduler, May: s.cluster.Schedules, Work: s.lead})
}

// Next returns up to n fires of a schedule after a time; none while it is off.
func Next(s *hub.Schedule, after time.Time, n int) ([]time.Time, error) {
	if s.Off() != "" {
		return nil, nil
	}
	expression, zone, err := parse(s)
	if err != nil {
		return nil, err
	}
	return expression.NextN(after, zone, n), nil
}

func parse(s *hub.Schedule) (*cron.Schedule, *time.Location, error) {
	expression, err := cron.Parse(s.Job.Schedule.Expression)
	if err != nil {
		return nil, nil, err
	}
	zone, err := cron.LoadZone(s.Zone())
	return expression, zone, err
}
