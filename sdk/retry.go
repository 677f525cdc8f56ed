package sdk

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"
)

// doer sends requests and repeats those that may be while no hub answers.
type doer struct {
	client   *http.Client
	patience time.Duration
	outage   func(error) // may be nil

	mu   sync.Mutex // guards down, and calls of outage
	down bool
}

// Do implements rest.HttpRequestDoer.
func (d *doer) Do(r *http.Request) (*http.Response, error) {
	deadline := time.Now().Add(d.patience)
	for try := 0; ; try++ {
		resp, err := d.client.Do(r)
		if !shouldRepeat(resp, err) || !mayRepeat(r) {
			if err == nil && !shouldRepeat(resp, nil) {
				d.tell(false, nil, nil)
			}
			return resp, err
		}
		d.tell(true, resp, err)
		if !time.Now().Before(deadline) {
			return resp, err
		}
		if resp != nil {
			_, _ = io.CopyN(io.Discard, resp.Body, maxProblem)
			_ = resp.Body.Close()
		}
		if err := pause(r.Context(), try); err != nil {
			return nil, err
		}
		if r, err = rewind(r); err != nil {
			return nil, err
		}
	}
}

// tell tells the caller that an outage has begun or ended, if one has.
func (d *doer) tell(down bool, resp *http.Response, err error) {
	if d.outage == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down == down {
		return
	}
	d.down = down
	switch {
	case !down:
		d.outage(nil)
	case err != nil:
		d.outage(unreachable(err))
	default:
		d.outage(errors.New("the answer was " + resp.Status))
	}
}

// mayRepeat reports whether sending r again does no harm.
func mayRepeat(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete:
	default:
		if r.Header.Get("Idempotency-Key") == "" {
			return false
		}
	}
	return r.Body == nil || r.Body == http.NoBody || r.GetBody != nil
}

// shouldRepeat reports whether what came back may be better next time.
func shouldRepeat(resp *http.Response, err error) bool {
	if err != nil {
		return transient(err)
	}
	switch resp.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// transient reports whether err is of the network, and not of the certificate or of
// the caller's own giving up.
func transient(err error) bool {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case networkTimeout(err):
		return true
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid):
		return false
	}
	return true
}

// networkTimeout reports whether err is a timeout of the network's own: of a dial or a look-up
// that nothing answered. It passes for context.DeadlineExceeded, too, as if the caller had
// given up; but a host that is switched off, or a network that is cut, comes back.
func networkTimeout(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Timeout()
}

// pause waits before try+1: full jitter, up to 0.1 s at first, doubling to 2 s.
func pause(ctx context.Context, try int) error {
	limit := min(100*time.Millisecond<<min(try, 10), 2*time.Second)
	t := time.NewTimer(rand.N(limit)) //nolint:gosec // spreads load, guards nothing
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// rewind makes r ready to be sent again.
func rewind(r *http.Request) (*http.Request, error) {
	again := r.Clone(r.Context())
	if r.GetBody == nil {
		return again, nil
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	again.Body = body
	return again, nil
}
