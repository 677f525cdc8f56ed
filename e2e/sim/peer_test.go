package sim

import (
	"context"
	"time"

	"github.com/fairlead/fairlead/hub"
)

// hears reports whether members reach each other now. Between calmer times they do not:
// what one tells another is a hint, and the rows have to do without it.
func (w *world) hears() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calm || !w.plan.deaf || time.Since(w.began)/(5*time.Second)%2 == 1
}

// hear takes what other members tell of their runners, as their streams would.
func (m *member) hear(ctx context.Context) {
	for wait(300*time.Millisecond, ctx.Done()) {
		for _, s := range m.seat.w.order {
			other := m.seat.w.memberAt(s.index)
			switch {
			case s == m.seat:
			case other == nil || !m.seat.w.hears():
				m.dispatch.FleetGone(s.name)
			default:
				fleet, _ := other.dispatch.OwnFleet()
				_ = m.dispatch.Fleet(ctx, s.name, true, fleet) // the next time, when its rows cannot be read now
			}
		}
	}
}

// wake asks another member, or all with "", to look at rows.
func (m *member) wake(name string, what hub.Wake) {
	what.From = m.seat.name
	for _, s := range m.seat.w.order {
		other := m.seat.w.memberAt(s.index)
		if s == m.seat || name != "" && name != s.name || other == nil || !m.seat.w.hears() {
			continue
		}
		m.mu.Lock()
		d := time.Duration(m.random.Int64N(int64(m.seat.w.plan.slow)))
		m.mu.Unlock()
		other.serve(func(ctx context.Context) {
			if wait(d, ctx.Done()) {
				_ = other.dispatch.Woken(ctx, what) // what goes wrong there its poll does again
			}
		})
	}
}
