package api_test

import (
	"crypto/sha256"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/api"
	"github.com/fairlead/fairlead/hub/api/apitest"
)

// A create that failed has not used its key up.
func TestFailedCreateKeepsKey(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	key := http.Header{"Idempotency-Key": {"k"}}
	token := call{method: "POST", path: "/api/v1/runners/tokens", header: key, body: `{"tags":["not a tag"]}`}
	wrong(t, h, 400, "not a tag", token)
	token.body = `{"tags":["a-tag"]}`
	get[api.CreatedRunnerToken](t, h, 201, token)
	wrong(t, h, 409, "only once", token)

	nodes := call{
		method: "PUT", path: "/api/v1/projects/web/nodes", body: "a: {hostname: h}",
		header: http.Header{"Idempotency-Key": {"n"}, "Content-Type": {"application/yaml"}, "If-Match": {`"3"`}},
	}
	h.Project(t, "web", "web1")
	wrong(t, h, 412, "meanwhile", nodes)
	nodes.header.Set("If-Match", `"1"`)
	first := get[api.NodeImport](t, h, 200, nodes)
	if again := get[api.NodeImport](t, h, 200, nodes); !cmp.Equal(again, first) || first.Revision != 2 {
		t.Errorf("%+v and then %+v", first, again)
	}
}

// A run's secure options are part of what its key is compared by; whoever reads the
// database must not be able to try guesses against it.
func TestRequestIsNotKeptInGuessableForm(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	value := "hunter2-hunter2"
	get[api.Key](t, h, 200, call{
		method: "PUT", path: "/api/v1/keys/db?type=password", body: value,
		header: http.Header{"Idempotency-Key": {"k"}, "Content-Type": {"application/octet-stream"}},
	})
	p, err := h.Auth.Authenticate((&http.Request{Header: bearer}).WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	guess := sha256.Sum256([]byte("set-key\x00" + `{"Path":"db","Type":"password","Value":"aHVudGVyMi1odW50ZXIy"}`))
	_, err = h.Store.Idempotent(t.Context(), "token:"+p.TokenID, "k", guess[:])
	if hub.ErrorCode(err) != hub.CodeInvalid {
		t.Errorf("a guess matched what is stored: %v", err)
	}
}
