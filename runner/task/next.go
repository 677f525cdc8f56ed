package task

import (
	"time"

	"github.com/fairlead/fairlead/proto/failpoint"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
)

// Mode is what the runner may do with an attempt. It is not in the journal: it follows
// from how this process came to hold it.
type Mode uint8

// The modes.
const (
	// Waiting: after a restart, before Resumed. Nothing starts and nothing is closed.
	Waiting Mode = iota
	// Working: granted to, or resumed by, this process.
	Working
	// Expired: the job's time is over; what did not start is timed out.
	Expired
	// Unproven: another host, or a damaged disk; what did not end is unknown.
	Unproven
	// GivenUp: the hub holds the attempt for lost; nothing more starts.
	GivenUp
)

// Start is a cell whose turn has come, at once or after a delay.
type Start struct {
	Cell      Cell
	NotBefore time.Time
}

// Decision is what is to be done now.
type Decision struct {
	Start []Start
	// End are cells that will never start, with why.
	End []*runnerv1.Ended
	// Close: every node step has ended.
	Close bool
}

// Plan is a spec with what Next asks of it often.
type Plan struct {
	Spec    *runnerv1.Spec
	main    []int // positions of the steps that are nobody's handler
	threads int
}

// NewPlan prepares a spec. Threads below 1 count as 1.
func NewPlan(spec *runnerv1.Spec) *Plan {
	p := &Plan{Spec: spec, threads: max(1, int(spec.GetThreads()))}
	for i, s := range spec.GetSteps() {
		if !s.GetIsHandler() {
			p.main = append(p.main, i)
		}
	}
	return p
}

// place is where a node stands in the workflow.
type place struct {
	begun bool // something of it was started or ended
	busy  bool // something of it is being prepared or runs
	over  bool // nothing more of it is to start
	fail  bool // a failure or unknown that nothing answered
	step  int  // index into Plan.main of the step it stands at
	first bool // next is the first try of a step, not a retry or handler
	// barred: step-first, and an earlier step failed on another node.
	barred bool
	next   *Start
}

// Next says what to do, given the journal and which cells this process has in hand
// without a record of it yet (they are being prepared). It is total and pure.
func Next(p *Plan, s *State, mode Mode, inHand func(node, step int) bool) Decision {
	var d Decision
	if s.closed || mode == Waiting {
		return d
	}
	places := make([]place, len(p.Spec.GetNodes()))
	failed, allOver := false, true
	for n := range places {
		places[n] = stand(p, s, n, inHand)
		failed = failed || places[n].fail
		allOver = allOver && places[n].over
	}
	barNew := failed && !p.Spec.GetKeepgoing()
	if p.Spec.GetStrategy() == runnerv1.Strategy_STRATEGY_STEP_FIRST {
		barLater(places)
	}
	if mode == Working {
		if p.Spec.GetStrategy() == runnerv1.Strategy_STRATEGY_STEP_FIRST {
			d.Start = pickStepFirst(p, s, places, barNew)
		} else {
			d.Start = pickNodeFirst(p, s, places, barNew)
		}
	}
	if mode == Unproven {
		d.End = unprovenEnds(s, inHand)
	}
	left := false
	for n := range places {
		d.End = append(d.End, finish(p, s, n, &places[n], mode, barNew, inHand)...)
	}
	for i, c := range s.cells {
		// One in hand may have ended before: its next try is being prepared.
		left = left || c.phase != ended || inHand(i/s.steps, i%s.steps)
	}
	// After all have ended once a retry may be due, or its end where it may not start.
	d.Close = !left && len(d.Start) == 0 && len(d.End) == 0
	return d
}

// unprovenEnds are the cells that were started and that no process will see end.
func unprovenEnds(s *State, inHand func(node, step int) bool) []*runnerv1.Ended {
	var out []*runnerv1.Ended
	for i, c := range s.cells {
		if node, step := i/s.steps, i%s.steps; c.phase == started && !inHand(node, step) {
			out = append(out, &runnerv1.Ended{
				Cell:    cellRecord(Cell{Node: uint32(node), Step: uint32(step), Try: c.try}),
				Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Reason: ReasonOtherHost,
				Message: "Whether it finished is not known here.",
			})
		}
	}
	return out
}

// barLater: the step that failed on one node is the last for all, unless the workflow
// keeps going, in which case no node is over there.
func barLater(places []place) {
	for _, failed := range places {
		if !failed.over || !failed.fail {
			continue
		}
		for n := range places {
			pl := &places[n]
			pl.barred = pl.barred || pl.first && pl.step > failed.step
		}
	}
}

// pickNodeFirst: begun nodes go on before new ones, in rank order.
func pickNodeFirst(p *Plan, s *State, places []place, barNew bool) []Start {
	var out []Start
	holding := 0
	for n := range places {
		pl := &places[n]
		if !pl.begun || pl.over {
			continue
		}
		if s.barred(n) && !pl.busy {
			continue // it will be ended, not gone on with
		}
		holding++
		if pl.next != nil && !s.barred(n) {
			out = append(out, *pl.next)
		}
	}
	for n := range places {
		pl := &places[n]
		if holding >= p.threads || barNew {
			break
		}
		if !pl.begun && !pl.over && pl.next != nil && !s.barred(n) {
			out = append(out, *pl.next)
			holding++
		}
	}
	return out
}

// pickStepFirst: the runner is the barrier between steps.
func pickStepFirst(p *Plan, s *State, places []place, barNew bool) []Start {
	step, holding := len(p.main), 0
	for n := range places {
		if pl := &places[n]; !pl.over && (pl.busy || !s.barred(n)) {
			step = min(step, pl.step)
		}
	}
	for n := range places {
		pl := &places[n]
		if pl.busy || (pl.next != nil && !pl.first && pl.step == step && !s.barred(n)) {
			holding++ // it runs, or its retry or handler is due
		}
	}
	var out []Start
	for n := range places {
		pl := &places[n]
		switch {
		case pl.over || pl.barred || pl.next == nil || pl.step != step || s.barred(n):
		case !pl.first:
			out = append(out, *pl.next)
		case holding < p.threads && !(barNew && p.barred(pl)):
			out = append(out, *pl.next)
			holding++
		}
	}
	return out
}

// barred reports whether a failure elsewhere keeps a node, which is not busy, from what
// is next: one that has not begun always, one that has at the barrier between steps,
// unless the workflow keeps going. Its keepgoing would else mean nothing, not even where
// there is one node.
func (p *Plan) barred(pl *place) bool {
	atBarrier := p.Spec.GetStrategy() == runnerv1.Strategy_STRATEGY_STEP_FIRST && pl.first
	return !pl.begun || atBarrier && !p.Spec.GetWorkflowKeepgoing()
}

// stand walks a node through the workflow as far as its records go.
func stand(p *Plan, s *State, node int, inHand func(node, step int) bool) place {
	var pl place
	for i, step := range p.main {
		pl.step = i
		v := judge(p, s, node, step, inHand)
		pl.begun = pl.begun || v.begun
		pl.fail = pl.fail || v.failed
		switch {
		case v.busy:
			pl.busy = true
			return pl
		case v.next != nil:
			pl.next, pl.first = v.next, v.first
			return pl
		case !v.goOn:
			pl.over = true
			return pl
		}
	}
	pl.over = true
	return pl
}

// verdict is what has become of one step on one node, its retries and handler included.
type verdict struct {
	begun, busy bool
	next        *Start
	first       bool
	failed      bool // a failure or unknown that nothing answered
	goOn        bool // the node's next step may come
}

func judge(p *Plan, s *State, node, step int, inHand func(node, step int) bool) verdict {
	c, def := s.cell(node, step), p.Spec.GetSteps()[step]
	switch {
	case inHand(node, step), c.phase == started:
		return verdict{begun: true, busy: true}
	case c.phase == waiting:
		return verdict{next: turn(node, step, 1, time.Time{}), first: true}
	}
	if again := retry(def, c, node, step); again != nil {
		return verdict{begun: true, next: again}
	}
	goOn := p.Spec.GetWorkflowKeepgoing()
	switch c.outcome {
	case runnerv1.Outcome_OUTCOME_SUCCEEDED, runnerv1.Outcome_OUTCOME_SKIPPED:
		return verdict{begun: true, goOn: c.outcome == runnerv1.Outcome_OUTCOME_SUCCEEDED}
	case runnerv1.Outcome_OUTCOME_CANCELLED:
		return verdict{begun: true}
	case runnerv1.Outcome_OUTCOME_UNKNOWN:
		if failpoint.Mutant("NM4") || def.GetContinueOnUnknown() {
			return verdict{begun: true, goOn: true}
		}
		return verdict{begun: true, failed: true, goOn: goOn}
	}
	return answer(p, s, node, def, goOn, inHand)
}

// answer is what becomes of a failure: its error handler's turn, or its end.
func answer(p *Plan, s *State, node int, def *runnerv1.Step, goOn bool, inHand func(node, step int) bool) verdict {
	if def.GetErrorHandler() == 0 {
		return verdict{begun: true, failed: true, goOn: goOn}
	}
	step := int(def.GetErrorHandler()) - 1
	c, handler := s.cell(node, step), p.Spec.GetSteps()[step]
	switch {
	case inHand(node, step), c.phase == started:
		return verdict{begun: true, busy: true}
	case c.phase == waiting:
		return verdict{begun: true, next: turn(node, step, 1, time.Time{})}
	}
	if again := retry(handler, c, node, step); again != nil {
		return verdict{begun: true, next: again}
	}
	if c.outcome == runnerv1.Outcome_OUTCOME_SUCCEEDED {
		return verdict{begun: true, goOn: goOn || handler.GetKeepgoingOnSuccess() || def.GetKeepgoingOnSuccess()}
	}
	return verdict{begun: true, failed: true, goOn: goOn && c.outcome != runnerv1.Outcome_OUTCOME_CANCELLED}
}

func turn(node, step int, try uint32, notBefore time.Time) *Start {
	return &Start{Cell: Cell{Node: uint32(node), Step: uint32(step), Try: try}, NotBefore: notBefore}
}

// retry returns the next try of an ended cell, or nil if there is none: after a
// failure while retries last; after an unknown only for an idempotent step; after a
// try of which it is proven that it did nothing, at least once.
func retry(def *runnerv1.Step, c *cellState, node, step int) *Start {
	if c.free {
		return turn(node, step, c.try+1, time.Time{})
	}
	limit := def.GetRetries()
	switch c.outcome {
	case runnerv1.Outcome_OUTCOME_FAILED, runnerv1.Outcome_OUTCOME_TIMED_OUT:
		if c.clean {
			limit = max(limit, 1)
		}
	case runnerv1.Outcome_OUTCOME_UNKNOWN:
		if !def.GetIdempotent() {
			return nil
		}
		limit = max(limit, 1)
	default:
		return nil
	}
	if c.counted > limit {
		return nil
	}
	return turn(node, step, c.try+1, c.ended.Add(time.Duration(def.GetRetryDelayMs())*time.Millisecond))
}
