package ca

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/proto/wire"
)

// Bounds of an enrolment token's life.
const (
	defaultTokenLife = time.Hour
	maxTokenLife     = 30 * 24 * time.Hour
)

// NewToken is an enrolment token to be made.
type NewToken struct {
	OrganisationID string
	// ProjectIDs that the runner may serve; empty: all of the organisation.
	ProjectIDs []string
	Tags       []string
	// Life; 0: 1 h.
	Life time.Duration
	By   string
}

// CreateToken makes a one-use enrolment token. text pins this CA, and is shown once.
func (c *CA) CreateToken(ctx context.Context, n NewToken) (text string, t *hub.EnrolmentToken, err error) {
	if n.Life == 0 {
		n.Life = defaultTokenLife
	}
	if n.Life < time.Second || n.Life > maxTokenLife {
		return "", nil, hub.Errorf(hub.CodeInvalid, "A token lives from a second to %s, not %s.", maxTokenLife, n.Life)
	}
	tags, err := checkTags(n.Tags)
	if err != nil {
		return "", nil, err
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	t = &hub.EnrolmentToken{
		ID: store.NewID(), OrganisationID: n.OrganisationID, SecretHash: hash(secret),
		ProjectIDs: n.ProjectIDs, Tags: tags, CreatedBy: n.By, ExpiresAt: c.st.Now().Add(n.Life),
	}
	if err := c.st.CreateEnrolmentToken(ctx, t); err != nil {
		return "", nil, err
	}
	return wire.EnrolmentToken{ID: t.ID, Secret: secret, Pin: wire.Pin(c.authority.cert)}.String(), t, nil
}

func hash(b []byte) []byte {
	h := sha256.Sum256(b)
	return h[:]
}

func checkTags(tags []string) ([]string, error) {
	out := make([]string, 0, len(tags))
	for _, t := range tags {
		if t = strings.TrimSpace(t); !hub.IsTag(t) {
			return nil, hub.Errorf(hub.CodeInvalid, "The tag %q is not one: letters and digits, then also . _ : - (at most 128).", t)
		}
		out = append(out, t)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// Enrolment is what a new runner sends.
type Enrolment struct {
	Token      string
	Request    []byte // PKCS #10, DER
	SealingKey []byte
	Name       string
	Version    string
	OS, Arch   string
	Hostname   string
}

// Enrolled is what it gets.
type Enrolled struct {
	Runner      *hub.Runner
	Certificate *x509.Certificate
}

// Enrol certifies a new runner for a token. The same token with the same key gets the
// same certificate again.
func (c *CA) Enrol(ctx context.Context, e Enrolment) (*Enrolled, error) {
	token, err := wire.ParseEnrolmentToken(e.Token)
	if err != nil {
		return nil, hub.Errorf(hub.CodeUnauthenticated, "%s", err.Error())
	}
	key, err := requestKey(e.Request)
	if err != nil {
		return nil, err
	}
	if err := wire.CheckSealingKey(e.SealingKey); err != nil {
		return nil, &hub.Error{Code: hub.CodeInvalid, Message: "The runner's sealing key cannot be used.", Cause: err}
	}
	public, err := publicHash(key)
	if err != nil {
		return nil, err
	}
	var out *Enrolled
	// A name that another enrolment took meanwhile is a conflict: then the next free one.
	for range nameTries {
		err = c.st.InTx(ctx, func(st *store.Store) (err error) {
			out, err = c.enrol(ctx, st, token, key, public, e)
			return err
		})
		if hub.ErrorCode(err) != hub.CodeConflict {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// nameTries bounds how often a name is sought anew.
const nameTries = 5

func (c *CA) enrol(ctx context.Context, st *store.Store, token wire.EnrolmentToken, key *ecdsa.PublicKey, public []byte, e Enrolment) (*Enrolled, error) {
	runnerID := store.NewID()
	t, err := st.UseEnrolmentToken(ctx, token.ID, hash(token.Secret), public, runnerID)
	if err != nil {
		return nil, err
	}
	if t.RunnerID != runnerID {
		return c.again(ctx, st, t, public)
	}
	name, err := freeName(ctx, st, t.OrganisationID, e.Name, e.Hostname)
	if err != nil {
		return nil, err
	}
	r := &hub.Runner{
		ID: runnerID, OrganisationID: t.OrganisationID, Name: name, Tags: t.Tags, ProjectIDs: t.ProjectIDs,
		SealingKey: e.SealingKey, Version: e.Version, OS: e.OS, Arch: e.Arch, Hostname: e.Hostname,
	}
	if err := st.CreateRunner(ctx, r); err != nil {
		return nil, err
	}
	cert, err := c.certify(ctx, st, r, key, public)
	if err != nil {
		return nil, err
	}
	err = st.Audit(ctx, hub.AuditEvent{
		OrganisationID: r.OrganisationID, Actor: "runner:" + r.ID, Action: "runner.enrol",
		Object: r.Name, Result: "done", Detail: "token " + t.ID + " of " + t.CreatedBy,
	})
	return &Enrolled{Runner: r, Certificate: cert}, err
}

// again answers a repeat with what the first time made.
func (c *CA) again(ctx context.Context, st *store.Store, t *hub.EnrolmentToken, public []byte) (*Enrolled, error) {
	if !st.Now().Before(t.ExpiresAt) {
		return nil, hub.Errorf(hub.CodeUnauthenticated, "This enrolment token has expired; make another with: fairlead runners token create")
	}
	r, err := st.Runner(ctx, t.RunnerID)
	if err != nil {
		return nil, err
	}
	if r.Revoked {
		return nil, hub.Errorf(hub.CodeUnauthenticated, "The runner %q that this token made was revoked.", r.Name)
	}
	certs, err := st.RunnerCertificates(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	for _, rc := range certs {
		if slices.Equal(rc.PublicKey, public) {
			cert, err := x509.ParseCertificate(rc.DER)
			if err != nil {
				return nil, fmt.Errorf("reading the certificate of runner %s: %w", r.ID, err)
			}
			return &Enrolled{Runner: r, Certificate: cert}, nil
		}
	}
	return nil, fmt.Errorf("the certificate of runner %s for its enrolment is gone", r.ID)
}

// certify signs a certificate for a runner and stores it.
func (c *CA) certify(ctx context.Context, st *store.Store, r *hub.Runner, key *ecdsa.PublicKey, public []byte) (*x509.Certificate, error) {
	id := wire.Identity{ClusterID: c.clusterID, Role: wire.RoleRunner, OrganisationID: r.OrganisationID, ID: r.ID}
	cert, err := c.authority.runner(id, key, st.Now())
	if err != nil {
		return nil, err
	}
	err = st.AddRunnerCertificate(ctx, &hub.RunnerCertificate{
		Serial: Serial(cert), RunnerID: r.ID, PublicKey: public, DER: cert.Raw, NotAfter: cert.NotAfter,
	})
	return cert, err
}

// Serial is a certificate's serial number as the store knows it.
func Serial(cert *x509.Certificate) string { return hex.EncodeToString(cert.SerialNumber.Bytes()) }

func publicHash(key *ecdsa.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, &hub.Error{Code: hub.CodeInvalid, Message: "The certificate request's key cannot be used.", Cause: err}
	}
	return hash(der), nil
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// freeName makes what a runner calls itself a name that nobody in service has.
func freeName(ctx context.Context, st *store.Store, organisationID string, wanted ...string) (string, error) {
	base := "runner"
	for _, w := range wanted {
		if w = strings.Trim(notInName.ReplaceAllString(w, "-"), "-."); w != "" {
			base = w[:min(len(w), 100)]
			break
		}
	}
	list, err := st.Runners(ctx, organisationID, false)
	if err != nil {
		return "", err
	}
	taken := make(map[string]bool, len(list))
	for _, r := range list {
		taken[r.Name] = true
	}
	name := base
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name, nil
}

// Renewal is what an enrolled runner sends for a fresh certificate.
type Renewal struct {
	// Serial of the certificate that it came with, and whether that has expired.
	Serial     string
	Expired    bool
	Request    []byte
	SealingKey []byte
}

// Renew certifies a new key of a runner. Its older certificates stay good until the
// new one is first used.
func (c *CA) Renew(ctx context.Context, n Renewal) (*x509.Certificate, error) {
	key, err := requestKey(n.Request)
	if err != nil {
		return nil, err
	}
	public, err := publicHash(key)
	if err != nil {
		return nil, err
	}
	if len(n.SealingKey) > 0 {
		if err := wire.CheckSealingKey(n.SealingKey); err != nil {
			return nil, &hub.Error{Code: hub.CodeInvalid, Message: "The runner's sealing key cannot be used.", Cause: err}
		}
	}
	var cert *x509.Certificate
	err = c.st.InTx(ctx, func(st *store.Store) error {
		_, r, err := st.UseRunnerCertificate(ctx, n.Serial)
		if err != nil {
			return err
		}
		if len(n.SealingKey) > 0 && !slices.Equal(n.SealingKey, r.SealingKey) {
			if err := st.SetSealingKey(ctx, r.ID, n.SealingKey); err != nil {
				return err
			}
		}
		if cert, err = c.certify(ctx, st, r, key, public); err != nil {
			return err
		}
		detail := "until " + cert.NotAfter.UTC().Format(time.RFC3339)
		if n.Expired {
			detail += "; the old certificate had expired"
		}
		return st.Audit(ctx, hub.AuditEvent{
			OrganisationID: r.OrganisationID, Actor: "runner:" + r.ID, Action: "runner.renew",
			Object: r.Name, Result: "done", Detail: detail,
		})
	})
	return cert, err
}
