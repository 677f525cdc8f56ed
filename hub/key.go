package hub

import (
	"strings"
	"time"
)

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

const (
	keyRoot = "keys/"
	// MaxKeyPath bounds a key's path in bytes.
	MaxKeyPath = 512
)

// CheckKeyPath tells whether path is one that a key may have: "keys/" and names of
// letters, digits and -_.@+ divided by slashes. Anything else could mean two things in
// a URL, a job file and here.
func CheckKeyPath(path string) error {
	rest, ok := strings.CutPrefix(path, keyRoot)
	if !ok {
		return Errorf(CodeInvalid, "The key path %q does not begin with keys/, as keys/project/web/deploy does.", path)
	}
	if len(path) > MaxKeyPath {
		return Errorf(CodeInvalid, "The key path is longer than %d bytes.", MaxKeyPath)
	}
	for name := range strings.SplitSeq(rest, "/") {
		if name == "" || name == "." || name == ".." || strings.ContainsFunc(name, notInKeyPath) {
			return Errorf(CodeInvalid, "The key path %q has a part %q; parts are letters, digits, spaces and -_.@+.", path, name)
		}
	}
	return nil
}

func notInKeyPath(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return false
	default:
		return !strings.ContainsRune("-_.@+ ", r)
	}
}
