package sim

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// A copy of the disk speaks first, between a try that failed and the next: it may not say
// that the step failed, since the other host tries again while nobody hears of it.
func TestCopySpeaksBeforeARetry(t *testing.T) {
	briefly := func(p *plan) {
		remoteOnly(p)
		p.nodes = p.nodes[:1]
		p.jobs[0].steps = []stepPlan{{fails: 100, retries: 1, lines: 1, pace: 500 * time.Millisecond}}
	}
	p := scene(briefly,
		fault{kind: clone, on: "up.steps", n: 2, last: 100 * time.Millisecond},
		fault{kind: partition, on: "up.steps", n: 2, last: 20 * time.Second},
	)(*firstSeed)
	w := run(t, p, newDatabase(t), nil)
	if len(w.violated) > 0 {
		t.Fatal(w.report())
	}
	again := slices.ContainsFunc(w.starts, func(s *start) bool { return s.cell.Try == 2 && !s.host.copied })
	spoke := slices.ContainsFunc(w.story, func(line string) bool { return strings.Contains(line, "the disk of") })
	if !again || !spoke {
		t.Errorf("the disk was copied: %v; the other host tried again: %v\n%s", spoke, again, w.report())
	}
}
