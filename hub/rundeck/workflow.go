package rundeck

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fairlead/fairlead/hub"
)

func sequenceKeys() keys { return supported("keepgoing", "strategy", "commands", "pluginConfig") }

// stepKeys are the keys of a step.
func stepKeys() keys {
	return supported(
		"exec", "script", "args", "scriptInterpreter", "interpreterArgsQuoted", "fileExtension",
		"description", "errorhandler", "keepgoingOnSuccess",
		"timeout", "idempotent", "probe", "onUnknown", "retry", "detached",
	).with(keys{
		"scriptfile":              {unsupported: true},
		"scripturl":               {unsupported: true},
		"expandTokenInScriptFile": {unsupported: true, asIs: []string{"false"}},
		"jobref":                  {unsupported: true},
		"type":                    {unsupported: true},
		"nodeStep":                {unsupported: true},
		"configuration":           {unsupported: true},
		"conditionGroups":         {unsupported: true},
		"subSteps":                {unsupported: true},
		"plugins":                 {}, // read by readStepPlugins
		"autoSecureInput":         {unsupported: true, asIs: []string{"false"}},
		"passSecureInput":         {unsupported: true, asIs: []string{"false"}},
	})
}

// stepForms are the keys of which a step has exactly one.
func stepForms() []string {
	return []string{"exec", "script", "scriptfile", "scripturl", "jobref", "type"}
}

func stepPath(i int) string { return fmt.Sprintf("sequence.commands[%d]", i) }

// readWorkflow reads the sequence.
func readWorkflow(f fields) hub.Workflow {
	const name = "sequence"
	w := hub.Workflow{Strategy: hub.StrategyNodeFirst}
	if !f.has(name) {
		f.errorf(name, "is required: a job has at least one step%s", at(f.v.line))
		return w
	}
	seq, ok := f.open(f.v.get(name), name, sequenceKeys())
	if !ok {
		return w
	}
	w.Keepgoing = seq.boolean("keepgoing", false)
	w.Strategy = readStrategy(seq)
	w.LogFilters = readPluginConfig(seq)
	commands := seq.v.get("commands")
	if commands == nil || commands.shape != list || len(commands.items) == 0 {
		seq.wrong("commands", "must be a list of at least one step")
		return w
	}
	for i, item := range commands.items {
		if item.shape != object {
			f.errorf(stepPath(i), "must be a map, not %s%s", item.shape, at(item.line))
			continue
		}
		inner, _ := f.open(item, stepPath(i), stepKeys())
		w.Steps = append(w.Steps, readStep(inner, false))
	}
	return w
}

func readStrategy(f fields) hub.Strategy {
	text := strings.ToLower(f.line("strategy"))
	switch text {
	case "", string(hub.StrategyNodeFirst):
		return hub.StrategyNodeFirst
	case string(hub.StrategySequential), "step-first":
		return hub.StrategySequential
	case "parallel", "ruleset":
		f.wrong("strategy", "%s is not supported yet: use node-first or sequential", text)
	default:
		f.wrong("strategy", "must be node-first or sequential, not %q", brief(text))
	}
	return hub.StrategyNodeFirst
}

// readPluginConfig reads the log filters of all steps, and takes the settings that exports
// write for the strategy itself when they say nothing.
func readPluginConfig(f fields) []hub.LogFilter {
	const name = "pluginConfig"
	v := f.v.get(name)
	if v == nil || v.empty() {
		return nil
	}
	inner, _ := f.open(v, join(f.path, name), keys{"LogFilter": {}, "WorkflowStrategy": {unsupported: true}})
	return readLogFilters(inner, "LogFilter")
}

// readStep reads a step, or the step that answers a failure.
func readStep(f fields, handler bool) hub.Step {
	s := hub.Step{
		Description:       f.text("description"),
		Timeout:           f.duration("timeout"),
		Idempotent:        f.boolean("idempotent", false),
		Probe:             f.text("probe"),
		ContinueOnUnknown: f.oneOf("onUnknown", "stop", "continue") == "continue",
		Detached:          f.boolean("detached", false),
	}
	readWork(f, &s)
	readRetry(f, &s)
	s.LogFilters = readStepPlugins(f)
	if handler {
		s.KeepgoingOnSuccess = f.boolean("keepgoingOnSuccess", false)
		if f.has("errorhandler") {
			f.wrong("errorhandler", "an error handler cannot have one itself")
		}
		return s
	}
	if f.has("keepgoingOnSuccess") {
		f.wrong("keepgoingOnSuccess", "belongs into errorhandler")
	}
	if f.has("errorhandler") {
		inner, ok := f.open(f.v.get("errorhandler"), f.path+".errorhandler", stepKeys())
		if ok {
			answer := readStep(inner, true)
			s.ErrorHandler = &answer
		}
	}
	return s
}

// readStepPlugins reads the log filters of a step.
func readStepPlugins(f fields) []hub.LogFilter {
	v := f.v.get("plugins")
	if v == nil || v.empty() {
		return nil
	}
	inner, _ := f.open(v, join(f.path, "plugins"), supported("LogFilter"))
	return readLogFilters(inner, "LogFilter")
}

// checkDetached objects to detached steps of a job that is sent to no nodes: on the
// runner's own host every step outlives the runner, and the key would promise more.
func checkDetached(f fields, job *hub.Job) {
	if job.Dispatch.Nodes || job.Dispatch.Editable {
		return
	}
	const why = "means nothing in a job without nodefilters: what runs on the runner's own host outlives the runner anyway; leave it out"
	for i := range job.Workflow.Steps {
		step := &job.Workflow.Steps[i]
		if step.Detached {
			f.errorf(stepPath(i)+".detached", "%s", why)
		}
		if step.ErrorHandler != nil && step.ErrorHandler.Detached {
			f.errorf(stepPath(i)+".errorhandler.detached", "%s", why)
		}
	}
}

// readWork reads what the step does.
func readWork(f fields, s *hub.Step) {
	var forms []string
	for _, form := range stepForms() {
		if f.has(form) {
			forms = append(forms, form)
		}
	}
	switch {
	case len(forms) == 0:
		f.errorf(f.path, "a step needs exec or script%s", at(f.v.line))
	case len(forms) > 1:
		f.errorf(f.path, "a step does one thing, and this one has %s: make a step of each%s", strings.Join(forms, " and "), at(f.v.line))
	case forms[0] == "exec":
		s.Exec = f.text("exec")
	case forms[0] == "script":
		s.Script = &hub.Script{
			Text:          f.text("script"),
			Args:          f.text("args"),
			Interpreter:   f.line("scriptInterpreter"),
			ArgsQuoted:    f.boolean("interpreterArgsQuoted", false),
			FileExtension: f.line("fileExtension"),
		}
		if strings.ContainsAny(s.Script.FileExtension, "/\\ ") {
			f.wrong("fileExtension", "must not hold slashes or blanks")
		}
	}
	if slices.Contains(forms, "exec") {
		for _, name := range []string{"args", "scriptInterpreter", "fileExtension"} {
			if f.has(name) {
				f.wrong(name, "belongs to a script step, not to exec")
			}
		}
	}
}

// readRetry reads a number, or {retry, delay}.
func readRetry(f fields, s *hub.Step) {
	const most = 1000
	v := f.v.get("retry")
	if v == nil || v.shape != object {
		s.Retries = f.integer("retry", 0, most)
		return
	}
	inner, _ := f.open(v, f.path+".retry", supported("retry", "delay"))
	s.Retries = inner.integer("retry", 0, most)
	s.RetryDelay = inner.duration("delay")
	if s.Retries > 0 || s.RetryDelay == 0 {
		return
	}
	s.RetryDelay = 0
	if inner.has("retry") {
		inner.warnf(join(inner.path, "delay"), "has no effect: the step is not tried again")
		return
	}
	// Who gives a delay counts on another try.
	inner.wrong("retry", "is needed beside delay: how often the step is tried again, such as 3")
}
