package dispatch

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/nodefilter"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/workflow"
	"github.com/fairlead/fairlead/proto/failpoint"
)

// Start resolves nodes, routes them, cuts the workflow and inserts the execution, with
// attempts offered already where a runner is free, in one commit.
func (d *Dispatcher) Start(ctx context.Context, r StartRequest) (*hub.Execution, error) {
	project, err := d.st.Project(ctx, r.OrganisationID, r.ProjectID)
	if err != nil {
		return nil, err
	}
	j, row, err := d.prepare(ctx, project, &r)
	if err != nil {
		return nil, err
	}
	fx := &effects{d: d, project: project}
	err = d.st.InTx(ctx, func(st *store.Store) error {
		fx.reset()
		return d.insert(ctx, st, fx, row, j, r.InTx)
	})
	if err != nil {
		fx.reset()
		d.failed(err)
		return nil, err
	}
	failpoint.Hit("hub.offer.after-commit")
	j.base.Number = row.Number
	d.cache.addJob(j)
	fx.apply(ctx)
	e := j.base
	e.WaitingFor, e.Status, e.Outcome = row.WaitingFor, row.Status, row.Outcome
	e.CreatedAt, e.EndedAt, e.LogComplete = row.CreatedAt, row.EndedAt, row.LogComplete
	return &e, nil
}

// prepare does everything that needs no transaction.
func (d *Dispatcher) prepare(ctx context.Context, project *hub.Project, r *StartRequest) (*job, *store.ExecutionRow, error) {
	def := r.Definition
	if r.JobID != "" {
		stored, err := d.st.Job(ctx, project.ID, r.JobID)
		if err != nil {
			return nil, nil, err
		}
		if stored.ExecutionDisabled {
			return nil, nil, hub.Errorf(hub.CodeConflict, "The job %s is disabled; set executionEnabled to true in its definition to run it.", stored.FullName())
		}
		def = stored
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
			Incarnation: d.cfg.Incarnation(), StartedBy: r.By, CreatedAt: d.st.Now(),
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
	all, err := d.st.Nodes(ctx, project.ID)
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

// insert writes a prepared execution and what of it may start.
func (d *Dispatcher) insert(ctx context.Context, st *store.Store, fx *effects, row *store.ExecutionRow, j *job, inTx func(context.Context, *store.Store, *hub.Execution) error) error {
	row.WaitingFor = nil
	row.Status = hub.StatusQueued
	x := &executionState{row: row, job: j}
	cut := j.plan.Next(nil, workflow.Flow{})
	made := d.cutRows(st, fx, x, cut.Start)
	if len(made.attempts) == 0 && !cut.Settled {
		row.WaitingFor = d.waitingFor(&made.assignments[0].Assignment, made.why, st.Now())
	}
	if err := st.InsertExecution(ctx, row, j.spec); err != nil {
		return err
	}
	if err := made.insert(ctx, st); err != nil {
		return err
	}
	if cut.Settled {
		if err := d.settle(ctx, st, fx, x, cut.Outcome); err != nil {
			return err
		}
		row.Status, row.EndedAt, row.LogComplete = cut.Outcome, st.Now(), true
	}
	fx.event(hub.EventExecution, &row.Execution, row.Status)
	if inTx != nil {
		e := j.base
		e.Number, e.WaitingFor = row.Number, row.WaitingFor
		if err := inTx(ctx, st, &e); err != nil {
			return err
		}
	}
	failpoint.Hit("hub.offer.before-commit")
	return nil
}
