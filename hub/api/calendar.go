package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

type listCalendarsInput struct {
	ProjectPath
	Page
}

// CalendarPath names a calendar in a path.
type CalendarPath struct {
	ProjectPath
	Calendar string `path:"calendar" maxLength:"100" doc:"Name of the calendar"`
}

type setCalendarInput struct {
	CalendarPath
	IfMatchHeader
	IdempotencyHeader
	Body SetCalendar
}

type deleteCalendarInput struct {
	CalendarPath
	IfMatchHeader
}

func (s *server) calendarRoutes() {
	register(s, op{method: http.MethodGet, path: "/projects/{project}/calendars", id: "list-calendars", summary: "List calendars by name", right: read}, s.listCalendars)
	register(s, op{method: http.MethodGet, path: "/projects/{project}/calendars/{calendar}", id: "get-calendar", summary: "Show a calendar", right: read}, s.getCalendar)
	register(s, op{method: http.MethodPut, path: "/projects/{project}/calendars/{calendar}", id: "set-calendar", summary: "Make or replace a calendar; schedules that go by it find their next fire anew", right: admin}, s.setCalendar)
	register(s, op{method: http.MethodDelete, path: "/projects/{project}/calendars/{calendar}", id: "delete-calendar", summary: "Delete a calendar that no job goes by", right: admin}, s.deleteCalendar)
}

func toCalendar(c *hub.Calendar, jobs []string) Calendar {
	return Calendar{
		Name: c.Name, Description: c.Description, Mode: string(c.Mode), Days: list(c.Days), Jobs: list(jobs),
		Revision: c.Revision, CreatedAt: Time(c.CreatedAt), UpdatedAt: Time(c.UpdatedAt),
	}
}

func (s *server) listCalendars(ctx context.Context, in *listCalendarsInput) (*body[CalendarList], error) {
	p, err := s.project(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	found, next, err := s.Store.Calendars(ctx, p.ID, in.store())
	if err != nil {
		return nil, err
	}
	jobs, err := s.Store.CalendarJobs(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	items := mapped(found, func(c *hub.Calendar) Calendar { return toCalendar(c, jobs[c.ID]) })
	return &body[CalendarList]{CalendarList{Items: items, Next: next}}, nil
}

func (s *server) getCalendar(ctx context.Context, in *CalendarPath) (*tagged[Calendar], error) {
	p, err := s.project(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	c, err := s.Store.Calendar(ctx, p.ID, in.Calendar)
	if err != nil {
		return nil, err
	}
	jobs, err := s.Store.CalendarJobs(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	return &tagged[Calendar]{ETag: etag(c.Revision), Body: toCalendar(c, jobs[c.ID])}, nil
}

func (s *server) setCalendar(ctx context.Context, in *setCalendarInput) (*tagged[Calendar], error) {
	p, err := s.project(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	c := hub.Calendar{
		OrganisationID: p.OrganisationID, ProjectID: p.ID, Name: in.Calendar, Description: in.Body.Description,
		Mode: hub.CalendarMode(in.Body.Mode), Days: in.Body.Days,
	}
	if err := c.Validate(); err != nil {
		return nil, inBody(err)
	}
	r, err := s.newRequest(ctx, in.IdempotencyKey, "set-calendar "+p.ID+" "+c.Name, in.Body)
	if err != nil {
		return nil, err
	}
	out, err := onceJSON(ctx, s, r, func(st *store.Store) (*Calendar, error) {
		made := c // another try must begin with what was asked for
		if err := st.PutCalendar(ctx, &made); err != nil {
			return nil, err
		}
		// The project's row is locked now, so that nobody comes between check and change.
		if err := in.check(made.Revision-1, "calendar", made.Name); err != nil {
			return nil, err
		}
		jobs, err := st.CalendarJobs(ctx, p.ID)
		if err != nil {
			return nil, err
		}
		out := toCalendar(&made, jobs[made.ID])
		return &out, s.audit(ctx, st, "calendar.set", p.Name+"/"+made.Name)
	})
	if err != nil {
		return nil, err
	}
	s.calendarChanged(p, in.Calendar)
	return &tagged[Calendar]{ETag: etag(out.Revision), Body: *out}, nil
}

func (s *server) calendarChanged(p *hub.Project, name string) {
	s.Dispatch.Publish(hub.Event{Kind: hub.EventCalendar, OrganisationID: p.OrganisationID, ProjectID: p.ID, Calendar: name})
}

// inBody gives what is wrong with something its place in the request.
func inBody(err error) error {
	e, ok := errors.AsType[*hub.Error](err)
	if !ok {
		return err
	}
	return hub.Invalid(e.Message, mapped(e.Fields, func(f hub.FieldError) hub.FieldError {
		return hub.FieldError{Path: "body." + f.Path, Message: f.Message}
	}))
}

func (s *server) deleteCalendar(ctx context.Context, in *deleteCalendarInput) (*empty, error) {
	p, err := s.project(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	c, err := s.Store.Calendar(ctx, p.ID, in.Calendar)
	if err != nil {
		return nil, err
	}
	if err := in.check(c.Revision, "calendar", c.Name); err != nil {
		return nil, err
	}
	err = s.Store.InTx(ctx, func(st *store.Store) error {
		if err := st.DeleteCalendar(ctx, p.ID, c.Name, in.revision(c.Revision)); err != nil {
			return err
		}
		return s.audit(ctx, st, "calendar.delete", p.Name+"/"+c.Name)
	})
	if err != nil {
		return nil, err
	}
	s.calendarChanged(p, c.Name)
	return &empty{}, nil
}
