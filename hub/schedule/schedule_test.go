package schedule_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/cluster"
	"github.com/fairlead/fairlead/hub/dispatch"
	"github.com/fairlead/fairlead/hub/keys"
	"github.com/fairlead/fairlead/hub/schedule"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

const org = hub.DefaultOrganisationID

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// until waits for what must come; no test that passes waits for its end.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(90 * time.Second)
	for !done() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		case <-ticker.C:
		}
	}
}

// member is a hub without its edges; it schedules from start until stop.
type member struct {
	t        *testing.T
	st       *store.Store
	cluster  *cluster.Cluster
	fires    *schedule.Scheduler
	dispatch *dispatch.Dispatcher
	stop     func()
	end      func() // ends all of it
}

// join makes a member on a store and runs everything of it but its schedules.
func join(t *testing.T, st *store.Store, name string) *member {
	t.Helper()
	master, err := keys.NewMaster(bytes.Repeat([]byte{1}, 32))
	ok(t, err)
	log := storetest.Logger(t)
	c := cluster.New(st, master, cluster.Config{ID: store.NewID(), Name: name, Roles: hub.Roles()}, log)
	ok(t, c.Join(t.Context()))
	d := dispatch.New(st, dispatch.Config{MemberID: c.MemberID(), Clock: c.Clock}, log)
	end := runs(t, c.Run, d.Run)
	return &member{t: t, st: st, cluster: c, fires: schedule.New(st, d, c, log), dispatch: d, end: end}
}

// runs runs services until the returned function or the end of the test.
func runs(t *testing.T, services ...func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, run := range services {
		all.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	stop = func() { cancel(); all.Wait() }
	t.Cleanup(stop)
	return stop
}

func (m *member) start() { m.stop = runs(m.t, m.fires.Run) }

func project(t *testing.T, st *store.Store) *hub.Project {
	t.Helper()
	p := &hub.Project{OrganisationID: org, Name: "web"}
	ok(t, st.CreateProject(t.Context(), p))
	return p
}

// put stores a job that runs by a schedule.
func put(t *testing.T, st *store.Store, p *hub.Project, name, expression string, change ...func(*hub.Job)) *hub.Job {
	t.Helper()
	j := &hub.Job{
		OrganisationID: org, ProjectID: p.ID, Name: name, LogLevel: "INFO",
		Workflow: hub.Workflow{Strategy: hub.StrategyNodeFirst, Steps: []hub.Step{{Exec: "true"}}},
		Schedule: hub.JobSchedule{Expression: expression, Missed: hub.MissedSkip},
		// No runner ends what they start.
		MultipleExecutions: true,
	}
	for _, c := range change {
		c(j)
	}
	_, err := st.PutJob(t.Context(), j, "ann")
	ok(t, err)
	return j
}

// dueSince makes the next fire of a job one in the past.
func dueSince(t *testing.T, st *store.Store, j *hub.Job, at time.Time) {
	t.Helper()
	s, err := st.Schedule(t.Context(), j)
	ok(t, err)
	moved, err := st.MoveSchedule(t.Context(), s, at, time.Time{})
	ok(t, err)
	if !moved {
		t.Fatal("the schedule could not be moved")
	}
}

func fires(t *testing.T, st *store.Store, j *hub.Job) (byTime map[int64]*hub.Fire) {
	t.Helper()
	list, err := st.Fires(t.Context(), j.ID, 100_000)
	ok(t, err)
	byTime = map[int64]*hub.Fire{}
	for _, f := range list {
		byTime[f.At.Unix()] = f
	}
	return byTime
}

func count(all map[int64]*hub.Fire, status hub.FireStatus) (n int) {
	for _, f := range all {
		if f.Status == status {
			n++
		}
	}
	return n
}

// executions returns the ids of all executions.
func executions(t *testing.T, st *store.Store) map[string]*hub.Execution {
	t.Helper()
	list, err := st.ListExecutions(t.Context(), store.ExecutionFilter{OrganisationID: org, Limit: 100_000})
	ok(t, err)
	all := map[string]*hub.Execution{}
	for _, e := range list {
		all[e.ID] = &e.Execution
	}
	return all
}

// executionsOf returns all executions once there are as many as the fires of the jobs: a
// commit that was under way when its member ended may still arrive at the server.
func executionsOf(t *testing.T, st *store.Store, jobs []*hub.Job) (all map[string]*hub.Execution) {
	t.Helper()
	until(t, "there are as many executions as fires", func() bool {
		recorded := 0
		for _, j := range jobs {
			recorded += count(fires(t, st, j), hub.FireStarted)
		}
		all = executions(t, st)
		return len(all) == recorded
	})
	return all
}

// Members over one database hand the leadership over again and again while 25 jobs are
// due every second: each second of each job has one execution, and no more.
func TestHandedOver(t *testing.T) {
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
	var jobs []*hub.Job
	for i := range 25 {
		jobs = append(jobs, put(t, st, p, fmt.Sprintf("job %d", i), "* * * * * ?"))
	}
	members := []*member{join(t, open(), "a"), join(t, open(), "b")}
	for _, m := range members {
		m.start()
	}
	leader := func() (int, int64) {
		l, err := st.LeaderLease(t.Context(), hub.LeaseScheduler)
		ok(t, err)
		for i, m := range members {
			if l != nil && l.Holder == m.cluster.MemberID() {
				return i, l.Term
			}
		}
		return -1, 0
	}
	fired := func() int { return count(fires(t, st, jobs[0]), hub.FireStarted) }
	for term := range int64(5) {
		before := fired()
		until(t, "the next leader fires", func() bool { _, now := leader(); return now > term && fired() > before })
		// Every other time it is asked to hand over, else it ends in the middle.
		if now, _ := leader(); term%2 == 0 {
			members[now].stop()
			members[now].start()
		} else {
			ok(t, st.GiveLeaderLease(t.Context(), hub.LeaseScheduler, members[1-now].cluster.MemberID()))
		}
	}
	for _, m := range members {
		m.stop()
		m.end()
	}
	all := executionsOf(t, st, jobs)
	total := 0
	for _, j := range jobs {
		s, err := st.Schedule(t.Context(), j)
		ok(t, err)
		recorded := fires(t, st, j)
		for at := s.Since.Unix() + 1; at < s.NextFire.Unix(); at++ {
			f := recorded[at]
			if f == nil || f.Status != hub.FireStarted || all[f.ExecutionID] == nil || all[f.ExecutionID].StartedBy != schedule.By {
				t.Errorf("%s at %d: %+v", j.Name, at, f)
			}
			total++
		}
	}
	if total == 0 || len(all) != total {
		t.Errorf("%d executions for %d fires", len(all), total)
	}
}

// What was missed follows the job's policy; each missed fire has its record, up to a
// bound.
func TestMissed(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		st := open(t)
		p := project(t, st)
		policy := func(m hub.MissedPolicy) func(*hub.Job) { return func(j *hub.Job) { j.Schedule.Missed = m } }
		// Every hour and half an hour from now, so that nothing becomes due in the test.
		minute := (st.Now().Minute() + 30) % 60
		hourly := fmt.Sprintf("0 %d * * * ?", minute)
		past := func(hours int) time.Time {
			return st.Now().Truncate(time.Hour).Add(time.Duration(minute)*time.Minute - time.Duration(hours+1)*time.Hour)
		}
		type want struct{ started, missed int }
		tests := map[*hub.Job]want{}
		for name, test := range map[string]struct {
			policy hub.MissedPolicy
			hours  int
			want   want
		}{
			"skip": {hub.MissedSkip, 5, want{0, 5}},
			"once": {hub.MissedOnce, 5, want{1, 4}},
			"all":  {hub.MissedAll, 5, want{5, 0}},
			// A long outage.
			"skip long": {hub.MissedSkip, 300, want{0, 101}},
			"once long": {hub.MissedOnce, 300, want{1, 101}},
			"all long":  {hub.MissedAll, 300, want{100, 101}},
		} {
			j := put(t, st, p, name, hourly, policy(test.policy))
			at := past(test.hours)
			for !at.Add(time.Duration(test.hours) * time.Hour).After(st.Now()) {
				at = at.Add(time.Hour)
			}
			dueSince(t, st, j, at)
			tests[j] = test.want
		}
		m := join(t, st, "a")
		m.start()
		until(t, "all schedules are planned again", func() bool {
			due, err := st.DueSchedules(t.Context(), 10)
			ok(t, err)
			return len(due) == 0
		})
		m.stop()
		started := 0
		for j, want := range tests {
			got := fires(t, st, j)
			if s, m := count(got, hub.FireStarted), count(got, hub.FireMissed); s != want.started || m != want.missed {
				t.Errorf("%s: %d started and %d missed, want %+v", j.Name, s, m, want)
			}
			started += want.started
			s, err := st.Schedule(t.Context(), j)
			ok(t, err)
			if wait := s.NextFire.Sub(st.Now()); wait <= 0 || wait > time.Hour {
				t.Errorf("%s fires next in %v", j.Name, wait)
			}
		}
		if n := len(executions(t, st)); n != started {
			t.Errorf("%d executions, want %d", n, started)
		}
	})
}

// A job that cannot be started has its fires recorded with the reason; the others run.
func TestFailingJobBlocksNoOther(t *testing.T) {
	t.Parallel()
	st := storetest.New(t)
	p := project(t, st)
	var failing []*hub.Job
	for i := range 10 {
		failing = append(failing, put(t, st, p, fmt.Sprintf("no nodes %d", i), "* * * * * ?", func(j *hub.Job) {
			j.Dispatch = hub.Dispatch{Nodes: true, Filter: "tags: none"}
		}))
	}
	lacks := put(t, st, p, "option", "* * * * * ?", func(j *hub.Job) { j.Options = []hub.Option{{Name: "o", Required: true}} })
	good := put(t, st, p, "good", "* * * * * ?")
	off := put(t, st, p, "off", "* * * * * ?", func(j *hub.Job) { j.ExecutionDisabled = true })
	m := join(t, st, "a")
	m.start()
	until(t, "three fires of the good one", func() bool { return count(fires(t, st, good), hub.FireStarted) >= 3 })
	until(t, "three fires of the failing ones", func() bool { return count(fires(t, st, failing[9]), hub.FireFailed) >= 3 })
	m.stop()
	for _, f := range fires(t, st, failing[0]) {
		if f.ExecutionID != "" || !strings.Contains(f.Reason, `matches the filter "tags: none"`) {
			t.Errorf("a fire that failed: %+v", f)
		}
	}
	for _, f := range fires(t, st, lacks) {
		if f.Status != hub.FireFailed || !strings.Contains(f.Reason, "options.o: a value is required") {
			t.Errorf("a fire without its option: %+v", f)
		}
	}
	if n := len(fires(t, st, off)); n != 0 {
		t.Errorf("a disabled job has %d fires", n)
	}
}

// Over the quota a fire is recorded with the reason, and is not made up for.
func TestFireOverQuota(t *testing.T) {
	t.Parallel()
	st := storetest.New(t)
	q, err := st.Quota(t.Context(), org)
	ok(t, err)
	q.LogBytes = hub.MinQuota
	ok(t, st.SetQuota(t.Context(), q))
	ok(t, st.InTx(t.Context(), func(st *store.Store) error {
		return st.NoteUsed(t.Context(), map[string]int64{org: hub.MinQuota})
	}))
	j := put(t, st, project(t, st), "full", "* * * * * ?")
	m := join(t, st, "a")
	m.start()
	until(t, "two fires", func() bool { return len(fires(t, st, j)) >= 2 })
	m.stop()
	for _, f := range fires(t, st, j) {
		if f.Status != hub.FireFailed || f.ExecutionID != "" || !strings.Contains(f.Reason, "the quota is 1 MB") {
			t.Errorf("a fire: %+v", f)
		}
	}
	if n := len(executions(t, st)); n != 0 {
		t.Errorf("%d executions", n)
	}
}

// The zone is the job's, else the project's, else UTC, and changes with each of them.
func TestZones(t *testing.T) {
	t.Parallel()
	st := storetest.New(t)
	p := project(t, st)
	own := put(t, st, p, "own", "0 0 12 * * ?", func(j *hub.Job) { j.Schedule.Zone = "Asia/Tokyo" })
	bare := put(t, st, p, "bare", "0 0 12 * * ?")
	join(t, st, "a").start()
	noon := func(j *hub.Job, zone string) {
		t.Helper()
		loc, err := time.LoadLocation(zone)
		ok(t, err)
		until(t, j.Name+" fires at noon in "+zone, func() bool {
			s, err := st.Schedule(t.Context(), j)
			ok(t, err)
			local := s.NextFire.In(loc)
			return !s.NextFire.IsZero() && local.Hour() == 12 && local.Minute() == 0
		})
	}
	noon(own, "Asia/Tokyo")
	noon(bare, "UTC")
	p.Settings = map[string]string{hub.SettingTimeZone: "America/New_York"}
	ok(t, st.UpdateProject(t.Context(), p))
	noon(bare, "America/New_York")
	noon(own, "Asia/Tokyo")
	p.Settings[hub.SettingSchedules] = "false"
	ok(t, st.UpdateProject(t.Context(), p))
	until(t, "the project's schedules are off", func() bool {
		s, err := st.Schedule(t.Context(), own)
		ok(t, err)
		return s.Planned && s.NextFire.IsZero()
	})
}

// setClock opens a store over a database whose clock can be set, in days from now.
func setClock(t *testing.T) (st *store.Store, set func(days int)) {
	t.Helper()
	cfg := storetest.PostgresConfig(t)
	storetest.Exec(t, cfg, `CREATE TABLE ahead (days INTEGER NOT NULL)`, `INSERT INTO ahead VALUES (0)`,
		`CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
			'SELECT pg_catalog.clock_timestamp() + days * INTERVAL ''1 day'' FROM public.ahead'`,
		`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database()); END $$`)
	st, err := store.Open(t.Context(), cfg)
	ok(t, err)
	t.Cleanup(func() { ok(t, st.Close()) })
	return st, func(days int) {
		before := st.Now()
		storetest.Exec(t, cfg, fmt.Sprintf(`UPDATE ahead SET days = %d`, days))
		until(t, "the clock is set", func() bool { return st.Now().Sub(before).Abs() > 12*time.Hour })
	}
}

func nextFire(t *testing.T, st *store.Store, j *hub.Job) time.Time {
	t.Helper()
	s, err := st.Schedule(t.Context(), j)
	ok(t, err)
	return s.NextFire
}

// The database's clock runs days ahead and is set right: what then was missed is still to
// come, and comes at its time. So it is, whether a member leads all the while or the next
// term begins once the clock is right.
func TestClockThatRanAhead(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]bool{"while a member leads": false, "before its next term": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, set := setClock(t)
			p := project(t, st)
			soon := st.Now().Add(12 * time.Hour).Truncate(time.Minute)
			daily := put(t, st, p, "daily", soon.Format("0 4 15 * * ?"))
			once := put(t, st, p, "once", soon.Format("0 4 15 2 1 ? 2006"))
			planned := func() bool { return nextFire(t, st, daily).Equal(soon) && nextFire(t, st, once).Equal(soon) }
			m := join(t, st, "a")
			schedule.Settle(m.fires, time.Millisecond)
			m.start()
			until(t, "the next fires are known", planned)
			set(3)
			until(t, "fires are missed", func() bool {
				return count(fires(t, st, daily), hub.FireMissed) == 3 && nextFire(t, st, daily).After(soon) &&
					count(fires(t, st, once), hub.FireMissed) == 1 && nextFire(t, st, once).IsZero()
			})
			late := put(t, st, p, "late", "0 0 12 * * ?")
			until(t, "the schedule of a new job is planned", func() bool { return !nextFire(t, st, late).IsZero() })
			if restart {
				m.stop()
			}
			set(0)
			if restart {
				m.start()
			}
			until(t, "the next fires are what they were", planned)
			until(t, "the new job fires within a day", func() bool { return nextFire(t, st, late).Sub(st.Now()) <= 24*time.Hour })
			if left := len(fires(t, st, daily)) + len(fires(t, st, once)); left != 0 {
				t.Errorf("%d records of fires that are still to come", left)
			}
		})
	}
}

// The clock is behind when a term begins, and is set right soon: nothing comes as missed of
// the time that it was behind, in which the schedule was another or had fired.
func TestClockThatIsBehindAtFirst(t *testing.T) {
	t.Parallel()
	st, set := setClock(t)
	p := project(t, st)
	soon := st.Now().Add(12 * time.Hour).Truncate(time.Minute)
	daily := put(t, st, p, "daily", soon.Format("0 4 15 * * ?"), func(j *hub.Job) { j.Schedule.Missed = hub.MissedAll })
	m := join(t, st, "a")
	m.start()
	until(t, "the next fire is known", func() bool { return nextFire(t, st, daily).Equal(soon) })
	m.stop()
	set(-3)
	busy := put(t, st, p, "busy", "* * * * * ?")
	m.start()
	until(t, "it fires by the clock that is behind", func() bool { return count(fires(t, st, busy), hub.FireStarted) >= 2 })
	set(0)
	until(t, "it fires by the right one", func() bool { return st.Now().Sub(nextFire(t, st, busy)).Abs() < time.Minute })
	if next := nextFire(t, st, daily); !next.Equal(soon) || len(fires(t, st, daily)) != 0 {
		t.Errorf("the next fire is %v, want %v; those before: %v", next, soon, fires(t, st, daily))
	}
}
