package runner_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner"
	"github.com/fairlead/fairlead/runner/task"
)

// survivors runs commands that outlive the runner, as shims do: their output stays, and
// they end when the test says so.
type survivors struct {
	w  *world
	mu sync.Mutex
	// out is what each printed so far; over is closed at its end.
	out     map[task.Cell]string
	over    map[task.Cell]chan struct{}
	asked   map[task.Cell]uint64 // offset that Reattach was given
	options string               // that Reattach was given
	never   bool                 // nothing that is looked for had started
	onEnd   func(task.End)       // told of ends; may be nil
	forgot  []string
	left    []string
	hangs   chan struct{} // nil, or until when nothing can be removed
	hanging chan struct{} // gets what hangs
}

func newSurvivors(w *world) *survivors {
	return &survivors{w: w, out: map[task.Cell]string{}, over: map[task.Cell]chan struct{}{}, asked: map[task.Cell]uint64{}}
}

func (s *survivors) print(c task.Cell, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out[c] += text
}

func (s *survivors) Prepare(_ context.Context, c *task.Command) (task.Process, error) {
	return &survivor{s: s, c: c}, nil
}

func (s *survivors) Reattach(_ context.Context, c *task.Command, from task.Offsets) (task.Process, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[c.Cell] = from.Last()
	s.options = c.Options["pw"]
	return &survivor{s: s, c: c, offset: from.Last(), again: true}, !s.never, nil
}

func (s *survivors) Left() []string { return s.left }

func (s *survivors) Forget(ctx context.Context, id string) error {
	s.mu.Lock()
	s.forgot = append(s.forgot, id)
	s.mu.Unlock()
	if s.hangs != nil {
		s.hanging <- struct{}{}
		select {
		case <-s.hangs:
		case <-ctx.Done():
		}
	}
	return context.Cause(ctx)
}

func (s *survivors) untilForgotten(h *fakeHub) {
	h.t.Helper()
	h.until("forgotten", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.forgot) > 0
	})
}

type survivor struct {
	s      *survivors
	c      *task.Command
	offset uint64
	again  bool
}

func (p *survivor) Discard() {}

func (p *survivor) About() string { return "" }

func (p *survivor) Run(ctx context.Context, out task.Output) task.End {
	end := p.follow(ctx, out)
	if p.s.onEnd != nil {
		p.s.onEnd(end)
	}
	return end
}

func (p *survivor) follow(ctx context.Context, out task.Output) task.End {
	s := p.s
	s.mu.Lock()
	if !p.again {
		s.over[p.c.Cell] = make(chan struct{})
	}
	over := s.over[p.c.Cell]
	text := s.out[p.c.Cell][p.offset:]
	s.mu.Unlock()
	if !p.again {
		s.w.mu.Lock()
		s.w.starts[p.c.Node.GetName()+"/"+p.c.Text]++
		close(s.w.change)
		s.w.change = make(chan struct{})
		s.w.mu.Unlock()
	}
	write := out.WriteMasked
	if p.c.Detached {
		write = out.WriteRaw
	}
	p.offset += uint64(len(text))
	if err := write(wire.Stdout, []byte(text), p.offset); err != nil {
		return task.End{Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Message: err.Error()}
	}
	select {
	case <-over:
	case <-ctx.Done():
		if errors.Is(context.Cause(ctx), task.ErrDetach) {
			return task.End{Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN}
		}
		if errors.Is(context.Cause(ctx), task.ErrTimedOut) {
			return task.End{Outcome: runnerv1.Outcome_OUTCOME_TIMED_OUT, EndProven: true, Reason: task.ReasonTimedOut}
		}
		return task.End{Outcome: runnerv1.Outcome_OUTCOME_CANCELLED, EndProven: true}
	}
	s.mu.Lock()
	rest := s.out[p.c.Cell][p.offset:]
	s.mu.Unlock()
	_ = write(wire.Stdout, []byte(rest), p.offset+uint64(len(rest)))
	return succeeded()
}

func local(s *survivors) option {
	return func(c *runner.Config) { c.Executors = map[string]task.Executor{task.ExecutorLocal: s} }
}

func localSpec() *runnerv1.Spec {
	s := spec(1, 2)
	s.Nodes[0].Attributes = map[string]string{"node-executor": "local"}
	return s
}

// restarted is an attempt of two steps whose runner ended during the first one, and began
// anew.
type restarted struct {
	w             *world
	h             *fakeHub
	s             *survivors
	a             *hubAttempt
	first, second task.Cell
}

// acrossRestarts runs a test with runners that are killed and with such that are asked to
// end. The first command prints before under the first runner, and after while there is
// none.
func acrossRestarts(t *testing.T, kind func(*survivors) option, spec func() *runnerv1.Spec, secrets *runnerv1.Secrets, before, after string, check func(t *testing.T, x *restarted)) {
	t.Helper()
	for _, how := range []string{"kill", "term"} {
		t.Run(how, func(t *testing.T) {
			simulate(t, func(t *testing.T) {
				w, h := newWorld(t), newFakeHub(t)
				h.secrets = secrets
				x := &restarted{w: w, h: h, s: newSurvivors(w), first: task.Cell{Try: 1}, second: task.Cell{Step: 1, Try: 1}}
				x.s.print(x.first, before)
				p := w.boot(h, kind(x.s))
				x.a = h.offer("a1", spec())
				h.until("the first line is there", func() bool { return len(x.a.chunks) > 0 })
				if how == "kill" {
					p.kill()
				} else {
					p.term()
					h.cut()
				}
				x.s.print(x.first, after)
				w.boot(h, kind(x.s))
				check(t, x)
			})
		})
	}
}

// finish ends both commands, the second with what it prints: each was started once, and
// the output is whole.
func (x *restarted) finish(t *testing.T, prints, log string) {
	t.Helper()
	close(x.s.over[x.first])
	x.w.untilStarted("n0/s1")
	x.s.print(x.second, prints)
	close(x.s.over[x.second])
	x.h.untilClosed(x.a)
	if got := x.a.text(t); got != log {
		t.Errorf("log %q, read on at %v", got, x.s.asked)
	}
	if x.a.result.GetOutcome() != runnerv1.Outcome_OUTCOME_SUCCEEDED || x.w.started("n0/s0") != 1 || x.w.started("n0/s1") != 1 {
		t.Errorf("outcome %v, starts %v", x.a.result.GetOutcome(), x.w.starts)
	}
}

// TestReattached: the command goes on while the runner is dead, its output arrives
// once, and the next step waits for the hub's leave.
func TestReattached(t *testing.T) {
	acrossRestarts(t, local, localSpec, nil, "before\nhalf of ", "a line\nafter\n", func(t *testing.T, x *restarted) {
		x.h.until("connected again", func() bool { return len(x.h.streams) == 1 })
		x.finish(t, "second\n", "before\nhalf of a line\nafter\nsecond\n")
		x.s.untilForgotten(x.h)
	})
}

// A Hello that comes late to the hub makes the session that the runner has an old one. The
// attempt is not given up for that: it is asked again, at the latest in the next session.
func TestResumedByTheNextSession(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		x := &restarted{w: w, h: h, s: newSurvivors(w), first: task.Cell{Try: 1}, second: task.Cell{Step: 1, Try: 1}}
		p := w.boot(h, local(x.s))
		x.a = h.offer("a1", localSpec())
		w.untilStarted("n0/s0")
		p.kill()
		h.mu.Lock()
		h.older = 1
		h.mu.Unlock()
		w.boot(h, local(x.s))
		h.until("refused", func() bool { return h.older == 0 })
		x.finish(t, "second\n", "second\n")
	})
}

// A stop that is on disk ends the command also where the runner died before it could tell
// the command. The hub does not ask again, since the stop is confirmed.
func TestStopThatReachedTheDiskAlone(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		s := newSurvivors(w)
		s.onEnd = func(task.End) {
			w.fs.Kill() // the command was not told yet
			s.onEnd = nil
		}
		p := w.boot(h, local(s))
		a := h.offer("a1", localSpec())
		w.untilStarted("n0/s0")
		h.mu.Lock()
		a.stop = &runnerv1.StopScope{Asked: true, All: true}
		h.mu.Unlock()
		h.sendAll(&runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_Stop{Stop: &runnerv1.Stop{Fence: a.fence, Scope: a.stop}}})
		synctest.Wait()
		p.kill()
		w.boot(h, local(s))
		h.untilClosed(a)
		if e := a.ends()[[3]uint32{0, 0, 1}]; e.GetOutcome() != runnerv1.Outcome_OUTCOME_CANCELLED || !e.GetEndProven() {
			t.Errorf("ended %v", e)
		}
	})
}

// A runner that ended between the hub's acknowledgement of an attempt and its own cleaning
// up has the next one do that, and leave alone what is still held.
func TestLeftByARunnerThatEnded(t *testing.T) {
	t.Parallel()
	handover := t.TempDir()
	if err := os.Mkdir(filepath.Join(handover, "given.0.0.1"), 0o700); err != nil {
		t.Fatal(err)
	}
	w, h := newWorld(t), newFakeHub(t)
	s := newSurvivors(w)
	p := w.boot(h, local(s))
	h.offer("a1", localSpec())
	w.untilStarted("n0/s0")
	p.kill()
	s.left = []string{"a1", "gone"}
	p = w.boot(h, local(s), func(c *runner.Config) { c.Handover = handover })
	s.untilForgotten(h)
	p.term() // waits for what it has begun
	if slices.Sort(s.forgot); !slices.Equal(s.forgot, []string{"given", "gone"}) {
		t.Errorf("forgot %v", s.forgot)
	}
	if left, _ := os.ReadDir(handover); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// Nodes on which something is to be removed, and that do not answer, hold up neither the
// end of the runner nor its replacement.
func TestCleaningUpEndsWithTheRunner(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		s := newSurvivors(w)
		s.hangs, s.hanging = make(chan struct{}), make(chan struct{}, 1)
		p := w.boot(h, local(s))
		a := h.offer("a1", localSpec())
		for step := range uint32(2) {
			w.untilStarted(fmt.Sprintf("n0/s%d", step))
			close(s.over[task.Cell{Step: step, Try: 1}])
		}
		h.untilClosed(a)
		<-s.hanging
		late := time.AfterFunc(10*time.Second, func() {
			t.Error("it waits for what cannot be removed")
			close(s.hangs)
		})
		p.term()
		late.Stop()
	})
}

// What one command printed was put away while another one went on: it is not read a second
// time by the process after that.
func TestReattachedBehindWhatWasPutAway(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		s := newSurvivors(w)
		quiet, busy := task.Cell{Try: 1}, task.Cell{Node: 1, Try: 1}
		s.print(quiet, "zero\n")
		p := w.boot(h, local(s))
		sp := spec(2, 1)
		sp.Threads = 2
		for _, n := range sp.GetNodes() {
			n.Attributes = map[string]string{"node-executor": "local"}
		}
		a := h.offer("a1", sp)
		h.until("the first line is there", func() bool { return len(a.chunks) == 1 })
		w.untilStarted("n1/s0")
		p.kill()
		s.print(busy, "one\n")
		p = w.boot(h, local(s))
		h.until("the other's line is there", func() bool { return len(a.chunks) == 2 })
		synctest.Wait() // the acknowledgement is taken, and the first chunk put away
		p.kill()
		w.boot(h, local(s))
		h.until("connected again", func() bool { return len(h.streams) == 1 })
		close(s.over[quiet])
		close(s.over[busy])
		h.untilClosed(a)
		if got := a.text(t); got != "zero\none\n" {
			t.Errorf("log %q, read on at %v", got, s.asked)
		}
	})
}

// TestNeverStarted: the start is on record, the shim's tombstone proves that nothing
// followed, so the step is tried again for nothing.
func TestNeverStarted(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		s := newSurvivors(w)
		p := w.boot(h, local(s))
		a := h.offer("a1", localSpec())
		w.untilStarted("n0/s0")
		p.kill()
		s.never = true
		for st := range 2 {
			for try := range 3 {
				over := make(chan struct{})
				close(over)
				s.over[task.Cell{Step: uint32(st), Try: uint32(try + 1)}] = over
			}
		}
		w.boot(h, func(c *runner.Config) { c.Executors = map[string]task.Executor{task.ExecutorLocal: instant{s}} })
		h.untilClosed(a)
		if e := a.ends()[[3]uint32{0, 0, 1}]; !e.GetNotStarted() || e.GetReason() != task.ReasonNeverStarted {
			t.Errorf("the first try ended %v", e)
		}
		if e := a.ends()[[3]uint32{0, 0, 2}]; e.GetOutcome() != runnerv1.Outcome_OUTCOME_SUCCEEDED {
			t.Errorf("the second try ended %v", e)
		}
		if a.result.GetOutcome() != runnerv1.Outcome_OUTCOME_SUCCEEDED {
			t.Errorf("outcome %v", a.result.GetOutcome())
		}
	})
}

// instant is survivors whose new commands end at once.
type instant struct{ *survivors }

func (i instant) Prepare(_ context.Context, c *task.Command) (task.Process, error) {
	return &survivor{s: i.survivors, c: c, again: true}, nil
}

// TestKilledAtEveryWrite kills the runner at each of its writes to the disk in turn,
// with a power cut or without, and lets another go on: no command is ever started
// twice, every attempt closes, and what ran through is told so.
func TestKilledAtEveryWrite(t *testing.T) {
	t.Parallel()
	for _, power := range []bool{false, true} {
		for point := 1; ; point++ {
			reached := false
			t.Run(fmt.Sprintf("power %v, write %d", power, point), func(t *testing.T) {
				inBubble(t, func(t *testing.T) { reached = killedAt(t, point, power) })
			})
			if !reached || t.Failed() {
				if point < 15 {
					t.Errorf("only %d writes", point)
				}
				break
			}
		}
	}
}

func killedAt(t *testing.T, point int, power bool) bool {
	reached := false
	w, h := newWorld(t), newFakeHub(t)
	p := w.boot(h)
	var mu sync.Mutex
	count := 0
	dead := make(chan struct{})
	w.fs.SetHook(func(op, _ string) error {
		if op != "write" && op != "sync" {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if count++; count == point {
			reached = true
			if power {
				w.fs.Crash(0)
			} else {
				w.fs.Kill()
			}
			p.cut()
			close(dead)
		}
		return nil
	})
	s := spec(3, 2)
	s.Threads, s.Keepgoing = 2, true
	a := h.offer("a1", s)
	over := make(chan struct{})
	go func() {
		defer close(over)
		h.waitUntil(func() bool { return a.state == "closed" && a.whole() || reachedDead(dead) })
	}()
	select {
	case <-dead:
	case <-over:
	case <-time.After(time.Hour):
		t.Fatal("the attempt neither ends nor reaches that write")
	}
	if reachedDead(dead) {
		p.kill()
		w.fs.SetHook(nil)
		boot := "boot"
		if power {
			boot = "boot 2"
		}
		again := w.boot(h, func(c *runner.Config) { c.BootID = []byte(boot) })
		last := ""
		t.Cleanup(func() { t.Log(last) })
		h.until("over", func() bool {
			last = fmt.Sprintf("%s, %d records, %d chunks, refused %v, status %+v", a.state, len(a.records), len(a.chunks), h.refuse, again.Status())
			return a.state == "closed" && a.whole() || a.state == "not_started"
		})
		<-over
	}
	mu.Lock()
	defer mu.Unlock()
	w.mu.Lock()
	starts := maps.Clone(w.starts)
	w.mu.Unlock()
	for key, n := range starts {
		if n > 1 {
			t.Errorf("%s was started %d times", key, n)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for cell, e := range a.ends() {
		key := fmt.Sprintf("n%d/s%d", cell[0], cell[1])
		if ran := starts[key] == 1; ran && e.GetNotStarted() || !ran && e.GetOutcome() == runnerv1.Outcome_OUTCOME_SUCCEEDED {
			t.Errorf("%s ran: %v; it is told as %v", key, ran, e)
		}
	}
	return reached
}

func reachedDead(dead chan struct{}) bool {
	select {
	case <-dead:
		return true
	default:
		return false
	}
}
