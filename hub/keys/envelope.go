package keys

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"

	"github.com/fairlead/fairlead/hub"
)

// An envelope is: version 1, the master key's id (8 bytes), the wrapped data key
// (nonce 12, key 32, tag 16), then nonce, ciphertext and tag of the value.
const (
	envelopeVersion = 1
	gcmOverhead     = 12 + 16
	wrappedBytes    = 32 + gcmOverhead
	envelopeHead    = 1 + 8 + wrappedBytes
)

// errEnvelope stays: no later try opens what it is told of.
var errEnvelope = hub.Errorf(hub.CodeInvalid, "The stored secret is cut off, altered, or belongs elsewhere.")

// Seal encrypts plain. place says where the blob belongs; Open wants the same.
func (m *Master) Seal(place string, plain []byte) ([]byte, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	wrap, err := gcm(m.wrap)
	if err != nil {
		return nil, err
	}
	value, err := gcm(key)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, envelopeHead+len(plain)+gcmOverhead)
	out = append(out, envelopeVersion)
	out = append(out, m.id[:]...)
	out = wrap.Seal(out, nil, key, []byte(place))          //nolint:gosec // the AEAD makes a random nonce itself
	return value.Seal(out, nil, plain, []byte(place)), nil //nolint:gosec // the same
}

// Open reverses Seal. A blob under another master key is told apart from one that
// was altered.
func (m *Master) Open(place string, sealed []byte) ([]byte, error) {
	if len(sealed) < envelopeHead+gcmOverhead || sealed[0] != envelopeVersion {
		return nil, errEnvelope
	}
	if !bytes.Equal(sealed[1:9], m.id[:]) {
		return nil, &hub.Error{Code: hub.CodeUnavailable, Message: "This secret was stored under another master key. Start the hub with the master key that this database was made with."}
	}
	wrap, err := gcm(m.wrap)
	if err != nil {
		return nil, err
	}
	key, err := wrap.Open(nil, nil, sealed[9:envelopeHead], []byte(place))
	if err != nil {
		return nil, errEnvelope
	}
	value, err := gcm(key)
	if err != nil {
		return nil, err
	}
	plain, err := value.Open(nil, nil, sealed[envelopeHead:], []byte(place))
	if err != nil {
		return nil, errEnvelope
	}
	return plain, nil
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("setting up encryption: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("setting up encryption: %w", err)
	}
	return aead, nil
}
