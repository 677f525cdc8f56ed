package wire

import (
	"crypto/x509"
	"fmt"
	"regexp"
	"strings"
)

// Role is what a certificate may be used for.
type Role string

// The two roles. A certificate of one is refused in the place of the other.
const (
	RoleRunner Role = "runner"
	RoleMember Role = "member"
)

// Identity is who a certificate speaks for. It is carried by exactly one URI; no
// other name in a certificate counts.
type Identity struct {
	ClusterID string
	Role      Role
	// OrganisationID is empty for members.
	OrganisationID string
	ID             string
}

// Names are matched as they stand: no path cleaning, no percent-decoding and no case
// folding, since each of them has let one identity pass for another elsewhere.
const idPattern = `([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})`

var (
	runnerURI = regexp.MustCompile(`^spiffe://` + idPattern + `/org/` + idPattern + `/runner/` + idPattern + `$`)
	memberURI = regexp.MustCompile(`^spiffe://` + idPattern + `/member/` + idPattern + `$`)
)

// URI returns the identity's one name.
func (i Identity) URI() string {
	if i.Role == RoleMember {
		return "spiffe://" + i.ClusterID + "/member/" + i.ID
	}
	return "spiffe://" + i.ClusterID + "/org/" + i.OrganisationID + "/runner/" + i.ID
}

// ParseIdentity reads the identity of a certificate whose chain was verified already.
func ParseIdentity(cert *x509.Certificate) (Identity, error) {
	if len(cert.URIs) != 1 {
		return Identity{}, fmt.Errorf("certificate %s has %d URIs, want exactly one", cert.SerialNumber, len(cert.URIs))
	}
	return ParseURI(cert.URIs[0].String())
}

// ParseURI reads an identity from its name.
func ParseURI(uri string) (Identity, error) {
	if m := runnerURI.FindStringSubmatch(uri); m != nil {
		return Identity{ClusterID: m[1], Role: RoleRunner, OrganisationID: m[2], ID: m[3]}, nil
	}
	if m := memberURI.FindStringSubmatch(uri); m != nil {
		return Identity{ClusterID: m[1], Role: RoleMember, ID: m[2]}, nil
	}
	return Identity{}, fmt.Errorf("%q names neither a runner nor a member", uri)
}

// GatewayName is the name that every member's certificate bears and that runners and
// members verify and send as SNI, whatever address they dialled: balancers, NAT and
// new addresses need no new certificate.
func GatewayName(clusterID string) string { return "gateway." + clusterID + ".fairlead" }

// IsGatewayName reports whether a name is the gateway's, of whatever cluster: a runner of
// another one is to hear so from the gateway.
func IsGatewayName(name string) bool {
	return strings.HasPrefix(name, "gateway.") && strings.HasSuffix(name, ".fairlead")
}
