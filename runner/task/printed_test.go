package task

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/runner/disk/memdisk"
)

// What earlier attempts of an execution printed counts against its limit, and what a step
// printed is in its record, for those that follow.
func TestLogLimitGoesOnFromEarlierAttempts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		limit *runnerv1.LogLimit
		nodes int
		want  string // what is let through
		ends  []*runnerv1.Printed
	}{
		"lines": {
			&runnerv1.LogLimit{Lines: 5, Before: &runnerv1.Printed{Lines: 3, Bytes: 100}},
			1,
			"a b",
			[]*runnerv1.Printed{{Lines: 2, Bytes: 4}},
		},
		"bytes": {
			&runnerv1.LogLimit{Bytes: 10, Before: &runnerv1.Printed{Lines: 1, Bytes: 4}},
			1,
			"a b c",
			[]*runnerv1.Printed{{Lines: 3, Bytes: 6}},
		},
		"more than may be, by runners at the same time": {
			&runnerv1.LogLimit{Bytes: 10, Before: &runnerv1.Printed{Lines: 1, Bytes: 14}},
			1,
			"",
			[]*runnerv1.Printed{{}},
		},
		"the quota": {
			&runnerv1.LogLimit{Quota: 10, Before: &runnerv1.Printed{Lines: 2, Bytes: 6}}, 1,
			"a b",
			[]*runnerv1.Printed{{Lines: 2, Bytes: 4}},
		},
		"of each node": {
			&runnerv1.LogLimit{Lines: 3, PerNode: true, Before: &runnerv1.Printed{Lines: 4}, NodesBefore: []*runnerv1.Printed{{Lines: 3}, {Lines: 1}}},
			2,
			"a b",
			[]*runnerv1.Printed{{}, {Lines: 2, Bytes: 4}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tt.limit.Truncate, tt.limit.Text = true, "so many"
				spec := specOf(`a\nb\nc\nd\n`)
				spec.Nodes, spec.LogLimit = nodes(tt.nodes), tt.limit
				w := &workbench{t: t, disk: memdisk.New().Mount(), spec: spec}
				attempt := w.run(nil)
				var through []string
				for _, line := range w.log(attempt.disk) {
					if _, text, out := strings.Cut(line, " out "); out && !strings.HasPrefix(text, "[") {
						through = append(through, text)
					}
				}
				if got := strings.Join(through, " "); got != tt.want {
					t.Errorf("let through %q, want %q", got, tt.want)
				}
				var ends []*runnerv1.Printed
				err := attempt.disk.Replay(func(_ uint64, r *runnerv1.Record) {
					if e := r.GetEnded(); e != nil {
						ends = append(ends, e.GetPrinted())
					}
				})
				if diff := cmp.Diff(tt.ends, ends, protocmp.Transform()); diff != "" || err != nil {
					t.Errorf("records tell %s, %v", diff, err)
				}
			})
		})
	}
}
