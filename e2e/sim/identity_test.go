package sim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"sync"

	"github.com/fairlead/fairlead/proto/wire"
)

// signer is the key that all runners of all histories sign their results with, and a
// certificate of it: making one for each would take longer than a history.
type signer struct {
	key *ecdsa.PrivateKey
	der []byte
}

var identity = sync.OnceValue(func() signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return signer{key, der}
})

func sign(digest wire.Hash) ([]byte, error) {
	return ecdsa.SignASN1(rand.Reader, identity().key, digest[:])
}
