package runner_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner"
	"github.com/fairlead/fairlead/runner/task"
)

// truncating has a runner drop output once a chunk waits for the hub.
func truncating(c *runner.Config) { c.Spool.MaxUnacknowledged, c.Spool.Truncate = 1, true }

// takes has the hub take output, or lose it.
func (h *fakeHub) takes(all bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.losing = !all
}

var note = regexp.MustCompile(`^\[(\d+) bytes of output were dropped here: the runner's spool was full\]$`)

// account adds up what of stdout the hub has and what was noted as dropped, and returns
// the lines that it has.
func (a *hubAttempt) account(t *testing.T) (lines []string, kept, dropped int) {
	t.Helper()
	for _, c := range a.chunks {
		for b := decompress(t, c.GetData()); len(b) > 0; {
			f, rest, err := wire.NextFrame(b)
			if err != nil {
				t.Fatal(err)
			}
			b = rest
			found := note.FindSubmatch(f.Data)
			if noted := f.Flags&wire.FlagTruncated != 0; noted != (found != nil) {
				t.Errorf("flagged as truncated: %v: %q", noted, f.Data)
			}
			if found != nil {
				n, _ := strconv.Atoi(string(found[1]))
				dropped += n
				continue
			}
			kept += len(f.Data) + 1
			if f.Flags&wire.FlagPartial != 0 {
				kept--
			}
			lines = append(lines, string(f.Data))
		}
	}
	return lines, kept, dropped
}

// While the spool is full a command that prints is not held up. The log says how much it
// lacks, and goes on when there is room.
func TestFullSpoolTruncates(t *testing.T) {
	t.Parallel()
	w, h := newWorld(t), newFakeHub(t)
	s := newScripted(w)
	w.boot(h, truncating)
	a := h.offer("a1", spec(1, 1))
	w.untilStarted("n0/s0")
	h.takes(false)
	s.print("first\n")
	h.until("a chunk is lost", func() bool { return h.lost > 0 })
	printed := len("first\n")
	for i := range 20_000 {
		line := fmt.Sprintf("line %d %s\n", i, strings.Repeat("x", 1000))
		printed += len(line)
		s.print(line) // would never return
	}
	h.takes(true)
	h.cut()
	for more := 0; ; more++ { // the note itself is more than has room, until the hub has it
		h.until("all is there or noted, though nothing more is printed", func() bool {
			_, kept, dropped := a.account(t)
			return kept+dropped == printed
		})
		h.mu.Lock()
		lines, _, dropped := a.account(t)
		h.mu.Unlock()
		if lines[0] != "first" || dropped == 0 {
			t.Fatalf("begins with %q, %d bytes dropped", lines[0], dropped)
		}
		if lines[len(lines)-1] == "more" || more > 1000 {
			break
		}
		s.print("more\n")
		printed += len("more\n")
	}
	s.finish(succeeded())
	h.untilClosed(a)
	if lines, kept, dropped := a.account(t); kept+dropped != printed || lines[len(lines)-1] != "more" {
		t.Errorf("%d bytes kept, %d dropped, %d printed, the last line is %q", kept, dropped, printed, lines[len(lines)-1])
	}
	if a.result.GetOutcome() != runnerv1.Outcome_OUTCOME_SUCCEEDED {
		t.Errorf("outcome %v", a.result.GetOutcome())
	}
}

// A command that ends while the spool is full has its loss noted before its end.
func TestFullSpoolTruncatesToTheEnd(t *testing.T) {
	t.Parallel()
	w, h := newWorld(t), newFakeHub(t)
	s := newScripted(w)
	p := w.boot(h, truncating)
	a := h.offer("a1", spec(1, 1))
	w.untilStarted("n0/s0")
	h.takes(false)
	s.print("first\n")
	h.until("a chunk is lost", func() bool { return h.lost > 0 })
	s.print("dropped\n")
	s.finish(succeeded())
	h.until("it is closed", func() bool { return p.Status().Working == 0 })
	h.takes(true)
	h.cut()
	h.untilClosed(a)
	if lines, _, dropped := a.account(t); len(lines) != 1 || dropped != len("dropped\n") {
		t.Errorf("lines %q, %d bytes dropped", lines, dropped)
	}
}

// A restarted runner goes on behind what was dropped: it neither tells it after all nor
// loses its place in the output.
func TestFullSpoolTruncatesOverARestart(t *testing.T) {
	t.Parallel()
	w, h := newWorld(t), newFakeHub(t)
	s := newSurvivors(w)
	cell := task.Cell{Try: 1}
	much := strings.Repeat("a line of which most are dropped\n", 300_000)
	s.print(cell, much)
	h.takes(false)
	p := w.boot(h, local(s), truncating)
	a := h.offer("a1", localSpec())
	h.until("the first chunk and two notes are told", func() bool { return h.lost >= 3 })
	p.kill()
	s.print(cell, "behind\n")
	h.takes(true)
	w.boot(h, local(s), truncating)
	close(s.over[cell])
	w.untilStarted("n0/s1")
	close(s.over[task.Cell{Step: 1, Try: 1}])
	h.untilClosed(a)
	_, kept, dropped := a.account(t)
	if total := len(much) + len("behind\n"); kept+dropped != total || dropped < 8<<20 || s.asked[cell] < 8<<20 {
		t.Errorf("%d bytes kept, %d dropped, %d printed; read on at %d", kept, dropped, total, s.asked[cell])
	}
}
