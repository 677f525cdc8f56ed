package hub

// EventKind is what an event is about.
type EventKind string

// The kinds. Resync says that events were dropped: read again what you follow.
const (
	EventExecution EventKind = "execution"
	EventNodeSteps EventKind = "node_steps"
	EventRunner    EventKind = "runner"
	// EventFire: a fire of a schedule was missed, or failed.
	EventFire EventKind = "fire"
	// EventCalendar: a calendar was made, changed or deleted.
	EventCalendar EventKind = "calendar"
	EventResync   EventKind = "resync"
)

// Event is a hint that a row changed; the row is the truth.
type Event struct {
	Kind           EventKind
	OrganisationID string
	ProjectID      string
	ExecutionID    string
	RunnerID       string
	// JobID and FireAt, in microseconds since 1970, name a fire.
	JobID  string
	FireAt int64
	// Calendar is the name of one of the project.
	Calendar string
	// Status of an execution, as stored.
	Status Status
}
