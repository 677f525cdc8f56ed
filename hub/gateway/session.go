package gateway

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/proto/failpoint"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

// SessionStream carries a session's frames: a gRPC stream, or what a simulation puts
// in its place. Send and Recv are called by one goroutine each. Recv must return once
// ServeSession has.
type SessionStream interface {
	Send(*runnerv1.SessionResponse) error
	Recv() (*runnerv1.SessionRequest, error)
}

// Session serves a runner's control stream.
func (g *Gateway) Session(stream runnerv1.RunnerService_SessionServer) error {
	ctx := stream.Context()
	return g.ServeSession(ctx, callerOf(ctx).id, stream)
}

var (
	// errEnded is the end of a stream that the runner closed.
	errEnded   = errors.New("the runner ended the stream")
	errNoHello = hub.Errorf(hub.CodeInvalid, "The session did not begin with a Hello in time.")
	errBusy    = hub.Errorf(hub.CodeUnavailable, "The database did not take the Hello in time; come again.")
	errSlow    = hub.Errorf(hub.CodeExhausted, "The runner reads too slowly; its session begins anew.")
)

// ServeSession serves one session of the runner that id names, until it ends. The
// caller has checked the identity.
func (g *Gateway) ServeSession(ctx context.Context, id wire.Identity, stream SessionStream) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	s := &session{g: g, id: id, stream: stream, out: newQueue[item](maxQueued), lanes: newLanes(), end: end}
	timer := time.AfterFunc(g.cfg.HelloTimeout, func() {
		switch {
		case s.greeted.Load():
		case s.heard.Load():
			end(errBusy)
		default:
			end(errNoHello)
		}
	})
	defer timer.Stop()
	go func() { end(s.read(ctx)) }()
	err := s.write(ctx)
	end(err)
	s.close()
	if errors.Is(err, errEnded) {
		return nil
	}
	return err
}

// maxQueued bounds the frames that wait for one runner. One that reads so slowly is
// cut off: every frame is told again in its next session.
const maxQueued = 16 << 10

// item is something to send: a frame, or an offer that becomes frames when its turn
// comes, so that nobody who makes offers waits for their encoding.
type item struct {
	frame *runnerv1.SessionResponse
	offer *hub.Offer
}

// session is one session.
type session struct {
	g       *Gateway
	id      wire.Identity
	stream  SessionStream
	out     *queue[item]
	lanes   *lanes
	end     context.CancelCauseFunc
	heard   atomic.Bool // its Hello has come
	greeted atomic.Bool
	kept    kept
	// keepsScripts is what its Hello says; scripts are those that it keeps, for the sender.
	keepsScripts atomic.Bool
	scripts      wire.Scripts

	ref  hub.SessionRef // set by the reader, before any lane
	told []string       // gateways of Welcome; set by the reader

	mu     sync.Mutex
	closed bool
	detach func()             // nil until confirmed
	keys   []*ecdsa.PublicKey // of the runner, as far as they were needed
}

// close lets go of dispatch and waits for the lanes.
func (s *session) close() {
	s.mu.Lock()
	s.closed = true
	detach := s.detach
	s.mu.Unlock()
	if detach != nil {
		detach()
	}
	s.lanes.close()
}

// write sends what is queued until ctx ends, and returns why.
func (s *session) write(ctx context.Context) error {
	for {
		items := s.out.take(ctx)
		if items == nil {
			return context.Cause(ctx)
		}
		for _, i := range items {
			if err := s.send(ctx, i); err != nil {
				return err
			}
		}
	}
}

func (s *session) send(ctx context.Context, i item) error {
	frames := []*runnerv1.SessionResponse{i.frame}
	if i.offer != nil {
		var err error
		var scripts *wire.Scripts
		if s.keepsScripts.Load() {
			scripts = &s.scripts
		}
		if frames, err = offerFrames(*i.offer, scripts); err != nil {
			// One offer that cannot be told must not end the session of all others.
			s.g.log.ErrorContext(ctx, "offer not told", "attempt_id", i.offer.Fence.AttemptID, "runner_id", s.id.ID, "error", err)
			return nil
		}
	}
	for _, f := range frames {
		if err := s.stream.Send(f); err != nil {
			return err
		}
		if f.GetGrant() != nil {
			failpoint.Hit("hub.grant.after-send")
		}
	}
	return nil
}

// push queues a frame.
func (s *session) push(f *runnerv1.SessionResponse) {
	if !s.out.add(item{frame: f}) {
		s.end(errSlow)
	}
}

// read takes frames until the stream ends, and returns why.
func (s *session) read(ctx context.Context) error {
	if err := s.greet(ctx); err != nil {
		return ended(err)
	}
	for {
		f, err := s.stream.Recv()
		if err != nil {
			return ended(err)
		}
		if err := s.handle(ctx, f); err != nil {
			return err
		}
	}
}

func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return errEnded
	}
	return err
}

// greet answers Hello with Welcome.
func (s *session) greet(ctx context.Context) error {
	f, err := s.stream.Recv()
	if err != nil {
		return err
	}
	msg := f.GetHello()
	if msg == nil {
		return errNoHello
	}
	version, err := wire.NegotiateVersion(msg.GetMinVersion(), msg.GetMaxVersion())
	if err != nil {
		return status.Error(codes.FailedPrecondition, err.Error())
	}
	s.keepsScripts.Store(msg.GetKeepsScripts())
	hello, err := helloIn(s.id, msg)
	if err != nil {
		return err
	}
	hello.Protocol = version
	if hello.Inventory, err = s.inventory(msg); err != nil {
		return err
	}
	s.heard.Store(true)
	welcome, err := s.g.dispatch.Hello(ctx, hello)
	if err != nil {
		return refusedAsStatus(err)
	}
	s.greeted.Store(true)
	s.ref = hub.SessionRef{RunnerID: s.id.ID, OrganisationID: s.id.OrganisationID, Epoch: welcome.SessionEpoch, Protocol: version}
	s.told = welcome.Members
	for _, page := range welcomeFrames(version, welcome) {
		s.push(page)
	}
	return nil
}

// inventory reads the pages that follow Hello.
func (s *session) inventory(hello *runnerv1.Hello) ([]hub.Holding, error) {
	all, err := holdingsIn(hello.GetInventory())
	for more := hello.GetMore(); err == nil && more; {
		var f *runnerv1.SessionRequest
		if f, err = s.stream.Recv(); err != nil {
			return nil, err
		}
		page := f.GetInventory()
		if page == nil {
			return nil, bad("The session goes on with another frame in the middle of the inventory.")
		}
		var holdings []hub.Holding
		if holdings, err = holdingsIn(page.GetInventory()); err != nil {
			return nil, err
		}
		if len(holdings) == 0 || len(all)+len(holdings) > wire.MaxHoldings {
			return nil, bad("The inventory has an empty page, or more than %d attempts.", wire.MaxHoldings)
		}
		all, more = append(all, holdings...), page.GetMore()
	}
	return all, err
}

// welcomeFrames makes Welcome and the pages after it.
func welcomeFrames(version uint32, w hub.Welcome) []*runnerv1.SessionResponse {
	answers := make([]*runnerv1.HoldingAnswer, 0, len(w.Holdings))
	for _, h := range w.Holdings {
		answers = append(answers, answerOut(h))
	}
	first := answers[:min(len(answers), wire.PageHoldings)]
	answers = answers[len(first):]
	frames := []*runnerv1.SessionResponse{{Frame: &runnerv1.SessionResponse_Welcome{Welcome: &runnerv1.Welcome{
		Version:      version,
		SessionEpoch: uint64(w.SessionEpoch), Incarnation: uint64(w.Incarnation), Tick: uint64(w.Tick),
		DbMark: markOut(w.DBMark), Members: w.Members, Holdings: first, More: len(answers) > 0, Quarantined: w.Quarantined,
		FullInventory: w.FullInventory,
	}}}}
	for len(answers) > 0 {
		page := answers[:min(len(answers), wire.PageHoldings)]
		answers = answers[len(page):]
		frames = append(frames, &runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_Holdings{
			Holdings: &runnerv1.HoldingsPage{Holdings: page, More: len(answers) > 0},
		}})
	}
	return frames
}

// refusedAsStatus tells a refusal that concerns the session as a whole.
func refusedAsStatus(err error) error {
	if refused, ok := errors.AsType[*hub.Refused](err); ok {
		return status.Error(codes.FailedPrecondition, refused.Message)
	}
	return err
}

// confirm makes the session the runner's current one. It happens in the reader: claims
// that follow must find it confirmed.
func (s *session) confirm(ctx context.Context, epoch uint64) error {
	if epoch != uint64(s.ref.Epoch) {
		return bad("The runner confirms session %d; this is %d.", epoch, s.ref.Epoch)
	}
	if err := s.g.dispatch.Confirm(ctx, s.ref); err != nil {
		return refusedAsStatus(err)
	}
	s.push(&runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_Confirmed{Confirmed: &runnerv1.Confirmed{SessionEpoch: epoch}}})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.detach != nil {
		return nil
	}
	detach, forget := s.g.dispatch.Attach(s.ref, s), s.g.addSession(s)
	s.detach = func() {
		forget()
		detach()
	}
	return nil
}

// Offer queues an offer: session is dispatch's Sink.
func (s *session) Offer(o hub.Offer) {
	if !s.out.add(item{offer: &o}) {
		s.end(errSlow)
	}
}

// Stop queues a stop.
func (s *session) Stop(f hub.Fence, scope hub.StopScope) {
	s.push(&runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_Stop{Stop: &runnerv1.Stop{Fence: fenceOut(f), Scope: stopOut(scope)}}})
}

// Forget queues leave to forget.
func (s *session) Forget(f hub.Fence) {
	s.push(&runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_Forget{Forget: &runnerv1.Forget{Fence: fenceOut(f)}}})
}

// End ends the session.
func (s *session) End(why error) { s.end(why) }

// Drain queues the wish that the runner moves to another member.
func (s *session) Drain(members []string) {
	s.push(&runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_Drain{Drain: &runnerv1.Drain{Members: members}}})
}
