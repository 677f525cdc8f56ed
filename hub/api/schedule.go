package api

import (
	"context"
	"net/http"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/schedule"
	"github.com/fairlead/fairlead/hub/store"
)

type listSchedulesInput struct {
	Page
	Project string `query:"project" maxLength:"100" doc:"Name or id of a project; all projects without"`
}

type unstartedInput struct {
	ProjectPath
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"50" doc:"How many at most"`
}

type listFiresInput struct {
	JobPath
	Count int `query:"count" minimum:"1" maximum:"1000" default:"10" doc:"How many coming and how many past fires at most"`
}

func (s *server) scheduleRoutes() {
	register(s, op{method: http.MethodGet, path: "/schedules", id: "list-schedules", summary: "List the schedules of jobs, and when they fire", right: read}, s.listSchedules)
	register(s, op{method: http.MethodGet, path: "/projects/{project}/jobs/{job}/fires", id: "list-fires", summary: "Coming fires of a job, and what became of past ones", right: read}, s.listFires)
	register(s, op{method: http.MethodGet, path: "/projects/{project}/fires", id: "list-unstarted-fires", summary: "The last fires of a project that were missed or failed", right: read}, s.listUnstarted)
	register(s, op{method: http.MethodPost, path: "/projects/{project}/jobs/{job}/schedule/pause", id: "pause-schedule", summary: "Stop the schedule of a job", right: admin}, s.pauseSchedule)
	register(s, op{method: http.MethodPost, path: "/projects/{project}/jobs/{job}/schedule/resume", id: "resume-schedule", summary: "Let the schedule of a job go on from now", right: admin}, s.resumeSchedule)
}

func (s *server) listSchedules(ctx context.Context, in *listSchedulesInput) (*body[ScheduleList], error) {
	projectID := ""
	if in.Project != "" {
		p, err := s.project(ctx, in.Project)
		if err != nil {
			return nil, err
		}
		projectID = p.ID
	}
	found, next, err := s.Store.Schedules(ctx, principal(ctx).OrganisationID, projectID, in.store())
	if err != nil {
		return nil, err
	}
	nobody, err := s.nobodyFires(ctx)
	if err != nil {
		return nil, err
	}
	items := mapped(found, func(f *hub.Schedule) Schedule { return toSchedule(f, nobody, s.Store.Now()) })
	return &body[ScheduleList]{ScheduleList{Items: items, Next: next}}, nil
}

// nobodyFires tells why no schedule fires at all, "" if a member is there for them.
func (s *server) nobodyFires(ctx context.Context) (why string, err error) {
	status, err := s.Cluster.Status(ctx)
	switch {
	case err != nil:
		return "", err
	case status.Row.ExecutionMode == hub.ModePassive:
		return "The cluster fires no schedules (execution mode passive).", nil
	case !status.Fires():
		return "No member fires schedules now: each is dead, drained, passive or without the role scheduler; see `fairlead cluster status`.", nil
	default:
		return "", nil
	}
}

// toSchedule tells when a schedule comes next, also before the scheduler has planned it.
// nobody is why none fires.
func toSchedule(f *hub.Schedule, nobody string, now time.Time) Schedule {
	out := Schedule{
		JobID: f.Job.ID, Project: f.Project, Name: f.Job.Name, Group: f.Job.Group, Expression: f.Job.Schedule.Expression,
		TimeZone: f.Zone(), Missed: string(f.Job.Schedule.Missed), Paused: f.Paused, Calendars: list(f.Job.Calendars), LastFireAt: timePtr(f.LastFire), WhyNot: f.Off(),
	}
	next := f.NextFire
	if !f.Planned {
		now = f.Since
	}
	if coming, err := schedule.Next(f, now, 1); err != nil {
		out.WhyNot = hub.ErrorMessage(err)
	} else if next.IsZero() && len(coming) > 0 {
		next = coming[0]
	}
	out.NextFireAt = timePtr(next)
	switch {
	case out.WhyNot != "":
	case next.IsZero():
		out.WhyNot = "The expression has no time left."
		if len(f.Calendars) > 0 {
			out.WhyNot = "The expression has no time left that its calendars allow."
		}
	default:
		out.WhyNot = nobody
	}
	return out
}

func (s *server) listFires(ctx context.Context, in *listFiresInput) (*body[Fires], error) {
	_, j, err := s.job(ctx, &in.JobPath)
	if err != nil {
		return nil, err
	}
	f, err := s.Store.Schedule(ctx, j)
	if err != nil {
		return nil, err
	}
	coming, err := schedule.Next(f, s.Store.Now(), in.Count)
	if err != nil {
		return nil, err
	}
	var last time.Time
	if len(coming) == in.Count {
		last = coming[in.Count-1]
	}
	taken, err := schedule.TakenOut(f, s.Store.Now(), last)
	if err != nil {
		return nil, err
	}
	past, err := s.Store.Fires(ctx, j.ID, in.Count)
	if err != nil {
		return nil, err
	}
	return &body[Fires]{Fires{
		TimeZone: f.Zone(), WhyNot: f.Off(),
		TakenOut: mapped(taken, func(t schedule.Taken) TakenOut { return TakenOut{At: Time(t.At), Calendar: t.Calendar} }),
		Coming:   mapped(coming, func(t time.Time) Time { return Time(t) }),
		Past:     mapped(past, toFire),
	}}, nil
}

func (s *server) listUnstarted(ctx context.Context, in *unstartedInput) (*body[JobFireList], error) {
	p, err := s.project(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	found, jobs, err := s.Store.Unstarted(ctx, p.ID, in.Limit)
	if err != nil {
		return nil, err
	}
	items := make([]JobFire, len(found))
	for i, f := range found {
		items[i] = JobFire{Fire: toFire(f), JobID: f.JobID, Name: jobs[i].Name, Group: jobs[i].Group}
	}
	return &body[JobFireList]{JobFireList{Items: items}}, nil
}

func toFire(f *hub.Fire) Fire {
	return Fire{At: Time(f.At), Status: string(f.Status), ExecutionID: f.ExecutionID, Reason: f.Reason, RecordedAt: Time(f.RecordedAt)}
}

func (s *server) pauseSchedule(ctx context.Context, in *JobPath) (*body[Schedule], error) {
	return s.setPaused(ctx, in, true, "schedule.pause")
}

func (s *server) resumeSchedule(ctx context.Context, in *JobPath) (*body[Schedule], error) {
	return s.setPaused(ctx, in, false, "schedule.resume")
}

func (s *server) setPaused(ctx context.Context, in *JobPath, paused bool, action string) (*body[Schedule], error) {
	p, j, err := s.job(ctx, in)
	if err != nil {
		return nil, err
	}
	var f *hub.Schedule
	err = s.Store.InTx(ctx, func(st *store.Store) error {
		if err := st.PauseSchedule(ctx, j, paused); err != nil {
			return err
		}
		if f, err = st.Schedule(ctx, j); err != nil {
			return err
		}
		return s.audit(ctx, st, action, p.Name+"/"+j.FullName())
	})
	if err != nil {
		return nil, err
	}
	nobody, err := s.nobodyFires(ctx)
	if err != nil {
		return nil, err
	}
	return &body[Schedule]{toSchedule(f, nobody, s.Store.Now())}, nil
}
