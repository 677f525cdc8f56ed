package store_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

func putCalendar(ctx context.Context, t *testing.T, st *store.Store, p *hub.Project, name string, days ...string) *hub.Calendar {
	t.Helper()
	c := &hub.Calendar{OrganisationID: org, ProjectID: p.ID, Name: name, Mode: hub.CalendarExclude, Days: days}
	ok(t, st.PutCalendar(ctx, c))
	return c
}

func TestCalendars(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		p, other := makeProject(ctx, t, st, "web"), makeProject(ctx, t, st, "db")
		made := putCalendar(ctx, t, st, p, "b", "SAT..SUN")
		same(t, made.Revision, int64(1))
		putCalendar(ctx, t, st, p, "a", "12-25")
		putCalendar(ctx, t, st, other, "b", "MON")
		same(t, must(st.Calendar(ctx, p.ID, "b"))(t), made)
		list, next, err := st.Calendars(ctx, p.ID, store.Page{Limit: 1})
		ok(t, err)
		same(t, list[0].Name, "a")
		list, next, err = st.Calendars(ctx, p.ID, store.Page{Limit: 1, Cursor: next})
		ok(t, err)
		same(t, list[0].ID+next, made.ID)

		changed := putCalendar(ctx, t, st, p, "b", "SUN")
		same(t, changed.ID, made.ID)
		same(t, changed.Revision, int64(2))
		same(t, must(st.Calendar(ctx, p.ID, "b"))(t).Days, []string{"SUN"})
		wantCode(t, st.DeleteCalendar(ctx, p.ID, "b", 1), hub.CodeConflict)
		ok(t, st.DeleteCalendar(ctx, p.ID, "b", 2))
		_, err = st.Calendar(ctx, p.ID, "b")
		wantCode(t, err, hub.CodeNotFound)
		same(t, must(st.Calendar(ctx, other.ID, "b"))(t).Days, []string{"MON"})
		ok(t, st.DeleteProject(ctx, org, other.ID, 0))
	})
}

// Jobs go by calendars that are there; such a calendar stays, and a change of it has the
// fires of its jobs found anew.
func TestJobsGoByCalendars(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		p := makeProject(ctx, t, st, "web")
		j := scheduledJob(p, "nightly", "0 0 2 * * ?")
		j.Calendars = []string{"freeze", "holidays"}
		putCalendar(ctx, t, st, p, "freeze", "2026-12-01..2026-12-31")
		_, err := st.PutJob(ctx, j, "ann")
		wantCode(t, err, hub.CodeInvalid)
		if !strings.Contains(hub.ErrorMessage(err), `"holidays"`) {
			t.Errorf("refused with %v", err)
		}
		putCalendar(ctx, t, st, p, "holidays", "12-25")
		put(ctx, t, st, j, store.JobCreated)
		plain := put(ctx, t, st, scheduledJob(p, "plain", "0 0 2 * * ?"), store.JobCreated)
		plan := func(j *hub.Job) {
			same(t, must(st.MoveSchedule(ctx, must(st.Schedule(ctx, j))(t), later(st, time.Hour), time.Time{}))(t), true)
		}
		planned := func(j *hub.Job) bool { return must(st.Schedule(ctx, j))(t).Planned }
		plan(j)
		plan(plain)
		names := func(s *hub.Schedule) (names []string) {
			for _, c := range s.Calendars {
				names = append(names, c.Name)
			}
			return names
		}
		same(t, names(must(st.Schedule(ctx, j))(t)), []string{"freeze", "holidays"})
		all, _, err := st.Schedules(ctx, org, p.ID, store.Page{})
		ok(t, err)
		same(t, names(all[0]), []string{"freeze", "holidays"})
		same(t, names(all[1]), []string(nil))

		err = st.DeleteCalendar(ctx, p.ID, "holidays", 0)
		wantCode(t, err, hub.CodeConflict)
		if !strings.Contains(hub.ErrorMessage(err), "nightly") {
			t.Errorf("refused with %v", err)
		}
		putCalendar(ctx, t, st, p, "holidays", "12-25") // the same days
		same(t, planned(j), true)
		putCalendar(ctx, t, st, p, "holidays", "12-26")
		same(t, planned(j), false)
		same(t, planned(plain), true)
		same(t, names(must(st.DueSchedules(ctx, 10))(t)[0]), []string{"freeze", "holidays"})

		plan(j)
		j.Calendars = []string{"freeze"}
		put(ctx, t, st, j, store.JobUpdated)
		same(t, planned(j), false)
		ok(t, st.DeleteCalendar(ctx, p.ID, "holidays", 0))
		ok(t, st.DeleteProject(ctx, org, p.ID, 0))
	})
}
