package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/api/apitest"
	"github.com/fairlead/fairlead/sdk"
	"github.com/fairlead/fairlead/sdk/rest"
)

// program is an app in a test, with what it printed.
type program struct {
	*app
	stdout, stderr watched
	env            map[string]string
}

// watched is a buffer that tells when it holds a text.
type watched struct {
	mu    sync.Mutex // guards what follows
	buf   bytes.Buffer
	grown chan struct{}
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.grown != nil {
		close(w.grown)
		w.grown = nil
	}
	return w.buf.Write(b)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// await returns when the buffer contains text.
func (w *watched) await(t *testing.T, text string) {
	t.Helper()
	for {
		w.mu.Lock()
		if strings.Contains(w.buf.String(), text) {
			w.mu.Unlock()
			return
		}
		if w.grown == nil {
			w.grown = make(chan struct{})
		}
		grown := w.grown
		w.mu.Unlock()
		select {
		case <-grown:
		case <-t.Context().Done():
			t.Fatalf("never printed %q, but %q", text, w.String())
		}
	}
}

func newProgram(t *testing.T, h *apitest.Hub) *program {
	t.Helper()
	p := &program{env: map[string]string{"HOME": t.TempDir(), "FAIRLEAD_PROJECT": "web"}}
	if h != nil {
		p.env["FAIRLEAD_URL"], p.env["FAIRLEAD_TOKEN"] = h.URL, apitest.Token
	}
	p.app = &app{in: strings.NewReader(""), out: &p.stdout, err: &p.stderr, getenv: func(name string) string { return p.env[name] }}
	return p
}

// expect runs the program and compares its exit code.
func (p *program) expect(t *testing.T, code int, args ...string) {
	t.Helper()
	if got := p.main(t.Context(), args); got != code {
		t.Fatalf("fairlead %s: exit %d, want %d\n%s%s", strings.Join(args, " "), got, code, &p.stdout, &p.stderr)
	}
}

func TestFixedNamesOfExecution(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	p := newProgram(t, h)
	p.expect(t, exitDone, "exec", "--filter", "web1", "--detach", "-o", "json", "--", "uptime")
	var e map[string]any
	if err := json.Unmarshal([]byte(p.stdout.String()), &e); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"id", "number", "status", "waitingFor", "logComplete", "createdAt", "nodes", "url"} {
		if e[name] == nil {
			t.Errorf("an execution without %q: %s", name, &p.stdout)
		}
	}
	w, _ := e["waitingFor"].(map[string]any)
	for _, name := range []string{"kind", "since", "message"} {
		if w[name] == nil {
			t.Errorf("waitingFor without %q: %v", name, w)
		}
	}
}

// Ctrl-C stops following and nothing else.
func TestInterruptStopsFollowing(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	h.Runner(t, "r1", apitest.UntilStopped)
	p := newProgram(t, h)
	signals := make(chan os.Signal, 1)
	p.signals = signals
	done := make(chan int)
	go func() { done <- p.main(t.Context(), []string{"exec", "--filter", "web1", "--", "sleep 100"}) }()
	p.stdout.await(t, "web1 | running on web1")
	signals <- os.Interrupt
	if code := <-done; code != exitInterrupted {
		t.Errorf("exit %d", code)
	}
	if !strings.Contains(p.stderr.String(), "execution 1 goes on") || !strings.Contains(p.stderr.String(), "fairlead executions cancel 1") {
		t.Errorf("it said %q", &p.stderr)
	}
	e, err := h.Store.GetExecution(t.Context(), hub.DefaultOrganisationID, "1")
	if err != nil || e.CancelRequested {
		t.Errorf("execution %+v, %v", e, err)
	}
}

func TestCancelOnInterrupt(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	h.Runner(t, "r1", apitest.UntilStopped)
	p := newProgram(t, h)
	signals := make(chan os.Signal, 1)
	p.signals = signals
	done := make(chan int)
	go func() {
		done <- p.main(t.Context(), []string{"exec", "--cancel-on-interrupt", "--filter", "web1", "--", "sleep 100"})
	}()
	p.stdout.await(t, "running on web1")
	signals <- os.Interrupt
	if code := <-done; code != exitCancelled {
		t.Errorf("exit %d: %s", code, &p.stderr)
	}
}

// A hub that restarts while its output is followed costs no line and repeats none.
func TestFollowThroughRestart(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	down, up := make(chan struct{}), make(chan struct{})
	h.Runner(t, "r1", func(_ context.Context, a *apitest.Attempt) error {
		a.Started(0, 0)
		a.Print(0, 0, "one", "two")
		<-down
		a.Print(0, 0, "three while nobody could listen")
		<-up
		a.Print(0, 0, "four")
		a.Ended(0, 0, hub.StatusSucceeded, 0)
		return nil
	})
	p := newProgram(t, h)
	done := make(chan int)
	go func() { done <- p.main(t.Context(), []string{"exec", "--filter", "web1", "--", "x"}) }()
	p.stdout.await(t, "two")
	h.Restart(t, func() { close(down) })
	p.stdout.await(t, "three")
	h.Cut()
	close(up)
	if code := <-done; code != exitDone {
		t.Errorf("exit %d: %s", code, &p.stderr)
	}
	want := "web1 | one\nweb1 | two\nweb1 | three while nobody could listen\nweb1 | four\n"
	if diff := cmp.Diff(want, p.stdout.String()); diff != "" {
		t.Error(diff)
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t, apitest.TLS)
	p := newProgram(t, nil)
	p.expect(t, exitUsage, "login", h.URL) // nobody to ask about the CA
	pin := sdk.Pin(h.CA.Certificates()[0])
	if !strings.Contains(p.stderr.String(), pin) {
		t.Errorf("it does not tell the pin %s: %s", pin, &p.stderr)
	}
	p.expect(t, exitOther, "login", h.URL, "--ca-pin", "sha256:"+strings.Repeat("00", 32))
	p.expect(t, exitUsage, "login", h.URL, "--ca-pin", pin) // no token

	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(apitest.Token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.expect(t, exitDone, "login", h.URL, "--ca-pin", pin, "--token-file", token, "--name", "lab")
	file := filepath.Join(p.env["HOME"], ".config", "fairlead", "config.yaml")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("contexts: %v, %v", info, err)
	}
	again := newProgram(t, nil)
	again.env["HOME"] = p.env["HOME"]
	again.expect(t, exitDone, "projects", "list", "-o", "json")
	again.expect(t, exitDone, "context", "list")
	if !strings.Contains(again.stdout.String(), "*") || strings.Contains(again.stdout.String(), apitest.Token) {
		t.Errorf("contexts: %s", &again.stdout)
	}
	again.expect(t, exitUsage, "context", "use", "other")

	// The context's token is for the context's hub alone.
	other := apitest.Start(t)
	stranger := newProgram(t, nil)
	stranger.env["HOME"] = p.env["HOME"]
	stranger.expect(t, exitOther, "projects", "list", "--url", other.URL)
	if !strings.Contains(stranger.stderr.String(), "fairlead login") {
		t.Errorf("it said %s", &stranger.stderr)
	}
}

func TestLoginByPassword(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t, apitest.TLS)
	if _, err := h.Auth.CreateUser(t.Context(), hub.DefaultOrganisationID, "ann", "correct horse battery", true); err != nil {
		t.Fatal(err)
	}
	p := newProgram(t, nil)
	p.asks, p.in = true, strings.NewReader("yes\nann\n")
	p.hidden = func() ([]byte, error) { return []byte("correct horse battery"), nil }
	p.expect(t, exitDone, "login", h.URL)
	p.expect(t, exitDone, "api", "GET", "me")
	if !strings.Contains(p.stdout.String(), `"name":"ann"`) || !strings.Contains(p.stdout.String(), `"method":"token"`) {
		t.Errorf("me: %s", &p.stdout)
	}
	if strings.Contains(p.stderr.String(), "horse") {
		t.Error("the password was shown")
	}
}

func TestOptionsFromFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &app{in: strings.NewReader("from stdin")}
	got, err := a.options([]string{"a=plain=1", "b=@" + secret, "c=@-", "d=@@literal", "e="})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"a": "plain=1", "b": "hunter2", "c": "from stdin", "d": "@literal", "e": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := a.options([]string{"novalue"}); err == nil {
		t.Error("an option without a value was taken")
	}
}

func TestHarmless(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain ü\tx\n":             "plain ü\tx\n",
		"\x1b[31;1mred\x1b[0m\n":   "\x1b[31;1mred\x1b[0m\n",
		"\x1b[2Jclear\n":           "\\x1b[2Jclear\n",
		"\x1b]52;c;ZXZpbA==\x07\n": "\\x1b]52;c;ZXZpbA==\\x07\n",
		"dos\r\n":                  "dos\n",
		"over\rwrite\n":            "over\\x0dwrite\n",
		"bell\a\u009b2J\n":         "bell\\x07\\x9b2J\n",
	} {
		if got := string(harmless([]byte(in))); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// Pieces of a line are put together whatever is written between them.
func TestLineWriter(t *testing.T) {
	t.Parallel()
	yes := true
	lines := []rest.LogLine{
		{Node: "a", Text: "begin ", Partial: &yes, Stream: rest.LogLineStreamStdout},
		{Node: "b", Text: "other", Stream: rest.LogLineStreamStdout},
		{Node: "a", Text: "err", Stream: rest.LogLineStreamStderr},
		{Node: "a", Text: "end", Stream: rest.LogLineStreamStdout},
		{Node: "b", Text: "no newline", Partial: &yes, Stream: rest.LogLineStreamStdout},
	}
	for prefix, want := range map[bool]string{
		true:  "b | other\na | err\na | begin end\nb | no newline\n",
		false: "begin other\nerr\nend\nno newline",
	} {
		var out bytes.Buffer
		w := &lineWriter{out: &out, prefix: prefix}
		for _, l := range lines {
			if err := w.line(l); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.flush(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("prefix %v: %s", prefix, diff)
		}
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		p := newProgram(t, nil)
		p.expect(t, exitDone, "completion", shell)
		if p.stdout.String() == "" {
			t.Errorf("no completion for %s", shell)
		}
	}
}
