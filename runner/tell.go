package runner

import (
	"context"
	"time"

	"github.com/fairlead/fairlead/proto/failpoint"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/session"
)

// Waits before records are told: a short attempt is told by its Result alone.
const (
	firstSteps = 25 * time.Millisecond
	nextSteps  = 50 * time.Millisecond
)

// telling is what of an attempt was sent on the present link and what the hub has.
type telling struct {
	link    *session.Link
	sent    uint64    // records sent
	acked   uint64    // records that the hub has
	since   time.Time // the first unsent record was seen
	last    time.Time // Steps were last sent
	chunk   uint64    // next chunk to send
	chunked uint64    // chunks that the hub has
	flying  int64     // bytes of chunks sent and not acknowledged
	result  bool      // Result is sent
	done    bool      // Result is acknowledged
	muted   bool      // the hub refuses what we tell; no more on this link
	noChunk bool      // the hub refuses the output for good
}

// deliverLoop tells the hub what it lacks, whenever something changed or is due.
func (r *Runner) deliverLoop(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.kick:
		case <-timer.C:
		}
		due := time.Now().Add(time.Hour)
		if link := r.current(); link != nil {
			for _, h := range r.all() {
				if at := h.deliver(link, time.Now()); !at.IsZero() && at.Before(due) {
					due = at
				}
			}
			link.Pull(func() []*runnerv1.OutputRequest { return r.nextChunks(link) })
		}
		timer.Reset(time.Until(due))
	}
}

// deliver sends records and, when all is closed, the result. It returns when to look
// again; the zero time if something else will tell.
func (h *holding) deliver(link *session.Link, now time.Time) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := &h.tell
	if h.phase != granted || t.link != link || t.muted || t.result || t.done {
		return time.Time{}
	}
	result, closed := h.task.Result()
	for {
		if closed {
			records, before, total := h.disk.Records(t.sent, wire.MaxStepsRecords, wire.MaxResultTail)
			if t.sent+uint64(len(records)) == total {
				h.sendResult(link, result, records, before)
				return time.Time{}
			}
		}
		// Also ahead of a result by so much: one record may be longer than a result takes along.
		records, before, _ := h.disk.Records(t.sent, wire.MaxStepsRecords, wire.MaxStepsBytes)
		if len(records) == 0 {
			return time.Time{}
		}
		if due := t.due(now); !closed && now.Before(due) {
			return due
		}
		link.Send(&runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Steps{Steps: &runnerv1.Steps{
			Fence: h.fence, FirstN: t.sent, PrevHash: before[:], Records: records,
		}}})
		t.sent += uint64(len(records))
		t.last, t.since = now, time.Time{}
	}
}

// due is when the records that wait may go.
func (t *telling) due(now time.Time) time.Time {
	if t.since.IsZero() {
		t.since = now
	}
	switch {
	case t.sent > t.acked:
		return t.last.Add(nextSteps)
	case t.last.IsZero():
		return t.since.Add(firstSteps)
	default:
		return now
	}
}

// sendResult closes the attempt at the hub, with all that it lacks if that is little.
func (h *holding) sendResult(link *session.Link, r wire.Result, records [][]byte, before wire.Hash) {
	t := &h.tell
	signature, err := h.r.c.Sign(wire.ResultDigest(r))
	if err != nil {
		h.r.log.Error("a result could not be signed", "attempt", h.id, "error", err)
		return
	}
	size := 0
	for _, rec := range records {
		size += len(rec)
	}
	chunks := h.tail(wire.MaxResultTail - size)
	failpoint.Hit("runner.ended.synced")
	link.Send(&runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Result{Result: &runnerv1.Result{
		Fence: h.fence, Outcome: runnerv1.Outcome(r.Outcome), StepsTotal: r.StepsTotal, StepsHash: r.StepsHash[:],
		LogTotal: r.LogTotal, LogHash: r.LogHash[:], Signature: signature,
		FirstN: t.sent, PrevHash: before[:], Records: records, Chunks: chunks,
	}}})
	failpoint.Hit("runner.result.sent")
	t.sent += uint64(len(records))
	t.result = true
	if len(chunks) > 0 {
		t.chunk = r.LogTotal
	}
	if failpoint.Mutant("M6") || failpoint.Mutant("NM9") {
		go h.r.settle(h)
	}
}

// tail returns all chunks that are not acknowledged, if they fit; else none.
func (h *holding) tail(room int) []*runnerv1.Chunk {
	total, _, acked, _ := h.disk.ChunkTotals()
	var out []*runnerv1.Chunk
	for seq := acked; seq < total; seq++ {
		size, ok := h.disk.ChunkSize(seq)
		if room -= size; !ok || room < 0 {
			return nil
		}
		c, ok, err := h.disk.Chunk(seq)
		if err != nil || !ok {
			return nil
		}
		out = append(out, c)
	}
	return out
}

// begin starts telling anew on a link, from what the hub says it has.
func (h *holding) begin(link *session.Link, nextN, logNext uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	// Also the result goes again if the hub does not say that it is settled: its database
	// may have lost it.
	h.tell = telling{link: link, sent: nextN, acked: nextN, chunk: logNext, chunked: logNext, muted: h.over}
	if nextN > 0 {
		h.tell.last = time.Now() // it has been told of before: no need to wait
	}
}

func (h *holding) stepsAcked(link *session.Link, next uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := &h.tell
	if t.link != link || h.disk == nil {
		return
	}
	total, _, _ := h.disk.Totals()
	if next > total {
		h.r.spawn(func() { h.abandon(link, "the hub has records that the disk lost") })
		return
	}
	if next <= t.acked && next < t.sent {
		t.sent, t.result = next, false // no progress: what was sent did not fit on what the hub has
	}
	t.acked = next
	t.since = time.Time{}
	h.r.poke()
}

func (h *holding) resultAcked(link *session.Link, logNext uint64) {
	h.mu.Lock()
	t := &h.tell
	if t.link != link || h.task == nil {
		h.mu.Unlock()
		return
	}
	t.done = true
	t.chunk, t.chunked = min(t.chunk, logNext), max(t.chunked, logNext)
	if t.chunk == logNext {
		t.flying = 0
	}
	driver := h.task
	h.mu.Unlock()
	driver.ChunksAcked(logNext, false)
	h.settleIfWhole()
	h.r.poke()
}

// settleIfWhole forgets the attempt once the hub has the result and all output.
func (h *holding) settleIfWhole() {
	h.mu.Lock()
	done, has, lost := h.tell.done, h.tell.chunked, h.tell.noChunk
	h.mu.Unlock()
	if !done {
		return
	}
	if total, _, _, _ := h.disk.ChunkTotals(); has >= total || lost {
		h.r.settle(h)
	}
}

// abandon stops telling of an attempt whose history the hub does not take: a copy of
// the disk told it otherwise, or the disk lost what it had told. Nothing more of it
// starts, its lease ends, and it is settled when it closes; to hold it for ever would
// help nobody. What has not begun here may have begun by that other history: should the
// hub's database go back, and this disk be asked again, it must not be told as not started.
func (h *holding) abandon(link *session.Link, why string) {
	h.mu.Lock()
	h.over = true
	if h.tell.link == link {
		h.tell.muted = true
	}
	t := h.task
	h.mu.Unlock()
	h.r.log.Error("the hub does not take what this runner tells of an attempt", "attempt", h.id, "why", why)
	t.Refuse(true)
	if h.disk.Closed() {
		h.r.settle(h)
	}
}
