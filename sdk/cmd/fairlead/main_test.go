package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/api/apitest"
	"github.com/fairlead/fairlead/hub/auth"
	"github.com/fairlead/fairlead/hub/store"
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
	limit := time.After(time.Minute)
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
		case <-limit:
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

// A runner that was enrolled in what the database lost is given its name and projects
// before it is released.
func TestRecoveredRunnerIsEdited(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	lost := &hub.RunnerCertificate{Serial: "1", RunnerID: store.NewID(), PublicKey: []byte("key"), DER: []byte("certificate")}
	r, err := h.Store.RecoverCertificate(t.Context(), hub.DefaultOrganisationID, lost)
	if err != nil {
		t.Fatal(err)
	}
	p := newProgram(t, h)
	p.expect(t, exitDone, "runners", "show", r.Name)
	if got := p.stdout.String(); !strings.Contains(got, "Projects:     none\n") {
		t.Errorf("printed %s", got)
	}
	p.expect(t, exitDone, "runners", "edit", r.Name, "--project", "web", "--name", "edge")
	p.expect(t, exitDone, "runners", "release", "edge")
	if got := p.stdout.String(); !strings.Contains(got, "Projects:     web\n") || !strings.Contains(got, "State:     disconnected\n") {
		t.Errorf("printed %s", got)
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

// interrupted runs the program, sends it a signal when ready returns, and returns its
// exit code.
func (p *program) interrupted(t *testing.T, ready func(), args ...string) int {
	t.Helper()
	signals, released := make(chan os.Signal, 1), false
	p.signals, p.release = signals, func() { released = true }
	done := make(chan int, 1)
	go func() { done <- p.main(t.Context(), args) }()
	ready()
	signals <- os.Interrupt
	code := apitest.Receive(t, "the end of the program", done)
	if code == exitInterrupted && !released {
		t.Error("another signal would not end the process")
	}
	return code
}

// Ctrl-C stops following and nothing else.
func TestInterruptStopsFollowing(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	h.Runner(t, "r1", apitest.UntilStopped)
	for _, args := range [][]string{
		{"exec", "--filter", "web1", "--", "sleep 100"},
		{"executions", "log", "1", "--follow"},
		{"executions", "log", "1", "--follow", "--format", "ndjson"},
	} {
		p := newProgram(t, h)
		if code := p.interrupted(t, func() { p.stdout.await(t, "running on web1") }, args...); code != exitInterrupted {
			t.Errorf("%v: exit %d", args, code)
		}
		if !strings.Contains(p.stderr.String(), "execution 1 goes on. To cancel it: fairlead executions cancel 1") {
			t.Errorf("%v: it said %q", args, &p.stderr)
		}
	}
	e, err := h.Store.GetExecution(t.Context(), hub.DefaultOrganisationID, "1")
	if err != nil || e.CancelRequested {
		t.Errorf("execution %+v, %v", e, err)
	}
}

// Ctrl-C ends what waits for an answer, and tells what goes on.
func TestInterruptEndsWaiting(t *testing.T) {
	t.Parallel()
	const still = "Execution 7 is still running. To cancel it: fairlead executions cancel 7"
	for line, says := range map[string]string{
		"executions wait 7":              still,
		"run job --wait":                 still,
		"run job --follow -q":            still,
		"exec --local -q -- sleep 100":   still,
		"executions log 7":               "",
		"api GET executions/7?wait=100s": "",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			arrived := make(chan struct{}, 10)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					w.WriteHeader(http.StatusCreated)
					_, _ = io.WriteString(w, `{"id":"7","number":7,"status":"queued"}`)
					return
				}
				_ = http.NewResponseController(w).Flush()
				arrived <- struct{}{}
				<-r.Context().Done()
			}))
			defer server.Close()
			p := newProgram(t, nil)
			p.env["FAIRLEAD_URL"], p.env["FAIRLEAD_TOKEN"] = server.URL, "t"
			if code := p.interrupted(t, func() { apitest.Receive(t, "a request", arrived) }, strings.Fields(line)...); code != exitInterrupted {
				t.Errorf("exit %d: %s", code, &p.stderr)
			}
			if got := strings.TrimSpace(p.stderr.String()); got != says {
				t.Errorf("it said %q", got)
			}
		})
	}
}

// Ctrl-C at a question ends the program without an answer.
func TestInterruptAtQuestion(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t, apitest.TLS)
	silent, writer := io.Pipe()
	defer writer.Close()
	p := newProgram(t, nil)
	p.asks, p.in = true, silent
	if code := p.interrupted(t, func() { p.stderr.await(t, "Trust it?") }, "login", h.URL); code != exitInterrupted {
		t.Errorf("exit %d: %s", code, &p.stderr)
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
	done := make(chan int, 1)
	go func() {
		done <- p.main(t.Context(), []string{"exec", "--cancel-on-interrupt", "--filter", "web1", "--", "sleep 100"})
	}()
	p.stdout.await(t, "running on web1")
	signals <- os.Interrupt
	if code := apitest.Receive(t, "the end of the program", done); code != exitCancelled {
		t.Errorf("exit %d: %s", code, &p.stderr)
	}
}

// --cancel-on-interrupt cancels whatever the command waits by.
func TestCancelOnInterruptEverywhere(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"exec --filter web1 --wait --cancel-on-interrupt -- sleep 100",
		"exec --filter web1 -q --cancel-on-interrupt -- sleep 100",
		"executions log 1 --follow --cancel-on-interrupt",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			h := apitest.Start(t)
			h.Project(t, "web", "web1")
			begun := make(chan struct{})
			h.Runner(t, "r1", func(ctx context.Context, a *apitest.Attempt) error {
				close(begun)
				return apitest.UntilStopped(ctx, a)
			})
			if strings.Contains(line, "log") {
				newProgram(t, h).expect(t, exitDone, "exec", "--filter", "web1", "--detach", "--", "sleep 100")
			}
			p := newProgram(t, h)
			if code := p.interrupted(t, func() { apitest.Receive(t, "the start of the command", begun); p.caught(t) }, strings.Fields(line)...); code != exitCancelled {
				t.Errorf("exit %d: %s", code, &p.stderr)
			}
		})
	}
}

// caught returns when the program has begun to deal with signals itself.
func (p *program) caught(t *testing.T) {
	t.Helper()
	tick, limit := time.NewTicker(time.Millisecond), time.After(time.Minute)
	defer tick.Stop()
	for p.onInterrupt.Load() == nil {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("it never dealt with signals")
		}
	}
}

// Who follows hears once that the hub is gone, once that it is back, and once what is
// waited for.
func TestFollowerIsTold(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	p := newProgram(t, h)
	done := make(chan int, 1)
	go func() { done <- p.main(t.Context(), []string{"exec", "--filter", "web1", "--", "x"}) }()
	p.stderr.await(t, "Waiting for runner: ")
	h.Restart(t, func() { p.stderr.await(t, "Trying again: cannot reach the hub") })
	p.stderr.await(t, "The hub answers again.")
	h.Runner(t, "r1", nil)
	if code := apitest.Receive(t, "the end of the program", done); code != exitDone {
		t.Errorf("exit %d: %s", code, &p.stderr)
	}
	for _, text := range []string{"Waiting for", "Trying again", "answers again"} {
		if n := strings.Count(p.stderr.String(), text); n != 1 {
			t.Errorf("%q was said %d times:\n%s", text, n, &p.stderr)
		}
	}
}

// A hub that restarts while its output is followed costs no line and repeats none.
func TestFollowThroughRestart(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	down, up := make(chan struct{}), make(chan struct{})
	h.Runner(t, "r1", func(ctx context.Context, a *apitest.Attempt) error {
		a.Started(0, 0)
		a.Print(0, 0, "one", "two")
		if err := apitest.Await(ctx, down); err != nil {
			return err
		}
		a.Print(0, 0, "three while nobody could listen")
		if err := apitest.Await(ctx, up); err != nil {
			return err
		}
		a.Print(0, 0, "four")
		a.Ended(0, 0, hub.StatusSucceeded, 0)
		return nil
	})
	p := newProgram(t, h)
	done := make(chan int, 1)
	go func() { done <- p.main(t.Context(), []string{"exec", "--filter", "web1", "--", "x"}) }()
	p.stdout.await(t, "two")
	h.Restart(t, func() { close(down) })
	p.stdout.await(t, "three")
	h.Cut()
	close(up)
	if code := apitest.Receive(t, "the end of the program", done); code != exitDone {
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
	p.hidden = func(context.Context) ([]byte, error) { return []byte("correct horse battery"), nil }
	p.expect(t, exitDone, "login", h.URL)
	p.expect(t, exitDone, "api", "GET", "me")
	if !strings.Contains(p.stdout.String(), `"name":"ann"`) || !strings.Contains(p.stdout.String(), `"method":"token"`) {
		t.Errorf("me: %s", &p.stdout)
	}
	if strings.Contains(p.stderr.String(), "horse") {
		t.Error("the password was shown")
	}
}

// A fresh hub's administrator has no password: its first link signs the command line
// in, by argument or standard input.
func TestLoginByLink(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	for name, args := range map[string][]string{
		"argument":                 {"login", "{link}"},
		"flag":                     {"login", "--link", "{link}"},
		"standard input":           {"login", "--link", "-"},
		"standard input, with URL": {"login", h.URL, "--link", "-"},
	} {
		secret, err := h.Auth.CreateLink(t.Context(), hub.DefaultOrganisationID, auth.AdminName, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		link := h.URL + "/sign-in?link=" + secret
		p := newProgram(t, nil)
		p.in = strings.NewReader(link + "\n")
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "{link}", link)
		}
		p.expect(t, exitDone, args...)
		p.expect(t, exitDone, "api", "GET", "me")
		if !strings.Contains(p.stdout.String(), `"method":"token"`) {
			t.Errorf("%s: me: %s", name, &p.stdout)
		}
		p.in = strings.NewReader(link + "\n")
		p.expect(t, exitOther, args...)
		if !strings.Contains(p.stderr.String(), "fairlead-hub user link") || strings.Contains(p.stderr.String(), secret) {
			t.Errorf("%s: a used link: %s", name, &p.stderr)
		}
	}
	for _, args := range [][]string{{"login"}, {"login", "--link", "nonsense"}, {"login", h.URL + "/sign-in?link="}} {
		newProgram(t, nil).expect(t, exitUsage, args...)
	}
}

// A token for a script is made in a session of its own, since no token makes another.
func TestCreateToken(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	secret, err := h.Auth.CreateLink(t.Context(), hub.DefaultOrganisationID, auth.AdminName, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	p := newProgram(t, h)
	p.in = strings.NewReader(h.URL + "/sign-in?link=" + secret + "\n")
	p.expect(t, exitDone, "tokens", "create", "ci", "--ttl", "1h", "--link", "-", "-q")
	script := newProgram(t, h)
	script.env["FAIRLEAD_TOKEN"] = p.stdout.String()
	script.expect(t, exitDone, "tokens", "list")
	if !strings.Contains(script.stdout.String(), " ci ") {
		t.Errorf("tokens: %s", &script.stdout)
	}
	newProgram(t, h).expect(t, exitUsage, "tokens", "create", "ci")
}

// A login that cannot be kept leaves no token at the hub, which nobody would know of.
func TestLoginThatIsNotKept(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	secret, err := h.Auth.CreateLink(t.Context(), hub.DefaultOrganisationID, auth.AdminName, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	p := newProgram(t, nil)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.env["FAIRLEAD_CONFIG"] = filepath.Join(file, "config.yaml") // below what is no directory
	p.expect(t, exitOther, "login", h.URL+"/sign-in?link="+secret)
	admin := newProgram(t, h)
	admin.expect(t, exitDone, "tokens", "list")
	if strings.Contains(admin.stdout.String(), "fairlead login") {
		t.Errorf("a token is left:\n%s", &admin.stdout)
	}
}

// A life that no token may have is told before the sign-in link is used up for it.
func TestCreateTokenOfNoLife(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	secret, err := h.Auth.CreateLink(t.Context(), hub.DefaultOrganisationID, auth.AdminName, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, ttl := range []string{"-1h", "0", "1s", "1000000h"} {
		p := newProgram(t, h)
		p.in = strings.NewReader(h.URL + "/sign-in?link=" + secret + "\n")
		p.expect(t, exitUsage, "tokens", "create", "ci", "--ttl", ttl, "--link", "-")
	}
	p := newProgram(t, h)
	p.in = strings.NewReader(h.URL + "/sign-in?link=" + secret + "\n")
	p.expect(t, exitDone, "tokens", "create", "ci", "--ttl", "1m", "--link", "-")
}

// Logging out ends the token that login made, and forgets the hub.
func TestLogout(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	secret, err := h.Auth.CreateLink(t.Context(), hub.DefaultOrganisationID, auth.AdminName, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	p := newProgram(t, nil)
	p.expect(t, exitDone, "login", h.URL+"/sign-in?link="+secret, "--name", "lab")
	kept, err := p.readContexts()
	if err != nil {
		t.Fatal(err)
	}
	p.expect(t, exitDone, "logout")
	p.expect(t, exitUsage, "logout")
	p.expect(t, exitUsage, "projects", "list")
	other := newProgram(t, h)
	other.env["FAIRLEAD_TOKEN"] = kept.Contexts["lab"].Token
	other.expect(t, exitOther, "projects", "list")
	if !strings.Contains(other.stderr.String(), "was deleted") {
		t.Errorf("the ended token: %s", &other.stderr)
	}

	given := newProgram(t, h)
	given.expect(t, exitDone, "login", h.URL)
	given.expect(t, exitDone, "logout")
	if !strings.Contains(given.stderr.String(), "not ended") {
		t.Errorf("a token that was given: %s", &given.stderr)
	}
	newProgram(t, h).expect(t, exitDone, "projects", "list")
}

// A context's project counts everywhere, and an empty one lifts it.
func TestContextProject(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	h.Project(t, "db", "db1")
	h.Runner(t, "r1", nil)
	p := newProgram(t, h)
	delete(p.env, "FAIRLEAD_PROJECT")
	p.expect(t, exitDone, "login", h.URL, "--name", "lab")
	p.expect(t, exitDone, "context", "use", "lab", "--project", "db")
	again := func() *program {
		x := newProgram(t, h)
		x.env = p.env
		return x
	}
	again().expect(t, exitDone, "exec", "-p", "web", "--filter", "web1", "-q", "--", "x")
	again().expect(t, exitDone, "exec", "--filter", "db1", "-q", "--", "x")
	for want, args := range map[int][]string{1: {}, 2: {"-p", ""}} {
		lister := again()
		lister.expect(t, exitDone, append([]string{"executions", "list", "-q"}, args...)...)
		if n := strings.Count(lister.stdout.String(), "\n"); n != want {
			t.Errorf("%v: %d executions", args, n)
		}
	}
}

// YAML has the numbers and texts of the JSON.
func TestYAML(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	a := &app{out: &out, flags: flags{output: "yaml"}}
	if err := a.print([]byte(`{"big":9007199254740993,"small":12345678,"text":"2026-01-01","odd":"a: b\u2028\ud83d\ude00<\t\"","yes":"yes","list":[]}`)); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Big, Small     int64
		Text, Odd, Yes string
		List           []string
	}
	if err := yaml.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Big != 9007199254740993 || got.Small != 12345678 || got.Text != "2026-01-01" || got.Odd != "a: b\u2028😀<\t\"" || got.Yes != "yes" || got.List == nil {
		t.Errorf("%+v from\n%s", got, &out)
	}
	if !strings.Contains(out.String(), "small: 12345678\n") {
		t.Errorf("a number in\n%s", &out)
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
		"raw \x9b2J \xff\n":        "raw \\x9b2J \\xff\n",
		"turned \u202egnp.exe\n":   "turned \\u202egnp.exe\n",
	} {
		if got := string(harmless([]byte(in))); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// What others named or printed steers no terminal as JSON either, nor in what a search finds.
func TestNothingSteersTheTerminal(t *testing.T) {
	t.Parallel()
	const hostile = "a\u009b2J\u202eb\x7f\x1b[2Jü"
	var out bytes.Buffer
	l := rest.LogLine{Node: hostile, Text: hostile}
	m := rest.LogMatch{Node: hostile, Parts: []rest.LogPart{{Text: hostile}}, Ahead: &[]rest.LogLine{l}}
	for name, write := range map[string]func() error{
		"ndjson": func() error { return (&lineWriter{out: &out, records: true}).line(l) },
		"json":   func() error { return (&app{out: &out, flags: flags{output: "json"}}).encode(l) },
		"yaml":   func() error { return (&app{out: &out, flags: flags{output: "yaml"}}).encode(l.Text[:8]) },
		"search": func() error { return (&matchWriter{out: &out, terminal: true}).match(m) },
	} {
		out.Reset()
		if err := write(); err != nil {
			t.Fatal(err)
		}
		text := out.String()
		if strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && unicode.IsControl(r) || name != "yaml" && r == '\u202e' }) {
			t.Errorf("%s writes %q", name, text)
		}
		if !strings.Contains(name, "json") {
			continue
		}
		var back rest.LogLine
		if err := json.Unmarshal(out.Bytes(), &back); err != nil || back.Text != hostile || back.Node != hostile {
			t.Errorf("%s is read as %q, %v", name, back.Text, err)
		}
	}
}

// Pieces of a line are put together whatever is written between them; what a step left
// without an end stands before what the next one prints, and in no line of another node.
func TestLineWriter(t *testing.T) {
	t.Parallel()
	yes := true
	lines := []rest.LogLine{
		{Node: "a", Text: "begin ", Partial: &yes, Stream: rest.LogLineStreamStdout},
		{Node: "b", Text: "other", Stream: rest.LogLineStreamStdout},
		{Node: "a", Text: "err", Stream: rest.LogLineStreamStderr},
		{Node: "a", Text: "end", Stream: rest.LogLineStreamStdout},
		{Node: "b", Text: "lines were dropped", Stream: rest.LogLineStreamSystem},
		{Node: "b", Text: "no newline", Partial: &yes, Stream: rest.LogLineStreamStdout},
		{Node: "a", Text: "asks: ", Partial: &yes, Stream: rest.LogLineStreamStdout},
		{Node: "a", Text: "yes", Partial: &yes, Stream: rest.LogLineStreamStdout},
		{Node: "b", Step: 1, Text: "next step", Stream: rest.LogLineStreamStdout},
	}
	for prefix, want := range map[bool]string{
		true:  "b | other\na | err\na | begin end\nb | lines were dropped\nb | no newline\nb | next step\na | asks: yes\n",
		false: "begin \nother\nerr\nend\nno newline\nasks: yes\nnext step\n",
	} {
		var out bytes.Buffer
		var told []string
		system := func(format string, args ...any) { told = append(told, fmt.Sprintf(format, args...)) }
		w := &lineWriter{out: &out, prefix: prefix, system: system}
		for _, l := range lines {
			if err := w.line(l); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.end(&rest.LogEnd{}); err != nil {
			t.Fatal(err)
		}
		if !prefix && (len(told) != 1 || told[0] != "b: lines were dropped") {
			t.Errorf("what is not of the commands was told as %q", told)
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

// A file that is larger than the hub takes is refused with the hub's words, which name the
// limit, although it was not read to its end.
func TestFileTooLarge(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	file := filepath.Join(t.TempDir(), "large.yaml")
	for _, bytes := range []int{10_000_000, 60_000_000} {
		if err := os.WriteFile(file, []byte(strings.Repeat("#", bytes)), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, noun := range []string{"jobs", "nodes"} {
			p := newProgram(t, h)
			p.expect(t, exitUsage, noun, "import", file)
			if !strings.Contains(p.stderr.String(), "at most 8388608 bytes (8 MiB)") {
				t.Errorf("%s of %d bytes: the refusal does not tell the limit: %s", noun, bytes, &p.stderr)
			}
		}
	}
}

// A number of lines that is none showed the whole log.
func TestTailOfNoLines(t *testing.T) {
	t.Parallel()
	p := newProgram(t, apitest.Start(t))
	for _, n := range []string{"0", "-3"} {
		p.expect(t, exitUsage, "executions", "log", "1", "--tail", n)
	}
}

// A script whose variable is empty is told so. As a part of a path it asked for another one,
// such as the list or the project around the thing, and the answer spoke of that.
func TestNamesOfNothing(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web")
	p := newProgram(t, h)
	for _, name := range []string{"", ".", ".."} {
		for _, args := range [][]string{
			{"jobs", "delete", "-p", "web", name},
			{"run", "-p", "web", name},
			{"executions", "cancel", name},
			{"executions", "log", name},
			{"executions", "search", name, "x"},
			{"runners", "revoke", name},
			{"nodes", "hostkeys", "list", "-p", "web", name},
			{"projects", "retention", name},
		} {
			p.expect(t, exitUsage, args...)
			if text := p.stderr.String(); strings.Contains(text, "path") || !strings.Contains(text, "is empty") && !strings.Contains(text, "nothing is called") {
				t.Errorf("fairlead %s: %s", strings.Join(args, " "), text)
			}
		}
	}
	p.expect(t, exitUsage, "jobs", "list", "-p", "..")
	p.expect(t, exitUsage, "executions", "list", "-p", "", "--job", "no-id")
	p.expect(t, exitDone, "keys", "list", "")
	p.expect(t, exitOther, "executions", "search", "1", ".", "-E")
}

// What a flag cannot mean is refused: -1 nodes at once ran on as many as the job says, and a
// time of -1s was none.
func TestNumbersThatMeanNothing(t *testing.T) {
	t.Parallel()
	p := newProgram(t, apitest.Start(t))
	for _, args := range [][]string{
		{"run", "-p", "web", "x", "--threadcount", "0"},
		{"run", "-p", "web", "x", "--threadcount", "-1"},
		{"exec", "-p", "web", "--local", "--threadcount", "-1", "--", "true"},
		{"exec", "-p", "web", "--local", "--timeout", "-1s", "--", "true"},
		{"exec", "-p", "web", "--local", "--timeout", "1ms", "--", "true"},
		{"executions", "rerun", "1", "--threadcount", "-1"},
		{"executions", "wait", "1", "--timeout", "-1s"},
	} {
		p.expect(t, exitUsage, args...)
	}
}

// JSON puts another character in the place of bytes that are no text, which would run as if
// it had been given.
func TestValuesThatAreNoText(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web")
	file := filepath.Join(t.TempDir(), "latin1")
	if err := os.WriteFile(file, []byte("echo caf\xe9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := newProgram(t, h)
	for _, args := range [][]string{
		{"run", "-p", "web", "x", "--opt", "a=@" + file},
		{"run", "-p", "web", "x", "--opt", "a=caf\xe9"},
		{"exec", "-p", "web", "--local", "--script", file},
		{"exec", "-p", "web", "--local", "--", "echo", "caf\xe9"},
	} {
		p.expect(t, exitUsage, args...)
		if !strings.Contains(p.stderr.String(), "is not UTF-8") {
			t.Errorf("fairlead %s: %s", strings.Join(args, " "), &p.stderr)
		}
	}
}

// A file that is empty is named, with what to do: the hub saw a request without a body, which
// nobody typed.
func TestEmptyFiles(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web")
	dir := t.TempDir()
	for name, text := range map[string]string{"empty.yaml": "", "blank": "\n", "none.yaml": "{}\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"nodes", "import", dir + "/empty.yaml"},
		{"keys", "set", "keys/x", "--type", "private-key", "--file", dir + "/empty.yaml"},
		{"keys", "set", "keys/x", "--type", "password", "--file", dir + "/blank"},
		{"exec", "-p", "web", "--local", "--script", dir + "/empty.yaml"},
		{"jobs", "import", dir + "/empty.yaml"},
		{"calendars", "set", dir + "/blank"},
		{"jobs", "import", dir},
	} {
		p := newProgram(t, h)
		p.expect(t, exitUsage, args...)
		if !strings.Contains(p.stderr.String(), dir) {
			t.Errorf("fairlead %s: %s", strings.Join(args, " "), &p.stderr)
		}
	}
	newProgram(t, h).expect(t, exitDone, "nodes", "import", dir+"/none.yaml")
}
