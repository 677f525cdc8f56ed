package rundeck

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/fairlead/fairlead/hub"
)

// FormatJobs writes jobs as a Rundeck job file in canonical form: keys sorted, what
// has its usual value left out, so that equal jobs give equal bytes and a changed job
// a small difference. ParseJobs reads it back to the same jobs.
func FormatJobs(jobs []*hub.Job) ([]byte, error) {
	root := &yaml.Node{Kind: yaml.SequenceNode}
	for _, job := range jobs {
		root.Content = append(root.Content, jobNode(job))
	}
	var out bytes.Buffer
	dumper, err := yaml.NewDumper(&out, yaml.WithV4Defaults(), yaml.WithLineWidth(-1))
	if err != nil {
		return nil, fmt.Errorf("open a YAML writer: %w", err)
	}
	if err := dumper.Dump(root); err != nil {
		return nil, fmt.Errorf("write jobs as YAML: %w", err)
	}
	if err := dumper.Close(); err != nil {
		return nil, fmt.Errorf("finish the YAML of jobs: %w", err)
	}
	return out.Bytes(), nil
}

// table is a map that is written with sorted keys.
type table map[string]*yaml.Node

// text adds a text unless it is empty.
func (t table) text(key, value string) {
	if value != "" {
		t[key] = textNode(value)
	}
}

// truth adds true; false is left out.
func (t table) truth(key string, value bool) {
	if value {
		t[key] = truthNode(true)
	}
}

// duration adds a duration unless it is 0.
func (t table) duration(key string, d time.Duration) {
	if d != 0 {
		t[key] = textNode(hub.FormatDuration(d))
	}
}

// texts adds a list of texts unless it is empty.
func (t table) texts(key string, values []string) {
	if len(values) == 0 {
		return
	}
	n := &yaml.Node{Kind: yaml.SequenceNode}
	for _, v := range values {
		n.Content = append(n.Content, textNode(v))
	}
	t[key] = n
}

func (t table) node() *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	names := make([]string, 0, len(t))
	for name := range t {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		n.Content = append(n.Content, textNode(name), t[name])
	}
	return n
}

func truthNode(b bool) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(b)}
}

func numberNode(n int) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(n)}
}

// textNode writes a text so that readers of YAML 1.1 and 1.2 both take it for one.
func textNode(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	switch {
	case strings.ContainsFunc(s, unprintable):
		n.Style = yaml.DoubleQuotedStyle
	case strings.Contains(s, "\n") && blockable(s):
		n.Style = yaml.LiteralStyle
	case strings.Contains(s, "\n"):
		n.Style = yaml.DoubleQuotedStyle
	case ambiguous(s):
		n.Style = yaml.SingleQuotedStyle
	}
	return n
}

// unprintable reports whether a rune must be escaped: control characters, and the line
// breaks and marks that only some readers take for such.
func unprintable(r rune) bool {
	return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r <= 0x9f || r == 0x2028 || r == 0x2029 || r == 0xfeff
}

// blockable reports whether a text survives as a literal block: lines that begin or
// end with blanks at its edges are read in different ways.
func blockable(s string) bool {
	return s[0] != ' ' && s[0] != '\n' && s[0] != '\t' && !strings.Contains(s, " \n") && !strings.Contains(s, "\t\n") &&
		!strings.HasSuffix(s, " ") && !strings.HasSuffix(s, "\t")
}

// ambiguous reports whether a plain text could be read as something else.
func ambiguous(s string) bool {
	if s == "" || strings.TrimSpace(s) != s || strings.ContainsAny(s[:1], "0123456789+-.=<~!&*?|>%@`'\"{}[],:#") {
		return true
	}
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "y", "n", "null":
		return true
	default:
		return strings.Contains(s, ": ") || strings.Contains(s, " #") || strings.HasSuffix(s, ":") || strings.Contains(s, "\t")
	}
}

func jobNode(j *hub.Job) *yaml.Node {
	t := table{"description": textNode(j.Description), "loglevel": textNode(j.LogLevel), "name": textNode(j.Name)}
	t.text("group", j.Group)
	t.text("id", j.UUID)
	t.text("uuid", j.UUID)
	t.text("timeout", j.Timeout)
	t.texts("runnerTags", j.RunnerTags)
	t.duration("runnerTimeout", j.RunnerTimeout)
	if j.LostAfter == hub.LostNever {
		t.text("lostAfter", "never")
	} else {
		t.duration("lostAfter", time.Duration(j.LostAfter)*time.Second)
	}
	if j.StopAfterHubLoss > 0 {
		t["onHubLoss"] = table{"stop-after": textNode(hub.FormatDuration(j.StopAfterHubLoss))}.node()
	}
	t.truth("nodeFilterEditable", j.Dispatch.Editable)
	if filters := dispatchNode(&j.Dispatch); filters != nil {
		t["nodefilters"] = filters
	}
	if len(j.Options) > 0 {
		options := &yaml.Node{Kind: yaml.SequenceNode}
		for i := range j.Options {
			options.Content = append(options.Content, optionNode(&j.Options[i]))
		}
		t["options"] = options
	}
	t["sequence"] = workflowNode(&j.Workflow)
	if j.ExecutionDisabled {
		t["executionEnabled"] = truthNode(false)
	}
	t.logLimit(&j.LogLimit)
	t.schedule(&j.Schedule)
	t.texts("calendars", j.Calendars)
	t.truth("multipleExecutions", j.MultipleExecutions)
	if j.MaxMultiple > 0 {
		t["maxMultipleExecutions"] = numberNode(j.MaxMultiple)
	}
	return t.node()
}

// dispatchNode returns nil for a job that says nothing about nodes. One that runs on
// no nodes may still say how it would, for runs that choose their own.
func dispatchNode(d *hub.Dispatch) *yaml.Node {
	plain := hub.Dispatch{ExcludePrecedence: true, Editable: d.Editable}
	if *d == plain {
		return nil
	}
	dispatch := table{
		"excludePrecedence":        truthNode(d.ExcludePrecedence),
		"keepgoing":                truthNode(d.Keepgoing),
		"rankOrder":                textNode("ascending"),
		"successOnEmptyNodeFilter": truthNode(d.SuccessOnEmpty),
		"threadcount":              textNode("1"),
	}
	dispatch.text("threadcount", d.Threadcount)
	dispatch.text("rankAttribute", d.RankAttribute)
	if d.RankDescending {
		dispatch["rankOrder"] = textNode("descending")
	}
	t := table{"dispatch": dispatch.node()}
	t.text("filter", d.Filter)
	t.text("filterExclude", d.FilterExclude)
	return t.node()
}

func optionNode(o *hub.Option) *yaml.Node {
	t := table{"name": textNode(o.Name)}
	t.text("label", o.Label)
	t.text("description", o.Description)
	t.text("value", o.Value)
	t.truth("required", o.Required)
	t.texts("values", o.Values)
	t.truth("enforced", o.Enforced)
	t.text("regex", o.Regex)
	t.truth("secure", o.Secure)
	t.truth("valueExposed", o.ValueExposed)
	t.text("storagePath", o.StoragePath)
	t.truth("multivalued", o.Multivalued)
	t.text("delimiter", o.Delimiter)
	t.truth("hidden", o.Hidden)
	return t.node()
}

func workflowNode(w *hub.Workflow) *yaml.Node {
	commands := &yaml.Node{Kind: yaml.SequenceNode}
	for i := range w.Steps {
		commands.Content = append(commands.Content, stepTable(&w.Steps[i]).node())
	}
	t := table{
		"commands":  commands,
		"keepgoing": truthNode(w.Keepgoing),
		"strategy":  textNode(string(w.Strategy)),
	}
	t.logFilters("pluginConfig", w.LogFilters)
	return t.node()
}

func stepTable(s *hub.Step) table {
	t := table{}
	t.text("description", s.Description)
	if s.Script == nil {
		t["exec"] = textNode(s.Exec)
	} else {
		t["script"] = textNode(s.Script.Text)
		t.text("args", s.Script.Args)
		t.text("scriptInterpreter", s.Script.Interpreter)
		t.truth("interpreterArgsQuoted", s.Script.ArgsQuoted)
		t.text("fileExtension", s.Script.FileExtension)
	}
	t.duration("timeout", s.Timeout)
	t.truth("idempotent", s.Idempotent)
	t.truth("detached", s.Detached)
	t.text("probe", s.Probe)
	if s.ContinueOnUnknown {
		t.text("onUnknown", "continue")
	}
	if s.Retries > 0 {
		retry := table{"retry": numberNode(s.Retries)}
		retry.duration("delay", s.RetryDelay)
		t["retry"] = retry.node()
	}
	t.logFilters("plugins", s.LogFilters)
	if s.ErrorHandler != nil {
		handler := stepTable(s.ErrorHandler)
		handler.truth("keepgoingOnSuccess", s.ErrorHandler.KeepgoingOnSuccess)
		t["errorhandler"] = handler.node()
	}
	return t
}
