package store_test

import (
	"context"
	"testing"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// However many rows come together, each is inserted, moved and read once.
func TestAnyNumberOfRows(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		runner := session(t, st, "r", 1)
		for _, n := range []int{1, 2, 3, 5, 7, 130} {
			moveTogether(ctx, t, st, runner, n)
		}
	})
}

// moveTogether moves n executions from their start to their end.
func moveTogether(ctx context.Context, t *testing.T, st *store.Store, runner string, n int) {
	var rows []*store.ExecutionRow
	var specs []*store.ExecutionSpec
	var ready []*store.AssignmentRow
	var offers []*store.AttemptRow
	var executions, attempts []string
	var asks []store.ClaimAsk
	var ends []store.AssignmentEnd
	var endings []store.Ending
	for range n {
		e, spec, a := newWork(st)
		o := newOffer(a, runner)
		rows, specs, ready, offers = append(rows, e), append(specs, spec), append(ready, a), append(offers, o)
		executions, attempts = append(executions, e.ID), append(attempts, o.AttemptID)
		asks = append(asks, store.ClaimAsk{AttemptID: o.AttemptID, RunnerID: runner, Session: 1})
		ends = append(ends, store.AssignmentEnd{ID: a.ID, State: hub.AssignmentSucceeded})
		endings = append(endings, store.Ending{ID: e.ID, Outcome: hub.StatusSucceeded, EndedAt: st.Now()})
	}
	ok(t, st.InTx(ctx, func(st *store.Store) error {
		ok(t, st.InsertExecutions(ctx, rows, specs))
		return st.InsertAssignments(ctx, ready)
	}))
	same(t, len(must(st.AssignmentsOf(ctx, executions))(t)), n)

	ok(t, st.InTx(ctx, func(st *store.Store) error {
		same(t, len(must(st.OfferAssignments(ctx, ready))(t)), n)
		return st.InsertAttempts(ctx, offers)
	}))
	for _, a := range must(st.AssignmentsOf(ctx, executions))(t) {
		same(t, a.Attempts, 1)
	}
	ok(t, st.InTx(ctx, func(st *store.Store) error {
		same(t, len(must(st.OfferAssignments(ctx, ready))(t)), 0)
		same(t, len(must(st.ClaimAttempts(ctx, asks, 1, store.ClaimRules{}))(t)), n)
		return nil
	}))
	claimed := must(st.Attempts(ctx, attempts, false))(t)
	same(t, len(claimed), n)
	for _, a := range claimed {
		same(t, a.State, hub.AttemptClaimed)
	}

	ok(t, st.InTx(ctx, func(st *store.Store) error {
		ok(t, st.EndAssignments(ctx, ends))
		return st.EndExecutions(ctx, endings)
	}))
	ended := must(st.ExecutionRows(ctx, executions))(t)
	same(t, len(ended), n)
	for _, e := range ended {
		same(t, e.Status, hub.StatusSucceeded)
	}
}
