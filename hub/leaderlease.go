package hub

import "time"

// LeaderLease is work that one member does for all. It is over when the lease clock has
// passed UntilTick; whoever takes it next has a higher Term, by which the writes of an
// earlier holder are refused.
type LeaderLease struct {
	Name string
	// Holder is a member's id.
	Holder    string
	Term      int64
	UntilTick int64
	// Wanted is the member that a person gave it to; "": whoever is first.
	Wanted  string
	TakenAt time.Time
}

// The leases.
const (
	// LeaseScheduler fires schedules.
	LeaseScheduler = "scheduler"
	// LeaseActive is held by the one active member of an active-passive cluster.
	LeaseActive = "active"
	// LeaseArchive packs the logs of ended executions into the archive, and takes away those
	// whose retention is over.
	LeaseArchive = "archive"
)
