package hub

import "time"

// What a runner says and is told, in the vocabulary's words. The gateway converts
// from and to the contract; RunnerID always comes from the certificate.

// Hello opens a session.
type Hello struct {
	RunnerID       string
	OrganisationID string
	Nonce          []byte
	BootID         []byte
	HostID         []byte
	SessionEpoch   int64
	Incarnation    int64
	DBMarks        []DBMark
	Slots          int
	Version        string
	OS, Arch       string
	Hostname       string
	// Protocol is the highest version of the protocol that hub and runner both speak
	// (wire.NegotiateVersion).
	Protocol  uint32
	Inventory []Holding
	// Showing: it was interrupted while it showed its full inventory.
	Showing bool
	// SealingKey that secrets are sealed to, for a hub that lost it.
	SealingKey []byte
}

// DBMark proves to a later database what an earlier one had committed.
type DBMark struct {
	Tick  int64
	Nonce []byte
	MAC   []byte
}

// HoldingState is what a runner's disk says of an attempt.
type HoldingState string

// The states of a holding.
const (
	HoldingOffered    HoldingState = "offered"
	HoldingGranted    HoldingState = "granted"
	HoldingClosed     HoldingState = "closed"
	HoldingNotStarted HoldingState = "not_started"
)

// Holding is one attempt of a runner's inventory.
type Holding struct {
	Fence  Fence
	State  HoldingState
	Steps  int64
	Chunks int64
	MAC    []byte
	// Boot that the grant was made to, and what else its proof covers, as the disk tells.
	Boot                                 []byte
	ProjectID, ExecutionID, AssignmentID string
}

// Welcome answers Hello.
type Welcome struct {
	SessionEpoch int64
	Incarnation  int64
	Tick         int64
	DBMark       DBMark
	Members      []string
	Holdings     []HoldingAnswer
	Quarantined  bool
	// FullInventory asks for everything in retention, finished attempts too.
	FullInventory bool
}

// HoldingAnswer says what to do with one attempt.
type HoldingAnswer struct {
	Fence   Fence
	Live    bool
	NextN   int64
	LogNext int64
	Stop    StopScope
	Settled bool
	Unknown bool
	// Lost: the proven grant is not in the database; its specification is asked for.
	Lost bool
}

// SessionRef names a session: what a claim is bound to.
type SessionRef struct {
	RunnerID       string
	OrganisationID string
	Epoch          int64
	// Protocol is the version of the protocol that the session speaks.
	Protocol uint32
}

// Offer is an attempt ready to be told to its runner.
type Offer struct {
	Fence    Fence
	RunnerID string
	// Execution, Assignment: what the spec is made from.
	Execution  *Execution
	Assignment *Assignment
	// HostKeys that runners saw, by node name: those in conflict too, since their nodes
	// are not to be used.
	HostKeys map[string][]HostKey
	// Project settings that nodes override.
	Project *Project
	// Captured are values that steps of earlier attempts captured, by node and name.
	Captured map[string]map[string]string
	// Printed is what ended steps of earlier attempts printed under the log limit, by
	// position of the node in the execution.
	Printed map[int]Printed
}

// Stalls says of which attempts of a runner the commands wait to print, by id.
type Stalls struct {
	// Disk: the runner's disk is full. Unacknowledged: as much as may waits for a hub.
	Disk, Unacknowledged []string
	// Flowing waited before, and print again.
	Flowing []string
}

// Grant allows an attempt to start its node steps.
type Grant struct {
	Fence        Fence
	SessionEpoch int64
	// TimeLeft of the job's timeout; 0: no limit.
	TimeLeft time.Duration
	Secrets  *Secrets
	MAC      []byte
}

// Secrets are the plain secrets of one attempt on their way to being sealed.
type Secrets struct {
	Options map[string]string
	Keys    map[string][]byte
	// Lacking says why options that no step can do without have no value; none is begun then.
	Lacking []string
}

// Resumed lets a runner go on after its restart.
type Resumed struct {
	Fence        Fence
	SessionEpoch int64
	TimeLeft     time.Duration
	Stop         StopScope
	Secrets      *Secrets
}

// Steps carries journal records.
type Steps struct {
	RunnerID string
	Fence    Fence
	FirstN   int64
	PrevHash [32]byte
	Records  []StepRecord
}

// Result closes an attempt.
type Result struct {
	Steps
	Outcome    Status
	StepsTotal int64
	StepsHash  [32]byte
	LogTotal   int64
	LogHash    [32]byte
	Signature  []byte
	Chunks     []Chunk
}

// StopScope says what a stop covers.
type StopScope struct {
	Asked bool
	All   bool
	NoNew bool
	// Nodes are positions in the attempt's spec.
	Nodes []int
	Grace time.Duration
}

// RefusedReason is why a claim or resume is refused.
type RefusedReason string

// The reasons.
const (
	RefusedGone        RefusedReason = "gone"
	RefusedOldSession  RefusedReason = "old_session"
	RefusedCancelled   RefusedReason = "cancelled"
	RefusedQuarantined RefusedReason = "quarantined"
	RefusedOtherHost   RefusedReason = "other_host"
	RefusedHeld        RefusedReason = "held"
	RefusedTryAgain    RefusedReason = "try_again"
)

// Refused is the answer to a claim or resume that cannot be granted. It is an error
// so that it travels like one inside the hub.
type Refused struct { //nolint:errname // the answer of this name in the protocol
	Fence   Fence
	Reason  RefusedReason
	Message string
}

// Error returns the message.
func (r *Refused) Error() string { return string(r.Reason) + ": " + r.Message }

// Behind answers steps or a result of which the hub lacks earlier records: nothing was
// taken, the runner sends again from NextN on.
type Behind struct { //nolint:errname // the answer of this name in the protocol
	Fence Fence
	NextN int64
}

// Error says what is missing.
func (b *Behind) Error() string { return "earlier records are missing" }
