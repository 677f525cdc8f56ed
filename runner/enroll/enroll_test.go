package enroll

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

func enrolled(t *testing.T) (*testHub, *Identity, string) {
	t.Helper()
	ca := newAuthority(t)
	h, dir := newHub(t, ca, ca), t.TempDir()
	i, already, err := Enrol(context.Background(), h.config(dir))
	if err != nil || already {
		t.Fatalf("already %v, error %v", already, err)
	}
	return h, i, dir
}

func TestEnrol(t *testing.T) {
	t.Parallel()
	h, i, dir := enrolled(t)
	if i.RunnerID() != runnerID || i.ClusterID() != clusterID || i.OrganisationID() != orgID || i.Name() != "r1" || i.Hub() != h.web.URL {
		t.Errorf("identity %+v", i.about)
	}
	files, err := os.ReadDir(filepath.Join(dir, folder))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, error %v", f.Name(), info.Mode(), err)
		}
		if f.Name() == pendingFile {
			t.Error("the pending key is left")
		}
		text, err := os.ReadFile(filepath.Join(dir, folder, f.Name()))
		if err != nil || bytes.Contains(text, []byte(h.token.String())) {
			t.Errorf("%s holds the token (error %v)", f.Name(), err)
		}
	}
	again, already, err := Enrol(context.Background(), h.config(dir))
	if err != nil || !already || again.RunnerID() != runnerID || h.asks() != 1 {
		t.Errorf("a repeat: already %v, asked %d times, error %v", already, h.asks(), err)
	}
}

// Killed or cut at any point, the same token and key get the same certificate.
func TestEnrolAfterALostAnswer(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	h, dir := newHub(t, ca, ca), t.TempDir()
	h.lose = 1
	if _, _, err := Enrol(context.Background(), h.config(dir)); err == nil {
		t.Fatal("the lost answer was no error")
	}
	if _, err := Load(dir); !errors.Is(err, ErrNotEnrolled) {
		t.Errorf("after the cut: %v", err)
	}
	i, already, err := Enrol(context.Background(), h.config(dir))
	if err != nil || already || i.RunnerID() != runnerID {
		t.Errorf("the repeat: already %v, error %v", already, err)
	}
	if len(h.keys) != 1 {
		t.Errorf("the hub saw %d keys", len(h.keys))
	}
}

func TestEnrolRefuses(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }))
	t.Cleanup(page.Close)
	for name, tc := range map[string]struct {
		told, gateway *authority
		change        func(*testHub, *Config)
		words         string
		asked         int
	}{
		"another hub's token": {ca, ca, func(h *testHub, c *Config) {
			token := h.token
			token.Pin = wire.Pin(other.cert)
			c.Token = token.String()
		}, "another CA than the one this token pins", 0},
		"gateway of another CA": {ca, other, func(*testHub, *Config) {}, "is not of this cluster's CA", 0},
		"refused":               {ca, ca, func(h *testHub, _ *Config) { h.refuse = "token expired" }, "token expired", 1},
		"no hub":                {ca, ca, func(_ *testHub, c *Config) { c.Hub = page.URL }, "does not answer like a Fairlead hub", 0},
		"nothing there":         {ca, ca, func(_ *testHub, c *Config) { c.Hub = "http://127.0.0.1:1" }, "does not answer", 0},
		"no address":            {ca, ca, func(_ *testHub, c *Config) { c.Hub = "hub.example:8440" }, "https://hub.example", 0},
		"half a token":          {ca, ca, func(_ *testHub, c *Config) { c.Token = c.Token[:40] }, "copy it again", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, dir := newHub(t, tc.told, tc.gateway), t.TempDir()
			cfg := h.config(dir)
			tc.change(h, &cfg)
			_, _, err := Enrol(context.Background(), cfg)
			if err == nil || !strings.Contains(err.Error(), tc.words) {
				t.Errorf("error %v does not say %q", err, tc.words)
			}
			if err != nil && strings.Contains(err.Error(), cfg.Token) {
				t.Error("the error repeats the token")
			}
			if h.asks() != tc.asked {
				t.Errorf("the token was sent %d times, want %d", h.asks(), tc.asked)
			}
			if _, err := Load(dir); !errors.Is(err, ErrNotEnrolled) {
				t.Errorf("an identity is left: %v", err)
			}
		})
	}
}

func TestEnrolAtASecondHub(t *testing.T) {
	t.Parallel()
	_, _, dir := enrolled(t)
	ca := newAuthority(t)
	if _, _, err := Enrol(context.Background(), newHub(t, ca, ca).config(dir)); err == nil || !strings.Contains(err.Error(), "another hub") {
		t.Errorf("error %v", err)
	}
}

func TestTwoEnrolmentsAtOnce(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	h, dir := newHub(t, ca, ca), t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
		t.Fatal(err)
	}
	unlock, err := lock(filepath.Join(dir, folder, "enrol.lock"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Enrol(context.Background(), h.config(dir)); err == nil || !strings.Contains(err.Error(), "another enrolment") {
		t.Errorf("error %v", err)
	}
	unlock()
	if _, _, err := Enrol(context.Background(), h.config(dir)); err != nil {
		t.Error(err)
	}
}

func TestRenew(t *testing.T) {
	t.Parallel()
	h, i, dir := enrolled(t)
	old := i.Certificate()
	if err := i.Renew(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	fresh := i.Certificate()
	if fresh.Equal(old) || bytes.Equal(fresh.RawSubjectPublicKeyInfo, old.RawSubjectPublicKeyInfo) {
		t.Error("certificate or key is the old one")
	}
	digest := wire.Hash{1}
	signature, err := i.Sign(digest)
	if err != nil || !ecdsa.VerifyASN1(fresh.PublicKey.(*ecdsa.PublicKey), digest[:], signature) {
		t.Errorf("it does not sign with the new key: %v", err)
	}
	again, err := Load(dir)
	if err != nil || !again.Certificate().Equal(fresh) {
		t.Fatalf("the disk has another one: %v", err)
	}
	if want := []string{h.gateway, "192.0.2.7:8441", "127.0.0.1:8441"}; !slices.Equal(again.Gateways(), want) {
		t.Errorf("gateways %v, want %v", again.Gateways(), want)
	}
}

func TestRenewIn(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	v := validity{from: from, to: from.Add(100 * time.Hour)}
	for at, want := range map[time.Duration]time.Duration{
		0: maxRenewWait, 49*time.Hour + 30*time.Minute: 30 * time.Minute, 50 * time.Hour: 0, 200 * time.Hour: 0,
	} {
		if got := renewIn(v, from.Add(at), 0.5); got != want {
			t.Errorf("after %s: wait %s, want %s", at, got, want)
		}
	}
}

func TestBundle(t *testing.T) {
	t.Parallel()
	_, i, dir := enrolled(t)
	next := newAuthority(t)
	for name, der := range map[string][][]byte{"empty": nil, "broken": {{1, 2, 3}}} {
		if err := i.SetBundle(der); err == nil {
			t.Errorf("a bundle that is %s was taken", name)
		}
	}
	if err := i.SetBundle([][]byte{i.cas[0].Raw, next.cert.Raw}); err != nil {
		t.Fatal(err)
	}
	again, err := Load(dir)
	if err != nil || len(again.cas) != 2 || !again.cas[1].Equal(next.cert) {
		t.Errorf("the disk has %d CAs, %v", len(again.cas), err)
	}
}

func TestOpenSecrets(t *testing.T) {
	t.Parallel()
	_, i, _ := enrolled(t)
	public, err := wire.SealingPublic(i.sealing)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := proto.Marshal(&runnerv1.Secrets{Options: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := wire.Seal(public, wire.SealInfo(clusterID, "attempt"), plain)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := i.OpenSecrets("attempt", sealed); err != nil || s.GetOptions()["a"] != "b" {
		t.Errorf("secrets %v, %v", s, err)
	}
	if _, err := i.OpenSecrets("other", sealed); err == nil {
		t.Error("they open for another attempt")
	}
	if s, err := i.OpenSecrets("attempt", nil); err != nil || len(s.GetOptions()) != 0 {
		t.Errorf("nothing sealed gives %v, %v", s, err)
	}
}

func TestLoadRefusesAReadableKey(t *testing.T) {
	t.Parallel()
	_, _, dir := enrolled(t)
	path := filepath.Join(dir, folder, runnerFile)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("error %v", err)
	}
}

// Only a member of this cluster is taken for a gateway, whatever the CA has signed.
func TestVerifyMember(t *testing.T) {
	t.Parallel()
	ca, other, key := newAuthority(t), newAuthority(t), testKey(t)
	member := identity(wire.RoleMember, memberID)
	for name, tc := range map[string]struct {
		ca     *authority
		change func(*x509.Certificate)
		words  string
	}{
		"member": {ca, member, ""},
		"runner with the gateway's name": {ca, func(c *x509.Certificate) {
			identity(wire.RoleRunner, runnerID)(c)
			c.DNSNames = []string{wire.GatewayName(clusterID)}
		}, "not a member"},
		"people's listener": {ca, func(c *x509.Certificate) { c.DNSNames = []string{wire.GatewayName(clusterID)} }, "0 URIs"},
		"another name":      {ca, func(c *x509.Certificate) { member(c); c.DNSNames = []string{"hub.example"} }, "hub.example"},
		"another CA":        {other, member, "not of this cluster's CA"},
		"another CA and name": {other, func(c *x509.Certificate) {
			c.DNSNames, c.NotAfter = []string{"hub.example"}, time.Now().Add(-time.Minute)
		}, "not of this cluster's CA"},
		"expired": {ca, func(c *x509.Certificate) {
			member(c)
			c.NotAfter = time.Now().Add(-time.Minute)
		}, "check its clock"},
		"for clients alone": {ca, func(c *x509.Certificate) {
			member(c)
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}, "usage"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cert, err := x509.ParseCertificate(tc.ca.leaf(key.Public(), tc.change))
			if err != nil {
				t.Fatal(err)
			}
			err = verifyMember(tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}, clusterID, []*x509.Certificate{ca.cert})
			if (err == nil) != (tc.words == "") || err != nil && !strings.Contains(err.Error(), tc.words) {
				t.Errorf("error %v, want %q", err, tc.words)
			}
		})
	}
	if err := verifyMember(tls.ConnectionState{}, clusterID, nil); err == nil {
		t.Error("no certificate was taken")
	}
}

func TestTokenSources(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("from file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stdin := func() TokenSource { return TokenSource{Stdin: strings.NewReader(" from stdin \n")} }
	for name, tc := range map[string]struct {
		change func(*TokenSource)
		want   string
	}{
		"flag before all":   {func(s *TokenSource) { s.Flag, s.File, s.Env = "from flag", file, "from env" }, "from flag"},
		"file before env":   {func(s *TokenSource) { s.File, s.Env = file, "from env" }, "from file"},
		"env":               {func(s *TokenSource) { s.Env = "from env" }, "from env"},
		"flag says stdin":   {func(s *TokenSource) { s.Flag, s.Env = "-", "from env" }, "from stdin"},
		"file says stdin":   {func(s *TokenSource) { s.File = "-" }, "from stdin"},
		"nothing":           {func(*TokenSource) {}, ""},
		"file is not there": {func(s *TokenSource) { s.File = file + "x" }, ""},
		"empty stdin":       {func(s *TokenSource) { s.Flag, s.Stdin = "-", strings.NewReader("\n") }, ""},
	} {
		s := stdin()
		tc.change(&s)
		got, err := s.Token()
		if got != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestTarget(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"127.0.0.1:8441": "passthrough:///127.0.0.1:8441", "[::1]:8441": "passthrough:///[::1]:8441",
		"hub.example:8441": "dns:///hub.example:8441", "10.0.0.1:8441": "dns:///10.0.0.1:8441",
	} {
		if got := Target(address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}
