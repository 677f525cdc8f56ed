package runner

import (
	"fmt"
	"time"
)

// HoldBack holds back for longer what may begin a secret.
func HoldBack(c *Config, d time.Duration) { c.quiet = d }

// Debug tells what is held and how far it is told, for the messages of tests.
func (r *Runner) Debug() string {
	out := ""
	for _, h := range r.all() {
		h.mu.Lock()
		steps, _, stepsSynced := h.disk.Totals()
		chunks, _, acked, chunksSynced := h.disk.ChunkTotals()
		_, ok := h.task.Result()
		out += fmt.Sprintf("%s: phase %d, records %d synced %v, chunks %d acked %d synced %v, closed %v result %v, telling %+v\n",
			h.id, h.phase, steps, stepsSynced, chunks, acked, chunksSynced, h.disk.Closed(), ok, h.tell)
		h.mu.Unlock()
	}
	return out
}
