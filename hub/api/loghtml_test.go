package api_test

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/api"
	"github.com/fairlead/fairlead/hub/api/apitest"
	"github.com/fairlead/fairlead/proto/wire"
)

func TestLogAsHTML(t *testing.T) {
	t.Parallel()
	h, id := started(t, func(_ context.Context, a *apitest.Attempt) error {
		a.Started(0, 0)
		for _, line := range []string{
			"\x1b[31mred", "still red\x1b[0m and <script>alert(1)</script>", "\x1b]8;;javascript:alert(1)\x07click\x1b]8;;\x07",
			"\x1b[38;2;1;2;3mtrue\x1b[0m \x1b[48;5;196mpalette\x1b[0m", "10%\r50%\r100%", "\u202eright to left", `"><img src=x onerror=alert(1)>`,
		} {
			a.Print(0, 0, line)
		}
		for _, piece := range []string{"load", "ing 1%", "\rloading 9%"} {
			a.Frames(wire.Frame{Try: 1, Stream: wire.Stderr, Flags: wire.FlagPartial, Data: []byte(piece)})
		}
		a.Ended(0, 0, hub.StatusSucceeded, 0)
		return nil
	}, "web1")
	get[api.Execution](t, h, 200, call{method: "GET", path: "/api/v1/executions/" + id + "?wait=20s"})
	a := do(t, h, call{method: "GET", path: "/api/v1/executions/" + id + "/log?format=html"})
	if a.status != 200 || a.header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.HasPrefix(a.header.Get("Content-Disposition"), "attachment; filename=execution-") {
		t.Fatalf("%d %v", a.status, a.header)
	}
	page := string(a.body)
	for _, want := range []string{
		`<span class="f1">red</span>`, `<span class="f1">still red</span> and &lt;script&gt;`, `>click</bdi>`, `style="color:#010203;">true<`,
		`style="background:#ff0000;">palette<`, `>100%</bdi>`, `<span class="k">U+202E</span>right`, `&#34;&gt;&lt;img`, `<bdi class="e">loading 9%</bdi>`, "</html>\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page[strings.Index(page, "<pre>"):])
		}
	}
	for _, tag := range regexp.MustCompile(`<[a-z!/][^ >]*`).FindAllString(page, -1) {
		switch strings.TrimPrefix(tag[1:], "/") {
		case "!doctype", "html", "meta", "title", "style", "h1", "pre", "b", "bdi", "span":
		default:
			t.Errorf("the page has %s", tag)
		}
	}
	if strings.ContainsAny(page, "\x1b\r\u202e") {
		t.Error("the page has what a terminal or a browser would act on")
	}
	wrong(t, h, 400, "bytes", call{method: "GET", path: "/api/v1/executions/" + id + "/log?format=html&bytes=0-"})
}

// A line that a step leaves without its end stands in front of what the node says next, not
// at the end of the page; so of each node only the lines of one step are held.
func TestLogAsHTMLKeepsTheOrderOfSteps(t *testing.T) {
	t.Parallel()
	h, id := started(t, func(_ context.Context, a *apitest.Attempt) error {
		a.Started(0, 0)
		for try := range uint32(3) {
			a.Frames(wire.Frame{Try: try + 1, Flags: wire.FlagPartial, Data: []byte("\x1b[31mleft open")})
			a.Frames(wire.Frame{Try: try + 1, Stream: wire.Stderr, Flags: wire.FlagPartial, Data: []byte("of errors too")})
			a.Frames(wire.Frame{Node: 1, Try: try + 1, Data: []byte("meanwhile")})
		}
		a.Frames(wire.Frame{Try: 4, Data: []byte("at last")})
		a.Ended(0, 0, hub.StatusSucceeded, 0)
		a.Started(1, 0)
		a.Ended(1, 0, hub.StatusSucceeded, 0)
		return nil
	}, "web1", "web2")
	get[api.Execution](t, h, 200, call{method: "GET", path: "/api/v1/executions/" + id + "?wait=20s"})
	page := string(do(t, h, call{method: "GET", path: "/api/v1/executions/" + id + "/log?format=html"}).body)
	var got []string
	for _, m := range regexp.MustCompile(`(?m)<bdi[^>]*>(.*)</bdi>$`).FindAllStringSubmatch(page, -1) {
		got = append(got, regexp.MustCompile("<[^>]*>").ReplaceAllString(m[1], ""))
	}
	want := []string{
		"meanwhile", "left open", "of errors too", "meanwhile", "left open", "of errors too", "meanwhile", "left open", "of errors too", "at last",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
