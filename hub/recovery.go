package hub

import (
	"slices"
	"time"
)

// HoldKind is why a cluster is held: docs/recovery.md.
type HoldKind string

// The kinds; "" is a cluster that is not held.
const (
	// HoldPromotion: a standby took over, seconds may be missing.
	HoldPromotion HoldKind = "promotion"
	// HoldRestore: the database went back by an unknown time.
	HoldRestore HoldKind = "restore"
	// HoldPlanned: a person moves the database; nothing is granted or acknowledged.
	HoldPlanned HoldKind = "planned"
)

// ProofLife is how old a mark or a grant may be that proves that the database went back.
const ProofLife = 30 * 24 * time.Hour

// Hold says whether the cluster is held, and since when and why.
type Hold struct {
	// Incarnation of the database, also when it is not held.
	Incarnation int64
	Kind        HoldKind
	Reason      string
	Since       time.Time
	// From is the newest moment that the database knew of when it was held.
	From time.Time
}

// Recovers reports whether the database went back, and runners are asked for all they
// have.
func (h Hold) Recovers() bool { return h.Kind == HoldPromotion || h.Kind == HoldRestore }

// GrantProof is what the proof of a grant covers: a runner can show with it what it was
// given, and nothing else.
type GrantProof struct {
	Fence        Fence
	Boot         []byte
	RunnerID     string
	ProjectID    string
	ExecutionID  string
	AssignmentID string
}

// LostAttempt is a granted attempt that the database does not have, as the disk of its
// runner tells it. Only what GrantProof covers is proven.
type LostAttempt struct {
	Holding
	JobID, JobGroup, JobName string
	StartedBy                string
	// Number of its execution; 0: not told.
	Number     int64
	NodeFilter string
	// Strategy, Keepgoing and Threads of the job, WorkflowKeepgoing of its workflow.
	Strategy          Strategy
	Keepgoing         bool
	WorkflowKeepgoing bool
	Threads           int
	Options           map[string]string
	Nodes             []Node
	// Steps with their handlers; Positions are theirs in the workflow, ascending.
	Steps     []Step
	Positions []int
	// LogFilters and LogLimit of the whole job: whoever goes on with it must know them.
	LogFilters []LogFilter
	LogLimit   LogLimit
	// WorkflowSteps is how many steps the workflow has; 0: nobody said.
	WorkflowSteps int
}

// AwaitedRunner is a runner whose inventory a recovery waits for.
type AwaitedRunner struct {
	ID             string
	OrganisationID string
	Name           string
	ProjectIDs     []string
	LastSeenAt     time.Time
}

// MayServe reports whether the runner could have been given work of a project.
func (r *AwaitedRunner) MayServe(organisationID, projectID string) bool {
	if r.OrganisationID != organisationID {
		return false
	}
	return len(r.ProjectIDs) == 0 || slices.Contains(r.ProjectIDs, projectID)
}
