package hub

// What members tell each other so that none waits for its next poll. All of it is a
// hint: the rows are the truth.

// Wake asks another member to look at rows at once.
type Wake struct {
	// From is the member that asks, as its certificate says; "": not known. Who offers
	// attempts is told of the ends of their executions.
	From string
	// Offers are attempts offered to runners whose sessions it holds.
	Offers []string
	// Ready: assignments wait for a runner.
	Ready bool
	// Stops: something is to stop.
	Stops bool
	// Look: there may be offers to its runners that it was not told of.
	Look bool
}

// Interest is in the events of an organisation, or of one execution of it.
type Interest struct {
	OrganisationID string
	ExecutionID    string // "": of all
}

// FleetRunner is a runner as the member that holds its session sees it.
type FleetRunner struct {
	ID string
	// Gone: its session has ended.
	Gone bool
	// Slots it has for attempts, Live of them taken.
	Slots, Live int
	// Protocol is the version of the protocol that its session speaks; 0: its member is of
	// a version that does not tell.
	Protocol uint32
}
