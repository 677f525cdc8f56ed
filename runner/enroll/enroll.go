package enroll

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

// callTimeout bounds one unary call to one gateway.
const callTimeout = 15 * time.Second

// Config is one enrolment.
type Config struct {
	// Hub is the address of the hub's UI.
	Hub string
	// Token as `fairlead runners token create` printed it.
	Token   string
	DataDir string
	// Name for people; the hub makes it unique.
	Name string
	Info *runnerv1.RunnerInfo
	Log  *slog.Logger
}

// Enrol gets an identity for the token and writes it below DataDir. It may be repeated
// with the same token after any cut: the key is on disk before the hub sees it, and
// the hub answers the same key alike. already tells that there was an identity of
// this hub before, which is then left as it is.
func Enrol(ctx context.Context, cfg Config) (i *Identity, already bool, err error) {
	token, err := wire.ParseEnrolmentToken(cfg.Token)
	if err != nil {
		return nil, false, err
	}
	hub, err := parseHub(cfg.Hub)
	if err != nil {
		return nil, false, err
	}
	dir := filepath.Join(cfg.DataDir, folder)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, false, fmt.Errorf("making the data directory: %w", err)
	}
	unlock, err := lock(filepath.Join(dir, "enrol.lock"))
	if err != nil {
		return nil, false, err
	}
	defer unlock()
	if i, err := Load(cfg.DataDir); err == nil {
		return i, true, checkSameHub(i, token)
	} else if !errors.Is(err, ErrNotEnrolled) {
		return nil, false, err
	}
	info, err := fetchHub(ctx, hub, token)
	if err != nil {
		return nil, false, err
	}
	key, sealing, err := pendingKeys(dir)
	if err != nil {
		return nil, false, err
	}
	answer, err := callEnrol(ctx, cfg, info, key, sealing)
	if err != nil {
		return nil, false, err
	}
	if err := keep(dir, cfg, token, info, key, answer); err != nil {
		return nil, false, err
	}
	i, err = Load(cfg.DataDir)
	return i, false, err
}

// checkSameHub tells a harmless repeat from a try to enrol at a second hub.
func checkSameHub(i *Identity, token wire.EnrolmentToken) error {
	if slices.ContainsFunc(i.cas, token.Matches) {
		return nil
	}
	return fmt.Errorf("this data directory belongs to runner %q of another hub (%s); use another --data-dir, or remove %s if that hub is gone", i.Name(), i.Hub(), i.dir)
}

// lock keeps two enrolments from making two keys for one token. The kernel frees it
// when the process ends, however it ends.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the identity: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another enrolment works in %s; wait for it", filepath.Dir(path)), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// pendingKeys returns the keys of an enrolment that was cut off, or makes them and
// syncs them before anyone hears of them.
func pendingKeys(dir string) (*ecdsa.PrivateKey, []byte, error) {
	sealingPath, keyPath := filepath.Join(dir, sealingFile), filepath.Join(dir, pendingFile)
	sealing, err := os.ReadFile(sealingPath)
	if errors.Is(err, fs.ErrNotExist) {
		if sealing, _, err = wire.SealingKey(); err == nil {
			err = writeFile(sealingPath, sealing)
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("making the sealing key: %w", err)
	}
	key, err := readKey(keyPath)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, sealing, err
	}
	if key, err = newKey(); err != nil {
		return nil, nil, err
	}
	text, err := encodeKey(key)
	if err != nil {
		return nil, nil, err
	}
	return key, sealing, writeFile(keyPath, text)
}

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return key, nil
}

// request makes a certificate request. It names nobody: the hub takes the key alone.
func request(key *ecdsa.PrivateKey) ([]byte, error) {
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate request: %w", err)
	}
	return csr, nil
}

// callEnrol tries the gateways one after another until one answers. An answer that
// refuses ends it: the others would say the same.
func callEnrol(ctx context.Context, cfg Config, info *hubInfo, key *ecdsa.PrivateKey, sealing []byte) (*runnerv1.EnrolResponse, error) {
	csr, err := request(key)
	if err != nil {
		return nil, err
	}
	public, err := wire.SealingPublic(sealing)
	if err != nil {
		return nil, err
	}
	creds := credentials.NewTLS(memberTLS(info.ClusterID, func() []*x509.Certificate { return info.cas }))
	req := &runnerv1.EnrolRequest{Token: cfg.Token, Csr: csr, SealingKey: public, Name: cfg.Name, Info: cfg.Info}
	var failed []error
	for _, address := range info.Gateways {
		var answer *runnerv1.EnrolResponse
		err := call(ctx, address, creds, func(ctx context.Context, conn *grpc.ClientConn) (err error) {
			answer, err = runnerv1.NewEnrolmentServiceClient(conn).Enrol(ctx, req)
			return err
		})
		if err == nil {
			return answer, nil
		}
		if !unreachable(err) {
			return nil, fmt.Errorf("the hub refused: %s", status.Convert(err).Message())
		}
		if cfg.Log != nil {
			cfg.Log.Warn("gateway not reached", "address", address, "error", err)
		}
		failed = append(failed, fmt.Errorf("%s: %s", address, status.Convert(err).Message()))
	}
	if len(failed) == 0 {
		return nil, errors.New("the hub names no gateway; give it one with --advertise-gateway")
	}
	return nil, fmt.Errorf("no gateway of the hub can be reached from here; runners need its gateway port (8441 by default): %w", errors.Join(failed...))
}

// call makes one unary call on a connection of its own.
func call(ctx context.Context, address string, creds credentials.TransportCredentials, do func(context.Context, *grpc.ClientConn) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	conn, err := grpc.NewClient(Target(address), dialOptions(address, creds)...)
	if err != nil {
		return fmt.Errorf("setting up the connection: %w", err)
	}
	defer func() { _ = conn.Close() }() // the answer is here, or the error that matters
	return do(ctx, conn)
}

func unreachable(err error) bool {
	code := status.Code(err)
	return code == codes.Unavailable || code == codes.DeadlineExceeded || code == codes.Unknown
}

// keep checks the answer and writes it, the certificate last: what is there then is
// whole.
func keep(dir string, cfg Config, token wire.EnrolmentToken, info *hubInfo, key *ecdsa.PrivateKey, answer *runnerv1.EnrolResponse) error {
	pair, err := makePair(key, answer.GetCertificates())
	if err != nil {
		return err
	}
	id, err := wire.ParseIdentity(pair.Leaf)
	if err != nil {
		return fmt.Errorf("checking the new certificate: %w", err)
	}
	if id.Role != wire.RoleRunner || id.ClusterID != info.ClusterID {
		return fmt.Errorf("the hub gave a certificate for %s, not for a runner of cluster %s", id.URI(), info.ClusterID)
	}
	cas, err := parseCertificates(answer.GetCaCertificates())
	if err != nil {
		return fmt.Errorf("reading the hub's CA: %w", err)
	}
	if len(cas) == 0 {
		cas = info.cas
	}
	if err := writeFile(filepath.Join(dir, caFile), encodeCertificates(cas)); err != nil {
		return err
	}
	a := about{Name: answer.GetName(), Hub: cfg.Hub, TokenID: token.ID, Gateways: info.Gateways}
	if g := answer.GetGateways(); len(g) > 0 {
		a.Gateways = withHubHost(g, cfg.Hub)
	}
	if err := writeAbout(filepath.Join(dir, aboutFile), a); err != nil {
		return err
	}
	if err := writePair(filepath.Join(dir, runnerFile), pair); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, pendingFile)); err != nil {
		return fmt.Errorf("removing the key of the enrolment: %w", err)
	}
	return nil
}

// makePair joins a key and the certificates made for it, leaf first.
func makePair(key *ecdsa.PrivateKey, der [][]byte) (tls.Certificate, error) {
	certs, err := parseCertificates(der)
	if err != nil {
		return tls.Certificate{}, err
	}
	if len(certs) == 0 {
		return tls.Certificate{}, errors.New("the hub answered without a certificate")
	}
	if !key.PublicKey.Equal(certs[0].PublicKey) {
		return tls.Certificate{}, errors.New("the hub's certificate is for another key")
	}
	return tls.Certificate{Certificate: der, PrivateKey: key, Leaf: certs[0]}, nil
}

func writePair(path string, pair tls.Certificate) error {
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return fmt.Errorf("writing %s: the key is a %T", path, pair.PrivateKey)
	}
	text, err := encodeKey(key)
	if err != nil {
		return err
	}
	certs, err := parseCertificates(pair.Certificate)
	if err != nil {
		return err
	}
	return writeFile(path, append(text, encodeCertificates(certs)...))
}
