package gateway

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/ca"
	"github.com/fairlead/fairlead/hub/cluster"
	"github.com/fairlead/fairlead/hub/dispatch"
	"github.com/fairlead/fairlead/hub/keys"
	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

const org = hub.DefaultOrganisationID

// testTime bounds everything that a test waits for.
const testTime = 30 * time.Second

// testHub is a member with everything below and in the gateway, on a real listener.
type testHub struct {
	t        *testing.T
	st       *store.Store
	ca       *ca.CA
	keys     *keys.Keys
	dispatch *dispatch.Dispatcher
	output   *output.Output
	peers    *Peers
	gateway  *Gateway
	address  string
	// authority is the CA's pair, to make certificates that no hub would.
	authority tls.Certificate
	project   *hub.Project
}

func newHub(t *testing.T) *testHub {
	t.Helper()
	h := newMember(t, storetest.New(t), "a", time.Second)
	h.must(h.st.CreateProject(context.Background(), h.project))
	return h
}

// newMember starts a member of a cluster; poll is how often it looks at rows unasked.
func newMember(t *testing.T, st *store.Store, name string, poll time.Duration) *testHub {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h := &testHub{t: t, st: st, project: &hub.Project{OrganisationID: org, Name: "web"}}
	log := storetest.Logger(t)
	master, err := keys.NewMaster(bytes.Repeat([]byte{1}, 32))
	h.must(err)
	h.ca, err = ca.Open(ctx, h.st, master)
	h.must(err)
	_, sealed, err := h.st.ClusterCA(ctx)
	h.must(err)
	plain, err := master.Open("ca\x00"+h.ca.ClusterID(), sealed)
	h.must(err)
	h.authority, err = tls.X509KeyPair(plain, plain)
	h.must(err)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	h.must(err)
	h.address = lis.Addr().String()
	member := cluster.New(h.st, master, cluster.Config{ID: store.NewID(), Name: name, Gateway: h.address, Address: h.address, Interval: 100 * time.Millisecond}, log)
	h.must(member.Join(ctx))
	own, err := h.ca.Member(member.MemberID())
	h.must(err)
	h.keys = keys.New(h.st, master)
	h.peers = NewPeers(PeersConfig{
		Others: member.OtherMembers,
		TLS: func(id string) *tls.Config {
			return h.ca.MemberTLS(func() *tls.Certificate { return own }, id)
		},
		Deliver: func(e hub.Event) { h.dispatch.Deliver(e) },
		Fleet: func(ctx context.Context, m string, whole bool, r []hub.FleetRunner) error {
			return h.dispatch.Fleet(ctx, m, whole, r)
		},
		FleetGone: func(m string) { h.dispatch.FleetGone(m) },
		Chunks:    func(id string, rows []store.ChunkRow, missed bool) { h.output.Deliver(id, rows, missed) },
	}, log)
	h.dispatch = dispatch.New(h.st, dispatch.Config{
		MemberID: member.MemberID(), Clock: member.Clock, Hold: member.Hold, MarkIncarnation: member.MarkIncarnation, NewestMark: member.NewestMark, Gateways: member.Gateways,
		GrantMAC: member.GrantMAC, Secrets: h.keys.Secrets, SealOptions: h.keys.SealOptions,
		Wake: h.peers.Wake, Watch: h.peers.Watch, Poll: poll,
		Published: func(id string, chunks []hub.Chunk) { h.output.Publish(id, chunks) },
	}, log)
	h.output = output.New(h.st, output.Config{
		MemberID: member.MemberID(), Clock: member.Clock,
		Follow: h.peers.Follow, Poll: poll,
		Whole: h.dispatch.LogWhole, Events: h.dispatch.Subscribe, Accuse: h.dispatch.Accuse,
	}, log)
	h.gateway = New(h.st, h.ca, h.dispatch, h.output, Config{
		Gateways: member.Gateways, Others: member.Others, Certificate: func() *tls.Certificate { return own },
		LastCommit:   member.LastCommit,
		HelloTimeout: 500 * time.Millisecond,
	}, log)
	runs := []func(context.Context) error{member.Run, h.peers.Run, h.dispatch.Run, h.output.Run, func(ctx context.Context) error { return h.gateway.Run(ctx, lis) }}
	done := make(chan error, len(runs))
	for _, run := range runs {
		go func() { done <- run(ctx) }()
	}
	t.Cleanup(func() {
		cancel()
		for range runs {
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("a service ended with %v", err)
				}
			case <-time.After(testTime):
				t.Fatal("a service does not end")
			}
		}
	})
	return h
}

func (h *testHub) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// dial connects with a certificate, or without one.
func (h *testHub) dial(cert *tls.Certificate) *grpc.ClientConn {
	h.t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(h.ca.Certificates()[0])
	cfg := &tls.Config{RootCAs: roots, ServerName: wire.GatewayName(h.ca.ClusterID()), MinVersion: tls.VersionTLS13}
	if cert != nil {
		// Presented whatever the hub asks for: a stranger would not be polite either.
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	conn, err := grpc.NewClient("passthrough:///"+h.address, grpc.WithTransportCredentials(credentials.NewTLS(cfg)),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(wire.MaxMessageBytes)))
	h.must(err)
	h.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// testRunner is a runner's identity.
type testRunner struct {
	id      string
	cert    *tls.Certificate
	key     *ecdsa.PrivateKey
	sealing []byte
	epoch   uint64 // on its disk
	// protocol is the highest version that its build speaks; 0: this one's.
	protocol uint32
	conn     *grpc.ClientConn
}

// enrol makes a runner by the wire.
func (h *testHub) enrol() *testRunner {
	h.t.Helper()
	ctx := context.Background()
	token, _, err := h.ca.CreateToken(ctx, ca.NewToken{OrganisationID: org})
	h.must(err)
	r := &testRunner{}
	r.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	h.must(err)
	var public []byte
	r.sealing, public, err = wire.SealingKey()
	h.must(err)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, r.key)
	h.must(err)
	answer, err := runnerv1.NewEnrolmentServiceClient(h.dial(nil)).Enrol(ctx, &runnerv1.EnrolRequest{Token: token, Csr: csr, SealingKey: public, Name: "r"})
	h.must(err)
	leaf, err := x509.ParseCertificate(answer.GetCertificates()[0])
	h.must(err)
	r.id, r.cert = answer.GetRunnerId(), &tls.Certificate{Certificate: answer.GetCertificates(), PrivateKey: r.key, Leaf: leaf}
	r.conn = h.dial(r.cert)
	return r
}

// sign signs a result as the runner does.
func (r *testRunner) sign(h *testHub, m *runnerv1.Result) []byte {
	digest := wire.ResultDigest(wire.Result{
		Incarnation: m.GetFence().GetIncarnation(), AttemptID: m.GetFence().GetAttemptId(), Epoch: m.GetFence().GetEpoch(),
		Outcome: int32(m.GetOutcome()), StepsTotal: m.GetStepsTotal(), StepsHash: wire.Hash(m.GetStepsHash()),
		LogTotal: m.GetLogTotal(), LogHash: wire.Hash(m.GetLogHash()),
	})
	signature, err := ecdsa.SignASN1(rand.Reader, r.key, digest[:])
	h.must(err)
	return signature
}

// forge makes a certificate of the CA as the template says, for the runner's key.
func (h *testHub) forge(r *testRunner, uri string, from, to time.Time) *tls.Certificate {
	h.t.Helper()
	u, err := url.Parse(uri)
	h.must(err)
	template := *r.cert.Leaf
	template.URIs, template.NotBefore, template.NotAfter = []*url.URL{u}, from, to
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	h.must(err)
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, &template, h.authority.Leaf, &r.key.PublicKey, h.authority.PrivateKey)
	h.must(err)
	leaf, err := x509.ParseCertificate(der)
	h.must(err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: r.key, Leaf: leaf}
}

// testSession is a session as its runner sees it.
type testSession struct {
	t      *testing.T
	stream runnerv1.RunnerService_SessionClient
	epoch  uint64
	// members: recv returns those frames too, which come whenever a member joins.
	members bool
	// offered are the attempts that recv has returned an offer of.
	offered map[string]bool
}

func (h *testHub) open(conn *grpc.ClientConn) *testSession {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTime)
	h.t.Cleanup(cancel)
	stream, err := runnerv1.NewRunnerServiceClient(conn).Session(ctx)
	h.must(err)
	return &testSession{t: h.t, stream: stream, offered: make(map[string]bool)}
}

func hello() *runnerv1.Hello {
	return &runnerv1.Hello{
		MinVersion: wire.MinProtocolVersion, MaxVersion: wire.MaxProtocolVersion, InstanceNonce: bytes.Repeat([]byte{7}, 16),
		BootId: bytes.Repeat([]byte{1}, 32), HostId: bytes.Repeat([]byte{2}, 32), Slots: 4,
	}
}

// start opens a session up to Confirmed.
func (h *testHub) start(r *testRunner) *testSession {
	h.t.Helper()
	s := h.open(r.conn)
	first := hello()
	first.SessionEpoch = r.epoch
	first.MaxVersion = cmp.Or(r.protocol, first.GetMaxVersion())
	s.send(&runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Hello{Hello: first}})
	s.epoch = s.recv().GetWelcome().GetSessionEpoch()
	r.epoch = s.epoch
	s.send(&runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Confirm{Confirm: &runnerv1.Confirm{SessionEpoch: s.epoch}}})
	if got := s.recv().GetConfirmed().GetSessionEpoch(); got != s.epoch || got == 0 {
		h.t.Fatalf("confirmed %d, want %d", got, s.epoch)
	}
	s.send(&runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Credits{Credits: &runnerv1.Credits{Slots: 4}}})
	return s
}

func (s *testSession) send(f *runnerv1.SessionRequest) {
	s.t.Helper()
	if err := s.stream.Send(f); err != nil {
		s.t.Fatal(err)
	}
}

// recv returns what comes next, but an offer only once: the hub may repeat it at any time,
// as when it settles an arrival, and a runner knows it from its journal.
func (s *testSession) recv() *runnerv1.SessionResponse {
	s.t.Helper()
	for {
		f, err := s.stream.Recv()
		if err != nil {
			s.t.Fatal(err)
		}
		if f.GetMembers() != nil && !s.members {
			continue
		}
		if id := f.GetOffer().GetFence().GetAttemptId(); id != "" {
			if s.offered[id] {
				continue
			}
			s.offered[id] = true
		}
		return f
	}
}
