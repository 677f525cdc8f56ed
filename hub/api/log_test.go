package api_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/api"
	"github.com/fairlead/fairlead/hub/api/apitest"
	"github.com/fairlead/fairlead/proto/wire"
)

// started runs a command on nodes of a runner that plays play, and returns its id.
func started(t *testing.T, play apitest.Play, nodes ...string) (*apitest.Hub, string) {
	t.Helper()
	h := apitest.Start(t)
	h.Project(t, "web", nodes...)
	h.Runner(t, "r1", play)
	e := get[api.Execution](t, h, 201, call{method: "POST", path: "/api/v1/projects/web/executions", body: `{"command":"x","nodeFilter":".*","threadcount":10}`})
	return h, e.ID
}

// records splits an NDJSON log.
func records(t *testing.T, body string) (lines []api.LogLine, end *api.LogEnd) {
	t.Helper()
	for text := range strings.Lines(body) {
		if text == "\n" {
			continue
		}
		var r api.LogRecord
		r.LogLine = &api.LogLine{}
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		if r.End != nil {
			end = r.End
			continue
		}
		lines = append(lines, *r.LogLine)
	}
	return lines, end
}

func TestReadLog(t *testing.T) {
	t.Parallel()
	h, id := started(t, func(_ context.Context, a *apitest.Attempt) error {
		for n := range a.Assignment.Nodes {
			a.Started(n, 0)
			for i := range 3 {
				a.Print(n, 0, fmt.Sprintf("%s %d", a.Node(n), i))
			}
			a.Frames(
				wire.Frame{Node: uint32(n), Try: 1, Stream: wire.Stderr, Data: []byte("bad \xff byte")},
				wire.Frame{Node: uint32(n), Try: 1, Flags: wire.FlagPartial, Data: []byte("no newline")})
			a.Ended(n, 0, hub.StatusSucceeded, 0)
		}
		return nil
	}, "a", "b")
	get[api.Execution](t, h, 200, call{method: "GET", path: "/api/v1/executions/" + id + "?wait=20s"})
	log := "/api/v1/executions/" + id + "/log"
	const whole = "a 0\na 1\na 2\nbad \xff byte\nno newline\nb 0\nb 1\nb 2\nbad \xff byte\nno newline"
	for query, want := range map[string]string{
		"":                whole,
		"?node=b":         whole[strings.Index(whole, "b 0"):],
		"?step=0&node=a":  whole[:strings.Index(whole, "\nb 0")],
		"?line=1&lines=2": "a 1\na 2\n",
		"?tail=2":         "bad \xff byte\nno newline",
		"?bytes=4-6":      "a 1",
		"?bytes=" + fmt.Sprint(len(whole)-3) + "-": "ine",
		"?follow=true": whole,
	} {
		a := do(t, h, call{method: "GET", path: log + query})
		if a.status != 200 || a.header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("log%s: %d %s", query, a.status, a.header)
		}
		if diff := cmp.Diff(want, string(a.body)); diff != "" {
			t.Errorf("log%s:\n%s", query, diff)
		}
	}

	lines, end := records(t, string(do(t, h, call{method: "GET", path: log + "?format=ndjson"}).body))
	if len(lines) != 10 || end == nil || end.Status != "succeeded" || !end.LogComplete || end.More {
		t.Fatalf("%d lines, end %+v", len(lines), end)
	}
	if l := lines[3]; l.Stream != "stderr" || string(l.Data) != "bad \xff byte" || l.Node != "a" || !lines[4].Partial {
		t.Errorf("line %+v", l)
	}
	for i := range lines {
		rest, _ := records(t, string(do(t, h, call{method: "GET", path: log + "?format=ndjson&cursor=" + lines[i].Cursor}).body))
		if diff := cmp.Diff(lines[i+1:], append([]api.LogLine{}, rest...), cmp.Transformer("time", func(t api.Time) time.Time { return time.Time(t) })); diff != "" {
			t.Errorf("after line %d:\n%s", i, diff)
		}
	}
	if _, end := records(t, string(do(t, h, call{method: "GET", path: log + "?format=ndjson&lines=4"}).body)); end == nil || !end.More || end.Cursor != lines[3].Cursor {
		t.Errorf("end of a page %+v", end)
	}

	for _, format := range []string{"text", "ndjson"} {
		a := do(t, h, call{method: "GET", path: log + "?download=true&format=" + format})
		if got := a.header.Get("Content-Disposition"); !strings.HasPrefix(got, "attachment; filename=execution-") {
			t.Errorf("a download as %s is %q", format, got)
		}
	}

	for query, want := range map[string]string{
		"?stream=stderr":                                 "bad \xff byte\nbad \xff byte\n",
		"?node=b&node=a&stream=stderr":                   "bad \xff byte\nbad \xff byte\n",
		"?since=2100-01-01T00:00:00Z":                    "",
		"?until=2000-01-01T00:00:00Z&tail=1":             "no newline", // its frame bears no time
		"?cursor=" + lines[6].Cursor + "&back=2&lines=3": "b 0\nb 1\nb 2\n",
	} {
		a := do(t, h, call{method: "GET", path: log + query})
		if diff := cmp.Diff(want, string(a.body)); diff != "" || a.status != 200 {
			t.Errorf("log%s: %d\n%s", query, a.status, diff)
		}
	}
	wrong(t, h, 400, "stream", call{method: "GET", path: log + "?stream=stdin"})
	wrong(t, h, 400, "until", call{method: "GET", path: log + "?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z"})
	wrong(t, h, 400, "one place", call{method: "GET", path: log + "?tail=1&line=1"})
	wrong(t, h, 404, "does not run on", call{method: "GET", path: log + "?node=other"})
	wrong(t, h, 400, "step", call{method: "GET", path: log + "?step=7"})
	for _, bad := range []string{"9-1", "9", "-5", "x-", "1-9223372036854775807", "1-9&format=ndjson"} {
		wrong(t, h, 400, "bytes", call{method: "GET", path: log + "?bytes=" + bad})
	}
	wrong(t, h, 400, "", call{method: "GET", path: log + "?cursor=nonsense"})
	// A cursor names each attempt that was read: here are 4000, of which none is of this log.
	large := []byte{1}
	for i := range 4000 {
		large = append(large, 0, 0, 0, 0, byte(i>>8), byte(i), 1, 1)
	}
	for _, path := range []string{log + "?cursor=", log + "/search?q=x&cursor="} {
		if a := do(t, h, call{method: "GET", path: path + base64.RawURLEncoding.EncodeToString(large)}); a.status != 200 {
			t.Errorf("%s with a cursor of many attempts: %d %s", path, a.status, a.body)
		}
	}
	wrong(t, h, 400, "unknown query", call{method: "GET", path: log + "?token=x"})
}

func TestFollowLog(t *testing.T) {
	t.Parallel()
	next, printed := make(chan struct{}, 1), make(chan struct{}, 1)
	h, id := started(t, func(ctx context.Context, a *apitest.Attempt) error {
		a.Started(0, 0)
		for i := range 3 {
			if err := apitest.Await(ctx, next); err != nil {
				return err
			}
			a.Print(0, 0, fmt.Sprint("line ", i))
			printed <- struct{}{}
		}
		if err := apitest.Await(ctx, next); err != nil {
			return err
		}
		a.Ended(0, 0, hub.StatusSucceeded, 0)
		return nil
	}, "web1")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL+"/api/v1/executions/"+id+"/log?format=ndjson&follow=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+apitest.Token)
	resp, err := http.DefaultClient.Do(req) // answers before the first line
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	in := bufio.NewScanner(resp.Body)
	for i := range 3 {
		next <- struct{}{}
		apitest.Receive(t, fmt.Sprint("line ", i), printed)
		if !in.Scan() || !strings.Contains(in.Text(), fmt.Sprint(`"line `, i)) {
			t.Fatalf("line %d: %q %v", i, in.Text(), in.Err())
		}
	}
	next <- struct{}{}
	if !in.Scan() || !strings.Contains(in.Text(), `{"end":`) || !strings.Contains(in.Text(), `"status":"succeeded"`) {
		t.Errorf("end: %q %v", in.Text(), in.Err())
	}
	if in.Scan() {
		t.Errorf("after the end: %q", in.Text())
	}
}

// Who follows an execution from before it found its nodes is told them with its lines.
func TestFollowLogOfOneThatWaits(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	yaml := http.Header{"Content-Type": {"application/yaml"}}
	const file = "- name: single\n  nodefilters: {filter: .*}\n  sequence: {commands: [{exec: x}]}\n"
	get[api.JobImport](t, h, 200, call{method: "POST", path: "/api/v1/projects/web/jobs/import", body: file, header: yaml})
	begin := call{method: "POST", path: "/api/v1/projects/web/jobs/single/executions", body: `{}`}
	get[api.Execution](t, h, 201, begin)
	second := get[api.Execution](t, h, 201, begin)
	log := "/api/v1/executions/" + second.ID + "/log"
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL+log+"?format=ndjson&follow=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+apitest.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	conn, _ := dial(t, h, log+"/stream", bearer)
	h.Runner(t, "r1", func(_ context.Context, a *apitest.Attempt) error {
		a.Started(0, 0)
		a.Print(0, 0, "a line")
		a.Ended(0, 0, hub.StatusSucceeded, 0)
		return nil
	})
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if lines, _ := records(t, string(body)); len(lines) != 1 || lines[0].Node != "web1" {
		t.Errorf("followed %+v", lines)
	}
	var m api.LogMessage
	if err := conn.ReadJSON(&m); err != nil || len(m.Lines) != 1 || m.Lines[0].Node != "web1" {
		t.Errorf("followed over a WebSocket %+v, %v", m, err)
	}
}

// dial opens a WebSocket and tells the answer's status. Who waits on it for what never
// comes is told so after a minute.
func dial(t *testing.T, h *apitest.Hub, path string, header http.Header) (*websocket.Conn, int) {
	t.Helper()
	conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(h.URL, "http")+path, header)
	if err == nil {
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	}
	if resp == nil {
		t.Fatalf("%s: %v", path, err)
	}
	_ = resp.Body.Close()
	return conn, resp.StatusCode
}

// events opens the stream of events at path; what changes from here on is told.
func events(t *testing.T, h *apitest.Hub, path string, header http.Header) *websocket.Conn {
	t.Helper()
	conn, _ := dial(t, h, path, header)
	var e api.Event
	if err := conn.ReadJSON(&e); err != nil || e.Type != "hello" {
		t.Fatalf("first event %+v, %v", e, err)
	}
	return conn
}

var bearer = http.Header{"Authorization": {"Bearer " + apitest.Token}}

func TestLogSocket(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	h, id := started(t, func(ctx context.Context, a *apitest.Attempt) error {
		a.Started(0, 0)
		a.Print(0, 0, "first", "second")
		if err := apitest.Await(ctx, next); err != nil {
			return err
		}
		a.Print(0, 0, "third")
		a.Ended(0, 0, hub.StatusSucceeded, 0)
		return nil
	}, "web1")
	conn, _ := dial(t, h, "/api/v1/executions/"+id+"/log/stream", bearer)
	var got []string
	for {
		var m api.LogMessage
		if err := conn.ReadJSON(&m); err != nil {
			t.Fatalf("after %v: %v", got, err)
		}
		for _, l := range m.Lines {
			if got = append(got, l.Text); len(got) == 2 {
				close(next)
			}
		}
		if m.Type == "end" {
			if m.End.Status != "succeeded" {
				t.Errorf("end %+v", m.End)
			}
			break
		}
	}
	if diff := cmp.Diff([]string{"first", "second", "third"}, got); diff != "" {
		t.Error(diff)
	}
	if _, _, err := conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Errorf("after the end: %v", err)
	}
}

// A parameter that has no effect is refused at a WebSocket's address as everywhere.
func TestSocketParameters(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	for path, status := range map[string]int{
		"/api/v1/events": 101, "/api/v1/events?project=web": 101, "/api/v1/events?project=other": 404,
		"/api/v1/events?projekt=web": 400, "/api/v1/events?project=web&token=x": 400,
	} {
		if _, got := dial(t, h, path, bearer); got != status {
			t.Errorf("%s: %d, want %d", path, got, status)
		}
	}
	wrong(t, h, 400, "unknown query parameter; known: project", call{method: "GET", path: "/api/v1/events?projekt=web", header: http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="},
	}})
}

func TestSocketOrigins(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t, apitest.PublicURL("https://hub.example:443"))
	session, err := h.Auth.CreateLink(t.Context(), hub.DefaultOrganisationID, "admin", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	a := do(t, h, call{method: "POST", path: "/api/v1/sessions", body: `{"link":"` + session + `"}`, token: "-"})
	cookie, _, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
	for origin, want := range map[string]int{
		h.URL: 101, "https" + strings.TrimPrefix(h.URL, "http"): 403, "https://hub.example": 101, "http://hub.example": 403, "https://hub.example:443": 403, "": 403, "null": 403, "http://evil.example": 403, "http://sub.127.0.0.1": 403, "http://127.0.0.1:1": 403,
	} {
		header := http.Header{"Cookie": {cookie}}
		if origin != "" {
			header.Set("Origin", origin)
		}
		if _, status := dial(t, h, "/api/v1/events", header); status != want {
			t.Errorf("origin %q: %d, want %d", origin, status, want)
		}
	}
	if _, status := dial(t, h, "/api/v1/events", nil); status != 401 {
		t.Errorf("without identity: %d", status)
	}
	conn, _ := dial(t, h, "/api/v1/events", bearer)
	// The hub may end the connection before it has taken all of it.
	_ = conn.WriteMessage(websocket.TextMessage, make([]byte, 1<<20))
	for {
		if _, _, err := conn.ReadMessage(); err != nil {
			break // the large frame ended it
		}
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	h.Project(t, "web", "web1")
	h.Project(t, "other", "o1")
	all := events(t, h, "/api/v1/events", bearer)
	one := events(t, h, "/api/v1/events?project=other", bearer)
	h.Runner(t, "r1", nil)
	for _, project := range []string{"web", "other"} {
		get[api.Execution](t, h, 201, call{method: "POST", path: "/api/v1/projects/" + project + "/executions?wait=20s", body: `{"command":"x","nodeFilter":".*"}`})
	}
	seen := map[string]bool{}
	for !seen["web succeeded"] || !seen["other succeeded"] || !seen["runner"] {
		var e api.Event
		if err := all.ReadJSON(&e); err != nil {
			t.Fatalf("after %v: %v", seen, err)
		}
		switch e.Type {
		case "execution":
			seen[e.Execution.Project+" "+string(e.Execution.Status)] = true
		case "runner":
			seen["runner"] = e.Runner.State == "connected" || seen["runner"]
		}
	}
	for {
		var e api.Event
		if err := one.ReadJSON(&e); err != nil {
			t.Fatal(err)
		}
		if e.Execution != nil && e.Execution.Project != "other" {
			t.Errorf("an event of project %s", e.Execution.Project)
		}
		if e.Execution != nil && e.Execution.Status == "succeeded" {
			break
		}
	}
	if a := do(t, h, call{method: "GET", path: "/api/v1/events"}); a.status != 200 || !strings.HasPrefix(string(a.body), `{"type":"hello"`) {
		t.Errorf("NDJSON: %d %s", a.status, a.body)
	}
}

// Who lost their right is out of an open stream within five seconds.
func TestRevokedTokenEndsStream(t *testing.T) {
	t.Parallel()
	h := apitest.Start(t)
	token := h.User(t, "bob")
	conn := events(t, h, "/api/v1/events", http.Header{"Authorization": {"Bearer " + token}})
	u, err := h.Store.UserByName(t.Context(), hub.DefaultOrganisationID, "bob")
	if err != nil {
		t.Fatal(err)
	}
	// At another member: nothing of this one's cache is forgotten.
	tokens, err := h.Store.APITokens(t.Context(), u.ID)
	if err != nil || len(tokens) != 1 {
		t.Fatal(tokens, err)
	}
	begin := time.Now()
	if err := h.Store.DeleteAPIToken(t.Context(), u.ID, tokens[0].ID); err != nil {
		t.Fatal(err)
	}
	_, _, err = conn.ReadMessage()
	if took := time.Since(begin); !websocket.IsCloseError(err, 4401) || took > 6*time.Second {
		t.Errorf("after %s: %v", took, err)
	}
}

func TestSearchLog(t *testing.T) {
	t.Parallel()
	h, id := started(t, func(_ context.Context, a *apitest.Attempt) error {
		for n := range a.Assignment.Nodes {
			a.Started(n, 0)
			for i := range 5 {
				a.Print(n, 0, fmt.Sprintf("%s \x1b[1mline\x1b[0m %d \xff", a.Node(n), i))
			}
			a.Ended(n, 0, hub.StatusSucceeded, 0)
		}
		return nil
	}, "a", "b")
	get[api.Execution](t, h, 200, call{method: "GET", path: "/api/v1/executions/" + id + "?wait=20s"})
	log := "/api/v1/executions/" + id + "/log"
	page := get[api.LogSearch](t, h, 200, call{method: "GET", path: log + "/search?q=LINE+3&ignoreCase=true&context=1&limit=1"})
	if len(page.Items) != 1 || page.Next == "" || page.Lines != 10 {
		t.Fatalf("first page: %+v", page)
	}
	m := page.Items[0]
	if diff := cmp.Diff([]api.LogPart{{Text: "a "}, {Text: "line 3", Match: true}, {Text: " \ufffd"}}, m.Parts); diff != "" {
		t.Error(diff)
	}
	if m.Node != "a" || m.Line != 3 || len(m.Ahead) != 1 || !strings.HasPrefix(m.Ahead[0].Text, "a line 2") || len(m.Behind) != 1 {
		t.Errorf("match %+v", m)
	}
	if lines, _ := records(t, string(do(t, h, call{method: "GET", path: log + "?format=ndjson&lines=1&cursor=" + m.Before}).body)); lines[0].Line != 3 || lines[0].Cursor != m.Cursor {
		t.Errorf("from the match on: %+v", lines)
	}
	page = get[api.LogSearch](t, h, 200, call{method: "GET", path: log + "/search?q=line+[3]&regex=true&cursor=" + page.Next})
	if len(page.Items) != 1 || page.Items[0].Node != "b" || page.Next != "" || page.Reached != 10 {
		t.Errorf("last page: %+v", page)
	}
	if page := get[api.LogSearch](t, h, 200, call{method: "GET", path: log + "/search?q=line&node=b&stream=stdout"}); len(page.Items) != 5 {
		t.Errorf("of one node: %+v", page)
	}
	wrong(t, h, 400, "missing closing", call{method: "GET", path: log + "/search?q=(&regex=true"})
	wrong(t, h, 400, "q", call{method: "GET", path: log + "/search"})
	wrong(t, h, 400, "", call{method: "GET", path: log + "/search?q=x&cursor=nonsense"})
	wrong(t, h, 404, "", call{method: "GET", path: "/api/v1/executions/999/log/search?q=x"})
}

func TestFirstFailure(t *testing.T) {
	t.Parallel()
	h, id := started(t, func(_ context.Context, a *apitest.Attempt) error {
		for n := range a.Assignment.Nodes {
			a.Started(n, 0)
			for i := range 30 {
				a.Print(n, 0, fmt.Sprintf("%s %d", a.Node(n), i))
			}
			if a.Node(n) == "a" {
				a.Ended(n, 0, hub.StatusSucceeded, 0)
			} else {
				a.Ended(n, 0, hub.StatusFailed, 7)
			}
		}
		return nil
	}, "a", "b", "c")
	get[api.Execution](t, h, 200, call{method: "GET", path: "/api/v1/executions/" + id + "?wait=20s"})
	log := "/api/v1/executions/" + id + "/log"
	f := get[api.LogFailure](t, h, 200, call{method: "GET", path: log + "/failure"})
	if f.Node != "b" || f.Code == nil || *f.Code != 7 || f.Line != 30 || len(f.Last) != 20 || f.Last[19].Text != "b 29" || f.Last[0].Text != "b 10" {
		t.Errorf("failure %+v", f)
	}
	if got := string(do(t, h, call{method: "GET", path: log + "?back=1&lines=2&cursor=" + f.Before}).body); got != "a 29\nb 0\n" {
		t.Errorf("around its beginning: %q", got)
	}

	h, id = started(t, apitest.Succeed, "a")
	get[api.Execution](t, h, 200, call{method: "GET", path: "/api/v1/executions/" + id + "?wait=20s"})
	wrong(t, h, 404, "has failed", call{method: "GET", path: "/api/v1/executions/" + id + "/log/failure"})
}
