package enroll

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairlead/fairlead/proto/failpoint"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

// ErrNotEnrolled is returned by Load when the data directory holds no identity.
var ErrNotEnrolled = errors.New("this runner is not enrolled yet; run: fairlead-runner enroll --hub URL --token-file FILE")

// Names of the files in DIR/identity.
const (
	folder      = "identity"
	pendingFile = "pending.pem"
	runnerFile  = "runner.pem"
	caFile      = "ca.pem"
	sealingFile = "sealing.key"
	aboutFile   = "runner.json"
)

// Identity is who a runner is. It is safe for concurrent use; the certificate, the CAs
// and the gateways may change while it is in use.
type Identity struct {
	dir     string
	about   about
	id      wire.Identity
	sealing []byte

	mu       sync.RWMutex
	leaf     tls.Certificate
	cas      []*x509.Certificate
	gateways []string
}

// about is what runner.json holds: nothing of it is secret.
type about struct {
	Name     string   `json:"name"`
	Hub      string   `json:"hub"`
	TokenID  string   `json:"tokenId"`
	Gateways []string `json:"gateways"`
}

// Load reads the identity that Enrol wrote below dataDir.
func Load(dataDir string) (*Identity, error) {
	i := &Identity{dir: filepath.Join(dataDir, folder)}
	leaf, err := readPair(i.path(runnerFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotEnrolled
	}
	if err != nil {
		return nil, fmt.Errorf("reading the identity: %w", err)
	}
	i.leaf = leaf
	if i.id, err = wire.ParseIdentity(leaf.Leaf); err != nil {
		return nil, fmt.Errorf("reading the identity: %w", err)
	}
	if i.cas, err = readCertificates(i.path(caFile)); err != nil {
		return nil, fmt.Errorf("reading the hub's CA: %w", err)
	}
	if i.sealing, err = os.ReadFile(i.path(sealingFile)); err != nil {
		return nil, fmt.Errorf("reading the sealing key: %w", err)
	}
	text, err := os.ReadFile(i.path(aboutFile))
	if err != nil {
		return nil, fmt.Errorf("reading the identity: %w", err)
	}
	if err := json.Unmarshal(text, &i.about); err != nil {
		return nil, fmt.Errorf("reading %s: %w", i.path(aboutFile), err)
	}
	i.gateways = i.about.Gateways
	return i, nil
}

func (i *Identity) path(name string) string { return filepath.Join(i.dir, name) }

// RunnerID returns the id that the certificate bears.
func (i *Identity) RunnerID() string { return i.id.ID }

// ClusterID returns the id of the hub's cluster.
func (i *Identity) ClusterID() string { return i.id.ClusterID }

// OrganisationID returns the organisation that the certificate bears.
func (i *Identity) OrganisationID() string { return i.id.OrganisationID }

// SealingPublic returns the key that secrets for this runner are sealed to.
func (i *Identity) SealingPublic() ([]byte, error) { return wire.SealingPublic(i.sealing) }

// Name returns what people call the runner.
func (i *Identity) Name() string { return i.about.Name }

// Hub returns the address of the hub's UI that the runner was enrolled at.
func (i *Identity) Hub() string { return i.about.Hub }

// Certificate returns the present certificate.
func (i *Identity) Certificate() *x509.Certificate {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.leaf.Leaf
}

// Gateways returns the host:port addresses where sessions are served, those last
// learnt first.
func (i *Identity) Gateways() []string {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return slices.Clone(i.gateways)
}

// LearnGateways keeps the addresses that a Welcome or Drain told. The host that the
// runner was enrolled at stays as the last resort: behind NAT it may be the only one
// that can be reached.
func (i *Identity) LearnGateways(addresses []string) error {
	if len(addresses) == 0 {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	merged := withHubHost(addresses, i.about.Hub)
	if slices.Equal(merged, i.gateways) {
		return nil
	}
	next := i.about
	next.Gateways = merged
	if err := writeAbout(i.path(aboutFile), next); err != nil {
		return err
	}
	i.about, i.gateways = next, merged
	return nil
}

// SetBundle replaces the CAs that members are verified against. An empty or unreadable
// bundle is refused: taking it would cut the runner off for good.
func (i *Identity) SetBundle(der [][]byte) error {
	cas, err := parseCertificates(der)
	if err != nil {
		return fmt.Errorf("reading the new CA bundle: %w", err)
	}
	if len(cas) == 0 {
		return errors.New("the new CA bundle is empty; keeping the old one")
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if slices.EqualFunc(cas, i.cas, (*x509.Certificate).Equal) {
		return nil
	}
	if err := writeFile(i.path(caFile), encodeCertificates(cas)); err != nil {
		return err
	}
	i.cas = cas
	return nil
}

// Sign signs a digest with the certificate's key (ECDSA, ASN.1).
func (i *Identity) Sign(digest wire.Hash) ([]byte, error) {
	i.mu.RLock()
	key, ok := i.leaf.PrivateKey.(*ecdsa.PrivateKey)
	i.mu.RUnlock()
	if !ok {
		return nil, errors.New("the identity's key is not an ECDSA key")
	}
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return signature, nil
}

// OpenSecrets opens what a Grant or Resumed sealed for an attempt. Nothing sealed
// gives empty secrets.
func (i *Identity) OpenSecrets(attemptID string, sealed []byte) (*runnerv1.Secrets, error) {
	secrets := &runnerv1.Secrets{}
	if len(sealed) == 0 {
		return secrets, nil
	}
	plain, err := wire.Open(i.sealing, wire.SealInfo(i.id.ClusterID, attemptID), sealed)
	if err != nil {
		return nil, fmt.Errorf("opening the secrets of attempt %s: %w", attemptID, err)
	}
	if err := proto.Unmarshal(plain, secrets); err != nil {
		return nil, fmt.Errorf("reading the secrets of attempt %s: %w", attemptID, err)
	}
	return secrets, nil
}

// TLSConfig returns a client configuration that always presents the present
// certificate and takes only members of this cluster, whatever address was dialled.
func (i *Identity) TLSConfig() *tls.Config {
	c := memberTLS(i.id.ClusterID, func() []*x509.Certificate {
		i.mu.RLock()
		defer i.mu.RUnlock()
		return i.cas
	})
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		i.mu.RLock()
		defer i.mu.RUnlock()
		leaf := i.leaf
		return &leaf, nil
	}
	return c
}

// memberTLS verifies by itself instead of by RootCAs, because the CAs may change while
// the configuration is in use, and because the fixed name and the role count, not
// the address. There are no session tickets: a resumed session would outlive a CA.
func memberTLS(clusterID string, cas func() []*x509.Certificate) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		ServerName:             wire.GatewayName(clusterID),
		SessionTicketsDisabled: true,
		InsecureSkipVerify:     true, //nolint:gosec // VerifyConnection verifies, against the CAs of the moment
		VerifyConnection: func(cs tls.ConnectionState) error {
			return verifyMember(cs, clusterID, cas())
		},
	}
}

func verifyMember(cs tls.ConnectionState, clusterID string, cas []*x509.Certificate) error {
	if len(cs.PeerCertificates) == 0 {
		return errors.New("the gateway presented no certificate")
	}
	roots, rest := x509.NewCertPool(), x509.NewCertPool()
	for _, ca := range cas {
		roots.AddCert(ca)
	}
	for _, c := range cs.PeerCertificates[1:] {
		rest.AddCert(c)
	}
	leaf := cs.PeerCertificates[0]
	_, err := leaf.Verify(x509.VerifyOptions{
		DNSName:       wire.GatewayName(clusterID),
		Roots:         roots,
		Intermediates: rest,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		CurrentTime:   now(),
	})
	if err != nil {
		return explainVerify(leaf, cas, err)
	}
	id, err := wire.ParseIdentity(leaf)
	if err != nil {
		return fmt.Errorf("the gateway's certificate: %w", err)
	}
	if id.Role != wire.RoleMember || id.ClusterID != clusterID {
		return fmt.Errorf("the peer is %s, not a member of cluster %s", id.URI(), clusterID)
	}
	return nil
}

// errForeign: who answers has a certificate that the cluster's CA did not sign.
var errForeign = errors.New("not of this cluster's CA")

// explainVerify says what a person can do about a certificate that does not verify. Who
// signed it comes first: of a stranger's, name and time say nothing.
func explainVerify(leaf *x509.Certificate, cas []*x509.Certificate, err error) error {
	var invalid x509.CertificateInvalidError
	switch {
	case !slices.ContainsFunc(cas, func(ca *x509.Certificate) bool { return leaf.CheckSignatureFrom(ca) == nil }):
		return fmt.Errorf("%w, but issued by %q for %q", errForeign, leaf.Issuer, leaf.Subject)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("the gateway's certificate is not valid at this machine's time, %s; check its clock: %w", time.Now().UTC().Format(time.RFC3339), err)
	default:
		return fmt.Errorf("the gateway's certificate: %w", err)
	}
}

// now is the machine's clock, which tests set wrong.
func now() time.Time {
	off, err := time.ParseDuration(failpoint.Override("clock"))
	if err != nil {
		return time.Now()
	}
	return time.Now().Add(off)
}
