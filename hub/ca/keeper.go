package ca

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/fairlead/fairlead/proto/wire"
)

// Keeper holds a certificate of this process and makes a new one at half its life.
type Keeper struct {
	make func() (*tls.Certificate, error)
	now  func() time.Time
	log  *slog.Logger
	cert atomic.Pointer[tls.Certificate]
}

// NewKeeper makes the first certificate. now is database time.
func NewKeeper(issue func() (*tls.Certificate, error), now func() time.Time, log *slog.Logger) (*Keeper, error) {
	k := &Keeper{make: issue, now: now, log: log}
	return k, k.renew()
}

func (k *Keeper) renew() error {
	cert, err := k.make()
	if err != nil {
		return fmt.Errorf("making this hub's certificate: %w", err)
	}
	k.cert.Store(cert)
	return nil
}

// Certificate returns the present one.
func (k *Keeper) Certificate() *tls.Certificate { return k.cert.Load() }

// keeperWait bounds one wait, since a clock may be set meanwhile; keeperRetry is the
// pause after a failure.
const (
	keeperWait  = time.Hour
	keeperRetry = time.Minute
)

// Run renews until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	share := 0.45 + 0.1*rand.Float64() //nolint:gosec // spreads load, keeps no secret
	for wait := k.left(share); ; {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		if wait = k.left(share); wait > 0 {
			continue
		}
		wait = keeperWait
		if err := k.renew(); err != nil {
			k.log.ErrorContext(ctx, "certificate not renewed", "error", err)
			wait = keeperRetry
			continue
		}
		k.log.InfoContext(ctx, "certificate renewed", "not_after", k.Certificate().Leaf.NotAfter)
	}
}

// left is how long until a share of the certificate's life is over, at most keeperWait.
func (k *Keeper) left(share float64) time.Duration {
	leaf := k.Certificate().Leaf
	from := leaf.NotBefore.Add(wire.CertificateBackdate)
	at := from.Add(time.Duration(share * float64(leaf.NotAfter.Sub(from))))
	return min(max(at.Sub(k.now()), 0), keeperWait)
}
