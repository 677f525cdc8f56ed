package wire

import (
	"crypto/hpke"
	"fmt"
)

// Secrets travel sealed with HPKE (RFC 9180) to a key that the runner made at
// enrolment and that serves nothing else: hybrid of ML-KEM-768 and X25519, so that
// traffic recorded today stays closed to a quantum computer.

// SealingKey makes a new private key; its bytes go to the runner's disk, mode 0600.
func SealingKey() (private, public []byte, err error) {
	key, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return nil, nil, fmt.Errorf("making a sealing key: %w", err)
	}
	private, err = key.Bytes()
	if err != nil {
		return nil, nil, fmt.Errorf("encoding a sealing key: %w", err)
	}
	return private, key.PublicKey().Bytes(), nil
}

// SealingPublic returns the public half of a private key that SealingKey made.
func SealingPublic(private []byte) ([]byte, error) {
	key, err := hpke.MLKEM768X25519().NewPrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("reading the sealing key: %w", err)
	}
	return key.PublicKey().Bytes(), nil
}

// CheckSealingKey reports whether public is a key that Seal can seal to.
func CheckSealingKey(public []byte) error {
	if _, err := hpke.MLKEM768X25519().NewPublicKey(public); err != nil {
		return fmt.Errorf("the sealing key is not a valid key: %w", err)
	}
	return nil
}

// Seal closes plain for the owner of public. info binds it to one attempt
// (SealInfo): a sealed secret moved into another grant does not open.
func Seal(public, info, plain []byte) ([]byte, error) {
	key, err := hpke.MLKEM768X25519().NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("reading the runner's sealing key: %w", err)
	}
	sealed, err := hpke.Seal(key, hpke.HKDFSHA256(), hpke.AES256GCM(), info, plain)
	if err != nil {
		return nil, fmt.Errorf("sealing secrets: %w", err)
	}
	return sealed, nil
}

// Open reverses Seal.
func Open(private, info, sealed []byte) ([]byte, error) {
	key, err := hpke.MLKEM768X25519().NewPrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("reading the sealing key: %w", err)
	}
	plain, err := hpke.Open(key, hpke.HKDFSHA256(), hpke.AES256GCM(), info, sealed)
	if err != nil {
		return nil, fmt.Errorf("opening sealed secrets: %w", err)
	}
	return plain, nil
}

// SealInfo binds sealed secrets to an attempt.
func SealInfo(clusterID, attemptID string) []byte {
	return []byte("fairlead secrets 1\x00" + clusterID + "\x00" + attemptID)
}
