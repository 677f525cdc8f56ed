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

// JobToRun returns a project and a job of it, by names or ids, as they are now. They are
// not the caller's to change. Errors are those of the store's Project and Job.
func (d *Dispatcher) JobToRun(ctx context.Context, organisationID, project, job string) (*hub.Project, *hub.Job, error) {
	found, err := d.st.FindJob(ctx, organisationID, project, job)
	if err != nil {
		return nil, nil, err
	}
	if len(found) == 1 {
		if p, j := d.definitions.known(&found[0]); p != nil && j != nil {
			return p, j, nil
		}
	}
	p, err := d.st.Project(ctx, organisationID, project)
	if err != nil {
		return nil, nil, err
	}
	j, err := d.st.Job(ctx, p.ID, job)
	if err != nil {
		return nil, nil, err
	}
	d.definitions.remember(p, j)
	return p, j, nil
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
