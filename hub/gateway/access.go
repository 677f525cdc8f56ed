package gateway

import (
	"context"
	"crypto/x509"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/batch"
	"github.com/fairlead/fairlead/hub/ca"
	"github.com/fairlead/fairlead/hub/store"
	memberv1 "github.com/fairlead/fairlead/proto/member/v1"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

// who says whom a method answers.
type who int

const (
	anyone    who = iota // also without a certificate
	oldRunner            // a runner, also under an expired certificate
	runner               // a runner with a valid certificate
	member               // another member of the cluster
)

// access says how a method is called and by whom. A method that is not listed is
// answered to nobody; a test holds the list against the services.
type access struct {
	stream bool
	who    who
}

var methods = map[string]access{
	runnerv1.EnrolmentService_Enrol_FullMethodName:         {who: anyone},
	runnerv1.RunnerService_RenewCertificate_FullMethodName: {who: oldRunner},
	runnerv1.RunnerService_Session_FullMethodName:          {stream: true, who: runner},
	runnerv1.RunnerService_Output_FullMethodName:           {stream: true, who: runner},
	memberv1.MemberService_Wake_FullMethodName:             {who: member},
	memberv1.MemberService_Commits_FullMethodName:          {who: member},
	memberv1.MemberService_Watch_FullMethodName:            {stream: true, who: member},
	memberv1.MemberService_Follow_FullMethodName:           {stream: true, who: member},
}

// caller is a runner or a member as its certificate tells it.
type caller struct {
	id      wire.Identity
	cert    *x509.Certificate
	expired bool
}

type callerKey struct{}

// callerOf returns who the interceptor let in; nil for a method that takes anyone.
func callerOf(ctx context.Context) *caller {
	c, _ := ctx.Value(callerKey{}).(*caller)
	return c
}

// authorize is the one door to every method.
func (g *Gateway) authorize(ctx context.Context, method string, stream bool) (context.Context, error) {
	a, ok := methods[method]
	if !ok || a.stream != stream {
		return nil, status.Error(codes.PermissionDenied, "this method is not served")
	}
	if a.who == anyone {
		return ctx, nil
	}
	if placed(method) {
		if err := g.cfg.Serves(ctx); err != nil {
			return nil, statusOf(err)
		}
	}
	c, err := g.identify(ctx, a.who)
	if err != nil {
		g.log.WarnContext(ctx, "caller refused", "method", method, "address", addressOf(ctx), "error", err)
		return nil, statusOf(err)
	}
	return context.WithValue(ctx, callerKey{}, c), nil
}

// identify checks the caller's certificate, which the handshake has verified. The store is
// asked whether it still counts; the first use of a new one ends the older ones there.
func (g *Gateway) identify(ctx context.Context, needed who) (*caller, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil, errors.New("the connection has no peer")
	}
	conn, ok := p.AuthInfo.(connection)
	if !ok || len(conn.State.PeerCertificates) == 0 {
		return nil, hub.Errorf(hub.CodeUnauthenticated, "This call needs a runner's certificate; enrol first.")
	}
	id := conn.id
	c := &caller{id: id, cert: conn.State.PeerCertificates[0]}
	c.expired = g.st.Now().After(c.cert.NotAfter)
	if c.expired && needed != oldRunner {
		return nil, errExpired
	}
	switch {
	case needed == member && id.Role == wire.RoleMember:
		return c, nil // no row says more: who has the CA's key makes members
	case needed == member:
		return nil, hub.Errorf(hub.CodeForbidden, "This call is for members; the certificate is of a %s.", id.Role)
	case id.Role != wire.RoleRunner:
		return nil, hub.Errorf(hub.CodeForbidden, "This call is for runners; the certificate is of a %s.", id.Role)
	}
	row, err := g.useCertificate(ctx, ca.Serial(c.cert))
	if errors.Is(err, store.ErrUnknownCertificate) && !c.expired {
		row, err = g.recover(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	if row.ID != id.ID || row.OrganisationID != id.OrganisationID {
		return nil, hub.Errorf(hub.CodeUnauthenticated, "The certificate speaks for another runner than it was issued to.")
	}
	return c, nil
}

// useCertificate returns the runner of a certificate that counts. Runners that come
// together are looked up together: a thousand single queries would keep the connections
// to the database from those that are a step further.
func (g *Gateway) useCertificate(ctx context.Context, serial string) (*hub.Runner, error) {
	use, err := g.certificates.Do(ctx, serial)
	if err == nil && use.First {
		_, use.Runner, err = g.st.UseRunnerCertificate(ctx, serial)
	}
	return use.Runner, err
}

func (g *Gateway) lookUpCertificates(ctx context.Context, calls []*batch.Call[string, store.CertificateUse]) error {
	serials := make([]string, len(calls))
	for i, c := range calls {
		serials[i] = c.Request
	}
	uses, err := g.st.LookUpCertificates(ctx, serials)
	for i, use := range uses {
		calls[i].Answer, calls[i].Err = use, use.Err
	}
	return err
}

// recover takes in a certificate that this CA signed and the database does not know: it
// was issued in what the database lost. Its runner, if that is lost too, waits for a
// person.
func (g *Gateway) recover(ctx context.Context, c *caller) (*hub.Runner, error) {
	key := wire.Pin(c.cert)
	row, err := g.st.RecoverCertificate(ctx, c.id.OrganisationID, &hub.RunnerCertificate{
		Serial: ca.Serial(c.cert), RunnerID: c.id.ID, PublicKey: key[:], DER: c.cert.Raw, NotAfter: c.cert.NotAfter,
	})
	if err == nil {
		g.log.ErrorContext(ctx, "took in an authentic certificate that the database does not know: it was issued in a history that the database lost",
			"runner", row.Name, "serial", ca.Serial(c.cert), "address", addressOf(ctx))
	}
	return row, err
}

func addressOf(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		return p.Addr.String()
	}
	return ""
}

func (g *Gateway) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	ctx, err := g.authorize(ctx, info.FullMethod, false)
	if err != nil {
		return nil, err
	}
	answer, err := next(ctx, req)
	if err != nil {
		g.logFailure(ctx, info.FullMethod, err)
		return nil, statusOf(err)
	}
	return answer, nil
}

func (g *Gateway) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	ctx, err := g.authorize(ss.Context(), info.FullMethod, true)
	if err != nil {
		return err
	}
	c := callerOf(ctx)
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	open := &openStream{id: c.id, until: c.cert.NotAfter, runner: c.id.Role == wire.RoleRunner, end: end}
	defer g.addStream(open)()
	err = next(srv, &checkedStream{ServerStream: ss, ctx: ctx, g: g, open: open})
	if err != nil {
		g.logFailure(ctx, info.FullMethod, err)
		return statusOf(err)
	}
	return nil
}

// checkedStream looks at each frame whether its sender may still send it.
type checkedStream struct {
	grpc.ServerStream
	ctx  context.Context
	g    *Gateway
	open *openStream
}

// Context ends when the runner is revoked.
func (s *checkedStream) Context() context.Context { return s.ctx }

// RecvMsg receives a frame and refuses it if the runner was revoked or its certificate
// has ended meanwhile.
func (s *checkedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return s.g.check(s.open)
}

// logFailure logs what went wrong with a call. That a connection went away is the
// daily bread of a gateway.
func (g *Gateway) logFailure(ctx context.Context, method string, err error) {
	switch status.Code(statusOf(err)) {
	case codes.Canceled:
	case codes.Internal, codes.Unknown:
		g.log.ErrorContext(ctx, "call failed", "method", method, "address", addressOf(ctx), "runner_id", runnerID(ctx), "error", err)
	default:
		g.log.InfoContext(ctx, "call ended", "method", method, "address", addressOf(ctx), "runner_id", runnerID(ctx), "error", err)
	}
}

func runnerID(ctx context.Context) string {
	if c := callerOf(ctx); c != nil {
		return c.id.ID
	}
	return ""
}

var statusCodes = map[hub.Code]codes.Code{
	hub.CodeInvalid:         codes.InvalidArgument,
	hub.CodeNotFound:        codes.NotFound,
	hub.CodeConflict:        codes.Aborted,
	hub.CodeUnauthenticated: codes.Unauthenticated,
	hub.CodeForbidden:       codes.PermissionDenied,
	hub.CodeUnavailable:     codes.Unavailable,
	hub.CodeExhausted:       codes.ResourceExhausted,
	hub.CodeQuotaExceeded:   codes.ResourceExhausted,
	hub.CodeInternal:        codes.Internal,
}

// statusOf turns an error into what a runner is told.
func statusOf(err error) error {
	if coded, ok := errors.AsType[*hub.Error](err); ok {
		return status.Error(statusCodes[coded.Code], coded.Message)
	}
	if s, ok := status.FromError(err); ok {
		return s.Err()
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return status.FromContextError(err).Err()
	}
	return status.Error(codes.Internal, hub.ErrorMessage(err))
}
