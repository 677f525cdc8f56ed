package dispatch_test

import (
	"testing"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

func TestNoopCommits(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		b := newBench(t, open(t))
		r := b.runner("one", 10)
		commits := func() int64 { s := b.st.Stats(); return s.Transactions + s.Statements }
		for range 3 {
			before := commits()
			e := b.run(job("true"))
			a := r.claim()
			a.run(0, 0, hub.StatusSucceeded)
			a.print(0, 0, "hello")
			a.finish(hub.StatusSucceeded)
			got := b.wantEnd(e, hub.StatusSucceeded, true)
			if n := commits() - before; n != 3 {
				t.Errorf("a no-op job took %d commits, want 3", n)
			}
			if got.NodeCounts[hub.StatusSucceeded] != 1 || got.StartedAt.IsZero() || got.EndedAt.IsZero() {
				t.Errorf("execution is %+v", got)
			}
			if text, _ := b.text(output.Query{ExecutionID: e.ID}); text != "hello\n" {
				t.Errorf("log is %q", text)
			}
		}
	})
}
