package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/api/apitest"
	"github.com/fairlead/fairlead/hub/auth"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/sdk"
	"github.com/fairlead/fairlead/sdk/rest"
)

// client makes a client of a hub, as its administrator.
func client(t *testing.T, h *apitest.Hub) *sdk.Client {
	t.Helper()
	c, err := sdk.New(sdk.Config{URL: h.URL, Token: apitest.Token, Patience: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A log that is followed through cuts and restarts has every line once, in order.
func TestFollowLogThroughFaults(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1", "web2")
	const lines = 400
	next := make(chan int)
	h.Runner(t, "r1", func(_ context.Context, a *apitest.Attempt) error {
		for n := range a.Assignment.Nodes {
			a.Started(n, 0)
		}
		for i := range next {
			a.Print(i%2, 0, fmt.Sprintf("line %d", i), fmt.Sprintf("line %d again", i))
		}
		for n := range a.Assignment.Nodes {
			a.Ended(n, 0, hub.StatusSucceeded, 0)
		}
		return nil
	})
	c := client(t, h)
	filter, threads, command := ".*", int64(2), "x"
	e, err := c.RunCommand(t.Context(), "web", rest.RunCommand{Command: &command, NodeFilter: &filter, Threadcount: &threads}, 0)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(next)
		for i := range lines {
			next <- i
			switch {
			case i%150 == 149:
				h.Restart(t, nil)
			case i%40 == 39:
				h.Cut()
			}
		}
	}()
	var got []string
	end, err := c.FollowLog(t.Context(), e.ID, sdk.LogOptions{}, func(l rest.LogLine) error {
		got = append(got, l.Text)
		return nil
	})
	if err != nil || end.Status != rest.StatusSucceeded || !end.LogComplete {
		t.Fatalf("end %+v, %v", end, err)
	}
	var want []string
	for i := range lines {
		want = append(want, fmt.Sprintf("line %d", i), fmt.Sprintf("line %d again", i))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got = nil
	if _, err := c.ReadLog(t.Context(), e.ID, sdk.LogOptions{LogFilter: sdk.LogFilter{Nodes: []string{"web2"}, Step: 1}}, func(l rest.LogLine) error {
		got = append(got, l.Text)
		return nil
	}); err != nil || len(got) != lines {
		t.Errorf("%d lines of one node, %v", len(got), err)
	}
	text, err := c.LogText(t.Context(), e.ID, sdk.LogOptions{Tail: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	if b, err := io.ReadAll(text); err != nil || string(b) != fmt.Sprintf("line %d again\n", lines-1) {
		t.Errorf("tail %q, %v", b, err)
	}
}

// What is printed between the tail of a log and its first new line is told, also if the
// connection breaks before that.
func TestFollowTailThroughCut(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	printed, end := make(chan struct{}), make(chan struct{})
	begin := make(chan struct{})
	h.Runner(t, "r1", func(_ context.Context, a *apitest.Attempt) error {
		a.Started(0, 0)
		<-begin
		a.Print(0, 0, "one", "two", "three")
		close(printed)
		<-end
		a.Ended(0, 0, hub.StatusSucceeded, 0)
		return nil
	})
	direct := client(t, h)
	filter, command := ".*", "x"
	e, err := direct.RunCommand(t.Context(), "web", rest.RunCommand{Command: &command, NodeFilter: &filter}, 0)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(h.URL)
	if err != nil {
		t.Fatal(err)
	}
	var cut atomic.Bool
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, FlushInterval: -1, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("follow") != "true" || cut.Swap(true) {
			forward.ServeHTTP(w, r)
			return
		}
		// The first follower is cut when it has seen nothing, and all is printed meanwhile.
		close(begin)
		<-printed
		for stored := 0; stored < 3 && t.Context().Err() == nil; {
			stored = 0
			_, _ = direct.ReadLog(r.Context(), e.ID, sdk.LogOptions{}, func(rest.LogLine) error { stored++; return nil })
		}
		close(end)
		panic(http.ErrAbortHandler)
	}))
	defer proxy.Close()
	c, err := sdk.New(sdk.Config{URL: proxy.URL, Token: apitest.Token, Patience: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	if _, err := c.FollowLog(t.Context(), e.ID, sdk.LogOptions{Tail: 1}, func(l rest.LogLine) error {
		got = append(got, l.Text)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"one", "two", "three"}, got); diff != "" {
		t.Errorf("followed (-want +got):\n%s", diff)
	}
}

// A host that is switched off answers no dial at all. That is an outage like any other, and
// not the caller's giving up, though such a timeout also passes for a deadline that is over.
func TestDialsThatTakeTooLong(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	h.Runner(t, "r1", nil)
	filter, command := ".*", "x"
	e, err := client(t, h).RunCommand(t.Context(), "web", rest.RunCommand{Command: &command, NodeFilter: &filter}, 20*time.Second)
	if err != nil || e.Status != rest.StatusSucceeded {
		t.Fatalf("%+v, %v", e, err)
	}
	// away makes a client without patience whose first dials are answered by nobody.
	away := func(dials int32) *sdk.Client {
		c, err := sdk.New(sdk.Config{URL: h.URL, Token: apitest.Token})
		if err != nil {
			t.Fatal(err)
		}
		var n atomic.Int32
		c.DialBy(func(ctx context.Context, network, address string) (net.Conn, error) {
			var d net.Dialer
			if n.Add(1) <= dials {
				d.Timeout = time.Nanosecond
			}
			return d.DialContext(ctx, network, address)
		})
		return c
	}
	if got, err := away(2).Wait(t.Context(), e.ID); err != nil || got.Status != rest.StatusSucceeded {
		t.Errorf("Wait: %+v, %v", got, err)
	}
	if end, err := away(2).FollowLog(t.Context(), e.ID, sdk.LogOptions{}, func(rest.LogLine) error { return nil }); err != nil || end.Status != rest.StatusSucceeded {
		t.Errorf("FollowLog: %+v, %v", end, err)
	}
	if _, err := away(1).Execution(t.Context(), e.ID); err == nil || !strings.Contains(err.Error(), "cannot reach the hub at "+h.URL) {
		t.Errorf("Execution: %v", err)
	}
}

func TestFollowEndsAtCallersError(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	h.Runner(t, "r1", nil)
	c := client(t, h)
	filter, command := ".*", "x"
	e, err := c.RunCommand(t.Context(), "web", rest.RunCommand{Command: &command, NodeFilter: &filter}, 20*time.Second)
	if err != nil || e.Status != rest.StatusSucceeded {
		t.Fatalf("%+v, %v", e, err)
	}
	own := errors.New("enough")
	if _, err := c.FollowLog(t.Context(), e.ID, sdk.LogOptions{}, func(rest.LogLine) error { return own }); !errors.Is(err, own) {
		t.Errorf("error %v", err)
	}
	if _, err := c.FollowLog(t.Context(), "99", sdk.LogOptions{}, nil); sdk.ErrorCode(err) != sdk.CodeNotFound {
		t.Errorf("an execution that does not exist: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.FollowLog(ctx, e.ID, sdk.LogOptions{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// Lines of any bytes come through whole.
func TestLogBytes(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	want := []string{"\xff\x00\x1b[2J", "", strings.Repeat("ü", 16<<10-1), "\"quoted\"\t\\", "\u2028<&>"}
	h.Runner(t, "r1", func(_ context.Context, a *apitest.Attempt) error {
		a.Started(0, 0)
		for _, l := range want {
			a.Frames(wire.Frame{Try: 1, Data: []byte(l)})
		}
		a.Ended(0, 0, hub.StatusSucceeded, 0)
		return nil
	})
	c := client(t, h)
	filter, command := ".*", "x"
	e, err := c.RunCommand(t.Context(), "web", rest.RunCommand{Command: &command, NodeFilter: &filter}, 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	if _, err := c.ReadLog(t.Context(), e.ID, sdk.LogOptions{}, func(l rest.LogLine) error {
		text := l.Text
		if l.Data != nil {
			text = string(*l.Data)
		}
		got = append(got, text)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Requests are repeated only when that does no harm and may help.
func TestRepeats(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		status int
		send   func(*sdk.Client) error
		want   int32
	}{
		{"get while unavailable", 503, func(c *sdk.Client) error { _, err := c.Me(t.Context()); return err }, 3},
		{"create with a key", 502, func(c *sdk.Client) error {
			_, err := c.CreateProject(t.Context(), rest.NewProject{Name: "a"})
			return err
		}, 3},
		{"cancel", 503, func(c *sdk.Client) error { _, err := c.Cancel(t.Context(), "1"); return err }, 3},
		{"sign-in", 503, func(c *sdk.Client) error { _, err := c.SignIn(t.Context(), "ann", "x"); return err }, 1},
		{"refused", 403, func(c *sdk.Client) error { _, err := c.Me(t.Context()); return err }, 1},
	} {
		var count atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if body, err := io.ReadAll(r.Body); err != nil || (r.Method == http.MethodPost && len(body) == 0) {
				t.Errorf("%s: body %q, %v", c.name, body, err)
			}
			if count.Add(1) < 3 {
				w.WriteHeader(c.status)
				return
			}
			w.WriteHeader(http.StatusOK)
			_, _ = io.WriteString(w, "{}")
		}))
		client, err := sdk.New(sdk.Config{URL: server.URL, Token: "t", Patience: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		err = c.send(client)
		server.Close()
		if got := count.Load(); got != c.want || (err == nil) != (c.want == 3) {
			t.Errorf("%s: sent %d times, want %d; error %v", c.name, got, c.want, err)
		}
	}
}

// A change whose answer was lost is repeated, is not made twice, and is answered as it
// was the first time.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	h.Runner(t, "r1", apitest.UntilStopped)
	direct := client(t, h)
	command, filter := "sleep 100", ".*"
	running, err := direct.RunCommand(t.Context(), "web", rest.RunCommand{Command: &command, NodeFilter: &filter}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*sdk.Client) (answer any, err error){
		"nodes": func(c *sdk.Client) (any, error) {
			done, err := c.ImportNodes(t.Context(), "web", 1, "application/yaml", []byte("a: {hostname: h}"))
			if err == nil && (done.Revision != 2 || done.Added != 1) {
				err = fmt.Errorf("imported twice: %+v", done)
			}
			return done, err
		},
		"key": func(c *sdk.Client) (any, error) {
			k, err := c.SetKey(t.Context(), "db", 0, "password", []byte("hunter2-hunter2"))
			if err == nil && k.Revision != 1 {
				err = fmt.Errorf("set twice: %+v", k)
			}
			return k, err
		},
		"jobs": func(c *sdk.Client) (any, error) {
			done, err := c.ImportJobs(t.Context(), "web", []byte("- {name: a, sequence: {commands: [{exec: x}]}}"), false)
			if err == nil && done.Items[0].Result != "created" {
				err = fmt.Errorf("imported twice: %+v", done)
			}
			return done, err
		},
		"cancel": func(c *sdk.Client) (any, error) { return c.Cancel(t.Context(), running.ID) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target, err := url.Parse(h.URL)
			if err != nil {
				t.Fatal(err)
			}
			var lost atomic.Bool
			proxy := httptest.NewServer(&httputil.ReverseProxy{
				Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
				ModifyResponse: func(r *http.Response) error {
					if lost.Swap(true) {
						return nil
					}
					if name == "cancel" {
						if _, err := direct.Wait(t.Context(), running.ID); err != nil {
							return err
						}
					}
					return errors.New("the answer is lost")
				},
				ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
			})
			defer proxy.Close()
			c, err := sdk.New(sdk.Config{URL: proxy.URL, Token: apitest.Token, Patience: 20 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			if answer, err := change(c); err != nil {
				t.Errorf("%+v, %v", answer, err)
			}
		})
	}
}

// The token goes to the hub that it is for, whatever that answers.
func TestTokenStaysWithItsHub(t *testing.T) {
	t.Parallel()
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("another host was asked, with %q", r.Header.Get("Authorization"))
	}))
	defer thief.Close()
	server := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	c, err := sdk.New(sdk.Config{URL: server.URL, Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Me(t.Context()); err == nil {
		t.Error("a redirect to another host was taken for an answer")
	}
}

func TestPins(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t, apitest.TLS)
	found, err := sdk.FetchCA(t.Context(), h.URL)
	if err != nil {
		t.Fatal(err)
	}
	ca := h.CA.Certificates()[0]
	token := wire.EnrolmentToken{ID: "x", Secret: make([]byte, 32), Pin: wire.Pin(ca)}.String()
	for pin, want := range map[string]bool{
		sdk.Pin(ca): true, " " + strings.ToUpper(sdk.Pin(ca)[7:]): false, "sha256:" + strings.ToUpper(sdk.Pin(ca)[7:]): true,
		token: true, token[strings.LastIndexByte(token, '.')+1:]: true, "": false, "sha256:": false, "sha256:00": false, token[:len(token)-2]: false,
	} {
		if got := found.Matches(pin); got != want {
			t.Errorf("pin %q: %v, want %v", pin, got, want)
		}
	}
	for _, c := range []struct {
		config sdk.Config
		ok     bool
	}{
		{sdk.Config{CAs: found.PEM, Pinned: true}, true},
		{sdk.Config{CAs: found.PEM}, false}, // the certificate is for hub.example
		{sdk.Config{}, false},
		{sdk.Config{CAs: otherCA(t), Pinned: true}, false},
	} {
		c.config.URL, c.config.Token = h.URL, apitest.Token
		client, err := sdk.New(c.config)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Me(t.Context()); (err == nil) != c.ok {
			t.Errorf("trusting %d bytes, pinned %v: %v", len(c.config.CAs), c.config.Pinned, err)
		}
	}
}

// otherCA is the CA of another hub.
func otherCA(t *testing.T) []byte {
	t.Helper()
	return apitest.Start(t).CA.PEM()
}

func TestErrors(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	c := client(t, h)
	_, err := c.CreateProject(t.Context(), rest.NewProject{Name: "not/a name"})
	var e *sdk.Error
	if !errors.As(err, &e) || e.Code != sdk.CodeInvalid || e.Status != 400 || len(e.Fields) == 0 || e.Fields[0].Path != "body.name" {
		t.Errorf("error %#v", err)
	}
	if _, err := sdk.New(sdk.Config{URL: "hub.example:8440"}); err == nil {
		t.Error("an address without a scheme was taken")
	}
	page := httptest.NewServer(http.NotFoundHandler())
	defer page.Close()
	other, err := sdk.New(sdk.Config{URL: page.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Me(t.Context()); err == nil || !strings.Contains(err.Error(), "not one of a Fairlead hub") {
		t.Errorf("a page of something else: %v", err)
	}
	page.Close()
	if _, err := other.Me(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot reach the hub at "+page.URL) {
		t.Errorf("nobody there: %v", err)
	}
}

// A create under the caller's own key happens once, however often it is asked for.
func TestCallersIdempotencyKey(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	c := client(t, h)
	filter, command := ".*", "x"
	numbers := map[int64]bool{}
	for range 3 {
		e, err := c.RunCommand(t.Context(), "web", rest.RunCommand{Command: &command, NodeFilter: &filter}, 0, sdk.WithIdempotencyKey("nightly-1"))
		if err != nil {
			t.Fatal(err)
		}
		numbers[e.Number] = true
	}
	if len(numbers) != 1 {
		t.Errorf("executions %v", numbers)
	}
}

func TestExecutionsBeyondOnePage(t *testing.T) {
	t.Parallel()
	asked := []string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RawQuery)
		limit := 0
		_, _ = fmt.Sscan(r.URL.Query().Get("limit"), &limit)
		items := strings.Repeat(`{"url":"/x"},`, limit)
		_, _ = io.WriteString(w, `{"items":[`+strings.TrimSuffix(items, ",")+`],"next":"n"}`)
	}))
	defer server.Close()
	c, err := sdk.New(sdk.Config{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	items, more, err := c.Executions(t.Context(), sdk.ExecutionQuery{Limit: 2500})
	if err != nil || len(items) != 2500 || !more || items[2499].URL != server.URL+"/x" {
		t.Errorf("%d items, more %v, %v", len(items), more, err)
	}
	if diff := cmp.Diff([]string{"limit=1000", "limit=1000&cursor=n", "limit=500&cursor=n"}, asked); diff != "" {
		t.Error(diff)
	}
}

func TestLogRanges(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	h.Runner(t, "r1", func(_ context.Context, a *apitest.Attempt) error {
		a.Started(0, 0)
		a.Print(0, 0, "zero", "one", "two", "three")
		a.Ended(0, 0, hub.StatusSucceeded, 0)
		return nil
	})
	c := client(t, h)
	filter, command := ".*", "x"
	e, err := c.RunCommand(t.Context(), "web", rest.RunCommand{Command: &command, NodeFilter: &filter}, 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	end, err := c.ReadLog(t.Context(), e.ID, sdk.LogOptions{Line: 1, Lines: 2}, func(l rest.LogLine) error {
		got = append(got, l.Text)
		return nil
	})
	if diff := cmp.Diff([]string{"one", "two"}, got); err != nil || !end.More || diff != "" {
		t.Errorf("end %+v, %v: %s", end, err, diff)
	}
	text, err := c.LogText(t.Context(), e.ID, sdk.LogOptions{Bytes: "5-8"})
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	if b, err := io.ReadAll(text); err != nil || string(b) != "one\n" {
		t.Errorf("bytes %q, %v", b, err)
	}
}

// Events go on after a restart; an outage is told once, and its end.
func TestFollowEventsThroughRestart(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	told := make(chan error, 100)
	c, err := sdk.New(sdk.Config{URL: h.URL, Token: apitest.Token, Patience: 20 * time.Second, Outage: func(err error) { told <- err }})
	if err != nil {
		t.Fatal(err)
	}
	events, done := make(chan rest.Event), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		done <- c.FollowEvents(ctx, "web", func(e rest.Event) error {
			select {
			case events <- e:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	if e := <-events; e.Type != rest.EventTypeHello {
		t.Errorf("first event %+v", e)
	}
	h.Restart(t, func() {
		if err := <-told; err == nil {
			t.Error("the outage was told without why")
		}
	})
	if err := <-told; err != nil {
		t.Errorf("the end of the outage was told as %v", err)
	}
	if e := <-events; e.Type != rest.EventTypeHello {
		t.Errorf("first event after the restart %+v", e)
	}
	filter, command := ".*", "x"
	e, err := c.RunCommand(t.Context(), "web", rest.RunCommand{Command: &command, NodeFilter: &filter}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for got := range events {
		if got.ExecutionID != nil && *got.ExecutionID == e.ID {
			break
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("ended by %v", err)
	}
	if len(told) > 0 {
		t.Errorf("told more: %v", <-told)
	}
	if err := client(t, h).FollowEvents(t.Context(), "nowhere", nil); sdk.ErrorCode(err) != sdk.CodeNotFound {
		t.Errorf("a project that does not exist: %v", err)
	}
}

// Someone else's change between reading and writing is found out; tokens can be ended.
func TestChangesAndTokens(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Runner(t, "r1", nil)
	c := client(t, h)
	before, err := c.Runner(t.Context(), "r1")
	if err != nil {
		t.Fatal(err)
	}
	tags := []string{"dc2"}
	after, err := c.ChangeRunner(t.Context(), "r1", before.Revision, rest.RunnerChange{Tags: &tags})
	if err != nil || after.Tags[0] != "dc2" {
		t.Errorf("runner %+v, %v", after, err)
	}
	if _, err := c.ChangeRunner(t.Context(), "r1", before.Revision, rest.RunnerChange{Tags: &tags}); sdk.ErrorCode(err) != sdk.CodeConflict {
		t.Errorf("a change of an older revision: %v", err)
	}
	if _, err := c.CreateToken(t.Context(), "ci", time.Hour); sdk.ErrorCode(err) != sdk.CodeForbidden {
		t.Errorf("a token made by another: %v", err)
	}
	link, err := h.Auth.CreateLink(t.Context(), hub.DefaultOrganisationID, auth.AdminName, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	session, err := c.SignInByLink(t.Context(), link)
	if err != nil {
		t.Fatal(err)
	}
	made, err := c.CreateToken(t.Context(), "ci", time.Hour, sdk.WithCookie(session))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SignOut(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateToken(t.Context(), "ci", time.Hour, sdk.WithCookie(session)); sdk.ErrorCode(err) != sdk.CodeUnauthenticated {
		t.Errorf("a token made in an ended session: %v", err)
	}
	if tokens, err := c.Tokens(t.Context()); err != nil || tokens[0].Name != "ci" {
		t.Errorf("tokens %+v, %v", tokens, err)
	}
	if err := c.DeleteToken(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	with, err := sdk.New(sdk.Config{URL: h.URL, Token: made.Secret})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := with.Me(t.Context()); sdk.ErrorCode(err) != sdk.CodeUnauthenticated {
		t.Errorf("the deleted token: %v", err)
	}
}
