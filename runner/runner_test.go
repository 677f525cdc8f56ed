package runner_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner"
	"github.com/fairlead/fairlead/runner/disk/memdisk"
	"github.com/fairlead/fairlead/runner/session"
	"github.com/fairlead/fairlead/runner/task"
)

// world is what outlives a runner process: nodes with what was started on them, and
// the machine's disk.
type world struct {
	t  *testing.T
	fs *memdisk.FS

	mu     sync.Mutex
	starts map[string]int // "node/step text" -> how often it was started
	change chan struct{}
	// script says how a command behaves; nil: prints its text and succeeds.
	script func(ctx context.Context, c *task.Command, out task.Output) task.End
	ready  func(ctx context.Context, c *task.Command) error // Prepare's answer
}

func newWorld(t *testing.T) *world {
	return &world{t: t, fs: memdisk.New(), starts: map[string]int{}, change: make(chan struct{})}
}

func (w *world) started(key string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.starts[key]
}

// untilStarted waits until a command was started.
func (w *world) untilStarted(key string) {
	w.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		w.mu.Lock()
		n, change := w.starts[key], w.change
		w.mu.Unlock()
		if n > 0 {
			return
		}
		select {
		case <-change:
		case <-deadline:
			w.t.Fatalf("%s was never started", key)
		}
	}
}

// receive returns what must come; a test is told after a minute that it did not.
func receive[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	var v T
	select {
	case v = <-from:
	case <-time.After(time.Minute):
		t.Fatalf("waited a minute in vain for %s", what)
	}
	return v
}

// executor runs commands in this process, as SSH does: they die with the runner.
type executor struct{ w *world }

func (e executor) Prepare(ctx context.Context, c *task.Command) (task.Process, error) {
	if e.w.ready != nil {
		if err := e.w.ready(ctx, c); err != nil {
			return nil, err
		}
	}
	return process{e.w, c}, nil
}

type process struct {
	w *world
	c *task.Command
}

func (p process) Discard() {}

func (p process) About() string { return "" }

func (p process) Run(ctx context.Context, out task.Output) task.End {
	p.w.mu.Lock()
	p.w.starts[p.c.Node.GetName()+"/"+p.c.Text]++
	close(p.w.change)
	p.w.change = make(chan struct{})
	p.w.mu.Unlock()
	if p.w.script != nil {
		return p.w.script(ctx, p.c, out)
	}
	_ = out.Write(wire.Stdout, []byte(p.c.Text+"\n"))
	return succeeded()
}

func succeeded() task.End {
	return task.End{Outcome: runnerv1.Outcome_OUTCOME_SUCCEEDED, Exited: true, EndProven: true}
}

// process of a runner under test.
type running struct {
	*runner.Runner
	cut  func() // nothing of it reaches the network any more
	kill func() // as kill -9
	term func() // as SIGTERM
	done chan struct{}
}

type option func(*runner.Config)

// boot starts a runner process on the world's disk.
func (w *world) boot(h *fakeHub, opts ...option) *running {
	w.t.Helper()
	began := time.Now()
	c := runner.Config{
		FS: w.fs.Mount(), BootID: []byte("boot"), HostID: []byte("host"), Info: &runnerv1.RunnerInfo{},
		Dial: h.dial, Addresses: func() []string { return []string{"hub"} },
		LearnAddresses: func([]string) error { return nil }, SetBundle: func([][]byte) error { return nil },
		Sign: func(d wire.Hash) ([]byte, error) { return d[:], nil },
		OpenSecrets: func(_ string, sealed []byte) (*runnerv1.Secrets, error) {
			s := &runnerv1.Secrets{}
			return s, proto.Unmarshal(sealed, s)
		},
		Executors: map[string]task.Executor{task.ExecutorSSH: executor{w}},
		Boottime:  func() time.Duration { return time.Since(began) }, DrainTimeout: 5 * time.Second,
	}
	p := &running{done: make(chan struct{})}
	var killed atomic.Bool
	c.Dial = func(address string) (session.Conn, error) {
		if killed.Load() {
			return nil, errors.New("this process is dead")
		}
		return h.dial(address)
	}
	c.StatusChanged = func(runner.Status) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.changed()
	}
	for _, o := range opts {
		o(&c)
	}
	r, err := runner.New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.Runner = r
	p.cut = func() {
		killed.Store(true)
		h.cut()
	}
	p.kill = sync.OnceFunc(func() {
		w.fs.Kill() // from here on, nothing of it reaches the disk
		p.cut()
		cancel()
		<-p.done
	})
	p.term = func() {
		cancel()
		<-p.done
	}
	go func() {
		defer close(p.done)
		if err := r.Run(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	w.t.Cleanup(p.kill)
	return p
}

// simulate runs a test in a bubble whose clock stands still while anything can happen:
// seconds of waiting cost nothing.
func simulate(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func spec(nodes, steps int) *runnerv1.Spec {
	s := &runnerv1.Spec{Strategy: runnerv1.Strategy_STRATEGY_NODE_FIRST, Threads: 1}
	for i := range nodes {
		s.Nodes = append(s.Nodes, &runnerv1.Node{Name: fmt.Sprintf("n%d", i)})
	}
	for i := range steps {
		s.Steps = append(s.Steps, &runnerv1.Step{Number: uint32(i + 1), Work: &runnerv1.Step_Exec{Exec: fmt.Sprintf("s%d", i)}})
	}
	return s
}

func (h *fakeHub) untilClosed(a *hubAttempt) {
	h.t.Helper()
	h.until("the attempt is closed and its log whole", func() bool { return a.state == "closed" && a.whole() })
}

// A runner that is asked to move tries first where it was sent; if nobody serves it there,
// it comes back to a member that it knew before.
func TestAskedToMoveWhereNobodyServes(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		var mu sync.Mutex
		known, tried := []string{"a", "b", "c"}, []string(nil)
		w.boot(h, func(c *runner.Config) {
			c.Addresses = func() []string { mu.Lock(); defer mu.Unlock(); return slices.Clone(known) }
			c.LearnAddresses = func(told []string) error {
				mu.Lock()
				defer mu.Unlock()
				if len(told) > 0 {
					known = slices.Clone(told)
				}
				return nil
			}
			dial := c.Dial
			c.Dial = func(address string) (session.Conn, error) {
				mu.Lock()
				defer mu.Unlock()
				if tried = append(tried, address); address == "d" {
					return nil, errors.New("nobody serves here")
				}
				return dial(address)
			}
		})
		h.until("connected", func() bool { return len(h.streams) == 1 })
		h.mu.Lock()
		for s := range h.streams {
			s.send(&runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_Drain{Drain: &runnerv1.Drain{Members: []string{"d"}}}})
		}
		h.mu.Unlock()
		h.until("connected again", func() bool { return h.epoch == 2 && len(h.streams) == 1 })
		mu.Lock()
		defer mu.Unlock()
		if len(tried) != 3 || tried[1] != "d" {
			t.Errorf("it went to %v", tried)
		}
	})
}

func TestJobFromOfferToSettled(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		r := w.boot(h)
		h.until("connected", func() bool { return len(h.streams) == 1 })
		journal, _ := r.Syncs()
		a := h.offer("a1", spec(1, 1))
		h.untilClosed(a)
		if a.result.GetOutcome() != runnerv1.Outcome_OUTCOME_SUCCEEDED {
			t.Errorf("outcome %v", a.result.GetOutcome())
		}
		if got := a.text(t); got != "s0\n" {
			t.Errorf("log %q", got)
		}
		if after, _ := r.Syncs(); after-journal != 3 {
			t.Errorf("the job took %d syncs of the journal, want 3", after-journal)
		}
		if a.steps != 0 {
			t.Errorf("a short job took %d Steps frames, want none", a.steps)
		}
		if len(a.records) != 4 || a.records[3].GetClosed().GetTotal() != 4 {
			t.Errorf("records %v", a.records)
		}
	})
}

func TestManyNodesSeveralSteps(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		p := w.boot(h)
		s := spec(40, 3)
		s.Threads = 7
		a := h.offer("a1", s)
		h.debug = p.Debug
		h.untilClosed(a)
		for n := range 40 {
			for st := range 3 {
				if got := w.started(fmt.Sprintf("n%d/s%d", n, st)); got != 1 {
					t.Errorf("n%d s%d started %d times", n, st, got)
				}
			}
		}
		if len(a.text(t)) != 40*3*3 {
			t.Errorf("log has %d bytes", len(a.text(t)))
		}
	})
}

// TestFloodArrivesWhole prints more than the windows hold, with cuts in the middle.
func TestFloodArrivesWhole(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		var want strings.Builder
		for i := range 60_000 {
			_, _ = fmt.Fprintf(&want, "line %d of a flood that goes on and on\n", i)
		}
		w.script = func(_ context.Context, _ *task.Command, out task.Output) task.End {
			for text := want.String(); text != ""; {
				n := min(len(text), 3001)
				if err := out.Write(wire.Stdout, []byte(text[:n])); err != nil {
					return task.End{Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Message: err.Error()}
				}
				text = text[n:]
			}
			return succeeded()
		}
		w.boot(h)
		a := h.offer("a1", spec(1, 1))
		h.until("some output came", func() bool { return len(a.chunks) > 1 })
		h.cut()
		h.untilClosed(a)
		if a.text(t) != want.String() {
			t.Errorf("the log is not what was printed")
		}
		if string(a.result.GetLogHash()) != string(a.logHash[:]) {
			t.Errorf("the log's hash is not the result's")
		}
	})
}

// TestLostChunksAreSentAgain: what was sent is kept until it is acknowledged.
func TestLostChunksAreSentAgain(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		h.losing = true
		more := make(chan struct{})
		w.script = func(_ context.Context, _ *task.Command, out task.Output) task.End {
			_ = out.Write(wire.Stdout, []byte("one\n"))
			<-more
			_ = out.Write(wire.Stdout, []byte("two\n"))
			return succeeded()
		}
		w.boot(h)
		a := h.offer("a1", spec(1, 1))
		h.until("a chunk was lost", func() bool { return h.lost > 0 })
		h.cut()
		h.mu.Lock()
		h.losing = false
		h.mu.Unlock()
		close(more)
		h.until("the result came", func() bool { return a.result != nil })
		if !h.within(20*time.Second, a.whole) {
			t.Fatalf("the result came, and chunk %d that was lost did not come again", len(a.chunks))
		}
		if got := a.text(t); got != "one\ntwo\n" {
			t.Errorf("log %q", got)
		}
	})
}

// Output that the hub takes no more of for good, since a copy of the disk told it otherwise,
// holds up neither the command nor the slot.
func TestRefusedOutputIsGivenUp(t *testing.T) {
	for name, text := range map[string]string{"with the result": "one\n", "more than the spool takes": strings.Repeat("one\n", 100_000)} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T) {
				w, h := newWorld(t), newFakeHub(t)
				h.refusing = true
				w.script = func(_ context.Context, _ *task.Command, out task.Output) task.End {
					_ = out.Write(wire.Stdout, []byte(text))
					_ = out.Write(wire.Stdout, []byte("two\n"))
					return succeeded()
				}
				p := w.boot(h, func(c *runner.Config) { c.Spool.MaxUnacknowledged = 1 })
				a := h.offer("a1", spec(1, 1))
				h.until("the slot is free", func() bool { return a.result != nil && p.Status().Attempts == 0 })
			})
		})
	}
}

func TestKilledRunner(t *testing.T) {
	t.Parallel()
	hang := func(ctx context.Context, c *task.Command, out task.Output) task.End {
		_ = out.Write(wire.Stdout, []byte(c.Node.GetName()+" at it\n"))
		if c.Node.GetName() == "n1" && c.Text == "s0" {
			<-ctx.Done()
			return task.End{Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN}
		}
		return succeeded()
	}
	t.Run("in mid-step", func(t *testing.T) {
		simulate(t, func(t *testing.T) {
			w, h := newWorld(t), newFakeHub(t)
			w.script = hang
			p := w.boot(h)
			s := spec(4, 2)
			s.Keepgoing = true
			a := h.offer("a1", s)
			w.untilStarted("n1/s0")
			p.kill()
			w.script = nil
			w.boot(h)
			h.untilClosed(a)
			if a.result.GetOutcome() != runnerv1.Outcome_OUTCOME_UNKNOWN {
				t.Errorf("outcome %v", a.result.GetOutcome())
			}
			ends := a.ends()
			if e := ends[[3]uint32{1, 0, 1}]; e.GetOutcome() != runnerv1.Outcome_OUTCOME_UNKNOWN || e.GetReason() != task.ReasonRestarted {
				t.Errorf("n1 s0 ended %v", e)
			}
			if e := ends[[3]uint32{1, 1, 1}]; e.GetOutcome() != runnerv1.Outcome_OUTCOME_SKIPPED {
				t.Errorf("n1 s1 ended %v", e)
			}
			for _, n := range []string{"n0", "n2", "n3"} {
				for _, s := range []string{"s0", "s1"} {
					if got := w.started(n + "/" + s); got != 1 {
						t.Errorf("%s/%s started %d times", n, s, got)
					}
				}
			}
		})
	})
	t.Run("on another host", func(t *testing.T) {
		simulate(t, func(t *testing.T) {
			w, h := newWorld(t), newFakeHub(t)
			w.script = hang
			p := w.boot(h)
			s := spec(4, 1)
			s.Keepgoing = true
			a := h.offer("a1", s)
			w.untilStarted("n1/s0")
			p.kill()
			w.script = nil
			w.boot(h, func(c *runner.Config) { c.BootID, c.HostID = []byte("boot 2"), []byte("host 2") })
			h.untilClosed(a)
			if w.started("n2/s0")+w.started("n3/s0") != 0 {
				t.Error("a copied disk started something")
			}
			for n := uint32(1); n < 4; n++ {
				if e := a.ends()[[3]uint32{n, 0, 1}]; e.GetOutcome() != runnerv1.Outcome_OUTCOME_UNKNOWN {
					t.Errorf("n%d ended %v", n, e)
				}
			}
		})
	})
	t.Run("while the hub has lost the attempt", func(t *testing.T) {
		simulate(t, func(t *testing.T) {
			w, h := newWorld(t), newFakeHub(t)
			w.script = hang
			p := w.boot(h)
			s := spec(4, 1)
			s.Keepgoing = true
			a := h.offer("a1", s)
			w.untilStarted("n1/s0")
			p.kill()
			h.mu.Lock()
			a.state = "forgotten"
			h.mu.Unlock()
			w.script = nil
			w.boot(h)
			h.untilClosed(a)
			if w.started("n2/s0") != 1 || w.started("n3/s0") != 1 {
				t.Errorf("nodes that had not begun when the hub took the attempt in were given up: starts %v", w.starts)
			}
		})
	})
	t.Run("while a copy of its disk told the end", func(t *testing.T) {
		simulate(t, func(t *testing.T) {
			w, h := newWorld(t), newFakeHub(t)
			w.script = hang
			p := w.boot(h)
			s := spec(4, 1)
			s.Keepgoing = true
			a := h.offer("a1", s)
			w.untilStarted("n1/s0")
			p.kill()
			h.mu.Lock()
			a.result = &runnerv1.Result{LogTotal: uint64(len(a.chunks))}
			h.mu.Unlock()
			w.script = nil
			p = w.boot(h)
			h.until("it is settled here", func() bool { return p.Status().Connected && p.Status().Attempts == 0 })
			p.term()
			h.mu.Lock() // the database goes back
			a.state, a.result, a.records, a.hash, a.chunks, a.logHash = "forgotten", nil, nil, wire.Hash{}, nil, wire.Hash{}
			h.mu.Unlock()
			w.boot(h)
			h.untilClosed(a)
			for n := uint32(2); n < 4; n++ {
				if e := a.ends()[[3]uint32{n, 0, 1}]; e.GetOutcome() != runnerv1.Outcome_OUTCOME_UNKNOWN {
					t.Errorf("n%d, which the copy may have started, ended %v", n, e)
				}
			}
		})
	})
	t.Run("rebooted", func(t *testing.T) {
		simulate(t, func(t *testing.T) {
			w, h := newWorld(t), newFakeHub(t)
			w.script = hang
			p := w.boot(h)
			s := spec(3, 1)
			s.Keepgoing = true
			a := h.offer("a1", s)
			w.untilStarted("n1/s0")
			p.kill()
			w.fs.Crash(0)
			w.script = nil
			w.boot(h, func(c *runner.Config) { c.BootID = []byte("boot 2") })
			h.untilClosed(a)
			if w.started("n2/s0") != 1 || w.started("n1/s0") != 1 || w.started("n0/s0") != 1 {
				t.Errorf("starts %v", w.starts)
			}
		})
	})
}

// TestGrantLost: the claim was committed, the grant never came. The next session gives
// the attempt back and starts nothing.
func TestGrantLost(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		var once sync.Once
		h.hook = func(f *runnerv1.SessionRequest) bool {
			lost := false
			if f.GetClaim() != nil {
				once.Do(func() {
					lost = true
					h.mu.Lock()
					defer h.mu.Unlock()
					a := h.attempts["a1"]
					a.state, a.epoch, a.boot, a.host = "claimed", h.epoch, h.boot, h.host
				})
			}
			return !lost
		}
		w.boot(h)
		a := h.offer("a1", spec(1, 1))
		h.until("given back", func() bool { return a.state == "not_started" })
		if w.started("n0/s0") != 0 {
			t.Error("it was started all the same")
		}
	})
}

func TestResultRepeatedUntilAcknowledged(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		lost := 0
		h.hook = func(f *runnerv1.SessionRequest) bool {
			if f.GetResult() != nil && lost < 3 {
				lost++
				return false
			}
			return true
		}
		p := w.boot(h)
		a := h.offer("a1", spec(2, 1))
		h.untilClosed(a)
		if lost != 3 || w.started("n0/s0") != 1 {
			t.Errorf("lost %d, started %d", lost, w.started("n0/s0"))
		}
		h.until("nothing is held any more", func() bool {
			return p.Status().Attempts == 0
		})
	})
}

func TestStop(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		w.script = func(ctx context.Context, c *task.Command, _ task.Output) task.End {
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), task.ErrStopped) {
				return task.End{Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN}
			}
			return task.End{Outcome: runnerv1.Outcome_OUTCOME_CANCELLED, Signal: "TERM", EndProven: true, Reason: task.ReasonStopped}
		}
		w.boot(h)
		a := h.offer("a1", spec(3, 2))
		w.untilStarted("n0/s0")
		h.sendAll(&runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_Stop{Stop: &runnerv1.Stop{Fence: a.fence, Scope: &runnerv1.StopScope{Asked: true, All: true}}}})
		h.untilClosed(a)
		h.until("the stop is confirmed", func() bool { return len(a.stopAck) > 0 })
		if a.result.GetOutcome() != runnerv1.Outcome_OUTCOME_CANCELLED || len(a.stopAck) != 1 || a.stopAck[0].GetClosed() {
			t.Errorf("outcome %v, acks %v", a.result.GetOutcome(), a.stopAck)
		}
		if n := a.stopAck[0].GetN(); a.records[n].GetStopped() == nil {
			t.Errorf("record %d is no stop", n)
		}
		if len(w.starts) != 1 {
			t.Errorf("starts %v", w.starts)
		}
	})
}

func TestSecretsNeverReachTheDisk(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		w.script = func(_ context.Context, c *task.Command, out task.Output) task.End {
			_ = out.Write(wire.Stdout, []byte("the password is hun"))
			_ = out.Write(wire.Stdout, []byte("ter2, and the key "+string(c.Keys["keys/a"])+"\n"))
			end := succeeded()
			end.Outcome, end.Reason, end.Message = runnerv1.Outcome_OUTCOME_FAILED, "refused", "hunter2 was refused"
			return end
		}
		w.boot(h)
		h.until("connected", func() bool { return len(h.streams) == 1 })
		h.mu.Lock()
		h.hook = func(f *runnerv1.SessionRequest) bool {
			if f.GetClaim() != nil {
				h.mu.Lock()
				defer h.mu.Unlock()
				h.attempts["a1"].secrets = &runnerv1.Secrets{
					Options: map[string]string{"pw": "hunter2"}, Keys: map[string][]byte{"keys/a": []byte("very-private")},
				}
			}
			return true
		}
		h.mu.Unlock()
		a := h.offer("a1", spec(1, 1))
		h.untilClosed(a)
		if got := a.text(t); got != "the password is *****, and the key *****\n" {
			t.Errorf("log %q", got)
		}
		if e := a.ends()[[3]uint32{0, 0, 1}]; e.GetMessage() != "***** was refused" || e.GetReason() != "refused" {
			t.Errorf("ended %v", e)
		}
		for name := range strings.FieldsSeq(w.fs.Names()) {
			data, err := w.fs.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(data), "hunter2") || strings.Contains(string(data), "very-private") {
				t.Errorf("%s holds a secret", name)
			}
		}
	})
}

// Output that ends like the start of a secret shows while the command still runs.
func TestHeldOutputShows(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		shown := make(chan struct{})
		w.script = func(_ context.Context, _ *task.Command, out task.Output) task.End {
			_ = out.Write(wire.Stdout, []byte("what next? hunt"))
			<-shown
			_ = out.Write(wire.Stdout, []byte("ing\n"))
			return succeeded()
		}
		h.secrets = &runnerv1.Secrets{Options: map[string]string{"pw": "hunter2"}}
		w.boot(h)
		a := h.offer("a1", spec(1, 1))
		began := time.Now()
		h.until("all of it is there", func() bool { return len(a.chunks) > 0 && strings.HasSuffix(a.text(t), "hunt") })
		if waited := time.Since(began); waited < 500*time.Millisecond {
			t.Errorf("it was let go after %v", waited)
		}
		close(shown)
		h.untilClosed(a)
	})
}

func TestHubLossStopsAsTheJobSays(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		w.script = func(ctx context.Context, _ *task.Command, _ task.Output) task.End {
			<-ctx.Done()
			return task.End{Outcome: runnerv1.Outcome_OUTCOME_CANCELLED, EndProven: true, Reason: task.ReasonStopped}
		}
		w.boot(h)
		s := spec(1, 1)
		s.StopAfterHubLossMs = 1
		a := h.offer("a1", s)
		h.untilClosed(a)
		if a.result.GetOutcome() != runnerv1.Outcome_OUTCOME_CANCELLED {
			t.Errorf("outcome %v", a.result.GetOutcome())
		}
	})
}

// A runner that had nothing to do has asked its hub nothing for long: that is no loss of the
// hub to the attempt that it is given then.
func TestIdleRunnerHasNotLostItsHub(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		w.script = func(ctx context.Context, _ *task.Command, _ task.Output) task.End {
			select {
			case <-ctx.Done():
				return task.End{Outcome: runnerv1.Outcome_OUTCOME_CANCELLED, EndProven: true, Reason: task.ReasonStopped}
			case <-time.After(12 * time.Second):
				return succeeded()
			}
		}
		w.boot(h)
		h.until("connected", func() bool { return len(h.streams) == 1 })
		<-time.After(time.Hour)
		s := spec(1, 1)
		s.StopAfterHubLossMs = (10 * time.Minute).Milliseconds()
		a := h.offer("a1", s)
		h.untilClosed(a)
		if a.result.GetOutcome() != runnerv1.Outcome_OUTCOME_SUCCEEDED {
			t.Errorf("outcome %v", a.result.GetOutcome())
		}
	})
}

func TestRefusesWhatItCannotTake(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		w.script = func(ctx context.Context, _ *task.Command, _ task.Output) task.End {
			<-ctx.Done()
			return task.End{Outcome: runnerv1.Outcome_OUTCOME_CANCELLED, EndProven: true}
		}
		w.boot(h, func(c *runner.Config) { c.Slots = 1 })
		h.offer("a1", spec(1, 1))
		w.untilStarted("n0/s0")
		h.offer("a2", spec(1, 1))
		h.until("the second is refused", func() bool { return len(h.refuse) == 1 })
		if got := h.refuse[0].GetReason(); got != runnerv1.Refuse_REASON_FULL {
			t.Errorf("reason %v", got)
		}
	})
}
