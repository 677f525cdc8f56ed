package dispatch

// Looked counts the ticks that were looked at.
func (d *Dispatcher) Looked() int64 { return d.looked.Load() }
