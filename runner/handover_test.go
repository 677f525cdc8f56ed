package runner_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner"
	"github.com/fairlead/fairlead/runner/stepdir"
	"github.com/fairlead/fairlead/runner/task"
)

// scripted runs commands in this process whose output and end come from the test.
type scripted struct {
	w   *world
	in  *io.PipeReader
	out *io.PipeWriter
	end chan task.End
}

func newScripted(w *world) *scripted {
	s := &scripted{w: w, end: make(chan task.End, 1)}
	s.in, s.out = io.Pipe()
	w.script = s.run
	return s
}

func (s *scripted) run(ctx context.Context, _ *task.Command, out task.Output) task.End {
	context.AfterFunc(ctx, func() { _ = s.in.Close() })
	buf := make([]byte, 1<<20)
	for {
		n, err := s.in.Read(buf)
		if n > 0 {
			if err := out.Write(wire.Stdout, buf[:n]); err != nil {
				return task.End{Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Message: err.Error()}
			}
		}
		if err == nil {
			continue
		}
		if cause := context.Cause(ctx); cause != nil {
			return task.End{Outcome: runnerv1.Outcome_OUTCOME_CANCELLED, EndProven: true, Message: cause.Error()}
		}
		return <-s.end
	}
}

// print returns when the process that has the command has taken the text.
func (s *scripted) print(text string) { _, _ = io.WriteString(s.out, text) }

func (s *scripted) finish(end task.End) {
	s.end <- end
	_ = s.out.Close()
}

// handingOver is a world whose runners hand commands over by a real directory.
func handingOver(t *testing.T) (*world, *fakeHub, option) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "handover")
	return newWorld(t), newFakeHub(t), func(c *runner.Config) {
		c.Handover = dir
		runner.HoldBack(c, time.Minute)
	}
}

// handOver ends a process as a reload does.
func (p *running) handOver(t *testing.T, commands int) {
	t.Helper()
	if n, err := p.HandOver(); err != nil || n != commands {
		t.Fatalf("handed over %d commands, %v; want %d", n, err, commands)
	}
	p.term()
}

// A secret that a command is just printing is masked across the hand-over, and a line
// goes on where it was cut.
func TestHandOverMasksWhatItCuts(t *testing.T) {
	w, h, with := handingOver(t)
	h.secrets = &runnerv1.Secrets{Options: map[string]string{"pw": "hunter2"}}
	s := newScripted(w)
	first := w.boot(h, with)
	a := h.offer("a1", spec(1, 1))
	w.untilStarted("n0/s0")
	s.print("a hunter2 b\nhalf hun")
	first.handOver(t, 1)
	s.print("ter2 of it\n")
	w.boot(h, with)
	s.print("last hunter2\n")
	s.finish(task.End{Outcome: runnerv1.Outcome_OUTCOME_FAILED, Code: 3, Exited: true, EndProven: true, NewHostKey: "key", Message: "exit 3 of hunter2"})
	h.untilClosed(a)
	if got := a.text(t); got != "a ***** b\nhalf ***** of it\nlast *****\n" {
		t.Errorf("log %q", got)
	}
	e := a.ends()[[3]uint32{0, 0, 1}]
	if e.GetCode() != 3 || e.GetNewHostKey() != "key" || !e.GetEndProven() || e.GetMessage() != "exit 3 of *****" {
		t.Errorf("ended %v", e)
	}
	if w.started("n0/s0") != 1 {
		t.Errorf("started %d times", w.started("n0/s0"))
	}
}

// More output than may wait for a reader comes through three processes whole.
func TestHandOverKeepsEveryByte(t *testing.T) {
	w, h, with := handingOver(t)
	s := newScripted(w)
	first := w.boot(h, with)
	a := h.offer("a1", spec(1, 1))
	w.untilStarted("n0/s0")
	var want strings.Builder
	text := func(lines int) string {
		var part strings.Builder
		for i := range lines {
			fmt.Fprintf(&part, "%s %d\n", strings.Repeat("x", 1000), i)
		}
		want.WriteString(part.String())
		return part.String()
	}
	s.print(text(1000))
	first.handOver(t, 1)
	s.print(text(1000))
	second := w.boot(h, with)
	s.print(text(1000))
	second.handOver(t, 0)
	much, printed := text(stepdir.OutLimit/1000), make(chan struct{})
	go func() {
		defer close(printed)
		s.print(much)
	}()
	w.boot(h, with)
	receive(t, "the command to have printed", printed)
	s.finish(succeeded())
	h.untilClosed(a)
	if got := a.text(t); got != want.String() {
		t.Errorf("log of %d bytes, want %d", len(got), want.Len())
	}
}

// A hand-over for which no place can be made leaves all as it was.
func TestHandOverIsTakenBack(t *testing.T) {
	w, h, _ := handingOver(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := newScripted(w)
	p := w.boot(h, func(c *runner.Config) { c.Handover = filepath.Join(file, "below") })
	a := h.offer("a1", spec(2, 1))
	w.untilStarted("n0/s0")
	if _, err := p.HandOver(); err == nil {
		t.Fatal("commands were handed over to a place that cannot be made")
	}
	s.print("goes on\n")
	w.script = nil
	s.finish(succeeded())
	h.untilClosed(a)
	if a.result.GetOutcome() != runnerv1.Outcome_OUTCOME_SUCCEEDED || a.text(t) != "goes on\ns0\n" {
		t.Errorf("outcome %v, log %q", a.result.GetOutcome(), a.text(t))
	}
}

// A probe that is being asked is asked again by the next process: an answer that nobody
// waited for is none.
func TestHandOverLeavesTheProbeToTheNext(t *testing.T) {
	w, h, with := handingOver(t)
	w.script = func(ctx context.Context, c *task.Command, _ task.Output) task.End {
		if c.Text == "s0" {
			return task.End{Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Reason: "connection_lost"}
		}
		if w.started("n0/probe") == 1 {
			<-ctx.Done()
			return task.End{Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Message: "nobody waited"}
		}
		return task.End{Outcome: runnerv1.Outcome_OUTCOME_FAILED, Code: 1, Exited: true, EndProven: true} // it happened
	}
	probed := spec(1, 1)
	probed.Steps[0].Probe = "probe"
	first := w.boot(h, with)
	a := h.offer("a1", probed)
	w.untilStarted("n0/probe")
	first.handOver(t, 0)
	w.boot(h, with)
	h.untilClosed(a)
	if e := a.ends()[[3]uint32{0, 0, 1}]; e.GetReason() != task.ReasonProbeHappened || w.started("n0/s0") != 1 {
		t.Errorf("ended %v, started %d times", e, w.started("n0/s0"))
	}
}

// A stop that the new process is told reaches the command in the old one, whose proof is
// what is recorded.
func TestHandedOverIsStopped(t *testing.T) {
	w, h, with := handingOver(t)
	newScripted(w)
	first := w.boot(h, with)
	a := h.offer("a1", spec(1, 2))
	w.untilStarted("n0/s0")
	first.handOver(t, 1)
	h.mu.Lock()
	a.stop = &runnerv1.StopScope{Asked: true, All: true}
	h.mu.Unlock()
	w.boot(h, with)
	h.untilClosed(a)
	first.WaitHandedOver()
	if e := a.ends()[[3]uint32{0, 0, 1}]; e.GetOutcome() != runnerv1.Outcome_OUTCOME_CANCELLED || !e.GetEndProven() || e.GetMessage() != "stopped" {
		t.Errorf("ended %v", e)
	}
	if w.started("n0/s1") != 0 {
		t.Error("the next step was started")
	}
}

// What is handed over while the spool has no room is whole, too: the writer that waits
// for the hub is let through.
func TestHandOverFromAFullSpool(t *testing.T) {
	w, h, with := handingOver(t)
	small := func(c *runner.Config) { c.Spool.MaxUnacknowledged = 1 }
	s := newScripted(w)
	first := w.boot(h, with, small)
	a := h.offer("a1", spec(1, 1))
	w.untilStarted("n0/s0")
	h.mu.Lock()
	h.losing = true
	h.mu.Unlock()
	text := strings.Repeat("a line of output that nobody takes\n", 20_000)
	printed := make(chan struct{})
	go func() {
		defer close(printed)
		s.print(text)
	}()
	h.until("a chunk is lost", func() bool { return h.lost > 0 })
	first.handOver(t, 1)
	receive(t, "the command to have printed", printed)
	s.print("last\n")
	s.finish(succeeded())
	h.mu.Lock()
	h.losing = false
	h.mu.Unlock()
	w.boot(h, with, small)
	h.untilClosed(a)
	if got := a.text(t); got != text+"last\n" {
		t.Errorf("log of %d bytes, want %d", len(got), len(text)+5)
	}
}
