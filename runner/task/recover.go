package task

import (
	"bytes"
	"context"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/fairlead/fairlead/proto/failpoint"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

// recover looks for the cells that an earlier process started and did not see end.
func (t *Attempt) recover() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state.closed {
		return
	}
	var cells []Cell
	for i := range t.state.cells {
		c := &t.state.cells[i]
		cell := Cell{Node: uint32(i / t.state.steps), Step: uint32(i % t.state.steps), Try: c.try}
		if c.phase == ended && detached(t.plan.Spec, cell) {
			t.leftovers = append(t.leftovers, cell)
		}
		if c.phase != started {
			continue
		}
		if failpoint.Mutant("NM2") {
			*c = cellState{}
			continue
		}
		cells = append(cells, cell)
	}
	if len(cells) == 0 {
		return
	}
	t.findHandedOver(cells)
	offsets := t.offsets(cells)
	for _, c := range cells {
		t.recoverCell(c, offsets[c])
	}
	if t.mode == Waiting {
		return
	}
	// The hub's answer was faster, and found nothing that waited for it.
	if t.mode == Working || t.mode == Expired {
		t.clean(t.state.stop.GetAsked())
	}
	t.askProbes()
	t.findRemote()
}

// recoverCell does with a started cell what the table of docs/runner.md says.
func (t *Attempt) recoverCell(c Cell, from Offsets) {
	r, proven := t.reattacher(c), t.mode != Unproven
	switch {
	case r != nil && !detached(t.plan.Spec, c):
		t.take(c, func(ctx context.Context, c Cell, out *cellOutput) (End, bool) {
			return t.reattach(ctx, c, r, from, out)
		})
		if t.state.stopsNode(int(c.Node)) {
			// The process that recorded the stop may have died before it could tell the command,
			// and nobody asks again for what is recorded.
			t.hand[t.position(c)].cancel(ErrStopped)
		}
	case r != nil && proven:
		t.await(c)
		t.remote = append(t.remote, remoteCell{c, from})
	case r != nil:
		t.take(c, func(_ context.Context, c Cell, _ *cellOutput) (End, bool) { return t.unwatched(c), true })
	default:
		t.leftovers = append(t.leftovers, c)
		if t.plan.Spec.GetSteps()[c.Step].GetProbe() != "" && proven {
			t.await(c)
			t.probes = append(t.probes, c)
			return
		}
		t.take(c, func(context.Context, Cell, *cellOutput) (End, bool) { return restarted(), true })
	}
}

// await holds a cell until Resumed brings the secrets that its node asks for. The
// caller holds mu.
func (t *Attempt) await(c Cell) {
	t.hand[t.position(c)] = &hand{cell: c, cancel: func(error) {}}
}

// reattacher is the executor of a cell whose command outlives this process; nil: it
// does not.
func (t *Attempt) reattacher(c Cell) Reattacher {
	if t.handed[c] {
		return handedOver{t.host}
	}
	name := executorOf(t.plan.Spec, t.plan.Spec.GetNodes()[c.Node])
	if name != ExecutorLocal && !detached(t.plan.Spec, c) {
		return nil
	}
	r, _ := t.host.Executors[name].(Reattacher) // an executor that is gone reattaches nothing
	return r
}

// remoteCell is a command of an earlier process on a node of its own.
type remoteCell struct {
	cell Cell
	from Offsets
}

// findRemote looks for what runs detached on nodes. A stop, and the end of the job's
// time, may have come while nobody could. The caller holds mu.
func (t *Attempt) findRemote() {
	cells := t.remote
	t.remote = nil
	for _, x := range cells {
		if t.mode != Working && t.mode != Expired {
			t.take(x.cell, func(_ context.Context, c Cell, _ *cellOutput) (End, bool) { return t.unwatched(c), true })
			continue
		}
		r := t.reattacher(x.cell)
		t.take(x.cell, func(ctx context.Context, c Cell, out *cellOutput) (End, bool) {
			return t.reattach(ctx, c, r, x.from, out)
		})
		switch h := t.hand[t.position(x.cell)]; {
		case t.state.stopsNode(int(x.cell.Node)):
			h.cancel(ErrStopped)
		case t.mode == Expired:
			h.cancel(ErrTimedOut)
		}
	}
}

// unwatched is the end of a detached command that this process may not look for: the
// hub gives it no keys.
func (t *Attempt) unwatched(c Cell) End {
	end := restarted()
	end.Message = fmt.Sprintf("The runner was stopped while this ran detached, and the hub does not let it look for it again: it may go on. Look on the node, in ~/.fairlead/steps/%s.", (&Command{AttemptID: t.disk.ID(), Cell: c}).Name())
	return end
}

// restarted is the end of a command that ran in a process of the runner that died.
func restarted() End {
	if failpoint.Mutant("NM3") {
		return End{Outcome: runnerv1.Outcome_OUTCOME_FAILED, Reason: ReasonRestarted}
	}
	return End{
		Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Reason: ReasonRestarted,
		Message: "The runner was stopped while this ran: whether it finished is not known. Look on the node before you run it again.",
	}
}

func (t *Attempt) reattach(ctx context.Context, c Cell, r Reattacher, from Offsets, out *cellOutput) (End, bool) {
	// For a command on this host secrets are not known yet, nor for one that was handed
	// over; who has it masks by itself.
	cmd, err := build(t.plan.Spec, t.disk.ID(), c, t.secrets(), t.captured())
	if err != nil {
		cmd = &Command{AttemptID: t.disk.ID(), Cell: c, Node: t.plan.Spec.GetNodes()[c.Node]}
	}
	cmd.OtherBoot = t.otherBoot()
	if out.states != nil {
		if from, err = out.resume(from); err != nil {
			end := restarted()
			end.Message = fmt.Sprintf("The runner was stopped while this ran and cannot go on with its output: %v.", err)
			return end, true
		}
	}
	// A stop must not keep it from being found: then nobody would record its end.
	p, found, err := r.Reattach(t.ctx, cmd, from)
	switch {
	case t.ctx.Err() != nil && err != nil:
		return End{}, false
	case err != nil:
		end := restarted()
		end.Message = fmt.Sprintf("The runner was stopped while this ran and cannot find it again: %v.", err)
		return end, true
	case !found:
		return notStarted(ReasonNeverStarted, "The runner was stopped before this started."), true
	}
	cmd.Timeout = 0 // shim and supervisor keep the time, which began with their own start
	return t.run(ctx, c, cmd, p, out)
}

// otherBoot reports whether the grant was taken in an earlier boot of this host.
func (t *Attempt) otherBoot() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !bytes.Equal(t.state.boot, t.host.BootID)
}

// afterResumed goes on with the cells that waited for the hub's leave.
func (t *Attempt) afterResumed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.askProbes()
	t.findRemote()
}

// askProbes asks for the cells whose probes waited. The caller holds mu.
func (t *Attempt) askProbes() {
	cells, mode, stopped := t.probes, t.mode, func(c Cell) bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.state.stopsNode(int(c.Node))
	}
	t.probes = nil
	for _, c := range cells {
		t.take(c, func(ctx context.Context, c Cell, out *cellOutput) (End, bool) {
			if mode != Working || stopped(c) {
				return restarted(), true
			}
			return t.probed(ctx, c, restarted(), out)
		})
	}
}

// offsets finds where in their own output files the last stored frames of cells end,
// going back from the newest chunk.
func (t *Attempt) offsets(cells []Cell) map[Cell]Offsets {
	found := map[Cell]Offsets{}
	missing := map[Cell]bool{}
	for _, c := range cells {
		missing[c] = true
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(2*wire.MaxChunkBytes))
	if err != nil {
		t.log.Error("no decompressor", "error", err)
		return found
	}
	defer dec.Close()
	total, _, _, _ := t.disk.ChunkTotals()
	refilled := false
	for seq := total; seq > 0 && len(missing) > 0; seq-- {
		if seq <= t.disk.FirstChunk() && !refilled && t.readOn(missing) {
			refilled = true
			if err := t.disk.Refill(); err != nil {
				t.log.Error("output that was put away cannot be read back", "error", err)
			}
		}
		chunk, ok, err := t.disk.Chunk(seq - 1)
		if err != nil || !ok {
			// Of a detached stream the node knows how much was kept of what is gone here.
			t.log.Warn("a chunk cannot be looked into", "seq", seq-1, "error", err)
			break
		}
		frames, err := dec.DecodeAll(chunk.GetData(), nil)
		if err != nil {
			t.log.Warn("a chunk cannot be decompressed", "seq", seq-1, "error", err)
			break
		}
		last := lastOffsets(frames)
		for c := range missing {
			at := found[c]
			for stream, offset := range last[c] {
				at[stream] = max(at[stream], offset)
			}
			found[c] = at
			if t.allFound(c, at) {
				delete(missing, c)
			}
		}
	}
	return found
}

// readOn reports whether the output of any of the cells would be read from its beginning
// without an offset: a file on this host says nothing of what the spool has of it, nor
// do log filters.
func (t *Attempt) readOn(cells map[Cell]bool) bool {
	for c := range cells {
		if t.filters[c.Step] != nil && detached(t.plan.Spec, c) {
			return true
		}
		if t.reattacher(c) != nil && (t.handed[c] || !detached(t.plan.Spec, c)) {
			return true
		}
	}
	return false
}

// allFound reports whether no earlier chunk can say more: one file for both streams
// needs one offset, a file for each needs two.
func (t *Attempt) allFound(c Cell, at Offsets) bool {
	if detached(t.plan.Spec, c) {
		return at[wire.Stdout] > 0 && at[wire.Stderr] > 0
	}
	return at.Last() > 0
}

func lastOffsets(frames []byte) map[Cell]Offsets {
	last := map[Cell]Offsets{}
	for len(frames) > 0 {
		f, rest, err := wire.NextFrame(frames)
		if err != nil {
			break
		}
		if f.Offset > 0 && f.Stream <= wire.Stderr {
			c := Cell{Node: f.Node, Step: f.Step, Try: f.Try}
			at := last[c]
			at[f.Stream] = f.Offset
			last[c] = at
		}
		frames = rest
	}
	return last
}
