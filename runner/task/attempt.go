package task

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/fairlead/fairlead/proto/failpoint"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/runner/disk"
	"github.com/fairlead/fairlead/runner/logfilter"
	"github.com/fairlead/fairlead/runner/mask"
	"github.com/fairlead/fairlead/runner/spool"
	"github.com/fairlead/fairlead/runner/stepdir"
)

// ErrNotCurrent is returned for a stop outside a current grant: it proves nothing
// there, since a copy of the disk would answer the same.
var ErrNotCurrent = errors.New("the attempt is not resumed yet")

// Host is what all attempts of a runner share.
type Host struct {
	// Executors by name (ExecutorSSH, ExecutorLocal).
	Executors map[string]Executor
	Log       *slog.Logger
	// BootID as in Hello.
	BootID []byte
	// Boottime is time that goes on while the machine sleeps (CLOCK_BOOTTIME).
	Boottime func() time.Duration
	// Handover is the folder for commands that a process hands over to the next one;
	// empty: none is.
	Handover string
	// FS is the data directory.
	FS disk.FS
	// Quiet is how long bytes are held back that may begin a secret; 0: half a second.
	Quiet time.Duration

	zip  encoders
	kept sync.WaitGroup // commands that this process has handed over and not seen end
}

// Attempt drives one attempt of the spool. All its methods may be called from any
// goroutine; none but Run waits for commands.
type Attempt struct {
	host *Host
	disk *spool.Attempt
	plan *Plan
	log  *slog.Logger
	wake chan struct{} // Run looks again

	cutter *cutter
	// filters by step; nil: the step has none.
	filters []*logfilter.Chain

	mu       sync.Mutex // guards the following fields; taken before the spool's
	state    *State
	mode     Mode
	vault    *vault
	hand     map[int]*hand // cells this process prepares or runs, by position
	ends     ends
	lastStop uint64        // number of the newest stop record
	deadline time.Duration // boot time at which the job's time is over; 0: none
	detached bool          // this process ends: nothing more is recorded
	halted   bool          // the log limit was reached, and what runs is being ended
	probes   []Cell        // that wait for Resumed to be asked
	remote   []remoteCell  // that wait for Resumed to be looked for
	// leftovers are cells of which an earlier process may have left something on nodes.
	leftovers []Cell
	// handed are cells that an earlier process has or has seen end; written before any
	// cell is in hand, so read without mu.
	handed  map[Cell]bool
	lost    error           // output that was printed before it was handed over could not be stored
	ctx     context.Context //nolint:containedctx // of Run: cells start while others record
	running sync.WaitGroup
}

// writeAgain is how long to wait after the journal could not be written.
const writeAgain = 5 * time.Second

// hand is a cell that this process prepares or runs. Fields below attached are guarded
// by Attempt.mu.
type hand struct {
	cell   Cell
	cancel context.CancelCauseFunc
	out    *cellOutput
	masker *mask.Masker
	// unbind keeps the end of the attempt's context from this cell, unless that was
	// first; leave has Run not wait for it.
	unbind func() bool
	leave  func()

	attached bool            // its command runs in this process and would end with it
	offered  *stepdir.Keeper // to hand it over to
	kept     *stepdir.Keeper // it was handed over
}

// New makes the driver of an attempt. ctx bounds everything it does; it ends with
// cause ErrDetach when this process ends. For an attempt that was granted to an
// earlier process mode is Waiting.
func (h *Host) New(ctx context.Context, a *spool.Attempt, mode Mode) (*Attempt, error) {
	t := &Attempt{
		host: h, disk: a, plan: NewPlan(a.Spec()), log: h.Log.With("attempt", a.ID()), wake: make(chan struct{}, 1),
		mode: mode, vault: newVault(nil), hand: map[int]*hand{}, ctx: ctx,
	}
	t.filters = compileFilters(t.plan.Spec)
	t.cutter = newCutter(ctx, a, &h.zip, t.log, t.poke)
	t.cutter.quiet = cmp.Or(h.Quiet, quietFlush)
	if err := t.replay(); err != nil {
		return nil, err
	}
	if mode == Waiting && bytes.Equal(t.state.boot, h.BootID) {
		t.deadline = t.state.deadline // of another boot, the clock says nothing and nothing runs
	}
	if a.Frozen() != "" {
		t.mode = Unproven
	}
	if failpoint.Mutant("NM5") && t.mode == Waiting {
		t.mode = Working
	}
	return t, nil
}

func (t *Attempt) replay() error {
	t.state = NewState(t.plan.Spec)
	return t.disk.Replay(func(n uint64, r *runnerv1.Record) {
		t.state.Apply(r)
		if r.GetStopped() != nil {
			t.lastStop = n
		}
	})
}

// Run advances the attempt until it is closed or ctx of New ends. Cells that started
// before this process are looked for first.
func (t *Attempt) Run() error {
	t.recover()
	for lost := false; ; {
		t.mu.Lock()
		t.checkDeadline()
		t.checkLimit()
		done, timer := t.state.closed, t.deadlineTimer()
		var next time.Time
		if !done {
			next = t.advance(nil)
			done = t.state.closed
		}
		t.mu.Unlock()
		if done {
			timer.Stop()
			t.running.Wait()
			if t.closed() || lost && !t.waitToWrite() {
				return nil // lost, the end is told by the next process
			}
			lost = true
			continue
		}
		if t.ctx.Err() != nil {
			timer.Stop()
			t.running.Wait()
			t.cutter.flush()
			return context.Cause(t.ctx)
		}
		t.sleep(timer, next)
	}
}

// closed reports whether the attempt is over, when its last records are on the disk. If the
// disk lost them, what they told is to be told anew, as unknown.
func (t *Attempt) closed() bool {
	err := t.disk.Wait()
	if err == nil && t.disk.Closed() {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.log.Error("the disk lost the attempt's end", "error", err)
	t.freeze()
	return t.state.closed // not lost: this process ends
}

// waitToWrite waits before an end that the disk lost more than once is written anew: each
// time costs a file. It is false when this process ends.
func (t *Attempt) waitToWrite() bool {
	select {
	case <-time.After(writeAgain):
		return true
	case <-t.ctx.Done():
		return false
	}
}

// sleep waits for whatever may change what is next.
func (t *Attempt) sleep(deadline *time.Timer, next time.Time) {
	defer deadline.Stop()
	var due <-chan time.Time
	if !next.IsZero() {
		timer := time.NewTimer(max(0, time.Until(next)))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-t.wake:
		// A cell ended and all is told but for output that waits to be cut.
		t.flushIfDone()
	case <-due:
	case <-deadline.C:
	case <-t.ctx.Done():
		t.Drain()
	}
}

// Drain makes the attempt start nothing more in this process. What runs goes on.
func (t *Attempt) Drain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.detached = true
}

func (t *Attempt) poke() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// flushIfDone cuts the last chunk when nothing is in hand any more. Not under mu,
// since it may wait for room on the disk.
func (t *Attempt) flushIfDone() {
	t.mu.Lock()
	idle := len(t.hand) == 0
	t.mu.Unlock()
	if idle {
		t.cutter.flush()
	}
}

// advance records first, then does what Next says, in one write, and returns when to
// look again. The caller holds mu.
func (t *Attempt) advance(first []*runnerv1.Record) (next time.Time) {
	records := first
	for _, r := range first {
		t.state.Apply(r)
	}
	var d Decision
	for {
		d = Next(t.plan, t.state, t.mode, t.inHand)
		if len(d.End) == 0 {
			break
		}
		for _, e := range d.End {
			t.explain(e)
			r := record(&runnerv1.Record{Record: &runnerv1.Record_Ended{Ended: e}})
			t.state.Apply(r)
			records = append(records, r)
		}
	}
	if d.Close && len(t.hand) == 0 && (t.cutter.empty() || t.cutter.broken()) {
		total, _, _ := t.disk.Totals()
		total += uint64(len(records)) + 1
		records = append(records, record(&runnerv1.Record{Record: &runnerv1.Record_Closed{Closed: &runnerv1.Closed{Total: total}}}))
		t.state.closed = true
	}
	if !t.write(records) {
		return time.Now().Add(writeAgain)
	}
	if t.state.closed || d.Close {
		t.poke()
		return time.Time{}
	}
	if t.detached {
		return time.Time{}
	}
	return t.start(d.Start)
}

// write appends records and asks for a sync. When the disk fails, what memory says is
// thrown away for what the disk can vouch for; the caller holds mu.
func (t *Attempt) write(records []*runnerv1.Record) bool {
	if len(records) == 0 {
		return true
	}
	_, _, err := t.disk.Append(true, records...)
	if err == nil {
		return true
	}
	t.log.Error("the journal failed", "error", err)
	t.freeze()
	return false
}

// freeze goes on from what the disk can vouch for: nothing more starts, and what has
// not ended there is unknown, also when it is let run. The caller holds mu.
func (t *Attempt) freeze() {
	t.mode = Unproven
	if err := t.replay(); err != nil {
		t.log.Error("the journal cannot be read back", "error", err)
	}
	// What waits for Resumed would wait for ever: it is not asked for any more.
	t.askProbes()
	t.findRemote()
}

// start begins the cells whose turn has come and returns when the next one's comes.
func (t *Attempt) start(starts []Start) (next time.Time) {
	now := time.Now()
	for _, s := range starts {
		if s.NotBefore.After(now) {
			if next.IsZero() || s.NotBefore.Before(next) {
				next = s.NotBefore
			}
			continue
		}
		t.take(s.Cell, t.perform)
	}
	return next
}

// take puts a cell in hand and has do work on it; the caller holds mu.
func (t *Attempt) take(c Cell, do performer) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(t.ctx))
	h := &hand{cell: c, cancel: cancel, masker: t.vault.masker, out: newCellOutput(c, t.cutter, t.vault.masker, t.filters[c.Step])}
	if t.filters[c.Step] != nil && detached(t.plan.Spec, c) {
		h.out.states = &filterStates{fs: t.host.FS, name: (&Command{AttemptID: t.disk.ID(), Cell: c}).Name()}
	}
	h.unbind = context.AfterFunc(t.ctx, func() { cancel(context.Cause(t.ctx)) })
	t.hand[t.position(c)] = h
	t.running.Add(1)
	h.leave = sync.OnceFunc(t.running.Done)
	go func() {
		defer h.leave()
		t.work(ctx, h, do)
	}()
}

// performer works on a cell; known is false if it neither started nor ended.
type performer func(ctx context.Context, c Cell, out *cellOutput) (end End, known bool)

func (t *Attempt) work(ctx context.Context, h *hand, do performer) {
	defer h.cancel(nil)
	defer h.unbind()
	end, known := do(ctx, h.cell, h.out)
	end = limited(ctx, end)
	if h.keptElsewhere(t) {
		t.endHandedOver(h, end)
		return
	}
	if known && !end.Exited && end.Message != "" && end.Outcome != runnerv1.Outcome_OUTCOME_SUCCEEDED {
		_ = h.out.say(end.Message) // if output cannot be stored, the record still tells
	}
	h.out.close(known)
	if end.Data == nil {
		end.Data = h.out.data()
	}
	end.Printed = t.cutter.printed(h.cell)
	if known {
		t.finish(h.cell, end)
	} else {
		t.drop(h.cell)
	}
}

func (t *Attempt) position(c Cell) int { return int(c.Node)*t.state.steps + int(c.Step) }

func (t *Attempt) inHand(node, step int) bool {
	if len(t.hand) == 0 {
		return false
	}
	_, ok := t.hand[node*t.state.steps+step]
	return ok
}

// drop takes a cell out of hand that neither started nor ended.
func (t *Attempt) drop(c Cell) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.hand, t.position(c))
	t.poke()
}

// record stamps a record with the time.
func record(r *runnerv1.Record) *runnerv1.Record {
	r.Time = time.Now().UnixMicro()
	return r
}

// explain replaces the general reason of an unproven cell by the attempt's own.
func (t *Attempt) explain(e *runnerv1.Ended) {
	if why := t.disk.Frozen(); why != "" && e.GetReason() == ReasonOtherHost {
		e.Reason = ReasonFrozen
		e.Message = fmt.Sprintf("Unknown: %s; not started as far as can be told.", why)
	}
}
