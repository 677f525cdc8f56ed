package runner

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/disk"
	"github.com/fairlead/fairlead/runner/session"
	"github.com/fairlead/fairlead/runner/spool"
	"github.com/fairlead/fairlead/runner/task"
)

// Defaults of Config.
const (
	DefaultSlots        = 100
	DefaultDrainTimeout = 30 * time.Second
)

// Config is what a Runner is made of. Everything that touches the outside is a seam.
type Config struct {
	// FS is the data directory, locked by the caller.
	FS disk.FS
	// BootID and HostID as Identify makes them.
	BootID, HostID []byte
	Info           *runnerv1.RunnerInfo
	// Slots is how many attempts may be held that are not closed.
	Slots int
	// Dial makes a connection to a gateway, Addresses are those to try.
	Dial      func(address string) (session.Conn, error)
	Addresses func() []string
	// LearnAddresses and SetBundle keep what the hub tells.
	LearnAddresses func([]string) error
	SetBundle      func(der [][]byte) error
	// Sign signs a result with the certificate's key; OpenSecrets opens sealed secrets.
	Sign        func(digest wire.Hash) ([]byte, error)
	OpenSecrets func(attemptID string, sealed []byte) (*runnerv1.Secrets, error)
	// SealingKey is the public key that secrets are sealed to, for a hub that lost it.
	SealingKey []byte
	// Executors by name (task.ExecutorSSH, task.ExecutorLocal).
	Executors map[string]task.Executor
	// Boottime is time that goes on while the machine sleeps.
	Boottime func() time.Duration
	// Spool configures the disk; Log, Progress and Broken are set by New.
	Spool spool.Config
	// Handover is the folder for commands that this process hands over, or was handed;
	// empty: HandOver is refused.
	Handover string
	// quiet is task.Host.Quiet: tests of secrets that come in pieces must not hang on how
	// fast they are.
	quiet time.Duration
	// DrainTimeout is how long commands over SSH may take to end when Run's ctx ended.
	DrainTimeout time.Duration
	// StatusChanged is called, never twice at once, when Status would differ.
	StatusChanged func(Status)
	Log           *slog.Logger
}

// Runner is one runner process.
type Runner struct {
	c      Config
	log    *slog.Logger
	store  *spool.Store
	host   *task.Host
	client *session.Client
	nonce  []byte

	kick     chan struct{} // deliver looks again
	statused chan struct{} // the status loop looks again

	// work is the life of everything that runs commands; it ends with task.ErrDetach.
	work     context.Context //nolint:containedctx // attempts begin at any time
	stopWork context.CancelCauseFunc
	workers  sync.WaitGroup

	// leaving orders HandOver and the drain at the end of Run: what is half handed over
	// must not be cut off.
	leaving  sync.Mutex
	stopping bool // Run's ctx has ended; guarded by leaving

	// saving is full while the session is written: an older one must not take the place of
	// a newer one on the disk. Taken before mu. It is no Mutex, since the simulation's clock
	// stands still while somebody waits for one, and the disk's write would never end.
	saving chan struct{}

	mu       sync.Mutex // guards the following fields
	holdings map[string]*holding
	link     *session.Link // confirmed; nil between sessions
	since    time.Time     // of link
	session  spool.Session
	show     *showing          // nil when no full inventory is asked for
	specs    map[string][]byte // parts of specs, of the present link
	scripts  wire.Scripts      // kept for the hub, of the present link
	draining string            // why no work is taken; "" if it is
	lastErr  string
	renewed  []time.Duration // boot times at which unanswered renewals were sent
	answered time.Duration   // boot time at which the last answered request was sent
	handing  bool            // nothing is begun here: another process takes over
	ended    bool            // no goroutine is begun any more
	offset   int             // where nextChunks goes on, so that no attempt starves
}

// New reads the disk. Run does the work.
func New(c Config) (*Runner, error) {
	c.Slots = cmp.Or(c.Slots, DefaultSlots)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, DefaultDrainTimeout)
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	r := &Runner{
		c: c, log: c.Log, nonce: make([]byte, 16), kick: make(chan struct{}, 1), statused: make(chan struct{}, 1), saving: make(chan struct{}, 1),
		holdings: map[string]*holding{}, specs: map[string][]byte{}, answered: c.Boottime(),
	}
	if _, err := rand.Read(r.nonce); err != nil {
		return nil, fmt.Errorf("making an instance nonce: %w", err)
	}
	r.work, r.stopWork = context.WithCancelCause(context.Background())
	var err error
	if r.session, err = spool.LoadSession(c.FS); err != nil {
		return nil, err
	}
	c.Spool.Log, c.Spool.Progress, c.Spool.Broken = c.Log, r.poke, r.diskBroken
	if r.store, err = spool.Open(c.FS, c.Spool); err != nil {
		return nil, err
	}
	r.host = &task.Host{Executors: c.Executors, Log: c.Log, BootID: c.BootID, Boottime: c.Boottime, Handover: c.Handover, FS: c.FS, Quiet: c.quiet}
	r.client = session.New(session.Config{Dial: c.Dial, Addresses: c.Addresses, Handler: (*handler)(r), Log: c.Log})
	if err := r.load(); err != nil {
		return nil, err
	}
	return r, nil
}

// load takes over what an earlier process held.
func (r *Runner) load() error {
	for _, a := range r.store.Attempts() {
		h := newHolding(r, a.Fence())
		h.stalled.Store(true)
		h.disk = a
		r.holdings[a.ID()] = h
		switch {
		case a.Declined():
			h.phase = declined
			continue
		case !a.Granted() && a.Frozen() == "":
			h.phase = offered
			continue
		case !a.Granted():
			// A grant and starts may have been lost with what the disk lost, so nothing
			// true can be said; the hub will hold the attempt for unknown.
			r.log.Error("an attempt is given up in silence", "attempt", a.ID(), "why", a.Frozen())
			delete(r.holdings, a.ID())
			a.Settle()
			continue
		}
		t, err := r.host.New(r.work, a, task.Waiting)
		if err != nil {
			return fmt.Errorf("taking over attempt %s: %w", a.ID(), err)
		}
		h.task, h.phase = t, granted
	}
	err := r.host.DropFilterStates(func(attempt string) bool { return r.holdings[attempt] == nil })
	if err != nil {
		r.log.Warn("what is left of earlier attempts' log filters could not be removed", "error", err)
	}
	for _, id := range r.host.Left() {
		if r.holdings[id] == nil {
			r.spawn(func() { r.cleanUp(id) })
		}
	}
	if n := len(r.holdings); n > 0 {
		r.log.Info("attempts of an earlier process", "count", n)
	}
	return nil
}

// Run works until ctx ends, then drains and returns. After HandOver it does not wait for
// commands.
func (r *Runner) Run(ctx context.Context) error {
	disk, stopDisk := context.WithCancel(context.WithoutCancel(ctx))
	defer stopDisk()
	talk, stopTalk := context.WithCancel(context.WithoutCancel(ctx))
	defer stopTalk()
	var g errgroup.Group
	g.Go(func() error { return r.store.Run(disk) })
	r.resumeTasks()
	g.Go(func() error { return r.client.Run(talk) })
	g.Go(func() error { return r.deliverLoop(talk) })
	g.Go(func() error { return r.renewLoop(talk) })
	g.Go(func() error { return r.hubLossLoop(talk) })
	g.Go(func() error { return r.statusLoop(talk) })
	<-ctx.Done()
	r.drain(talk)
	stopTalk()
	stopDisk()
	return g.Wait()
}

func (r *Runner) resumeTasks() {
	for _, h := range r.all() {
		if h.driver() != nil {
			h.start()
		}
	}
}

// drain ends the process's work in order: nothing new, time for what would lose its
// certainty, then local commands are left to their shims. What was handed over needs no
// time.
func (r *Runner) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.c.DrainTimeout)
	defer cancel()
	r.leaving.Lock()
	r.stopping = true
	r.leaving.Unlock()
	if !r.handsOver() {
		r.refuseWork("the runner is being stopped")
		for _, t := range r.drivers() {
			t.Drain()
		}
		r.await(ctx, func() bool { return r.commands() == 0 })
	}
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	r.stopWork(task.ErrDetach)
	r.workers.Wait()
	tell, stop := context.WithTimeout(ctx, 2*time.Second)
	defer stop()
	r.poke()
	r.await(tell, func() bool { return r.untold() == 0 })
}

// drivers are those of all attempts that have one.
func (r *Runner) drivers() []*task.Attempt {
	var out []*task.Attempt
	for _, h := range r.all() {
		if t := h.driver(); t != nil {
			out = append(out, t)
		}
	}
	return out
}

// await looks every so often until it holds or ctx ends.
func (r *Runner) await(ctx context.Context, holds func() bool) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (r *Runner) all() []*holding {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*holding, 0, len(r.holdings))
	for _, h := range r.holdings {
		out = append(out, h)
	}
	return out
}

// commands counts those that end with this process.
func (r *Runner) commands() int {
	n := 0
	for _, t := range r.drivers() {
		n += t.Running()
	}
	return n
}

// untold counts closed attempts that a connected hub has not acknowledged.
func (r *Runner) untold() int {
	r.mu.Lock()
	connected := r.link != nil
	r.mu.Unlock()
	n := 0
	for _, h := range r.all() {
		if connected && !h.unfinished() {
			n++
		}
	}
	return n
}

// refuseWork makes the runner take no more offers, and tells the hub.
func (r *Runner) refuseWork(why string) {
	r.mu.Lock()
	first := r.draining == ""
	if first {
		r.draining = why
	}
	link := r.link
	r.mu.Unlock()
	if !first {
		return
	}
	r.log.Warn("no more work is taken", "why", why)
	if link != nil {
		link.Send(&runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Credits{Credits: &runnerv1.Credits{}}})
	}
	r.statusChanged()
}

// diskBroken is told by the spool.
func (r *Runner) diskBroken(err error) {
	r.refuseWork("the disk failed: " + err.Error())
}

// spawn runs f beside the session; Run waits for it. At the end of the process it is
// left undone: the disk says what the next process has to do.
func (r *Runner) spawn(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		r.workers.Go(f)
	}
}

func (r *Runner) poke() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// Syncs counts the syncs of journal and spool.
func (r *Runner) Syncs() (journal, spool int64) { return r.store.Syncs() }

// current returns the confirmed link, or nil.
func (r *Runner) current() *session.Link {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.link
}

var errFrame = errors.New("the hub sent a kind of frame that this runner does not know: upgrade the runner")
