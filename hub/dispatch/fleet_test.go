package dispatch_test

import (
	"testing"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store/storetest"
	"github.com/fairlead/fairlead/proto/wire"
)

// Of runners that are equally good those of the member at which a job is started get it,
// as long as they have not clearly more to do: but no runner has it all.
func TestRunnersOfThisMemberFirst(t *testing.T) {
	t.Parallel()
	st := storetest.New(t)
	b := newBench(t, st)
	b.nodes("a1")
	here, there := b.runner("here", 100), b.runner("there", 100)
	there.detach()
	b.told(there, 0)
	held := func(r *runnerSim) int {
		list, err := st.OpenAttemptsOfRunner(t.Context(), r.row.ID)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	for range 3 {
		b.run(onNodes(job("true"), "1", false))
	}
	if h, o := held(here), held(there); h != 3 || o != 0 {
		t.Fatalf("of the first three %d are here, %d elsewhere", h, o)
	}
	for range 17 {
		b.run(onNodes(job("true"), "1", false))
	}
	if h, o := held(here), held(there); h+o != 20 || o < 7 {
		t.Errorf("of twenty %d are here, %d elsewhere", h, o)
	}
	b.told(there, 100)
	before := held(here)
	b.run(onNodes(job("true"), "1", false))
	if h := held(here); h != before+1 {
		t.Errorf("with the other one full, %d are here after %d", h, before)
	}
}

// told has another member say that it has the runner, which holds so many attempts.
func (b *bench) told(r *runnerSim, live int) {
	b.t.Helper()
	err := b.d.Fleet(b.t.Context(), "m2", true, []hub.FleetRunner{{ID: r.row.ID, Slots: r.row.Slots, Live: live, Protocol: wire.MaxProtocolVersion}})
	if err != nil {
		b.t.Fatal(err)
	}
}
