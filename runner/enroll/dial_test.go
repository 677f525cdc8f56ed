package enroll

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
)

// A runner that meets something other than a gateway says what stands in the way, and
// where.
func TestBalancerThatEndsTLS(t *testing.T) {
	t.Parallel()
	_, i, _ := enrolled(t)
	public, key := newAuthority(t), testKey(t)
	cert := tls.Certificate{PrivateKey: key, Certificate: [][]byte{public.leaf(key.Public(), func(c *x509.Certificate) {
		c.DNSNames = []string{"balancer.example"}
	})}}
	serve := func(change func(*tls.Config)) string {
		cfg := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}}
		change(cfg)
		l, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
		if err != nil {
			t.Fatal(err)
		}
		return accept(t, l, func(c net.Conn) { _ = c.(*tls.Conn).Handshake() })
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ address, words string }{
		"another certificate": {serve(func(*tls.Config) {}), "is not of this cluster's CA"},
		"old TLS":             {serve(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), "does not speak TLS 1.3"},
		"no TLS": {accept(t, plain, func(c net.Conn) {
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			_, _ = c.Read(make([]byte, 512))
		}), "does not speak TLS:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := i.Dial(tc.address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			_, err = runnerv1.NewRunnerServiceClient(conn).RenewCertificate(ctx, &runnerv1.RenewCertificateRequest{})
			if err == nil {
				t.Fatal("a call got through")
			}
			for _, words := range []string{tc.words, tc.address, "must pass TCP through"} {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("%q does not say %q", err, words)
				}
			}
		})
	}
}

// accept serves every connection until the test ends.
func accept(t *testing.T, l net.Listener, serve func(net.Conn)) string {
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				serve(c)
			}()
		}
	}()
	return l.Addr().String()
}
