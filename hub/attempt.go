package hub

import "time"

// AttemptState is the state of an attempt: docs/state-machines.md has the table, the
// schema's trigger enforces it.
type AttemptState string

// States of an attempt.
const (
	AttemptOffered    AttemptState = "offered"
	AttemptExpired    AttemptState = "expired"
	AttemptClaimed    AttemptState = "claimed"
	AttemptRunning    AttemptState = "running"
	AttemptNotStarted AttemptState = "not_started"
	AttemptSucceeded  AttemptState = "succeeded"
	AttemptFailed     AttemptState = "failed"
	AttemptCancelled  AttemptState = "cancelled"
	AttemptTimedOut   AttemptState = "timed_out"
	AttemptUnknown    AttemptState = "unknown"
)

// Live reports whether a grant is unresolved: while it is, no other attempt of the
// assignment is ever made.
func (s AttemptState) Live() bool { return s == AttemptClaimed || s == AttemptRunning }

// Fence names one attempt for ever and stands in every frame about it.
type Fence struct {
	Incarnation int64
	AttemptID   string
	Epoch       int
}

// Attempt is one try of an assignment: an immutable identity, never used again.
type Attempt struct {
	Fence
	AssignmentID   string
	ExecutionID    string
	OrganisationID string
	RunnerID       string
	State          AttemptState
	// Disconnected: its lease ran out; only a reason to worry.
	Disconnected bool
	// ClaimSession, ClaimBoot and ClaimHost are of the session that claimed it; a
	// resume moves the session.
	ClaimSession int64
	ClaimBoot    []byte
	ClaimHost    []byte
	// StepNext and StepHash are the journal chain as far as it is committed.
	StepNext int64
	StepHash [32]byte
	// LogNext and LogHash the same for chunks.
	LogNext int64
	LogHash [32]byte
	// StepsTotal and LogTotal come with the result; -1 before.
	StepsTotal int64
	LogTotal   int64
	// Reason of an end that is not plain, for people.
	Reason    string
	OfferedAt time.Time
	ClaimedAt time.Time
	EndedAt   time.Time
}
