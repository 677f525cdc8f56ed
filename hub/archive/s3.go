package archive

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/encrypt"
)

// S3Options are how a bucket is spoken to; their meaning is in docs/archive.md.
type S3Options struct {
	Endpoint, Region     string
	PathStyle            bool
	CAFile               string
	Encryption, KMSKey   string
	AccessKey, SecretKey string
}

// The values of Encryption.
const (
	EncryptionS3  = "sse-s3"
	EncryptionKMS = "sse-kms"
)

const (
	// partBytes is what one part of a large object holds in memory on its way.
	partBytes = 16 << 20
	// requestTries bounds how often one request is made; whole puts are tried again by who
	// packs.
	requestTries = 3
	// answerTimeout bounds how long the beginning of an answer is waited for.
	answerTimeout = time.Minute
)

// S3 is an archive in a bucket.
type S3 struct {
	client         *minio.Client
	bucket, prefix string
	encryption     encrypt.ServerSide
}

func openS3(u *url.URL, o S3Options) (*S3, error) {
	s := &S3{bucket: u.Host, prefix: strings.TrimPrefix(path.Clean("/"+u.Path), "/")}
	if s.bucket == "" || u.Port() != "" {
		return nil, errors.New("names no bucket; it is s3://bucket or s3://bucket/prefix, and the server is s3.endpoint")
	}
	end, err := url.Parse(cmp.Or(o.Endpoint, "https://s3.amazonaws.com"))
	if err != nil || end.Host == "" || end.Scheme != "https" && end.Scheme != "http" || strings.Trim(end.Path, "/") != "" {
		return nil, fmt.Errorf("cannot be used: s3.endpoint %q is not an address like https://minio.example:9000", o.Endpoint)
	}
	if (o.AccessKey == "") != (o.SecretKey == "") {
		return nil, errors.New("cannot be used: s3.accessKey and s3.secretKey go together; one of them is missing")
	}
	if err := s.encrypt(o); err != nil {
		return nil, err
	}
	transport, err := secureTransport("s3.caFile", o.CAFile)
	if err != nil {
		return nil, err
	}
	options := &minio.Options{
		Creds: s3Credentials(o), Secure: end.Scheme == "https", Transport: transport, Region: o.Region,
		TrailingHeaders: true, MaxRetries: requestTries, BucketLookup: minio.BucketLookupAuto,
	}
	if o.PathStyle {
		options.BucketLookup = minio.BucketLookupPath
	}
	if s.client, err = minio.New(end.Host, options); err != nil {
		return nil, fmt.Errorf("cannot be used: %w", err)
	}
	return s, nil
}

func (s *S3) encrypt(o S3Options) (err error) {
	switch o.Encryption {
	case EncryptionS3:
		s.encryption = encrypt.NewSSE()
	case EncryptionKMS:
		s.encryption, err = encrypt.NewSSEKMS(o.KMSKey, nil)
	case "":
	default:
		return fmt.Errorf("cannot be used: s3.encryption %q is neither %s nor %s", o.Encryption, EncryptionS3, EncryptionKMS)
	}
	if o.KMSKey != "" && o.Encryption != EncryptionKMS {
		return fmt.Errorf("cannot be used: s3.kmsKey goes with s3.encryption %s alone", EncryptionKMS)
	}
	return err
}

// s3Credentials are those that were given, else those of the environment: variables, the
// file of AWS's tools, the role of the instance, container or pod.
func s3Credentials(o S3Options) *credentials.Credentials {
	if o.AccessKey != "" {
		return credentials.NewStaticV4(o.AccessKey, o.SecretKey, "")
	}
	return credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{Client: &http.Client{Timeout: 10 * time.Second}},
	})
}

// secureTransport speaks to servers whose certificate is signed by the CA in a file, or one
// of the system's; key is the setting that names the file.
func secureTransport(key, caFile string) (*http.Transport, error) {
	t, err := minio.DefaultTransport(true)
	if err != nil {
		return nil, fmt.Errorf("cannot be used: %w", err)
	}
	t.ResponseHeaderTimeout = answerTimeout
	if caFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("cannot be used: %s: %w", key, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("cannot be used: %s %s holds no certificate in PEM", key, caFile)
	}
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	return t, nil
}

// Name implements Archive.
func (s *S3) Name() string { return (&url.URL{Scheme: "s3", Host: s.bucket, Path: s.prefix}).String() }

func (s *S3) object(key string) string { return path.Join(s.prefix, key) }

// Put implements Archive.
func (s *S3) Put(ctx context.Context, key string, size int64, body io.Reader) error {
	_, err := s.client.PutObject(ctx, s.bucket, s.object(key), body, size, minio.PutObjectOptions{
		ContentType: "application/octet-stream", PartSize: partBytes, NumThreads: 1, ServerSideEncryption: s.encryption,
	})
	return s.told("storing", key, err)
}

// Get implements Archive.
func (s *S3) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	var options minio.GetObjectOptions
	if err := options.SetRange(offset, offset+length-1); err != nil {
		return nil, s.told("reading", key, err)
	}
	body, _, _, err := minio.Core{Client: s.client}.GetObject(ctx, s.bucket, s.object(key), options)
	return body, s.told("reading", key, err)
}

// Delete implements Archive.
func (s *S3) Delete(ctx context.Context, key string) error {
	return s.told("deleting", key, s.client.RemoveObject(ctx, s.bucket, s.object(key), minio.RemoveObjectOptions{}))
}

// told names what was asked of which server.
func (s *S3) told(what, key string, err error) error {
	if err == nil {
		return nil
	}
	if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
		err = ErrNotFound
	}
	return fmt.Errorf("%s s3://%s/%s at %s: %w", what, s.bucket, s.object(key), s.client.EndpointURL().Host, err)
}
