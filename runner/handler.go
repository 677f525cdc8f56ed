package runner

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/session"
	"github.com/fairlead/fairlead/runner/spool"
	"github.com/fairlead/fairlead/runner/task"
)

// handler is the Runner as the session sees it.
type handler Runner

var _ session.Handler = (*handler)(nil)

// Hello implements session.Handler.
func (x *handler) Hello() *runnerv1.Hello {
	r := (*Runner)(x)
	r.mu.Lock()
	s := r.session
	r.mu.Unlock()
	h := &runnerv1.Hello{
		MinVersion: wire.MinProtocolVersion, MaxVersion: wire.MaxProtocolVersion,
		InstanceNonce: r.nonce, BootId: r.c.BootID, HostId: r.c.HostID,
		SessionEpoch: s.Epoch, Incarnation: s.Incarnation, Slots: uint32(r.c.Slots), Info: r.c.Info,
		Showing: s.Showing, SealingKey: r.c.SealingKey, KeepsScripts: true,
	}
	for _, m := range []spool.Mark{s.Newest, s.Sixtieth} {
		if m.Tick > 0 {
			h.DbMarks = append(h.DbMarks, &runnerv1.DBMark{Tick: m.Tick, Nonce: m.Nonce, Mac: m.MAC})
		}
	}
	for _, a := range r.store.Attempts() {
		h.Inventory = append(h.Inventory, holdingOf(a))
	}
	return h
}

func holdingOf(a *spool.Attempt) *runnerv1.Holding {
	steps, _, _ := a.Totals()
	chunks, _, _, _ := a.ChunkTotals()
	h := &runnerv1.Holding{Fence: a.Fence(), Steps: steps, Chunks: chunks, State: runnerv1.Holding_STATE_OFFERED}
	switch {
	case a.Declined():
		h.State = runnerv1.Holding_STATE_NOT_STARTED
	case a.Closed():
		h.State = runnerv1.Holding_STATE_CLOSED
	case steps > 0:
		h.State = runnerv1.Holding_STATE_GRANTED
	}
	if steps > 0 {
		h.Mac, h.BootId = a.GrantProof()
		h.ProjectId, h.ExecutionId, h.AssignmentId = a.Spec().GetProjectId(), a.Spec().GetExecutionId(), a.Spec().GetAssignmentId()
	}
	return h
}

// Welcomed implements session.Handler.
func (x *handler) Welcomed(link *session.Link, w *runnerv1.Welcome) error {
	r := (*Runner)(x)
	if _, err := wire.NegotiateVersion(w.GetVersion(), w.GetVersion()); err != nil {
		return err
	}
	r.mu.Lock()
	r.session.Epoch, r.session.Incarnation = w.GetSessionEpoch(), w.GetIncarnation()
	r.session.Learn(markOf(w.GetDbMark()))
	r.mu.Unlock()
	if w.GetFullInventory() {
		r.showAsked(link)
	}
	if err := r.saveSession(); err != nil {
		return err
	}
	if err := r.c.LearnAddresses(w.GetMembers()); err != nil {
		r.log.Warn("the hub's addresses could not be kept", "error", err)
	}
	if w.GetQuarantined() {
		r.log.Error("the hub has put this runner under quarantine; no claim is granted until an operator has looked why (fairlead runners show) and runs: fairlead runners release")
	}
	answers := map[string]*runnerv1.HoldingAnswer{}
	for _, a := range w.GetHoldings() {
		answers[a.GetFence().GetAttemptId()] = a
	}
	for _, h := range r.all() {
		r.answer(link, h, answers[h.id])
	}
	return nil
}

// saveSession returns when the disk has the session as it is now, or a later one.
func (r *Runner) saveSession() error {
	r.saving <- struct{}{}
	defer func() { <-r.saving }()
	r.mu.Lock()
	s := r.session
	r.mu.Unlock()
	return spool.SaveSession(r.c.FS, s)
}

// answer takes what the hub says of a holding at the start of a link.
func (r *Runner) answer(link *session.Link, h *holding, a *runnerv1.HoldingAnswer) {
	if a == nil { // it came behind the inventory: nothing of it is told yet
		h.begin(link, 0, 0)
		return
	}
	h.mu.Lock()
	phase, t := h.phase, h.task
	h.mu.Unlock()
	if a.GetLost() && phase == granted {
		// At once: on a link that is in use, what is told before the hub has taken the spec
		// in is refused for good.
		h.mu.Lock()
		h.wanted, h.tell = true, telling{link: link, muted: true}
		h.mu.Unlock()
		return
	}
	if a.GetSettled() || (a.GetUnknown() && phase != granted) {
		if phase != granted || h.disk.Closed() {
			r.settle(h)
			return
		}
	}
	h.begin(link, a.GetNextN(), a.GetLogNext())
	if phase != granted {
		return
	}
	if total, _, _ := h.disk.Totals(); a.GetSettled() || a.GetUnknown() || a.GetNextN() > total {
		// Nobody asks for what it still comes to: the disk was copied, or brought back.
		h.abandon(link, "the hub has it whole, or has none of it, or has more than this disk")
		return
	}
	if a.GetLogNext() < h.disk.FirstChunk() {
		r.spawn(func() { r.refill(h) })
	}
	t.ChunksAcked(a.GetLogNext(), false)
	if a.GetStop().GetAsked() && !t.Waits() {
		h.stopAsked(link, a.GetStop())
	}
}

// Confirmed implements session.Handler.
func (x *handler) Confirmed(link *session.Link) {
	r := (*Runner)(x)
	r.mu.Lock()
	r.link, r.since, r.lastErr = link, time.Now(), ""
	r.specs, r.scripts = map[string][]byte{}, wire.Scripts{}
	r.renewed = nil
	r.answered = r.c.Boottime()
	draining := r.draining != ""
	r.mu.Unlock()
	r.log.Info("connected", "address", link.Address, "session", link.Epoch)
	if draining {
		link.Send(&runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Credits{Credits: &runnerv1.Credits{}}})
	}
	for _, h := range r.all() {
		h.open(link)
	}
	r.spawn(func() { r.showAll(link) })
	r.statusChanged()
	r.poke()
}

// Ended implements session.Handler.
func (x *handler) Ended(link *session.Link, err error) {
	r := (*Runner)(x)
	r.mu.Lock()
	if r.link == link {
		r.link = nil
	}
	if err != nil {
		r.lastErr = err.Error()
	}
	r.mu.Unlock()
	r.statusChanged()
}

// Frame implements session.Handler.
func (x *handler) Frame(link *session.Link, frame *runnerv1.SessionResponse) error {
	r := (*Runner)(x)
	switch f := frame.GetFrame().(type) {
	case *runnerv1.SessionResponse_SpecPart:
		return r.specPart(f.SpecPart)
	case *runnerv1.SessionResponse_Offer:
		return r.offer(link, f.Offer)
	case *runnerv1.SessionResponse_Grant:
		r.with(f.Grant.GetFence(), func(h *holding) { h.granted(link, f.Grant) })
	case *runnerv1.SessionResponse_Refused:
		r.with(f.Refused.GetFence(), func(h *holding) { h.refused(link, f.Refused) })
	case *runnerv1.SessionResponse_Resumed:
		r.with(f.Resumed.GetFence(), func(h *holding) { h.resumed(link, f.Resumed) })
	case *runnerv1.SessionResponse_StepsAck:
		r.with(f.StepsAck.GetFence(), func(h *holding) { h.stepsAcked(link, f.StepsAck.GetNextN()) })
	case *runnerv1.SessionResponse_ResultAck:
		r.with(f.ResultAck.GetFence(), func(h *holding) { h.resultAcked(link, f.ResultAck.GetLogNext()) })
	case *runnerv1.SessionResponse_Stop:
		r.with(f.Stop.GetFence(), func(h *holding) { h.stopAsked(link, f.Stop.GetScope()) })
	case *runnerv1.SessionResponse_Forget:
		r.forgetAsked(link, f.Forget.GetFence())
	case *runnerv1.SessionResponse_RenewAck:
		r.renewAcked(f.RenewAck)
	case *runnerv1.SessionResponse_Drain:
		// The others are kept: a member that is gone by now must not be the only one known.
		to := f.Drain.GetMembers()
		others := slices.DeleteFunc(slices.Clone(r.c.Addresses()), func(a string) bool { return slices.Contains(to, a) })
		if err := r.c.LearnAddresses(slices.Concat(to, others)); err != nil {
			r.log.Warn("the hub's addresses could not be kept", "error", err)
		}
		link.Leave(to)
	case *runnerv1.SessionResponse_Holdings:
		r.inventoryAnswered(link, f.Holdings)
	case *runnerv1.SessionResponse_Members:
		if err := r.c.LearnAddresses(f.Members.GetGateways()); err != nil {
			r.log.Warn("the hub's addresses could not be kept", "error", err)
		}
	case *runnerv1.SessionResponse_NewBundle:
		if err := r.c.SetBundle(f.NewBundle.GetCaCertificates()); err != nil {
			r.log.Error("the hub's new CAs could not be kept", "error", err)
		}
	default:
		return errFrame
	}
	return nil
}

// Output implements session.Handler.
func (x *handler) Output(link *session.Link, frame *runnerv1.OutputResponse) error {
	r := (*Runner)(x)
	switch f := frame.GetFrame().(type) {
	case *runnerv1.OutputResponse_Ack:
		r.with(f.Ack.GetFence(), func(h *holding) { h.chunkAcked(link, f.Ack.GetNextSeq(), f.Ack.GetFollowed()) })
	case *runnerv1.OutputResponse_Nack:
		r.with(f.Nack.GetFence(), func(h *holding) { h.chunkNacked(link, f.Nack) })
	default:
		return errFrame
	}
	return nil
}

// with calls do with the holding that a fence names. Fences of attempts that are
// forgotten, or of another incarnation or epoch, are passed over.
func (r *Runner) with(fence *runnerv1.Fence, do func(*holding)) {
	r.mu.Lock()
	h := r.holdings[fence.GetAttemptId()]
	r.mu.Unlock()
	if h != nil && proto.Equal(h.fence, fence) {
		do(h)
	}
}

// maxParts bounds the memory for specs that are not whole.
const maxParts = 2 * wire.MaxSpecBytes

func (r *Runner) specPart(p *runnerv1.SpecPart) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := p.GetFence().GetAttemptId()
	have := r.specs[id]
	total := len(p.GetData())
	for _, s := range r.specs {
		total += len(s)
	}
	if total > maxParts {
		return fmt.Errorf("the hub sent more than %d bytes of specs without their offers", maxParts)
	}
	r.specs[id] = append(have, p.GetData()...)
	return nil
}

// offer takes an offer, or claims again one that is on disk.
func (r *Runner) offer(link *session.Link, o *runnerv1.Offer) error {
	id := o.GetFence().GetAttemptId()
	spec := o.GetSpec()
	r.mu.Lock()
	if parts := r.specs[id]; len(spec) == 0 && parts != nil {
		spec = parts
	}
	delete(r.specs, id)
	known, draining, handing := r.holdings[id], r.draining, r.handing
	r.mu.Unlock()
	spec, parsed, err := r.whole(id, spec, o.GetSpecHash())
	if err != nil {
		return err
	}
	if known != nil {
		known.open(link)
		return nil
	}
	if handing {
		return nil // the next process is offered it again, in a session of its own
	}
	active := 0
	for _, h := range r.all() {
		if h.unfinished() {
			active++
		}
	}
	switch {
	case draining != "":
		r.refuse(link, o.GetFence(), runnerv1.Refuse_REASON_DRAINING, "No more work is taken: "+draining+".")
	case active >= r.c.Slots:
		r.refuse(link, o.GetFence(), runnerv1.Refuse_REASON_FULL, fmt.Sprintf("All %d slots are taken.", r.c.Slots))
	case r.store.LowOnSpace():
		r.refuse(link, o.GetFence(), runnerv1.Refuse_REASON_DISK, "The runner's disk is nearly full.")
	default:
		if why := unsupported(parsed); why != "" {
			r.refuse(link, o.GetFence(), runnerv1.Refuse_REASON_UNSUPPORTED, why)
			return nil
		}
		h := newHolding(r, o.GetFence())
		h.begin(link, 0, 0)
		r.mu.Lock()
		r.holdings[id] = h
		r.mu.Unlock()
		r.spawn(func() { h.take(spec) })
	}
	return nil
}

// whole checks a spec against its hash and puts back the scripts that the hub told by
// their digests alone. Every offer of a session must come through here, in order: the
// hub counts on what is kept. parsed is nil for what cannot be read.
func (r *Runner) whole(id string, raw, hash []byte) (spec []byte, parsed *runnerv1.Spec, err error) {
	if sum := sha256.Sum256(raw); string(sum[:]) != string(hash) {
		return nil, nil, fmt.Errorf("the spec of attempt %s does not have the hash that its offer tells", id)
	}
	parsed = &runnerv1.Spec{}
	if proto.Unmarshal(raw, parsed) != nil {
		return raw, nil, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	changed := false
	for _, step := range parsed.GetSteps() {
		script := step.GetScript()
		if len(script.GetDigest()) == 0 {
			continue
		}
		short := script.GetText() == ""
		if err := r.keepScript(script); err != nil {
			return nil, nil, fmt.Errorf("attempt %s: %w", id, err)
		}
		changed = changed || short
	}
	if changed {
		raw, err = proto.Marshal(parsed)
	}
	return raw, parsed, err
}

// keepScript keeps a script, or puts its text back. The caller holds mu.
func (r *Runner) keepScript(s *runnerv1.Script) error {
	if len(s.GetDigest()) != sha256.Size {
		return fmt.Errorf("a script's digest has %d bytes", len(s.GetDigest()))
	}
	digest := [sha256.Size]byte(s.GetDigest())
	if s.GetText() == "" {
		text, kept := r.scripts.Get(digest)
		if !kept {
			return errors.New("the hub believes a script to be here, and it is not")
		}
		s.Text = text
		return nil
	}
	if wire.ScriptDigest(s.GetText()) != digest {
		return errors.New("a script does not have the digest that the hub tells")
	}
	r.scripts.Put(digest, len(s.GetText()), s.GetText())
	return nil
}

// unsupported tells what of a spec this runner does not know; "" if nothing.
func unsupported(spec *runnerv1.Spec) string {
	if spec == nil {
		return "The spec cannot be read."
	}
	for _, s := range spec.GetSteps() {
		if s.GetWork() == nil {
			return fmt.Sprintf("Step %d is of a kind that this runner does not know: upgrade the runner.", s.GetNumber())
		}
		if h := int(s.GetErrorHandler()); h > len(spec.GetSteps()) {
			return fmt.Sprintf("Step %d names an error handler that is not there.", s.GetNumber())
		}
	}
	return ""
}

func (r *Runner) refuse(link *session.Link, fence *runnerv1.Fence, reason runnerv1.Refuse_Reason, message string) {
	if link == nil {
		return // the offer's lease ends by itself
	}
	r.log.Info("offer refused", "attempt", fence.GetAttemptId(), "reason", reason.String(), "message", message)
	link.Send(&runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Refuse{Refuse: &runnerv1.Refuse{Fence: fence, Reason: reason, Message: message}}})
}

// forgetAsked drops an attempt that the hub has whole. One that works is not dropped,
// whoever asks.
func (r *Runner) forgetAsked(link *session.Link, fence *runnerv1.Fence) {
	r.mu.Lock()
	h := r.holdings[fence.GetAttemptId()]
	r.mu.Unlock()
	if h != nil {
		h.mu.Lock()
		phase := h.phase
		h.mu.Unlock()
		if phase != declined && phase != offered && h.unfinished() {
			r.log.Error("the hub asks to forget an attempt that is not over", "attempt", h.id)
			return
		}
		r.settle(h)
	}
	link.Send(&runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Forgotten{Forgotten: &runnerv1.Forgotten{Fence: fence}}})
}

// settle drops an attempt from memory; its segments go after their retention.
func (r *Runner) settle(h *holding) {
	h.mu.Lock()
	first, a, started := h.phase != settled, h.disk, h.task != nil
	h.phase = settled
	h.mu.Unlock()
	if !first {
		return
	}
	if a != nil {
		a.Settle()
	}
	r.forget(h)
	r.statusChanged()
	if h.reopened {
		r.shownAll()
	}
	if started {
		r.spawn(func() { r.cleanUp(h.id) })
	}
}

// cleanUp removes what executors kept of an attempt's commands.
func (r *Runner) cleanUp(id string) {
	for _, e := range r.c.Executors {
		x, ok := e.(task.Reattacher)
		if !ok {
			continue
		}
		if err := x.Forget(r.work, id); err != nil {
			r.log.Warn("what is left of an attempt could not be removed", "attempt", id, "error", err)
		}
	}
	if err := r.host.ForgetHandedOver(id); err != nil {
		r.log.Warn("what is left of an attempt's commands that were handed over could not be removed", "attempt", id, "error", err)
	}
	if err := r.host.DropFilterStates(func(attempt string) bool { return attempt == id }); err != nil {
		r.log.Warn("what is left of an attempt's log filters could not be removed", "attempt", id, "error", err)
	}
	r.statusChanged()
}

func (r *Runner) forget(h *holding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.holdings, h.id)
}

func markOf(m *runnerv1.DBMark) spool.Mark {
	return spool.Mark{Tick: m.GetTick(), Nonce: m.GetNonce(), MAC: m.GetMac()}
}
