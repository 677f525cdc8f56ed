package schedule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/dispatch"
	"github.com/fairlead/fairlead/hub/store"
)

// late is how long after its time a fire is still started as if nothing had happened: a
// new leader is there long before.
const late = time.Minute

var (
	// errChanged: the schedule is not what it was read as; the next look sees it anew.
	errChanged = errors.New("the schedule was changed meanwhile")
	// errFired: the fire was recorded before.
	errFired = errors.New("the fire has its record")
)

// move is one step of a schedule, in one transaction: a fire to start, fires to record
// as missed, and the next fire.
type move struct {
	was    *hub.Schedule
	start  time.Time // zero: start nothing
	missed []hub.Fire
	// failed is the fire that could not be started.
	failed []hub.Fire
	next   time.Time // zero: none
	// makesUp: start is one of many that were missed.
	makesUp bool
}

// handle takes one step of a schedule that is due.
func (l *leader) handle(ctx context.Context, s *hub.Schedule) error {
	m, err := l.plan(s)
	if err != nil {
		// Its definition was checked when it was stored, so this member's zones are too
		// old, or a setting is wrong. It stays off until a person changes it.
		l.log.ErrorContext(ctx, "schedule cannot be read and does not fire", "job", s.Job.FullName(), "project", s.Project, "error", err)
		m = &move{was: s}
	}
	if m.start.IsZero() {
		err = l.record(ctx, m)
	} else {
		err = l.fire(ctx, m)
	}
	switch {
	case err == nil:
		l.count(m)
		l.tell(m)
	case errors.Is(err, errChanged):
		return nil
	}
	return err
}

// tell lets people see at once what was missed or failed.
func (l *leader) tell(m *move) {
	for _, f := range slices.Concat(m.missed, m.failed) {
		l.dispatch.Publish(hub.Event{
			Kind: hub.EventFire, OrganisationID: m.was.Job.OrganisationID, ProjectID: m.was.Job.ProjectID, JobID: f.JobID, FireAt: f.At.UnixMicro(),
		})
	}
}

// plan says what is to be done about a schedule now.
func (l *leader) plan(s *hub.Schedule) (*move, error) {
	m := &move{was: s}
	if s.Off() != "" {
		return m, nil
	}
	t, err := timesOf(s)
	if err != nil {
		return nil, err
	}
	after := t.after
	now := l.st.Now()
	switch {
	case !s.Planned:
		m.next = after(s.Since)
	case now.Sub(s.NextFire) <= late:
		m.start, m.next = s.NextFire, after(s.NextFire)
	case s.Job.Schedule.Missed == hub.MissedAll && l.made(s) < hub.MaxMadeUp:
		m.start, m.next, m.makesUp = s.NextFire, after(s.NextFire), true
	default:
		miss(m, after, now.Add(-late))
	}
	return m, nil
}

// miss records what was due until a time as missed; with the policy once it starts the
// first.
func miss(m *move, after func(time.Time) time.Time, until time.Time) {
	reason := "No member fired it within a minute."
	m.next = m.was.NextFire
	switch m.was.Job.Schedule.Missed {
	case hub.MissedOnce:
		m.start, m.next = m.next, after(m.next)
		reason += " The run of " + m.start.UTC().Format(time.RFC3339) + " stands for it."
	case hub.MissedAll:
		reason += fmt.Sprintf(" %d before it were made up for, and no more are.", hub.MaxMadeUp)
	}
	for !m.next.IsZero() && !m.next.After(until) {
		f := hub.Fire{JobID: m.was.Job.ID, At: m.next, Status: hub.FireMissed, Reason: reason}
		if len(m.missed) == hub.MaxMadeUp {
			f.Reason += " This record stands for all until " + until.UTC().Format(time.RFC3339) + "."
			m.missed, m.next = append(m.missed, f), after(until)
			return
		}
		m.missed, m.next = append(m.missed, f), after(m.next)
	}
}

// made tells how many fires of a schedule were made up for in a row.
func (l *leader) made(s *hub.Schedule) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.madeUp[s.Job.ID]
}

func (l *leader) count(m *move) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.makesUp {
		l.madeUp[m.was.Job.ID]++
	} else {
		delete(l.madeUp, m.was.Job.ID)
	}
}

// fire starts an execution for a move. What cannot be started for good is recorded and
// left; the database being away is an error, and tried again.
func (l *leader) fire(ctx context.Context, m *move) error {
	job := m.was.Job
	_, err := l.dispatch.Start(ctx, dispatch.StartRequest{
		OrganisationID: job.OrganisationID, ProjectID: job.ProjectID, JobID: job.ID, By: By,
		Fire: job.Schedule.Missed != hub.MissedAll,
		InTx: func(ctx context.Context, st *store.Store, e *hub.Execution) error {
			if e.JobRevision != job.Revision {
				return errChanged
			}
			first, err := st.AddFire(ctx, hub.Fire{JobID: job.ID, At: m.start, ExecutionID: e.ID, Status: hub.FireStarted})
			if err != nil {
				return err
			}
			if !first {
				return errFired
			}
			return l.write(ctx, st, m)
		},
	})
	switch {
	case err == nil, errors.Is(err, errChanged), errors.Is(err, errOver), ctx.Err() != nil, hub.ErrorCode(err) == hub.CodeUnavailable:
		return err
	case errors.Is(err, errFired):
		return l.record(ctx, m)
	case errors.Is(err, dispatch.ErrInLine):
		return l.record(ctx, m, hub.Fire{JobID: job.ID, At: m.start, Status: hub.FireMissed, Reason: hub.ErrorMessage(err)})
	}
	l.log.ErrorContext(ctx, "scheduled job could not be started", "job", job.FullName(), "project", m.was.Project, "fire_at", m.start, "error", err)
	return l.record(ctx, m, hub.Fire{JobID: job.ID, At: m.start, Status: hub.FireFailed, Reason: hub.ErrorReason(err)})
}

// record makes a move that starts nothing.
func (l *leader) record(ctx context.Context, m *move, failed ...hub.Fire) error {
	m.failed = failed
	return l.st.InTx(ctx, func(st *store.Store) error {
		for _, f := range failed {
			if _, err := st.AddFire(ctx, f); err != nil {
				return err
			}
		}
		return l.write(ctx, st, m)
	})
}

// write moves the schedule on. It looks at the lease last: from there until the commit
// nobody else can take it, and everything else of this member waits.
func (l *leader) write(ctx context.Context, st *store.Store, m *move) error {
	for _, f := range m.missed {
		if _, err := st.AddFire(ctx, f); err != nil {
			return err
		}
	}
	moved, err := st.MoveSchedule(ctx, m.was, m.next, m.start)
	if err != nil {
		return err
	}
	if !moved {
		return errChanged
	}
	err = st.HoldLeaderLease(ctx, hub.LeaseScheduler, l.cluster.MemberID(), l.term)
	if hub.ErrorCode(err) == hub.CodeConflict {
		return fmt.Errorf("%w: %w", errOver, err)
	}
	return err
}
