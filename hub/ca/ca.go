package ca

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"time"

	"github.com/fairlead/fairlead/hub"
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

// Open reads the CA of the installation, and makes it when there is none; two members
// that start at once end up with the same.
func Open(ctx context.Context, st *store.Store, master *keys.Master) (*CA, error) { return nil, nil }

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

// NewToken is an enrolment token to be made.
type NewToken struct {
	OrganisationID string
	// ProjectIDs that the runner may serve; empty: all of the organisation.
	ProjectIDs []string
	Tags       []string
	// Life; 0: 1 h.
	Life time.Duration
	By   string
}

// CreateToken makes a one-use enrolment token. text pins this CA, and is shown once.
func (c *CA) CreateToken(ctx context.Context, n NewToken) (text string, t *hub.EnrolmentToken, err error) {
	return "", nil, nil
}
