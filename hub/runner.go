package hub

import (
	"regexp"
	"time"
)

var tagName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$`)

// IsTag reports whether runners may bear a tag.
func IsTag(tag string) bool { return tagName.MatchString(tag) }

// Runner is an enrolled agent.
type Runner struct {
	ID             string
	OrganisationID string
	Name           string
	Tags           []string
	// ProjectIDs it serves; empty: all of the organisation.
	ProjectIDs []string
	// SealingKey is what secrets for it are sealed to.
	SealingKey []byte
	Version    string
	OS, Arch   string
	Hostname   string
	Slots      int
	// Quarantined is why claims are refused, "" if they are not.
	Quarantined string
	Revoked     bool
	// Draining runners keep what they have and are offered nothing new.
	Draining bool
	// Connected is whether a live member holds its session.
	Connected   bool
	LiveCount   int // attempts it holds now
	Revision    int64
	EnrolledAt  time.Time
	LastSeenAt  time.Time
	CertExpires time.Time
}

// RunnerSession is the row that Hello writes.
type RunnerSession struct {
	RunnerID string
	MemberID string
	// Confirmed and Unconfirmed are the epochs of 2.7 of the protocol; Unconfirmed is 0
	// when there is none.
	Confirmed   int64
	Unconfirmed int64
	Nonce       []byte
	BootID      []byte
	HostID      []byte
	Slots       int
	ConnectedAt time.Time
	// Incarnation of the database when it began.
	Incarnation int64
	// Released: a person ended its quarantine, and no session has begun since.
	Released bool
}

// EnrolmentToken is a one-use permission to enrol.
type EnrolmentToken struct {
	ID             string
	OrganisationID string
	// SecretHash is the SHA-256 of the secret.
	SecretHash []byte
	ProjectIDs []string
	Tags       []string
	CreatedBy  string
	CreatedAt  time.Time
	ExpiresAt  time.Time
	// UsedAt, UsedKey and RunnerID are set by its one use; the same key may repeat it.
	UsedAt   time.Time
	UsedKey  []byte
	RunnerID string
	Revoked  bool
}

// RunnerCertificate is a certificate that was issued to a runner.
type RunnerCertificate struct {
	Serial    string
	RunnerID  string
	PublicKey []byte // SHA-256 of its SPKI
	DER       []byte
	NotAfter  time.Time
	// FirstUsedAt ends the life of the ones before it.
	FirstUsedAt time.Time
	Superseded  bool
	CreatedAt   time.Time
}
