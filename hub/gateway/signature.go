package gateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"

	"github.com/fairlead/fairlead/hub"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

// signed reports whether a result bears a signature of its runner: of any certificate
// that was issued to it, since it may have signed before a renewal. A signature that
// nobody checks would prove nothing about the stored log.
func (s *session) signed(ctx context.Context, r *runnerv1.Result) (bool, error) {
	digest := wire.ResultDigest(wire.Result{
		Incarnation: r.GetFence().GetIncarnation(), AttemptID: r.GetFence().GetAttemptId(), Epoch: r.GetFence().GetEpoch(),
		Outcome: int32(r.GetOutcome()), StepsTotal: r.GetStepsTotal(), StepsHash: wire.Hash(r.GetStepsHash()),
		LogTotal: r.GetLogTotal(), LogHash: wire.Hash(r.GetLogHash()),
	})
	if s.verify(digest, r.GetSignature()) {
		return true, nil
	}
	// Renewed since they were read, or this is the first result.
	if err := s.learnKeys(ctx); err != nil {
		return false, err
	}
	return s.verify(digest, r.GetSignature()), nil
}

func (s *session) verify(digest wire.Hash, signature []byte) bool {
	s.mu.Lock()
	keys := s.keys
	s.mu.Unlock()
	for _, key := range keys {
		if ecdsa.VerifyASN1(key, digest[:], signature) {
			return true
		}
	}
	return false
}

// learnKeys reads the keys of the runner's certificates, newest first.
func (s *session) learnKeys(ctx context.Context) error {
	list, err := s.g.st.RunnerCertificates(ctx, s.id.ID)
	if err != nil {
		return err
	}
	var keys []*ecdsa.PublicKey
	for _, c := range list {
		certificate, err := x509.ParseCertificate(c.DER)
		if err != nil {
			return fmt.Errorf("reading certificate %s of runner %s: %w", c.Serial, s.id.ID, err)
		}
		if key, ok := certificate.PublicKey.(*ecdsa.PublicKey); ok {
			keys = append(keys, key)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = keys
	return nil
}

// settle commits a result, if it is signed.
func (s *session) settle(ctx context.Context, msg *runnerv1.Result, result hub.Result) (logNext int64, err error) {
	ok, err := s.signed(ctx, msg)
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, s.g.dispatch.Forged(ctx, result.Fence, s.id.ID)
	}
	return s.g.dispatch.Result(ctx, result)
}
