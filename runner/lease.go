package runner

import (
	"context"
	"slices"
	"time"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/task"
)

const (
	// renewPage bounds the fences of one Renew well below the message limit.
	renewPage = 5000
	// saveMarkEvery is how often a newer database mark goes to disk.
	saveMarkEvery = time.Minute
	hubLossEvery  = time.Second
)

// renewLoop keeps the leases of what is held. Nothing held, nothing sent.
func (r *Runner) renewLoop(ctx context.Context) error {
	ticker := time.NewTicker(wire.RenewEvery)
	defer ticker.Stop()
	saved := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		r.renew()
		if time.Since(saved) >= saveMarkEvery {
			saved = time.Now()
			r.saveMark()
		}
	}
}

func (r *Runner) renew() {
	link := r.current()
	if link == nil {
		return
	}
	var live []*holding
	for _, h := range r.all() {
		h.mu.Lock()
		if h.phase == granted && !h.tell.muted && !h.over {
			live = append(live, h)
		}
		h.mu.Unlock()
	}
	for page := range slices.Chunk(live, renewPage) {
		r.mu.Lock()
		r.renewed = append(r.renewed, r.c.Boottime())
		r.mu.Unlock()
		link.Send(&runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Renew{Renew: renewal(page)}})
	}
}

// renewal renews the leases of some attempts, and says whose output waits for room.
func renewal(page []*holding) *runnerv1.Renew {
	out := &runnerv1.Renew{}
	for _, h := range page {
		out.Fences = append(out.Fences, h.fence)
		stalled, disk := h.kept().Stalled()
		switch {
		case stalled && disk:
			out.Stalls = append(out.Stalls, &runnerv1.Stall{AttemptId: h.id, Why: runnerv1.Stall_WHY_DISK})
		case stalled:
			out.Stalls = append(out.Stalls, &runnerv1.Stall{AttemptId: h.id, Why: runnerv1.Stall_WHY_UNACKNOWLEDGED})
		case h.stalled.Load():
			out.Flowing = append(out.Flowing, h.id)
		}
		if stalled {
			h.stalled.Store(true)
		}
	}
	return out
}

// renewAcked counts from when the answered request was sent: what was sent later may
// have found no hub.
func (r *Runner) renewAcked(a *runnerv1.RenewAck) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.renewed) > 0 {
		r.answered, r.renewed = max(r.answered, r.renewed[0]), r.renewed[1:]
	}
	r.session.Learn(markOf(a.GetDbMark()))
}

// heard notes that a hub answered what was sent at a boot time. While nothing is held
// there are no renewals to tell that a hub is there.
func (r *Runner) heard(sent time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answered = max(r.answered, sent)
}

// saveMark keeps the newest mark, so that a later database can be asked for it.
func (r *Runner) saveMark() {
	if err := r.saveSession(); err != nil {
		r.log.Warn("the database mark could not be kept", "error", err)
	}
}

// hubLossLoop stops attempts whose job says stop-after, when no hub answered that long.
func (r *Runner) hubLossLoop(ctx context.Context) error {
	ticker := time.NewTicker(hubLossEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		r.mu.Lock()
		silent := r.c.Boottime() - r.answered
		r.mu.Unlock()
		for _, h := range r.all() {
			t := h.driver()
			if t == nil || h.kept().Closed() {
				continue
			}
			limit := timeLeft(h.kept().Spec().GetStopAfterHubLossMs())
			if limit > 0 && silent > limit {
				r.hubLost(h, t)
			}
		}
	}
}

func (r *Runner) hubLost(h *holding, t *task.Attempt) {
	h.mu.Lock()
	first := !h.lost
	h.lost = true
	h.mu.Unlock()
	if !first {
		return
	}
	r.log.Warn("no hub answered for too long: stopping as the job says", "attempt", h.id)
	r.spawn(func() {
		if err := t.HubLost(); err != nil {
			r.log.Error("an attempt could not be stopped", "attempt", h.id, "error", err)
		}
	})
}
