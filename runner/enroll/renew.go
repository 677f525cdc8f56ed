package enroll

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

// Pauses between tries to renew. Half a certificate's life is left for them.
const (
	renewRetryMin = 30 * time.Second
	renewRetryMax = time.Hour
)

// RunRenewal renews the certificate at half its life, give or take a tenth, until ctx
// ends. It also recovers an expired one. It returns nothing but ctx's end: a runner
// goes on with the old certificate as long as the hub takes it.
func (i *Identity) RunRenewal(ctx context.Context, info *runnerv1.RunnerInfo, log *slog.Logger) error {
	jitter := share()
	retry := renewRetryMin
	wait := renewIn(i.validity(), now(), jitter)
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		// A long wait may have been a wrong clock; what counts is the certificate now.
		if wait = renewIn(i.validity(), now(), jitter); wait > 0 {
			continue
		}
		if err := i.Renew(ctx, info); err != nil {
			log.Warn("certificate not renewed", "error", err, "not_after", i.Certificate().NotAfter, "retry_in", retry.String())
			wait, retry = retry/2+rand.N(retry/2), min(2*retry, renewRetryMax) //nolint:gosec // spreads load, keeps no secret
			continue
		}
		log.Info("certificate renewed", "not_after", i.Certificate().NotAfter)
		jitter = share()
		retry, wait = renewRetryMin, renewIn(i.validity(), now(), jitter)
	}
}

// share of its life after which a certificate is renewed: half, give or take a tenth.
func share() float64 {
	return 0.4 + 0.2*rand.Float64() //nolint:gosec // spreads load, keeps no secret
}

// maxRenewWait bounds one wait: timers stand still while a machine sleeps.
const maxRenewWait = time.Hour

// validity is the span of a certificate that counts for renewal. It begins when the
// certificate was issued, not a day before as it says for slow clocks.
type validity struct{ from, to time.Time }

func (i *Identity) validity() validity {
	c := i.Certificate()
	return validity{from: c.NotBefore.Add(wire.CertificateBackdate), to: c.NotAfter}
}

// renewIn returns how long to wait until the given share of the life is over, at most
// maxRenewWait.
func renewIn(v validity, now time.Time, share float64) time.Duration {
	at := v.from.Add(time.Duration(share * float64(v.to.Sub(v.from))))
	return min(max(at.Sub(now), 0), maxRenewWait)
}

// Renew makes a new key, has it certified, and replaces the identity on disk and in
// use. The hub takes the old certificate until the new one is first used, so a cut at
// any point leaves a runner with one that works.
func (i *Identity) Renew(ctx context.Context, info *runnerv1.RunnerInfo) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	csr, err := request(key)
	if err != nil {
		return err
	}
	public, err := wire.SealingPublic(i.sealing)
	if err != nil {
		return err
	}
	req := &runnerv1.RenewCertificateRequest{Csr: csr, SealingKey: public, Info: info}
	answer, err := i.callRenew(ctx, req)
	if err != nil {
		return err
	}
	pair, err := makePair(key, answer.GetCertificates())
	if err != nil {
		return fmt.Errorf("renewing the certificate: %w", err)
	}
	if id, err := wire.ParseIdentity(pair.Leaf); err != nil || id != i.id {
		return fmt.Errorf("the hub renewed for %s, this is %s", id.URI(), i.id.URI())
	}
	if err := writePair(i.path(runnerFile), pair); err != nil {
		return err
	}
	i.mu.Lock()
	i.leaf = pair
	i.mu.Unlock()
	if len(answer.GetCaCertificates()) > 0 {
		if err := i.SetBundle(answer.GetCaCertificates()); err != nil {
			return err
		}
	}
	return i.LearnGateways(answer.GetGateways())
}

func (i *Identity) callRenew(ctx context.Context, req *runnerv1.RenewCertificateRequest) (*runnerv1.RenewCertificateResponse, error) {
	creds := credentials.NewTLS(i.TLSConfig())
	var failed []error
	for _, address := range i.Gateways() {
		var answer *runnerv1.RenewCertificateResponse
		err := call(ctx, address, creds, func(ctx context.Context, conn *grpc.ClientConn) (err error) {
			answer, err = runnerv1.NewRunnerServiceClient(conn).RenewCertificate(ctx, req)
			return err
		})
		if err == nil {
			return answer, nil
		}
		failed = append(failed, fmt.Errorf("%s: %s", address, status.Convert(err).Message()))
		if !unreachable(err) {
			break
		}
	}
	return nil, fmt.Errorf("renewing the certificate: %w", errors.Join(failed...))
}
