package api_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/api/apitest"
)

// Every list comes by pages: each item once, and no page longer than it was asked for.
func TestListsComeByPages(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	p := h.Project(t, "web", "web1")
	for _, name := range []string{"r1", "r2", "r3"} {
		h.Runner(t, name, nil)
		do(t, h, call{method: "POST", path: "/api/v1/runners/tokens", body: `{}`})
		if _, err := h.Store.RecordHostKey(t.Context(), p.ID, "web1", "ssh-ed25519 "+name, name); err != nil {
			t.Fatal(err)
		}
	}
	me, err := h.Store.UserByName(t.Context(), hub.DefaultOrganisationID, "admin")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // beside the one that asks
		if _, _, err := h.Auth.CreateToken(t.Context(), hub.Principal{UserID: me.ID, OrganisationID: me.OrganisationID}, "t", time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"/runners", "/runners/tokens", "/tokens", "/projects/web/nodes/web1/hostkeys"} {
		seen := map[string]bool{}
		for cursor, pages := "", 1; ; pages++ {
			a := do(t, h, call{method: "GET", path: "/api/v1" + path + "?limit=2&cursor=" + cursor})
			var page struct {
				Items []json.RawMessage
				Next  string
			}
			if err := json.Unmarshal(a.body, &page); err != nil || len(page.Items) > 2 || pages > 2 {
				t.Fatalf("%s: page %d: %v: %d %s", path, pages, err, a.status, a.body)
			}
			for _, item := range page.Items {
				seen[string(item)] = true
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		if len(seen) != 3 {
			t.Errorf("%s: %d different items on its pages, want 3", path, len(seen))
		}
	}
}
