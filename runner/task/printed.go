package task

import runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"

// begin has the limit count what earlier attempts of the execution printed. They may have
// printed more than it lets through where several ran at the same time.
func (l *logLimit) begin() *logLimit {
	counts := []*runnerv1.Printed{l.GetBefore()}
	if l.GetPerNode() {
		counts = l.GetNodesBefore()
	}
	for node, before := range counts {
		p := l.of(uint32(node))
		p.lines, p.bytes = before.GetLines(), before.GetBytes()
		if l.GetBytes() > 0 {
			p.bytes = min(p.bytes, l.GetBytes())
		}
	}
	l.all.bytes = min(l.GetBefore().GetBytes(), l.GetQuota())
	return l
}

// add counts what was let through of a cell.
func (l *logLimit) add(c Cell, begun bool, bytes int) {
	p := l.cells[c]
	if p == nil {
		p = &runnerv1.Printed{}
		l.cells[c] = p
	}
	if begun {
		p.Lines++
	}
	p.Bytes += uint64(bytes)
}

// printed is what a cell printed; nil where nobody counts it, or it printed nothing.
func (c *cutter) printed(cell Cell) *runnerv1.Printed {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limit == nil {
		return nil
	}
	return c.limit.cells[cell]
}
