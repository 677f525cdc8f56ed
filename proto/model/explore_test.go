package model

import (
	"flag"
	"fmt"
	"strings"
	"testing"
)

var big = flag.Bool("big", false, "also explore configurations of more than two million states")

// label names a step of a history. It is rendered for a trace alone: formatting each
// of millions of edges would take most of the time.
type label struct {
	format string
	n      [3]uint8
}

// say makes a label; %c shows a number as the letter of a message.
func say(format string, n ...uint8) label {
	l := label{format: format}
	copy(l.n[:], n)
	return l
}

func (l label) String() string {
	args := make([]any, strings.Count(l.format, "%"))
	for i := range args {
		args[i] = l.n[i]
	}
	return fmt.Sprintf(l.format, args...)
}

type edge[S comparable] struct {
	label label
	to    S
}

// system is one configuration of a model.
type system[S comparable] struct {
	initial S
	next    func(S) []edge[S]
	// check names the invariant that a state violates, or "".
	check func(S) string
	// goal states must stay in reach of every state that is not exempt; nil: not asked.
	goal, exempt func(S) bool
	// limit of states; beyond it the exploration ends without a violation.
	limit int
}

type finding struct {
	states    int
	limited   bool
	violation string
	trace     []string // to the violation, or to the first stuck state
	stuck     int
}

// explore visits states breadth first, so a violation's trace is a shortest one.
func explore[S comparable](sys system[S]) finding {
	type origin struct {
		parent int32
		label  label
	}
	seen := map[S]int32{sys.initial: 0}
	states, origins := []S{sys.initial}, []origin{{-1, label{}}}
	var from, to []int32 // edges, for reachability of goals
	trace := func(k int32) (t []string) {
		for ; k > 0; k = origins[k].parent {
			t = append([]string{origins[k].label.String()}, t...)
		}
		return t
	}
	for k := int32(0); int(k) < len(states); k++ {
		if v := sys.check(states[k]); v != "" {
			return finding{states: len(states), violation: v, trace: trace(k)}
		}
		for _, e := range sys.next(states[k]) {
			id, ok := seen[e.to]
			if !ok {
				if sys.limit > 0 && len(states) >= sys.limit {
					return finding{states: len(states), limited: true}
				}
				id = int32(len(states))
				seen[e.to] = id
				states = append(states, e.to)
				origins = append(origins, origin{k, e.label})
			}
			if sys.goal != nil {
				from, to = append(from, k), append(to, id)
			}
		}
	}
	f := finding{states: len(states)}
	if sys.goal == nil {
		return f
	}
	reach := reachable(len(states), from, to, func(k int32) bool { return sys.goal(states[k]) })
	for k := range states {
		if !reach[k] && !sys.exempt(states[k]) {
			if f.stuck == 0 {
				f.trace = trace(int32(k))
			}
			f.stuck++
		}
	}
	return f
}

// reachable marks every state from which a goal can be reached.
func reachable(n int, from, to []int32, goal func(int32) bool) []bool {
	first := make([]int32, n+1) // edges grouped by target
	for _, t := range to {
		first[t+1]++
	}
	for k := range n {
		first[k+1] += first[k]
	}
	at := append([]int32(nil), first...)
	preds := make([]int32, len(to))
	for i, t := range to {
		preds[at[t]] = from[i]
		at[t]++
	}
	mark := make([]bool, n)
	var queue []int32
	for k := range int32(n) {
		if goal(k) {
			mark[k], queue = true, append(queue, k)
		}
	}
	for len(queue) > 0 {
		k := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		for _, p := range preds[first[k]:first[k+1]] {
			if !mark[p] {
				mark[p], queue = true, append(queue, p)
			}
		}
	}
	return mark
}

// expectation is what a configuration must show.
type expectation struct {
	name string
	// violation is the invariant a mutant must break ("P1"); "" for a sound one.
	violation string
	// states of a sound configuration: a different count means a different model.
	states int
	big    bool
}

func (want expectation) judge(t *testing.T, got finding) {
	t.Helper()
	switch {
	case want.violation == "" && got.violation != "":
		t.Errorf("violation %s after %d states:\n  %s", got.violation, got.states, strings.Join(got.trace, "\n  "))
	case want.violation != "" && !strings.HasPrefix(got.violation, want.violation):
		t.Errorf("mutant not caught as %s: found %q in %d states", want.violation, got.violation, got.states)
	case got.stuck > 0:
		t.Errorf("%d states from which nothing ends, first:\n  %s", got.stuck, strings.Join(got.trace, "\n  "))
	case want.states != 0 && got.states != want.states:
		t.Errorf("%d states, want %d: the model changed, or the page that quotes it", got.states, want.states)
	}
	if got.violation != "" {
		t.Logf("%s in %d steps, %d states", got.violation, len(got.trace), got.states)
	}
}
