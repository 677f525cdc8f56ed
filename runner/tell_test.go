package runner_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/task"
)

// What a step captured may be longer, as a record, than what a Result takes along.
func TestARecordThatNoResultTakesAlong(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		data := map[string]string{}
		for i := range wire.MaxRecordData / 8 {
			data[fmt.Sprintf("%08d", i)] = ""
		}
		w.script = func(context.Context, *task.Command, task.Output) task.End {
			end := succeeded()
			end.Data = data
			return end
		}
		w.boot(h)
		a := h.offer("a1", spec(1, 1))
		h.untilClosed(a)
		if got := a.ends()[[3]uint32{0, 0, 1}]; len(got.GetData()) != len(data) {
			t.Errorf("%d values arrived, want %d: %s", len(got.GetData()), len(data), got.GetMessage())
		}
	})
}

// What a node says of a command's end is whatever bytes it likes, and as many.
func TestEndThatANodeTellsInStrangeBytes(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		w.script = func(_ context.Context, c *task.Command, _ task.Output) task.End {
			if c.Node.GetName() == "n1" {
				return succeeded()
			}
			return task.End{
				Outcome: runnerv1.Outcome_OUTCOME_FAILED, EndProven: true, Reason: "signal",
				Signal: "\xff", Message: "n0: ended by \xff" + strings.Repeat("!", 1<<20),
			}
		}
		w.boot(h)
		s := spec(2, 1)
		s.Keepgoing = true
		a := h.offer("a1", s)
		h.untilClosed(a)
		e := a.ends()[[3]uint32{0, 0, 1}]
		if e.GetOutcome() != runnerv1.Outcome_OUTCOME_FAILED || !strings.HasPrefix(e.GetMessage(), "n0: ended by \ufffd!") {
			t.Errorf("n0 ended %v %q: %.100s", e.GetOutcome(), e.GetReason(), e.GetMessage())
		}
		if e := a.ends()[[3]uint32{1, 0, 1}]; e.GetOutcome() != runnerv1.Outcome_OUTCOME_SUCCEEDED {
			t.Errorf("n1 ended %v", e)
		}
	})
}

// loseASync returns what has the next sync of the journal fail.
func loseASync(w *world) (lose func()) {
	loses := loseSyncs(w, "journal/")
	return func() { loses(1) }
}

// loseSyncs returns what has the next syncs of a folder fail.
func loseSyncs(w *world, folder string) (lose func(next int32)) {
	var losing atomic.Int32
	w.fs.SetHook(func(op, name string) error {
		if op == "sync" && strings.HasPrefix(name, folder) && losing.Add(-1) >= 0 {
			return errors.New("input/output error")
		}
		return nil
	})
	return losing.Store
}

// Nobody waits for the sync of an attempt's last records: when that fails, what the
// command did is not known any more, and the hub is told so. A disk that fails for a while
// loses that, too; it is told once the disk works again, and not only by the next process.
func TestLastRecordsThatTheDiskLost(t *testing.T) {
	simulate(t, func(t *testing.T) {
		for _, syncs := range []int32{1, 4} {
			w, h := newWorld(t), newFakeHub(t)
			lose := loseSyncs(w, "journal/")
			w.script = func(context.Context, *task.Command, task.Output) task.End {
				lose(syncs)
				return succeeded()
			}
			w.boot(h)
			a := h.offer("a1", spec(1, 1))
			h.untilClosed(a)
			if got := a.result.GetOutcome(); got != runnerv1.Outcome_OUTCOME_UNKNOWN {
				t.Errorf("%d syncs lost: outcome %v", syncs, got)
			}
		}
	})
}

// What follows output that the disk lost can never be told: it is not waited for, also not by
// who keeps a command's output, and lets it print no more, until the spool has it.
func TestOutputBehindWhatTheDiskLost(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		lose := loseSyncs(w, "spool/")
		w.script = func(_ context.Context, _ *task.Command, out task.Output) task.End {
			lose(1)
			_ = out.WriteMasked(wire.Stdout, []byte("one\n"), 4)
			<-time.After(time.Second)
			_ = out.WriteMasked(wire.Stdout, []byte("two\n"), 8)
			<-time.After(time.Second)
			if kept := out.(task.SyncedOutput).Synced().Last(); kept != 8 {
				t.Errorf("who keeps the output waits for what is behind %d", kept)
			}
			return succeeded()
		}
		p := w.boot(h)
		a := h.offer("a1", spec(1, 1))
		h.until("the attempt is over", func() bool { return a.result != nil && p.Status().Attempts == 0 })
		if got := a.result.GetOutcome(); got != runnerv1.Outcome_OUTCOME_SUCCEEDED || len(a.chunks) > 0 {
			t.Errorf("outcome %v with %d chunks", got, len(a.chunks))
		}
	})
}

// A retry that was due before the disk lost the try's end does not come: nothing of the
// attempt may start any more.
func TestNothingStartsBehindWhatTheDiskLost(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		lose := loseASync(w)
		w.script = func(_ context.Context, c *task.Command, _ task.Output) task.End {
			if c.Cell.Try == 1 {
				lose()
			}
			return task.End{Outcome: runnerv1.Outcome_OUTCOME_FAILED, Exited: true, Code: 1, EndProven: true}
		}
		w.boot(h)
		s := spec(1, 1)
		s.Steps[0].Retries, s.Steps[0].RetryDelayMs = 1, 10_000
		a := h.offer("a1", s)
		h.until("the attempt is closed", func() bool { return a.state == "closed" })
		if got := a.result.GetOutcome(); got != runnerv1.Outcome_OUTCOME_UNKNOWN || w.started("n0/s0") != 1 {
			t.Errorf("outcome %v, started %d times", got, w.started("n0/s0"))
		}
	})
}

// On a full disk there is room for the session that has the hub take what fills it.
func TestSessionOnAFullDisk(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		w.boot(h)
		h.until("connected", func() bool { return len(h.streams) == 1 })
		var space atomic.Bool
		w.fs.SetHook(func(op, name string) error {
			if op == "remove" && name == "reserve" {
				space.Store(true)
			}
			if op == "write" && !space.Load() {
				return syscall.ENOSPC
			}
			return nil
		})
		h.cut()
		a := h.offer("a1", spec(1, 1))
		h.untilClosed(a)
	})
}
