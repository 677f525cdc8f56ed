package runner

import (
	"google.golang.org/protobuf/proto"

	"github.com/fairlead/fairlead/proto/failpoint"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/session"
	"github.com/fairlead/fairlead/runner/task"
)

// showing is a full inventory on its way to a hub whose database went back in time:
// docs/recovery.md. Guarded by Runner.mu.
type showing struct {
	link *session.Link
	// pages are sent and not answered.
	pages int
	// wanted is what the hub answered of settled attempts that it lacks.
	wanted map[string]*runnerv1.HoldingAnswer
	// complete: all is shown; what was read back is still being told.
	complete bool
}

// showAsked begins a full inventory, which goes out when the session is confirmed. That
// it has begun is on disk with the session, so that a restart begins it again.
func (r *Runner) showAsked(link *session.Link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.session.Showing = true
	r.show = &showing{link: link, wanted: map[string]*runnerv1.HoldingAnswer{}}
}

// showAll sends the inventory, or only the specs of lost attempts when the hub asked for
// no more.
func (r *Runner) showAll(link *session.Link) {
	r.mu.Lock()
	asked := r.show != nil && r.show.link == link
	r.mu.Unlock()
	if !asked {
		r.sendKept(link)
		return
	}
	kept, err := r.store.Kept()
	if err != nil {
		r.log.Error("the disk cannot be read for the hub's inventory", "error", err)
		link.Fail(err)
		return
	}
	if failpoint.Mutant("L4") {
		kept = nil
	}
	for _, a := range r.store.Attempts() {
		kept = append(kept, holdingOf(a))
	}
	r.log.Info("showing the hub everything on disk: its database went back in time", "attempts", len(kept))
	pages := make([]*runnerv1.InventoryPage, 0, len(kept)/wire.PageHoldings+1)
	for first := true; first || len(kept) > 0; first = false {
		page := kept[:min(len(kept), wire.PageHoldings)]
		kept = kept[len(page):]
		pages = append(pages, &runnerv1.InventoryPage{Inventory: page, More: len(kept) > 0})
	}
	r.mu.Lock()
	if r.show != nil && r.show.link == link {
		r.show.pages = len(pages)
	}
	r.mu.Unlock()
	for _, p := range pages {
		link.Send(&runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Inventory{Inventory: p}})
	}
}

// inventoryAnswered takes the answer to a page, or to the spec of a lost attempt.
func (r *Runner) inventoryAnswered(link *session.Link, page *runnerv1.HoldingsPage) {
	r.mu.Lock()
	s := r.show
	ofPage := s != nil && s.link == link && s.pages > 0
	last := false
	if ofPage {
		for _, a := range page.GetHoldings() {
			if id := a.GetFence().GetAttemptId(); r.holdings[id] == nil && !a.GetSettled() && !a.GetUnknown() {
				s.wanted[id] = a
			}
		}
		s.pages--
		last = s.pages == 0
	}
	r.mu.Unlock()
	if last {
		r.spawn(func() { r.tellAgain(link, s) })
	}
	if ofPage {
		return
	}
	for _, a := range page.GetHoldings() {
		r.with(a.GetFence(), func(h *holding) {
			if h.adopted() {
				r.answer(link, h, a)
				h.open(link)
			}
		})
	}
}

// adopted reports, once, whether the hub's answer to the spec was waited for.
func (h *holding) adopted() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	was := h.wanted
	h.wanted = false
	return was
}

// tellAgain reads back what the hub lacks and tells it.
func (r *Runner) tellAgain(link *session.Link, s *showing) {
	ids := map[string]bool{}
	for id := range s.wanted {
		ids[id] = true
	}
	attempts, err := r.reopen(ids)
	if err != nil {
		r.log.Error("what the hub lacks cannot be read back", "error", err)
		link.Fail(err)
		return
	}
	for _, h := range attempts {
		r.answer(link, h, s.wanted[h.id])
		h.open(link)
	}
	r.sendKept(link)
	link.Send(&runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Inventory{Inventory: &runnerv1.InventoryPage{Complete: true}}})
	r.mu.Lock()
	s.complete = true
	r.mu.Unlock()
	r.poke()
	r.shownAll()
}

// reopen takes settled attempts back among those that are held.
func (r *Runner) reopen(ids map[string]bool) ([]*holding, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	attempts, err := r.store.Reopen(ids)
	if err != nil {
		return nil, err
	}
	var out []*holding
	for _, a := range attempts {
		h := newHolding(r, a.Fence())
		h.disk, h.phase, h.reopened = a, declined, true
		if !a.Declined() {
			if h.task, err = r.host.New(r.work, a, task.Waiting); err != nil {
				return nil, err
			}
			h.phase = granted
		}
		r.mu.Lock()
		r.holdings[h.id] = h
		r.mu.Unlock()
		if h.task != nil {
			h.start()
		}
		out = append(out, h)
	}
	r.log.Info("telling the hub again of attempts that it lacks", "count", len(out))
	return out, nil
}

// sendKept sends the specs of the attempts that the hub answered as lost.
func (r *Runner) sendKept(link *session.Link) {
	for _, h := range r.all() {
		h.mu.Lock()
		wanted := h.wanted && h.tell.link == link
		h.mu.Unlock()
		if !wanted {
			continue
		}
		spec, err := proto.Marshal(h.disk.Spec())
		if err != nil {
			r.log.Error("the spec of a lost attempt cannot be encoded", "attempt", h.id, "error", err)
			continue
		}
		shown := holdingOf(h.disk)
		for i := uint32(0); ; i++ {
			part := spec[:min(len(spec), wire.MaxInlineSpecBytes)]
			spec = spec[len(part):]
			link.Send(&runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Kept{Kept: &runnerv1.Kept{
				Holding: shown, Index: i, Data: part, More: len(spec) > 0,
			}}})
			if len(spec) == 0 {
				break
			}
		}
	}
}

// shownAll notes on disk that the inventory is over, once all that was read back is told.
func (r *Runner) shownAll() {
	for _, h := range r.all() {
		h.mu.Lock()
		open := h.reopened
		h.mu.Unlock()
		if open {
			return
		}
	}
	r.mu.Lock()
	over := r.show != nil && r.show.complete && r.session.Showing
	if over {
		r.session.Showing, r.show = false, nil
	}
	r.mu.Unlock()
	if !over {
		return
	}
	if err := r.saveSession(); err != nil {
		r.log.Warn("the end of the inventory could not be kept; it is shown once more", "error", err)
	}
}

// refill finds output that was put away before this process began: the hub lacks it
// again.
func (r *Runner) refill(h *holding) {
	if err := h.disk.Refill(); err != nil {
		r.log.Error("output that the hub lacks cannot be read back", "attempt", h.id, "error", err)
	}
	h.mu.Lock()
	if h.tell.chunk < h.disk.FirstChunk() {
		r.log.Error("output that the hub lacks is no longer on disk", "attempt", h.id)
		h.tell.noChunk = true
	}
	h.mu.Unlock()
	r.poke()
}
