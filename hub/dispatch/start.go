package dispatch

import (
	"cmp"
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
	quota := r.Quota
	if quota == nil {
		var err error
		if quota, err = d.st.Quota(ctx, project.OrganisationID); err != nil {
			return nil, err
		}
	}
	if err := quota.Admit(); err != nil {
		return nil, err
	}
	request, err := d.prepare(ctx, project, quota, &r)
	if err != nil {
		return nil, err
	}
	if r.InTx != nil {
		// Others' starts are in the transaction too: one who has gone must not undo it.
		lasting := context.WithoutCancel(ctx)
		request.record = func(st *store.Store, e *hub.Execution) error { return r.InTx(lasting, st, e) }
	}
	if _, err := d.starts.Do(ctx, request); err != nil {
		return nil, err
	}
	row := request.row
	request.wide().Apply(&row.Execution)
	if !row.Status.Final() && row.Waits == "" {
		row.NodeCounts = hub.NodeCounts{hub.StatusQueued: row.NodeCount}
	}
	return row, nil
}

// startRequest is a prepared execution.
type startRequest struct {
	row *store.ExecutionRow
	// spec has no nodes; job has them, and is nil while the time of the run has not come.
	spec    *store.ExecutionSpec
	job     *job
	choice  store.NodeChoice
	project *hub.Project
	// most of its job may run at once; 0: any number.
	most   int
	fire   bool
	record func(st *store.Store, e *hub.Execution) error // nil for nothing
	audit  *hub.AuditEvent                               // nil for none
}

// nodes is how many nodes it starts on.
func (r startRequest) nodes() int {
	if r.job == nil {
		return 0
	}
	return len(r.job.base.Nodes)
}

// wide is what of the execution is known now and never changes.
func (r *startRequest) wide() *store.ExecutionSpec {
	if r.job == nil || r.row.Waits != "" {
		return r.spec
	}
	return r.job.spec
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
		if c.Err == nil && c.Request.row.Waits == "" {
			c.Request.job.base.Number = c.Request.row.Number
			d.cache.addJob(c.Request.job)
		}
	}
	fx.apply(ctx)
	return nil
}

// prepare does everything that needs no transaction.
func (d *Dispatcher) prepare(ctx context.Context, project *hub.Project, quota *hub.Quota, r *StartRequest) (request startRequest, err error) {
	def := r.Definition
	if def == nil {
		if def, err = d.st.Job(ctx, project.ID, r.JobID); err != nil {
			return request, err
		}
	}
	if r.JobID != "" && def.ExecutionDisabled {
		return request, disabled(def)
	}
	def = overridden(def, r)
	plain, secure, err := def.ResolveOptions(r.Options)
	if err != nil {
		return request, err
	}
	request = startRequest{audit: r.Audit, project: project, choice: store.NodeChoice{Filter: r.NodeFilter, Nodes: r.Nodes}, fire: r.Fire}
	if r.JobID != "" {
		request.most = def.AtOnce()
	}
	if request.row, err = d.newRow(project, def, r, plain); err != nil {
		return request, err
	}
	if request.spec, err = newSpec(def, r, plain, quota); err != nil {
		return request, err
	}
	if err := d.seal(ctx, request.row, request.spec, secure); err != nil {
		return request, err
	}
	if r.RunAt.IsZero() {
		request.job, err = d.place(ctx, project, request.row, request.spec, request.choice)
	}
	return request, err
}

func disabled(def *hub.Job) error {
	return hub.Errorf(hub.CodeConflict, "The job %s is disabled; set executionEnabled to true in its definition to run it.", def.FullName())
}

// newSpec is what a run does, without its nodes.
func newSpec(def *hub.Job, r *StartRequest, plain map[string]string, quota *hub.Quota) (spec *store.ExecutionSpec, err error) {
	// The text it was written in is in the job's revision; here it would be read with
	// every claim.
	running := *def
	running.Source = ""
	running.LogLimit.Quota = quota.ExecutionLogBytes
	running.NodesNamed = r.Nodes != nil
	spec = &store.ExecutionSpec{
		Definition: &running, Options: plain, NodeFilter: cmp.Or(r.NodeFilter, def.Dispatch.Filter),
		Strategy: cmp.Or(def.Workflow.Strategy, hub.StrategyNodeFirst),
	}
	spec.Threads, err = def.Dispatch.Threads(plain)
	return spec, err
}

// place finds the nodes of a run and the way to them, and plans it.
func (d *Dispatcher) place(ctx context.Context, project *hub.Project, row *store.ExecutionRow, spec *store.ExecutionSpec, choice store.NodeChoice) (*job, error) {
	placed := *spec
	var err error
	if placed.Nodes, err = d.nodes(ctx, project, placed.Definition, choice, placed.Options); err != nil {
		return nil, err
	}
	if placed.Routes, placed.NodeRoutes, err = route(project, placed.Definition, placed.Nodes); err != nil {
		return nil, err
	}
	j := newJob(row, &placed)
	j.slices = len(j.plan.Slices())
	return j, nil
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
			Incarnation: d.cfg.Hold().Incarnation, StartedBy: r.By, CreatedAt: d.st.Now(), RunAt: r.RunAt,
		},
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
func (d *Dispatcher) nodes(ctx context.Context, project *hub.Project, def *hub.Job, choice store.NodeChoice, plain map[string]string) ([]hub.Node, error) {
	if !def.Dispatch.Nodes && choice.Filter == "" {
		return onHost(choice.Nodes)
	}
	dispatch := def.Dispatch
	if choice.Filter != "" && dispatch.Editable {
		dispatch.Filter, dispatch.FilterExclude = "", "" // the run's stands in their place
	}
	for _, text := range []*string{&dispatch.Filter, &dispatch.FilterExclude, &choice.Filter} {
		given := *text
		var err error
		if *text, err = nodefilter.Expand(given, def.Options, plain); err != nil {
			return nil, err
		}
		// A blank filter selects all there is, which an option that was left out must not do.
		if given != "" && strings.TrimSpace(*text) == "" && text != &dispatch.FilterExclude {
			return nil, hub.Errorf(hub.CodeInvalid, "The node filter %q is empty with the options of this run, and would select every node. Give its option a value; all nodes are .*", given)
		}
	}
	all, err := d.nodeLists.nodes(ctx, d.st, project)
	if err != nil {
		return nil, err
	}
	selected, err := nodefilter.Select(dispatch, choice.Filter, all)
	if err != nil {
		return nil, err
	}
	if choice.Nodes != nil {
		given := len(selected)
		selected = slices.DeleteFunc(selected, func(n hub.Node) bool { return !slices.Contains(choice.Nodes, n.Name) })
		if given > 0 && len(selected) == 0 && !def.Dispatch.SuccessOnEmpty {
			return nil, hub.Errorf(hub.CodeInvalid, "The node filter %q selects %d nodes of project %s, and none of the nodes that this run names. Name others, or change the filter.",
				cmp.Or(choice.Filter, dispatch.Filter), given, project.Name)
		}
	}
	if len(selected) == 0 && !def.Dispatch.SuccessOnEmpty {
		filter := cmp.Or(choice.Filter, dispatch.Filter)
		return nil, hub.Errorf(hub.CodeInvalid, "No node of project %s matches the filter %q; %d nodes are known. Change the filter, or import the nodes.",
			project.Name, filter, len(all))
	}
	return selected, nil
}

// onHost is where a run without a node filter goes. Who names nodes means those, and
// never the runner's own host in their place.
func onHost(named []string) ([]hub.Node, error) {
	host := hub.LocalNode()
	if named != nil && !slices.Contains(named, host.Name) {
		return nil, hub.Errorf(hub.CodeInvalid, "This run names nodes, but has no node filter, so it would run on the runner's own host. Give a node filter that selects them; all nodes are .*")
	}
	return []hub.Node{host}, nil
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
	starting, waiting, err := takeTurns(ctx, st, calls)
	if err != nil {
		return err
	}
	var rows []*store.ExecutionRow
	var specs []*store.ExecutionSpec
	var all made
	settled := make(map[string]hub.Status)
	for _, c := range starting {
		row, j := c.Request.row, c.Request.job
		m, outcome := d.firstCut(st, fx, row, j)
		settled[row.ID] = outcome
		rows, specs = append(rows, row), append(specs, j.spec)
		all.assignments, all.attempts = append(all.assignments, m.assignments...), append(all.attempts, m.attempts...)
	}
	if err := st.InsertExecutions(ctx, rows, specs); err != nil {
		return err
	}
	if err := all.insert(ctx, st); err != nil {
		return err
	}
	if err := d.park(ctx, st, fx, waiting); err != nil {
		return err
	}
	for _, c := range calls {
		if c.Err != nil {
			continue // its line is full
		}
		if err := d.started(ctx, st, fx, &c.Request, settled[c.Request.row.ID]); err != nil {
			return err
		}
	}
	failpoint.Hit("hub.offer.before-commit")
	return nil
}

// firstCut makes what of an execution starts at once; outcome is not "" if there is
// nothing to do.
func (d *Dispatcher) firstCut(st *store.Store, fx *effects, row *store.ExecutionRow, j *job) (m *made, outcome hub.Status) {
	row.Slices, row.NodeCount, row.RunnerTimeout = j.slices, len(j.base.Nodes), j.spec.Definition.RunnerTimeout
	row.WaitingFor, row.Status = nil, hub.StatusQueued
	cut := j.plan.Next(nil, workflow.Flow{})
	m = d.cutRows(st, fx, &executionState{row: row, job: j}, cut.Start)
	switch {
	case cut.Settled:
		return m, cut.Outcome
	case len(m.attempts) == 0:
		row.WaitingFor = d.waitingFor(&m.assignments[0].Assignment, m.why, st.Now())
	}
	return m, ""
}

// started settles an inserted execution that has nothing to do (outcome is not ""), and
// records it.
func (d *Dispatcher) started(ctx context.Context, st *store.Store, fx *effects, r *startRequest, outcome hub.Status) error {
	row := r.row
	if outcome != "" {
		if err := d.settle(ctx, st, fx, &executionState{row: row, job: r.job}, outcome); err != nil {
			return err
		}
	}
	fx.event(hub.EventExecution, &row.Execution, row.Status)
	if r.audit != nil {
		fx.audit = append(fx.audit, *r.audit)
	}
	if r.record == nil {
		return nil
	}
	e := row.Execution
	r.wide().Apply(&e)
	return r.record(st, &e)
}
