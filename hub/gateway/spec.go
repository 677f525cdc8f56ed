package gateway

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/keys"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

// offerFrames makes the frames that tell an offer: the spec inside it, or in parts
// before it. Scripts that the runner keeps go by their digest; nil: it keeps none. What
// is returned must be sent, before the next offer's: else the two ends would not keep
// the same.
func offerFrames(o hub.Offer, kept *wire.Scripts) ([]*runnerv1.SessionResponse, error) {
	spec := makeSpec(o)
	if n := proto.Size(spec); n > wire.MaxSpecBytes {
		return nil, fmt.Errorf("the spec of attempt %s has %d bytes, more than any runner takes", o.Fence.AttemptID, n)
	}
	if kept != nil {
		shorten(spec, kept)
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("encoding the spec of attempt %s: %w", o.Fence.AttemptID, err)
	}
	hash := sha256.Sum256(raw)
	offer := &runnerv1.Offer{Fence: fenceOut(o.Fence), SpecHash: hash[:]}
	var frames []*runnerv1.SessionResponse
	if len(raw) <= wire.MaxInlineSpecBytes {
		offer.Spec = raw
	} else {
		for i := uint32(0); len(raw) > 0; i++ {
			n := min(len(raw), wire.MaxInlineSpecBytes)
			frames = append(frames, &runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_SpecPart{
				SpecPart: &runnerv1.SpecPart{Fence: fenceOut(o.Fence), Index: i, Data: raw[:n]},
			}})
			raw = raw[n:]
		}
	}
	return append(frames, &runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_Offer{Offer: offer}}), nil
}

// shorten takes out the texts of scripts that the runner keeps, and has it keep the
// others.
func shorten(spec *runnerv1.Spec, kept *wire.Scripts) {
	for _, step := range spec.GetSteps() {
		script := step.GetScript()
		if len(script.GetText()) < wire.MinKeptScript {
			continue
		}
		digest := wire.ScriptDigest(script.GetText())
		script.Digest = digest[:]
		if _, has := kept.Get(digest); has {
			script.Text = ""
			continue
		}
		kept.Put(digest, len(script.GetText()), "")
	}
}

// makeSpec tells a runner what its assignment is. Positions in it (what cells mean)
// are: nodes as Assignment.Nodes lists them, steps as hub.Workflow.SpecSteps does.
func makeSpec(o hub.Offer) *runnerv1.Spec {
	e, a := o.Execution, o.Assignment
	spec := &runnerv1.Spec{
		ExecutionId: e.ID, AssignmentId: a.ID, ProjectId: a.ProjectID,
		Strategy:  runnerv1.Strategy_STRATEGY_NODE_FIRST,
		Threads:   uint32(max(a.Threads, 1)),
		Keepgoing: e.Keepgoing, WorkflowKeepgoing: e.Definition.Workflow.Keepgoing,
		Options:            e.Options,
		Context:            jobContext(o),
		StopAfterHubLossMs: e.Definition.StopAfterHubLoss.Milliseconds(),
		LogLevel:           e.Definition.LogLevel,
		WorkflowSteps:      uint32(len(e.Definition.Workflow.Steps)),
		LogLimit:           printedBefore(logLimit(e.Definition.LogLimit), o),
		LogFilters:         logFilters(e.Definition.Workflow.LogFilters),
	}
	if e.Strategy == hub.StrategySequential {
		spec.Strategy = runnerv1.Strategy_STRATEGY_STEP_FIRST
	}
	if o.Project != nil {
		spec.Project = maps.Clone(o.Project.Settings)
	}
	for _, opt := range e.Definition.Options {
		if opt.Secure {
			spec.SecureOptions = append(spec.SecureOptions, opt.Name)
			if opt.ValueExposed {
				spec.ExposedOptions = append(spec.ExposedOptions, opt.Name)
			}
		}
	}
	for _, position := range a.Nodes {
		n := &e.Nodes[position]
		node := &runnerv1.Node{
			Name: n.Name, Hostname: n.Hostname, Username: n.Username, Tags: n.Tags,
			Attributes: nodeAttributes(n, o.Project),
		}
		node.HostKeys, node.HostKeyConflict = knownKeys(o.HostKeys[n.Name])
		spec.Nodes = append(spec.Nodes, node)
	}
	for _, node := range slices.Sorted(maps.Keys(o.Captured)) {
		spec.Data = append(spec.Data, &runnerv1.CapturedData{Node: node, Values: o.Captured[node]})
	}
	spec.Steps = makeSteps(&e.Definition.Workflow, a.Steps)
	return spec
}

// knownKeys are the keys that a node may show, and whether another was seen there.
func knownKeys(keys []hub.HostKey) (accepted []string, conflict bool) {
	for _, k := range keys {
		if k.State == hub.HostKeyAccepted {
			accepted = append(accepted, k.Key)
		} else {
			conflict = true
		}
	}
	return accepted, conflict
}

// nodeAttributes are what ${node.x} may name beside the node's own fields, with the
// paths of its keys as the grant will bring them.
func nodeAttributes(n *hub.Node, project *hub.Project) map[string]string {
	out := maps.Clone(n.Attributes)
	if out == nil {
		out = map[string]string{}
	}
	if n.Description != "" {
		out["description"] = n.Description
	}
	if project == nil {
		return out
	}
	for name, path := range keys.NodePaths(n, project) {
		raw := n.Attributes[name]
		if raw == "" {
			raw = project.Settings[name]
		}
		if raw != path {
			out[name] = path
		}
	}
	return out
}

// makeSteps lays the steps out as hub.Workflow.SpecSteps says, so that a cell's step
// means the same to the runner and to dispatch.
func makeSteps(w *hub.Workflow, positions []int) []*runnerv1.Step {
	layout := w.SpecSteps(positions)
	out := make([]*runnerv1.Step, 0, len(layout))
	for i, position := range layout {
		step, of := w.StepAt(position)
		s := makeStep(step, of)
		// A handler that the hub cut as an assignment of its own is plain work there.
		s.IsHandler = i >= len(positions)
		if handler := slices.Index(layout[len(positions):], w.HandlerOf(position)); handler >= 0 {
			s.ErrorHandler = uint32(len(positions) + handler + 1)
		}
		out = append(out, s)
	}
	return out
}

// makeStep makes a step; of is the position that people count it by.
func makeStep(step *hub.Step, of int) *runnerv1.Step {
	s := &runnerv1.Step{
		Number: uint32(of + 1), Description: step.Description,
		TimeoutMs: step.Timeout.Milliseconds(), Idempotent: step.Idempotent, Probe: step.Probe,
		ContinueOnUnknown: step.ContinueOnUnknown, Detached: step.Detached,
		Retries: uint32(max(step.Retries, 0)), RetryDelayMs: step.RetryDelay.Milliseconds(),
		KeepgoingOnSuccess: step.KeepgoingOnSuccess, LogFilters: logFilters(step.LogFilters),
	}
	if step.Script == nil {
		s.Work = &runnerv1.Step_Exec{Exec: step.Exec}
		return s
	}
	s.Work = &runnerv1.Step_Script{Script: &runnerv1.Script{
		Text: step.Script.Text, ArgsText: step.Script.Args, Interpreter: step.Script.Interpreter,
		ArgsQuoted: step.Script.ArgsQuoted, FileExtension: step.Script.FileExtension,
	}}
	return s
}

func logFilters(filters []hub.LogFilter) []*runnerv1.LogFilter {
	var out []*runnerv1.LogFilter
	for _, f := range filters {
		out = append(out, &runnerv1.LogFilter{Type: f.Type, Config: f.Config})
	}
	return out
}

// logLimit is nil where neither job nor organisation has one.
func logLimit(l hub.LogLimit) *runnerv1.LogLimit {
	if l.Text == "" && l.Quota == 0 {
		return nil
	}
	out := &runnerv1.LogLimit{
		Lines: uint64(max(l.Lines, 0)), Bytes: uint64(max(l.Bytes, 0)), PerNode: l.PerNode, Truncate: l.Truncate,
		Cancelled: l.Status == hub.LogLimitAborted, Text: l.String(),
		Quota: uint64(max(l.Quota, 0)),
	}
	if l.Status != hub.LogLimitFailed && l.Status != hub.LogLimitAborted {
		out.Status = l.Status
	}
	return out
}

// printedBefore has a limit count what was printed before.
func printedBefore(l *runnerv1.LogLimit, o hub.Offer) *runnerv1.LogLimit {
	if l == nil || len(o.Printed) == 0 {
		return l
	}
	var all hub.Printed
	for _, p := range o.Printed {
		all = all.Plus(p)
	}
	l.Before = printedOut(all)
	if l.GetPerNode() {
		for _, node := range o.Assignment.Nodes {
			l.NodesBefore = append(l.NodesBefore, printedOut(o.Printed[node]))
		}
	}
	return l
}

func printedOut(p hub.Printed) *runnerv1.Printed {
	return &runnerv1.Printed{Lines: uint64(max(p.Lines, 0)), Bytes: uint64(max(p.Bytes, 0))}
}

// jobContext are the job.* values that commands may use, under Rundeck's names.
func jobContext(o hub.Offer) map[string]string {
	e := o.Execution
	c := map[string]string{
		"job.id": e.JobID, "job.name": e.Definition.Name, "job.group": e.Definition.Group,
		"job.execid": e.ID, "job.execnum": strconv.FormatInt(e.Number, 10),
		"job.username": e.StartedBy, "job.user.name": e.StartedBy,
		"job.loglevel": e.Definition.LogLevel, "job.filter": e.NodeFilter,
		"job.threadcount": strconv.Itoa(max(e.Threads, 1)),
	}
	if o.Project != nil {
		c["job.project"] = o.Project.Name
	}
	return c
}
