package hub

import "time"

// User is a local account.
type User struct {
	ID             string
	OrganisationID string
	Name           string
	// PasswordHash is argon2id in PHC form; "" when the account only signs in by link or token.
	PasswordHash string
	Admin        bool
	Disabled     bool
	CreatedAt    time.Time
}

// Principal is who a request acts as.
type Principal struct {
	UserID         string
	OrganisationID string
	Name           string
	Admin          bool
	// TokenID or SessionID that proved it.
	TokenID   string
	SessionID string
}

// Actor is who it is in the audit.
func (p Principal) Actor() string {
	if p.TokenID != "" {
		return "token:" + p.Name
	}
	return "user:" + p.Name
}

// APIToken is a bearer token; only the hash of its secret is stored.
type APIToken struct {
	ID             string
	OrganisationID string
	UserID         string
	Name           string
	SecretHash     []byte
	CreatedAt      time.Time
	ExpiresAt      time.Time // zero: never
	LastUsedAt     time.Time
}

// UserSession is a signed-in browser.
type UserSession struct {
	// IDHash is the SHA-256 of the cookie's value.
	IDHash         []byte
	UserID         string
	OrganisationID string
	CreatedAt      time.Time
	LastUsedAt     time.Time
	ExpiresAt      time.Time
}

// SignInLink signs one browser in, once.
type SignInLink struct {
	SecretHash []byte
	UserID     string
	ExpiresAt  time.Time
	UsedAt     time.Time
}
