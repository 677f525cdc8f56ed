package runner_test

import (
	"context"
	"fmt"
	"testing"

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
