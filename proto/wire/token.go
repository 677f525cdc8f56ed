package wire

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
)

// EnrolmentToken is what an operator carries to a new runner. Beside the one-use
// secret it pins the hub's CA, so that the first contact needs no other trust.
// Its text is "flr1.ID.SECRET.PIN" with the last two in unpadded base64url.
type EnrolmentToken struct {
	ID     string
	Secret []byte // 32 bytes
	Pin    Hash   // of the CA's public key, see Pin
}

const tokenPrefix = "flr1"

var errToken = errors.New("this is not a whole enrolment token: it looks like flr1.ID.SECRET.PIN; copy it again from where it was shown")

// String returns the token's text. It is a secret.
func (t EnrolmentToken) String() string {
	e := base64.RawURLEncoding
	return strings.Join([]string{tokenPrefix, t.ID, e.EncodeToString(t.Secret), e.EncodeToString(t.Pin[:])}, ".")
}

// ParseEnrolmentToken reverses String. Its error never repeats the text.
func ParseEnrolmentToken(text string) (EnrolmentToken, error) {
	parts := strings.Split(strings.TrimSpace(text), ".")
	if len(parts) != 4 || parts[0] != tokenPrefix || parts[1] == "" {
		return EnrolmentToken{}, errToken
	}
	secret, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(secret) != 32 {
		return EnrolmentToken{}, errToken
	}
	pin, err := base64.RawURLEncoding.DecodeString(parts[3])
	if err != nil || len(pin) != sha256.Size {
		return EnrolmentToken{}, errToken
	}
	return EnrolmentToken{ID: parts[1], Secret: secret, Pin: Hash(pin)}, nil
}

// Pin is the SHA-256 of a certificate's public key in DER: it survives a new
// certificate for the same key.
func Pin(ca *x509.Certificate) Hash { return sha256.Sum256(ca.RawSubjectPublicKeyInfo) }

// Matches reports in constant time whether ca is the pinned one.
func (t EnrolmentToken) Matches(ca *x509.Certificate) bool {
	pin := Pin(ca)
	return subtle.ConstantTimeCompare(pin[:], t.Pin[:]) == 1
}
