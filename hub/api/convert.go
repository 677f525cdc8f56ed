package api

import (
	"cmp"
	"strings"
	"unicode/utf8"

	"github.com/fairlead/fairlead/hub"
)

// list is never nil, so that a list is never null in JSON.
func list[T any](in []T) []T {
	if in == nil {
		return []T{}
	}
	return in
}

// mapped converts every element of a list.
func mapped[A, B any](in []A, f func(A) B) []B {
	out := make([]B, 0, len(in))
	for _, v := range in {
		out = append(out, f(v))
	}
	return out
}

// plainMap is never nil.
func plainMap(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func (s *server) toProject(p *hub.Project) Project {
	r, _ := s.Purger.Of(p) // what cannot be read was refused, or is told of the pass
	return Project{
		ID: p.ID, Name: p.Name, Description: p.Description, Settings: plainMap(p.Settings), Retention: toRetention(r),
		Routes:   mapped(p.Routes, func(r hub.Route) Route { return Route{Filter: r.Filter, Tags: list(r.Tags)} }),
		Revision: p.Revision, CreatedAt: Time(p.CreatedAt), UpdatedAt: Time(p.UpdatedAt),
	}
}

func fromRoutes(in []Route) []hub.Route {
	return mapped(in, func(r Route) hub.Route { return hub.Route{Filter: r.Filter, Tags: r.Tags} })
}

func toNode(n hub.Node) Node {
	return Node{
		Name: n.Name, Hostname: n.Hostname, Username: n.Username, Description: n.Description,
		Tags: list(n.Tags), Attributes: plainMap(n.Attributes),
	}
}

func toJobSummary(j *hub.Job, project string) JobSummary {
	return JobSummary{
		ID: j.ID, UUID: j.UUID, Project: project, Name: j.Name, Group: j.Group, Description: j.Description,
		Revision: j.Revision, UpdatedAt: Time(j.UpdatedAt),
	}
}

func toJob(j *hub.Job, project string) Job {
	return Job{
		JobSummary: toJobSummary(j, project), LogLevel: j.LogLevel, Timeout: j.Timeout,
		Options: mapped(j.Options, toOption), Strategy: strategy(j.Workflow.Strategy), Keepgoing: j.Workflow.Keepgoing,
		Steps: toSteps(j.Workflow.Steps), Dispatch: JobDispatch(j.Dispatch), RunnerTags: list(j.RunnerTags),
		RunnerTimeoutMs: millis(j.RunnerTimeout), Schedule: toJobSchedule(j.Schedule), Calendars: list(j.Calendars),
		Disabled: j.ExecutionDisabled, AtOnce: j.AtOnce(), CreatedAt: Time(j.CreatedAt),
	}
}

func toJobSchedule(s hub.JobSchedule) *JobSchedule {
	if s.Expression == "" {
		return nil
	}
	return &JobSchedule{Expression: s.Expression, TimeZone: s.Zone, Missed: string(s.Missed), Enabled: !s.Disabled}
}

// strategy names the default where nothing is said.
func strategy(s hub.Strategy) string { return string(cmp.Or(s, hub.StrategyNodeFirst)) }

func toOption(o hub.Option) JobOption {
	out := JobOption{
		Name: o.Name, Label: o.Label, Description: o.Description, Value: o.Value, Required: o.Required,
		Values: o.Values, Enforced: o.Enforced, Regex: o.Regex, Secure: o.Secure, ValueExposed: o.ValueExposed,
		StoragePath: o.StoragePath, Multivalued: o.Multivalued, Delimiter: o.Delimiter, Hidden: o.Hidden,
	}
	if o.Secure {
		out.Value = ""
	}
	return out
}

func toSteps(in []hub.Step) []JobStep {
	out := make([]JobStep, 0, len(in))
	for i := range in {
		step := toStep(&in[i])
		step.Position = i + 1
		out = append(out, step)
	}
	return out
}

func toStep(s *hub.Step) JobStep {
	out := JobStep{
		Kind: "exec", Label: stepLabel(s), Description: s.Description, Exec: s.Exec, TimeoutMs: millis(s.Timeout),
		Idempotent: s.Idempotent, Probe: s.Probe, ContinueOnUnknown: s.ContinueOnUnknown, Retries: s.Retries,
		RetryDelayMs: millis(s.RetryDelay), Detached: s.Detached,
	}
	if s.Script != nil {
		out.Kind, out.Script, out.Args, out.Interpreter = "script", s.Script.Text, s.Script.Args, s.Script.Interpreter
	}
	if s.ErrorHandler != nil {
		handler := toStep(s.ErrorHandler)
		out.ErrorHandler = &handler
	}
	return out
}

// maxLabel bounds a label, in characters.
const maxLabel = 80

// stepLabel is what a person recognises a step by.
func stepLabel(s *hub.Step) string {
	text := cmp.Or(s.Description, s.Exec)
	if text == "" && s.Script != nil {
		text = scriptLabel(s.Script.Text)
	}
	return shortened(text)
}

// scriptLabel is the first line of a script that says something.
func scriptLabel(script string) string {
	for line := range strings.Lines(script) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#!") {
			return line
		}
	}
	return "script"
}

// shortened is the first line of a text, cut to what a column can show.
func shortened(text string) string {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	if utf8.RuneCountInString(text) <= maxLabel {
		return text
	}
	return string([]rune(text)[:maxLabel-1]) + "…"
}

func (s *server) toExecution(e *hub.Execution, project string) Execution {
	out := Execution{
		ID: e.ID, Number: e.Number, Project: project, Name: e.JobName, Status: shown(e), Outcome: Status(e.Outcome),
		LogComplete: e.LogComplete, CreatedAt: Time(e.CreatedAt), StartedAt: timePtr(e.StartedAt), EndedAt: timePtr(e.EndedAt),
		Nodes: map[string]int{}, URL: s.url("/executions/" + e.ID), StartedBy: e.StartedBy, CancelledBy: e.CancelledBy,
		Keepgoing: e.Keepgoing, TimeoutMs: millis(e.Timeout), CancelRequested: e.CancelRequested, Recovered: e.Recovered, Kept: e.Kept,
		RunAt: timePtr(e.RunAt), Reason: e.Reason,
	}
	if e.JobID != "" {
		out.Job = &ExecutionJob{ID: e.JobID, Revision: e.JobRevision, Name: e.JobName}
		if i := strings.LastIndexByte(e.JobName, '/'); i >= 0 {
			out.Job.Group, out.Job.Name = e.JobName[:i], e.JobName[i+1:]
		}
	}
	for status, n := range e.NodeCounts {
		if n > 0 {
			out.Nodes[string(status)] = n
		}
	}
	if e.WaitingFor != nil && !e.Status.Final() {
		out.WaitingFor = &WaitingFor{Kind: e.WaitingFor.Kind, Since: Time(e.WaitingFor.Since), Message: e.WaitingFor.Message}
	}
	if e.Held && !e.Status.Final() {
		out.WaitingFor = s.heldFor()
	}
	return out
}

// shown is the state in the words of every face: held, cancelling and scheduled are never
// stored.
func shown(e *hub.Execution) Status {
	if e.Held && !e.Status.Final() {
		return Status(hub.StatusHeld)
	}
	if e.CancelRequested && !e.Status.Final() && e.Outcome == "" {
		return Status(hub.StatusCancelling)
	}
	if e.Waits == hub.WaitsForTime && !e.Status.Final() {
		return Status(hub.StatusScheduled)
	}
	return Status(e.Status)
}

// withDetail adds what only a single execution tells.
func withDetail(out Execution, e *hub.Execution) Execution {
	out.Options, out.SecureOptions = e.Options, e.SecureOptions
	out.NodeFilter, out.Threadcount, out.Strategy = e.NodeFilter, e.Threads, strategy(e.Strategy)
	if e.Definition == nil {
		return out
	}
	out.NodesNamed = e.Definition.NodesNamed
	if e.JobID == "" {
		out.Command = commandOf(e)
	}
	w := &e.Definition.Workflow
	for position := range 2 * len(w.Steps) {
		step, of := w.StepAt(position)
		if step == nil {
			continue
		}
		column := ExecutionStep{Position: position, Kind: "exec", Label: stepLabel(step)}
		if step.Script != nil {
			column.Kind = "script"
		}
		if of != position {
			column.HandlerOf = &of
		}
		out.Steps = append(out.Steps, column)
	}
	return out
}

// commandOf is what an ad-hoc execution was asked to run: the way back from commandJob.
func commandOf(e *hub.Execution) *RunCommand {
	step := &e.Definition.Workflow.Steps[0]
	out := &RunCommand{
		Command: step.Exec, Threadcount: e.Threads, Keepgoing: e.Keepgoing, TimeoutMs: millis(e.Timeout),
	}
	if e.Definition.Dispatch.Nodes {
		out.NodeFilter = e.NodeFilter
	}
	if step.Script != nil {
		out.Script, out.Args, out.Interpreter = step.Script.Text, step.Script.Args, step.Script.Interpreter
	}
	return out
}

func toStepOn(n *hub.NodeStep) StepOn {
	out := StepOn{
		Step: n.Step, Try: n.Try, Status: Status(n.Status), Signal: n.Signal, Reason: n.Reason, Message: n.Message,
		EndProven: n.EndProven, NotStarted: n.NotStarted, Data: n.Data, LateStatus: Status(n.LateStatus),
		StartedAt: timePtr(n.StartedAt), EndedAt: timePtr(n.EndedAt),
	}
	if n.Exited {
		out.Code = &n.Code
	}
	return out
}

func toKey(k *hub.Key) Key {
	return Key{
		Path: k.Path, Type: string(k.Type), Size: k.Size, Revision: k.Revision, CreatedBy: k.CreatedBy,
		CreatedAt: Time(k.CreatedAt), UpdatedAt: Time(k.UpdatedAt),
	}
}
