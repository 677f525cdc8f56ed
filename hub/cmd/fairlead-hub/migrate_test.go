package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/hub/store/storetest"
)

const aToken = "FAIRLEAD_HUB_BOOTSTRAP_TOKEN=an-operators-own-token"

// post sends a request that must be answered with 201.
func (h *testHub) post(path, body string, into any) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, h.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer an-operators-own-token")
	code, text := h.do(req)
	if code != http.StatusCreated {
		h.t.Fatalf("%s: %d %s", path, code, text)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		h.t.Fatal(err)
	}
}

type execution struct {
	ID     string `json:"id"`
	Number int64  `json:"number"`
}

// runCommand starts a command that waits: no runner is there.
func (h *testHub) runCommand() execution {
	h.t.Helper()
	var e execution
	h.post("/api/v1/projects/web/executions", `{"command":"uptime"}`, &e)
	return e
}

// A hub moves from SQLite to PostgreSQL: what it had is there under the same token and
// the same CA, and execution numbers go on.
func TestMoveToPostgres(t *testing.T) {
	t.Parallel()
	dir, url := t.TempDir(), storetest.StartServer(t).URL("postgres")
	old := serve(t, dir, []string{aToken})
	old.post("/api/v1/projects", `{"name":"web"}`, &struct{}{})
	first := old.runCommand()
	database := []string{"FAIRLEAD_HUB_DATABASE=" + url}
	if code, _, errs := command(t, database, "migrate", "--from", "sqlite", "--to", "postgres", "--data-dir", dir); code != exitOther || !strings.Contains(errs, "stop its hub first") {
		t.Errorf("beside the hub: %d %q", code, errs)
	}
	_, oldCA := old.get("/api/v1/enrolment", "")
	old.end()

	code, out, errs := command(t, database, "migrate", "--from", "sqlite:"+filepath.Join(dir, "fairlead.db"), "--to", "postgres", "--data-dir", dir)
	if code != 0 || !strings.Contains(out, "are the same on both sides") || !strings.Contains(errs, "compared  execution ") {
		t.Fatalf("migrate: %d\n%s%s", code, out, errs)
	}
	if code, _, errs := command(t, nil, "migrate", "--to", url, "--data-dir", dir); code != exitOther || !strings.Contains(errs, "not empty") {
		t.Errorf("again: %d %q", code, errs)
	}

	moved := serve(t, dir, database)
	if moved.signIn != "" {
		t.Error("it looks like a new installation")
	}
	if code, text := moved.get("/api/v1/executions/"+first.ID, "an-operators-own-token"); code != http.StatusOK {
		t.Errorf("the execution of before: %d %s", code, text)
	}
	if next := moved.runCommand(); next.Number != first.Number+1 {
		t.Errorf("after execution %d comes %d", first.Number, next.Number)
	}
	if _, ca := moved.get("/api/v1/enrolment", ""); caOf(t, ca) != caOf(t, oldCA) {
		t.Error("the CA is another")
	}
}

func caOf(t *testing.T, enrolment string) string {
	t.Helper()
	var about struct {
		CAPEM string `json:"caPem"`
	}
	if err := json.Unmarshal([]byte(enrolment), &about); err != nil || about.CAPEM == "" {
		t.Fatalf("no CA in %s", enrolment)
	}
	return about.CAPEM
}

func TestMigrateCheck(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	code, out, errs := command(t, nil, "migrate", "--check", "--data-dir", dir)
	if code != 0 || !strings.Contains(out, "has schema 0") || !strings.Contains(out, "  0002  executions  Executions and what becomes of them.") {
		t.Errorf("of nothing: %d\n%s%s", code, out, errs)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it made %v, %v", left, err)
	}
	serve(t, dir, nil)
	if code, out, errs := command(t, nil, "migrate", "--check", "--data-dir", dir); code != 0 || !strings.Contains(out, "nothing to apply") {
		t.Errorf("beside a hub: %d\n%s%s", code, out, errs)
	}
}

func TestMigrateUsage(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"migrate --check --to postgres":                   "--check goes with the schema alone",
		"migrate --from sqlite":                           "say where to copy",
		"migrate --to postgres":                           "say where to copy",
		"migrate --to mysql://u:geheim@h/d":               "--to is no address like postgres://USER@HOST/NAME",
		"migrate --to hub.db":                             "--to is no address",
		"migrate --from postgres://u:geheim@h/d --to x":   "is no SQLite file; write sqlite:PATH",
		"migrate --from sqlite: --to postgres://u@h/d":    "is no SQLite file",
		"migrate --from sqlite:/nowhere/x --to postgres:": "--to is no address",
	} {
		code, _, errs := command(t, nil, strings.Fields(line)...)
		if code != exitUsage || !strings.Contains(errs, want) || strings.Contains(errs, "geheim") {
			t.Errorf("%s: %d %q, want %q", line, code, errs, want)
		}
	}
	for _, to := range []string{"postgres://u:1#geheim@127.0.0.1:1/d", "postgres://u:1?geheim@127.0.0.1:1/d", "postgres://u:p@h/geheim@127.0.0.1:1/d"} {
		_, _, errs := command(t, nil, "migrate", "--data-dir", t.TempDir(), "--to", to)
		if !strings.Contains(errs, " into the database.") || strings.Contains(errs, "geheim") {
			t.Errorf("copying to %s says %q", to, errs)
		}
	}
	if code, _, errs := command(t, nil, "migrate", "--data-dir", t.TempDir(), "--to", "postgres://u@h/d"); code != exitOther || !strings.Contains(errs, "no SQLite file") {
		t.Errorf("without a file: %d %q", code, errs)
	}
}
