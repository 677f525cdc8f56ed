package task

import (
	"strings"
	"testing"
	"testing/synctest"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/runner/disk/memdisk"
)

func filter(kind string, config map[string]string) *runnerv1.LogFilter {
	return &runnerv1.LogFilter{Type: kind, Config: config}
}

// What a step captures is there for the later steps of its node, and of other nodes by
// name; secrets are masked before any filter sees the output.
func TestLogFilters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &workbench{t: t, disk: memdisk.New().Mount(), spec: &runnerv1.Spec{
			Threads: 1, Strategy: runnerv1.Strategy_STRATEGY_NODE_FIRST, Nodes: nodes(2),
			Steps: steps(
				`RUNDECK:DATA:who=${node.name}\nRUNDECK:DATA:pw=hunter2\nnoise\ntoken=abc\n`,
				`it was ${data.who}, ${data.pw}, ${data.who@n0}, ${data.early}\n`,
			),
			LogFilters:    []*runnerv1.LogFilter{filter("key-value-data", nil), filter("mask-log-output-regex", map[string]string{"regex": "token=.*"})},
			SecureOptions: []string{"pw"},
			Data:          []*runnerv1.CapturedData{{Node: "n0", Values: map[string]string{"early": "bird"}}, {Node: "n1", Values: map[string]string{"early": "worm"}}},
		}}
		w.spec.Steps[0].LogFilters = []*runnerv1.LogFilter{filter("quiet-output", map[string]string{"regex": "^noise"})}
		attempt := w.run(&runnerv1.Secrets{Options: map[string]string{"pw": "hunter2"}})
		want := strings.Join([]string{
			"0.0 out RUNDECK:DATA:who=n0", "0.0 out RUNDECK:DATA:pw=*****", "0.0 out [SECURE]",
			"0.1 out it was n0, *****, n0, bird",
			"1.0 out RUNDECK:DATA:who=n1", "1.0 out RUNDECK:DATA:pw=*****", "1.0 out [SECURE]",
			"1.1 out it was n1, *****, n0, worm",
		}, "\n")
		if got := strings.Join(w.log(attempt.disk), "\n"); got != want {
			t.Errorf("the log is\n%s\nwant\n%s", got, want)
		}
		var captured []string
		if err := attempt.disk.Replay(func(_ uint64, r *runnerv1.Record) {
			if d := r.GetEnded().GetData(); d != nil {
				captured = append(captured, d["who"]+" "+d["pw"])
			}
		}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(captured, ", "); got != "n0 *****, n1 *****" {
			t.Errorf("the journal has %s", got)
		}
	})
}

// A step that names what nothing captured fails before it starts, and says what there is.
func TestDataThatNobodyCaptured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &workbench{t: t, disk: memdisk.New().Mount(), spec: specOf(`RUNDECK:DATA:a=1\n`, `${data.b}`)}
		w.spec.LogFilters = []*runnerv1.LogFilter{filter("key-value-data", nil)}
		attempt := w.run(nil)
		got := strings.Join(w.log(attempt.disk), "\n")
		if !strings.Contains(got, `0.1 sys data.b is not known: no earlier step captured "b" on node "n0" (log filter key-value-data); captured there are a`) {
			t.Error(got)
		}
		if Fold(attempt.plan, attempt.state) != runnerv1.Outcome_OUTCOME_FAILED {
			t.Error("it did not fail")
		}
	})
}

// Filters that this runner cannot work by keep the step from starting: what they were to
// hide would show.
func TestFiltersThatCannotWork(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*runnerv1.Step)
		want   string
	}{
		"unknown": {func(s *runnerv1.Step) { s.LogFilters = []*runnerv1.LogFilter{filter("progress", nil)} }, "log filter progress: this runner does not know it"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := &workbench{t: t, disk: memdisk.New().Mount(), spec: specOf(`secret\n`)}
				w.spec.LogFilters = []*runnerv1.LogFilter{filter("mask-log-output-regex", map[string]string{"regex": "secret"})}
				tt.change(w.spec.GetSteps()[0])
				attempt := w.run(nil)
				if got := strings.Join(w.log(attempt.disk), "\n"); !strings.Contains(got, tt.want) || strings.Contains(got, ".0 out") {
					t.Error(got)
				}
			})
		})
	}
}
