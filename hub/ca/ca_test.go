package ca

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/keys"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
	"github.com/fairlead/fairlead/proto/wire"
)

const org = hub.DefaultOrganisationID

func testMaster(t *testing.T, fill byte) *keys.Master {
	t.Helper()
	m, err := keys.NewMaster(bytes.Repeat([]byte{fill}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func openCA(t *testing.T, st *store.Store) *CA {
	t.Helper()
	c, err := Open(context.Background(), st, testMaster(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// csr makes a request with a key of its own, or the given one.
func csr(t *testing.T, key *ecdsa.PrivateKey, template x509.CertificateRequest) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	if key == nil {
		var err error
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

func sealingKey(t *testing.T) []byte {
	t.Helper()
	_, public, err := wire.SealingKey()
	if err != nil {
		t.Fatal(err)
	}
	return public
}

func TestOpenMakesOneCA(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		st := open(t)
		var wg sync.WaitGroup
		var mu sync.Mutex
		pins := map[wire.Hash]bool{}
		for range 4 { // members that start together
			wg.Go(func() {
				c, err := Open(context.Background(), st, testMaster(t, 1))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				pins[wire.Pin(c.Certificates()[0])] = true
			})
		}
		wg.Wait()
		if len(pins) != 1 {
			t.Errorf("%d CAs were made", len(pins))
		}
		if _, err := Open(context.Background(), st, testMaster(t, 2)); err == nil || !strings.Contains(err.Error(), "master key") {
			t.Errorf("another master key: %v", err)
		}
		_, sealed, err := st.ClusterCA(context.Background())
		if err != nil || bytes.Contains(sealed, []byte("PRIVATE KEY")) {
			t.Errorf("the CA's key lies open (error %v)", err)
		}
	})
}

func TestEnrol(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		ctx, st := context.Background(), open(t)
		c := openCA(t, st)
		text, _, err := c.CreateToken(ctx, NewToken{OrganisationID: org, Tags: []string{"b", "a", "b"}, By: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		// All that a request may ask for is ignored but its key.
		evil, err := url.Parse("spiffe://" + c.ClusterID() + "/member/" + store.NewID())
		if err != nil {
			t.Fatal(err)
		}
		request, key := csr(t, nil, x509.CertificateRequest{
			Subject: pkix.Name{CommonName: "root"}, DNSNames: []string{wire.GatewayName(c.ClusterID())}, URIs: []*url.URL{evil},
		})
		e := Enrolment{Token: text, Request: request, SealingKey: sealingKey(t), Name: "dc2 runner!"}
		first, err := c.Enrol(ctx, e)
		if err != nil {
			t.Fatal(err)
		}
		cert := first.Certificate
		id, err := c.Verify([]*x509.Certificate{cert})
		if err != nil || id.Role != wire.RoleRunner || id.ID != first.Runner.ID || id.OrganisationID != org {
			t.Errorf("identity %+v, %v", id, err)
		}
		if len(cert.DNSNames) > 0 || cert.Subject.CommonName != "" || cert.IsCA || len(cert.URIs) != 1 || len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth {
			t.Errorf("the certificate bears more than its identity: %v %v", cert.DNSNames, cert.ExtKeyUsage)
		}
		if first.Runner.Name != "dc2-runner" || strings.Join(first.Runner.Tags, ",") != "a,b" {
			t.Errorf("runner %q, tags %v", first.Runner.Name, first.Runner.Tags)
		}
		if life := cert.NotAfter.Sub(cert.NotBefore); life != wire.CertificateLife+wire.CertificateBackdate {
			t.Errorf("it lives %s", life)
		}

		e.Request, _ = csr(t, key, x509.CertificateRequest{})
		again, err := c.Enrol(ctx, e)
		if err != nil || !again.Certificate.Equal(cert) || again.Runner.ID != first.Runner.ID {
			t.Errorf("a repeat with the same key: %v", err)
		}
		e.Request, _ = csr(t, nil, x509.CertificateRequest{})
		if _, err := c.Enrol(ctx, e); hub.ErrorCode(err) != hub.CodeUnauthenticated || !strings.Contains(err.Error(), "used already") {
			t.Errorf("a repeat with another key: %v", err)
		}
	})
}

func TestEnrolRefuses(t *testing.T) {
	t.Parallel()
	ctx, st := context.Background(), storetest.New(t)
	c := openCA(t, st)
	text, row, err := c.CreateToken(ctx, NewToken{OrganisationID: org})
	if err != nil {
		t.Fatal(err)
	}
	token, err := wire.ParseEnrolmentToken(text)
	if err != nil {
		t.Fatal(err)
	}
	forged := token
	forged.Secret = bytes.Clone(token.Secret)
	forged.Secret[0] ^= 1
	good, _ := csr(t, nil, x509.CertificateRequest{})
	broken := bytes.Clone(good)
	broken[len(broken)-1] ^= 1
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaRequest, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	sealing := sealingKey(t)
	for name, tc := range map[string]struct {
		e    Enrolment
		code hub.Code
	}{
		"no token":         {Enrolment{Request: good, SealingKey: sealing}, hub.CodeUnauthenticated},
		"forged secret":    {Enrolment{Token: forged.String(), Request: good, SealingKey: sealing}, hub.CodeUnauthenticated},
		"text in place":    {Enrolment{Token: "flr1.$(id).x.y", Request: good, SealingKey: sealing}, hub.CodeUnauthenticated},
		"no request":       {Enrolment{Token: text, SealingKey: sealing}, hub.CodeInvalid},
		"broken signature": {Enrolment{Token: text, Request: broken, SealingKey: sealing}, hub.CodeInvalid},
		"RSA key":          {Enrolment{Token: text, Request: rsaRequest, SealingKey: sealing}, hub.CodeInvalid},
		"huge request":     {Enrolment{Token: text, Request: make([]byte, 1<<20), SealingKey: sealing}, hub.CodeInvalid},
		"no sealing key":   {Enrolment{Token: text, Request: good}, hub.CodeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := c.Enrol(ctx, tc.e); hub.ErrorCode(err) != tc.code {
				t.Errorf("error %v, want code %s", err, tc.code)
			}
		})
	}
	t.Cleanup(func() { // none of them used the token up
		if _, err := c.Enrol(ctx, Enrolment{Token: text, Request: good, SealingKey: sealing}); err != nil {
			t.Errorf("token %s afterwards: %v", row.ID, err)
		}
	})
}

// One token raced by many keys gives one certificate.
func TestTokenRace(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		ctx, st := context.Background(), open(t)
		c := openCA(t, st)
		text, _, err := c.CreateToken(ctx, NewToken{OrganisationID: org})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range 8 {
			request, _ := csr(t, nil, x509.CertificateRequest{})
			sealing := sealingKey(t)
			wg.Go(func() {
				_, err := c.Enrol(ctx, Enrolment{Token: text, Request: request, SealingKey: sealing})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else if hub.ErrorCode(err) != hub.CodeUnauthenticated {
					t.Errorf("loser: %v", err)
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Errorf("%d certificates were given, want 1", won)
		}
	})
}

func TestRenewKeepsTheOldUntilTheNewIsUsed(t *testing.T) {
	t.Parallel()
	ctx, st := context.Background(), storetest.New(t)
	c := openCA(t, st)
	text, _, err := c.CreateToken(ctx, NewToken{OrganisationID: org})
	if err != nil {
		t.Fatal(err)
	}
	request, _ := csr(t, nil, x509.CertificateRequest{})
	first, err := c.Enrol(ctx, Enrolment{Token: text, Request: request, SealingKey: sealingKey(t)})
	if err != nil {
		t.Fatal(err)
	}
	old := Serial(first.Certificate)
	request, _ = csr(t, nil, x509.CertificateRequest{})
	renewed, err := c.Renew(ctx, Renewal{Serial: old, Request: request})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := st.UseRunnerCertificate(ctx, old); err != nil {
		t.Errorf("the old one, before the new was used: %v", err)
	}
	if _, _, err := st.UseRunnerCertificate(ctx, Serial(renewed)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := st.UseRunnerCertificate(ctx, old); hub.ErrorCode(err) != hub.CodeUnauthenticated {
		t.Errorf("the old one, after the new was used: %v", err)
	}
	if err := st.RevokeRunner(ctx, org, first.Runner.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Renew(ctx, Renewal{Serial: Serial(renewed), Request: request}); hub.ErrorCode(err) != hub.CodeUnauthenticated {
		t.Errorf("a revoked runner renewed: %v", err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	c := openCA(t, storetest.New(t))
	other, err := newAuthority(c.ClusterID(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := wire.Identity{ClusterID: c.ClusterID(), Role: wire.RoleRunner, OrganisationID: org, ID: store.NewID()}
	foreign := id
	foreign.ClusterID = store.NewID()
	leaf := func(a *authority, usage x509.ExtKeyUsage, uris ...string) *x509.Certificate {
		template := &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{usage}}
		for _, u := range uris {
			parsed, err := url.Parse(u)
			if err != nil {
				t.Fatal(err)
			}
			template.URIs = append(template.URIs, parsed)
		}
		cert, err := a.leaf(template, key.Public(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	client, own := x509.ExtKeyUsageClientAuth, c.authority
	for name, cert := range map[string]*x509.Certificate{
		"another CA":      leaf(other, client, id.URI()),
		"server only":     leaf(own, x509.ExtKeyUsageServerAuth, id.URI()),
		"no URI":          leaf(own, client),
		"two URIs":        leaf(own, client, id.URI(), id.URI()),
		"another cluster": leaf(own, client, foreign.URI()),
		"upper case":      leaf(own, client, strings.ToUpper(id.URI())),
		"extra element":   leaf(own, client, id.URI()+"/x"),
		"percent":         leaf(own, client, strings.Replace(id.URI(), "runner", "%72unner", 1)),
	} {
		if got, err := c.Verify([]*x509.Certificate{cert}); err == nil {
			t.Errorf("%s: taken for %+v", name, got)
		}
	}
	if got, err := c.Verify([]*x509.Certificate{leaf(own, client, id.URI())}); err != nil || got != id {
		t.Errorf("a good one: %+v, %v", got, err)
	}
	if _, err := c.Verify(nil); err == nil {
		t.Error("no certificate was taken")
	}
}

func TestTokenBounds(t *testing.T) {
	t.Parallel()
	c := openCA(t, storetest.New(t))
	for name, n := range map[string]NewToken{
		"negative life": {OrganisationID: org, Life: -time.Hour},
		"long life":     {OrganisationID: org, Life: 365 * 24 * time.Hour},
		"bad tag":       {OrganisationID: org, Tags: []string{"a b"}},
	} {
		if _, _, err := c.CreateToken(context.Background(), n); hub.ErrorCode(err) != hub.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHTTPSCertificate(t *testing.T) {
	t.Parallel()
	c := openCA(t, storetest.New(t))
	pair, err := c.HTTPS([]string{"hub.example", "10.0.0.1", "::1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"hub.example", "10.0.0.1", "::1"} {
		if err := pair.Leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	// It must not pass for a member, whatever else it bears.
	if _, err := wire.ParseIdentity(pair.Leaf); err == nil {
		t.Error("the HTTPS certificate bears an identity")
	}
}

func TestKeeperRenewsAtHalfLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, err := newAuthority(store.NewID(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		id := wire.Identity{ClusterID: store.NewID(), Role: wire.RoleMember, ID: store.NewID()}
		issue := func() (*tls.Certificate, error) { return a.member(id, time.Now()) }
		k, err := NewKeeper(issue, time.Now, storetest.Logger(t))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- k.Run(ctx) }()
		first := k.Certificate()
		<-time.After(wire.CertificateLife * 4 / 10)
		synctest.Wait()
		if k.Certificate() != first {
			t.Error("renewed before half its life")
		}
		<-time.After(wire.CertificateLife * 2 / 10)
		synctest.Wait()
		if k.Certificate() == first {
			t.Error("not renewed after half its life")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
