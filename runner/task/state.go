package task

import (
	"maps"
	"slices"
	"time"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

// Reasons that this package writes into ended records.
const (
	ReasonInvalid         = "invalid"               // the command cannot be built
	ReasonUnsupported     = "unsupported"           // no executor of that name
	ReasonRestarted       = "runner_restarted"      // in mid-step when the runner died
	ReasonNeverStarted    = wire.ReasonNeverStarted // proven by the shim's tombstone after a restart
	ReasonOtherHost       = "other_host"            // the disk was copied
	ReasonFrozen          = "disk_damaged"          // the journal cannot be trusted
	ReasonGone            = "gone"                  // the hub had given the attempt up
	ReasonStopped         = "stopped"               // by a stop
	ReasonTimedOut        = "timed_out"             // step or job
	ReasonLogLimit        = wire.ReasonLogLimit     // its job printed more than it may
	ReasonPrepareTimedOut = "prepare_timed_out"     // the step's time was over before its start
	ReasonProbeClean      = wire.ReasonProbeClean   // unknown, but the probe proves that nothing happened
	ReasonProbeHappened   = "probe_happened"        // unknown, but the probe proves that it happened
	ReasonEarlierStep     = "earlier_step_failed"
	ReasonNodeFailed      = "other_node_failed"
	ReasonNotNeeded       = "not_needed" // a handler with nothing to answer
)

// phase is how far a step on a node is.
type phase uint8

const (
	waiting phase = iota
	started
	ended
)

// cellState is the last try of a step on a node, as the journal tells it.
type cellState struct {
	phase   phase
	outcome runnerv1.Outcome
	try     uint32
	// counted are the tries that used up a retry: not those that the runner's own
	// restart kept from starting.
	counted uint32
	free    bool // the last try used up none
	clean   bool // the probe proved that the last try did nothing
	doubted bool // the end of some try was not proven
	ended   time.Time
}

// State is what an attempt's journal says. The zero value of NewState's maker is the
// state of an empty journal.
type State struct {
	steps int
	nodes []*runnerv1.Node
	cells []cellState
	stop  runnerv1.StopScope
	boot  []byte // that the grant was taken in
	// deadline of the job's time by the boot clock of that boot; 0: none.
	deadline time.Duration
	closed   bool
	data     captured
}

// captured are values that steps captured, by the node's name.
type captured map[string]map[string]string

func (c captured) add(node string, values map[string]string) {
	if len(values) > 0 && c[node] == nil {
		c[node] = map[string]string{}
	}
	maps.Copy(c[node], values)
}

func (c captured) clone() captured {
	out := make(captured, len(c))
	for node, values := range c {
		out[node] = maps.Clone(values)
	}
	return out
}

// NewState makes the state of an empty journal.
func NewState(spec *runnerv1.Spec) *State {
	steps := len(spec.GetSteps())
	s := &State{steps: steps, cells: make([]cellState, steps*len(spec.GetNodes())), nodes: spec.GetNodes(), data: captured{}}
	for _, d := range spec.GetData() {
		s.data.add(d.GetNode(), d.GetValues())
	}
	return s
}

func (s *State) cell(node, step int) *cellState { return &s.cells[node*s.steps+step] }

func (s *State) at(c *runnerv1.Cell) *cellState {
	i := int(c.GetNode())*s.steps + int(c.GetStep())
	if int(c.GetStep()) >= s.steps || i >= len(s.cells) {
		return &cellState{} // not of this spec: the hub refuses it, too
	}
	return &s.cells[i]
}

// Apply takes the next record.
func (s *State) Apply(r *runnerv1.Record) {
	switch v := r.GetRecord().(type) {
	case *runnerv1.Record_Granted:
		s.boot = v.Granted.GetBootId()
		s.deadline = time.Duration(v.Granted.GetDeadlineUs()) * time.Microsecond
	case *runnerv1.Record_Started:
		c := s.at(v.Started.GetCell())
		c.phase, c.try = started, v.Started.GetCell().GetTry()
		c.free, c.clean = false, false
	case *runnerv1.Record_Ended:
		if n := int(v.Ended.GetCell().GetNode()); n < len(s.nodes) {
			s.data.add(s.nodes[n].GetName(), v.Ended.GetData())
		}
		s.end(v.Ended, past(r.GetTime()))
	case *runnerv1.Record_Stopped:
		s.addStop(v.Stopped.GetScope())
	case *runnerv1.Record_Closed:
		s.closed = true
	}
}

// past is a time of a record by a clock that nobody sets: a retry that waits from then on
// must not wait for hours because the wall clock went back.
func past(micros int64) time.Time {
	now := time.Now()
	return now.Add(min(0, time.UnixMicro(micros).Sub(now)))
}

func (s *State) end(e *runnerv1.Ended, at time.Time) {
	c := s.at(e.GetCell())
	c.phase, c.outcome, c.try, c.ended = ended, e.GetOutcome(), e.GetCell().GetTry(), at
	c.doubted = c.doubted || e.GetOutcome() == runnerv1.Outcome_OUTCOME_UNKNOWN && !e.GetEndProven()
	c.free = e.GetNotStarted() && e.GetReason() == ReasonNeverStarted
	c.clean = e.GetNotStarted() && e.GetReason() == ReasonProbeClean
	if !c.free {
		c.counted++
	}
}

func (s *State) addStop(scope *runnerv1.StopScope) {
	s.stop.Asked = true
	s.stop.All = s.stop.GetAll() || scope.GetAll()
	s.stop.NoNew = s.stop.GetNoNew() || scope.GetNoNew()
	for _, n := range scope.GetNodes() {
		if !slices.Contains(s.stop.GetNodes(), n) {
			s.stop.Nodes = append(s.stop.Nodes, n)
		}
	}
}

// covers reports whether the journalled stops rule out what scope asks.
func (s *State) covers(scope *runnerv1.StopScope) bool {
	if (scope.GetAll() && !s.stop.GetAll()) || (scope.GetNoNew() && !s.stop.GetNoNew() && !s.stop.GetAll()) {
		return false
	}
	for _, n := range scope.GetNodes() {
		if !s.stopsNode(int(n)) {
			return false
		}
	}
	return s.stop.GetAsked()
}

// doubtful reports whether something of the node ended unknown.
func (s *State) doubtful(node int) bool {
	for step := range s.steps {
		if c := s.cell(node, step); c.phase == ended && c.outcome == runnerv1.Outcome_OUTCOME_UNKNOWN {
			return true
		}
	}
	return false
}

// stopsNode reports whether the node was cancelled.
func (s *State) stopsNode(node int) bool {
	return s.stop.GetAll() || slices.Contains(s.stop.GetNodes(), uint32(node))
}

// barred reports whether nothing more of the node may start.
func (s *State) barred(node int) bool { return s.stop.GetNoNew() || s.stopsNode(node) }
