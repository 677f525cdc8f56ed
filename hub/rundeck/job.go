package rundeck

import (
	"strings"
	"time"

	"github.com/fairlead/fairlead/hub"
)

// Lengths of names, as Rundeck keeps them.
const (
	maxName  = 1024
	maxGroup = 2048
	maxUUID  = 255
)

// Bounds of our own.
const (
	maxCalendars = 20
	maxMultiple  = 1000
)

// jobKeys are the keys of a job.
func jobKeys() keys {
	return supported(
		"name", "group", "uuid", "id", "description", "loglevel", "timeout", "options", "sequence",
		"nodefilters", "nodeFilterEditable",
		"schedule", "timeZone", "scheduleEnabled", "executionEnabled", "missed",
		"multipleExecutions", "maxMultipleExecutions", "calendars",
		"lostAfter", "onHubLoss", "runnerTags", "runnerTimeout",
		"loglimit", "loglimitAction", "loglimitStatus",
	).with(keys{
		"retry":                      {unsupported: true, asIs: []string{"0"}},
		"orchestrator":               {unsupported: true},
		"schedules":                  {unsupported: true},
		"nodesSelectedByDefault":     {unsupported: true, asIs: []string{"true"}},
		"excludeFilterUncheck":       {unsupported: true, asIs: []string{"false"}},
		"notification":               {unsupported: true},
		"notifyAvgDurationThreshold": {unsupported: true},
		"plugins":                    {unsupported: true},
		"runnerSelector":             {}, // read by readRunnerSelector
		"tags":                       {unsupported: true},
		"defaultTab":                 {ignored: "has no effect: the execution page has no tabs"},
		"user":                       {ignored: "has no effect: who imports the job is recorded instead"},
		"project":                    {ignored: "has no effect: jobs go to the project that they are imported into"},
	})
}

// readJob reads a job. ok is false if it is no map at all.
func readJob(p *problems, v *value) (*hub.Job, bool) {
	if v.shape != object {
		p.errorf("", "a job must be a map, not %s%s", v.shape, at(v.line))
		return nil, false
	}
	f, _ := p.open(v, "", jobKeys())
	job := &hub.Job{
		UUID:        readUUID(f),
		Name:        readName(f),
		Group:       readGroup(f),
		Description: f.text("description"),
		LogLevel:    f.oneOf("loglevel", "INFO", "DEBUG", "VERBOSE", "WARN", "ERROR"),
		Options:     readOptions(f),
		Workflow:    readWorkflow(f),
		Dispatch:    readDispatch(f),
		Schedule:    readSchedule(f),
		Calendars:   readCalendars(f),
		RunnerTags:  readRunnerTags(f),
		LogLimit:    readLogLimit(f),
	}
	job.MultipleExecutions, job.MaxMultiple = readMultiple(f)
	job.ExecutionDisabled = !f.boolean("executionEnabled", true)
	job.Timeout = readTimeout(f)
	job.RunnerTimeout = f.duration("runnerTimeout")
	job.LostAfter = readLostAfter(f)
	job.StopAfterHubLoss = readHubLoss(f)
	readRunnerSelector(f)
	checkDetached(f, job)
	checkReferences(p, job)
	return job, true
}

func readUUID(f fields) string {
	uuid, id := f.line("uuid"), f.line("id")
	switch {
	case uuid != "" && id != "" && uuid != id:
		f.wrong("id", "differs from uuid %q: leave one of them out", brief(uuid))
	case uuid == "":
		uuid = id
	}
	if len(uuid) > maxUUID {
		f.wrong("uuid", "has more than %d bytes", maxUUID)
	}
	return uuid
}

func readName(f fields) string {
	name := f.line("name")
	switch {
	case name == "":
		f.errorf("name", "is required%s", at(f.v.line))
	case strings.Contains(name, "/"):
		f.wrong("name", "must not hold a slash: use group for folders")
	case len(name) > maxName:
		f.wrong("name", "has more than %d bytes", maxName)
	}
	return name
}

func readGroup(f fields) string {
	group := f.line("group")
	if group == "" {
		return ""
	}
	if strings.HasPrefix(group, "/") || strings.HasSuffix(group, "/") {
		f.wrong("group", "must not begin or end with a slash")
		return strings.Trim(group, "/")
	}
	for part := range strings.SplitSeq(group, "/") {
		if strings.TrimSpace(part) == "" || part == "." || part == ".." {
			f.wrong("group", "holds %q as a part: every part needs a name", part)
			break
		}
	}
	if len(group) > maxGroup {
		f.wrong("group", "has more than %d bytes", maxGroup)
	}
	return group
}

// readTimeout keeps the text, which may refer to an option.
func readTimeout(f fields) string {
	timeout := f.line("timeout")
	if strings.Contains(timeout, "${option.") {
		return timeout
	}
	if _, err := hub.ParseDuration(timeout); err != nil {
		f.wrong("timeout", "%s", hub.ErrorMessage(err))
		return ""
	}
	return timeout
}

// readLostAfter returns ticks, of which the database counts one a second; "never" and
// 0 wait for ever.
func readLostAfter(f fields) int64 {
	text := f.line("lostAfter")
	if text == "" {
		return 0
	}
	if strings.EqualFold(text, "never") {
		return hub.LostNever
	}
	d, err := hub.ParseDuration(text)
	if err != nil {
		f.wrong("lostAfter", "%s", hub.ErrorMessage(err))
		return 0
	}
	if d == 0 {
		return hub.LostNever
	}
	return int64(d / time.Second)
}

// readHubLoss reads "finish", "stop-after: 10m" or a map with the key stop-after.
func readHubLoss(f fields) time.Duration {
	const name = "onHubLoss"
	v := f.v.get(name)
	if v == nil || v.shape == null {
		return 0
	}
	var text string
	if v.shape == object {
		inner, _ := f.open(v, name, supported("stop-after"))
		text = inner.line("stop-after")
	} else {
		text = f.line(name)
		if text == "" || strings.EqualFold(text, "finish") {
			return 0
		}
		after, ok := strings.CutPrefix(text, "stop-after")
		if !ok {
			f.wrong(name, "must be finish or \"stop-after: 10m\", not %q", brief(text))
			return 0
		}
		text = strings.TrimLeft(after, ": ")
	}
	d, err := hub.ParseDuration(text)
	switch {
	case err != nil:
		f.wrong(name, "%s", hub.ErrorMessage(err))
	case d == 0:
		f.wrong(name, "stop-after needs a duration, such as 10m")
	}
	return d
}

func readRunnerTags(f fields) []string {
	var tags []string
	for _, tag := range f.texts("runnerTags", ",") {
		tag = strings.TrimSpace(tag)
		if tag == "" || strings.ContainsFunc(tag, func(r rune) bool { return r <= ' ' || r == ',' || r == 127 }) {
			f.wrong("runnerTags", "holds %q: a tag is one word without commas", brief(tag))
			continue
		}
		tags = append(tags, tag)
	}
	return sortedSet(tags)
}

// readRunnerSelector takes Rundeck's own way to choose a runner where it chooses none.
func readRunnerSelector(f fields) {
	const name = "runnerSelector"
	v := f.v.get(name)
	if v == nil || v.empty() {
		return
	}
	inner, ok := f.open(v, name, supported("filter", "runnerFilterMode", "runnerFilterType"))
	if !ok {
		return
	}
	if mode := inner.line("runnerFilterMode"); inner.has("filter") || mode != "" && mode != "LOCAL" {
		f.wrong(name, "not supported yet: choose runners with runnerTags: [TAG, ...]")
	}
}

// checkReferences warns of options that a command names and the job does not have: a
// run would fail on its first node.
func checkReferences(p *problems, job *hub.Job) {
	captures := job.Workflow.Captures()
	check := func(path, text string) {
		if strings.Contains(text, "${data.") && !captures {
			p.warnf(path, "refers to a captured value (data.*), and no log filter of the job captures any: a run fails there")
		}
		for _, opening := range []string{"${option.", "${unquotedoption."} {
			for rest := text; ; {
				_, after, found := strings.Cut(rest, opening)
				name, _, closed := strings.Cut(after, "}")
				if !found || !closed {
					break
				}
				if job.Option(name) == nil && !strings.ContainsAny(name, " \t\n") {
					p.warnf(path, "refers to option %q, which the job does not have: a run fails there", brief(name))
				}
				rest = after
			}
		}
	}
	for i := range job.Workflow.Steps {
		step := &job.Workflow.Steps[i]
		path := stepPath(i)
		for step != nil {
			check(path+".exec", step.Exec)
			check(path+".probe", step.Probe)
			if step.Script != nil {
				check(path+".args", step.Script.Args)
			}
			step, path = step.ErrorHandler, path+".errorhandler"
		}
	}
	check("timeout", job.Timeout)
	check("nodefilters.filter", job.Dispatch.Filter)
	check("nodefilters.filterExclude", job.Dispatch.FilterExclude)
	check("nodefilters.dispatch.threadcount", job.Dispatch.Threadcount)
}
