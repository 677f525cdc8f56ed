package retention

import (
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// rule decides about the ended executions of one project, which it must be shown from the
// newest to the oldest.
type rule struct {
	hub.Retention

	now  time.Time
	jobs map[string]bool
	// seen counts the executions of each job so far, "" for commands; bytes are those of
	// the logs that stay.
	seen  map[string]int64
	bytes int64
}

func newRule(r hub.Retention, p *store.RetentionProject, now time.Time) *rule {
	return &rule{Retention: r, now: now, jobs: p.Jobs, seen: map[string]int64{}}
}

// goes tells whether an execution need not stay. What counts against the bytes, and is over
// them, goes even when it is a failure: a disk that is full helps nobody.
func (r *rule) goes(e *store.EndedExecution) bool {
	r.seen[e.JobID]++
	stays := e.Kept || e.Unresolved || e.EndedAt.After(r.now.Add(-hub.MinRetention)) || r.jobs[e.JobID] && r.seen[e.JobID] <= hub.MinRetained
	if !stays && (r.tooOld(e) || r.tooMany(e)) {
		return true
	}
	r.bytes += e.TextBytes
	return !stays && r.Bytes > 0 && r.bytes > r.Bytes
}

func (r *rule) tooOld(e *store.EndedExecution) bool {
	age := r.Age
	if e.Status.Failure() {
		age = max(age, r.FailedAge)
	}
	return r.Age > 0 && e.EndedAt.Before(r.now.Add(-age))
}

func (r *rule) tooMany(e *store.EndedExecution) bool {
	if e.Status.Failure() && r.FailedAge > 0 && !e.EndedAt.Before(r.now.Add(-r.FailedAge)) {
		return false
	}
	return r.PerJob > 0 && r.seen[e.JobID] > r.PerJob
}
