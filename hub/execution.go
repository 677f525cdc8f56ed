package hub

import "time"

// Status is the state of an execution or node step, in the words of every face.
type Status string

// Open and final states. Cancelling and Held are shown, never stored.
const (
	StatusScheduled  Status = "scheduled"
	StatusQueued     Status = "queued"
	StatusRunning    Status = "running"
	StatusCancelling Status = "cancelling"
	StatusHeld       Status = "held"
	StatusSucceeded  Status = "succeeded"
	StatusFailed     Status = "failed"
	StatusCancelled  Status = "cancelled"
	StatusTimedOut   Status = "timed_out"
	StatusUnknown    Status = "unknown"
	StatusMissed     Status = "missed"
	StatusSkipped    Status = "skipped"
)

// Final reports whether nothing changes any more.
func (s Status) Final() bool {
	switch s {
	case StatusSucceeded, StatusFailed, StatusCancelled, StatusTimedOut, StatusUnknown, StatusMissed, StatusSkipped:
		return true
	default:
		return false
	}
}

// severity orders outcomes for Fold; docs/state-machines.md, "Outcome".
var severity = map[Status]int{
	StatusSkipped: 1, StatusSucceeded: 2, StatusFailed: 3, StatusTimedOut: 4, StatusCancelled: 5, StatusUnknown: 6,
}

// Fold returns the worse of two outcomes: unknown over cancelled over timed_out over
// failed over succeeded. UNKNOWN is never hidden by a failure, since a person must
// look at it.
func Fold(a, b Status) Status {
	if severity[b] > severity[a] {
		return b
	}
	return a
}

// Execution is one run of a job or of an ad-hoc command.
type Execution struct {
	ID             string
	OrganisationID string
	ProjectID      string
	// Number is unique in the installation and never used again.
	Number int64
	// JobID is empty for an ad-hoc command.
	JobID       string
	JobRevision int64
	JobName     string // group/name as it was, or the command's first words
	// Status as stored: queued, running or final.
	Status Status
	// Outcome is known before the execution ends, while its log settles; "" until then.
	Outcome     Status
	LogComplete bool
	// Definition is what runs: the job as it was when this started.
	Definition *Job
	// Options are plain values by name; values of secure options are never here.
	Options map[string]string
	// SecureOptions names those given a value for this run.
	SecureOptions []string
	NodeFilter    string
	Nodes         []Node // in rank order, as they were when this started
	Threads       int
	Keepgoing     bool
	// Strategy is StrategyNodeFirst or StrategySequential.
	Strategy Strategy
	// LostAfter in ticks; 0: wait for ever.
	LostAfter int64
	// Timeout of the whole; 0: none.
	Timeout         time.Duration
	CancelRequested bool
	CancelledBy     string
	// NoNew bars further starts after a failure without keepgoing.
	NoNew bool
	// CancelledNodes are positions in Nodes that a person ended one by one, ascending.
	CancelledNodes []int
	// NodeCounts counts its nodes by state, as far as it was asked for.
	NodeCounts  NodeCounts
	Incarnation int64
	// Held: it waits for a recovery (docs/recovery.md), as the database was read.
	Held bool
	// Recovered: made from what runners showed, because the database had lost it.
	Recovered bool
	// Kept: retention leaves it (docs/retention.md).
	Kept      bool
	StartedBy string
	// Waits is what it waits for before anything of it is cut.
	Waits Waits
	// RunAt is when it was asked to start; zero: at once.
	RunAt time.Time
	// Reason says why it ended before anything of it started.
	Reason string
	// WaitingFor is set while nothing of it can move.
	WaitingFor *WaitingFor
	CreatedAt  time.Time
	StartedAt  time.Time // zero until the first claim
	EndedAt    time.Time // zero while open
}

// Waits says what an execution waits for before it is cut.
type Waits string

// What executions wait for; "" once they may go on.
const (
	WaitsForTime Waits = "time"
	// WaitsForTurn: others of its job run, and no more may at once.
	WaitsForTurn Waits = "turn"
)

// Bounds of what waits.
const (
	// MaxInLine is how many executions of a job wait for their turn.
	MaxInLine = 100
	// MaxAhead is how far ahead a run may be asked for.
	MaxAhead = 366 * 24 * time.Hour
	// MaxBehind is how late one starts that nobody was there for.
	MaxBehind = time.Hour
)

// WaitingFor says why an execution does not move, so that nothing ever waits in
// silence.
type WaitingFor struct {
	// Kind is runner, queue, approval, schedule or recovery.
	Kind    string
	Since   time.Time
	Message string
}

// NodeCounts counts an execution's nodes by state.
type NodeCounts map[Status]int
