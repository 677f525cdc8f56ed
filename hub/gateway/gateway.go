package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/batch"
	"github.com/fairlead/fairlead/hub/ca"
	"github.com/fairlead/fairlead/hub/dispatch"
	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/hub/store"
	memberv1 "github.com/fairlead/fairlead/proto/member/v1"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

// Limits of the server.
const (
	handshakeTimeout = 10 * time.Second
	// Small buffers keep an idle session small. Records of TLS are read whole before, so
	// that a smaller one for reading costs no system calls.
	readBytes      = 1 << 10
	writeBytes     = 8 << 10
	maxHeaderBytes = 16 << 10
	// maxStreams of one connection: a session, an output stream, a renewal.
	maxStreams = 16
	// maxOutputBytes is how much unacknowledged output a member holds; beyond it it
	// stops reading.
	maxOutputBytes = 64 << 20
	// drainTime is how long runners get to move to another member.
	drainTime = 5 * time.Second
	// barredEvery is how often revocations are looked at.
	barredEvery = 2 * time.Second
)

// Config of a Gateway.
type Config struct {
	// Gateways are the addresses of all members, this one's first.
	Gateways func() []string
	// Others are those of the other members.
	Others func() []string
	// Certificate is this member's, which may change.
	Certificate func() *tls.Certificate
	// Serves tells why this member serves no runners now, or nil; nil: it always does.
	Serves func(context.Context) error
	// Better reports whether runners are better off at other members; nil: they never are.
	Better func(context.Context) bool
	// Members are the others that share the runners, as their last heartbeats told; nil:
	// there are none.
	Members func() []*hub.Member
	// LastCommit is how long ago this member committed something; nil: it is not known.
	LastCommit func() time.Duration
	// HelloTimeout bounds the wait for a session's first frames; 0: 10 s.
	HelloTimeout time.Duration
}

// Gateway serves runners, and other members. All methods may be called by many goroutines at once.
type Gateway struct {
	runnerv1.UnimplementedEnrolmentServiceServer
	runnerv1.UnimplementedRunnerServiceServer
	memberv1.UnimplementedMemberServiceServer

	st       *store.Store
	ca       *ca.CA
	dispatch *dispatch.Dispatcher
	output   *output.Output
	cfg      Config
	log      *slog.Logger
	held     *semaphore.Weighted // bytes of output
	// certificates that runners present, looked up together.
	certificates *batch.Loop[string, store.CertificateUse]

	mu       sync.Mutex
	unstored time.Time // when it was last told that output cannot be stored
	barred   map[string]store.Barred
	streams  map[*openStream]struct{}
	sessions map[*session][]string // confirmed, and the gateways that each was told
}

// New makes a Gateway; Run serves.
func New(st *store.Store, authority *ca.CA, d *dispatch.Dispatcher, o *output.Output, cfg Config, log *slog.Logger) *Gateway {
	if cfg.Serves == nil {
		cfg.Serves = func(context.Context) error { return nil }
	}
	if cfg.Better == nil {
		cfg.Better = func(context.Context) bool { return false }
	}
	if cfg.Members == nil {
		cfg.Members = func() []*hub.Member { return nil }
	}
	if cfg.LastCommit == nil {
		cfg.LastCommit = func() time.Duration { return time.Duration(1<<62 - 1) }
	}
	if cfg.HelloTimeout == 0 {
		cfg.HelloTimeout = handshakeTimeout
	}
	g := &Gateway{
		st: st, ca: authority, dispatch: d, output: o, cfg: cfg, log: log,
		held:    semaphore.NewWeighted(maxOutputBytes),
		streams: map[*openStream]struct{}{}, sessions: map[*session][]string{},
	}
	g.certificates = batch.New(128, g.lookUpCertificates)
	return g
}

// server makes the gRPC server with both services on it.
func (g *Gateway) server() *grpc.Server {
	s := grpc.NewServer(
		grpc.Creds(newHandshakes(g.ca, g.cfg.Certificate)),
		grpc.UnaryInterceptor(g.unary),
		grpc.StreamInterceptor(g.stream),
		grpc.MaxRecvMsgSize(wire.MaxMessageBytes),
		grpc.MaxSendMsgSize(wire.MaxMessageBytes),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ReadBufferSize(readBytes),
		grpc.WriteBufferSize(writeBytes),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: wire.KeepaliveInterval, Timeout: wire.KeepaliveTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: wire.KeepaliveTimeout, PermitWithoutStream: true}),
	)
	runnerv1.RegisterEnrolmentServiceServer(s, g)
	runnerv1.RegisterRunnerServiceServer(s, g)
	memberv1.RegisterMemberServiceServer(s, g)
	return s
}

// Run serves on lis until ctx ends; then runners are told to move to other members, if
// there are any, and what is left is closed.
func (g *Gateway) Run(ctx context.Context, lis net.Listener) error {
	s := g.server()
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { _ = g.certificates.Run(watching) }) // it ends with watching alone
	wg.Go(func() { g.watchBarred(watching) })
	wg.Go(func() { g.watchPlace(watching) })
	wg.Go(func() {
		select {
		case <-ctx.Done():
			g.shutDown(s)
		case <-watching.Done():
		}
	})
	err := s.Serve(lis)
	stop()
	wg.Wait()
	if ctx.Err() == nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serving runners: %w", err)
	}
	return nil
}

func (g *Gateway) shutDown(s *grpc.Server) {
	timer := time.AfterFunc(drainTime, s.Stop)
	defer timer.Stop()
	if others := g.cfg.Others(); len(others) > 0 {
		g.dispatch.Drain(others)
	} else {
		g.endStreams(func(s *openStream) bool { return s.runner }, errShutDown)
	}
	// Other members have no reason to wait for.
	g.endStreams(func(s *openStream) bool { return !s.runner }, errShutDown)
	s.GracefulStop()
}

var errShutDown = hub.Errorf(hub.CodeUnavailable, "This member is shutting down; connect to another, or again in a moment.")

// watchBarred learns of revocations and ends the streams of the revoked.
func (g *Gateway) watchBarred(ctx context.Context) {
	ticker := time.NewTicker(barredEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		barred, err := g.st.BarredRunners(ctx)
		if err != nil {
			if ctx.Err() == nil {
				g.log.WarnContext(ctx, "revocations not read", "error", err)
			}
			continue
		}
		g.mu.Lock()
		g.barred = barred
		g.mu.Unlock()
		g.endStreams(func(s *openStream) bool { return barred[s.id.ID].Revoked }, errRevoked)
	}
}

var errRevoked = hub.Errorf(hub.CodeUnauthenticated, "This runner was revoked; enrol it again with a new token if it should come back.")

// openStream is one stream of a runner, while it is open.
type openStream struct {
	id    wire.Identity
	until time.Time // when its certificate ends
	// runner: it is a runner's session or output, and no member's.
	runner bool
	end    context.CancelCauseFunc
}

func (g *Gateway) addStream(s *openStream) (remove func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.streams[s] = struct{}{}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.streams, s)
	}
}

func (g *Gateway) endStreams(which func(*openStream) bool, why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for s := range g.streams {
		if which(s) {
			s.end(why)
		}
	}
}

// check tells why a frame of a stream is no longer taken, or nil.
func (g *Gateway) check(s *openStream) error {
	g.mu.Lock()
	revoked := g.barred[s.id.ID].Revoked
	g.mu.Unlock()
	switch {
	case revoked:
		return errRevoked
	case g.st.Now().After(s.until):
		return errExpired
	default:
		return nil
	}
}

var errExpired = hub.Errorf(hub.CodeUnauthenticated, "The runner's certificate has expired; it is being renewed, or check the runner's clock.")
