package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub/config"
	"github.com/fairlead/fairlead/proto/wire"
)

// testTime bounds everything that a test waits for.
const testTime = 30 * time.Second

// buffer is an output that one goroutine writes while another reads.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// run runs the binary's main with arguments, as a process would, and returns its exit
// code.
func run(ctx context.Context, out, errs io.Writer, stdin string, environ []string, args ...string) int {
	p := &program{env: environment{
		environ: environ, stdin: strings.NewReader(stdin), stdout: out, stderr: errs, home: config.Home{Dir: "/nonexistent"},
	}}
	c := p.command()
	c.SetArgs(args)
	err := c.ExecuteContext(ctx)
	if err != nil {
		p.explain(err)
	}
	return exitCode(err)
}

// command runs a command that ends by itself.
func command(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTime)
	defer cancel()
	var out, errs buffer
	code = run(ctx, &out, &errs, "correct horse battery\n", environ, args...)
	return code, out.String(), errs.String()
}

// testHub is a serving hub.
type testHub struct {
	t           *testing.T
	dir         string
	out, errs   buffer
	url, signIn string
	client      *http.Client
	stop        context.CancelFunc
	ended       chan int
}

var (
	urlLine    = regexp.MustCompile(`UI and API +(\S+)`)
	signInLine = regexp.MustCompile(`Sign in +\S+/sign-in\?link=(\S+)`)
)

// serve starts a hub in dir and waits until it is ready.
func serve(t *testing.T, dir string, environ []string, args ...string) *testHub {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h := &testHub{t: t, dir: dir, stop: cancel, ended: make(chan int, 1)}
	args = append([]string{"serve", "--data-dir", dir, "--http", "127.0.0.1:0", "--gateway", "127.0.0.1:0", "--member", "test"}, args...)
	go func() { h.ended <- run(ctx, &h.out, &h.errs, "", environ, args...) }()
	t.Cleanup(func() { h.end() })
	h.client = &http.Client{Timeout: testTime, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	deadline := time.After(testTime)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if m := urlLine.FindStringSubmatch(h.out.String()); m != nil {
			h.url = m[1]
			if code, _ := h.get("/health/ready", ""); code == http.StatusOK {
				break
			}
		}
		select {
		case code := <-h.ended:
			h.ended <- code
			t.Fatalf("the hub ended with %d:\n%s%s", code, h.out.String(), h.errs.String())
		case <-deadline:
			t.Fatalf("the hub is not ready:\n%s%s", h.out.String(), h.errs.String())
		case <-tick.C:
		}
	}
	if m := signInLine.FindStringSubmatch(h.out.String()); m != nil {
		h.signIn = m[1]
	}
	return h
}

// end tells the hub to end, as SIGTERM does, and returns its exit code.
func (h *testHub) end() int {
	h.t.Helper()
	h.stop()
	select {
	case code := <-h.ended:
		h.ended <- code
		return code
	case <-time.After(testTime):
		h.t.Fatalf("the hub does not end:\n%s", h.errs.String())
		return 0
	}
}

func (h *testHub) get(path, token string) (code int, body string) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, h.url+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return h.do(req)
}

func (h *testHub) do(req *http.Request) (code int, body string) {
	h.t.Helper()
	resp, err := h.client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }() // only read
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// signInBy uses a sign-in link's secret.
func (h *testHub) signInBy(secret string) int {
	h.t.Helper()
	body, err := json.Marshal(map[string]string{"link": secret})
	if err != nil {
		h.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, h.url+"/api/v1/sessions", bytes.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	code, _ := h.do(req)
	return code
}

// The first start prints a link that signs in once; a later one prints none, and
// `user link` makes another whether the hub runs or not.
func TestFirstStartAndLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := serve(t, dir, nil)
	if h.signIn == "" {
		t.Fatalf("no link in:\n%s", h.out.String())
	}
	if first, second := h.signInBy(h.signIn), h.signInBy(h.signIn); first != http.StatusCreated || second != http.StatusUnauthorized {
		t.Errorf("signing in by the link: %d, then %d", first, second)
	}
	for _, ttl := range []string{"-1h", "0", "1us", "1ms", "100000h"} {
		if code, out, errs := command(t, nil, "user", "link", "--ttl", ttl, "--data-dir", dir); code != exitUsage || out != "" {
			t.Errorf("user link --ttl %s: %d %q %q", ttl, code, out, errs)
		}
	}
	code, out, errs := command(t, nil, "user", "link", "--data-dir", dir)
	link := strings.TrimSpace(out)
	if code != 0 || !strings.HasPrefix(link, h.url+"/sign-in?link=") {
		t.Fatalf("user link, hub running: %d %q %q", code, out, errs)
	}
	if got := h.signInBy(link[strings.LastIndex(link, "=")+1:]); got != http.StatusCreated {
		t.Errorf("signing in by it: %d", got)
	}
	if code, out, errs := command(t, nil, "user", "create", "ann", "--password-file", "-", "--admin", "--data-dir", dir); code != 0 {
		t.Errorf("user create: %d %q %q", code, out, errs)
	}
	if code, _, errs := command(t, nil, "user", "create", "ann", "--data-dir", dir); code != exitOther || !strings.Contains(errs, "already") {
		t.Errorf("user create again: %d %q", code, errs)
	}
	if code := h.end(); code != 0 {
		t.Fatalf("ended with %d:\n%s", code, h.errs.String())
	}
	code, out, errs = command(t, nil, "user", "link", "ann", "--data-dir", dir, "--public-url", "https://hub.example")
	link = strings.TrimSpace(out)
	if code != 0 || !strings.HasPrefix(link, "https://hub.example/sign-in?link=") {
		t.Fatalf("user link, hub stopped: %d %q %q", code, out, errs)
	}
	again := serve(t, dir, nil)
	if again.signIn != "" {
		t.Error("the second start printed a link")
	}
	if got := again.signInBy(link[strings.LastIndex(link, "=")+1:]); got != http.StatusCreated {
		t.Errorf("signing in by the link that was made meanwhile: %d", got)
	}
}

func TestBootstrapToken(t *testing.T) {
	t.Parallel()
	h := serve(t, t.TempDir(), []string{"FAIRLEAD_HUB_BOOTSTRAP_TOKEN=an-operators-own-token"})
	if h.signIn != "" {
		t.Error("a link was printed beside the token")
	}
	if code, body := h.get("/api/v1/me", "an-operators-own-token"); code != http.StatusOK || !strings.Contains(body, `"admin"`) {
		t.Errorf("me: %d %s", code, body)
	}
	if strings.Contains(h.out.String()+h.errs.String(), "an-operators-own-token") {
		t.Error("the token was printed")
	}
}

// Scrapers may have a listener of their own, which serves nothing else.
func TestMetricsListener(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	h := serve(t, t.TempDir(), []string{"FAIRLEAD_HUB_METRICS_LISTEN=" + at})
	h.url = "http://" + at
	if code, body := h.get("/metrics", ""); code != http.StatusOK || !strings.Contains(body, "fairlead_hub_member_ready 1\n") {
		t.Errorf("metrics: %d %.200s", code, body)
	}
	if code, _ := h.get("/api/v1/enrolment", ""); code != http.StatusNotFound {
		t.Errorf("it serves more than metrics: %d", code)
	}
}

// Beyond loopback people come over HTTPS, by a certificate of the hub's own CA.
func TestHTTPSBeyondLoopback(t *testing.T) {
	t.Parallel()
	h := serve(t, t.TempDir(), nil, "--http", "0.0.0.0:0", "--public-url", "")
	h.url = "https://127.0.0.1" + h.url[strings.LastIndex(h.url, ":"):]
	_, body := h.get("/api/v1/enrolment", "")
	var about struct {
		CAPEM string `json:"caPem"`
	}
	if err := json.Unmarshal([]byte(body), &about); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(about.CAPEM)) {
		t.Fatalf("no CA in %s", body)
	}
	h.client = &http.Client{Timeout: testTime, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	if code, body := h.get("/health/ready", ""); code != http.StatusOK {
		t.Errorf("verified by the hub's CA: %d %s", code, body)
	}
	old := &tls.Dialer{Config: &tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS12}}
	if conn, err := old.DialContext(t.Context(), "tcp", strings.TrimPrefix(h.url, "https://")); err == nil {
		_ = conn.Close()
		t.Error("TLS 1.2 is taken")
	} else if !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("a client of TLS 1.2 is refused otherwise: %v", err)
	}
	if !strings.Contains(h.out.String(), "sha256:") {
		t.Errorf("the CA's pin is not told:\n%s", h.out.String())
	}
	h.url = strings.Replace(h.url, "https", "http", 1)
	if code, _ := h.get("/health/ready", ""); code == http.StatusOK {
		t.Error("plain HTTP is answered too")
	}
}

func TestInsecureHTTPIsAChoice(t *testing.T) {
	t.Parallel()
	h := serve(t, t.TempDir(), nil, "--http", "0.0.0.0:0", "--insecure-http")
	if !strings.HasPrefix(h.url, "http://") || !strings.Contains(h.errs.String(), "readable") {
		t.Errorf("address %s, log:\n%s", h.url, h.errs.String())
	}
}

// A data directory whose path does not fit into a socket's address is like any other.
func TestDeepDataDir(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	dir := filepath.Join(top, strings.Repeat("deep/", 30))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds the socket of the first
		h := serve(t, dir, nil)
		code, out, errs := command(t, nil, "user", "link", "--data-dir", dir)
		if code != 0 || !strings.HasPrefix(out, h.url+"/sign-in?link=") {
			t.Fatalf("user link: %d %q %q\n%s", code, out, errs, h.errs.String())
		}
		if info, err := os.Stat(filepath.Join(dir, adminSocket)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("socket %v, %v", info, err)
		}
		if code := h.end(); code != 0 {
			t.Fatalf("ended with %d:\n%s", code, h.errs.String())
		}
	}
	if code, _, errs := command(t, nil, "user", "link", "--data-dir", dir); code != 0 {
		t.Errorf("user link, hub stopped: %d %q", code, errs)
	}
}

// A second process on one data directory is refused, and the first does not notice.
func TestSecondProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := serve(t, dir, nil)
	for _, args := range [][]string{{"serve", "--http", "127.0.0.1:0", "--gateway", "127.0.0.1:0"}, {"migrate"}} {
		code, _, errs := command(t, nil, append(args, "--data-dir", dir)...)
		if code != exitOther || !strings.Contains(errs, "already runs in "+dir) {
			t.Errorf("%v: %d %q", args, code, errs)
		}
	}
	if code, _ := h.get("/health/ready", ""); code != http.StatusOK {
		t.Errorf("the first is not ready: %d", code)
	}
}

func TestCannotServe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := serve(t, dir, nil)
	taken := strings.TrimPrefix(h.url, "http://")
	other := t.TempDir()
	if code, _, errs := command(t, nil, "serve", "--data-dir", other, "--http", taken, "--gateway", "127.0.0.1:0"); code != exitOther || !strings.Contains(errs, "--http") {
		t.Errorf("a taken address: %d %q", code, errs)
	}
	h.end()
	wrong := []string{"FAIRLEAD_HUB_MASTER_KEY=" + strings.Repeat("ab", 32)}
	if code, _, errs := command(t, wrong, "serve", "--data-dir", dir, "--http", "127.0.0.1:0", "--gateway", "127.0.0.1:0"); code == 0 || !strings.Contains(errs, "another master key") {
		t.Errorf("another master key: %d %q", code, errs)
	}
	file := filepath.Join(other, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := command(t, nil, "serve", "--data-dir", file); code != exitUsage || !strings.Contains(errs, "--data-dir") {
		t.Errorf("a file as data directory: %d %q", code, errs)
	}
	if code, _, errs := command(t, nil, "serve", "--data-dir", other, "--http", "127.0.0.1:0", "--gateway", "127.0.0.1:0", "--tls-cert", file, "--tls-key", file); code != exitUsage || !strings.Contains(errs, "--tls-cert") {
		t.Errorf("a bad certificate: %d %q", code, errs)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"serve --htpp :1":    "unknown flag: --htpp",
		"serve now":          "takes no arguments",
		"frobnicate":         `no command "frobnicate"`,
		"user frobnicate":    `no command "frobnicate"`,
		"user enrol --hub x": `fairlead-hub user has no command "enrol"`,
		"config":             "needs one of its commands",
		"user create":        "needs one NAME",
		"user password ann":  "--password-file",
		"user create ann --password-file /dev/null": "password file is empty",
		"user link a b":                           "accepts at most 1",
		"config check --http 8440":                "not host:port",
		"user link --data-dir /nonexistent/x":     "There is no hub in",
		"config check --config /nonexistent.yaml": "cannot be read",
	} {
		code, _, errs := command(t, nil, strings.Fields(line)...)
		wrong := exitUsage
		if strings.Contains(line, "/nonexistent/x") {
			wrong = exitOther
		}
		if code != wrong || !strings.Contains(errs, want) {
			t.Errorf("%s: %d %q, want %q", line, code, errs, want)
		}
	}
}

func TestConfigAndVersion(t *testing.T) {
	t.Parallel()
	env := []string{"FAIRLEAD_HUB_DATABASE=postgres://me:hunter2@host/name"}
	if code, out, _ := command(t, env, "config", "show", "--member", "m1"); code != 0 || strings.Contains(out, "hunter2") || !strings.Contains(out, "(hidden)") || !strings.Contains(out, "--member") {
		t.Errorf("config show: %d\n%s", code, out)
	}
	if code, out, _ := command(t, env, "config", "check"); code != 0 || out == "" {
		t.Errorf("config check: %d %q", code, out)
	}
	if code, out, _ := command(t, nil, "version"); code != 0 || !strings.Contains(out, fmt.Sprintf("protocol %d to %d", wire.MinProtocolVersion, wire.MaxProtocolVersion)) {
		t.Errorf("version: %d %q", code, out)
	}
	if code, out, errs := command(t, nil, "migrate", "--data-dir", t.TempDir()); code != 0 || !strings.Contains(out, "schema") {
		t.Errorf("migrate: %d %q %q", code, out, errs)
	}
}
