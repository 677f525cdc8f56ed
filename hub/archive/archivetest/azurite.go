//go:build azurite

package archivetest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub/archive"
)

// The account that azurite has; its key is in its manual.
const (
	azuriteAccount = "devstoreaccount1"
	azuriteKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// StartAzurite starts an Azure Blob server; it ends with the test. The archive that is
// returned has a container that is to be made.
func StartAzurite(t testing.TB) archive.Options {
	t.Helper()
	return startAzurite(t, "http://")
}

// StartSecureAzurite is StartAzurite over TLS, which takes tokens of an identity too.
func StartSecureAzurite(t testing.TB) archive.Options {
	t.Helper()
	certificate, key := makeCertificate(t)
	o := startAzurite(t, "https://", "--oauth", "basic", "--cert", certificate, "--key", key)
	o.Azure.CAFile = certificate
	return o
}

func startAzurite(t testing.TB, scheme string, more ...string) archive.Options {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	main := filepath.Join(filepath.Dir(here), "../../../.tools/azurite/node_modules/azurite/dist/src/blob/main.js")
	l := listen(t)
	host, port, _ := strings.Cut(l.Addr().String(), ":")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	arguments := append([]string{
		main, "--location", t.TempDir(), "--blobHost", host, "--blobPort", port,
		"--skipApiVersionCheck", "--disableTelemetry", "--silent",
	}, more...)
	c := exec.CommandContext(context.Background(), "node", arguments...)
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		t.Fatalf("azurite, which `make test-archive` installs: %v", err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	dial(t, host+":"+port, time.Minute)
	return archive.Options{URL: "azblob://" + azuriteAccount + "/logs/of/tests", Azure: archive.AzureOptions{
		Endpoint: scheme + host + ":" + port + "/" + azuriteAccount, AccountKey: azuriteKey,
	}}
}
