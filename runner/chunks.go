package runner

import (
	"cmp"
	"slices"

	"github.com/fairlead/fairlead/proto/failpoint"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/session"
)

// batchBytes is how much nextChunks returns at once.
const batchBytes = 1 << 20

// nextChunks returns chunks that may be sent now, within the windows. It takes the
// attempts in turn, so that a loud one does not silence the others.
func (r *Runner) nextChunks(link *session.Link) []*runnerv1.OutputRequest {
	all := r.all()
	slices.SortFunc(all, func(a, b *holding) int { return cmp.Compare(a.id, b.id) })
	flying := int64(0)
	for _, h := range all {
		flying += h.flyingOn(link)
	}
	r.mu.Lock()
	start := r.offset
	r.offset++
	r.mu.Unlock()
	var out []*runnerv1.OutputRequest
	size := int64(0)
	for i := range all {
		h := all[(start+i)%len(all)]
		h.dropRefused(link)
		for size < batchBytes && flying+size < wire.WindowSession {
			c, n := h.nextChunk(link)
			if c == nil {
				break
			}
			out = append(out, &runnerv1.OutputRequest{Frame: &runnerv1.OutputRequest_Chunk{Chunk: c}})
			size += n
		}
	}
	return out
}

// dropRefused gives up output that the hub takes no more of for good: a command that waits for
// its place in the spool, or a slot that waits for its end, would wait for ever.
func (h *holding) dropRefused(link *session.Link) {
	h.mu.Lock()
	refused := h.phase == granted && h.tell.link == link && h.tell.noChunk
	driver := h.task
	h.mu.Unlock()
	if !refused || driver == nil {
		return
	}
	total, _, _, _ := h.disk.ChunkTotals()
	driver.ChunksAcked(total, false)
	h.settleIfWhole()
}

func (h *holding) flyingOn(link *session.Link) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tell.link != link {
		return 0
	}
	return h.tell.flying
}

// nextChunk returns the attempt's next chunk to send, or nil if there is none now.
func (h *holding) nextChunk(link *session.Link) (*runnerv1.Chunk, int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := &h.tell
	if h.phase != granted || t.link != link || t.muted || t.noChunk || t.flying >= wire.WindowAttempt {
		return nil, 0
	}
	size, ok := h.disk.ChunkSize(t.chunk)
	if !ok {
		if h.disk.ChunkLost(t.chunk) {
			// The hub takes none of those behind it without it, so to keep them would only have
			// commands wait for their place, and the attempt for an end that never comes.
			t.noChunk = true
			h.r.log.Error("output that the disk lost cannot be told, nor what follows it", "attempt", h.id, "seq", t.chunk)
			h.r.poke()
		}
		return nil, 0
	}
	if failpoint.Mutant("L3") {
		if _, _, trimmed, _ := h.disk.ChunkTotals(); t.chunk < trimmed {
			return nil, 0
		}
	}
	c, ok, err := h.disk.Chunk(t.chunk)
	if err != nil || !ok {
		if err != nil {
			h.r.log.Error("a chunk cannot be read back", "attempt", h.id, "seq", t.chunk, "error", err)
			t.noChunk = true
			h.r.poke()
		}
		return nil, 0
	}
	t.chunk++
	t.flying += int64(size)
	if failpoint.Mutant("L3") {
		h.disk.AckChunks(t.chunk)
	}
	failpoint.Hit("runner.chunk.sent")
	return c, int64(size)
}

func (h *holding) chunkAcked(link *session.Link, next uint64, followed bool) {
	h.mu.Lock()
	t := &h.tell
	if t.link != link || h.task == nil {
		h.mu.Unlock()
		return
	}
	for seq := t.chunked; seq < min(next, t.chunk); seq++ {
		size, _ := h.disk.ChunkSize(seq)
		t.flying = max(0, t.flying-int64(size))
	}
	t.chunk, t.chunked = max(t.chunk, next), max(t.chunked, next)
	driver := h.task
	h.mu.Unlock()
	driver.ChunksAcked(next, followed)
	h.settleIfWhole()
	h.r.poke()
}

func (h *holding) chunkNacked(link *session.Link, f *runnerv1.ChunkNack) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := &h.tell
	if t.link != link {
		return
	}
	if f.GetLasting() {
		t.noChunk = true
		h.r.log.Error("the hub does not take the output of an attempt", "attempt", h.id, "why", f.GetMessage())
		h.r.poke()
		return
	}
	t.chunk, t.flying = min(t.chunk, f.GetNextSeq()), 0
	h.r.poke()
}
