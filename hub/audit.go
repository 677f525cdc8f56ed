package hub

import "time"

// AuditEvent is one line of the audit: written once, never changed.
type AuditEvent struct {
	ID             string
	OrganisationID string
	Time           time.Time
	// Actor is who did it: "user:ann", "token:...", "runner:...", "hub".
	Actor string
	// Action is noun.verb: "job.import", "key.set", "runner.revoke".
	Action string
	// Object it was done to, as people name it: "ops/backup".
	Object string
	// Result is "done", or the code of the error it was refused with.
	Result string
	// Detail for people, without secrets.
	Detail string
}
