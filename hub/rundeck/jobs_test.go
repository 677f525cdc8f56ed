package rundeck_test

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/rundeck"
)

func exported(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/export.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func exportedJob() *hub.Job {
	return &hub.Job{
		UUID:        "2a1f7f7e-0c1b-4a1a-9a5e-000000000001",
		Name:        "rolling restart",
		Group:       "ops/nightly",
		Description: "Restart the fleet\n\nOne at a time.",
		LogLevel:    "INFO",
		Timeout:     "6h 30m",
		Options: []hub.Option{
			{Name: "service", Label: "Service", Description: "which service", Value: "app", Required: true, Values: []string{"app", "cache"}, Enforced: true},
			{Name: "hosts", Regex: "[a-z0-9,]+", Multivalued: true, Delimiter: ","},
			{Name: "password", Secure: true, ValueExposed: true, StoragePath: "keys/project/web/sudo"},
		},
		Workflow: hub.Workflow{Strategy: hub.StrategyNodeFirst, Steps: []hub.Step{
			{Description: "stop", Exec: "sudo systemctl stop ${option.service}", ErrorHandler: &hub.Step{Exec: "logger failed", KeepgoingOnSuccess: true}},
			{Script: &hub.Script{
				Text: "#!/bin/bash\necho \"@option.service@\"\n\nexit 0\n", Args: `${option.service} "two words"`,
				Interpreter: "sudo -u app /bin/bash", FileExtension: ".sh",
			}},
			{
				Exec: "echo done", Idempotent: true, ContinueOnUnknown: true, Probe: "test -f /tmp/x",
				Retries: 3, RetryDelay: 30 * time.Second, Timeout: 5 * time.Minute, Detached: true,
			},
		}},
		Dispatch: hub.Dispatch{
			Nodes: true, Filter: "tags: web+prod !name: web9", ExcludePrecedence: true, Threadcount: "4",
			RankAttribute: "rank", RankDescending: true, Editable: true,
		},
		LostAfter:        hub.LostNever,
		StopAfterHubLoss: 10 * time.Minute,
		RunnerTags:       []string{"dc2", "linux"},
		RunnerTimeout:    time.Hour,
	}
}

func withoutSource(job *hub.Job) *hub.Job {
	bare := *job
	bare.Source = ""
	return &bare
}

func TestParseJobsReadsAnExport(t *testing.T) {
	t.Parallel()
	jobs, report := rundeck.ParseJobs(exported(t))
	if err := report.Err(); err != nil {
		t.Fatalf("%v: %+v", err, report.Errors)
	}
	if len(jobs) != 1 || report.Jobs != 1 || len(report.Warnings) != 1 || report.Warnings[0].Path != "[0].defaultTab" {
		t.Fatalf("%d jobs, report %+v", len(jobs), report)
	}
	if diff := cmp.Diff(exportedJob(), withoutSource(jobs[0].Job)); diff != "" {
		t.Error(diff)
	}
	if jobs[0].Name != "ops/nightly/rolling restart" {
		t.Errorf("name %q", jobs[0].Name)
	}
}

func TestFormatJobsIsCanonical(t *testing.T) {
	t.Parallel()
	first, err := rundeck.FormatJobs([]*hub.Job{exportedJob()})
	if err != nil {
		t.Fatal(err)
	}
	jobs, report := rundeck.ParseJobs(first)
	if len(report.Errors)+len(report.Warnings) > 0 {
		t.Fatalf("own output is not clean: %+v\n%s", report, first)
	}
	if diff := cmp.Diff(exportedJob(), withoutSource(jobs[0].Job)); diff != "" {
		t.Errorf("%s\n%s", diff, first)
	}
	if jobs[0].Job.Source != string(first) {
		t.Errorf("source is not canonical:\n%s\n%s", jobs[0].Job.Source, first)
	}
	if !bytes.Contains(first, []byte("    - exec: sudo systemctl stop ${option.service}\n")) && !bytes.Contains(first, []byte("exec: sudo systemctl stop ${option.service}\n")) {
		t.Errorf("a plain command is not plain:\n%s", first)
	}
	if !bytes.Contains(first, []byte("script: |\n")) {
		t.Errorf("a script is no block:\n%s", first)
	}
}

// TestFormatJobsKeepsTexts writes texts that YAML readers take for something else.
func TestFormatJobsKeepsTexts(t *testing.T) {
	t.Parallel()
	texts := []string{
		"yes", "No", "on", "y", "null", "~", "010", "1e3", "12:30:45", "0x1f", "2001-01-01", "true", "<<", "=", "- a", "? b", "a: b", "a #b", "#c",
		"a:", "'q'", `"q"`, "@x@", "`x`", "%x", "!x", "&x", "*x", "[a]", "{a}", "|", ">", ",", "a\tb", "\ta", " a ", "a ", "a\n", "\n", "\na", "a\n\n",
		" a\n b", "a \nb", "a\r\nb\r\n", "a\n\tb\n", "\u2028", "\ufeffx", "\x1b[0m", "é世界\n世", "tab\t\nx", "---", "...", "--- a\n...\n", "a\\n", `C:\x`,
	}
	for _, text := range texts {
		job := &hub.Job{
			Name: "j", LogLevel: "INFO", Description: text, Workflow: hub.Workflow{Strategy: hub.StrategySequential, Steps: []hub.Step{{Script: &hub.Script{Text: text + "x", Args: text}}}},
			Options: []hub.Option{{Name: "o", Value: text}}, Dispatch: hub.Dispatch{ExcludePrecedence: true},
		}
		data, err := rundeck.FormatJobs([]*hub.Job{job})
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		jobs, report := rundeck.ParseJobs(data)
		if err := report.Err(); err != nil {
			t.Errorf("%q: %+v\n%s", text, report.Errors, data)
			continue
		}
		if diff := cmp.Diff(job, withoutSource(jobs[0].Job)); diff != "" {
			t.Errorf("%q: %s\n%s", text, diff, data)
		}
	}
}

// job makes a file of one job from lines of YAML.
func job(lines string) []byte {
	return []byte("- name: j\n  sequence:\n    commands:\n    - exec: id\n" + lines)
}

func TestParseJobsTellsProblemsByPath(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, file, path, want string }{
		{"unknown key", string(job("  nodefilter: {}\n")), "[0].nodefilter", `unknown key (line 5); did you mean "nodefilters"?`},
		{"unknown key far from all", string(job("  zzzzzzzzzz: 1\n")), "[0].zzzzzzzzzz", "known are calendars, defaultTab, description"},
		{"unknown key in a step", "- name: j\n  sequence:\n    commands:\n    - exec: a\n    - exce: b\n      exec: c\n", "[0].sequence.commands[1].exce", `did you mean "exec"?`},
		{"unknown key in dispatch", string(job("  nodefilters: {filter: a, dispatch: {threadCount: 1}}\n")), "[0].nodefilters.dispatch.threadCount", `did you mean "threadcount"?`},
		{"log limit", string(job("  loglimit: 10 pages\n")), "[0].loglimit", `a size ("10MB"; B, KB, MB, GB)`},
		{"log limit of nothing", string(job("  loglimit: 0\n")), "[0].loglimit", "must be at least 1"},
		{"log limit action", string(job("  loglimit: 10\n  loglimitAction: stop\n")), "[0].loglimitAction", "must be one of halt, truncate"},
		{"bad crontab", string(job("  schedule: {crontab: '0 0 12 13 * FRI'}\n")), "[0].schedule.crontab", "both set"},
		{"bad part of a schedule", string(job("  schedule: {time: {hour: '25'}}\n")), "[0].schedule.time.hour", "(line 5)"},
		{"bad day of a schedule", string(job("  schedule: {weekday: {day: FUNDAY}}\n")), "[0].schedule.weekday.day", "FUNDAY"},
		{"crontab and parts", string(job("  schedule: {crontab: '0 0 * * *', time: {hour: '1'}}\n")), "[0].schedule.time", "beside crontab"},
		{"unknown part of a schedule", string(job("  schedule: {time: {hours: '1'}}\n")), "[0].schedule.time.hours", `did you mean "hour"?`},
		{"schedule is a text", string(job("  schedule: '0 0 * * *'\n")), "[0].schedule", "must be a map"},
		{"bad time zone", string(job("  timeZone: PST\n")), "[0].timeZone", "IANA"},
		{"bad policy", string(job("  schedule: {crontab: '0 0 * * *'}\n  missed: maybe\n")), "[0].missed", "skip, once, all"},
		{"shared schedule", string(job("  schedules: [{name: x}]\n")), "[0].schedules", "not supported yet"},
		{"notification", string(job("  notification: {onfailure: {email: {recipients: a}}}\n")), "[0].notification", "not supported yet"},
		{"bad multipleExecutions", string(job("  multipleExecutions: maybe\n")), "[0].multipleExecutions", "must be true or false"},
		{"bad maximum", string(job("  multipleExecutions: true\n  maxMultipleExecutions: -1\n")), "[0].maxMultipleExecutions", "from 0 to 1000"},
		{"bad calendar", string(job("  calendars: [a b]\n")), "[0].calendars", "letters, digits"},
		{"jobref", "- name: j\n  sequence:\n    commands:\n    - jobref: {name: x}\n", "[0].sequence.commands[0].jobref", "not supported yet"},
		{"plugin step", "- name: j\n  sequence:\n    commands:\n    - type: copyfile\n      nodeStep: true\n", "[0].sequence.commands[0].type", "not supported yet"},
		{"unknown log filter", "- name: j\n  sequence:\n    commands:\n    - exec: a\n      plugins: {LogFilter: [{type: killhandler}]}\n", "[0].sequence.commands[0].plugins.LogFilter[0].type", "supported are key-value-data,"},
		{"log filter without type", "- name: j\n  sequence:\n    commands:\n    - exec: a\n      plugins: {LogFilter: [{config: {regex: a}}]}\n", "[0].sequence.commands[0].plugins.LogFilter[0].type", "is required"},
		{"log filter setting", "- name: j\n  sequence:\n    commands:\n    - exec: a\n      plugins: {LogFilter: [{type: quiet-output, config: {regexp: a}}]}\n", "[0].sequence.commands[0].plugins.LogFilter[0].config.regexp", `did you mean "regex"?`},
		{"lookahead", "- name: j\n  sequence:\n    commands:\n    - exec: a\n      plugins: {LogFilter: [{type: quiet-output, config: {regex: 'a(?=b)'}}]}\n", "[0].sequence.commands[0].plugins.LogFilter[0].config.regex", "holds a lookahead (?=...), which Java has and RE2 does not"},
		{"lookbehind", "- name: j\n  sequence:\n    commands:\n    - exec: a\n      plugins: {LogFilter: [{type: mask-log-output-regex, config: {regex: '(?<!a)b'}}]}\n", "[0].sequence.commands[0].plugins.LogFilter[0].config.regex", "negative lookbehind"},
		{"possessive", "- name: j\n  sequence:\n    commands:\n    - exec: a\n      plugins: {LogFilter: [{type: mask-log-output-regex, config: {regex: 'a++b'}}]}\n", "[0].sequence.commands[0].plugins.LogFilter[0].config.regex", "possessive"},
		{"intersection", "- name: j\n  sequence:\n    commands:\n    - exec: a\n      plugins: {LogFilter: [{type: mask-log-output-regex, config: {regex: 'token=([\\w&&[^_]]+)'}}]}\n", "[0].sequence.commands[0].plugins.LogFilter[0].config.regex", "holds an intersection of classes (&&)"},
		{"intersection in an option", string(job("  options: [{name: a, regex: '[a-z&&[^b]]+'}]\n")), "[0].options[0].regex", "RE2"},
		{"back reference", "- name: j\n  sequence:\n    commands:\n    - exec: a\n      plugins: {LogFilter: [{type: highlight-output, config: {regex: '(a)\\1'}}]}\n", "[0].sequence.commands[0].plugins.LogFilter[0].config.regex", "a reference back"},
		{"mask without regex", "- name: j\n  sequence:\n    commands:\n    - exec: a\n      plugins: {LogFilter: [{type: mask-log-output-regex}]}\n", "[0].sequence.commands[0].plugins.LogFilter[0].config.regex", "is required"},
		{"one group without a name", "- name: j\n  sequence:\n    commands:\n    - exec: a\n      plugins: {LogFilter: [{type: key-value-data, config: {regex: 'x=(.+)'}}]}\n", "[0].sequence.commands[0].plugins.LogFilter[0].config.regex", "has one group, so name must say"},
		{"colour", "- name: j\n  sequence:\n    commands:\n    - exec: a\n      plugins: {LogFilter: [{type: highlight-output, config: {regex: a, fgcolor: pink}}]}\n", "[0].sequence.commands[0].plugins.LogFilter[0].config.fgcolor", "must be one of black"},
		{"parallel", "- name: j\n  sequence:\n    strategy: parallel\n    commands:\n    - exec: a\n", "[0].sequence.strategy", "not supported yet"},
		{"date option", string(job("  options:\n  - name: d\n    isDate: true\n")), "[0].options[0].isDate", "not supported yet"},
		{"runner selector", string(job("  runnerSelector: {filter: dc2, runnerFilterMode: TAGS}\n")), "[0].runnerSelector", "runnerTags"},
		{"no name", "- sequence:\n    commands:\n    - exec: a\n", "[0].name", "is required (line 1)"},
		{"slash in name", "- name: a/b\n  sequence:\n    commands:\n    - exec: a\n", "[0].name", "use group"},
		{"group with dots", string(job("  group: a/../b\n")), "[0].group", `".."`},
		{"absolute group", string(job("  group: /a\n")), "[0].group", "begin or end"},
		{"two uuids", string(job("  uuid: a\n  id: b\n")), "[0].id", "differs from uuid"},
		{"no sequence", "- name: j\n", "[0].sequence", "is required"},
		{"no commands", "- name: j\n  sequence: {keepgoing: true}\n", "[0].sequence.commands", "at least one step"},
		{"empty step", "- name: j\n  sequence:\n    commands:\n    - description: x\n", "[0].sequence.commands[0]", "needs exec or script"},
		{"two works", "- name: j\n  sequence:\n    commands:\n    - {exec: a, script: b}\n", "[0].sequence.commands[0]", "exec and script"},
		{"args of exec", "- name: j\n  sequence:\n    commands:\n    - {exec: a, args: b}\n", "[0].sequence.commands[0].args", "script step"},
		{"handler of a handler", "- name: j\n  sequence:\n    commands:\n    - {exec: a, errorhandler: {exec: b, errorhandler: {exec: c}}}\n", "[0].sequence.commands[0].errorhandler.errorhandler", "cannot have one"},
		{"bad truth", string(job("  nodeFilterEditable: maybe\n")), "[0].nodeFilterEditable", `not "maybe" (line 5)`},
		{"bad loglevel", string(job("  loglevel: TRACE\n")), "[0].loglevel", "must be one of"},
		{"bad timeout", string(job("  timeout: soon\n")), "[0].timeout", "not a duration"},
		{"detached without nodes", "- name: j\n  sequence: {commands: [{exec: a, detached: true}]}\n", "[0].sequence.commands[0].detached", "without nodefilters"},
		{"detached handler without nodes", "- name: j\n  sequence: {commands: [{exec: a, errorhandler: {exec: b, detached: true}}]}\n", "[0].sequence.commands[0].errorhandler.detached", "without nodefilters"},
		{"delay without a count", "- name: j\n  sequence: {commands: [{exec: a, retry: {delay: 10s}}]}\n", "[0].sequence.commands[0].retry.retry", "is needed beside delay"},
		{"bad thread count", string(job("  nodefilters: {filter: a, dispatch: {threadcount: 0}}\n")), "[0].nodefilters.dispatch.threadcount", "from 1"},
		{"bad filter", string(job("  nodefilters: {filter: 'name: /a[/'}\n")), "[0].nodefilters.filter", "missing closing ]"},
		{"filter of Java", string(job("  nodefilters: {filter: '(?!a).*'}\n")), "[0].nodefilters.filter", "RE2"},
		{"bad hub loss", string(job("  onHubLoss: panic\n")), "[0].onHubLoss", "must be finish"},
		{"bad runner tag", string(job("  runnerTags: [a b]\n")), "[0].runnerTags", "one word"},
		{"option twice", string(job("  options: [{name: a}, {name: a}]\n")), "[0].options[1].name", "there twice"},
		{"bad option name", string(job("  options: [{name: 'a b'}]\n")), "[0].options[0].name", "letters"},
		{"bad regex", string(job("  options: [{name: a, regex: '('}]\n")), "[0].options[0].regex", "RE2"},
		{"enforced without values", string(job("  options: [{name: a, enforced: true}]\n")), "[0].options[0].enforced", "needs values"},
		{"default not allowed", string(job("  options: [{name: a, enforced: true, values: [b], value: c}]\n")), "[0].options[0].value", "cannot be the default"},
		{"secure default", string(job("  options: [{name: a, secure: true, value: c}]\n")), "[0].options[0].value", "storagePath"},
		{"storage path of a plain option", string(job("  options: [{name: a, storagePath: keys/a}]\n")), "[0].options[0].storagePath", "needs secure"},
		{"storage path of nothing", string(job("  options: [{name: a, secure: true, storagePath: keys/a//b}]\n")), "[0].options[0].storagePath", "has a part"},
		{"storage path elsewhere", string(job("  options: [{name: a, secure: true, storagePath: a/b}]\n")), "[0].options[0].storagePath", "begin with keys/"},
		{"list for a text", string(job("  description: [a]\n")), "[0].description", "must be a text, not a list"},
		{"map for a list", "- name: j\n  sequence:\n    commands: {exec: a}\n", "[0].sequence.commands", "must be a list"},
		{"job is a text", "- hello\n", "[0]", "must be a map, not a text"},
		{"same name twice", string(job("")) + string(job("")), "[1].name", "job 1 of the file"},
		{"single job", "name: j\nfoo: 1\nsequence:\n  commands:\n  - exec: a\n", "foo", "unknown key (line 2)"},
		{"control character", string(job("  group: \"a\\nb\"\n")), "[0].group", "line break"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, report := rundeck.ParseJobs([]byte(test.file))
			for _, e := range report.Errors {
				if e.Path == test.path && strings.Contains(e.Message, test.want) {
					return
				}
			}
			t.Errorf("no %q at %s in %+v", test.want, test.path, report.Errors)
		})
	}
}

func TestParseJobsTellsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	file := string(job("  foo: 1\n  schedule: {crontab: x}\n  loglevel: X\n")) + string(job("  group: g\n")) + "- name: k\n  sequence:\n    commands:\n    - {}\n    - exec: a\n"
	jobs, report := rundeck.ParseJobs([]byte(file))
	var paths []string
	for _, e := range report.Errors {
		paths = append(paths, e.Path)
	}
	want := []string{"[0].foo", "[0].loglevel", "[0].schedule.crontab", "[2].sequence.commands[0]"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Error(diff)
	}
	if jobs[0].Job != nil || jobs[1].Job == nil || jobs[2].Job != nil || len(jobs[2].Errors) != 1 || jobs[2].Errors[0].Path != "sequence.commands[0]" {
		t.Errorf("jobs %+v", jobs)
	}
	if hub.ErrorCode(report.Err()) != hub.CodeInvalid {
		t.Errorf("error %v", report.Err())
	}
}

func TestParseJobsTakes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, lines string
		check       func(*hub.Job) bool
	}{
		{"thread count as a number", "  nodefilters: {filter: a, dispatch: {threadcount: 3}}\n", func(j *hub.Job) bool { return j.Dispatch.Threadcount == "3" }},
		{"thread count as an option", "  nodefilters: {filter: a, dispatch: {threadcount: '${option.n}'}}\n  options: [{name: n}]\n", func(j *hub.Job) bool { return j.Dispatch.Threadcount == "${option.n}" }},
		{"no node filter", "", func(j *hub.Job) bool { return !j.Dispatch.Nodes && j.Dispatch.ExcludePrecedence }},
		{"a blank node filter", "  nodefilters: {filter: ''}\n", func(j *hub.Job) bool { return !j.Dispatch.Nodes }},
		{"only an exclude filter", "  nodefilters: {filterExclude: a}\n", func(j *hub.Job) bool { return j.Dispatch.Nodes && j.Dispatch.FilterExclude == "a" }},
		{"old filters", "  nodefilters: {include: {tags: a+b, name: 'x y'}, exclude: {os-family: windows}}\n", func(j *hub.Job) bool {
			return j.Dispatch.Filter == `tags: a+b name: "x y" !os-family: windows`
		}},
		{"exclude precedence off", "  nodefilters: {filter: a, dispatch: {excludePrecedence: off}}\n", func(j *hub.Job) bool { return !j.Dispatch.ExcludePrecedence }},
		{"options by name", "  options: {a: {value: 1}, b: }\n", func(j *hub.Job) bool {
			return len(j.Options) == 2 && j.Options[0].Name == "a" && j.Options[0].Value == "1" && j.Options[1].Name == "b"
		}},
		{"options by index", "  options: {a: {sortIndex: 2}, b: {sortIndex: 1}}\n", func(j *hub.Job) bool { return j.Options[0].Name == "b" }},
		{"values as a text", "  options: [{name: a, values: 'x;y', valuesListDelimiter: ';'}]\n", func(j *hub.Job) bool { return cmp.Equal(j.Options[0].Values, []string{"x", "y"}) }},
		{"YAML 1.1 truths", "  nodeFilterEditable: yes\n", func(j *hub.Job) bool { return j.Dispatch.Editable }},
		{"quoted truths", "  nodeFilterEditable: 'true'\n", func(j *hub.Job) bool { return j.Dispatch.Editable }},
		{"texts that look like others", "  description: 010\n  group: no\n", func(j *hub.Job) bool { return j.Description == "010" && j.Group == "no" }},
		{"hub loss as a text", "  onHubLoss: 'stop-after: 2m'\n", func(j *hub.Job) bool { return j.StopAfterHubLoss == 2*time.Minute }},
		{"hub loss finish", "  onHubLoss: finish\n", func(j *hub.Job) bool { return j.StopAfterHubLoss == 0 }},
		{"lost after", "  lostAfter: 2m\n", func(j *hub.Job) bool { return j.LostAfter == 120 }},
		{"lost never", "  lostAfter: 0\n", func(j *hub.Job) bool { return j.LostAfter == hub.LostNever }},
		{"tags as a text", "  runnerTags: b, a\n", func(j *hub.Job) bool { return cmp.Equal(j.RunnerTags, []string{"a", "b"}) }},
		{"local runner selector", "  runnerSelector: {filter: null, runnerFilterMode: LOCAL, runnerFilterType: LOCAL_RUNNER}\n", func(*hub.Job) bool { return true }},
		{"aliases", "  description: &d text\n  options: [{name: a, description: *d}]\n", func(j *hub.Job) bool { return j.Options[0].Description == "text" }},
		{"JSON", "", func(*hub.Job) bool { return true }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			jobs, report := rundeck.ParseJobs(job(test.lines))
			if len(report.Errors) > 0 {
				t.Fatalf("%+v", report.Errors)
			}
			if !test.check(jobs[0].Job) {
				t.Errorf("got %+v", jobs[0].Job)
			}
		})
	}
	jobs, report := rundeck.ParseJobs([]byte(`[{"name":"j","sequence":{"strategy":"step-first","commands":[{"exec":"a"}]}}]`))
	if len(report.Errors) > 0 || jobs[0].Job.Workflow.Strategy != hub.StrategySequential {
		t.Errorf("%+v", report)
	}
}

func TestParseJobsWarns(t *testing.T) {
	t.Parallel()
	_, report := rundeck.ParseJobs(job("  user: bob\n  project: p\n  timeout: ${option.t}\n  options: [{name: a, valueExposed: true, delimiter: ;}]\n"))
	if len(report.Errors) > 0 {
		t.Fatalf("%+v", report.Errors)
	}
	var paths []string
	for _, w := range report.Warnings {
		paths = append(paths, w.Path)
	}
	want := []string{"[0].user", "[0].project", "[0].options[0].delimiter", "[0].options[0].valueExposed", "[0].timeout"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Error(diff)
	}
}

// hostileFiles are files that cost a careless reader its memory or time.
func hostileFiles() map[string]struct{ file, want string } {
	laughs := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		p := string(c - 1)
		laughs += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.Repeat(",*"+p, 10)[1:])
	}
	var wide strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&wide, "k%d: 1\n", i)
	}
	return map[string]struct{ file, want string }{
		"10 MB":             {strings.Repeat("- name: x\n", 1_000_000), "10000000 bytes, at most 8388608 (8 MiB)"},
		"commas":            {"[" + strings.Repeat(",", 8_000_000) + "]", "at most 1000000 are taken"},
		"anchors":           {strings.Repeat("&a ", 2_700_000), "at most 1000000 are taken"},
		"quotes":            {strings.Repeat(`""`, 4_000_000), "at most 1000000 are taken"},
		"colons":            {"[" + strings.Repeat("x: ", 2_700_000), "at most 1000000 are taken"},
		"laughs":            {laughs, "aliases"},
		"alias to itself":   {"- &a\n  name: *a\n", "deeper"},
		"alias of a text":   {"- &a " + strings.Repeat("x", 1<<20) + "\n" + strings.Repeat("- *a\n", 100), "text with its aliases expanded"},
		"deep flow":         {strings.Repeat("[", 100_000), "deeper"},
		"deep block":        {strings.Repeat("- ", 100_000) + "x", "deeper"},
		"many unknown keys": {wide.String(), "more errors"},
		"duplicate key":     {"- name: a\n  name: b\n", `line 2: the key "name" stands here for the second time (first on line 1)`},
		"merge key":         {"- &a {name: x}\n- <<: *a\n", "merge keys"},
		"object tag":        {"- !!python/object:os.system {name: x}\n", "tag"},
		"java tag":          {"- name: !!java.net.URL [http://x]\n", "tag"},
		"map as key":        {"- ? {a: b}\n  : c\n", "only texts may be keys"},
		"two documents":     {"- name: a\n---\n- name: b\n", "several YAML documents"},
		"empty":             {"# nothing\n", "the file is empty"},
		"nothing":           {"", "the file is empty"},
		"no jobs":           {"[]\n", "holds no jobs"},
		"a text":            {"hello\n", "must be a list of jobs"},
		"broken":            {"- name: [\n", "line 2"},
		"tab":               {"- name: x\n\tgroup: y\n", "line 2"},
		"NUL":               {"- name: \"a\\0b\"\n", "NUL"},
		"no UTF-8":          {"- name: \xff\xfe\n", "UTF-8"},
		"binary":            {"\x7fELF\x02\x01\x01\x00", "no YAML"},
	}
}

func TestParseJobsRefusesHostileFiles(t *testing.T) {
	t.Parallel()
	for name, test := range hostileFiles() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			jobs, report := rundeck.ParseJobs([]byte(test.file))
			found := false
			for _, e := range report.Errors {
				found = found || strings.Contains(e.Message, test.want)
			}
			if !found || len(report.Errors) > rundeck.MaxProblems {
				t.Errorf("no %q in %.3v", test.want, report.Errors)
			}
			for _, j := range jobs {
				if j.Job != nil {
					t.Errorf("a job came out: %+v", j.Job)
				}
			}
		})
	}
}

// TestHostileFilesCostLittle is not parallel: it measures what the process allocates.
func TestHostileFilesCostLittle(t *testing.T) {
	for _, name := range []string{"10 MB", "commas", "anchors", "quotes", "colons", "laughs", "alias to itself", "deep flow"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		rundeck.ParseJobs([]byte(hostileFiles()[name].file))
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 256<<20 {
			t.Errorf("%s allocates %d MiB", name, used>>20)
		}
	}
}

func FuzzParseJobs(f *testing.F) {
	f.Add(exported(f))
	f.Add(job("  options: {a: {value: &x 1}, b: {value: *x}}\n"))
	f.Add([]byte("- name: \"a\\u2028\"\n  sequence: {commands: [{script: \"a \\n b\\t\\n\"}]}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		jobs, report := rundeck.ParseJobs(data)
		if report.Err() != nil {
			return
		}
		var all []*hub.Job
		for _, j := range jobs {
			all = append(all, j.Job)
		}
		written, err := rundeck.FormatJobs(all)
		if err != nil {
			t.Fatal(err)
		}
		again, report := rundeck.ParseJobs(written)
		if err := report.Err(); err != nil {
			t.Fatalf("own output is refused: %+v\n%s", report.Errors, written)
		}
		for i := range all {
			if diff := cmp.Diff(all[i], again[i].Job); diff != "" {
				t.Fatalf("%s\n%s", diff, written)
			}
		}
	})
}

func TestLogLimitIsReadAndWritten(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, lines string
		want        hub.LogLimit
	}{
		{"lines", "  loglimit: 100\n", hub.LogLimit{Text: "100", Lines: 100, Status: "failed"}},
		{"lines per node", "  loglimit: 100/node\n  loglimitAction: truncate\n  loglimitStatus: failed\n", hub.LogLimit{Text: "100/node", Lines: 100, PerNode: true, Truncate: true}},
		{"size", "  loglimit: 10MB\n  loglimitAction: halt\n  loglimitStatus: aborted\n", hub.LogLimit{Text: "10MB", Bytes: 10 << 20, Status: "aborted"}},
		{"size per node", "  loglimit: 10k/node\n", hub.LogLimit{Text: "10k/node", Bytes: 10 << 10, PerNode: true, Status: "failed"}},
		{"own status", "  loglimit: 1g\n  loglimitStatus: too chatty\n", hub.LogLimit{Text: "1g", Bytes: 1 << 30, Status: "too chatty"}},
		{"none", "  loglimitAction: halt\n  loglimitStatus: failed\n", hub.LogLimit{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			jobs, report := rundeck.ParseJobs(job(tt.lines))
			if err := report.Err(); err != nil {
				t.Fatalf("%+v", report.Errors)
			}
			if diff := cmp.Diff(tt.want, jobs[0].Job.LogLimit); diff != "" {
				t.Fatal(diff)
			}
			again, report := rundeck.ParseJobs([]byte(jobs[0].Job.Source))
			if err := report.Err(); err != nil {
				t.Fatalf("%+v\n%s", report.Errors, jobs[0].Job.Source)
			}
			if diff := cmp.Diff(tt.want, again[0].Job.LogLimit); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzParseLogLimit(f *testing.F) {
	for _, text := range []string{"100", "100/node", "10MB", "10KB/node", "9223372036854775807G", "-1", "1 k", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := hub.ParseLogLimit(text)
		if err == nil && (l.Lines < 1) == (l.Bytes < 1) {
			t.Errorf("%q is %+v", text, l)
		}
	})
}

func TestLogFiltersAreReadAndWritten(t *testing.T) {
	t.Parallel()
	file := []byte(`- name: j
  sequence:
    pluginConfig:
      LogFilter:
      - type: key-value-data
        config: {invalidKeyPattern: '\s', logData: 'true', regex: '^(\w+)=(.+)$'}
      - type: mask-passwords
        config: {color: blue, replacement: '[SECURE]'}
      WorkflowStrategy: {}
    commands:
    - exec: id
      plugins:
        LogFilter:
        - type: highlight-output
          config: {regex: 'error', fgcolor: light_red, mode: bold}
      errorhandler:
        exec: help
        plugins:
          LogFilter: {type: quiet-output, config: {regex: 'debug', matchLines: true}}
`)
	want := hub.Workflow{
		Strategy: hub.StrategyNodeFirst,
		LogFilters: []hub.LogFilter{
			{Type: hub.FilterKeyValue, Config: map[string]string{"invalidKeyPattern": `\s`, "logData": "true", "regex": `^(\w+)=(.+)$`}},
			{Type: hub.FilterMaskPasswords},
		},
		Steps: []hub.Step{{
			Exec:       "id",
			LogFilters: []hub.LogFilter{{Type: hub.FilterHighlight, Config: map[string]string{"regex": "error", "fgcolor": "light_red", "mode": "bold"}}},
			ErrorHandler: &hub.Step{
				Exec:       "help",
				LogFilters: []hub.LogFilter{{Type: hub.FilterQuiet, Config: map[string]string{"regex": "debug", "matchLines": "true"}}},
			},
		}},
	}
	jobs, report := rundeck.ParseJobs(file)
	if err := report.Err(); err != nil {
		t.Fatalf("%+v", report.Errors)
	}
	if len(report.Warnings) != 2 {
		t.Errorf("%+v", report.Warnings)
	}
	if diff := cmp.Diff(want, jobs[0].Job.Workflow); diff != "" {
		t.Fatal(diff)
	}
	again, report := rundeck.ParseJobs([]byte(jobs[0].Job.Source))
	if len(report.Errors)+len(report.Warnings) > 0 {
		t.Fatalf("%+v\n%s", report, jobs[0].Job.Source)
	}
	if diff := cmp.Diff(want, again[0].Job.Workflow); diff != "" {
		t.Error(diff)
	}
}
