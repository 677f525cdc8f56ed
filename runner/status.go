package runner

import (
	"context"
	"time"
)

// Status is what people ask a runner for.
type Status struct {
	Connected bool      `json:"connected"`
	Address   string    `json:"address,omitempty"`
	Since     time.Time `json:"since,omitzero"`
	Session   uint64    `json:"session,omitempty"`
	// Error of the last session that ended, while there is none.
	Error string `json:"error,omitempty"`
	// Draining tells why no work is taken.
	Draining string `json:"draining,omitempty"`
	Slots    int    `json:"slots"`
	// Attempts held, Working of them not closed.
	Attempts int `json:"attempts"`
	Working  int `json:"working"`
}

// statusEvery bounds how often a change of status is told.
const statusEvery = 200 * time.Millisecond

// Status returns how the runner does.
func (r *Runner) Status() Status {
	r.mu.Lock()
	s := Status{Connected: r.link != nil, Error: r.lastErr, Draining: r.draining, Slots: r.c.Slots}
	if r.link != nil {
		s.Address, s.Since, s.Session = r.link.Address, r.since, r.link.Epoch
	}
	r.mu.Unlock()
	for _, h := range r.all() {
		s.Attempts++
		if h.unfinished() {
			s.Working++
		}
	}
	return s
}

func (r *Runner) statusChanged() {
	select {
	case r.statused <- struct{}{}:
	default:
	}
}

// statusLoop tells changes, the first at once and then so often.
func (r *Runner) statusLoop(ctx context.Context) error {
	if r.c.StatusChanged == nil {
		return nil
	}
	last := Status{Slots: -1}
	for {
		if s := r.Status(); s != last {
			last = s
			r.c.StatusChanged(s)
		}
		timer := time.NewTimer(statusEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.statused:
		}
	}
}
