//go:build azurite

package archive_test

import (
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"

	"github.com/fairlead/fairlead/hub/archive"
	"github.com/fairlead/fairlead/hub/archive/archivetest"
)

// azure runs a test of all archives against a real Azure Blob server: by make test-archive,
// as that takes a while to install.
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
	c, err := container.NewClientWithSharedKeyCredential(o.Azure.Endpoint+"/logs", key, nil)
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
