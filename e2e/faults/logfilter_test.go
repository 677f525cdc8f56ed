package faults

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Filters and limit of a job go on where they were when the runner is killed: the log is
// what it would have been, what a mask hides is on no disk, and what was captured before
// the kill and after it is there for the next step.
func TestLogFiltersOutliveTheRunner(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		setup setup
		key   string // of the step that is under way
	}{
		"local": {setup{local: true}, "description: here"}, "detached": {setup{}, "detached: true"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := newWorld(t, tc.setup)
			w.filtersOutliveTheRunner(tc.key)
		})
	}
}

func (w *world) filtersOutliveTheRunner(key string) {
	w.Helper()
	w.must(w.hub.ImportJobs(w.ctx, "p", `
- name: j
  loglimit: 7
  loglimitAction: truncate
  nodefilters: {filter: 'name: node.*'}
  sequence:
    pluginConfig:
      LogFilter:
      - {type: key-value-data}
      - {type: mask-log-output-regex, config: {regex: 'token-[a-z0-9]+'}}
      - {type: quiet-output, config: {regex: '^progress'}}
    commands:
    - exec: >-
        printf 'RUNDECK:DATA:early=bird\nprogress 1\nhalf of token-'; echo > `+w.dir+`/begun;
        while [ ! -e `+w.dir+`/go ]; do sleep 0.05; done;
        printf 'abc123 seen\nRUNDECK:DATA:late=w\\orm\nprogr'; echo > `+w.dir+`/begun2;
        while [ ! -e `+w.dir+`/go2 ]; do sleep 0.05; done;
        printf 'ess 2\nlast\n'
      `+key+`
    - exec: echo "${data.early} ${data.late}" $RD_DATA_EARLY
    - exec: printf 'six\nseven\neight\nnine\n'
`))
	id := w.run()
	w.await("the step has begun", 30*time.Second, func() bool { return len(w.lines("begun")) > 0 })
	w.runner.Process.Kill()
	w.must(os.WriteFile(filepath.Join(w.dir, "go"), nil, 0o600))
	w.startRunner()
	w.await("the step is half way", 30*time.Second, func() bool { return len(w.lines("begun2")) > 0 })
	pause(w.T, time.Second) // what it printed is told by then, or is not
	w.runner.Process.Kill()
	w.must(os.WriteFile(filepath.Join(w.dir, "go2"), nil, 0o600))
	w.startRunner()
	w.end(id, "succeeded", 60*time.Second)
	got, err := w.hub.Log(w.ctx, id, "format=text&node=node001")
	w.must(err)
	want := []string{
		"RUNDECK:DATA:early=bird", "half of [SECURE] seen", `RUNDECK:DATA:late=w\orm`, "last", `bird w\orm bird`, "six", "seven",
		"[2 lines (11 bytes) of output were dropped here: the job's log limit of 7 lines was reached]",
	}
	var printed []string
	for line := range strings.Lines(got) {
		if !strings.Contains(line, "is reached: what is printed") {
			printed = append(printed, strings.TrimSuffix(line, "\n"))
		}
	}
	if strings.Join(printed, "\n") != strings.Join(want, "\n") {
		w.Errorf("the log is\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	for name, text := range w.filesText() {
		if strings.Contains(string(text), "token-abc123") {
			w.Errorf("%s holds what the mask hides", name)
		}
	}
}

// A command that would print for ever is ended at the limit, whole, and the log has just
// what the limit lets through.
func TestLogLimitHalts(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{})
	w.must(w.hub.ImportJobs(w.ctx, "p", `
- name: j
  loglimit: 10KB
  nodefilters: {filter: 'name: node.*'}
  sequence:
    commands:
    - exec: echo $$ > `+w.dir+`/pid; yes 0123456789abcdef
    - exec: touch `+w.dir+`/later
`))
	id := w.run()
	e := w.end(id, "failed", 60*time.Second)
	if !e.LogComplete {
		t.Error("the log is not whole")
	}
	if s := w.step(id, "node001", 1); s.Reason != "log_limit" || !strings.Contains(s.Message, "10240 bytes") {
		t.Errorf("%+v", s)
	}
	got, err := w.hub.Log(w.ctx, id, "format=text&node=node001")
	w.must(err)
	kept, note, _ := strings.Cut(got, "[")
	if want := strings.Repeat("0123456789abcdef\n", 10240/17) + "0123456789abcdef"[:10240%17]; kept != want || !strings.Contains(note, "the job's log limit of 10240 bytes was reached") {
		t.Errorf("%d bytes are kept, then %q", len(kept), note)
	}
	w.untilGone(w.pid())
	if len(w.lines("later")) > 0 {
		t.Error("a later step ran")
	}
}
