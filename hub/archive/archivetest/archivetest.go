// Package archivetest gives tests a real S3 server, versitygw, on loopback over a directory
// of the test, and a proxy that spoils what it answers.
package archivetest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub/archive"
)

// Bucket is the bucket that a server has.
const Bucket = "logs"

// Server is an S3 server of one test.
type Server struct {
	// Endpoint is its address, Dir where it keeps the bucket's objects as files.
	Endpoint, Dir string

	t       testing.TB
	address string
	tls     []string // arguments
	command *exec.Cmd
}

// binary builds the server, which the Go command keeps.
var binary = sync.OnceValues(func() (string, error) {
	_, here, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(here), "../../..")
	c := exec.CommandContext(context.Background(), "go", "tool", "-modfile="+filepath.Join(root, ".tools/versitygw/go.mod"), "-n", "versitygw")
	c.Dir = root
	c.Stderr = os.Stderr
	out, err := c.Output()
	return strings.TrimSpace(string(out)), err
})

// StartS3 starts a server with an empty bucket; it ends with the test.
func StartS3(t testing.TB) *Server {
	t.Helper()
	return startS3(t, "http://")
}

// StartSecureS3 is StartS3 over TLS, with a certificate that only the file vouches for.
func StartSecureS3(t testing.TB) (s *Server, caFile string) {
	t.Helper()
	caFile, keyFile := makeCertificate(t)
	return startS3(t, "https://", "--cert", caFile, "--key", keyFile), caFile
}

func startS3(t testing.TB, scheme string, tls ...string) *Server {
	t.Helper()
	l := listen(t)
	s := &Server{t: t, address: l.Addr().String(), tls: tls, Dir: filepath.Join(t.TempDir(), "objects", Bucket)}
	s.Endpoint = scheme + s.address
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	// Its attributes lie beside: the file system of a test may have none.
	for _, dir := range []string{s.Dir, s.sidecar()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (s *Server) sidecar() string {
	return filepath.Join(filepath.Dir(filepath.Dir(s.Dir)), "attributes")
}

// Start starts a server that was stopped, with what it had.
func (s *Server) Start() {
	s.t.Helper()
	path, err := binary()
	if err != nil {
		s.t.Fatalf("building versitygw, which `make test-deps` does too: %v", err)
	}
	arguments := append([]string{"--quiet", "--port", s.address, "--access", "key", "--secret", "secret-of-tests"}, s.tls...)
	s.command = exec.CommandContext(context.Background(), path, append(arguments, "posix", "--sidecar", s.sidecar(), filepath.Dir(s.Dir))...)
	if err := s.command.Start(); err != nil {
		s.t.Fatal(err)
	}
	dial(s.t, s.address, 30*time.Second)
}

// dial waits until somebody listens.
func dial(t testing.TB, address string, limit time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	try := time.NewTicker(10 * time.Millisecond)
	defer try.Stop()
	for {
		var d net.Dialer
		if c, err := d.DialContext(ctx, "tcp", address); err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the server does not listen on %s", address)
		case <-try.C:
		}
	}
}

// Stop kills the server.
func (s *Server) Stop() {
	if s.command != nil {
		_ = s.command.Process.Kill()
		_ = s.command.Wait()
		s.command = nil
	}
}

// Options of an archive in its bucket, spoken to at an endpoint: its own, or a proxy's.
func (s *Server) Options(endpoint string) archive.Options {
	return archive.Options{URL: "s3://" + Bucket + "/of/tests", S3: archive.S3Options{
		Endpoint: endpoint, Region: "us-east-1", PathStyle: true, AccessKey: "key", SecretKey: "secret-of-tests",
	}}
}

// Open opens an archive.
func Open(t testing.TB, o archive.Options) archive.Archive {
	t.Helper()
	a, err := archive.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// OpenDirectory opens an archive in a directory of the test.
func OpenDirectory(t testing.TB) (a archive.Archive, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "archive")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return Open(t, archive.Options{URL: "file://" + dir}), dir
}

// Proxy stands in front of a server and spoils requests while it is told to.
type Proxy struct {
	Endpoint string
	// Spoil answers a request in the server's place, by true; or wraps the way to it.
	Spoil atomic.Pointer[func(w http.ResponseWriter, r *http.Request, on http.Handler) bool]
}

// StartProxy starts a proxy; it ends with the test.
func StartProxy(t testing.TB, s *Server) *Proxy {
	t.Helper()
	to, err := url.Parse(s.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	// The signature covers the host, so that stays the proxy's.
	on := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	p, l := &Proxy{}, listen(t)
	h := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if spoil := p.Spoil.Load(); spoil == nil || !(*spoil)(w, r, on) {
			on.ServeHTTP(w, r)
		}
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = h.Serve(l) }()
	t.Cleanup(func() { _ = h.Close(); <-done })
	p.Endpoint = fmt.Sprintf("http://%s", l.Addr())
	return p
}

// Refuse makes the proxy answer everything with a status.
func (p *Proxy) Refuse(status int) {
	p.set(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
		w.WriteHeader(status)
		return true
	})
}

// Truncate makes the proxy cut the second half of each body that it hands back: the
// connection breaks in its middle.
func (p *Proxy) Truncate() {
	p.set(func(w http.ResponseWriter, r *http.Request, on http.Handler) bool {
		if r.Method != http.MethodGet {
			return false
		}
		on.ServeHTTP(&half{ResponseWriter: w}, r)
		return true
	})
}

// Heal makes the proxy honest.
func (p *Proxy) Heal() { p.Spoil.Store(nil) }

func (p *Proxy) set(f func(w http.ResponseWriter, r *http.Request, on http.Handler) bool) {
	p.Spoil.Store(&f)
}

// half breaks off.
type half struct {
	http.ResponseWriter

	length, sent int
}

func (h *half) WriteHeader(status int) {
	_, _ = fmt.Sscan(h.Header().Get("Content-Length"), &h.length)
	h.ResponseWriter.WriteHeader(status)
}

func (h *half) Write(b []byte) (int, error) {
	if left := h.length/2 - h.sent; len(b) > left {
		_, _ = h.ResponseWriter.Write(b[:max(0, left)])
		panic(http.ErrAbortHandler)
	}
	h.sent += len(b)
	return h.ResponseWriter.Write(b)
}
