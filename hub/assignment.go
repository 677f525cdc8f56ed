package hub

// AssignmentState is the state of an assignment. Final ones use Status words.
type AssignmentState string

// States of an assignment, as docs/state-machines.md draws them.
const (
	AssignmentWaiting   AssignmentState = "waiting" // for others before it in the plan
	AssignmentReady     AssignmentState = "ready"   // for a runner
	AssignmentActive    AssignmentState = "active"  // has an attempt
	AssignmentSucceeded AssignmentState = "succeeded"
	AssignmentFailed    AssignmentState = "failed"
	AssignmentCancelled AssignmentState = "cancelled"
	AssignmentTimedOut  AssignmentState = "timed_out"
	AssignmentUnknown   AssignmentState = "unknown"
	AssignmentSkipped   AssignmentState = "skipped"
)

// Final reports whether the assignment is settled.
func (s AssignmentState) Final() bool {
	return s != AssignmentWaiting && s != AssignmentReady && s != AssignmentActive
}

// Assignment is a slice of an execution for one runner: consecutive steps over the
// nodes that it serves.
type Assignment struct {
	ID             string
	ExecutionID    string
	OrganisationID string
	ProjectID      string
	// Position orders the assignments of an execution, from 0.
	Position int
	// Nodes are positions in Execution.Nodes, ascending.
	Nodes []int
	// Steps are positions in the definition's workflow, ascending and consecutive.
	Steps []int
	// RunnerTags that a runner must bear, sorted; empty: any of the project.
	RunnerTags []string
	// Threads is how many nodes at once this one may use.
	Threads int
	State   AssignmentState
	// Attempts so far; the epoch of the newest.
	Attempts int
	// OpenAttempt: an earlier attempt was let go without a proven end.
	OpenAttempt bool
	Incarnation int64
}
