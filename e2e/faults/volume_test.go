package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

// What make bench measures of output, a twentieth of it: here nothing is timed, but nothing
// may be lost, and memory and commits are bounded.

// mostResident is how much memory hub and runner may take, in bytes.
const mostResident = 250 << 20

func (w *world) resident() {
	w.Helper()
	for _, p := range []struct {
		name string
		peak int64
	}{{"hub", w.hub.Process.Peak()}, {"runner", w.runner.Process.Peak()}} {
		if p.peak == 0 || p.peak > mostResident {
			w.Errorf("the %s had %d MiB resident", p.name, p.peak>>20)
		}
	}
}

// One step prints 500,000 lines, 50 MB: all of them are archived and read back byte for
// byte, from a line in the middle too, and the one that differs is found.
func TestManyLinesOfOneStep(t *testing.T) {
	t.Parallel()
	const lines, odd, at = 500_000, 400_001, 450_000
	objects := tempDir(t)
	w, _ := newWorld(t, setup{local: true, postgres: true, hubEnv: []string{"FAIRLEAD_HUB_ARCHIVE_URL=file://" + objects}})
	const head = "2026-11-22T10:00:00Z level=info msg=\"request served\" path=/api/v1/items took="
	step := fmt.Sprintf("seq -f '%s%%020.0f' 0 %d; echo needle; seq -f '%s%%020.0f' %d %d", head, odd-1, head, odd+1, lines-1)
	w.job(1, true, "node-first", step)
	id := w.run()
	if e := w.end(id, "succeeded", 2*time.Minute); !e.LogComplete {
		t.Error("the log is not whole")
	}
	w.await("all output is archived", time.Minute, func() bool {
		rows, err := w.pg.OutputRows(w.ctx)
		w.must(err)
		return !rows && len(archived(t, objects)) == 1
	})
	var printed bytes.Buffer
	for i := range lines {
		if i == odd {
			printed.WriteString("needle\n")
			continue
		}
		fmt.Fprintf(&printed, "%s%020d\n", head, i)
	}
	got, err := w.hub.Log(w.ctx, id, "format=text")
	w.must(err)
	if got != printed.String() {
		t.Errorf("the log (%d bytes) is not what was printed (%d bytes)", len(got), printed.Len())
	}
	page, err := w.hub.Log(w.ctx, id, fmt.Sprintf("format=ndjson&line=%d&lines=10", at))
	w.must(err)
	// A line that was shown in two pieces counts as two, so it may be one a little before.
	var line struct{ Text string }
	for pieces := json.NewDecoder(strings.NewReader(page)); len(line.Text) != len(head)+20; {
		w.must(pieces.Decode(&line))
	}
	if n, err := strconv.Atoi(line.Text[len(head):]); err != nil || n > at+2 || n < at-100 {
		t.Errorf("at line %d stands %q", at, line.Text)
	}
	var found struct {
		Items []struct{ Parts []struct{ Text string } }
	}
	w.must(w.hub.Do(w.ctx, http.MethodGet, "/executions/"+id+"/log/search?q=needle", nil, &found))
	if len(found.Items) != 1 || len(found.Items[0].Parts) != 1 || found.Items[0].Parts[0].Text != "needle" {
		t.Errorf("the search found %+v, want the one line", found)
	}
	w.resident()
}

// mostTransactions are allowed a second while twenty executions print, which each cut five
// chunks a second.
const mostTransactions = 200

// Twenty executions print a thousand lines a second each, for 20 seconds: every line is
// there in the end, and the database commits hardly more often than once for each chunk.
func TestManyExecutionsPrintAtOnce(t *testing.T) {
	t.Parallel()
	const executions, seconds = 20, 20
	w, _ := newWorld(t, setup{local: true, postgres: true})
	self, err := os.Executable()
	w.must(err)
	w.job(1, true, "node-first", fmt.Sprintf("%s -pour %d", self, seconds*pourRate))
	var ids []string
	for range executions - 1 {
		ids = append(ids, w.run())
	}
	before, err := w.pg.Transactions(w.ctx)
	w.must(err)
	begun := time.Now()
	// The hub tells of the end by itself: asking again and again would be counted, too.
	var last lab.Execution
	w.must(w.hub.Do(w.ctx, http.MethodPost, "/projects/p/jobs/j/executions?wait=60s", map[string]any{}, &last))
	after, err := w.pg.Transactions(w.ctx)
	w.must(err)
	if rate := float64(after-before) / time.Since(begun).Seconds(); rate > mostTransactions {
		t.Errorf("%.0f transactions a second, more than %d", rate, mostTransactions)
	}
	for _, id := range append(ids, last.ID) {
		if e := w.end(id, "succeeded", time.Minute); !e.LogComplete {
			t.Errorf("the log of execution %d is not whole", e.Number)
		}
	}
	var printed bytes.Buffer
	printLines(&printed, 0, seconds*pourRate)
	for _, id := range append(ids, last.ID) {
		got, err := w.hub.Log(w.ctx, id, "format=text")
		w.must(err)
		if got != printed.String() {
			t.Errorf("a log (%d bytes) is not what was printed (%d bytes)", len(got), printed.Len())
		}
	}
	w.resident()
}

// pourRate is how many lines a second the test's own program prints as a step.
const pourRate = 1000

// pour prints numbered lines, a thousand a second.
func pour(to io.Writer, lines int) error {
	start := time.Now()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	var block bytes.Buffer
	for done := 0; done < lines; {
		<-ticker.C
		due := min(lines, int(time.Since(start)*pourRate/time.Second))
		block.Reset()
		printLines(&block, done, due)
		if _, err := to.Write(block.Bytes()); err != nil {
			return err
		}
		done = due
	}
	return nil
}

func printLines(to *bytes.Buffer, from, before int) {
	for i := from; i < before; i++ {
		fmt.Fprintf(to, "%07d level=info msg=\"request served\" took=%060d\n", i, i*7919)
	}
}
