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
		if c.phase != started {
			continue
		}
		if failpoint.Mutant("NM2") {
			*c = cellState{}
			continue
		}
		cells = append(cells, Cell{Node: uint32(i / t.state.steps), Step: uint32(i % t.state.steps), Try: c.try})
	}
	if len(cells) == 0 {
		return
	}
	offsets := t.offsets(cells)
	for _, c := range cells {
		t.recoverCell(c, offsets[c])
	}
}

// recoverCell does with a started cell what the table of docs/runner.md says.
func (t *Attempt) recoverCell(c Cell, offset uint64) {
	node, step := t.plan.Spec.GetNodes()[c.Node], t.plan.Spec.GetSteps()[c.Step]
	executor, _ := t.executor(node) // an executor that is gone reattaches nothing
	if r, ok := executor.(Reattacher); ok {
		t.take(c, func(ctx context.Context, c Cell, out *cellOutput) (End, bool) {
			return t.reattach(ctx, c, r, executor, offset, out)
		})
		return
	}
	t.leftovers = append(t.leftovers, c)
	if step.GetProbe() != "" && t.mode != Unproven {
		// Its probe needs secrets, which come with Resumed.
		t.hand[t.position(c)] = &hand{cell: c, cancel: func(error) {}}
		t.probes = append(t.probes, c)
		return
	}
	t.take(c, func(context.Context, Cell, *cellOutput) (End, bool) { return restarted(), true })
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

func (t *Attempt) reattach(ctx context.Context, c Cell, r Reattacher, executor Executor, offset uint64, out *cellOutput) (End, bool) {
	// Secrets are not known yet; the shim masks by itself.
	cmd, err := build(t.plan.Spec, t.disk.ID(), c, t.secrets())
	if err != nil {
		cmd = &Command{AttemptID: t.disk.ID(), Cell: c, Node: t.plan.Spec.GetNodes()[c.Node]}
	}
	cmd.OtherBoot = t.otherBoot()
	// A stop must not keep it from being found: then nobody would record its end.
	p, found, err := r.Reattach(t.ctx, cmd, offset)
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
	cmd.Timeout = 0 // the shim keeps the time, which began with its own start
	return t.run(ctx, c, cmd, p, executor, out)
}

// otherBoot reports whether the grant was taken in an earlier boot of this host.
func (t *Attempt) otherBoot() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !bytes.Equal(t.state.boot, t.host.BootID)
}

// askProbes asks for the cells whose probes waited for the hub's leave.
func (t *Attempt) askProbes() {
	t.mu.Lock()
	defer t.mu.Unlock()
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
			return t.probed(ctx, c, restarted(), out), true
		})
	}
}

// offsets finds where in their own output files the last stored frames of cells end,
// going back from the newest chunk.
func (t *Attempt) offsets(cells []Cell) map[Cell]uint64 {
	found := map[Cell]uint64{}
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
	for seq := total; seq > 0 && len(missing) > 0; seq-- {
		chunk, ok, err := t.disk.Chunk(seq - 1)
		if err != nil || !ok {
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
			if offset, ok := last[c]; ok {
				found[c] = offset
				delete(missing, c)
			}
		}
	}
	return found
}

func lastOffsets(frames []byte) map[Cell]uint64 {
	last := map[Cell]uint64{}
	for len(frames) > 0 {
		f, rest, err := wire.NextFrame(frames)
		if err != nil {
			break
		}
		if f.Offset > 0 {
			last[Cell{Node: f.Node, Step: f.Step, Try: f.Try}] = f.Offset
		}
		frames = rest
	}
	return last
}
