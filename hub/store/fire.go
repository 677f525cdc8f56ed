package store

import (
	"context"
	"fmt"
	"time"

	"github.com/fairlead/fairlead/hub"
)

const fireColumns = `job_id, fire_at, execution_id, status, reason, recorded_at`

func scanFire(r scanner) (*hub.Fire, error) {
	f := &hub.Fire{}
	err := r.Scan(&f.JobID, timeInto(&f.At), &f.ExecutionID, &f.Status, &f.Reason, timeInto(&f.RecordedAt))
	return f, err
}

// AddFire records what became of a fire. false: it was recorded before, and stays as it
// was; whoever started something for it must undo that.
func (s *Store) AddFire(ctx context.Context, f hub.Fire) (bool, error) {
	n, err := s.exec(ctx, `INSERT INTO job_fire (`+fireColumns+`) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (job_id, fire_at) DO NOTHING`,
		f.JobID, at(f.At), f.ExecutionID, f.Status, f.Reason, at(s.Now()))
	if err != nil {
		return false, fmt.Errorf("recording a fire of job %s: %w", f.JobID, err)
	}
	return n == 1, nil
}

// Fires returns the last fires of a job, the newest first.
func (s *Store) Fires(ctx context.Context, jobID string, limit int) ([]*hub.Fire, error) {
	list, err := collect(ctx, s, scanFire, `SELECT `+fireColumns+` FROM job_fire WHERE job_id = $1 ORDER BY fire_at DESC LIMIT $2`, jobID, limit)
	if err != nil {
		return nil, fmt.Errorf("listing the fires of job %s: %w", jobID, err)
	}
	return list, nil
}

// Fire returns what became of a fire, nil if there is no record of it.
func (s *Store) Fire(ctx context.Context, jobID string, at int64) (*hub.Fire, error) {
	f, err := scanFire(s.queryRow(ctx, `SELECT `+fireColumns+` FROM job_fire WHERE job_id = $1 AND fire_at = $2`, jobID, at))
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading a fire of job %s: %w", jobID, err)
	}
	return f, nil
}

// Unstarted are the last fires of a project's jobs that were missed or failed, the newest
// first, each with its job.
func (s *Store) Unstarted(ctx context.Context, projectID string, limit int) ([]*hub.Fire, []*hub.Job, error) {
	var jobs []*hub.Job
	list, err := collect(ctx, s, func(r scanner) (*hub.Fire, error) {
		j := &hub.Job{}
		f, err := scanFire(before{r, []any{&j.Group, &j.Name}})
		if err == nil {
			j.ID, jobs = f.JobID, append(jobs, j)
		}
		return f, err
	}, `SELECT j.job_group, j.name, `+prefixed("f", fireColumns)+` FROM job_fire f JOIN job j ON j.id = f.job_id
		WHERE j.project_id = $1 AND f.status <> 'started' ORDER BY f.fire_at DESC, f.job_id LIMIT $2`, projectID, limit)
	if err != nil {
		return nil, nil, fmt.Errorf("listing fires that were missed or failed: %w", err)
	}
	return list, jobs, nil
}

// DeleteFires deletes up to limit records of fires before a time.
func (s *Store) DeleteFires(ctx context.Context, before time.Time, limit int) error {
	_, err := s.exec(ctx, `DELETE FROM job_fire WHERE (job_id, fire_at) IN (SELECT job_id, fire_at FROM job_fire WHERE fire_at < $1 LIMIT $2)`, at(before), limit)
	if err != nil {
		return fmt.Errorf("deleting old records of fires: %w", err)
	}
	return nil
}
