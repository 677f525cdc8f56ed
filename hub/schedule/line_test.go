package schedule_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/dispatch"
	"github.com/fairlead/fairlead/hub/schedule"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

// Of a job that does not end, one fire runs and one waits; the others are missed and say
// for what, or all wait where its policy wants each.
func TestFiresOfAJobThatRuns(t *testing.T) {
	t.Parallel()
	st := storetest.New(t)
	p := project(t, st)
	single := func(j *hub.Job) { j.MultipleExecutions = false }
	one := put(t, st, p, "one", "* * * * * ?", single)
	each := put(t, st, p, "each", "* * * * * ?", single, func(j *hub.Job) { j.Schedule.Missed = hub.MissedAll })
	m := join(t, st, "a")
	events, stop := m.dispatch.Subscribe(org, "")
	defer stop()
	m.start()
	until(t, "two fires are missed", func() bool { return count(fires(t, st, one), hub.FireMissed) >= 2 })
	until(t, "four fires wait or run", func() bool { return count(fires(t, st, each), hub.FireStarted) >= 4 })
	m.stop()
	if n := count(fires(t, st, one), hub.FireStarted); n != 2 {
		t.Errorf("%d fires of a job that runs were started, want the one and the next", n)
	}
	if n := count(fires(t, st, each), hub.FireMissed); n != 0 {
		t.Errorf("%d fires were missed of a job that makes up for each", n)
	}
	waits := map[hub.Waits]int{}
	for _, e := range executions(t, st) {
		waits[e.Waits]++
	}
	if waits[""] != 2 || waits[hub.WaitsForTurn] < 4 {
		t.Errorf("executions by what they wait for: %v", waits)
	}
	for _, f := range fires(t, st, one) {
		if f.Status == hub.FireMissed && (f.ExecutionID != "" || !strings.Contains(f.Reason, "(execution #")) {
			t.Errorf("a fire that was missed: %+v", f)
		}
	}
	for {
		e := <-events
		if e.Kind != hub.EventFire {
			continue
		}
		if f, err := st.Fire(t.Context(), e.JobID, e.FireAt); err != nil || f == nil || f.Status != hub.FireMissed || e.JobID != one.ID || e.ProjectID != p.ID {
			t.Errorf("event %+v of fire %+v, %v", e, f, err)
		}
		break
	}
}

// A run at a later time starts at its time, whoever leads then, and once.
func TestRunLater(t *testing.T) {
	t.Parallel()
	cfg := storetest.PostgresConfig(t)
	open := func() *store.Store {
		st, err := store.Open(t.Context(), cfg)
		ok(t, err)
		t.Cleanup(func() { ok(t, st.Close()) })
		return st
	}
	st := open()
	p := project(t, st)
	j := put(t, st, p, "job", "0 0 0 1 1 ? 2199")
	members := []*member{join(t, open(), "a"), join(t, open(), "b")}
	asked := map[string]time.Time{}
	for i := range 30 {
		at := st.Now().Add(time.Second + time.Duration(i)*50*time.Millisecond)
		e, err := members[i%2].dispatch.Start(t.Context(), dispatch.StartRequest{OrganisationID: org, ProjectID: p.ID, JobID: j.ID, RunAt: at, By: "ann"})
		ok(t, err)
		asked[e.ID] = at
	}
	// One that was there when they were asked for is gone at their time.
	members[0].start()
	until(t, "the first leads", func() bool {
		l, err := st.LeaderLease(t.Context(), hub.LeaseScheduler)
		ok(t, err)
		return l != nil && l.Holder == members[0].cluster.MemberID()
	})
	members[0].stop()
	members[1].start()
	until(t, "all have started", func() bool {
		for _, e := range executions(t, st) {
			if e.Waits != "" {
				return false
			}
		}
		return true
	})
	for id, at := range asked {
		list, err := st.AssignmentsOf(t.Context(), []string{id})
		ok(t, err)
		if len(list) != 1 || list[0].ReadyAt.Before(at) {
			t.Errorf("to start at %v: %+v", at, list)
		}
	}
}

// An execution that was to run later and can never start keeps no schedule from firing.
func TestRunThatCannotStart(t *testing.T) {
	t.Parallel()
	cfg := storetest.Config(t)
	st, err := store.Open(t.Context(), cfg)
	ok(t, err)
	t.Cleanup(func() { ok(t, st.Close()) })
	p := project(t, st)
	j := put(t, st, p, "job", "* * * * * ?")
	m := join(t, st, "a")
	e, err := m.dispatch.Start(t.Context(), dispatch.StartRequest{OrganisationID: org, ProjectID: p.ID, JobID: j.ID, RunAt: st.Now().Add(time.Millisecond), By: "ann"})
	ok(t, err)
	storetest.Exec(t, cfg, `UPDATE execution_wait SET spec = 'no JSON'`)
	m.start()
	until(t, "the schedule fires", func() bool { return count(fires(t, st, j), hub.FireStarted) >= 2 })
	m.stop()
	if waits := executions(t, st)[e.ID].Waits; waits != hub.WaitsForTime {
		t.Errorf("what cannot start waits for %q", waits)
	}
}

// A calendar takes days out of a schedule, and says so.
func TestCalendars(t *testing.T) {
	t.Parallel()
	st := storetest.New(t)
	p := project(t, st)
	set := func(mode hub.CalendarMode, days ...string) {
		ok(t, st.PutCalendar(t.Context(), &hub.Calendar{OrganisationID: org, ProjectID: p.ID, Name: "c", Mode: mode, Days: days}))
	}
	set(hub.CalendarExclude, "1970-01-01..2199-12-30")
	j := put(t, st, p, "job", "* * * * * ?", func(j *hub.Job) { j.Calendars = []string{"c"} })
	m := join(t, st, "a")
	m.start()
	until(t, "the next fire is the last day of all", func() bool {
		s, err := st.Schedule(t.Context(), j)
		ok(t, err)
		return s.NextFire.Equal(time.Date(2199, 12, 31, 0, 0, 0, 0, time.UTC))
	})
	s, err := st.Schedule(t.Context(), j)
	ok(t, err)
	taken, err := schedule.TakenOut(s, st.Now(), s.NextFire)
	ok(t, err)
	if len(taken) != 100 || taken[0].Calendar != "c" || taken[99].At.Sub(taken[0].At) != 99*time.Second {
		t.Errorf("%d fires are taken out, first %+v", len(taken), taken[0])
	}
	set(hub.CalendarExclude, "1970-01-01")
	until(t, "it fires once the calendar was changed", func() bool { return count(fires(t, st, j), hub.FireStarted) > 0 })
}

// What a calendar takes out stands between what comes.
func TestTakenOut(t *testing.T) {
	t.Parallel()
	s := &hub.Schedule{
		Job: &hub.Job{Schedule: hub.JobSchedule{Expression: "0 0 12 * * ?"}},
		Calendars: []*hub.Calendar{
			{Name: "office", Mode: hub.CalendarExclude, Days: []string{"SAT..SUN"}},
			{Name: "feasts", Mode: hub.CalendarExclude, Days: []string{"12-25..12-26"}},
		},
	}
	from := time.Date(2026, 12, 24, 13, 0, 0, 0, time.UTC) // a Thursday
	coming, err := schedule.Next(s, from, 2)
	ok(t, err)
	taken, err := schedule.TakenOut(s, from, coming[1])
	ok(t, err)
	var got []string
	for _, c := range coming {
		got = append(got, c.Format("01-02"))
	}
	for _, x := range taken {
		got = append(got, x.At.Format("01-02")+" "+x.Calendar)
	}
	want := "[12-28 12-29 12-25 feasts 12-26 office 12-27 office]"
	if fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
	s.Paused = true
	if taken, err := schedule.TakenOut(s, from, coming[1]); err != nil || taken != nil {
		t.Errorf("of a paused one %v, %v", taken, err)
	}
}
