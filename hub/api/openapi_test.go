package api_test

import (
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub/api"
)

var update = flag.Bool("update", false, "write openapi.json instead of comparing it")

// TestOpenAPIFresh fails when the committed document is not what the handlers say:
// run go generate ./hub/api and read the difference as a reviewer would.
func TestOpenAPIFresh(t *testing.T) {
	t.Parallel()
	got, err := api.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("openapi.json", got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("openapi.json is not what the handlers say; run go generate ./hub/api (-committed +generated):\n%s", diff)
	}
}
