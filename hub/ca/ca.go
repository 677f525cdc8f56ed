package ca

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/fairlead/fairlead/hub/keys"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/proto/wire"
)

// CA is the installation's certificate authority. All methods may be called by many
// goroutines at once.
type CA struct {
	st        *store.Store
	clusterID string
	authority *authority
}

// In returns the CA as it works in a transaction of its caller.
func (c *CA) In(st *store.Store) *CA {
	return &CA{st: st, clusterID: c.clusterID, authority: c.authority}
}

// Open reads the CA of the installation, and makes it when there is none; two members
// that start at once end up with the same. Another master key than the one it was made
// under is told as such, and so found at start rather than at the first secret.
func Open(ctx context.Context, st *store.Store, master *keys.Master) (*CA, error) {
	cluster, err := st.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	c := &CA{st: st, clusterID: cluster.ID}
	_, sealed, err := st.ClusterCA(ctx)
	if err != nil {
		return nil, err
	}
	if sealed == nil {
		if err := c.create(ctx, master); err != nil {
			return nil, err
		}
		// What is stored counts: another member may have been first.
		if _, sealed, err = st.ClusterCA(ctx); err != nil {
			return nil, err
		}
	}
	plain, err := master.Open(place(c.clusterID), sealed)
	if err != nil {
		return nil, fmt.Errorf("opening the CA's key: %w", err)
	}
	c.authority, err = decodeAuthority(plain)
	return c, err
}

func (c *CA) create(ctx context.Context, master *keys.Master) error {
	a, err := newAuthority(c.clusterID, c.st.Now())
	if err != nil {
		return err
	}
	plain, err := a.encode()
	if err != nil {
		return err
	}
	sealed, err := master.Seal(place(c.clusterID), plain)
	if err != nil {
		return fmt.Errorf("sealing the CA's key: %w", err)
	}
	_, err = c.st.SetClusterCA(ctx, a.cert.Raw, sealed)
	return err
}

// CheckMaster tells whether master is the key that a cluster's CA is sealed under.
func CheckMaster(master *keys.Master, clusterID string, sealed []byte) error {
	if _, err := master.Open(place(clusterID), sealed); err != nil {
		return fmt.Errorf("opening the CA's key: %w", err)
	}
	return nil
}

// place is where the CA's envelope belongs.
func place(clusterID string) string { return "ca\x00" + clusterID }

// ClusterID returns the id in every certificate.
func (c *CA) ClusterID() string { return c.clusterID }

// PEM returns the CA's certificate, which is public.
func (c *CA) PEM() []byte { return pemOf(c.authority.cert) }

// Certificates returns the CAs that members are verified against.
func (c *CA) Certificates() []*x509.Certificate { return []*x509.Certificate{c.authority.cert} }

// Member makes a certificate for a member.
func (c *CA) Member(memberID string) (*tls.Certificate, error) {
	return c.authority.member(wire.Identity{ClusterID: c.clusterID, Role: wire.RoleMember, ID: memberID}, c.st.Now())
}

// HTTPS makes a certificate for people's listener, for names and addresses.
func (c *CA) HTTPS(names []string) (*tls.Certificate, error) {
	return c.authority.https(names, c.st.Now())
}

// Verify says who a certificate speaks for, if this CA signed it for a client of this
// cluster. Its age and whether it was revoked are not looked at: an expired one may
// still renew, and only the caller knows what is asked.
func (c *CA) Verify(chain []*x509.Certificate) (wire.Identity, error) {
	if len(chain) == 0 {
		return wire.Identity{}, errNoCertificate
	}
	if err := c.authority.verify(chain[0], chain[1:]); err != nil {
		return wire.Identity{}, err
	}
	id, err := wire.ParseIdentity(chain[0])
	if err != nil {
		return wire.Identity{}, err
	}
	if id.ClusterID != c.clusterID {
		return wire.Identity{}, fmt.Errorf("%s belongs to another cluster", id.URI())
	}
	return id, nil
}

// ServerTLS is the configuration of the gateway's listener: TLS 1.3, no session
// tickets (a resumed session would outlive a revocation), and a client certificate
// that is asked for but only needed by those who do more than enrol. One that is
// presented and does not verify ends the handshake.
func (c *CA) ServerTLS(own func() *tls.Certificate) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
		ClientAuth:             tls.RequestClientCert,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own(), nil },
		VerifyConnection: func(cs tls.ConnectionState) error {
			if len(cs.PeerCertificates) == 0 {
				return nil
			}
			_, err := c.Verify(cs.PeerCertificates)
			return err
		},
	}
}

// MemberTLS is how this member calls another: it shows its own certificate, and who
// answers must be that member of this cluster, at whatever address. An address that a
// balancer spreads over all members leads to the wrong one, whose runners would be taken
// for the other's. There are no session tickets, as in ServerTLS.
func (c *CA) MemberTLS(own func() *tls.Certificate, memberID string) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		ServerName:             wire.GatewayName(c.clusterID),
		SessionTicketsDisabled: true,
		GetClientCertificate:   func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own(), nil },
		InsecureSkipVerify:     true, //nolint:gosec // VerifyConnection verifies: the role counts, not the address
		VerifyConnection: func(cs tls.ConnectionState) error {
			id, err := c.Verify(cs.PeerCertificates)
			switch {
			case err != nil:
				return err
			case id.Role != wire.RoleMember:
				return fmt.Errorf("%s answers in the place of a member", id.URI())
			case id.ID != memberID:
				return fmt.Errorf("member %s answers in the place of member %s; give each member an address of its own with --advertise-member", id.ID, memberID)
			case c.st.Now().After(cs.PeerCertificates[0].NotAfter):
				return fmt.Errorf("the certificate of %s has expired", id.URI())
			}
			return nil
		},
	}
}
