package dispatch

import (
	"context"
	"sync"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// definitionsKept bounds the projects and the jobs that are remembered.
const definitionsKept = 256

// definitions remembers projects and jobs by id, at the revision they were read at. To
// read and decode both for every start costs more than to ask what they are at.
type definitions struct {
	mu       sync.Mutex
	projects map[string]*hub.Project
	jobs     map[string]*hub.Job
}

// Runnable is a job, its project and the quota of their organisation, as they are now. They
// are not the reader's to change.
type Runnable struct {
	Project *hub.Project
	Job     *hub.Job
	Quota   *hub.Quota
}

// JobToRun returns a job by names or ids. Errors are those of the store's Project and Job.
func (d *Dispatcher) JobToRun(ctx context.Context, organisationID, project, job string) (Runnable, error) {
	found, err := d.st.FindJob(ctx, organisationID, project, job)
	if err != nil {
		return Runnable{}, err
	}
	var r Runnable
	if len(found) == 1 {
		r.Quota = &found[0].Quota
		if r.Project, r.Job = d.definitions.known(&found[0]); r.Project != nil && r.Job != nil {
			return r, nil
		}
	}
	if r.Project, err = d.st.Project(ctx, organisationID, project); err != nil {
		return Runnable{}, err
	}
	if r.Job, err = d.st.Job(ctx, r.Project.ID, job); err != nil {
		return Runnable{}, err
	}
	d.definitions.remember(r.Project, r.Job)
	return r, nil
}

// known returns what is remembered of both, if it is what the database has. Times are
// compared too: a database that was brought back counts revisions anew.
func (d *definitions) known(at *store.FoundJob) (*hub.Project, *hub.Job) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, j := d.projects[at.ProjectID], d.jobs[at.JobID]
	if p == nil || p.Revision != at.ProjectRevision || p.NodesRevision != at.NodesRevision || !p.UpdatedAt.Equal(at.ProjectUpdatedAt) {
		p = nil
	}
	if j == nil || j.Revision != at.JobRevision || !j.UpdatedAt.Equal(at.JobUpdatedAt) {
		j = nil
	}
	return p, j
}

func (d *definitions) remember(p *hub.Project, j *hub.Job) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.projects == nil {
		d.projects, d.jobs = make(map[string]*hub.Project), make(map[string]*hub.Job)
	}
	put(d.projects, definitionsKept, p.ID, p)
	put(d.jobs, definitionsKept, j.ID, j)
}
