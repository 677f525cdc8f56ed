package dispatch

import (
	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// Looked counts the ticks that were looked at.
func (d *Dispatcher) Looked() int64 { return d.looked.Load() }

// Remembered returns what is remembered of p and j when the database has them like at.
func (d *Dispatcher) Remembered(p *hub.Project, j *hub.Job, at *store.FoundJob) (*hub.Project, *hub.Job) {
	d.definitions.remember(p, j)
	return d.definitions.known(at)
}

// Refresh takes a row of a runner over, as each tick does.
func (d *Dispatcher) Refresh(row *hub.Runner) {
	for _, sink := range d.reg.refresh([]*hub.Runner{row}) {
		sink.End(errReleased)
	}
}

// ToRead are the runners whose rows the next tick reads though no row has changed.
func (d *Dispatcher) ToRead() []string { return d.reg.toRead(false, false) }

// StopsNoted counts the stops that are noted as told to a runner, or as confirmed.
func (d *Dispatcher) StopsNoted(ref hub.SessionRef) (n int) {
	d.reg.with(ref, func(r *runnerView) { n = len(r.stopTold) + len(r.stopAcked) })
	return n
}
