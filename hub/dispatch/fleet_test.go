package dispatch_test

import (
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/dispatch"
	"github.com/fairlead/fairlead/hub/store"
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

// A member that offered an attempt through another is told of the execution's end without
// asking for it, and who waits there has it at once: of nothing else.
func TestEndsAreToldToWhoOffered(t *testing.T) {
	t.Parallel()
	wakes := make(chan hub.Wake, 8)
	never := func(c *dispatch.Config) { c.Poll = time.Hour }
	b := newBench(t, storetest.New(t), never, func(c *dispatch.Config) { c.Wake = func(_ string, w hub.Wake) { wakes <- w } })
	b.nodes("a1")
	near := &bench{t: t, st: b.st, d: b.d, project: b.project}
	b.start(never, func(c *dispatch.Config) { c.MemberID = "m2" })
	r := b.runner("r", 4)
	near.told(r, 0)
	ends, cancel := b.d.SubscribeEnds("m1")
	defer cancel()

	e := near.run(onNodes(job("true"), "1", false))
	w := receive(t, "wake", wakes)
	w.From = "m1"
	if err := b.d.Woken(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	own := b.run(onNodes(job("true"), "1", false))
	for range 2 {
		a := r.claim()
		a.runAll(hub.StatusSucceeded)
		a.finish(hub.StatusSucceeded)
	}
	b.wait(own)
	end := receive(t, "end", ends)
	if end.ExecutionID != e.ID || end.Status != hub.StatusSucceeded || len(ends) > 0 {
		t.Errorf("told of %+v, and of %d more", end, len(ends))
	}
	if err := b.d.Woken(t.Context(), w); err != nil { // late: the poll was before
		t.Fatal(err)
	}
	if late := receive(t, "advice to look", ends); late.ExecutionID != e.ID || late.Kind != hub.EventResync {
		t.Errorf("a late wake is answered by %+v", late)
	}
	near.d.Deliver(end)
	row, err := near.d.Wait(t.Context(), &store.ExecutionRow{Execution: *e}, true)
	if err != nil || row.Status != hub.StatusSucceeded {
		t.Errorf("who waits has %+v, %v", row, err)
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
