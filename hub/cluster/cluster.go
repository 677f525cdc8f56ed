package cluster

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/keys"
	"github.com/fairlead/fairlead/hub/store"
)

// ReadyWithin is how old the last commit of a member may be while it counts as ready.
const ReadyWithin = 5 * time.Second

// Config is who this member is.
type Config struct {
	// ID is kept by the member over its restarts.
	ID      string
	Name    string
	Version string
	// Gateway and Address are host:port that runners and members reach it at.
	Gateway string
	Address string
	Roles   []string
	// ExecutionMode that it starts with; "": active.
	ExecutionMode hub.ExecutionMode
	// ActivePassive: one member serves runners and schedules, the others wait for it.
	ActivePassive bool
	// ManualTakeover: another member becomes active only when a person says so. Successors
	// are the names of those that may; none: any.
	ManualTakeover bool
	Successors     []string
	// Woken does what another member asks for over the database; nil: there are none.
	Woken func(context.Context, hub.Wake) error
	// Sessions counts the runners that it serves; nil: none.
	Sessions func() int
	// Interval between heartbeats; Inactive and Dead are what members without one count
	// as after so long. 0: 2, 6 and 10 s.
	Interval, Inactive, Dead time.Duration
}

// Cluster is this member's part in the installation. All methods may be called by many
// goroutines at once.
type Cluster struct {
	st     *store.Store
	master *keys.Master
	cfg    Config
	log    *slog.Logger
	nonce  []byte
	// noticed has a token when notice is to be sent.
	noticed chan struct{}

	mu         sync.RWMutex
	hold       hub.Hold
	tick       int64
	seenAt     time.Time // when tick was first seen; monotonic
	mark       hub.DBMark
	lastCommit time.Time // of heartbeat or tick; monotonic
	failure    error     // of the last try to commit, nil after a success
	gateways   []string
	elsewhere  []string      // gateways of others that runners may be at now
	others     []*hub.Member // not dead
	clockTold  bool          // a warning of it was logged
	leaving    bool          // this process is about to end
	self       *hub.Member   // as its row says
	activeTerm int64         // of the lease to be the active one; 0 without it
	mode       hub.ExecutionMode
	trusted    map[string]time.Time // until when leases of this member count
	notice     hub.Wake             // what the others are to be told over the database
}

// New makes a Cluster; Join and Run make it work.
func New(st *store.Store, master *keys.Master, cfg Config, log *slog.Logger) *Cluster {
	if cfg.Interval == 0 {
		cfg.Interval = 2 * time.Second
	}
	if cfg.Inactive == 0 {
		cfg.Inactive = 3 * cfg.Interval
	}
	if cfg.Dead == 0 {
		cfg.Dead = 5 * cfg.Interval
	}
	if cfg.Sessions == nil {
		cfg.Sessions = func() int { return 0 }
	}
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails
	return &Cluster{st: st, master: master, cfg: cfg, log: log, nonce: nonce, noticed: make(chan struct{}, 1), trusted: make(map[string]time.Time)}
}

// Join writes the member's row and reads what the others need to be answered. It must
// return before anything is served.
func (c *Cluster) Join(ctx context.Context) error {
	if _, err := c.st.Cluster(ctx); err != nil {
		return err
	}
	if err := c.st.NoteServer(ctx); err != nil {
		return err
	}
	if err := c.replaceDead(ctx); err != nil {
		return err
	}
	err := c.st.JoinMember(ctx, &hub.Member{
		ID: c.cfg.ID, Name: c.cfg.Name, Version: c.cfg.Version, Gateway: c.cfg.Gateway,
		Address: c.cfg.Address, Roles: c.cfg.Roles, Nonce: c.nonce, ExecutionMode: c.cfg.ExecutionMode,
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.lastCommit = time.Now()
	c.mu.Unlock()
	if err := c.Refresh(ctx); err != nil {
		return err
	}
	tick, err := c.st.Tick(ctx)
	if err != nil {
		return err
	}
	if err := c.see(ctx, tick, nil); err != nil {
		return err
	}
	return c.learnMembers(ctx)
}

// replaceDead removes a row of our name whose member is dead: one that came back
// without its data directory, as containers do, must not be kept out by itself.
func (c *Cluster) replaceDead(ctx context.Context) error {
	members, err := c.st.Members(ctx)
	if err != nil {
		return err
	}
	for _, m := range members {
		if m.Name == c.cfg.Name && m.ID != c.cfg.ID && c.State(m) == Dead {
			c.log.WarnContext(ctx, "taking the place of a dead member of the same name", "member", m.Name, "member_id", m.ID)
			if err := c.st.LeaveMember(ctx, m.ID, m.Nonce); err != nil {
				return err
			}
		}
	}
	return nil
}

// State is how a member looks from here.
type State string

// The states.
const (
	Active   State = "active"
	Inactive State = "inactive"
	Dead     State = "dead"
)

// State tells how a member looks by the age of its heartbeat.
func (c *Cluster) State(m *hub.Member) State {
	switch age := c.st.Now().Sub(m.HeartbeatAt); {
	case age < c.cfg.Inactive:
		return Active
	case age < c.cfg.Dead:
		return Inactive
	default:
		return Dead
	}
}

// MemberID returns this member's id.
func (c *Cluster) MemberID() string { return c.cfg.ID }

// Clock returns the newest lease tick that this member saw committed, and its mark.
func (c *Cluster) Clock() (tick int64, mark hub.DBMark) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.tick, c.mark
}

// Tick returns the newest lease tick that this member saw committed.
func (c *Cluster) Tick() int64 {
	tick, _ := c.Clock()
	return tick
}

// Gateways returns the addresses of all members that are alive, this one's first. Those
// of passive ones are among them: a runner that knew the active one alone could not
// follow when another takes over.
func (c *Cluster) Gateways() []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Clone(c.gateways)
}

// OtherMembers returns the other members that are not dead.
func (c *Cluster) OtherMembers() []*hub.Member {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.others
}

// Sharing returns the other members that share the runners with this one: none where one
// member alone serves them.
func (c *Cluster) Sharing() []*hub.Member {
	if c.cfg.ActivePassive {
		return nil
	}
	return c.OtherMembers()
}

// LastCommit is how long ago this member committed something.
func (c *Cluster) LastCommit() time.Duration {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return time.Since(c.lastCommit)
}

// Others returns the gateways of the other members that serve runners now. Behind a
// balancer that is the address of this one, too.
func (c *Cluster) Others() []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Clone(c.elsewhere)
}

// Leave makes Ready fail: the member is about to end.
func (c *Cluster) Leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = true
}

// Ready tells why this member should get no requests, or nil: it must have committed
// something within the last 5 s.
func (c *Cluster) Ready(context.Context) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	switch age := time.Since(c.lastCommit); {
	case c.leaving:
		return hub.Errorf(hub.CodeUnavailable, "This member is shutting down.")
	case c.self != nil && c.self.Draining:
		return hub.Errorf(hub.CodeUnavailable, "This member is drained; fairlead cluster drain --undo brings it back.")
	case c.lastCommit.IsZero():
		return hub.Errorf(hub.CodeUnavailable, "This member has not joined the cluster yet.")
	case age > ReadyWithin:
		return &hub.Error{Code: hub.CodeUnavailable, Message: "The database has taken no change from this member for " + age.Round(time.Second).String() + ".", Cause: c.failure}
	default:
		return nil
	}
}

// TryCommit writes a heartbeat out of turn: an error says that the database takes no
// change from this member now.
func (c *Cluster) TryCommit(ctx context.Context) error {
	err := c.st.Heartbeat(ctx, c.cfg.ID, c.nonce, c.cfg.Sessions())
	if err == nil {
		c.committed()
	}
	return err
}

func (c *Cluster) committed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastCommit, c.failure = time.Now(), nil
}

func (c *Cluster) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failure = err
}

// Run beats and ticks until ctx ends, then takes the member's row away. It returns an
// error when another process has taken this member's place.
func (c *Cluster) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.beats(ctx) })
	g.Go(func() error { return c.ticks(ctx) })
	g.Go(func() error { return c.housekeeping(ctx) })
	if c.cfg.Woken != nil {
		g.Go(func() error { return c.notices(ctx) })
		g.Go(func() error { return c.listen(ctx) })
	}
	if c.cfg.ActivePassive {
		g.Go(func() error { return c.Lead(ctx, c.beActive()) })
	}
	err := g.Wait()
	if err == nil {
		leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), ReadyWithin)
		defer cancel()
		err = c.st.LeaveMember(leave, c.cfg.ID, c.nonce)
	}
	return err
}

func number(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }
