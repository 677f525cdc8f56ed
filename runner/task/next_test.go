package task

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
)

const (
	ok        = runnerv1.Outcome_OUTCOME_SUCCEEDED
	bad       = runnerv1.Outcome_OUTCOME_FAILED
	late      = runnerv1.Outcome_OUTCOME_TIMED_OUT
	cancelled = runnerv1.Outcome_OUTCOME_CANCELLED
	unsure    = runnerv1.Outcome_OUTCOME_UNKNOWN
	skipped   = runnerv1.Outcome_OUTCOME_SKIPPED
)

func plan(nodes, steps, threads int, change func(s *runnerv1.Spec)) *Plan {
	s := &runnerv1.Spec{Strategy: runnerv1.Strategy_STRATEGY_NODE_FIRST, Threads: uint32(threads)}
	for n := range nodes {
		s.Nodes = append(s.Nodes, &runnerv1.Node{Name: fmt.Sprint(n)})
	}
	for range steps {
		s.Steps = append(s.Steps, &runnerv1.Step{})
	}
	if change != nil {
		change(s)
	}
	return NewPlan(s)
}

func nothing(int, int) bool { return false }

// say writes a history as "started node/step/try", "ended node/step/try outcome".
type history struct {
	p *Plan
	s *State
}

func (h *history) start(n, s, try uint32) *history {
	h.s.Apply(&runnerv1.Record{Record: &runnerv1.Record_Started{Started: &runnerv1.Started{Cell: &runnerv1.Cell{Node: n, Step: s, Try: try}}}})
	return h
}

func (h *history) end(n, s, try uint32, o runnerv1.Outcome, reason string) *history {
	h.s.Apply(&runnerv1.Record{Record: &runnerv1.Record_Ended{Ended: &runnerv1.Ended{
		Cell: &runnerv1.Cell{Node: n, Step: s, Try: try}, Outcome: o, Reason: reason,
		NotStarted: reason == ReasonNeverStarted || reason == ReasonProbeClean,
	}}})
	return h
}

func (h *history) stop(scope *runnerv1.StopScope) *history {
	h.s.Apply(&runnerv1.Record{Record: &runnerv1.Record_Stopped{Stopped: &runnerv1.Stopped{Scope: scope}}})
	return h
}

// tell writes a decision as "+node/step/try" for starts and "-node/step outcome" for ends,
// with the try where it is not the first.
func tell(d Decision) string {
	var out []string
	for _, s := range d.Start {
		out = append(out, fmt.Sprintf("+%d/%d/%d", s.Cell.Node, s.Cell.Step, s.Cell.Try))
	}
	for _, e := range d.End {
		cell := fmt.Sprintf("-%d/%d", e.GetCell().GetNode(), e.GetCell().GetStep())
		if try := e.GetCell().GetTry(); try > 1 {
			cell += fmt.Sprintf("/%d", try)
		}
		out = append(out, fmt.Sprintf("%s %s", cell, strings.ToLower(strings.TrimPrefix(e.GetOutcome().String(), "OUTCOME_"))))
	}
	if d.Close {
		out = append(out, "close")
	}
	return strings.Join(out, " ")
}

func TestNext(t *testing.T) {
	t.Parallel()
	stepFirst := func(s *runnerv1.Spec) { s.Strategy = runnerv1.Strategy_STRATEGY_STEP_FIRST }
	keep := func(s *runnerv1.Spec) { s.Keepgoing = true }
	handled := func(s *runnerv1.Spec) { s.Steps[0].ErrorHandler, s.Steps[1].IsHandler = 2, true }
	retried := func(s *runnerv1.Spec) { s.Steps[0].Retries = 1 }
	all, noNew := &runnerv1.StopScope{Asked: true, All: true}, &runnerv1.StopScope{Asked: true, NoNew: true}
	tests := []struct {
		name string
		p    *Plan
		mode Mode
		do   func(h *history)
		want string
	}{
		{"empty", plan(0, 0, 1, nil), Working, nil, "close"},
		{"first", plan(3, 2, 1, nil), Working, nil, "+0/0/1"},
		{"threads", plan(3, 2, 2, nil), Working, nil, "+0/0/1 +1/0/1"},
		{"waits for leave", plan(3, 2, 2, nil), Waiting, nil, ""},
		{"begun nodes first", plan(3, 2, 2, nil), Working, func(h *history) { h.end(1, 0, 1, ok, "").start(0, 0, 1) }, "+1/1/1"},
		{"next node", plan(3, 1, 1, nil), Working, func(h *history) { h.end(0, 0, 1, ok, "") }, "+1/0/1"},
		{"all ended", plan(1, 1, 1, nil), Working, func(h *history) { h.end(0, 0, 1, ok, "") }, "close"},
		{"failure ends the node and bars the others", plan(2, 2, 1, nil), Working, func(h *history) { h.end(0, 0, 1, bad, "") }, "-0/1 skipped -1/0 skipped -1/1 skipped"},
		{"failure, keepgoing", plan(2, 2, 1, keep), Working, func(h *history) { h.end(0, 0, 1, bad, "") }, "+1/0/1 -0/1 skipped"},
		{"begun nodes go on after a failure", plan(3, 2, 2, nil), Working, func(h *history) { h.end(0, 0, 1, bad, "").end(1, 0, 1, ok, "") }, "+1/1/1 -0/1 skipped -2/0 skipped -2/1 skipped"},
		{"workflow keepgoing", plan(1, 2, 1, func(s *runnerv1.Spec) { s.WorkflowKeepgoing = true }), Working, func(h *history) { h.end(0, 0, 1, bad, "") }, "+0/1/1"},
		{"unknown ends the node", plan(1, 2, 1, keep), Working, func(h *history) { h.end(0, 0, 1, unsure, "") }, "-0/1 skipped"},
		{"unknown, onUnknown continue", plan(1, 2, 1, func(s *runnerv1.Spec) { s.Steps[0].ContinueOnUnknown = true }), Working, func(h *history) { h.end(0, 0, 1, unsure, "") }, "+0/1/1"},
		{"unknown, idempotent", plan(1, 1, 1, func(s *runnerv1.Spec) { s.Steps[0].Idempotent = true }), Working, func(h *history) { h.end(0, 0, 1, unsure, "") }, "+0/0/2"},
		{"unknown, idempotent, twice", plan(1, 1, 1, func(s *runnerv1.Spec) { s.Steps[0].Idempotent = true }), Working, func(h *history) { h.end(0, 0, 1, unsure, "").end(0, 0, 2, unsure, "") }, "close"},
		{"retry", plan(1, 1, 1, func(s *runnerv1.Spec) { s.Steps[0].Retries = 1 }), Working, func(h *history) { h.end(0, 0, 1, bad, "") }, "+0/0/2"},
		{"retries used up", plan(1, 1, 1, func(s *runnerv1.Spec) { s.Steps[0].Retries = 1 }), Working, func(h *history) { h.end(0, 0, 1, bad, "").end(0, 0, 2, late, "") }, "close"},
		{"retries do not count for unknown", plan(1, 1, 1, func(s *runnerv1.Spec) { s.Steps[0].Retries = 3 }), Working, func(h *history) { h.end(0, 0, 1, unsure, "") }, "close"},
		{"never started is tried again for nothing", plan(1, 1, 1, nil), Working, func(h *history) { h.start(0, 0, 1).end(0, 0, 1, bad, ReasonNeverStarted) }, "+0/0/2"},
		{"the probe says nothing happened", plan(1, 1, 1, nil), Working, func(h *history) { h.end(0, 0, 1, bad, ReasonProbeClean) }, "+0/0/2"},
		{"handler answers a failure", plan(1, 2, 1, handled), Working, func(h *history) { h.end(0, 0, 1, bad, "") }, "+0/1/1"},
		{"handler answers no doubt", plan(1, 2, 1, handled), Working, func(h *history) { h.end(0, 0, 1, unsure, "") }, "-0/1 skipped"},
		{"handler is not needed", plan(1, 2, 1, handled), Working, func(h *history) { h.end(0, 0, 1, ok, "") }, "-0/1 skipped"},
		{"step-first: the barrier holds", plan(2, 2, 2, stepFirst), Working, func(h *history) { h.end(0, 0, 1, ok, "").start(1, 0, 1) }, ""},
		{"step-first: the barrier opens", plan(2, 2, 2, stepFirst), Working, func(h *history) { h.end(0, 0, 1, ok, "").end(1, 0, 1, ok, "") }, "+0/1/1 +1/1/1"},
		{"step-first: threads", plan(3, 2, 2, stepFirst), Working, func(h *history) { h.start(0, 0, 1) }, "+1/0/1"},
		{"step-first: a failure bars the rest", plan(2, 2, 1, stepFirst), Working, func(h *history) { h.end(0, 0, 1, bad, "") }, "-0/1 skipped -1/0 skipped -1/1 skipped"},
		{"step-first: a step that failed is the last one everywhere", plan(2, 2, 1, func(s *runnerv1.Spec) { stepFirst(s); keep(s) }), Working, func(h *history) { h.end(0, 0, 1, bad, "").end(1, 0, 1, ok, "") }, "-0/1 skipped -1/1 skipped"},
		{"step-first: other nodes finish the step that failed", plan(2, 2, 1, func(s *runnerv1.Spec) { stepFirst(s); keep(s) }), Working, func(h *history) { h.end(0, 0, 1, bad, "") }, "+1/0/1 -0/1 skipped"},
		{"step-first: workflow keepgoing", plan(2, 2, 2, func(s *runnerv1.Spec) { stepFirst(s); keep(s); s.WorkflowKeepgoing = true }), Working, func(h *history) { h.end(0, 0, 1, bad, "").end(1, 0, 1, ok, "") }, "+0/1/1 +1/1/1"},
		{"step-first: workflow keepgoing on the one node that failed", plan(1, 2, 1, func(s *runnerv1.Spec) { stepFirst(s); s.WorkflowKeepgoing = true }), Working, func(h *history) { h.end(0, 0, 1, bad, "") }, "+0/1/1"},
		{"step-first: workflow keepgoing, no new node", plan(3, 2, 1, func(s *runnerv1.Spec) { stepFirst(s); s.WorkflowKeepgoing = true }), Working, func(h *history) { h.end(0, 0, 1, ok, "").end(1, 0, 1, bad, "") }, "-2/0 skipped -2/1 skipped"},
		{"step-first: workflow keepgoing, those that have begun", plan(2, 2, 2, func(s *runnerv1.Spec) { stepFirst(s); s.WorkflowKeepgoing = true }), Working, func(h *history) { h.end(0, 0, 1, bad, "").end(1, 0, 1, ok, "") }, "+0/1/1 +1/1/1"},
		{"stop all", plan(2, 2, 1, nil), Working, func(h *history) { h.end(0, 0, 1, ok, "").stop(all) }, "-0/1 cancelled -1/0 cancelled -1/1 cancelled"},
		{"stop all while one runs", plan(2, 1, 1, nil), Working, func(h *history) { h.start(0, 0, 1).stop(all) }, "-1/0 cancelled"},
		{"stop of a node", plan(2, 1, 1, nil), Working, func(h *history) { h.stop(&runnerv1.StopScope{Asked: true, Nodes: []uint32{0}}) }, "+1/0/1 -0/0 cancelled"},
		{"no new", plan(2, 2, 1, nil), Working, func(h *history) { h.end(0, 0, 1, ok, "").stop(noNew) }, "-0/1 skipped -1/0 skipped -1/1 skipped"},
		{"no new, no retry", plan(1, 1, 1, func(s *runnerv1.Spec) { s.Steps[0].Retries = 1 }), Working, func(h *history) { h.end(0, 0, 1, bad, "").stop(noNew) }, "close"},
		{"the job's time is over", plan(2, 1, 1, nil), Expired, func(h *history) { h.start(0, 0, 1) }, "-1/0 timed_out"},
		{"other host", plan(2, 1, 1, nil), Unproven, func(h *history) { h.end(0, 0, 1, ok, "") }, "-1/0 unknown"},
		{"other host, in mid-step", plan(1, 1, 1, nil), Unproven, func(h *history) { h.start(0, 0, 1) }, "-0/0 unknown"},
		{"other host, never started here", plan(1, 1, 1, nil), Unproven, func(h *history) { h.start(0, 0, 1).end(0, 0, 1, bad, ReasonNeverStarted) }, "-0/0/2 unknown"},
		{"other host, the probe said that nothing happened", plan(1, 1, 1, nil), Unproven, func(h *history) { h.end(0, 0, 1, bad, ReasonProbeClean) }, "-0/0/2 unknown"},
		{"other host, a retry is due", plan(1, 2, 1, retried), Unproven, func(h *history) { h.end(0, 0, 1, bad, "") }, "-0/0/2 unknown -0/1 unknown"},
		{"other host, the handler's turn", plan(1, 2, 1, handled), Unproven, func(h *history) { h.end(0, 0, 1, bad, "") }, "-0/1 unknown"},
		{"other host, retries used up", plan(1, 1, 1, retried), Unproven, func(h *history) { h.end(0, 0, 1, bad, "").end(0, 0, 2, bad, "") }, "close"},
		{"other host, in doubt and idempotent", plan(1, 1, 1, func(s *runnerv1.Spec) { s.Steps[0].Idempotent = true }), Unproven, func(h *history) { h.end(0, 0, 1, unsure, "") }, "close"},
		{"given up", plan(2, 1, 1, nil), GivenUp, func(h *history) { h.start(0, 0, 1) }, "-1/0 skipped"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := &history{tt.p, NewState(tt.p.Spec)}
			if tt.do != nil {
				tt.do(h)
			}
			if got := tell(Next(tt.p, h.s, tt.mode, nothing)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestRetryWaits(t *testing.T) {
	t.Parallel()
	p := plan(1, 1, 1, func(s *runnerv1.Spec) { s.Steps[0].Retries, s.Steps[0].RetryDelayMs = 1, 5000 })
	s := NewState(p.Spec)
	at := time.UnixMicro(1_000_000)
	s.Apply(&runnerv1.Record{Time: at.UnixMicro(), Record: &runnerv1.Record_Ended{Ended: &runnerv1.Ended{Cell: &runnerv1.Cell{Try: 1}, Outcome: bad}}})
	d := Next(p, s, Working, nothing)
	if len(d.Start) != 1 || !d.Start[0].NotBefore.Equal(at.Add(5*time.Second)) || d.Close {
		t.Errorf("got %+v", d)
	}
}

// The wall clock was set back by a day since the try ended: the retry waits no longer than
// its delay for that.
func TestRetryWaitsForNoClock(t *testing.T) {
	t.Parallel()
	p := plan(1, 1, 1, func(s *runnerv1.Spec) { s.Steps[0].Retries, s.Steps[0].RetryDelayMs = 1, 5000 })
	s := NewState(p.Spec)
	at := time.Now().Add(24 * time.Hour)
	s.Apply(&runnerv1.Record{Time: at.UnixMicro(), Record: &runnerv1.Record_Ended{Ended: &runnerv1.Ended{Cell: &runnerv1.Cell{Try: 1}, Outcome: bad}}})
	if d := Next(p, s, Working, nothing); len(d.Start) != 1 || time.Until(d.Start[0].NotBefore) > 5*time.Second {
		t.Errorf("got %+v", d)
	}
}

// Without it the attempt would look again and again while a retry connects.
func TestNotClosedWhileTheNextTryIsPrepared(t *testing.T) {
	t.Parallel()
	p := plan(1, 1, 1, func(s *runnerv1.Spec) { s.Steps[0].Retries = 1 })
	h := &history{p, NewState(p.Spec)}
	h.end(0, 0, 1, bad, "")
	if got := tell(Next(p, h.s, Working, func(int, int) bool { return true })); got != "" {
		t.Errorf("got %q while the second try is in hand", got)
	}
}

func TestFold(t *testing.T) {
	t.Parallel()
	handled := func(s *runnerv1.Spec) { s.Steps[0].ErrorHandler, s.Steps[1].IsHandler = 2, true }
	tests := []struct {
		name string
		p    *Plan
		do   func(h *history)
		want runnerv1.Outcome
	}{
		{"nothing", plan(0, 0, 1, nil), func(*history) {}, ok},
		{"skipped alone", plan(1, 1, 1, nil), func(h *history) { h.end(0, 0, 1, skipped, "") }, ok},
		{"failed over succeeded", plan(2, 1, 1, nil), func(h *history) { h.end(0, 0, 1, bad, "").end(1, 0, 1, ok, "") }, bad},
		{"timed out over failed", plan(2, 1, 1, nil), func(h *history) { h.end(0, 0, 1, bad, "").end(1, 0, 1, late, "") }, late},
		{"cancelled over timed out", plan(2, 1, 1, nil), func(h *history) { h.end(0, 0, 1, cancelled, "").end(1, 0, 1, late, "") }, cancelled},
		{"unknown over all", plan(2, 1, 1, nil), func(h *history) { h.end(0, 0, 1, cancelled, "").end(1, 0, 1, unsure, "") }, unsure},
		{"the last try counts", plan(1, 1, 1, nil), func(h *history) { h.end(0, 0, 1, bad, "").end(0, 0, 2, ok, "") }, ok},
		{"a handled failure is success", plan(1, 2, 1, handled), func(h *history) { h.end(0, 0, 1, bad, "").end(0, 1, 1, ok, "") }, ok},
		{"a failed handler is none", plan(1, 2, 1, handled), func(h *history) { h.end(0, 0, 1, bad, "").end(0, 1, 1, bad, "") }, bad},
		{"a handler answers no doubt", plan(1, 2, 1, handled), func(h *history) { h.end(0, 0, 1, unsure, "").end(0, 1, 1, ok, "") }, unsure},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := &history{tt.p, NewState(tt.p.Spec)}
			tt.do(h)
			if got := Fold(tt.p, h.s); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestAnyAttemptCloses drives random specs with random ends: no try starts twice, no
// more nodes are at it than threads allow, nothing that a stop covers starts, and in
// the end every node step has ended.
func TestAnyAttemptCloses(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t)
		s := NewState(p.Spec)
		begun := map[Cell]bool{}
		var running []Cell
		for range 2000 {
			d := Next(p, s, Working, nothing)
			for _, e := range d.End {
				s.Apply(&runnerv1.Record{Record: &runnerv1.Record_Ended{Ended: e}})
			}
			if len(d.End) > 0 {
				continue
			}
			if d.Close {
				if len(running) > 0 {
					t.Fatalf("closed while %v run", running)
				}
				return
			}
			for _, st := range d.Start {
				if begun[st.Cell] || s.barred(int(st.Cell.Node)) {
					t.Fatalf("%v starts again, or after a stop", st.Cell)
				}
				begun[st.Cell] = true
				running = append(running, st.Cell)
				s.Apply(&runnerv1.Record{Record: &runnerv1.Record_Started{Started: &runnerv1.Started{Cell: cellRecord(st.Cell)}}})
			}
			if len(running) > p.threads {
				t.Fatalf("%d at once, threads %d", len(running), p.threads)
			}
			if len(running) == 0 {
				t.Fatalf("nothing runs and nothing starts: %s", tell(d))
			}
			if rapid.IntRange(0, 30).Draw(t, "stop") == 0 {
				s.addStop(&runnerv1.StopScope{Asked: true, NoNew: rapid.Bool().Draw(t, "noNew"), Nodes: []uint32{0}})
			}
			i := rapid.IntRange(0, len(running)-1).Draw(t, "which")
			c := running[i]
			running = append(running[:i:i], running[i+1:]...)
			o := rapid.SampledFrom([]runnerv1.Outcome{ok, ok, bad, unsure, late}).Draw(t, "outcome")
			s.Apply(&runnerv1.Record{Record: &runnerv1.Record_Ended{Ended: &runnerv1.Ended{Cell: cellRecord(c), Outcome: o}}})
		}
		t.Fatal("it never closes")
	})
}

func drawPlan(t *rapid.T) *Plan {
	return plan(rapid.IntRange(1, 5).Draw(t, "nodes"), rapid.IntRange(1, 4).Draw(t, "steps"), rapid.IntRange(1, 4).Draw(t, "threads"), func(s *runnerv1.Spec) {
		s.Keepgoing, s.WorkflowKeepgoing = rapid.Bool().Draw(t, "keepgoing"), rapid.Bool().Draw(t, "workflow")
		if rapid.Bool().Draw(t, "stepFirst") {
			s.Strategy = runnerv1.Strategy_STRATEGY_STEP_FIRST
		}
		for i, st := range s.GetSteps() {
			st.Retries = uint32(rapid.IntRange(0, 2).Draw(t, "retries"))
			st.Idempotent, st.ContinueOnUnknown = rapid.Bool().Draw(t, "idempotent"), rapid.Bool().Draw(t, "onUnknown")
			if i+1 < len(s.GetSteps()) && !st.GetIsHandler() && rapid.Bool().Draw(t, "handler") {
				st.ErrorHandler, s.Steps[i+1].IsHandler = uint32(i+2), true
			}
		}
	})
}
