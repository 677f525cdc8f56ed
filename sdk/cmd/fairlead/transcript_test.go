package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/api/apitest"
	"github.com/fairlead/fairlead/proto/wire"
)

var update = flag.Bool("update", false, "write what commands print into the transcripts")

// TestTranscripts runs the commands of testdata/*.txt against a hub and compares what
// they print. A transcript is what a person would see: lines of standard error begin
// with "! ", an exit code other than 0 follows as "[exit N]". Files that commands read
// stand at the end, "-- NAME --" before each.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want := string(b)
			got := play(t, want)
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-written +printed):\n%s", file, diff)
			}
		})
	}
}

// play runs a transcript's commands and returns the transcript with what they print.
func play(t *testing.T, text string) string {
	t.Helper()
	text, files := splitFiles(text)
	dir := t.TempDir()
	for name, body := range files.bodies {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, dir, strings.Contains(text, "executions verify"))
	var out strings.Builder
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "#"):
			out.WriteString(line)
		case strings.HasPrefix(line, "$ fairlead "):
			out.WriteString(line)
			out.WriteString(s.run(strings.TrimSpace(strings.TrimPrefix(line, "$ fairlead "))))
		}
	}
	if files.text != "" {
		out.WriteString("\n")
	}
	return out.String() + files.text
}

type fileSection struct {
	text   string
	bodies map[string]string
}

// splitFiles takes the files off the end of a transcript.
func splitFiles(text string) (string, fileSection) {
	files := fileSection{bodies: map[string]string{}}
	i := strings.Index(text, "\n-- ")
	if i < 0 {
		return text, files
	}
	files.text = text[i+1:]
	name := ""
	for line := range strings.Lines(files.text) {
		if rest, ok := strings.CutPrefix(line, "-- "); ok {
			name = strings.TrimSuffix(strings.TrimSpace(rest), " --")
			continue
		}
		files.bodies[name] += line
	}
	return text[:i+1], files
}

// session is a person at a terminal who is never asked anything.
type session struct {
	t   *testing.T
	hub *apitest.Hub
	dir string
	env map[string]string
}

// start has a hub with a runner, which signs what it did if that is looked at.
func start(t *testing.T, dir string, signs bool) *session {
	t.Helper()
	h := apitest.Start(t)
	if signs {
		h.Signer(t, "r1", byCommand)
	} else {
		h.Runner(t, "r1", byCommand)
	}
	return &session{t: t, hub: h, dir: dir, env: map[string]string{
		"FAIRLEAD_URL": h.URL, "FAIRLEAD_TOKEN": apitest.Token, "HOME": dir, "TZ": "UTC",
	}}
}

// byCommand plays what the command's words ask for.
func byCommand(ctx context.Context, a *apitest.Attempt) error {
	step := a.Execution.Definition.Workflow.Steps[0]
	switch {
	case strings.Contains(step.Exec, "false"):
		return apitest.Fail(ctx, a)
	case strings.Contains(step.Exec, "fails on web2"):
		return failOnWeb2(a)
	case strings.Contains(step.Exec, "talks"):
		return talk(a)
	case strings.Contains(step.Exec, "sleep"):
		return apitest.UntilStopped(ctx, a)
	default:
		return apitest.Succeed(ctx, a)
	}
}

// talk prints some lines on each node, complains on web2 and fails there.
func talk(a *apitest.Attempt) error {
	for n := range a.Assignment.Nodes {
		a.Started(n, 0)
		for i := range 5 {
			a.Print(n, 0, fmt.Sprintf("%s says \x1b[32mline\x1b[0m %d", a.Node(n), i+1))
		}
		if a.Node(n) == "web2" {
			a.Frames(wire.Frame{Node: uint32(n), Try: 1, Stream: wire.Stderr, Data: []byte("ERROR: disk full")})
			a.Ended(n, 0, hub.StatusFailed, 1)
			continue
		}
		a.Ended(n, 0, hub.StatusSucceeded, 0)
	}
	return nil
}

// failOnWeb2 fails on that node alone.
func failOnWeb2(a *apitest.Attempt) error {
	for n := range a.Assignment.Nodes {
		a.Started(n, 0)
		a.Print(n, 0, "deploying on "+a.Node(n))
		if a.Node(n) == "web2" {
			a.Ended(n, 0, hub.StatusFailed, 1)
			continue
		}
		a.Ended(n, 0, hub.StatusSucceeded, 0)
	}
	return nil
}

// run runs one command line and returns what it printed.
func (s *session) run(line string) string {
	args := splitArgs(line)
	for i, a := range args {
		if before, file, ok := strings.Cut(a, "./"); ok && (before == "" || strings.HasSuffix(before, "@")) {
			args[i] = before + filepath.Join(s.dir, file)
		}
		args[i] = strings.ReplaceAll(args[i], "{hub}", s.hub.URL)
		args[i] = strings.ReplaceAll(args[i], "{tomorrow}", time.Now().UTC().AddDate(0, 0, 1).Format(time.RFC3339))
	}
	var stdout, stderr bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &stdout, err: &stderr, getenv: func(name string) string { return s.env[name] }}
	code := a.main(s.t.Context(), args)
	out := stdout.String()
	for l := range strings.Lines(stderr.String()) {
		out += "! " + strings.TrimSuffix(l, "\n") + "\n"
	}
	if code != 0 {
		out += fmt.Sprintf("[exit %d]\n", code)
	}
	return s.steady(out)
}

// steady replaces what differs from run to run.
func (s *session) steady(out string) string {
	out = strings.ReplaceAll(out, s.hub.URL, "http://hub")
	out = strings.ReplaceAll(out, strings.TrimPrefix(s.hub.URL, "http://"), "hub")
	out = strings.ReplaceAll(out, s.dir, "DIR")
	for _, r := range []struct{ pattern, with string }{
		{`flr1\.[A-Za-z0-9_.-]+|flt_[A-Za-z0-9_-]+`, "TOKEN"},
		{`[0-9a-f]{8}-[0-9a-f]{4}-[78][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`, "ID"},
		{`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?`, "TIME"},
		{`\((\d+(\.\d+)?(ms|s|m))+\)`, "(TOOK)"},
		{`(?m)(Tick: +)\d+`, "${1}N"},
		{`"cursor":"[^"]*"`, `"cursor":"CURSOR"`},
		{`\b[0-9a-f]{64}\b`, "SHA256"},
		{` +\n`, "\n"},
	} {
		out = regexp.MustCompile(r.pattern).ReplaceAllString(out, r.with)
	}
	return out
}

// splitArgs splits at blanks; single quotes keep them.
func splitArgs(line string) []string {
	var args []string
	var cur strings.Builder
	in, quoted := false, false
	for _, r := range line {
		switch {
		case r == '\'':
			quoted, in = !quoted, true
		case r == ' ' && !quoted:
			if in {
				args = append(args, cur.String())
				cur.Reset()
				in = false
			}
		default:
			cur.WriteRune(r)
			in = true
		}
	}
	if in {
		args = append(args, cur.String())
	}
	return args
}
