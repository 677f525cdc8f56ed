package model

import (
	"flag"
	"fmt"
	"hash/maphash"
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
	// next appends to into where a state may lead.
	next func(s S, into []edge[S]) []edge[S]
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

// explore visits states breadth first, so a violation's trace is a shortest one. Of what
// it has seen it keeps 128 bits of hash for each state, not the states: they would take
// gigabytes, and the collector most of the time to look through them. Two of some million
// states that hash alike by chance are less likely than a fault of the memory.
func explore[S comparable](sys system[S]) finding {
	type origin struct {
		parent int32
		label  label
	}
	seeds := [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	hash := func(s S) [2]uint64 {
		return [2]uint64{maphash.Comparable(seeds[0], s), maphash.Comparable(seeds[1], s)}
	}
	seen := map[[2]uint64]int32{hash(sys.initial): 0}
	origins := []origin{{-1, label{}}}
	var from, to []int32 // edges, for reachability of goals
	var goal, exempt []bool
	trace := func(k int32) (t []string) {
		for ; k > 0; k = origins[k].parent {
			t = append([]string{origins[k].label.String()}, t...)
		}
		return t
	}
	var edges []edge[S]
	k := int32(-1) // the state that is looked at
	for level := []S{sys.initial}; len(level) > 0; {
		var found []S
		for _, s := range level {
			k++
			if v := sys.check(s); v != "" {
				return finding{states: len(origins), violation: v, trace: trace(k)}
			}
			if sys.goal != nil {
				goal, exempt = append(goal, sys.goal(s)), append(exempt, sys.exempt(s))
			}
			edges = sys.next(s, edges[:0])
			for _, e := range edges {
				h := hash(e.to)
				id, ok := seen[h]
				if !ok {
					if sys.limit > 0 && len(origins) >= sys.limit {
						return finding{states: len(origins), limited: true}
					}
					id = int32(len(origins))
					seen[h] = id
					origins, found = append(origins, origin{k, e.label}), append(found, e.to)
				}
				if sys.goal != nil {
					from, to = append(from, k), append(to, id)
				}
			}
		}
		level = found
	}
	f := finding{states: len(origins)}
	if sys.goal == nil {
		return f
	}
	for id, ok := range reachable(goal, from, to) {
		if !ok && !exempt[id] {
			if f.stuck == 0 {
				f.trace = trace(int32(id))
			}
			f.stuck++
		}
	}
	return f
}

// reachable marks every state from which a goal can be reached.
func reachable(goal []bool, from, to []int32) []bool {
	n := len(goal)
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
	for k, is := range goal {
		if is {
			mark[k], queue = true, append(queue, int32(k))
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
