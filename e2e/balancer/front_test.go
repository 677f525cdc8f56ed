package balancer

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

// front is a balancer before two members.
type front struct {
	*testing.T
	ctx     context.Context
	dir     string
	cluster *lab.Cluster
	hub     *lab.Hub // spoken to through the balancer
	runner  *lab.Runner
	// everybody, runners and endsTLS are addresses of the balancer: the port for all, the one for
	// runners, and one that ends TLS, which no example has.
	everybody, runners, endsTLS string
	config                      string // path
}

var nets atomic.Int32

// newFront starts two members and the balancer with its example, in which only names,
// ports and paths are replaced.
func newFront(t *testing.T, example string, start func(*front) (*lab.Process, error)) *front {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	dir, err := os.MkdirTemp("", "flb-") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	f := &front{T: t, ctx: ctx, dir: dir}
	for _, addr := range []*string{&f.everybody, &f.runners, &f.endsTLS} {
		*addr, err = lab.FreeAddr()
		f.must(err)
	}
	client := f.certificates()
	f.cluster, err = lab.NewCluster(ctx, lab.ClusterConfig{
		Binary: binaries.Hub, Dir: dir, Members: 2, Direct: true,
		Args: []string{"--tls-cert", filepath.Join(dir, "all.crt"), "--tls-key", filepath.Join(dir, "all.key"), "--public-url", "https://" + f.everybody},
	})
	f.must(err)
	t.Cleanup(func() {
		if t.Failed() {
			for _, m := range f.cluster.Members {
				t.Logf("member %s:\n%s", m.Name, m.Process.Tail())
			}
		}
		f.cluster.Stop()
	})
	replace := f.place(client)
	f.must(f.cluster.Start(ctx))
	f.hub = &lab.Hub{API: &lab.API{URL: "https://" + f.everybody, Token: f.cluster.Members[0].Token, Client: client}}
	f.writeConfig(example, replace)
	p, err := start(f)
	f.must(err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("balancer:\n%s", p.Tail())
		}
		p.Kill()
	})
	f.await("the balancer serves", func() error { _, err := f.hub.Cluster(ctx); return err })
	return f
}

// place gives each member an address of its own with the same two ports, as on machines
// of their own, and returns what that replaces in the example.
func (f *front) place(client *http.Client) []string {
	f.Helper()
	n := nets.Add(1)
	var ports []string
	for range 2 {
		addr, err := lab.FreeAddr()
		f.must(err)
		_, port, err := net.SplitHostPort(addr)
		f.must(err)
		ports = append(ports, port)
	}
	replace := []string{"check port 8440", "check port " + ports[0]}
	for i, m := range f.cluster.Members {
		ip := fmt.Sprintf("127.1.%d.%d", n, i+1)
		m.HTTP, m.Gateway, m.Client = ip+":"+ports[0], ip+":"+ports[1], client
		m.URL = "https://" + m.HTTP
		m.SetAdvertise(f.everybody)
		replace = append(replace, fmt.Sprintf("hub%d.example:8440", i+1), m.HTTP, fmt.Sprintf("hub%d.example:8441", i+1), m.Gateway)
	}
	// The third of the example is a member that is down.
	gone := fmt.Sprintf("127.1.%d.3:", n)
	return append(replace, "hub3.example:8440", gone+ports[0], "hub3.example:8441", gone+ports[1])
}

func (f *front) writeConfig(example string, replace []string) {
	f.Helper()
	root, err := lab.Root()
	f.must(err)
	text, err := os.ReadFile(filepath.Join(root, example))
	f.must(err)
	replace = append(replace,
		"bind :443", "bind "+f.everybody, "bind :8441", "bind "+f.runners,
		"listen 443", "listen "+f.everybody, "listen 8441", "listen "+f.runners,
		"abns@fairlead-people", "abns@"+f.dir, "/run/fairlead-people.sock", f.dir+"/people.sock",
		"/etc/haproxy/fairlead-ca.pem", f.dir+"/ca.pem", "/etc/haproxy/hub.example.com.pem", f.dir+"/all.pem",
		"/etc/nginx/fairlead-ca.pem", f.dir+"/ca.pem", "/etc/nginx/hub.example.com.crt", f.dir+"/all.crt",
		"/etc/nginx/hub.example.com.key", f.dir+"/all.key", "/var/log/nginx", f.dir)
	f.config = filepath.Join(f.dir, filepath.Base(example))
	f.must(os.WriteFile(f.config, []byte(strings.NewReplacer(replace...).Replace(string(text))), 0o600))
}

// certificates makes a CA and one certificate for the balancer and both members, and
// returns a client that trusts them.
func (f *front) certificates() *http.Client {
	f.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	f.must(err)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Example CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	f.must(err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "hub.example.com"}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		DNSNames: []string{"hub.example.com", "hub1.example", "hub2.example"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), key)
	f.must(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	f.must(err)
	caPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
	crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	for name, text := range map[string][]byte{"ca.pem": caPEM, "all.crt": crt, "all.key": keyPEM, "all.pem": bytes.Join([][]byte{crt, keyPEM}, nil)} {
		f.must(os.WriteFile(filepath.Join(f.dir, name), text, 0o600))
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(caPEM)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "hub.example.com"}, ForceAttemptHTTP2: true}
	f.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func startHAProxy(f *front) (*lab.Process, error) {
	f.addFront("\nbackend members", fmt.Sprintf("\nfrontend ends_tls\n    bind %s ssl crt %s/all.pem alpn h2\n    mode http\n    default_backend members\n", f.endsTLS, f.dir))
	return lab.StartProcess(f.dir, "haproxy", nil, find("haproxy"), "-db", "-f", f.config)
}

func startNginx(f *front) (*lab.Process, error) {
	f.addFront("    server {\n        listen "+f.everybody, fmt.Sprintf(
		"    server {\n        listen %s ssl;\n        ssl_certificate %s/all.crt;\n        ssl_certificate_key %s/all.key;\n        proxy_pass people;\n    }\n\n", f.endsTLS, f.dir, f.dir))
	main := "daemon off; pid " + f.dir + "/nginx.pid; error_log stderr;"
	if os.Geteuid() == 0 {
		main += " user root;" // its workers must reach the socket in the test's directory
	}
	return lab.StartProcess(f.dir, "nginx", nil, find("nginx"), "-c", f.config, "-g", main)
}

// addFront puts a front that ends TLS before a line of the configuration.
func (f *front) addFront(before, text string) {
	f.Helper()
	config, err := os.ReadFile(f.config)
	f.must(err)
	head, tail, found := strings.Cut(string(config), before)
	if !found {
		f.Fatalf("%s has no %q", f.config, before)
	}
	f.must(os.WriteFile(f.config, []byte(head+text+before+tail), 0o600))
}

// find looks for a server's program where Debian keeps it, too.
func find(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return "/usr/sbin/" + name
}
