package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/proto/wire"
)

// authorityLife is long, because a new CA must reach every runner before the old one
// ends.
const authorityLife = 10 * 365 * 24 * time.Hour

// authority is a CA's certificate and key.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newAuthority makes a CA that may sign leaves alone.
func newAuthority(clusterID string, now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the CA's key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "Fairlead CA " + clusterID},
		NotBefore:             now.Add(-wire.CertificateBackdate),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making the CA's certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the CA's certificate: %w", err)
	}
	return &authority{cert: cert, key: key}, nil
}

// serial is 127 random bits and never zero.
func serial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b)
}

// encode returns certificate and key as PEM, to be sealed.
func (a *authority) encode() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return nil, fmt.Errorf("encoding the CA's key: %w", err)
	}
	return append(pemOf(a.cert), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...), nil
}

func pemOf(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

func decodeAuthority(text []byte) (*authority, error) {
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, fmt.Errorf("reading the CA: %w", err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("reading the CA: its key is a %T", pair.PrivateKey)
	}
	return &authority{cert: pair.Leaf, key: key}, nil
}

// leaf signs a certificate for public. The template's names and usages are the
// caller's; life, serial and the rest are set here.
func (a *authority) leaf(template *x509.Certificate, public crypto.PublicKey, now time.Time) (*x509.Certificate, error) {
	template.SerialNumber = serial()
	template.NotBefore = later(now.Add(-wire.CertificateBackdate), a.cert.NotBefore)
	template.NotAfter = now.Add(wire.CertificateLife)
	if template.NotAfter.After(a.cert.NotAfter) {
		template.NotAfter = a.cert.NotAfter
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the new certificate: %w", err)
	}
	return cert, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// runner certifies a runner: one URI, no other name, client authentication alone.
func (a *authority) runner(id wire.Identity, public *ecdsa.PublicKey, now time.Time) (*x509.Certificate, error) {
	uri, err := url.Parse(id.URI())
	if err != nil {
		return nil, fmt.Errorf("naming the runner: %w", err)
	}
	return a.leaf(&x509.Certificate{
		URIs:        []*url.URL{uri},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, public, now)
}

// member makes key and certificate of a member: its URI, and the name that runners and
// members verify whatever address they dialled.
func (a *authority) member(id wire.Identity, now time.Time) (*tls.Certificate, error) {
	uri, err := url.Parse(id.URI())
	if err != nil {
		return nil, fmt.Errorf("naming the member: %w", err)
	}
	return a.pair(&x509.Certificate{
		URIs:        []*url.URL{uri},
		DNSNames:    []string{wire.GatewayName(id.ClusterID)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, now)
}

// https makes key and certificate for people's browsers. It bears no URI, so it
// speaks for no member.
func (a *authority) https(names []string, now time.Time) (*tls.Certificate, error) {
	template := &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if n != "" {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	if len(names) > 0 {
		template.Subject = pkix.Name{CommonName: names[0]}
	}
	return a.pair(template, now)
}

func (a *authority) pair(template *x509.Certificate, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	cert, err := a.leaf(template, key.Public(), now)
	if err != nil {
		return nil, err
	}
	// The CA goes along, so that who pins it by its key needs no file of it.
	return &tls.Certificate{Certificate: [][]byte{cert.Raw, a.cert.Raw}, PrivateKey: key, Leaf: cert}, nil
}

// requestKey returns the public key of a PKCS #10 request after checking that its
// sender has the private one. Every name in it is ignored.
func requestKey(der []byte) (*ecdsa.PublicKey, error) {
	const what = "The certificate request"
	if len(der) > 16<<10 {
		return nil, hub.Errorf(hub.CodeInvalid, "%s is too large.", what)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, &hub.Error{Code: hub.CodeInvalid, Message: what + " cannot be read.", Cause: err}
	}
	key, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, hub.Errorf(hub.CodeInvalid, "%s has a key of another kind than ECDSA P-256.", what)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, &hub.Error{Code: hub.CodeInvalid, Message: what + " is not signed by its own key.", Cause: err}
	}
	return key, nil
}

// verify checks that cert was signed by this CA for use as a client. Its age is left
// to the caller, since an expired one may still renew.
func (a *authority) verify(cert *x509.Certificate, rest []*x509.Certificate) error {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(a.cert)
	for _, c := range rest {
		intermediates.AddCert(c)
	}
	_, err := cert.Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: intermediates,
		// At its own end it was valid if it ever was.
		CurrentTime: cert.NotAfter,
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("verifying the certificate: %w", err)
	}
	return nil
}

var errNoCertificate = errors.New("no certificate was presented")
