package gateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/proto/wire"
)

// TestOnePort asks one port for either side in every way that clients do.
func TestOnePort(t *testing.T) {
	t.Parallel()
	addr, stop := servePort(t)
	clusterID := "0197f2f0-0000-7000-8000-000000000000"
	for name, want := range map[string]string{
		wire.GatewayName(clusterID): "gateway", "hub.example": "people", "": "people",
		"gateway.example": "people", "x.gateway.1.fairlead.example": "people",
	} {
		conn, err := (&tls.Dialer{Config: &tls.Config{ServerName: name, InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}}).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if got := ask(t, conn); got != want {
			t.Errorf("who asks for %q gets %s, want %s", name, got, want)
		}
	}
	for name, text := range map[string]string{"plain HTTP": "GET / HTTP/1.0\r\n\r\n", "no TLS after all": "\x16\x03\x01\x00\x05hello"} {
		conn := dial(t, addr)
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		// Go's server answers both in words of its own; it must be asked, and not hang.
		if _, err := io.ReadAll(conn); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: %v", name, err)
		}
	}
	silent := dial(t, addr)
	stop()
	if _, err := silent.Read(make([]byte, 1)); err == nil {
		t.Error("who says nothing is kept after the end")
	}
}

func TestOnePortClosesWhoSaysNothing(t *testing.T) {
	t.Parallel()
	client, server := net.Pipe()
	defer client.Close()
	_ = server.SetDeadline(time.Now().Add(10 * time.Millisecond))
	go func() { _, _ = client.Write([]byte{recordHandshake, 3, 1}) }()
	if _, _, err := serverName(t.Context(), server); err == nil {
		t.Error("half a hello was taken")
	}
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn
}

func ask(t *testing.T, conn net.Conn) string {
	t.Helper()
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := conn.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(answer), "\r\n\r\n")
	return body
}

// servePort serves a port whose two sides say who they are.
func servePort(t *testing.T) (addr string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := NewOnePort(l)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	config := &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}, MinVersion: tls.VersionTLS13}
	for who, side := range map[string]net.Listener{"gateway": p.Gateway, "people": p.People} {
		s := &http.Server{ReadHeaderTimeout: time.Minute, TLSConfig: config.Clone(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, who) })}
		go func() { _ = s.ServeTLS(side, "", "") }()
		t.Cleanup(func() { _ = s.Close() })
	}
	return l.Addr().String(), func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("got %v", err)
			}
		case <-time.After(testTime):
			t.Error("the port is still served")
		}
	}
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
