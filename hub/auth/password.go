package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/fairlead/fairlead/hub"
)

// Cost of argon2id: 19 MiB and two passes, some 30 ms of one core.
const (
	argonMemory  = 19 << 10 // KiB
	argonPasses  = 2
	argonThreads = 1
	argonKey     = 32
	argonSalt    = 16
)

// Bounds of a password. The upper one keeps hashing cheap to refuse.
const (
	minPassword = 12
	maxPassword = 1024
)

// maxHashing bounds how many passwords are hashed at once, and so the memory that
// strangers can make the hub use: 4 x 19 MiB.
const maxHashing = 4

func checkPassword(password string) error {
	switch {
	case len(password) < minPassword:
		return hub.Errorf(hub.CodeInvalid, "The password has %d characters; it needs at least %d.", len(password), minPassword)
	case len(password) > maxPassword:
		return hub.Errorf(hub.CodeInvalid, "The password is longer than %d bytes.", maxPassword)
	}
	return nil
}

// hashPassword returns the PHC form of a password's hash.
func hashPassword(password string) string {
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // never fails
	key := argon2.IDKey([]byte(password), salt, argonPasses, argonMemory, argonThreads, argonKey)
	e := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonPasses, argonThreads, e.EncodeToString(salt), e.EncodeToString(key))
}

var errHash = errors.New("the stored password hash is malformed")

// verifyPassword reports whether password has the hash. A hash that is malformed or
// costs more than ours could ever is an error: it did not come from here.
func verifyPassword(hash, password string) (bool, error) {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false, errHash
	}
	var version, memory, passes uint32
	var threads uint8
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return false, errHash
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &passes, &threads); err != nil {
		return false, errHash
	}
	if memory > 1<<18 || passes > 16 || passes == 0 || threads == 0 {
		return false, errHash
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false, errHash
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || len(want) != argonKey {
		return false, errHash
	}
	got := argon2.IDKey([]byte(password), salt, passes, memory, threads, argonKey)
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}
