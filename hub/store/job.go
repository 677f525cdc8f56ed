package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fairlead/fairlead/hub"
)

const jobColumns = `j.id, j.organisation_id, j.project_id, j.uuid, j.job_group, j.name, j.revision, j.created_at, j.updated_at, r.definition`

const jobFrom = ` FROM job j JOIN job_revision r ON r.job_id = j.id AND r.revision = j.revision `

// scanJob reads the definition first: the row's own columns win over what the JSON
// says, since they are what queries go by.
func scanJob(r scanner) (*hub.Job, error) {
	var row, j hub.Job
	err := r.Scan(&row.ID, &row.OrganisationID, &row.ProjectID, &row.UUID, &row.Group, &row.Name, &row.Revision,
		timeInto(&row.CreatedAt), timeInto(&row.UpdatedAt), jsonInto(&j))
	if err != nil {
		return nil, err
	}
	j.ID, j.OrganisationID, j.ProjectID, j.UUID, j.Group, j.Name = row.ID, row.OrganisationID, row.ProjectID, row.UUID, row.Group, row.Name
	j.Revision, j.CreatedAt, j.UpdatedAt = row.Revision, row.CreatedAt, row.UpdatedAt
	return &j, nil
}

// JobChange says what PutJob did.
type JobChange string

// The changes.
const (
	JobCreated   JobChange = "created"
	JobUpdated   JobChange = "updated"
	JobUnchanged JobChange = "unchanged"
)

// PutJob stores a definition: as a new revision of the job with its UUID, else of the
// one with its group and name, else as a new job. It fills in id, UUID, revision and
// times. A definition that is the same as the newest one makes no revision. A UUID
// that is not known beside a group and name that another job has is a conflict.
func (s *Store) PutJob(ctx context.Context, j *hub.Job, by string) (change JobChange, err error) {
	given := j.UUID
	err = s.InTx(ctx, func(s *Store) error {
		j.UUID = given // another try must see what the caller gave
		if err := s.lockProject(ctx, j.ProjectID); err != nil {
			return err
		}
		old, err := s.jobToReplace(ctx, j)
		if err != nil {
			return err
		}
		if old == nil {
			change = JobCreated
			if err := s.insertJob(ctx, j, by); err != nil {
				return err
			}
			if err := s.putCalendars(ctx, j, &hub.Job{}); err != nil {
				return err
			}
			return s.putSchedule(ctx, j, &hub.Job{})
		}
		j.ID, j.UUID, j.OrganisationID = old.ID, old.UUID, old.OrganisationID
		j.CreatedAt, j.UpdatedAt, j.Revision = old.CreatedAt, old.UpdatedAt, old.Revision
		if definition(j) == definition(old) {
			change = JobUnchanged
			return nil
		}
		change = JobUpdated
		if err := s.updateJob(ctx, j, by); err != nil {
			return err
		}
		if err := s.putLimit(ctx, j, old); err != nil {
			return err
		}
		if err := s.putCalendars(ctx, j, old); err != nil {
			return err
		}
		return s.putSchedule(ctx, j, old)
	})
	if err != nil {
		return "", fmt.Errorf("storing job %s: %w", j.FullName(), err)
	}
	return change, nil
}

// jobToReplace finds the job that a definition belongs to, nil for none.
func (s *Store) jobToReplace(ctx context.Context, j *hub.Job) (*hub.Job, error) {
	found, err := collect(ctx, s, scanJob, `SELECT `+jobColumns+jobFrom+`
		WHERE j.project_id = $1 AND (j.uuid = $2 OR (j.job_group = $3 AND j.name = $4))`, j.ProjectID, j.UUID, j.Group, j.Name)
	if err != nil {
		return nil, err
	}
	var old *hub.Job
	for _, f := range found {
		if j.UUID == "" || f.UUID == j.UUID {
			old = f
		}
	}
	for _, f := range found {
		if f != old {
			return nil, hub.Errorf(hub.CodeConflict,
				"The job %q of this project has the uuid %s, not %s; rename one of the two, or take the uuid out of the file to change the one that is there.",
				f.FullName(), f.UUID, j.UUID)
		}
	}
	return old, nil
}

// definition is what a revision stores: the job without what the row tells.
func definition(j *hub.Job) string {
	d := *j
	d.ID, d.OrganisationID, d.ProjectID = "", "", ""
	d.Revision, d.CreatedAt, d.UpdatedAt = 0, time.Time{}, time.Time{}
	return asJSON(d)
}

func (s *Store) insertJob(ctx context.Context, j *hub.Job, by string) error {
	j.ID, j.Revision = NewID(), 1
	if j.UUID == "" {
		j.UUID = j.ID
	}
	j.CreatedAt = s.Now()
	j.UpdatedAt = j.CreatedAt
	_, err := s.exec(ctx, `INSERT INTO job (id, organisation_id, project_id, uuid, job_group, name, revision, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)`,
		j.ID, j.OrganisationID, j.ProjectID, j.UUID, j.Group, j.Name, j.Revision, at(j.CreatedAt))
	if err != nil {
		return err
	}
	return s.insertRevision(ctx, j, by)
}

func (s *Store) updateJob(ctx context.Context, j *hub.Job, by string) error {
	j.Revision++
	j.UpdatedAt = s.Now()
	_, err := s.exec(ctx, `UPDATE job SET job_group = $1, name = $2, revision = $3, updated_at = $4 WHERE id = $5`,
		j.Group, j.Name, j.Revision, at(j.UpdatedAt), j.ID)
	if err != nil {
		return err
	}
	return s.insertRevision(ctx, j, by)
}

func (s *Store) insertRevision(ctx context.Context, j *hub.Job, by string) error {
	_, err := s.exec(ctx, `INSERT INTO job_revision (job_id, revision, definition, created_by, created_at) VALUES ($1, $2, $3, $4, $5)`,
		j.ID, j.Revision, definition(j), by, at(j.UpdatedAt))
	return err
}

// Job finds a job of a project by id, UUID, group/name, or a name that only one has;
// else the error lists the candidates.
func (s *Store) Job(ctx context.Context, projectID, ref string) (*hub.Job, error) {
	group, name := splitJobRef(ref)
	found, err := collect(ctx, s, scanJob, `SELECT `+jobColumns+jobFrom+`
		WHERE j.project_id = $1 AND (j.id = $2 OR j.uuid = $2 OR (j.job_group = $3 AND j.name = $4) OR j.name = $2)
		ORDER BY j.job_group, j.name LIMIT 50`, projectID, ref, group, name)
	if err != nil {
		return nil, fmt.Errorf("reading job %s: %w", ref, err)
	}
	for _, exact := range []func(*hub.Job) bool{
		func(j *hub.Job) bool { return j.ID == ref || j.UUID == ref },
		func(j *hub.Job) bool { return j.FullName() == ref },
	} {
		for _, j := range found {
			if exact(j) {
				return j, nil
			}
		}
	}
	switch len(found) {
	case 0:
		return nil, hub.Errorf(hub.CodeNotFound, "The project has no job %q.", ref)
	case 1:
		return found[0], nil
	}
	var names []string
	for _, j := range found {
		names = append(names, j.FullName())
	}
	return nil, hub.Errorf(hub.CodeInvalid, "Several jobs are named %q; say which: %s.", ref, strings.Join(names, ", "))
}

// FoundJob tells at which revision a project and a job of it are, without what is in them,
// and the limits of their organisation's quota and what counts against them.
type FoundJob struct {
	ProjectID                      string
	ProjectRevision, NodesRevision int64
	ProjectUpdatedAt               time.Time
	JobID                          string // "": the project has no such job
	JobRevision                    int64
	JobUpdatedAt                   time.Time
	Quota                          hub.Quota
}

// FindJob finds what the names or ids of a project and a job may mean: one pair, or none
// or several, about which Project and Job have more to say.
func (s *Store) FindJob(ctx context.Context, organisationID, project, ref string) ([]FoundJob, error) {
	group, name := splitJobRef(ref)
	found, err := collect(ctx, s, func(r scanner) (f FoundJob, err error) {
		f.Quota.OrganisationID = organisationID
		err = r.Scan(&f.ProjectID, &f.ProjectRevision, &f.NodesRevision, timeInto(&f.ProjectUpdatedAt), &f.JobID, &f.JobRevision, timeInto(&f.JobUpdatedAt),
			&f.Quota.LogBytes, &f.Quota.ExecutionLogBytes, &f.Quota.UsedBytes)
		return f, err
	}, `SELECT p.id, p.revision, p.nodes_revision, p.updated_at, COALESCE(j.id, ''), COALESCE(j.revision, 0), COALESCE(j.updated_at, 0),
			o.log_quota, o.execution_log_quota, o.log_used
		FROM project p JOIN organisation o ON o.id = p.organisation_id LEFT JOIN job j ON j.project_id = p.id AND (j.id = $3 OR j.uuid = $3 OR (j.job_group = $4 AND j.name = $5) OR j.name = $3)
		WHERE p.organisation_id = $1 AND (p.name = $2 OR p.id = $2) LIMIT 2`, organisationID, project, ref, group, name)
	if err != nil {
		return nil, fmt.Errorf("finding job %s of project %s: %w", ref, project, err)
	}
	return found, nil
}

// splitJobRef reads group/name.
func splitJobRef(ref string) (group, name string) {
	if i := strings.LastIndexByte(ref, '/'); i >= 0 {
		return ref[:i], ref[i+1:]
	}
	return "", ref
}

// JobRevision returns a job as it was at a revision; it may have had another name.
func (s *Store) JobRevision(ctx context.Context, organisationID, jobID string, revision int64) (*hub.Job, error) {
	j := &hub.Job{}
	var made time.Time
	var id, projectID string
	err := s.queryRow(ctx, `SELECT j.id, j.project_id, r.created_at, r.definition FROM job j JOIN job_revision r ON r.job_id = j.id
		WHERE j.organisation_id = $1 AND j.id = $2 AND r.revision = $3`, organisationID, jobID, revision).
		Scan(&id, &projectID, timeInto(&made), jsonInto(j))
	if missing(err) {
		return nil, hub.Errorf(hub.CodeNotFound, "There is no revision %d of job %s.", revision, jobID)
	}
	if err != nil {
		return nil, fmt.Errorf("reading revision %d of job %s: %w", revision, jobID, err)
	}
	j.ID, j.OrganisationID, j.ProjectID, j.Revision, j.UpdatedAt = id, organisationID, projectID, revision, made
	return j, nil
}

// JobQuery narrows a list of jobs.
type JobQuery struct {
	// Group limits to a group and those below it; "" for all.
	Group string
	// Search is a part of group/name, upper and lower case of ASCII alike; "" for all.
	Search string
	Page
}

// Jobs lists the jobs of a project by group and name.
func (s *Store) Jobs(ctx context.Context, projectID string, q JobQuery) ([]*hub.Job, string, error) {
	after, err := decodeCursor(q.Cursor, 2)
	if err != nil {
		return nil, "", err
	}
	where := []string{`j.project_id = $1`, `(j.job_group, j.name) > ($2, $3)`}
	args := []any{projectID, after[0], after[1], q.limit() + 1}
	if q.Group != "" {
		args = append(args, q.Group, q.Group+"/")
		where = append(where, fmt.Sprintf(`(j.job_group = $%d OR %s)`, len(args)-1, beginsWith("j.job_group", len(args))))
	}
	if q.Search != "" {
		args = append(args, "%"+likeText(asciiLower(q.Search))+"%")
		where = append(where, fmt.Sprintf(`lower(j.job_group || '/' || j.name) LIKE $%d ESCAPE '\'`, len(args)))
	}
	list, err := collect(ctx, s, scanJob, `SELECT `+jobColumns+jobFrom+` WHERE `+strings.Join(where, " AND ")+`
		ORDER BY j.job_group, j.name LIMIT $4`, args...)
	if err != nil {
		return nil, "", fmt.Errorf("listing jobs: %w", err)
	}
	list, next := cut(list, q.limit(), func(j *hub.Job) []string { return []string{j.Group, j.Name} })
	return list, next, nil
}

// asciiLower does what lower() does on both databases; the rest stays as it is.
func asciiLower(t string) string {
	b := []byte(t)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// likeText escapes what LIKE gives a meaning to.
func likeText(t string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(t)
}

// DeleteJob deletes a job with its revisions, if it still has the revision (0:
// whatever it has). Executions keep their own copy of what they run.
func (s *Store) DeleteJob(ctx context.Context, projectID, id string, revision int64) error {
	return s.InTx(ctx, func(s *Store) error {
		j, err := s.Job(ctx, projectID, id)
		if err != nil {
			return err
		}
		n, err := s.exec(ctx, `DELETE FROM job WHERE project_id = $1 AND id = $2 AND (CAST($3 AS BIGINT) = 0 OR revision = $3)`, projectID, j.ID, revision)
		if err != nil {
			return fmt.Errorf("deleting job %s: %w", j.FullName(), err)
		}
		if n == 0 {
			return changedMeanwhile("job", j.FullName())
		}
		return nil
	})
}
