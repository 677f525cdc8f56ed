package dispatch

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/batch"
	"github.com/fairlead/fairlead/hub/nodefilter"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/workflow"
	"github.com/fairlead/fairlead/proto/failpoint"
)

// Start resolves nodes, routes them, cuts the workflow and inserts the execution, with
// attempts offered already where a runner is free, in one commit. What it returns is whole,
// with its nodes counted.
func (d *Dispatcher) Start(ctx context.Context, r StartRequest) (*store.ExecutionRow, error) {
	project := r.Project
	if project == nil {
		var err error
		if project, err = d.st.Project(ctx, r.OrganisationID, r.ProjectID); err != nil {
			return nil, err
		}
	}
	j, row, err := d.prepare(ctx, project, &r)
	if err != nil {
		return nil, err
	}
	request := startRequest{row: row, job: j, project: project}
	if r.InTx != nil {
		// Others' starts are in the transaction too: one who has gone must not undo it.
		lasting := context.WithoutCancel(ctx)
		request.record = func(st *store.Store, e *hub.Execution) error { return r.InTx(lasting, st, e) }
	}
	if _, err := d.starts.Do(ctx, request); err != nil {
		return nil, err
	}
	j.spec.Apply(&row.Execution)
	if !row.Status.Final() {
		row.NodeCounts = hub.NodeCounts{hub.StatusQueued: row.NodeCount}
	}
	return row, nil
}

// startRequest is a prepared execution.
type startRequest struct {
	row     *store.ExecutionRow
	job     *job
	project *hub.Project
	record  func(st *store.Store, e *hub.Execution) error // nil for nothing
}

type startCall = batch.Call[startRequest, struct{}]

// startsAtOnce and startNodesAtOnce bound the starts of one transaction.
const (
	startsAtOnce     = 64
	startNodesAtOnce = 2000
)

// commitStarts is one transaction for the executions that were started together.
func (d *Dispatcher) commitStarts(ctx context.Context, calls []*startCall) error {
	fx := &effects{d: d, projects: make(map[string]*hub.Project)}
	for _, c := range calls {
		fx.projects[c.Request.project.ID] = c.Request.project
	}
	if err := fx.commit(ctx, func(st *store.Store) error { return d.insertStarts(ctx, st, fx, calls) }); err != nil {
		return err
	}
	failpoint.Hit("hub.offer.after-commit")
	for _, c := range calls {
		c.Request.job.base.Number = c.Request.row.Number
		d.cache.addJob(c.Request.job)
	}
	fx.apply(ctx)
	return nil
}

// prepare does everything that needs no transaction.
func (d *Dispatcher) prepare(ctx context.Context, project *hub.Project, r *StartRequest) (*job, *store.ExecutionRow, error) {
	def := r.Definition
	if def == nil {
		var err error
		if def, err = d.st.Job(ctx, project.ID, r.JobID); err != nil {
			return nil, nil, err
		}
	}
	if r.JobID != "" && def.ExecutionDisabled {
		return nil, nil, hub.Errorf(hub.CodeConflict, "The job %s is disabled; set executionEnabled to true in its definition to run it.", def.FullName())
	}
	def = overridden(def, r)
	plain, secure, err := def.ResolveOptions(r.Options)
	if err != nil {
		return nil, nil, err
	}
	nodes, err := d.nodes(ctx, project, def, r, plain)
	if err != nil {
		return nil, nil, err
	}
	spec := &store.ExecutionSpec{
		Nodes: nodes, Options: plain, NodeFilter: r.NodeFilter,
		Strategy: def.Workflow.Strategy, Threads: 1,
	}
	if spec.Strategy == "" {
		spec.Strategy = hub.StrategyNodeFirst
	}
	// The text it was written in is in the job's revision; here it would be read with
	// every claim.
	running := *def
	running.Source = ""
	spec.Definition = &running
	if spec.NodeFilter == "" {
		spec.NodeFilter = def.Dispatch.Filter
	}
	if spec.Threads, err = def.Dispatch.Threads(plain); err != nil {
		return nil, nil, err
	}
	if spec.Routes, spec.NodeRoutes, err = route(project, def, nodes); err != nil {
		return nil, nil, err
	}
	row, err := d.newRow(project, def, r, plain)
	if err != nil {
		return nil, nil, err
	}
	if err := d.seal(ctx, row, spec, secure); err != nil {
		return nil, nil, err
	}
	j := newJob(row, spec)
	row.Slices, row.NodeCount = len(j.plan.Slices()), len(nodes)
	j.slices = row.Slices
	return j, row, nil
}

// overridden is the definition with what this run does otherwise.
func overridden(def *hub.Job, r *StartRequest) *hub.Job {
	if r.Threads == 0 && r.Keepgoing == nil {
		return def
	}
	changed := *def
	if r.Threads > 0 {
		changed.Dispatch.Threadcount = strconv.Itoa(r.Threads)
	}
	if r.Keepgoing != nil {
		changed.Dispatch.Keepgoing = *r.Keepgoing
	}
	return &changed
}

func (d *Dispatcher) newRow(project *hub.Project, def *hub.Job, r *StartRequest, plain map[string]string) (*store.ExecutionRow, error) {
	timeout, err := def.ResolveTimeout(plain)
	if err != nil {
		return nil, err
	}
	lost := def.LostAfter
	if lost == 0 {
		lost = d.cfg.LostAfter
	}
	return &store.ExecutionRow{
		Execution: hub.Execution{
			ID: store.NewID(), OrganisationID: project.OrganisationID, ProjectID: project.ID,
			JobID: r.JobID, JobRevision: def.Revision, JobName: def.FullName(), Status: hub.StatusQueued,
			Keepgoing: def.Dispatch.Keepgoing, LostAfter: max(lost, 0), Timeout: timeout,
			Incarnation: d.cfg.Hold().Incarnation, StartedBy: r.By, CreatedAt: d.st.Now(),
		},
		RunnerTimeout: def.RunnerTimeout,
	}, nil
}

// seal closes the values of secure options; they are stored in no other form.
func (d *Dispatcher) seal(ctx context.Context, row *store.ExecutionRow, spec *store.ExecutionSpec, secure map[string]string) error {
	if len(secure) == 0 {
		return nil
	}
	for name := range secure {
		spec.SecureOptions = append(spec.SecureOptions, name)
	}
	slices.Sort(spec.SecureOptions)
	if d.cfg.SealOptions == nil {
		return hub.Errorf(hub.CodeUnavailable, "This hub has no master key, so it takes no values of secure options.")
	}
	var err error
	spec.Sealed, err = d.cfg.SealOptions(ctx, row.OrganisationID, row.ID, secure)
	row.Sealed = err == nil
	return err
}

// nodes resolves the nodes of a run from the stored inventory, in rank order.
func (d *Dispatcher) nodes(ctx context.Context, project *hub.Project, def *hub.Job, r *StartRequest, plain map[string]string) ([]hub.Node, error) {
	if !def.Dispatch.Nodes && r.NodeFilter == "" {
		return []hub.Node{hub.LocalNode()}, nil
	}
	dispatch := def.Dispatch
	for _, text := range []*string{&dispatch.Filter, &dispatch.FilterExclude} {
		var err error
		if *text, err = nodefilter.Expand(*text, def.Options, plain); err != nil {
			return nil, err
		}
	}
	all, err := d.nodeLists.nodes(ctx, d.st, project)
	if err != nil {
		return nil, err
	}
	selected, err := nodefilter.Select(dispatch, r.NodeFilter, all)
	if err != nil {
		return nil, err
	}
	if r.Nodes != nil {
		selected = slices.DeleteFunc(selected, func(n hub.Node) bool { return !slices.Contains(r.Nodes, n.Name) })
	}
	if len(selected) == 0 && !def.Dispatch.SuccessOnEmpty {
		filter := r.NodeFilter
		if filter == "" {
			filter = dispatch.Filter
		}
		return nil, hub.Errorf(hub.CodeInvalid, "No node of project %s matches the filter %q; %d nodes are known. Change the filter, or import the nodes.",
			project.Name, filter, len(all))
	}
	return selected, nil
}

// route finds for each node which tags its runner must bear.
func route(project *hub.Project, def *hub.Job, nodes []hub.Node) (routes [][]string, nodeRoutes []int, err error) {
	rules := project.Routes
	if len(def.RunnerTags) > 0 {
		rules = []hub.Route{{Tags: def.RunnerTags}}
	}
	filters := make([]*nodefilter.Filter, len(rules))
	for i, rule := range rules {
		if filters[i], err = nodefilter.Parse(rule.Filter); err != nil {
			return nil, nil, &hub.Error{
				Code: hub.CodeInvalid, Cause: err,
				Message: "Route " + rule.Filter + " of project " + project.Name + " cannot be read; correct it in the project's settings.",
			}
		}
	}
	index := make(map[string]int)
	for i := range nodes {
		var tags []string
		for k, f := range filters {
			if f.Match(&nodes[i]) {
				tags = slices.Sorted(slices.Values(rules[k].Tags))
				break
			}
		}
		key := strings.Join(tags, "\x00")
		at, seen := index[key]
		if !seen {
			at = len(routes)
			index[key] = at
			routes = append(routes, slices.Compact(tags))
		}
		nodeRoutes = append(nodeRoutes, at)
	}
	return routes, nodeRoutes, nil
}

// insertStarts writes prepared executions and what of them may start.
func (d *Dispatcher) insertStarts(ctx context.Context, st *store.Store, fx *effects, calls []*startCall) error {
	var rows []*store.ExecutionRow
	var specs []*store.ExecutionSpec
	var all made
	settled := make(map[string]hub.Status)
	for _, c := range calls {
		row, j := c.Request.row, c.Request.job
		row.WaitingFor, row.Status = nil, hub.StatusQueued
		cut := j.plan.Next(nil, workflow.Flow{})
		m := d.cutRows(st, fx, &executionState{row: row, job: j}, cut.Start)
		if cut.Settled {
			settled[row.ID] = cut.Outcome
		} else if len(m.attempts) == 0 {
			row.WaitingFor = d.waitingFor(&m.assignments[0].Assignment, m.why, st.Now())
		}
		rows, specs = append(rows, row), append(specs, j.spec)
		all.assignments, all.attempts = append(all.assignments, m.assignments...), append(all.attempts, m.attempts...)
	}
	if err := st.InsertExecutions(ctx, rows, specs); err != nil {
		return err
	}
	if err := all.insert(ctx, st); err != nil {
		return err
	}
	for _, c := range calls {
		if err := d.started(ctx, st, fx, &c.Request, settled[c.Request.row.ID]); err != nil {
			return err
		}
	}
	failpoint.Hit("hub.offer.before-commit")
	return nil
}

// started settles an inserted execution that has nothing to do (outcome is not ""), and
// records it.
func (d *Dispatcher) started(ctx context.Context, st *store.Store, fx *effects, r *startRequest, outcome hub.Status) error {
	row := r.row
	if outcome != "" {
		if err := d.settle(ctx, st, fx, &executionState{row: row, job: r.job}, outcome); err != nil {
			return err
		}
		row.Status, row.EndedAt, row.LogComplete = outcome, st.Now(), true
	}
	fx.event(hub.EventExecution, &row.Execution, row.Status)
	if r.record == nil {
		return nil
	}
	e := r.job.base
	e.Number, e.WaitingFor = row.Number, row.WaitingFor
	return r.record(st, &e)
}
