package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/logfilter"
	"github.com/fairlead/fairlead/runner/task"
)

// start is one start of a command, as the node saw it.
type start struct {
	number  int
	job     int
	step    string // "s0", or "h0" for the handler of step 0
	node    string
	attempt string
	cell    task.Cell
	proc    *proc
	host    *host
	local   bool
	at      time.Time

	// Guarded by world.mu.
	ended    time.Time // zero while it runs
	outcome  runnerv1.Outcome
	seen     bool // a process of the runner that lived saw the end
	stopped  bool // it was ended by a stop
	orphaned bool // its runner died under it
	printed  []string
}

// behaviour of a command follows from the seed and how often it was started.
type behaviour struct {
	lines    int
	pace     time.Duration
	fails    bool
	stubborn bool // takes its time to end when it is told to
}

// begin counts a start; nil if the process is dead: then nothing was started.
func (w *world) begin(p *proc, c *task.Command, local bool) (*start, *stepPlan, behaviour) {
	if p.dead.Load() {
		return nil, nil, behaviour{}
	}
	_ = w.hit("start", p.h.runner, -1) // the last moment before
	w.mu.Lock()
	if p.dead.Load() {
		w.mu.Unlock()
		return nil, nil, behaviour{}
	}
	s := &start{number: len(w.starts), attempt: c.AttemptID, cell: c.Cell, node: c.Node.GetName(), proc: p, host: p.h, local: local, at: time.Now()}
	if _, err := fmt.Sscanf(strings.ReplaceAll(c.Text, "'", ""), "j%d %s", &s.job, &s.step); err != nil {
		w.mu.Unlock()
		w.broke("a command that nobody wrote was started: %q", c.Text)
		return nil, nil, behaviour{}
	}
	step := w.plan.stepOf(s.job, s.step)
	w.judgeStart(s, step)
	w.judgeData(s, c.Env)
	w.starts = append(w.starts, s)
	r := w.random(s.label(), w.startsOf(s))
	b := behaviour{lines: step.lines, pace: step.pace, fails: r.IntN(100) < step.fails, stubborn: r.IntN(4) == 0}
	w.mu.Unlock()
	w.note("%s starts %s on %s (attempt %s, cell %v), start %d", p.h.name, s.label(), s.node, short(s.attempt), s.cell, s.number)
	_ = w.hit("started", p.h.runner, -1)
	return s, step, b
}

func (s *start) label() string { return fmt.Sprintf("j%d %s", s.job, s.step) }

func short(id string) string {
	if len(id) > 6 {
		return id[len(id)-6:]
	}
	return id
}

// finish notes the end of a command. The caller holds w.mu.
func (s *start) finish(o runnerv1.Outcome, seen bool) {
	if s.ended.IsZero() {
		s.ended, s.outcome = time.Now(), o
	}
	s.seen = s.seen || seen
}

// secretWord is what jobs with filters hide; their commands print it on each line.
const secretWord = "hush"

// line is what a command prints.
func (s *start) line(i int) string {
	text := fmt.Sprintf("%s %s start %d line %d", s.label(), s.node, s.number, i)
	if s.proc.h.w.plan.jobs[s.job].filters {
		text = "RUNDECK:DATA:last = " + text + " " + secretWord
	}
	return text
}

// filtered is what filters make of the lines that a command printed; last is what they
// capture, "" for nothing.
func (s *start) filtered() (lines []string, last string) {
	for _, line := range s.printed {
		line = strings.ReplaceAll(line, secretWord, "[SECURE]")
		lines = append(lines, line)
		if _, value, captures := strings.Cut(line, "RUNDECK:DATA:last = "); captures {
			last = value
		}
	}
	return lines, last
}

func endOf(b behaviour) task.End {
	if b.fails {
		return task.End{Outcome: runnerv1.Outcome_OUTCOME_FAILED, Exited: true, Code: 1, EndProven: true, Reason: "non_zero_exit"}
	}
	return task.End{Outcome: runnerv1.Outcome_OUTCOME_SUCCEEDED, Exited: true, EndProven: true}
}

func stoppedEnd(cause error) task.End {
	end := task.End{Outcome: runnerv1.Outcome_OUTCOME_CANCELLED, EndProven: true, Reason: "stopped", Signal: "TERM"}
	if errors.Is(cause, task.ErrTimedOut) {
		end.Outcome, end.Reason = runnerv1.Outcome_OUTCOME_TIMED_OUT, "timed_out"
	}
	return end
}

// prepare is what both kinds of commands have to go through before they start.
func (p *proc) prepare(ctx context.Context) error {
	if !wait(time.Duration(p.draw(int64(2*time.Millisecond))), ctx.Done()) {
		return ctx.Err()
	}
	if p.draw(1000) < int64(p.h.w.plan.unready) {
		return &task.NotStartedError{Reason: "connection_refused", Message: "The node does not answer."}
	}
	return nil
}

// remote runs commands over connections of its process: they are lost with it.
type remote struct{ p *proc }

func (e remote) Prepare(ctx context.Context, c *task.Command) (task.Process, error) {
	if err := e.p.prepare(ctx); err != nil {
		return nil, err
	}
	return attached{e.p, c}, nil
}

type attached struct {
	p *proc
	c *task.Command
}

func (attached) Discard() {}

func (attached) About() string { return "" }

// Run implements task.Process.
func (a attached) Run(ctx context.Context, out task.Output) task.End {
	w := a.p.h.w
	s, step, b := w.begin(a.p, a.c, false)
	lost := task.End{Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Reason: "connection_lost", Message: "The connection broke."}
	if s == nil {
		return lost
	}
	deadline := after(step.timeout)
	defer deadline.Stop()
	for i := 0; ; i++ {
		timer := time.NewTimer(b.pace)
		var cause error
		select {
		case <-timer.C:
		case <-deadline.C:
			cause = task.ErrTimedOut
		case <-ctx.Done():
			cause = context.Cause(ctx)
		case <-a.p.deadc:
			cause = task.ErrDetach
		}
		timer.Stop()
		switch {
		case a.p.dead.Load() || errors.Is(cause, task.ErrDetach):
			// On the node it runs on, as long as it takes.
			w.mu.Lock()
			s.orphaned = true
			s.ended, s.outcome = time.Now().Add(time.Duration(b.lines-i)*b.pace), endOf(b).Outcome
			w.mu.Unlock()
			return lost
		case cause != nil:
			w.mu.Lock()
			s.stopped = errors.Is(cause, task.ErrStopped)
			w.mu.Unlock()
			_ = w.hit("stopping", a.p.h.runner, -1)
			if b.stubborn {
				wait(time.Second, a.p.deadc)
			}
			return a.over(s, stoppedEnd(cause))
		case i == b.lines:
			return a.over(s, endOf(b))
		}
		w.mu.Lock()
		s.printed = append(s.printed, s.line(i))
		w.mu.Unlock()
		if err := out.Write(wire.Stdout, []byte(s.line(i)+"\n")); err != nil && !a.p.dead.Load() {
			w.broke("output of start %d was not taken: %v", s.number, err)
		}
		_ = w.hit("print", a.p.h.runner, -1)
	}
}

// over tells the end, if there is still someone to tell.
func (a attached) over(s *start, end task.End) task.End {
	w := a.p.h.w
	_ = w.hit("end", a.p.h.runner, -1)
	w.mu.Lock()
	defer w.mu.Unlock()
	s.finish(end.Outcome, !a.p.dead.Load())
	return end
}

func after(d time.Duration) *time.Timer {
	if d == 0 {
		t := time.NewTimer(time.Hour)
		t.Stop()
		return t
	}
	return time.NewTimer(d)
}

// local runs commands under shims: they outlive the process, not the machine.
type local struct{ p *proc }

type shimKey struct {
	attempt string
	cell    task.Cell
}

// shim is a local command as its directory and its process show it. The zero value of
// everything but tombstone is one that never started.
type shim struct {
	w         *world
	tombstone bool
	forgetful bool // nothing of it was synced
	start     *start
	kill      chan error // a cause to end
	filter    *logfilter.Stream
	gone      chan struct{}

	mu     sync.Mutex
	change chan struct{}
	out    []byte
	exited bool
	lost   bool // the shim died: nobody knows
	end    task.End
}

func (s *shim) changed() {
	close(s.change)
	s.change = make(chan struct{})
}

// die is the machine's end.
func (s *shim) die() {
	if s.tombstone {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.exited && !s.forgetful || s.lost {
		return
	}
	s.lost = true
	s.changed()
	close(s.gone)
	s.w.mu.Lock()
	s.start.finish(runnerv1.Outcome_OUTCOME_UNKNOWN, false)
	s.w.mu.Unlock()
}

// copied is how the directory looks on another machine: no process holds its lock.
func (s *shim) copied() *shim {
	if s.tombstone {
		return &shim{w: s.w, tombstone: true}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return &shim{w: s.w, start: s.start, out: append([]byte(nil), s.out...), exited: s.exited, lost: !s.exited, end: s.end, change: make(chan struct{}), gone: make(chan struct{})}
}

// A runner asks its executors for this, and takes one without for one that reattaches nothing.
var _ task.Reattacher = local{}

func (e local) Prepare(ctx context.Context, c *task.Command) (task.Process, error) {
	if err := e.p.prepare(ctx); err != nil {
		return nil, err
	}
	return &shimmed{p: e.p, c: c}, nil
}

// Reattach implements task.Reattacher: docs/executors.md, the table.
func (e local) Reattach(_ context.Context, c *task.Command, from task.Offsets) (task.Process, bool, error) {
	w := e.p.h.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.p.dead.Load() {
		return nil, false, errDead
	}
	key := shimKey{c.AttemptID, c.Cell}
	s := e.p.h.shims[key]
	switch {
	case s == nil && c.OtherBoot:
		return nil, false, errors.New("nothing is left of it, which proves nothing after another boot")
	case s == nil:
		e.p.h.shims[key] = &shim{w: w, tombstone: true}
		return nil, false, nil
	case s.tombstone:
		return nil, false, nil
	}
	return &shimmed{p: e.p, c: c, shim: s, offset: from.Last()}, true, nil
}

// Forget implements task.Reattacher.
func (e local) Forget(_ context.Context, attempt string) error {
	w := e.p.h.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.p.dead.Load() {
		return errDead
	}
	for key := range e.p.h.shims {
		if key.attempt == attempt {
			delete(e.p.h.shims, key)
		}
	}
	return nil
}

// shimmed is a runner's hold on a shim.
type shimmed struct {
	p      *proc
	c      *task.Command
	shim   *shim // nil until it is started
	offset uint64
}

func (*shimmed) Discard() {}

func (*shimmed) About() string { return "" }

// Run implements task.Process.
func (x *shimmed) Run(ctx context.Context, out task.Output) task.End {
	if x.shim == nil && !x.launch() {
		return task.End{Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Reason: "shim_died", Message: "The shim could not be started."}
	}
	asked := false
	for {
		s := x.shim
		s.mu.Lock()
		news, change, over := append([]byte(nil), s.out[min(int(x.offset), len(s.out)):]...), s.change, s.exited || s.lost
		s.mu.Unlock()
		if len(news) > 0 && !x.p.dead.Load() {
			x.offset += uint64(len(news))
			if err := out.WriteMasked(wire.Stdout, news, x.offset); err != nil && !x.p.dead.Load() {
				x.p.h.w.broke("output of a shim was not taken: %v", err)
			}
			continue
		}
		if over {
			return x.over()
		}
		done := ctx.Done()
		if asked {
			done = nil
		}
		select {
		case <-change:
		case <-x.p.deadc:
			return task.End{}
		case <-done:
			if errors.Is(context.Cause(ctx), task.ErrDetach) {
				return task.End{}
			}
			asked = true
			select {
			case s.kill <- context.Cause(ctx):
			default:
			}
		}
	}
}

func (x *shimmed) over() task.End {
	w := x.p.h.w
	_ = w.hit("end", x.p.h.runner, -1)
	x.shim.mu.Lock()
	defer x.shim.mu.Unlock()
	if x.shim.lost {
		return task.End{Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Reason: "shim_died", Message: "The shim died."}
	}
	w.mu.Lock()
	x.shim.start.seen = x.shim.start.seen || !x.p.dead.Load()
	w.mu.Unlock()
	return x.shim.end
}

// launch starts the command under a new shim.
func (x *shimmed) launch() bool {
	w := x.p.h.w
	key := shimKey{x.c.AttemptID, x.c.Cell}
	w.mu.Lock()
	taken := x.p.h.shims[key] != nil
	w.mu.Unlock()
	if taken {
		return false // its lock is held, or there is a tombstone
	}
	st, step, b := w.begin(x.p, x.c, true)
	if st == nil {
		return false
	}
	s := &shim{w: w, start: st, change: make(chan struct{}), kill: make(chan error, 1), gone: make(chan struct{})}
	s.forgetful = x.p.draw(3) == 0
	chain, err := logfilter.New(x.c.Filters, x.c.LogLevel)
	if err != nil {
		w.broke("the filters of start %d are not taken: %v", st.number, err)
	}
	s.filter = chain.Stream(wire.Stdout, func(p []byte, _ bool) error {
		s.out = append(s.out, p...)
		return nil
	})
	w.mu.Lock()
	alive := x.p.boot == x.p.h.boots && !x.p.h.gone
	if alive {
		x.p.h.shims[key] = s
	}
	w.mu.Unlock()
	x.shim = s
	if !alive {
		s.die()
		return true
	}
	w.wg.Go(func() { s.live(step, b) })
	return true
}

// live is the command's life, whoever watches.
func (s *shim) live(step *stepPlan, b behaviour) {
	deadline := after(step.timeout)
	defer deadline.Stop()
	end := endOf(b)
	stopped := false
loop:
	for i := 0; ; i++ {
		timer := time.NewTimer(b.pace)
		select {
		case <-timer.C:
		case <-deadline.C:
			timer.Stop()
			end = stoppedEnd(task.ErrTimedOut)
			break loop
		case cause := <-s.kill:
			timer.Stop()
			if b.stubborn {
				wait(time.Second, s.gone)
			}
			end, stopped = stoppedEnd(cause), errors.Is(cause, task.ErrStopped)
			break loop
		case <-s.gone:
			timer.Stop()
			return
		case <-s.w.ctx.Done():
			timer.Stop()
			return
		}
		if i == b.lines {
			break loop
		}
		s.print(s.start.line(i))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost {
		return
	}
	s.exited, s.end = true, end
	_ = s.filter.Close() // it writes into memory
	s.end.Data = s.filter.Data()
	s.w.mu.Lock()
	s.start.stopped = stopped
	s.start.finish(end.Outcome, false)
	s.w.mu.Unlock()
	s.changed()
}

// print writes a line.
func (s *shim) print(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost {
		return
	}
	s.w.mu.Lock()
	s.start.printed = append(s.start.printed, line)
	s.w.mu.Unlock()
	_ = s.filter.Write([]byte(line+"\n"), false) // it writes into memory
	s.changed()
}

// random is a source of randomness of its own for everything that has a name.
func (w *world) random(name string, n int) *rand.Rand {
	h := uint64(14695981039346656037)
	for _, b := range []byte(name) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return rand.New(rand.NewPCG(w.plan.seed, h+uint64(n)*0x9e3779b97f4a7c15))
}
