package store

import (
	"context"
	"fmt"
	"time"

	"github.com/fairlead/fairlead/hub"
)

const certificateColumns = `serial, runner_id, public_key, der, not_after, first_used_at, superseded, created_at`

func scanCertificate(r scanner) (*hub.RunnerCertificate, error) {
	c := &hub.RunnerCertificate{}
	err := r.Scan(&c.Serial, &c.RunnerID, &c.PublicKey, &c.DER, timeInto(&c.NotAfter), timeInto(&c.FirstUsedAt), &c.Superseded, timeInto(&c.CreatedAt))
	return c, err
}

// AddRunnerCertificate stores a certificate that was issued. Those before it stay
// good until it is first used.
func (s *Store) AddRunnerCertificate(ctx context.Context, c *hub.RunnerCertificate) error {
	c.CreatedAt = s.Now()
	_, err := s.exec(ctx, `INSERT INTO runner_certificate (serial, runner_id, public_key, der, not_after, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		c.Serial, c.RunnerID, c.PublicKey, c.DER, at(c.NotAfter), at(c.CreatedAt))
	if err != nil {
		return fmt.Errorf("storing a certificate of runner %s: %w", c.RunnerID, err)
	}
	return nil
}

// ErrUnknownCertificate is the answer to a serial that the database does not have.
var ErrUnknownCertificate = hub.Errorf(hub.CodeUnauthenticated, "This certificate is not one that the hub knows; enrol the runner again.")

// RunnerCertificate returns a certificate by its serial.
func (s *Store) RunnerCertificate(ctx context.Context, serial string) (*hub.RunnerCertificate, error) {
	c, err := scanCertificate(s.queryRow(ctx, `SELECT `+certificateColumns+` FROM runner_certificate WHERE serial = $1`, serial))
	if missing(err) {
		return nil, ErrUnknownCertificate
	}
	if err != nil {
		return nil, fmt.Errorf("reading certificate %s: %w", serial, err)
	}
	return c, nil
}

// RunnerCertificates returns the certificates of a runner, newest first.
func (s *Store) RunnerCertificates(ctx context.Context, runnerID string) ([]*hub.RunnerCertificate, error) {
	list, err := collect(ctx, s, scanCertificate, `SELECT `+certificateColumns+` FROM runner_certificate
		WHERE runner_id = $1 ORDER BY created_at DESC, serial DESC`, runnerID)
	if err != nil {
		return nil, fmt.Errorf("reading the certificates of runner %s: %w", runnerID, err)
	}
	return list, nil
}

// UseRunnerCertificate takes note that a certificate opened a session and returns it
// with its runner. The first use ends the certificates before it. One that was
// superseded, is not known or whose runner is revoked is refused.
func (s *Store) UseRunnerCertificate(ctx context.Context, serial string) (c *hub.RunnerCertificate, r *hub.Runner, err error) {
	if c, r, err = s.goodCertificate(ctx, serial); err != nil || !c.FirstUsedAt.IsZero() {
		return c, r, err
	}
	err = s.InTx(ctx, func(s *Store) error {
		// The runner's row first: two new certificates must not end one another.
		var id string
		if err := s.queryRow(ctx, `SELECT id FROM runner WHERE id = $1`+s.dialect.forUpdate, c.RunnerID).Scan(&id); err != nil {
			return err
		}
		if c, r, err = s.goodCertificate(ctx, serial); err != nil || !c.FirstUsedAt.IsZero() {
			return err
		}
		c.FirstUsedAt = s.Now()
		if _, err := s.exec(ctx, `UPDATE runner_certificate SET first_used_at = $1 WHERE serial = $2`, at(c.FirstUsedAt), serial); err != nil {
			return err
		}
		_, err := s.exec(ctx, `UPDATE runner_certificate SET superseded = TRUE
			WHERE runner_id = $1 AND serial <> $2 AND created_at <= $3 AND NOT superseded`, c.RunnerID, serial, at(c.CreatedAt))
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("using certificate %s: %w", serial, err)
	}
	return c, r, nil
}

// goodCertificate reads a certificate and its runner and refuses them if need be.
func (s *Store) goodCertificate(ctx context.Context, serial string) (*hub.RunnerCertificate, *hub.Runner, error) {
	c, err := s.RunnerCertificate(ctx, serial)
	if err != nil {
		return nil, nil, err
	}
	r, err := s.Runner(ctx, c.RunnerID)
	if err == nil {
		err = refuseCertificate(c, r)
	}
	if err != nil {
		return nil, nil, err
	}
	return c, r, nil
}

func refuseCertificate(c *hub.RunnerCertificate, r *hub.Runner) error {
	switch {
	case r.Revoked:
		return hub.Errorf(hub.CodeUnauthenticated, "The runner %q was revoked.", r.Name)
	case c.Superseded:
		return hub.Errorf(hub.CodeUnauthenticated, "This certificate of runner %q was replaced by a newer one.", r.Name)
	default:
		return nil
	}
}

// CertificateUse is what the database says of a certificate that is presented.
type CertificateUse struct {
	Runner *hub.Runner
	// First: it is good and was never used before; UseRunnerCertificate takes note.
	First bool
	Err   error
}

// LookUpCertificates is UseRunnerCertificate for many, but for the note of a first use.
func (s *Store) LookUpCertificates(ctx context.Context, serials []string) ([]CertificateUse, error) {
	certificates := make(map[string]*hub.RunnerCertificate, len(serials))
	var ids []string
	err := inPieces(len(serials), func(from, to int) error {
		part, err := collect(ctx, s, scanCertificate, `SELECT `+certificateColumns+` FROM runner_certificate
			WHERE serial IN (`+params(1, to-from)+`)`, anys(serials[from:to])...)
		for _, c := range part {
			certificates[c.Serial] = c
			ids = append(ids, c.RunnerID)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading %d certificates: %w", len(serials), err)
	}
	list, err := s.RunnersByID(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("reading the runners of %d certificates: %w", len(serials), err)
	}
	runners := make(map[string]*hub.Runner, len(list))
	for _, r := range list {
		runners[r.ID] = r
	}
	out := make([]CertificateUse, len(serials))
	for i, serial := range serials {
		c := certificates[serial]
		if c == nil || runners[c.RunnerID] == nil { // its runner went between the two reads
			out[i].Err = ErrUnknownCertificate
			continue
		}
		out[i].Runner, out[i].Err = runners[c.RunnerID], refuseCertificate(c, runners[c.RunnerID])
		out[i].First = out[i].Err == nil && c.FirstUsedAt.IsZero()
	}
	return out, nil
}

// DeleteOldCertificates removes superseded certificates that ended before a time, but for
// those that may have signed a result that is still kept; how many it were.
func (s *Store) DeleteOldCertificates(ctx context.Context, before time.Time) (int64, error) {
	n, err := s.exec(ctx, `DELETE FROM runner_certificate WHERE superseded AND not_after < $1
		AND NOT EXISTS (SELECT 1 FROM (SELECT created_at FROM execution ORDER BY number LIMIT 1) oldest WHERE oldest.created_at <= runner_certificate.not_after)`, at(before))
	if err != nil {
		return 0, fmt.Errorf("removing old certificates: %w", err)
	}
	return n, nil
}
