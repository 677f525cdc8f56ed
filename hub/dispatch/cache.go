package dispatch

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/workflow"
)

// cacheSize bounds the executions and the attempts that are remembered.
const cacheSize = 4096

// job is what never changes about an execution, so that it can be remembered.
type job struct {
	// base has no state in it: status, cancel and the like are in the row alone.
	base     hub.Execution
	slices   int
	spec     *store.ExecutionSpec
	plan     workflow.Plan
	workflow *hub.Workflow
	needs    needs
}

func newJob(row *store.ExecutionRow, spec *store.ExecutionSpec) *job {
	j := &job{base: row.Execution, slices: row.Slices, spec: spec, workflow: &spec.Definition.Workflow, needs: needsOf(spec.Definition)}
	spec.Apply(&j.base)
	j.plan = workflow.Plan{
		Workflow: j.workflow, Strategy: spec.Strategy, Threads: spec.Threads, Keepgoing: row.Keepgoing,
		Routes: spec.Routes, NodeRoutes: spec.NodeRoutes,
	}
	return j
}

// work is what never changes about an attempt.
type work struct {
	fence      hub.Fence
	runnerID   string
	assignment hub.Assignment
	tryBase    int
	job        *job
	// specSteps are the positions of the steps that its cells count.
	specSteps []int
	// project is as it was told with the last offer; nil before.
	project atomic.Pointer[hub.Project]
}

func newWork(j *job, a *store.AssignmentRow, t *store.AttemptRow) *work {
	return &work{
		fence: t.Fence, runnerID: t.RunnerID, assignment: a.Assignment, tryBase: a.TryBase,
		job: j, specSteps: j.workflow.SpecSteps(a.Steps),
	}
}

// proof is what the hub's proof of a grant of this attempt covers.
func (w *work) proof(boot []byte) hub.GrantProof {
	return hub.GrantProof{
		Fence: w.fence, Boot: boot, RunnerID: w.runnerID, ProjectID: w.assignment.ProjectID,
		ExecutionID: w.assignment.ExecutionID, AssignmentID: w.assignment.ID,
	}
}

// cell tells which node and step of the execution a cell of the attempt is; false when
// it is outside of its spec.
func (w *work) cell(c hub.Cell) (node, step int, ok bool) {
	if c.Node < 0 || c.Node >= len(w.assignment.Nodes) || c.Step < 0 || c.Step >= len(w.specSteps) {
		return 0, 0, false
	}
	return w.assignment.Nodes[c.Node], w.specSteps[c.Step], true
}

// cache remembers jobs and works. Losing an entry costs a read.
type cache struct {
	mu    sync.Mutex
	jobs  map[string]*job
	works map[string]*work
}

// put remembers v, of most values at the most: one of the others goes for it.
func put[V any](m map[string]V, most int, key string, v V) {
	if _, known := m[key]; !known && len(m) >= most {
		for k := range m {
			delete(m, k)
			break
		}
	}
	m[key] = v
}

func (c *cache) addJob(j *job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	put(c.jobs, cacheSize, j.base.ID, j)
}

func (c *cache) addWork(w *work) {
	c.mu.Lock()
	defer c.mu.Unlock()
	put(c.works, cacheSize, w.fence.AttemptID, w)
}

// dropJob forgets an execution that has ended.
func (c *cache) dropJob(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.jobs, id)
}

// spec returns the wide part of an execution if it is remembered, else nil.
func (c *cache) spec(id string) *store.ExecutionSpec {
	c.mu.Lock()
	defer c.mu.Unlock()
	if j := c.jobs[id]; j != nil {
		return j.spec
	}
	return nil
}

// job returns an execution's unchanging part.
func (d *Dispatcher) job(ctx context.Context, st *store.Store, organisationID, id string) (*job, error) {
	d.cache.mu.Lock()
	j := d.cache.jobs[id]
	d.cache.mu.Unlock()
	if j != nil {
		return j, nil
	}
	row, spec, err := st.ExecutionWithSpec(ctx, organisationID, id)
	if err != nil {
		return nil, err
	}
	j = newJob(row, spec)
	if !row.Recovered && row.Waits == "" { // a recovered one still grows, and one that waits gets nodes
		d.cache.addJob(j)
	}
	return j, nil
}

// work returns an attempt's unchanging part; nil when there is no such attempt.
func (d *Dispatcher) work(ctx context.Context, st *store.Store, attemptID string) (*work, error) {
	d.cache.mu.Lock()
	w := d.cache.works[attemptID]
	d.cache.mu.Unlock()
	if w != nil {
		return w, nil
	}
	t, a, err := st.AttemptWithAssignment(ctx, attemptID)
	if err != nil || t == nil {
		return nil, err
	}
	j, err := d.job(ctx, st, t.OrganisationID, t.ExecutionID)
	if hub.ErrorCode(err) == hub.CodeNotFound {
		return nil, nil // retention has taken its execution, and its own row goes next
	}
	if err != nil {
		return nil, err
	}
	w = newWork(j, a, t)
	d.cache.addWork(w)
	return w, nil
}

// known returns the work of a fence that a runner named: a *hub.Refused when there is
// no such attempt of it.
func (d *Dispatcher) known(ctx context.Context, fence hub.Fence, runnerID string) (*work, error) {
	w, err := d.work(ctx, d.st, fence.AttemptID)
	if err != nil {
		return nil, err
	}
	if w == nil || w.fence != fence || w.runnerID != runnerID {
		return nil, &hub.Refused{Fence: fence, Reason: hub.RefusedGone, Message: "The hub has no such attempt of this runner."}
	}
	return w, nil
}
