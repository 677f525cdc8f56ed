package dispatch

import "github.com/fairlead/fairlead/hub"

// Looked counts the ticks that were looked at.
func (d *Dispatcher) Looked() int64 { return d.looked.Load() }

// Refresh takes a row of a runner over, as each tick does.
func (d *Dispatcher) Refresh(row *hub.Runner) {
	for _, sink := range d.reg.refresh([]*hub.Runner{row}) {
		sink.End(errReleased)
	}
}
