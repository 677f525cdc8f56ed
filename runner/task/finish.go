package task

import (
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
)

// finish returns the ends of a node's tries that will never start here. Cells of a node
// that is busy are left until it is not: what runs may yet change what is next.
func finish(p *Plan, s *State, node int, pl *place, mode Mode, barNew bool, inHand func(node, step int) bool) []*runnerv1.Ended {
	if pl.busy {
		return nil
	}
	why := whyNot(s, node, pl, mode, barNew, p)
	if why == nil {
		return nil
	}
	var out []*runnerv1.Ended
	for step, def := range p.Spec.GetSteps() {
		c := s.cell(node, step)
		if inHand(node, step) || c.phase != waiting && !(mode == Unproven && mayGoOn(c, pl, step)) {
			continue
		}
		e := &runnerv1.Ended{
			Cell:    &runnerv1.Cell{Node: uint32(node), Step: uint32(step), Try: c.try + 1},
			Outcome: why.outcome, Reason: why.reason, Message: why.message,
			NotStarted: why.outcome != runnerv1.Outcome_OUTCOME_UNKNOWN,
			EndProven:  why.outcome != runnerv1.Outcome_OUTCOME_UNKNOWN,
		}
		if def.GetIsHandler() && why.outcome != runnerv1.Outcome_OUTCOME_UNKNOWN {
			// Nobody waits for a handler: without a failure to answer it is not missed.
			e.Outcome, e.Reason, e.Message = runnerv1.Outcome_OUTCOME_SKIPPED, ReasonNotNeeded, ""
		}
		out = append(out, e)
	}
	return out
}

// mayGoOn reports whether an ended cell is due for another try, which the other host may
// have begun. Without an end of its own the step would stay failed, even "not started",
// while it runs there. One that is unknown says so already.
func mayGoOn(c *cellState, pl *place, step int) bool {
	return c.outcome != runnerv1.Outcome_OUTCOME_UNKNOWN && pl.next != nil && int(pl.next.Cell.Step) == step
}

// ending is why cells end without a start.
type ending struct {
	outcome runnerv1.Outcome
	reason  string
	message string
}

func whyNot(s *State, node int, pl *place, mode Mode, barNew bool, p *Plan) *ending {
	skipped := runnerv1.Outcome_OUTCOME_SKIPPED
	switch {
	case mode == Unproven && s.doubtful(node):
		// Where the other host may have seen a good end, it went on.
		return &ending{runnerv1.Outcome_OUTCOME_UNKNOWN, ReasonOtherHost, "This is another host; not started as far as its disk knows."}
	case pl.over && pl.fail:
		return &ending{skipped, ReasonEarlierStep, "An earlier step failed on this node."}
	case pl.over:
		return &ending{skipped, ReasonNotNeeded, ""}
	case mode == Unproven:
		return &ending{runnerv1.Outcome_OUTCOME_UNKNOWN, ReasonOtherHost, "This is another host; not started as far as its disk knows."}
	case s.stopsNode(node):
		return &ending{runnerv1.Outcome_OUTCOME_CANCELLED, ReasonStopped, "Cancelled before it started."}
	case mode == Expired:
		return &ending{runnerv1.Outcome_OUTCOME_TIMED_OUT, ReasonTimedOut, "The job's time was over before it started."}
	case mode == GivenUp:
		return &ending{skipped, ReasonGone, "The hub had given the attempt up before it started."}
	case pl.barred:
		return &ending{skipped, ReasonEarlierStep, "An earlier step failed on another node."}
	case s.stop.GetNoNew():
		return &ending{skipped, ReasonStopped, "Not started: the execution takes no new steps."}
	case barNew && p.barred(pl):
		return &ending{skipped, ReasonNodeFailed, "Not started: another node failed."}
	default:
		return nil
	}
}

// Fold is the outcome of an attempt whose cells have all ended: the worst of the last
// tries. A failure that its handler answered counts as success, a cancel behind a try
// whose end nobody saw as unknown.
func Fold(p *Plan, s *State) runnerv1.Outcome {
	worst := runnerv1.Outcome_OUTCOME_SUCCEEDED
	for node := range p.Spec.GetNodes() {
		for step, def := range p.Spec.GetSteps() {
			o := s.cell(node, step).outcome
			if o == runnerv1.Outcome_OUTCOME_CANCELLED && s.cell(node, step).doubted {
				o = runnerv1.Outcome_OUTCOME_UNKNOWN
			}
			if weight(o) > weight(worst) && !answered(s, node, def, o) {
				worst = o
			}
		}
	}
	return worst
}

func answered(s *State, node int, def *runnerv1.Step, o runnerv1.Outcome) bool {
	if def.GetErrorHandler() == 0 || (o != runnerv1.Outcome_OUTCOME_FAILED && o != runnerv1.Outcome_OUTCOME_TIMED_OUT) {
		return false
	}
	return s.cell(node, int(def.GetErrorHandler())-1).outcome == runnerv1.Outcome_OUTCOME_SUCCEEDED
}

// weight orders outcomes: UNKNOWN over CANCELLED over TIMED_OUT over FAILED over the rest.
func weight(o runnerv1.Outcome) int {
	switch o {
	case runnerv1.Outcome_OUTCOME_UNKNOWN:
		return 4
	case runnerv1.Outcome_OUTCOME_CANCELLED:
		return 3
	case runnerv1.Outcome_OUTCOME_TIMED_OUT:
		return 2
	case runnerv1.Outcome_OUTCOME_FAILED:
		return 1
	default:
		return 0
	}
}
