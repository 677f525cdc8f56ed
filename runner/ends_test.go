package runner_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/task"
)

// Nodes that end soon after one another share chunks of output, and the last of them
// waits for nobody.
func TestEndsOfACrowdAreRecordedTogether(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		var last time.Time
		w.script = func(_ context.Context, c *task.Command, out task.Output) task.End {
			n, _ := strconv.Atoi(strings.TrimPrefix(c.Node.GetName(), "n"))
			<-time.After(time.Duration(n+1) * time.Millisecond)
			if n == 99 {
				last = time.Now()
			}
			_ = out.Write(wire.Stdout, []byte(c.Node.GetName()+"\n"))
			return succeeded()
		}
		w.boot(h)
		s := spec(100, 1)
		s.Threads = 100
		a := h.offer("a1", s)
		h.untilClosed(a)
		if behind := time.Since(last); behind >= 10*time.Millisecond {
			t.Errorf("the attempt was closed %v behind its last node", behind)
		}
		if n := strings.Count(a.text(t), "\n"); n != 100 {
			t.Errorf("the log has %d lines, want 100", n)
		}
		if len(a.chunks) > 40 {
			t.Errorf("100 nodes that ended within 100 ms made %d chunks", len(a.chunks))
		}
	})
}

// A node that is alone goes on with its next step at once.
func TestEndOfANodeAloneWaitsForNobody(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		var ended time.Time
		var pause time.Duration
		w.script = func(context.Context, *task.Command, task.Output) task.End {
			if !ended.IsZero() {
				pause = max(pause, time.Since(ended))
			}
			ended = time.Now()
			return succeeded()
		}
		w.boot(h)
		h.untilClosed(h.offer("a1", spec(1, 10)))
		if pause > 0 {
			t.Errorf("a step waited %v behind the one before it", pause)
		}
	})
}
