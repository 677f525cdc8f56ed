//go:build azurite

package archive_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"

	"github.com/fairlead/fairlead/hub/archive"
	"github.com/fairlead/fairlead/hub/archive/archivetest"
)

// azure runs a test of all archives against a real Azure Blob server: by make test-archive,
// which installs it.
func azure(t *testing.T, test func(t *testing.T, a archive.Archive)) {
	t.Run("azure", func(t *testing.T) {
		t.Parallel()
		o := archivetest.StartAzurite(t)
		makeContainer(t, o)
		test(t, archivetest.Open(t, o))
	})
}

func makeContainer(t *testing.T, o archive.Options) *container.Client {
	t.Helper()
	key, err := container.NewSharedKeyCredential("devstoreaccount1", o.Azure.AccountKey)
	ok(t, err)
	options := &container.ClientOptions{}
	if o.Azure.CAFile != "" {
		pem, err := os.ReadFile(o.Azure.CAFile)
		ok(t, err)
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		options.Transport = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}}
	}
	c, err := container.NewClientWithSharedKeyCredential(o.Azure.Endpoint+"/logs", key, options)
	ok(t, err)
	_, err = c.Create(t.Context(), nil)
	ok(t, err)
	return c
}

// A shared access signature does in the place of the account's key.
func TestAzureTakesASignature(t *testing.T) {
	t.Parallel()
	o := archivetest.StartAzurite(t)
	c := makeContainer(t, o)
	signed, err := c.GetSASURL(sas.ContainerPermissions{Read: true, Create: true, Write: true, Delete: true}, time.Now().Add(time.Hour), nil)
	ok(t, err)
	o.Azure.AccountKey = ""
	_, o.Azure.SASToken, _ = strings.Cut(signed, "?")
	a := archivetest.Open(t, o)
	ok(t, a.Put(t.Context(), "x", 3, strings.NewReader("abc")))
	if got, err := get(t, a, "x", 1, 2); err != nil || got != "bc" {
		t.Errorf("%q, %v", got, err)
	}
	ok(t, a.Delete(t.Context(), "x"))
}

// Without key and signature the machine's identity is asked for a token.
func TestAzureWithAnIdentity(t *testing.T) {
	o := archivetest.StartSecureAzurite(t)
	makeContainer(t, o)
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Identity-Header") != "proof" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		now, end := time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
		_ = json.NewEncoder(w).Encode(map[string]any{
			"access_token": token(t, map[string]any{
				"aud": "https://storage.azure.com", "iss": "https://sts.windows.net/tenant/", "nbf": now.Unix(), "iat": now.Unix(), "exp": end.Unix(),
			}),
			"expires_on": strconv.FormatInt(end.Unix(), 10), "resource": r.URL.Query().Get("resource"), "token_type": "Bearer",
		})
	}))
	defer tokens.Close()
	t.Setenv("IDENTITY_ENDPOINT", tokens.URL)
	t.Setenv("IDENTITY_HEADER", "wrong")
	o.Azure.AccountKey = ""
	err := archivetest.Open(t, o).Put(t.Context(), "x", 1, strings.NewReader("x"))
	if err == nil || !strings.Contains(err.Error(), "azblob://devstoreaccount1/logs/of/tests/x: no token of the machine's identity") || strings.Contains(err.Error(), "\n") {
		t.Errorf("with an identity that is refused: %v", err)
	}

	t.Setenv("IDENTITY_HEADER", "proof")
	a := archivetest.Open(t, o)
	ok(t, a.Put(t.Context(), "x", 3, strings.NewReader("abc")))
	if got, err := get(t, a, "x", 1, 2); err != nil || got != "bc" {
		t.Errorf("%q, %v", got, err)
	}
}

// token is a token that nobody has signed: the server under test looks at what it says.
func token(t *testing.T, claims map[string]any) string {
	t.Helper()
	part := func(v any) string {
		b, err := json.Marshal(v)
		ok(t, err)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return part(map[string]string{"alg": "RS256", "typ": "JWT"}) + "." + part(claims) + "." + base64.RawURLEncoding.EncodeToString([]byte("signature"))
}

// A key that the server does not take is told with what was asked.
func TestAzureRefuses(t *testing.T) {
	t.Parallel()
	o := archivetest.StartAzurite(t)
	makeContainer(t, o)
	o.Azure.AccountKey = "bm90IHRoZSBrZXk="
	err := archivetest.Open(t, o).Put(t.Context(), "x", 1, strings.NewReader("x"))
	if err == nil || !strings.Contains(err.Error(), "azblob://devstoreaccount1/logs/of/tests/x: 403") {
		t.Errorf("error: %v", err)
	}
}
