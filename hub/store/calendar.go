package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/fairlead/fairlead/hub"
)

const calendarColumns = `c.id, c.organisation_id, c.project_id, c.name, c.description, c.mode, c.days, c.revision, c.created_at, c.updated_at`

func scanCalendar(r scanner) (*hub.Calendar, error) {
	c := &hub.Calendar{}
	err := r.Scan(&c.ID, &c.OrganisationID, &c.ProjectID, &c.Name, &c.Description, &c.Mode, jsonInto(&c.Days),
		&c.Revision, timeInto(&c.CreatedAt), timeInto(&c.UpdatedAt))
	return c, err
}

// PutCalendar stores a calendar under its name, as a new revision if there is one, and
// gives it id, revision and times. All schedules that go by it find their next fire anew.
func (s *Store) PutCalendar(ctx context.Context, c *hub.Calendar) error {
	err := s.InTx(ctx, func(s *Store) error {
		// A job that names it waits, or is seen below.
		if err := s.lockProject(ctx, c.ProjectID); err != nil {
			return err
		}
		now := s.Now()
		old, err := s.Calendar(ctx, c.ProjectID, c.Name)
		if hub.ErrorCode(err) == hub.CodeNotFound {
			c.ID, c.Revision, c.CreatedAt, c.UpdatedAt = NewID(), 1, now, now
			_, err := s.exec(ctx, `INSERT INTO calendar (id, organisation_id, project_id, name, description, mode, days, revision, created_at, updated_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)`,
				c.ID, c.OrganisationID, c.ProjectID, c.Name, c.Description, string(c.Mode), asJSON(c.Days), c.Revision, at(now))
			return err
		}
		if err != nil {
			return err
		}
		c.ID, c.Revision, c.CreatedAt, c.UpdatedAt = old.ID, old.Revision+1, old.CreatedAt, now
		_, err = s.exec(ctx, `UPDATE calendar SET description = $2, mode = $3, days = $4, revision = $5, updated_at = $6 WHERE id = $1`,
			c.ID, c.Description, string(c.Mode), asJSON(c.Days), c.Revision, at(now))
		if err != nil || old.Mode == c.Mode && slices.Equal(old.Days, c.Days) {
			return err
		}
		_, err = s.exec(ctx, `UPDATE job_schedule SET next_fire = 0, since = $2
			WHERE job_id IN (SELECT jc.job_id FROM job_calendar jc WHERE jc.calendar_id = $1)`, c.ID, at(now))
		return err
	})
	if err != nil {
		return fmt.Errorf("storing calendar %s: %w", c.Name, err)
	}
	return nil
}

// Calendar returns a calendar of a project by its name.
func (s *Store) Calendar(ctx context.Context, projectID, name string) (*hub.Calendar, error) {
	c, err := scanCalendar(s.queryRow(ctx, `SELECT `+calendarColumns+` FROM calendar c WHERE c.project_id = $1 AND c.name = $2`, projectID, name))
	if missing(err) {
		return nil, hub.Errorf(hub.CodeNotFound, "The project has no calendar %q; fairlead calendars list shows those there are.", name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading calendar %s: %w", name, err)
	}
	return c, nil
}

// Calendars lists the calendars of a project by name.
func (s *Store) Calendars(ctx context.Context, projectID string, page Page) ([]*hub.Calendar, string, error) {
	after, err := decodeCursor(page.Cursor, 1)
	if err != nil {
		return nil, "", err
	}
	list, err := collect(ctx, s, scanCalendar, `SELECT `+calendarColumns+` FROM calendar c
		WHERE c.project_id = $1 AND c.name > $2 ORDER BY c.name LIMIT $3`, projectID, after[0], page.limit()+1)
	if err != nil {
		return nil, "", fmt.Errorf("listing calendars: %w", err)
	}
	list, next := cut(list, page.limit(), func(c *hub.Calendar) []string { return []string{c.Name} })
	return list, next, nil
}

// CalendarJobs names the jobs that go by calendars of a project, by the calendar's id.
func (s *Store) CalendarJobs(ctx context.Context, projectID string) (map[string][]string, error) {
	out := map[string][]string{}
	_, err := collect(ctx, s, func(r scanner) (j hub.Job, err error) {
		var calendar string
		if err = r.Scan(&calendar, &j.Group, &j.Name); err == nil {
			out[calendar] = append(out[calendar], j.FullName())
		}
		return j, err
	}, `SELECT jc.calendar_id, j.job_group, j.name FROM calendar c JOIN job_calendar jc ON jc.calendar_id = c.id JOIN job j ON j.id = jc.job_id
		WHERE c.project_id = $1 ORDER BY j.job_group, j.name`, projectID)
	if err != nil {
		return nil, fmt.Errorf("reading which jobs go by calendars: %w", err)
	}
	return out, nil
}

// maxNamed bounds how many jobs a refusal names.
const maxNamed = 10

// DeleteCalendar deletes a calendar that no job goes by, if it still has the revision (0:
// whatever it has).
func (s *Store) DeleteCalendar(ctx context.Context, projectID, name string, revision int64) error {
	return s.InTx(ctx, func(s *Store) error {
		if err := s.lockProject(ctx, projectID); err != nil {
			return err
		}
		c, err := s.Calendar(ctx, projectID, name)
		if err != nil {
			return err
		}
		if revision != 0 && c.Revision != revision {
			return changedMeanwhile("calendar", name)
		}
		users, err := s.CalendarJobs(ctx, projectID)
		if err != nil {
			return err
		}
		if jobs := users[c.ID]; len(jobs) > 0 {
			return hub.Errorf(hub.CodeConflict, "Jobs go by the calendar %q: %s. Take it out of their definitions first.", name, strings.Join(jobs[:min(len(jobs), maxNamed)], ", "))
		}
		if _, err := s.exec(ctx, `DELETE FROM calendar WHERE id = $1`, c.ID); err != nil {
			return fmt.Errorf("deleting calendar %s: %w", name, err)
		}
		return nil
	})
}

// putCalendars keeps which calendars a job goes by in step with its definition.
func (s *Store) putCalendars(ctx context.Context, j, old *hub.Job) error {
	if slices.Equal(j.Calendars, old.Calendars) {
		return nil
	}
	if _, err := s.exec(ctx, `DELETE FROM job_calendar WHERE job_id = $1`, j.ID); err != nil {
		return err
	}
	for _, name := range j.Calendars {
		n, err := s.exec(ctx, `INSERT INTO job_calendar (job_id, calendar_id) SELECT CAST($1 AS TEXT), c.id FROM calendar c WHERE c.project_id = $2 AND c.name = $3`,
			j.ID, j.ProjectID, name)
		if err != nil {
			return err
		}
		if n == 0 {
			return hub.Errorf(hub.CodeInvalid, "The job %q goes by the calendar %q, which the project does not have; set it first: fairlead calendars set FILE.", j.FullName(), name)
		}
	}
	return nil
}

// addCalendars completes schedules with the calendars that they go by.
func (s *Store) addCalendars(ctx context.Context, list []*hub.Schedule) error {
	byJob := map[string]*hub.Schedule{}
	var ids []string
	for _, sc := range list {
		if len(sc.Job.Calendars) > 0 {
			byJob[sc.Job.ID] = sc
			ids = append(ids, sc.Job.ID)
		}
	}
	return inPieces(len(ids), func(from, to int) error {
		_, err := collect(ctx, s, func(r scanner) (*hub.Calendar, error) {
			var job string
			c, err := scanCalendar(before{r, []any{&job}})
			if err == nil {
				byJob[job].Calendars = append(byJob[job].Calendars, c)
			}
			return c, err
		}, `SELECT jc.job_id, `+calendarColumns+` FROM job_calendar jc JOIN calendar c ON c.id = jc.calendar_id
			WHERE jc.job_id IN (`+params(1, to-from)+`) ORDER BY c.name`, anys(ids[from:to])...)
		return err
	})
}
