package hub

import "time"

// KeyType is what a stored key is.
type KeyType string

// The types.
const (
	KeyPrivate  KeyType = "private-key"
	KeyPublic   KeyType = "public-key"
	KeyPassword KeyType = "password"
)

// Key is a stored secret or public key, without its value.
type Key struct {
	OrganisationID string
	// Path begins with "keys/", e.g. "keys/project/web/deploy".
	Path      string
	Type      KeyType
	Size      int
	Revision  int64
	CreatedBy string
	CreatedAt time.Time
	UpdatedAt time.Time
}
