package output

import (
	"slices"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/proto/wire"
)

// Filter narrows a log; the zero value is all of it.
type Filter struct {
	// Nodes by position in the execution; none: all.
	Nodes []int
	// Step by position; nil: all. A step's handler counts as the step.
	Step *int
	// Streams that are wanted; none: all.
	Streams []wire.Stream
	// Since and Until bound the time of lines by the runner's clock: from Since on, and
	// before Until; zero: no bound.
	Since, Until time.Time
}

// none reports whether a filter leaves nothing out, so that numbers of lines can be
// looked up.
func (f *Filter) none() bool {
	return len(f.Nodes) == 0 && f.Step == nil && len(f.Streams) == 0 && f.Since.IsZero() && f.Until.IsZero()
}

// sieve is a filter in the words of one attempt's frames. A frame is looked at millions
// of times, so what it is compared with is worked out once.
type sieve struct {
	all bool
	// nodes and steps by position in the attempt's spec; nil: all.
	nodes, steps []bool
	// try of the runner's count; 0: all.
	try          uint32
	streams      [4]bool
	since, until int64 // Unix microseconds
}

const (
	earliest = -1 << 63
	latest   = 1<<63 - 1
)

// sieve makes the filter that of an attempt.
func (f *Filter) sieve(nodes, specSteps []int, w *hub.Workflow) *sieve {
	v := &sieve{all: f.none(), since: earliest, until: latest}
	if len(f.Nodes) > 0 {
		v.nodes = make([]bool, len(nodes))
		for i, n := range nodes {
			v.nodes[i] = slices.Contains(f.Nodes, n)
		}
	}
	if f.Step != nil {
		v.steps = make([]bool, len(specSteps))
		for i, position := range specSteps {
			step, of := w.StepAt(position)
			v.steps[i] = step != nil && of == *f.Step
		}
	}
	for i := range v.streams {
		v.streams[i] = len(f.Streams) == 0 || slices.Contains(f.Streams, wire.Stream(i))
	}
	if !f.Since.IsZero() {
		v.since = f.Since.UnixMicro()
	}
	if !f.Until.IsZero() {
		v.until = f.Until.UnixMicro()
	}
	return v
}

func (v *sieve) wants(f *wire.Frame) bool {
	return v.all || listed(v.nodes, f.Node) && listed(v.steps, f.Step) && (v.try == 0 || v.try == f.Try) && v.streams[f.Stream&3] && f.Time >= v.since && f.Time < v.until
}

// listed reports whether a list of wanted positions has one; nil has all.
func listed(list []bool, position uint32) bool {
	return list == nil || int(position) < len(list) && list[position]
}

// speaks reports whether a chunk can hold lines that are wanted, by what its row tells:
// its nodes. A row without nodes may be of any.
func (v *sieve) speaks(nodes []int) bool {
	if v.nodes == nil || len(nodes) == 0 {
		return true
	}
	return slices.ContainsFunc(nodes, func(n int) bool { return n >= 0 && n < len(v.nodes) && v.nodes[n] })
}

// silent reports whether no chunk of the attempt can hold lines that are wanted.
func (v *sieve) silent() bool { return v.nodes != nil && !slices.Contains(v.nodes, true) }
