package sdk

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/fairlead/fairlead/sdk/rest"
)

// newTLS makes the client's TLS configuration.
func newTLS(cas []byte, pinned bool) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS13}
	if len(cas) == 0 {
		return c, nil
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(cas) {
		return nil, errors.New("the CA file holds no certificate; it must be PEM, with BEGIN CERTIFICATE")
	}
	if pinned {
		pinTo(c, c.RootCAs)
	}
	return c, nil
}

// pinTo verifies the chain to roots and that it is a server's, in place of the name:
// the hub's own CA makes server certificates for its members alone, and people reach
// them by addresses that no certificate can know.
func pinTo(c *tls.Config, roots *x509.CertPool) {
	c.InsecureSkipVerify = true // VerifyConnection verifies
	c.VerifyConnection = func(s tls.ConnectionState) error {
		between := x509.NewCertPool()
		for _, cert := range s.PeerCertificates[1:] {
			between.AddCert(cert)
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{
			Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		})
		if err != nil {
			return fmt.Errorf("the hub's certificate is not of the CA that this context trusts; if the hub was set up anew, sign in again with fairlead login: %w", err)
		}
		return nil
	}
}

// Pin is how a CA is written down to compare it: "sha256:" and the SHA-256 of its
// public key in hexadecimal, as a hub prints it when it starts.
func Pin(ca *x509.Certificate) string {
	sum := sha256.Sum256(ca.RawSubjectPublicKeyInfo)
	return pinPrefix + hex.EncodeToString(sum[:])
}

const pinPrefix = "sha256:"

// HubCA is what a hub says of its own CA to who does not trust it yet.
type HubCA struct {
	ClusterID string
	PEM       []byte
	// Pin to compare with one that came by another way.
	Pin string
}

// FetchCA asks the hub at url for its CA without trusting the connection. Whoever
// calls it must compare the pin, or ask a person to, before using the result: New
// with Pinned then finds out whether the hub really has a certificate of it.
func FetchCA(ctx context.Context, url string) (*HubCA, error) {
	client := &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{
		Proxy:           http.ProxyFromEnvironment,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}, //nolint:gosec // the pin is compared
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/api/v1/enrolment", http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("asking %s for its CA: %w", url, err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, problem(resp)
	}
	var e rest.Enrolment
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxProblem)).Decode(&e); err != nil {
		return nil, fmt.Errorf("reading the CA of %s: %w", url, err)
	}
	ca, err := firstCert([]byte(e.CaPem))
	if err != nil {
		return nil, err
	}
	// Only what the pin covers is kept: more certificates could stand behind it.
	only := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw})
	return &HubCA{ClusterID: e.ClusterID, PEM: only, Pin: Pin(ca)}, nil
}

// Matches compares the pin with one that came by another way: in the form of Pin, or
// an enrolment token, or the last part of one, which is the same hash in base64url.
func (h *HubCA) Matches(pin string) bool {
	pin = strings.TrimSpace(pin)
	if text, ok := strings.CutPrefix(pin, pinPrefix); ok {
		pin = pinPrefix + strings.ToLower(text)
	} else if sum, err := base64.RawURLEncoding.DecodeString(pin[strings.LastIndexByte(pin, '.')+1:]); err == nil {
		pin = pinPrefix + hex.EncodeToString(sum)
	}
	return subtle.ConstantTimeCompare([]byte(h.Pin), []byte(pin)) == 1
}

// firstCert reads the first certificate of a PEM text.
func firstCert(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the hub sent no CA certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the hub's CA certificate: %w", err)
	}
	return cert, nil
}

// Distrusted reports whether err says that a certificate was not of a known CA, or
// not for this address: what a hub's own CA looks like to who has not pinned it.
func Distrusted(err error) bool {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	return errors.As(err, &unknown) || errors.As(err, &host)
}
