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
// returned has a container that is there.
func StartAzurite(t testing.TB) archive.Options {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	main := filepath.Join(filepath.Dir(here), "../../../.tools/azurite/node_modules/azurite/dist/src/blob/main.js")
	l := listen(t)
	host, port, _ := strings.Cut(l.Addr().String(), ":")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(context.Background(), "node", main, "--location", t.TempDir(), "--blobHost", host, "--blobPort", port,
		"--skipApiVersionCheck", "--disableTelemetry", "--silent")
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
		Endpoint: "http://" + host + ":" + port + "/" + azuriteAccount, AccountKey: azuriteKey,
	}}
}
