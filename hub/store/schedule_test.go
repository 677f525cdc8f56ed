package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

func scheduledJob(p *hub.Project, name, expression string) *hub.Job {
	j := newJob(p, "", name, "true")
	j.Schedule = hub.JobSchedule{Expression: expression, Missed: hub.MissedSkip}
	return j
}

// The row of a schedule comes, stays and goes with the definition of its job.
func TestScheduleFollowsItsJob(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		p := makeProject(ctx, t, st, "web")
		j := put(ctx, t, st, scheduledJob(p, "a", "0 0 12 * * ?"), store.JobCreated)
		s := must(st.Schedule(ctx, j))(t)
		if s.Planned || s.Job.Revision != 1 || s.Project != "web" || !s.Since.Equal(j.UpdatedAt) {
			t.Fatalf("a new schedule: %+v", s)
		}
		same(t, len(must(st.DueSchedules(ctx, 10))(t)), 1)
		next := later(st, time.Hour)
		moved := func(s *hub.Schedule, next, last time.Time) bool {
			t.Helper()
			return must(st.MoveSchedule(ctx, s, next, last))(t)
		}
		same(t, moved(s, next, time.Time{}), true)
		same(t, moved(s, next, time.Time{}), false) // it is not as it was read
		same(t, len(must(st.DueSchedules(ctx, 10))(t)), 0)
		same(t, must(st.EarliestFire(ctx))(t), next)

		// Another command leaves the fires as they are, another expression does not.
		same(t, must(st.PutJob(ctx, &hub.Job{OrganisationID: org, ProjectID: p.ID, Name: "a", Schedule: j.Schedule}, "ann"))(t), store.JobUpdated)
		same(t, moved(must(st.Schedule(ctx, j))(t), next, st.Now()), true)
		put(ctx, t, st, scheduledJob(p, "a", "0 0 13 * * ?"), store.JobUpdated)
		s = must(st.Schedule(ctx, j))(t)
		if s.Planned || s.Job.Revision != 3 || s.LastFire.IsZero() {
			t.Fatalf("a changed schedule: %+v", s)
		}
		same(t, moved(s, time.Time{}, time.Time{}), true)
		s = must(st.Schedule(ctx, j))(t)
		if !s.Planned || !s.NextFire.IsZero() {
			t.Fatalf("a schedule without a next fire: %+v", s)
		}
		same(t, must(st.EarliestFire(ctx))(t), time.Time{})

		put(ctx, t, st, newJob(p, "", "a", "true"), store.JobUpdated)
		_, err := st.Schedule(ctx, j)
		wantCode(t, err, hub.CodeNotFound)
		wantCode(t, st.PauseSchedule(ctx, j, true), hub.CodeNotFound)
		put(ctx, t, st, scheduledJob(p, "a", "0 0 13 * * ?"), store.JobUpdated)
		ok(t, st.DeleteJob(ctx, p.ID, j.ID, 0))
		same(t, len(must(st.DueSchedules(ctx, 10))(t)), 0)
	})
}

// Switches have the next fire looked for anew, from then on.
func TestScheduleIsSwitched(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		p := makeProject(ctx, t, st, "web")
		j := put(ctx, t, st, scheduledJob(p, "a", "0 0 12 * * ?"), store.JobCreated)
		plan := func() *hub.Schedule {
			t.Helper()
			s := must(st.Schedule(ctx, j))(t)
			same(t, must(st.MoveSchedule(ctx, s, later(st, time.Hour), time.Time{}))(t), true)
			return must(st.Schedule(ctx, j))(t)
		}
		same(t, plan().Off(), "")
		ok(t, st.PauseSchedule(ctx, j, true))
		s := plan()
		same(t, s.Off(), "The schedule is paused.")
		ok(t, st.PauseSchedule(ctx, j, true)) // again: nothing changes
		same(t, must(st.Schedule(ctx, j))(t), s)
		ok(t, st.PauseSchedule(ctx, j, false))
		if s = must(st.Schedule(ctx, j))(t); s.Planned || s.Off() != "" {
			t.Fatalf("a resumed schedule: %+v", s)
		}
		plan()
		p.Description = "changed"
		ok(t, st.UpdateProject(ctx, p))
		same(t, must(st.Schedule(ctx, j))(t).Planned, true)
		p.Settings = map[string]string{hub.SettingSchedules: "false", hub.SettingTimeZone: "Asia/Tokyo"}
		ok(t, st.UpdateProject(ctx, p))
		s = must(st.Schedule(ctx, j))(t)
		if s.Planned || s.Off() == "" || s.Zone() != "Asia/Tokyo" {
			t.Fatalf("a schedule of a changed project: %+v", s)
		}
	})
}

// What was due when the database went back may have been started in what it lost, so it is
// not started again: schedules go on from there.
func TestSchedulesGoOnWhenTheDatabaseWentBack(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		must(st.Cluster(ctx))(t)
		p := makeProject(ctx, t, st, "web")
		planned := func(name string, next time.Time) *hub.Job {
			t.Helper()
			j := scheduledJob(p, name, "0 0 12 * * ?")
			j.Schedule.Missed = hub.MissedAll
			put(ctx, t, st, j, store.JobCreated)
			same(t, must(st.MoveSchedule(ctx, must(st.Schedule(ctx, j))(t), next, time.Time{}))(t), true)
			return j
		}
		past, future := later(st, -72*time.Hour), later(st, time.Hour)
		due, coming, paused := planned("due", past), planned("coming", future), scheduledJob(p, "paused", "0 0 12 * * ?")
		put(ctx, t, st, paused, store.JobCreated)
		ok(t, st.PauseSchedule(ctx, paused, true))
		// One whose next fire nobody had looked for yet: what came since may have run, too.
		fresh := scheduledJob(p, "fresh", "* * * * * ?")
		put(ctx, t, st, fresh, store.JobCreated)
		same(t, must(st.HoldCluster(ctx, hub.HoldRestore, "a test", 1))(t), true)
		h := must(st.ReadHold(ctx))(t)

		if s := must(st.Schedule(ctx, fresh))(t); s.Planned || !s.Since.Equal(h.Since) {
			t.Errorf("what was not planned is %+v, want it looked for behind %v", s, h.Since)
		}
		if s := must(st.Schedule(ctx, due))(t); s.Planned || !s.Since.Equal(h.Since) {
			t.Errorf("what was due is %+v, want it looked for anew behind %v", s, h.Since)
		}
		fires := must(st.Fires(ctx, due.ID, 10))(t)
		if len(fires) != 1 || fires[0].Status != hub.FireMissed || !fires[0].At.Equal(past) || fires[0].ExecutionID != "" {
			t.Errorf("recorded %+v", fires)
		}
		same(t, must(st.Schedule(ctx, coming))(t).NextFire, future)
		same(t, len(must(st.Fires(ctx, coming.ID, 10))(t))+len(must(st.Fires(ctx, paused.ID, 10))(t)), 0)
		// The same evidence again changes nothing.
		same(t, must(st.HoldCluster(ctx, hub.HoldRestore, "a test", 1))(t), false)
	})
}

func TestSchedulesAreListed(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		for _, project := range []string{"b", "a"} {
			p := makeProject(ctx, t, st, project)
			for _, name := range []string{"y", "x"} {
				put(ctx, t, st, scheduledJob(p, name, "0 0 12 * * ?"), store.JobCreated)
			}
			put(ctx, t, st, newJob(p, "", "none", "true"), store.JobCreated)
		}
		list := func(projectID string) (names []string) {
			t.Helper()
			page := store.Page{Limit: 1}
			for {
				found, next, err := st.Schedules(ctx, org, projectID, page)
				ok(t, err)
				for _, s := range found {
					names = append(names, s.Project+"/"+s.Job.Name)
				}
				if page.Cursor = next; next == "" {
					return names
				}
			}
		}
		same(t, list(""), []string{"a/x", "a/y", "b/x", "b/y"})
		same(t, list(must(st.Project(ctx, org, "b"))(t).ID), []string{"b/x", "b/y"})
	})
}

// A fire is recorded once, whoever comes second.
func TestFires(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		p := makeProject(ctx, t, st, "web")
		j := put(ctx, t, st, scheduledJob(p, "a", "0 0 12 * * ?"), store.JobCreated)
		old, now := later(st, -time.Hour), later(st, 0)
		first := hub.Fire{JobID: j.ID, At: now, ExecutionID: "e", Status: hub.FireStarted}
		same(t, must(st.AddFire(ctx, first))(t), true)
		same(t, must(st.AddFire(ctx, hub.Fire{JobID: j.ID, At: now, Status: hub.FireMissed}))(t), false)
		same(t, must(st.AddFire(ctx, hub.Fire{JobID: j.ID, At: old, Status: hub.FireMissed, Reason: "why"}))(t), true)
		fires := must(st.Fires(ctx, j.ID, 10))(t)
		if len(fires) != 2 || fires[0].ExecutionID != "e" || fires[1].Reason != "why" || !fires[1].At.Equal(old) {
			t.Fatalf("fires %+v", fires)
		}
		ok(t, st.DeleteFires(ctx, now, 10))
		same(t, len(must(st.Fires(ctx, j.ID, 10))(t)), 1)
	})
}
