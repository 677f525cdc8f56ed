package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// parked inserts an execution of a job that waits for a time, or with none for its turn.
func parked(ctx context.Context, t *testing.T, st *store.Store, j *hub.Job, due time.Time, sealed []byte) *store.ExecutionRow {
	t.Helper()
	e := &store.ExecutionRow{Execution: hub.Execution{
		ID: store.NewID(), OrganisationID: org, ProjectID: j.ProjectID, JobID: j.ID, JobName: j.Name, Incarnation: 1, CreatedAt: st.Now(),
		Waits: hub.WaitsForTurn, RunAt: due, WaitingFor: &hub.WaitingFor{Kind: "queue", Since: st.Now(), Message: "its turn"},
	}}
	if !due.IsZero() {
		e.Waits = hub.WaitsForTime
	}
	w := &store.Wait{
		JobID: j.ID, ProjectID: j.ProjectID, DueAt: due, Since: st.Now(), Most: j.AtOnce(), Choice: store.NodeChoice{Filter: "tags: web", Nodes: []string{"a"}},
		Spec: store.ExecutionSpec{Definition: j, Options: map[string]string{"a": "b"}, SecureOptions: []string{"s"}, Threads: 2, Strategy: hub.StrategyNodeFirst, Sealed: sealed},
	}
	ok(t, st.InTx(ctx, func(st *store.Store) error {
		return st.InsertWaiting(ctx, []*store.ExecutionRow{e}, []*store.Wait{w})
	}))
	return e
}

// leave starts an execution that waited, on a turn.
func leave(ctx context.Context, st *store.Store, e *store.ExecutionRow, turn int) error {
	e.Turn, e.Slices, e.NodeCount = turn, 1, 1
	return st.InTx(ctx, func(st *store.Store) error {
		spec, err := st.ExecutionSpec(ctx, e.ID)
		if err != nil {
			return err
		}
		s := *spec
		s.Nodes, s.Routes, s.NodeRoutes = []hub.Node{hub.LocalNode()}, [][]string{nil}, []int{0}
		return st.LeaveLine(ctx, e, &s, false)
	})
}

func waiting(list []*store.Wait) (ids []string) {
	for _, w := range list {
		ids = append(ids, w.ExecutionID)
	}
	return ids
}

// What waits has its definition, options and sealed values; it gets its nodes when it
// leaves, and nothing of the wait stays.
func TestWaiting(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		p := makeProject(ctx, t, st, "web")
		j := put(ctx, t, st, newJob(p, "", "a", "true"), store.JobCreated)
		e := parked(ctx, t, st, j, later(st, time.Hour), []byte("sealed"))
		list := func(status hub.Status) int {
			return len(must(st.ListExecutions(ctx, store.ExecutionFilter{OrganisationID: org, Statuses: []hub.Status{status}, Limit: 10}))(t))
		}
		same(t, []int{list(hub.StatusScheduled), list(hub.StatusQueued)}, []int{1, 0})
		got := must(st.GetExecution(ctx, org, e.ID))(t)
		if got.Waits != hub.WaitsForTime || !got.RunAt.Equal(e.RunAt) || got.Options["a"] != "b" || len(got.Nodes) > 0 || got.WaitingFor == nil {
			t.Fatalf("it waits as %+v", got)
		}
		w := must(st.Wait(ctx, e.ID))(t)
		same(t, string(w.Spec.Sealed), "sealed")
		row, spec, err := st.ExecutionWithSpec(ctx, org, e.ID)
		ok(t, err)
		same(t, row.Waits, hub.WaitsForTime)
		same(t, spec, must(st.ExecutionSpec(ctx, e.ID))(t))
		same(t, w.Choice, store.NodeChoice{Filter: "tags: web", Nodes: []string{"a"}})
		same(t, must(st.EarliestWait(ctx))(t), e.RunAt)
		same(t, waiting(must(st.DueWaits(ctx, 10))(t)), []string(nil))
		same(t, waiting(must(st.NextInLine(ctx, 10))(t)), []string(nil))

		ok(t, st.JoinLine(ctx, e.ID, hub.WaitingFor{Kind: "queue", Since: st.Now(), Message: "its turn"}))
		same(t, []int{list(hub.StatusScheduled), list(hub.StatusQueued)}, []int{0, 1})
		same(t, waiting(must(st.NextInLine(ctx, 10))(t)), []string{e.ID})
		e.WaitingFor = nil
		ok(t, leave(ctx, st, e, 1))
		got = must(st.GetExecution(ctx, org, e.ID))(t)
		if got.Waits != "" || len(got.Nodes) != 1 || got.WaitingFor != nil {
			t.Fatalf("it left as %+v", got)
		}
		same(t, string(must(st.SealedOptions(ctx, e.ID))(t)), "sealed")
		if must(st.Wait(ctx, e.ID))(t) != nil {
			t.Error("its wait is still there")
		}
		same(t, must(st.Turns(ctx, []string{j.ID}))(t)[j.ID], &store.Turns{Taken: map[int]int64{1: e.Number}})
		ok(t, st.EndExecutions(ctx, []store.Ending{{ID: e.ID, Outcome: hub.StatusFailed}}))
		same(t, must(st.Turns(ctx, []string{j.ID}))(t)[j.ID].Free(1), 1) // its log may still come
	})
}

// The first of a line comes next, once there is a turn for it; a turn is given once.
func TestLine(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		p := makeProject(ctx, t, st, "web")
		two := newJob(p, "", "two", "true")
		two.MultipleExecutions, two.MaxMultiple = true, 2
		put(ctx, t, st, two, store.JobCreated)
		other := put(ctx, t, st, newJob(p, "", "other", "true"), store.JobCreated)
		a, b, c := parked(ctx, t, st, two, time.Time{}, nil), parked(ctx, t, st, two, time.Time{}, nil), parked(ctx, t, st, two, time.Time{}, nil)
		x := parked(ctx, t, st, other, time.Time{}, nil)
		same(t, waiting(must(st.NextInLine(ctx, 10))(t)), []string{a.ID, x.ID})
		turns := must(st.Turns(ctx, []string{two.ID, other.ID}))(t)
		same(t, []any{turns[two.ID].Waiting, turns[two.ID].First, turns[other.ID].Waiting}, []any{3, a.ID, 1})
		ok(t, leave(ctx, st, a, 1))
		if err := leave(ctx, st, b, 1); err == nil {
			t.Fatal("one turn was given twice")
		}
		same(t, waiting(must(st.NextInLine(ctx, 10))(t)), []string{b.ID, x.ID})
		ok(t, leave(ctx, st, b, 2))
		same(t, waiting(must(st.NextInLine(ctx, 10))(t)), []string{x.ID})

		// A higher limit holds for those that wait already, and so does the end of their job.
		two.MaxMultiple = 3
		put(ctx, t, st, two, store.JobUpdated)
		same(t, waiting(must(st.NextInLine(ctx, 10))(t)), []string{c.ID, x.ID})
		two.MaxMultiple = 2
		put(ctx, t, st, two, store.JobUpdated)
		same(t, waiting(must(st.NextInLine(ctx, 10))(t)), []string{x.ID})
		said := must(st.SayInLine(ctx, two.ID, "another"))(t)
		same(t, []any{len(said), said[0].ID, said[0].WaitingFor.Message}, []any{1, c.ID, "another"})
		ok(t, st.DeleteJob(ctx, p.ID, two.ID, 0))
		same(t, waiting(must(st.NextInLine(ctx, 10))(t)), []string{c.ID, x.ID})
	})
}
