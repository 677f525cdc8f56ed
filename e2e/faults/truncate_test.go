package faults

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

var droppedNote = regexp.MustCompile(`\[(\d+) bytes of output were dropped here: the runner's spool was full\]\n`)

// With spool.full: truncate a command that prints more than may wait anywhere goes on to
// its end while no hub takes anything, also when its runner is killed meanwhile. The log
// then accounts for every byte: it is there, or a note says that it is not.
func TestFullSpoolTruncates(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{local: true, idle: true})
	w.runner.SetEnv("FAIRLEAD_RUNNER_SPOOL_FULL=truncate", "FAIRLEAD_RUNNER_SPOOL_MAX_UNACKNOWLEDGED=16777216")
	w.startRunner()
	file := func(name string) string { return filepath.Join(w.dir, name) }
	wait := func(name string) string { return "while [ ! -e " + file(name) + " ]; do sleep 0.05; done; " }
	// Random, so that the spool cannot make it small, and more than spool and shim hold.
	const size = 75_000_000
	step := "echo first; touch " + file("begun") + "; " + wait("go") +
		"head -c " + strconv.Itoa(size) + " /dev/urandom | base64 -w 10000 | dd obs=64k status=none; touch " + file("printed") + "; " + wait("over") + "echo last"
	w.job(1, true, "node-first", step)
	id := w.run()
	w.await("the step has begun", 30*time.Second, func() bool { return len(w.lines("begun")) > 0 })
	w.hub.Process.Kill()
	w.must(os.WriteFile(file("go"), nil, 0o600))
	w.await("output is dropped", 60*time.Second, func() bool { return strings.Contains(w.runner.Process.Tail(), "output is dropped") })
	w.runner.Process.Kill()
	w.must(w.runner.Launch())
	again := w.runner.Process
	w.Cleanup(again.Kill)
	w.await("all is printed", 120*time.Second, func() bool { return len(w.lines("printed")) > 0 })
	w.must(w.hub.Start(w.ctx))
	w.Cleanup(w.hub.Process.Kill)
	w.must(w.runner.WaitConnected(w.ctx))
	w.must(os.WriteFile(file("over"), nil, 0o600))
	w.end(id, "succeeded", 120*time.Second)
	log, err := w.hub.Log(w.ctx, id, "format=text&node=node001")
	w.must(err)
	dropped := 0
	for _, found := range droppedNote.FindAllStringSubmatch(log, -1) {
		n, err := strconv.Atoi(found[1])
		w.must(err)
		dropped += n
	}
	kept := len(droppedNote.ReplaceAllString(log, ""))
	if printed := len("first\nlast\n") + size/3*4 + size/3*4/10_000; kept+dropped != printed || dropped == 0 {
		t.Errorf("%d bytes kept, %d dropped: %d, but %d were printed", kept, dropped, kept+dropped, printed)
	}
	if !strings.HasPrefix(log, "first\n") {
		t.Errorf("the log begins with %.20q", log)
	}
}
