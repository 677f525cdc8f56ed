package rundeck_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/rundeck"
)

// awkward draws texts made of what YAML reads.
func awkward() *rapid.Generator[string] {
	pieces := rapid.SampledFrom([]string{
		"a", "b c", " ", "  ", "\n", "\n\n", "\t", "\r", ": ", ":", "-", "- ", "#", " #", "'", `"`, `\`, "|", ">", "{", "}", "[", "]", ",", "&", "*",
		"!", "%", "@", "`", "?", "~", "yes", "0", "1:2", "\u0085", "\u2028", "\ufeff", "\u00a0", "\x01", "\x7f", "é", "世", "\U0001f600", "---", "...", "<<",
	})
	return rapid.Custom(func(r *rapid.T) string {
		return strings.Join(rapid.SliceOfN(pieces, 0, 9).Draw(r, "pieces"), "")
	})
}

// TestFormatJobsProperty: whatever a job's texts are, the file gives them back, and
// the same file again.
func TestFormatJobsProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		text := func(name string) string { return awkward().Draw(r, name) }
		job := &hub.Job{
			Name: "j", LogLevel: "INFO", Description: text("description"),
			Options: []hub.Option{{Name: "o", Description: text("option"), Value: text("value"), Values: []string{text("value 1"), text("value 2")}}},
			Workflow: hub.Workflow{Strategy: hub.StrategyNodeFirst, Steps: []hub.Step{
				{Exec: "x" + text("exec"), Description: text("step"), ErrorHandler: &hub.Step{Exec: text("handler") + "x"}},
				{Script: &hub.Script{Text: "x" + text("script"), Args: text("args")}, Probe: text("probe")},
			}},
			Dispatch: hub.Dispatch{ExcludePrecedence: true},
		}
		data, err := rundeck.FormatJobs([]*hub.Job{job})
		if err != nil {
			r.Fatal(err)
		}
		jobs, report := rundeck.ParseJobs(data)
		if err := report.Err(); err != nil {
			r.Fatalf("%+v\n%s", report.Errors, data)
		}
		if diff := cmp.Diff(job, withoutSource(jobs[0].Job)); diff != "" {
			r.Fatalf("%s\n%s", diff, data)
		}
		if jobs[0].Job.Source != string(data) {
			r.Fatalf("not canonical:\n%s\n%s", jobs[0].Job.Source, data)
		}
	})
}
