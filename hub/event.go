package hub

// EventKind is what an event is about.
type EventKind string

// The kinds. Resync says that events were dropped: read again what you follow.
const (
	EventExecution EventKind = "execution"
	EventNodeSteps EventKind = "node_steps"
	EventRunner    EventKind = "runner"
	EventResync    EventKind = "resync"
)

// Event is a hint that a row changed; the row is the truth.
type Event struct {
	Kind           EventKind
	OrganisationID string
	ProjectID      string
	ExecutionID    string
	RunnerID       string
	// Status of an execution, as stored.
	Status Status
}
