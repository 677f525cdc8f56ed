package runner

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead/fairlead/proto/failpoint"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/runner/session"
	"github.com/fairlead/fairlead/runner/spool"
	"github.com/fairlead/fairlead/runner/task"
)

// phase is how far an attempt is, as this process sees it.
type phase uint8

const (
	offering phase = iota // the offer is not on disk yet
	offered               // on disk; claimed on link, if that is set
	granting              // a grant has come and is being taken
	granted               // a driver works on it, or has closed it
	declined              // closed without a start
	settled               // forgotten
)

// holding is one attempt from offer to settled.
type holding struct {
	r     *Runner
	id    string
	fence *runnerv1.Fence
	// stalled: the hub was told that its output waits for room, by this process or, for
	// all that is known, by an earlier one.
	stalled atomic.Bool

	mu      sync.Mutex // guards the following fields; taken before the driver's
	phase   phase
	disk    *spool.Attempt
	task    *task.Attempt
	claimed *session.Link       // the link that the claim or resume went out on
	asked   time.Duration       // the boot time at which it did
	stop    *runnerv1.StopScope // came before the grant was taken
	tell    telling
	lost    bool // stopped because no hub answered
	// wanted: its spec is asked for, and nothing is told before the hub has taken it in;
	// reopened: it was settled, and a hub whose database went back lacks it.
	wanted, reopened bool
	over             bool // the hub needs nothing of it any more: it is settled when it closes
}

func newHolding(r *Runner, fence *runnerv1.Fence) *holding {
	return &holding{r: r, id: fence.GetAttemptId(), fence: fence}
}

func (h *holding) driver() *task.Attempt {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.task
}

// kept returns what the disk holds; nil while the offer is being written.
func (h *holding) kept() *spool.Attempt {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.disk
}

// unfinished reports whether the attempt is not closed.
func (h *holding) unfinished() bool {
	a := h.kept()
	return a == nil || !a.Closed()
}

// take writes the offer and claims it.
func (h *holding) take(spec []byte) {
	a, err := h.r.store.Offer(h.fence, spec)
	if err != nil {
		h.r.log.Error("an offer could not be kept", "attempt", h.id, "error", err)
		h.r.forget(h)
		h.r.refuse(h.r.current(), h.fence, runnerv1.Refuse_REASON_DISK, "The runner's disk did not take the offer.")
		return
	}
	failpoint.Hit("runner.offer.journalled")
	h.mu.Lock()
	h.disk, h.phase = a, offered
	h.mu.Unlock()
	if failpoint.Mutant("M1") {
		h.grant(h.r.current(), &runnerv1.Grant{Fence: h.fence})
	}
	if link := h.r.current(); link != nil {
		h.claim(link)
	}
}

// claim asks for the grant, once per link.
func (h *holding) claim(link *session.Link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.phase != offered || h.claimed == link {
		return
	}
	h.claimed, h.asked = link, h.r.c.Boottime()
	failpoint.Hit("runner.claim.before-send")
	link.Send(&runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Claim{Claim: &runnerv1.Claim{Fence: h.fence}}})
	failpoint.Hit("runner.claim.after-send")
}

// granted takes a grant of the present link. Opening secrets takes a moment, so the
// rest happens beside the frames that follow.
func (h *holding) granted(link *session.Link, g *runnerv1.Grant) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.phase != offered || h.claimed != link || g.GetSessionEpoch() != link.Epoch {
		return // repeated, or of an earlier session: void
	}
	h.phase = granting
	h.r.heard(h.asked)
	h.r.spawn(func() { h.grant(link, g) })
}

func (h *holding) grant(link *session.Link, g *runnerv1.Grant) {
	failpoint.Hit("runner.grant.received")
	secrets, err := h.r.c.OpenSecrets(h.id, g.GetSealedSecrets())
	if err != nil {
		h.r.log.Error("secrets could not be opened", "attempt", h.id, "error", err)
		h.decline(link)
		return
	}
	t, err := h.r.host.New(h.r.work, h.disk, task.Working)
	if err == nil {
		err = t.Granted(&runnerv1.Granted{Fence: h.fence, BootId: h.r.c.BootID, Mac: g.GetMac()}, secrets, timeLeft(g.GetTimeLeftMs()))
	}
	if err != nil {
		h.r.log.Error("a grant could not be taken", "attempt", h.id, "error", err)
		h.decline(link)
		return
	}
	h.mu.Lock()
	h.task, h.phase = t, granted
	stop := h.stop
	h.mu.Unlock()
	h.r.join(t)
	if stop != nil {
		h.stopNow(link, t, stop)
	}
	h.run(t)
}

func timeLeft(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

// start runs the driver of an attempt that was loaded.
func (h *holding) start() {
	t := h.task
	h.r.spawn(func() { h.run(t) })
}

func (h *holding) run(t *task.Attempt) {
	h.r.statusChanged()
	if err := t.Run(); err != nil && !errors.Is(err, task.ErrDetach) {
		h.r.log.Error("an attempt broke off", "attempt", h.id, "error", err)
	}
	h.mu.Lock()
	over := h.over
	h.mu.Unlock()
	if over && h.disk.Closed() {
		h.r.settle(h)
	}
	h.r.poke()
	h.r.statusChanged()
}

// decline closes the attempt without a start and tells so. A grant that still comes
// is void from now on.
func (h *holding) decline(link *session.Link) {
	if why := h.disk.Frozen(); why != "" {
		// A start may have been lost with what the disk lost: say nothing rather than
		// that nothing was started. The hub will hold the attempt for unknown.
		h.r.log.Error("an attempt is given up in silence", "attempt", h.id, "why", why)
		h.r.settle(h)
		return
	}
	if err := h.disk.Decline(); err != nil {
		h.r.log.Error("an attempt could not be declined", "attempt", h.id, "error", err)
		return
	}
	h.mu.Lock()
	h.phase = declined
	h.mu.Unlock()
	h.notStarted(link)
}

func (h *holding) notStarted(link *session.Link) {
	if link != nil {
		link.Send(&runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_NotStarted{NotStarted: &runnerv1.NotStarted{Fence: h.fence}}})
	}
}

// resume asks leave to go on after a restart, once per link. Of an attempt that the hub has
// yet to take in it is not asked: the answer would be that there is none, and what of it
// has not begun would be given up.
func (h *holding) resume(link *session.Link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.claimed == link || h.task == nil || !h.task.Waits() || h.wanted && h.tell.link == link {
		return
	}
	h.claimed, h.asked = link, h.r.c.Boottime()
	link.Send(&runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Resume{Resume: &runnerv1.Resume{Fence: h.fence}}})
}

func (h *holding) resumed(link *session.Link, f *runnerv1.Resumed) {
	h.mu.Lock()
	t := h.task
	ok := t != nil && h.claimed == link && f.GetSessionEpoch() == link.Epoch
	if ok {
		h.r.heard(h.asked)
	}
	h.mu.Unlock()
	if !ok {
		return
	}
	h.r.spawn(func() {
		secrets, err := h.r.c.OpenSecrets(h.id, f.GetSealedSecrets())
		if err == nil {
			err = t.Resumed(secrets, timeLeft(f.GetTimeLeftMs()), f.GetStop())
		}
		if err != nil {
			h.r.log.Error("an attempt could not be resumed", "attempt", h.id, "error", err)
			h.again(link, longWait)
		}
	})
}

// stopAsked takes a stop. Before the grant is taken it waits for that.
func (h *holding) stopAsked(link *session.Link, scope *runnerv1.StopScope) {
	h.mu.Lock()
	t := h.task
	if h.phase == offered || h.phase == granting || h.phase == offering {
		h.stop = merge(h.stop, scope)
	}
	h.mu.Unlock()
	if t == nil {
		return
	}
	h.r.spawn(func() { h.stopNow(link, t, scope) })
}

func merge(a, b *runnerv1.StopScope) *runnerv1.StopScope {
	if a == nil {
		return b
	}
	return &runnerv1.StopScope{
		Asked: true, All: a.GetAll() || b.GetAll(), NoNew: a.GetNoNew() || b.GetNoNew(),
		Nodes: append(append([]uint32(nil), a.GetNodes()...), b.GetNodes()...), GraceMs: max(a.GetGraceMs(), b.GetGraceMs()),
	}
}

func (h *holding) stopNow(link *session.Link, t *task.Attempt, scope *runnerv1.StopScope) {
	n, closed, err := t.Stop(scope)
	if err != nil {
		// Not resumed yet: the stop comes again with Resumed. A broken disk: nothing
		// was confirmed, so the hub asks again.
		h.r.log.Warn("a stop was not taken", "attempt", h.id, "error", err)
		return
	}
	if link != nil {
		link.Send(&runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_StopAck{StopAck: &runnerv1.StopAck{Fence: h.fence, N: n, Closed: closed}}})
	}
}

// Waits before a refused request is made again.
const (
	shortWait = time.Second
	longWait  = 30 * time.Second
	// heldWait: what holds it ends when the last runner has shown its disk.
	heldWait = 5 * time.Second
)

// refused takes the answer to a Claim, NotStarted, Resume, Steps or Result.
func (h *holding) refused(link *session.Link, f *runnerv1.Refused) {
	h.mu.Lock()
	phase, t := h.phase, h.task
	h.mu.Unlock()
	wait := time.Duration(0)
	switch f.GetReason() {
	case runnerv1.Refused_REASON_TRY_AGAIN:
		wait = shortWait
	case runnerv1.Refused_REASON_HELD:
		wait = heldWait
	case runnerv1.Refused_REASON_QUARANTINED:
		wait = longWait
	case runnerv1.Refused_REASON_OLD_SESSION:
		if phase == granted {
			// A Hello that came late to the hub, of this very runner, says nothing about the
			// attempt: given up, what has not begun would be skipped.
			wait = shortWait
		}
	}
	h.r.log.Info("refused by the hub", "attempt", h.id, "reason", f.GetReason().String(), "message", f.GetMessage())
	switch {
	case phase == offered && h.mayHaveBeenGranted(f.GetReason()):
		h.r.spawn(func() { h.decline(link) })
	case phase == offered && wait > 0:
		h.again(link, wait)
	case phase == offered:
		h.r.settle(h) // no grant was or will be made: a later offer begins anew
	case phase == granted && !t.Waits() && wait != shortWait && f.GetReason() != runnerv1.Refused_REASON_HELD:
		h.abandon(link, f.GetMessage()) // what it told is of another history
	case wait > 0:
		h.again(link, wait)
	case phase == declined:
		h.r.settle(h)
	case phase == granted && t.Waits():
		t.Refuse(f.GetReason() == runnerv1.Refused_REASON_OTHER_HOST)
	}
}

func (h *holding) mayHaveBeenGranted(reason runnerv1.Refused_Reason) bool {
	switch reason {
	case runnerv1.Refused_REASON_OLD_SESSION, runnerv1.Refused_REASON_OTHER_HOST, runnerv1.Refused_REASON_QUARANTINED:
		// The hub looks at these first: a claim of an earlier session may have been committed
		// and its grant lost. Forgotten here, it would stay open there until it is lost.
		return true
	default:
		return false
	}
}

// again repeats what was refused after a while, if the link is still there.
func (h *holding) again(link *session.Link, wait time.Duration) {
	stop := context.AfterFunc(link.Context(), func() {})
	time.AfterFunc(wait, func() {
		if !stop() {
			return // the link ended; the next one begins anew
		}
		h.mu.Lock()
		h.claimed = nil
		if h.tell.link == link {
			h.tell.sent, h.tell.result = h.tell.acked, false
		}
		h.mu.Unlock()
		h.open(link)
	})
}

// open begins on a new link, or begins again on this one.
func (h *holding) open(link *session.Link) {
	h.mu.Lock()
	phase, t := h.phase, h.task
	h.mu.Unlock()
	switch {
	case phase == offered:
		h.claim(link)
	case phase == declined:
		h.notStarted(link)
	case phase == granted && t.Waits():
		h.resume(link)
	}
	h.r.poke()
}
