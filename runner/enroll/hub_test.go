package enroll

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

const (
	clusterID = "0198a000-0000-7000-8000-000000000001"
	orgID     = "0198a000-0000-7000-8000-000000000002"
	runnerID  = "0198a000-0000-7000-8000-000000000003"
	memberID  = "0198a000-0000-7000-8000-000000000004"
)

// authority is a CA of the test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key := testKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t: t, cert: cert, key: key}
}

func testKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// leaf makes a certificate that is valid for a month from now.
func (a *authority) leaf(public any, change func(*x509.Certificate)) []byte {
	a.t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, NotBefore: time.Now().Add(-wire.CertificateBackdate), NotAfter: time.Now().Add(wire.CertificateLife),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

func identity(role wire.Role, id string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		who := wire.Identity{ClusterID: clusterID, Role: role, OrganisationID: orgID, ID: id}
		if u, err := url.Parse(who.URI()); err == nil {
			c.URIs = []*url.URL{u}
		}
		if role == wire.RoleMember {
			c.DNSNames = []string{wire.GatewayName(clusterID)}
		}
	}
}

// testHub is the hub's side of an enrolment: its listener for people and a gateway.
type testHub struct {
	runnerv1.UnimplementedEnrolmentServiceServer
	runnerv1.UnimplementedRunnerServiceServer
	ca      *authority
	web     *httptest.Server
	gateway string
	token   wire.EnrolmentToken

	mu     sync.Mutex
	asked  int
	lose   int    // so many answers are lost after they were made
	refuse string // what to refuse with, if set
	keys   map[string][]byte
}

// newHub serves with the CA that it tells; gatewayCA signs the gateway's certificate.
func newHub(t *testing.T, told, gatewayCA *authority) *testHub {
	t.Helper()
	h := &testHub{ca: gatewayCA, keys: map[string][]byte{}}
	h.token = wire.EnrolmentToken{ID: "id", Secret: make([]byte, 32), Pin: wire.Pin(told.cert)}
	key := testKey(t)
	cert := tls.Certificate{Certificate: [][]byte{gatewayCA.leaf(key.Public(), identity(wire.RoleMember, memberID))}, PrivateKey: key}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.gateway = lis.Addr().String()
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS13})))
	runnerv1.RegisterEnrolmentServiceServer(server, h)
	runnerv1.RegisterRunnerServiceServer(server, h)
	done := make(chan error, 1)
	go func() { done <- server.Serve(lis) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	})
	h.web = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/enrolment" {
			http.NotFound(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"caPem":     string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: told.cert.Raw})),
			"clusterId": clusterID, "gateways": []string{h.gateway},
		})
	}))
	t.Cleanup(h.web.Close)
	return h
}

// Enrol gives the same certificate for the same key.
func (h *testHub) Enrol(_ context.Context, r *runnerv1.EnrolRequest) (*runnerv1.EnrolResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked++
	if h.refuse != "" {
		return nil, status.Error(codes.Unauthenticated, h.refuse)
	}
	csr, err := x509.ParseCertificateRequest(r.GetCsr())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	public := string(csr.RawSubjectPublicKeyInfo)
	if h.keys[public] == nil {
		if len(h.keys) > 0 {
			return nil, status.Error(codes.Unauthenticated, "used by another key")
		}
		h.keys[public] = h.ca.leaf(csr.PublicKey, identity(wire.RoleRunner, runnerID))
	}
	if h.lose > 0 {
		h.lose--
		return nil, status.Error(codes.Unavailable, "the answer got lost")
	}
	return &runnerv1.EnrolResponse{
		Certificates: [][]byte{h.keys[public]}, CaCertificates: [][]byte{h.ca.cert.Raw},
		RunnerId: runnerID, ClusterId: clusterID, Gateways: []string{h.gateway}, Name: r.GetName(),
	}, nil
}

// RenewCertificate gives a new certificate for a new key.
func (h *testHub) RenewCertificate(_ context.Context, r *runnerv1.RenewCertificateRequest) (*runnerv1.RenewCertificateResponse, error) {
	csr, err := x509.ParseCertificateRequest(r.GetCsr())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return &runnerv1.RenewCertificateResponse{
		Certificates: [][]byte{h.ca.leaf(csr.PublicKey, identity(wire.RoleRunner, runnerID))},
		Gateways:     []string{h.gateway, "192.0.2.7:8441"},
	}, nil
}

func (h *testHub) asks() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked
}

func (h *testHub) config(dir string) Config {
	return Config{Hub: h.web.URL, Token: h.token.String(), DataDir: dir, Name: "r1"}
}
