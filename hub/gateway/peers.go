package gateway

import (
	"context"
	"crypto/tls"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	memberv1 "github.com/fairlead/fairlead/proto/member/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

// Timings of the way to other members.
const (
	// meetEvery is how often members that came or went are looked for.
	meetEvery = 500 * time.Millisecond
	// wakeTimeout bounds a wake; the poll does what it asks for.
	wakeTimeout = 2 * time.Second
	// firstPeerWait doubles up to maxPeerWait between tries, with full jitter.
	firstPeerWait = 100 * time.Millisecond
	maxPeerWait   = 5 * time.Second
	// peerConnectTime bounds one try of an address that does not answer.
	peerConnectTime = 10 * time.Second
)

// PeersConfig is what Peers stand on.
type PeersConfig struct {
	// Others are the other members that are not dead.
	Others func() []*hub.Member
	// TLS is how a member is called, by its id.
	TLS func(memberID string) *tls.Config
	// Deliver takes events of other members, Fleet their runners, FleetGone a member that
	// cannot be heard.
	Deliver   func(hub.Event)
	Fleet     func(ctx context.Context, member string, whole bool, runners []hub.FleetRunner) error
	FleetGone func(member string)
	// Chunks takes output that another member committed.
	Chunks func(executionID string, rows []store.ChunkRow, missed bool)
	// Missed is told that a wake reaches nobody; the members may be told another way. May
	// be nil.
	Missed func(hub.Wake)
}

// Peers are the other members. New makes them, Run keeps the connections; all methods
// may be called by many goroutines at once.
type Peers struct {
	cfg PeersConfig
	log *slog.Logger

	mu       sync.Mutex
	list     map[string]*otherMember // by member id
	watched  map[hub.Interest]int
	followed map[string]int
}

// NewPeers makes Peers.
func NewPeers(cfg PeersConfig, log *slog.Logger) *Peers {
	return &Peers{cfg: cfg, log: log, list: make(map[string]*otherMember), watched: make(map[hub.Interest]int), followed: make(map[string]int)}
}

// Run keeps a connection to each other member until ctx ends.
func (p *Peers) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ticker := time.NewTicker(meetEvery)
	defer ticker.Stop()
	for {
		p.meet(ctx, &wg)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// meet begins with members that are new and ends with those that are gone.
func (p *Peers) meet(ctx context.Context, wg *sync.WaitGroup) {
	others := make(map[string]*hub.Member)
	for _, m := range p.cfg.Others() {
		if m.Address != "" {
			others[m.ID] = m
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, one := range p.list {
		if m := others[id]; m == nil || m.Address != one.address {
			one.stop()
			delete(p.list, id)
		}
	}
	for id, m := range others {
		if p.list[id] != nil {
			continue
		}
		conn, err := p.dial(m)
		if err != nil {
			p.log.ErrorContext(ctx, "member cannot be called", "member", m.Name, "address", m.Address, "error", err)
			continue
		}
		life, stop := context.WithCancel(ctx)
		one := &otherMember{
			p: p, id: id, name: m.Name, address: m.Address, conn: conn, client: memberv1.NewMemberServiceClient(conn), stop: stop,
			watches: newQueue[*memberv1.WatchRequest](maxQueued), follows: newQueue[*memberv1.FollowRequest](maxQueued),
		}
		p.list[id] = one
		wg.Go(func() { one.run(life) })
	}
}

func (p *Peers) dial(m *hub.Member) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+m.Address,
		grpc.WithTransportCredentials(credentials.NewTLS(p.cfg.TLS(m.ID))),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: wire.KeepaliveInterval, Timeout: wire.KeepaliveTimeout, PermitWithoutStream: true}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(wire.MaxMessageBytes)),
		grpc.WithDisableServiceConfig(),
		// By itself it waits up to two minutes after members could not reach each other for long.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: firstPeerWait, Multiplier: 2, Jitter: 0.5, MaxDelay: maxPeerWait},
			MinConnectTimeout: peerConnectTime,
		}),
	)
}

// Wake tells a member, or all with "", and does not wait.
func (p *Peers) Wake(memberID string, w hub.Wake) {
	p.mu.Lock()
	var to []*otherMember
	for id, one := range p.list {
		if memberID == "" || memberID == id {
			to = append(to, one)
		}
	}
	p.mu.Unlock()
	if len(to) == 0 && memberID != "" {
		p.missed(w)
	}
	for _, one := range to {
		go one.wake(w)
	}
}

func (p *Peers) missed(w hub.Wake) {
	if p.cfg.Missed != nil {
		p.cfg.Missed(w)
	}
}

// Watch asks for the events of an interest until release is called.
func (p *Peers) Watch(i hub.Interest) (release func()) {
	want(&p.mu, p.watched, i, 1, func() { p.tellWatch(&memberv1.WatchRequest{Add: []*memberv1.Interest{interestOut(i)}}) })
	return sync.OnceFunc(func() {
		want(&p.mu, p.watched, i, -1, func() { p.tellWatch(&memberv1.WatchRequest{Remove: []*memberv1.Interest{interestOut(i)}}) })
	})
}

// Follow asks for the output of an execution until release is called.
func (p *Peers) Follow(executionID string) (release func()) {
	want(&p.mu, p.followed, executionID, 1, func() { p.tellFollow(&memberv1.FollowRequest{Add: []string{executionID}}) })
	return sync.OnceFunc(func() {
		want(&p.mu, p.followed, executionID, -1, func() { p.tellFollow(&memberv1.FollowRequest{Remove: []string{executionID}}) })
	})
}

// want changes how many want a key and calls changed, under the lock, with the first
// and after the last of them.
func want[K comparable](mu *sync.Mutex, have map[K]int, key K, by int, changed func()) {
	mu.Lock()
	defer mu.Unlock()
	before := have[key]
	have[key] = before + by
	if have[key] == 0 {
		delete(have, key)
	}
	if before == 0 || have[key] == 0 {
		changed()
	}
}

func (p *Peers) tellWatch(r *memberv1.WatchRequest) {
	for _, one := range p.list {
		one.watches.add(r)
	}
}

func (p *Peers) tellFollow(r *memberv1.FollowRequest) {
	for _, one := range p.list {
		one.follows.add(r)
	}
}

// LastCommit asks the other members how long ago they committed something; ok is false
// when none answers.
func (p *Peers) LastCommit(ctx context.Context) (least time.Duration, ok bool) {
	p.mu.Lock()
	clients := make([]memberv1.MemberServiceClient, 0, len(p.list))
	for _, one := range p.list {
		clients = append(clients, one.client)
	}
	p.mu.Unlock()
	answers := make(chan *memberv1.CommitsResponse, len(clients))
	for _, c := range clients {
		go func() {
			answer, _ := c.Commits(ctx, &memberv1.CommitsRequest{}) // nil when it does not answer
			answers <- answer
		}()
	}
	for range clients {
		a := <-answers
		if ago := time.Duration(a.GetLastMsAgo()) * time.Millisecond; a != nil && (!ok || ago < least) {
			least, ok = ago, true
		}
	}
	return least, ok
}

// otherMember is the way to one of them.
type otherMember struct {
	p                 *Peers
	id, name, address string
	conn              *grpc.ClientConn
	client            memberv1.MemberServiceClient
	stop              context.CancelFunc
	watches           *queue[*memberv1.WatchRequest]
	follows           *queue[*memberv1.FollowRequest]
	// heard: its events come, so a wake may be expected to arrive.
	heard atomic.Bool
}

// run keeps both streams up until ctx ends.
func (o *otherMember) run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { o.again(ctx, "events", o.watch) })
	wg.Go(func() { o.again(ctx, "output", o.follow) })
	wg.Wait()
	o.p.cfg.FleetGone(o.id)
	_ = o.conn.Close() // nobody uses it any more
}

// again runs a stream over and over.
func (o *otherMember) again(ctx context.Context, what string, run func(context.Context) error) {
	wait := firstPeerWait
	for told := false; ; {
		began := time.Now()
		err := run(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > maxPeerWait {
			wait, told = firstPeerWait, false
		}
		if !told {
			told = true
			o.p.log.WarnContext(ctx, "another member is not heard; what it tells is read from the database", "member", o.name, "address", o.address, "what", what, "error", err)
		}
		timer := time.NewTimer(rand.N(wait) + time.Millisecond) //nolint:gosec // spread, not secrecy
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		wait = min(2*wait, maxPeerWait)
	}
}

func (o *otherMember) wake(w hub.Wake) {
	ctx, cancel := context.WithTimeout(context.Background(), wakeTimeout)
	defer cancel()
	heard := o.heard.Load()
	if !heard {
		o.p.missed(w) // an error may be long in coming
	}
	_, err := o.client.Wake(ctx, &memberv1.WakeRequest{Offers: w.Offers, Ready: w.Ready, Stops: w.Stops})
	if err != nil && heard {
		o.p.missed(w)
	}
}

// watch tells what this member is interested in and takes what comes.
func (o *otherMember) watch(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stream, err := o.client.Watch(ctx)
	if err != nil {
		return err
	}
	o.p.mu.Lock()
	first := &memberv1.WatchRequest{}
	for i := range o.p.watched {
		first.Add = append(first.Add, interestOut(i))
	}
	// What waits is of before. While the other was not heard the queue may have become full:
	// that something ends, and not that it is wanted again.
	o.watches.clear()
	o.p.mu.Unlock()
	go sendAll(ctx, first, o.watches, stream.Send)
	defer o.p.cfg.FleetGone(o.id)
	defer o.heard.Store(false)
	for {
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		o.heard.Store(true)
		o.take(ctx, r)
	}
}

func (o *otherMember) take(ctx context.Context, r *memberv1.WatchResponse) {
	for _, i := range r.GetBegun() {
		o.p.cfg.Deliver(hub.Event{Kind: hub.EventResync, OrganisationID: i.GetOrganisationId(), ExecutionID: i.GetExecutionId()})
	}
	for _, e := range r.GetEvents() {
		o.p.cfg.Deliver(eventIn(e))
	}
	if f := r.GetFleet(); f != nil {
		runners := make([]hub.FleetRunner, len(f.GetRunners()))
		for i, m := range f.GetRunners() {
			runners[i] = hub.FleetRunner{ID: m.GetId(), Gone: m.GetGone(), Slots: int(m.GetSlots()), Live: int(m.GetLive()), Protocol: m.GetProtocol()}
		}
		if err := o.p.cfg.Fleet(ctx, o.id, f.GetWhole(), runners); err != nil {
			o.p.log.WarnContext(ctx, "runners of another member are not known", "member", o.name, "error", err)
		}
	}
}

// follow is watch for output.
func (o *otherMember) follow(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stream, err := o.client.Follow(ctx)
	if err != nil {
		return err
	}
	o.p.mu.Lock()
	first := &memberv1.FollowRequest{}
	for id := range o.p.followed {
		first.Add = append(first.Add, id)
	}
	o.follows.clear() // as watch does
	o.p.mu.Unlock()
	go sendAll(ctx, first, o.follows, stream.Send)
	for {
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		rows := make([]store.ChunkRow, len(r.GetChunks()))
		for i, c := range r.GetChunks() {
			rows[i] = chunkRowIn(c)
		}
		o.p.cfg.Chunks(r.GetExecutionId(), rows, r.GetMissed())
	}
}

// sendAll sends until ctx ends; a stream that breaks ends its reader, too.
func sendAll[T any](ctx context.Context, first T, rest *queue[T], send func(T) error) {
	if send(first) != nil {
		return
	}
	for {
		items := rest.take(ctx)
		if items == nil {
			return
		}
		for _, i := range items {
			if send(i) != nil {
				return
			}
		}
	}
}
