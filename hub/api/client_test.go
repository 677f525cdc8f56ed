package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub/api"
	"github.com/fairlead/fairlead/hub/api/apitest"
)

// call is a request of a test.
type call struct {
	method, path, body string
	// token: the administrator's when empty, none for "-".
	token  string
	header http.Header
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request.
func do(t *testing.T, h *apitest.Hub, c call) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), c.method, h.URL+c.path, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, c.header)
	if c.body != "" && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	switch c.token {
	case "":
		req.Header.Set("Authorization", "Bearer "+apitest.Token)
	case "-":
	default:
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	client := &http.Client{Timeout: 2 * time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, body}
}

// get sends a request and reads its answer, which must have the status.
func get[T any](t *testing.T, h *apitest.Hub, status int, c call) T {
	t.Helper()
	a := do(t, h, c)
	if a.status != status {
		t.Fatalf("%s %s: status %d, want %d: %s", c.method, c.path, a.status, status, a.body)
	}
	var v T
	d := json.NewDecoder(bytes.NewReader(a.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s %s: %v in %s", c.method, c.path, err, a.body)
	}
	return v
}

// wrong sends a request that must be refused with the status and a detail that
// contains want.
func wrong(t *testing.T, h *apitest.Hub, status int, want string, c call) api.Problem {
	t.Helper()
	a := do(t, h, c)
	var p api.Problem
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatalf("%s %s: status %d and no problem: %s", c.method, c.path, a.status, a.body)
	}
	if a.status != status || p.Status != status || !strings.Contains(string(a.body), want) {
		t.Errorf("%s %s: status %d and %s, want %d and %q", c.method, c.path, a.status, a.body, status, want)
	}
	if ct := a.header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("%s %s: a problem of type %q", c.method, c.path, ct)
	}
	if p.Code == "" || p.Detail == "" {
		t.Errorf("%s %s: a problem without code or detail: %s", c.method, c.path, a.body)
	}
	return p
}

const job = `- name: restart
  group: ops
  description: Restart it
  multipleExecutions: true
  options:
  - {name: service, required: true}
  - {name: password, secure: true}
  nodefilters: {filter: 'tags: demo'}
  sequence:
    keepgoing: false
    strategy: node-first
    commands:
    - exec: systemctl restart ${option.service}
    - description: check it
      script: |
        #!/bin/sh
        systemctl is-active
`

// imported puts the job into a project.
func imported(t *testing.T, h *apitest.Hub, project string) {
	t.Helper()
	yaml := http.Header{"Content-Type": {"application/yaml"}}
	get[api.JobImport](t, h, 200, call{method: "POST", path: "/api/v1/projects/" + project + "/jobs/import", body: job, header: yaml})
}
