package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fairlead/fairlead/hub"
)

const scheduleColumns = `p.name, p.settings, s.next_fire, s.since, s.last_fire, s.paused, ` + jobColumns

const scheduleFrom = ` FROM job_schedule s JOIN project p ON p.id = s.project_id
	JOIN job j ON j.id = s.job_id JOIN job_revision r ON r.job_id = j.id AND r.revision = j.revision `

func scanSchedule(r scanner) (*hub.Schedule, error) {
	s := &hub.Schedule{}
	var next *int64
	job, err := scanJob(before{r, []any{
		&s.Project, jsonInto(&s.Settings), &next, timeInto(&s.Since), timeInto(&s.LastFire), &s.Paused,
	}})
	if err != nil {
		return nil, err
	}
	s.Job, s.Planned = job, next == nil || *next != 0
	if next != nil && *next != 0 {
		s.NextFire = time.UnixMicro(*next).UTC()
	}
	return s, nil
}

// putSchedule keeps the row of a job's schedule in step with its definition. Fires are
// looked for anew only if they may have changed: those that are due by now stay due.
func (s *Store) putSchedule(ctx context.Context, j, old *hub.Job) error {
	if j.Schedule.Expression == "" {
		_, err := s.exec(ctx, `DELETE FROM job_schedule WHERE job_id = $1`, j.ID)
		return err
	}
	change := `job_revision = excluded.job_revision`
	if j.Schedule != old.Schedule || !slices.Equal(j.Calendars, old.Calendars) || j.ExecutionDisabled != old.ExecutionDisabled {
		change += `, next_fire = 0, since = excluded.since`
	}
	_, err := s.exec(ctx, `INSERT INTO job_schedule (job_id, organisation_id, project_id, job_revision, next_fire, since)
		VALUES ($1, $2, $3, $4, 0, $5) ON CONFLICT (job_id) DO UPDATE SET `+change,
		j.ID, j.OrganisationID, j.ProjectID, j.Revision, at(s.Now()))
	return err
}

// projectSchedules has the fires of a project's jobs looked for anew if its settings
// changed them.
func (s *Store) projectSchedules(ctx context.Context, old, p *hub.Project) error {
	same := true
	for _, name := range []string{hub.SettingTimeZone, hub.SettingSchedules} {
		same = same && old.Settings[name] == p.Settings[name]
	}
	if same {
		return nil
	}
	_, err := s.exec(ctx, `UPDATE job_schedule SET next_fire = 0, since = $1 WHERE project_id = $2`, at(s.Now()), p.ID)
	if err != nil {
		return fmt.Errorf("changing the schedules of project %s: %w", p.Name, err)
	}
	return nil
}

// DueSchedules returns up to limit schedules that are due now or have no next fire looked
// for yet, the earliest first.
func (s *Store) DueSchedules(ctx context.Context, limit int) ([]*hub.Schedule, error) {
	list, err := collect(ctx, s, scanSchedule, `SELECT `+scheduleColumns+scheduleFrom+`
		WHERE s.next_fire <= $1 ORDER BY s.next_fire, s.job_id LIMIT $2`, at(s.Now()), limit)
	if err == nil {
		err = s.addCalendars(ctx, list)
	}
	if err != nil {
		return nil, fmt.Errorf("looking for schedules that are due: %w", err)
	}
	return list, nil
}

// EarliestFire returns when the first of all schedules is due, zero if none is.
func (s *Store) EarliestFire(ctx context.Context) (time.Time, error) {
	var first time.Time
	err := s.queryRow(ctx, `SELECT min(next_fire) FROM job_schedule WHERE next_fire > 0`).Scan(timeInto(&first))
	if err != nil {
		return first, fmt.Errorf("looking for the next fire: %w", err)
	}
	return first, nil
}

// MoveSchedule sets the next fire of a schedule, zero for none, and the last if there was
// one. false: the schedule or its job was changed since it was read.
func (s *Store) MoveSchedule(ctx context.Context, was *hub.Schedule, next, last time.Time) (bool, error) {
	var expected int64
	if was.Planned {
		expected = at(was.NextFire)
	}
	n, err := s.exec(ctx, `UPDATE job_schedule SET next_fire = NULLIF(CAST($1 AS BIGINT), 0),
			last_fire = CASE WHEN last_fire < $2 THEN $2 ELSE last_fire END
		WHERE job_id = $3 AND next_fire = $4 AND since = $5 AND job_revision = $6`,
		at(next), at(last), was.Job.ID, expected, at(was.Since), was.Job.Revision)
	if err != nil {
		return false, fmt.Errorf("moving the schedule of job %s on: %w", was.Job.FullName(), err)
	}
	return n == 1, nil
}

// SchedulesSeen returns the latest time that schedules were kept at: that of the last fire with
// a record, or the one since when a schedule is as it is; zero if there is neither.
func (s *Store) SchedulesSeen(ctx context.Context) (time.Time, error) {
	var seen time.Time
	err := s.queryRow(ctx, `SELECT max(t) FROM (SELECT max(fire_at) AS t FROM job_fire UNION ALL SELECT max(since) FROM job_schedule) times`).Scan(timeInto(&seen))
	if err != nil {
		return seen, fmt.Errorf("looking until when schedules were kept: %w", err)
	}
	return seen, nil
}

// ReplanSchedules has the next fires that are to come looked for anew, after the clock was set
// back: what is still to come was not missed, also of a schedule that has no next fire any more.
func (s *Store) ReplanSchedules(ctx context.Context) error {
	now := at(s.Now())
	err := s.InTx(ctx, func(s *Store) error {
		if _, err := s.exec(ctx, `DELETE FROM job_fire WHERE fire_at > $1 AND status = 'missed'`, now); err != nil {
			return err
		}
		_, err := s.exec(ctx, `UPDATE job_schedule SET next_fire = 0, since = $1 WHERE next_fire > $1 OR next_fire IS NULL OR since > $1`, now)
		return err
	})
	if err != nil {
		return fmt.Errorf("looking for the next fires anew: %w", err)
	}
	return nil
}

// PauseSchedule stops a job's schedule, or lets it go on from now. not_found without one.
func (s *Store) PauseSchedule(ctx context.Context, j *hub.Job, paused bool) error {
	n, err := s.exec(ctx, `UPDATE job_schedule SET next_fire = CASE WHEN paused = $1 THEN next_fire ELSE 0 END,
			since = CASE WHEN paused = $1 THEN since ELSE $2 END, paused = $1
		WHERE organisation_id = $3 AND job_id = $4`, paused, at(s.Now()), j.OrganisationID, j.ID)
	if err != nil {
		return fmt.Errorf("pausing the schedule of job %s: %w", j.FullName(), err)
	}
	if n == 0 {
		return noSchedule(j)
	}
	return nil
}

func noSchedule(j *hub.Job) error {
	return hub.Errorf(hub.CodeNotFound, "The job %s has no schedule; give it one in its definition.", j.FullName())
}

// Schedule returns the schedule of a job; not_found without one.
func (s *Store) Schedule(ctx context.Context, j *hub.Job) (*hub.Schedule, error) {
	found, err := scanSchedule(s.queryRow(ctx, `SELECT `+scheduleColumns+scheduleFrom+`
		WHERE s.organisation_id = $1 AND s.job_id = $2`, j.OrganisationID, j.ID))
	if missing(err) {
		return nil, noSchedule(j)
	}
	if err == nil {
		err = s.addCalendars(ctx, []*hub.Schedule{found})
	}
	if err != nil {
		return nil, fmt.Errorf("reading the schedule of job %s: %w", j.FullName(), err)
	}
	return found, nil
}

// Schedules lists the schedules of an organisation, or of one of its projects, by
// project, group and name of their jobs.
func (s *Store) Schedules(ctx context.Context, organisationID, projectID string, page Page) ([]*hub.Schedule, string, error) {
	after, err := decodeCursor(page.Cursor, 3)
	if err != nil {
		return nil, "", err
	}
	list, err := collect(ctx, s, scanSchedule, `SELECT `+scheduleColumns+scheduleFrom+`
		WHERE s.organisation_id = $1 AND (CAST($2 AS TEXT) = '' OR s.project_id = $2) AND (p.name, j.job_group, j.name) > ($3, $4, $5)
		ORDER BY p.name, j.job_group, j.name LIMIT $6`, organisationID, projectID, after[0], after[1], after[2], page.limit()+1)
	if err == nil {
		err = s.addCalendars(ctx, list)
	}
	if err != nil {
		return nil, "", fmt.Errorf("listing schedules: %w", err)
	}
	list, next := cut(list, page.limit(), func(s *hub.Schedule) []string { return []string{s.Project, s.Job.Group, s.Job.Name} })
	return list, next, nil
}
