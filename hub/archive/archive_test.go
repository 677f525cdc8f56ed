package archive_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub/archive"
	"github.com/fairlead/fairlead/hub/archive/archivetest"
)

// places are the archives that a test of all of them runs against.
func places(t *testing.T, test func(t *testing.T, a archive.Archive)) {
	t.Run("directory", func(t *testing.T) {
		t.Parallel()
		a, _ := archivetest.OpenDirectory(t)
		test(t, a)
	})
	t.Run("s3", func(t *testing.T) {
		t.Parallel()
		s := archivetest.StartS3(t)
		test(t, archivetest.Open(t, s.Options(s.Endpoint)))
	})
	azure(t, test)
}

func get(t *testing.T, a archive.Archive, key string, offset, length int64) (string, error) {
	t.Helper()
	r, err := a.Get(t.Context(), key, offset, length)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), errors.Join(err, r.Close())
}

func TestArchiveKeepsObjects(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, a archive.Archive) {
		const key = "default/shop/web/deploy größer/2026-11-26/7/0192.flog"
		if _, err := get(t, a, key, 0, 10); !errors.Is(err, archive.ErrNotFound) {
			t.Fatalf("reading what is not there: %v", err)
		}
		ok(t, a.Put(t.Context(), key, 10, strings.NewReader("0123456789")))
		for _, c := range []struct {
			offset, length int64
			want           string
		}{{0, 10, "0123456789"}, {3, 4, "3456"}, {9, 1, "9"}, {5, 100, "56789"}} {
			got, err := get(t, a, key, c.offset, c.length)
			ok(t, err)
			if got != c.want {
				t.Errorf("from %d, %d bytes: %q", c.offset, c.length, got)
			}
		}
		ok(t, a.Put(t.Context(), key, 3, strings.NewReader("new")))
		if got, err := get(t, a, key, 0, 100); err != nil || got != "new" {
			t.Errorf("put twice: %q, %v", got, err)
		}
		ok(t, a.Delete(t.Context(), key))
		ok(t, a.Delete(t.Context(), key))
		if _, err := get(t, a, key, 0, 10); !errors.Is(err, archive.ErrNotFound) {
			t.Errorf("reading what was deleted: %v", err)
		}
	})
}

// An object of several parts arrives as it is.
func TestArchiveKeepsLargeObjects(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, a archive.Archive) {
		body := make([]byte, 20<<20)
		source := rand.NewChaCha8([32]byte{1})
		_, _ = source.Read(body)
		// A reader of nothing but reads, as that of a packer is.
		ok(t, a.Put(t.Context(), "large", int64(len(body)), struct{ io.Reader }{bytes.NewReader(body)}))
		ok(t, archive.Compare(t.Context(), a, "large", int64(len(body)), sha256.Sum256(body)))
		if err := archive.Compare(t.Context(), a, "large", int64(len(body)), [32]byte{}); err == nil {
			t.Error("other bytes compare as the same")
		}
		if err := archive.Compare(t.Context(), a, "large", int64(len(body))-1, sha256.Sum256(body)); err == nil {
			t.Error("a longer object compares as the same")
		}
	})
}

// A body that breaks off leaves nothing that looks like an object.
func TestPutThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, a archive.Archive) {
		broken := errors.New("the database went away")
		body := io.MultiReader(strings.NewReader("half"), readerFunc(func([]byte) (int, error) { return 0, broken }))
		if err := a.Put(t.Context(), "a/b", 100, body); err == nil {
			t.Error("half an object was put")
		}
		if _, err := get(t, a, "a/b", 0, 10); !errors.Is(err, archive.ErrNotFound) {
			t.Errorf("half an object is there: %v", err)
		}
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func TestDirectory(t *testing.T) {
	t.Parallel()
	t.Run("stays inside", func(t *testing.T) {
		t.Parallel()
		a, dir := archivetest.OpenDirectory(t)
		outside := filepath.Join(filepath.Dir(dir), "outside")
		ok(t, os.Mkdir(outside, 0o700))
		ok(t, os.Symlink(outside, filepath.Join(dir, "link")))
		for _, key := range []string{"../outside/x", "a/../../outside/x", "/etc/x", "link/x"} {
			if err := a.Put(t.Context(), key, 1, strings.NewReader("x")); err == nil {
				t.Errorf("%s was written", key)
			}
		}
		if left, _ := os.ReadDir(outside); len(left) > 0 {
			t.Errorf("written outside: %v", left)
		}
	})
	t.Run("is never made", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "mount")
		a := archivetest.Open(t, archive.Options{URL: "file://" + dir})
		if err := a.Put(t.Context(), "x", 1, strings.NewReader("x")); err == nil || !strings.Contains(err.Error(), "mount it") {
			t.Errorf("error: %v", err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Error("the directory was made")
		}
	})
	t.Run("takes up after a kill", func(t *testing.T) {
		t.Parallel()
		a, dir := archivetest.OpenDirectory(t)
		ok(t, os.MkdirAll(filepath.Join(dir, "a"), 0o700))
		ok(t, os.WriteFile(filepath.Join(dir, "a", ".x.part"), []byte("half of it"), 0o600))
		ok(t, a.Put(t.Context(), "a/x", 1, strings.NewReader("x")))
		ok(t, a.Delete(t.Context(), "a/x"))
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

// Whatever a server answers, it is an error that names it, and the truth again later.
func TestS3ThatAnswersBadly(t *testing.T) {
	t.Parallel()
	s := archivetest.StartS3(t)
	p := archivetest.StartProxy(t, s)
	a := archivetest.Open(t, s.Options(p.Endpoint))
	body := strings.Repeat("0123456789", 1000)
	sum := sha256.Sum256([]byte(body))
	put := func() error {
		if err := a.Put(t.Context(), "x", int64(len(body)), struct{ io.Reader }{strings.NewReader(body)}); err != nil {
			return err
		}
		return archive.Compare(t.Context(), a, "x", int64(len(body)), sum)
	}
	for _, c := range []struct {
		name  string
		spoil func()
	}{
		{"500", func() { p.Refuse(http.StatusInternalServerError) }},
		{"403", func() { p.Refuse(http.StatusForbidden) }},
		{"truncated", p.Truncate},
		{"stopped", s.Stop},
	} {
		c.spoil()
		if err := put(); err == nil {
			t.Errorf("%s: no error", c.name)
		}
		p.Heal()
	}
	s.Start()
	ok(t, put())
}

// A server with a certificate of one's own CA is spoken to where its file is configured,
// and nowhere else.
func TestS3WithACertificateOfOnesOwn(t *testing.T) {
	t.Parallel()
	s, caFile := archivetest.StartSecureS3(t)
	o := s.Options(s.Endpoint)
	err := archivetest.Open(t, o).Put(t.Context(), "x", 1, strings.NewReader("x"))
	if err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
		t.Errorf("without its CA: %v", err)
	}
	o.S3.CAFile = caFile
	a := archivetest.Open(t, o)
	ok(t, a.Put(t.Context(), "x", 3, strings.NewReader("abc")))
	if got, err := get(t, a, "x", 1, 2); err != nil || got != "bc" {
		t.Errorf("%q, %v", got, err)
	}
}

// Without keys the role of the container is asked for them, and again when they expire.
func TestS3WithARole(t *testing.T) {
	s := archivetest.StartS3(t)
	var asked atomic.Int32
	role := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_ = json.NewEncoder(w).Encode(map[string]any{
			"AccessKeyId": "key", "SecretAccessKey": "secret-of-tests", "Expiration": time.Now().Add(-time.Minute),
		})
	}))
	defer role.Close()
	for name, value := range map[string]string{
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": role.URL, "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(t.TempDir(), "none"),
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_ACCESS_KEY": "", "AWS_SECRET_KEY": "",
		"AWS_WEB_IDENTITY_TOKEN_FILE": "", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "",
	} {
		t.Setenv(name, value)
	}
	o := s.Options(s.Endpoint)
	o.S3.AccessKey, o.S3.SecretKey = "", ""
	a := archivetest.Open(t, o)
	ok(t, a.Put(t.Context(), "x", 3, strings.NewReader("abc")))
	if got, err := get(t, a, "x", 1, 2); err != nil || got != "bc" {
		t.Errorf("%q, %v", got, err)
	}
	if n := asked.Load(); n < 2 {
		t.Errorf("keys that had expired were used again: the role was asked %d times", n)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		o    archive.Options
		want string
	}{
		{archive.Options{URL: "/srv/logs"}, "begins with none"},
		{archive.Options{URL: "http://x"}, "begins with none"},
		{archive.Options{URL: "file://srv/logs"}, "three slashes"},
		{archive.Options{URL: "file:///"}, "three slashes"},
		{archive.Options{URL: "s3://"}, "names no bucket"},
		{archive.Options{URL: "s3://key:secret@bucket"}, "settings of their own"},
		{archive.Options{URL: "s3://bucket?region=x"}, "settings of their own"},
		{archive.Options{URL: "s3://bucket", S3: archive.S3Options{Endpoint: "minio:9000"}}, "s3.endpoint"},
		{archive.Options{URL: "s3://bucket", S3: archive.S3Options{AccessKey: "x"}}, "go together"},
		{archive.Options{URL: "s3://bucket", S3: archive.S3Options{Encryption: "aes"}}, "s3.encryption"},
		{archive.Options{URL: "s3://bucket", S3: archive.S3Options{KMSKey: "x"}}, "s3.kmsKey"},
		{archive.Options{URL: "azblob://account"}, "account and container"},
		{archive.Options{URL: "azblob://account/logs", Azure: archive.AzureOptions{AccountKey: "a", SASToken: "b"}}, "azure.accountKey"},
		{archive.Options{URL: "azblob://account/logs", Azure: archive.AzureOptions{AccountKey: "no base64"}}, "malformed"},
		{archive.Options{URL: "azblob://account/logs", Azure: archive.AzureOptions{AccountKey: "YQ==", Endpoint: "x"}}, "azure.endpoint"},
		{archive.Options{URL: "s3://bucket", S3: archive.S3Options{CAFile: "/nowhere/ca.pem"}}, "s3.caFile"},
	} {
		if _, err := archive.Open(c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.o, err)
		}
	}
	for url, name := range map[string]string{
		"file:///srv/logs/": "file:///srv/logs", "s3://bucket/a/b/": "s3://bucket/a/b", "s3://bucket": "s3://bucket",
	} {
		if a := archivetest.Open(t, archive.Options{URL: url}); a.Name() != name || archive.NameOf(url) != name {
			t.Errorf("%s is named %s", url, a.Name())
		}
	}
}

// What encryption is configured is asked for at each put, and only then.
func TestS3EncryptionIsAskedFor(t *testing.T) {
	t.Parallel()
	for encryption, want := range map[string][2]string{
		"": {"", ""}, archive.EncryptionS3: {"AES256", ""}, archive.EncryptionKMS: {"aws:kms", "the-key"},
	} {
		s := archivetest.StartS3(t)
		p := archivetest.StartProxy(t, s)
		var asked [2]string
		spoil := func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			if r.Method == http.MethodPut {
				asked = [2]string{r.Header.Get("X-Amz-Server-Side-Encryption"), r.Header.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id")}
			}
			return false
		}
		p.Spoil.Store(&spoil)
		o := s.Options(p.Endpoint)
		o.S3.Encryption = encryption
		if encryption == archive.EncryptionKMS {
			o.S3.KMSKey = "the-key"
		}
		// The server under test may have no keys, and refuse.
		_ = archivetest.Open(t, o).Put(context.Background(), "x", 1, strings.NewReader("x"))
		if asked != want {
			t.Errorf("%q: asked for %v", encryption, asked)
		}
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ExamplePath() {
	p, _ := archive.ParsePath(archive.DefaultPath)
	fmt.Println(p.Key(archive.Subject{Organisation: "default", Project: "shop", Job: "web/deploy", Number: 7, Attempt: "0192"}))
	// Output: default/shop/web/deploy/0001-01-01/7/0192.flog
}

// counted counts what is read of an archive.
type counted struct {
	archive.Archive

	size int64 // of its object
	gets atomic.Int64
}

func (c *counted) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	c.gets.Add(1)
	return c.Archive.Get(ctx, key, offset, length)
}

// However long a log is, its index is read once by who reads it from end to end, and not once
// for each of its parts.
func TestCacheKeepsTheLastIndex(t *testing.T) {
	t.Parallel()
	var cache archive.Cache
	open := func(in *counted) (requests int64) {
		before := in.gets.Load()
		_, err := cache.Open(t.Context(), in, "x", in.size)
		ok(t, err)
		return in.gets.Load() - before
	}
	small, large := object(t, 1, 1), object(t, 200_000, 1)
	for _, in := range []*counted{small, large} {
		if open(in) == 0 || open(in) != 0 {
			t.Errorf("the index of an object of %d bytes is not read once", in.size)
		}
	}
	if open(small) == 0 {
		t.Error("more is kept than one index that is too large")
	}
}

// Nodes that speak in a chunk take more memory than the rest of its entry, and count.
func TestCacheCountsNodes(t *testing.T) {
	t.Parallel()
	var cache archive.Cache
	list := make([]*counted, 24)
	for i := range list {
		list[i] = object(t, 100, 1000)
		_, err := cache.Open(t.Context(), list[i], "x", list[i].size)
		ok(t, err)
	}
	kept := 0
	for _, in := range list {
		before := in.gets.Load()
		_, err := cache.Open(t.Context(), in, "x", in.size)
		ok(t, err)
		if in.gets.Load() > before {
			break
		}
		kept++
	}
	if kept == len(list) {
		t.Errorf("%d indexes with 100,000 nodes each are kept", kept)
	}
}

// object is one of so many chunks, in each of which so many nodes speak.
func object(t *testing.T, chunks, nodes int) *counted {
	t.Helper()
	l := &archive.Log{Chunks: make([]archive.Chunk, chunks)}
	for i := range l.Chunks {
		l.Chunks[i] = archive.Chunk{Lines: 1, TextBytes: 1, Size: 1, Nodes: make([]int, nodes)}
	}
	p, err := archive.Pack(l, func() ([]byte, error) { return []byte{0}, nil })
	ok(t, err)
	b, err := io.ReadAll(p)
	ok(t, err)
	return &counted{Archive: memory(b), size: int64(len(b))}
}
