package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

// newWork is an execution with one ready assignment, before it is inserted.
func newWork(st *store.Store) (*store.ExecutionRow, *store.ExecutionSpec, *store.AssignmentRow) {
	e := &store.ExecutionRow{
		Execution: hub.Execution{
			ID: store.NewID(), OrganisationID: hub.DefaultOrganisationID, ProjectID: "p", JobName: "job", Incarnation: 1,
			LostAfter: 600, CreatedAt: st.Now(),
		},
		Slices: 1, NodeCount: 1,
	}
	spec := &store.ExecutionSpec{
		Definition: &hub.Job{Name: "job"}, Nodes: []hub.Node{hub.LocalNode()}, Routes: [][]string{nil}, NodeRoutes: []int{0},
		Options: map[string]string{"a": "b"}, Threads: 1, Strategy: hub.StrategyNodeFirst, Sealed: []byte("sealed"),
	}
	a := &store.AssignmentRow{Assignment: hub.Assignment{
		ID: store.NewID(), ExecutionID: e.ID, OrganisationID: e.OrganisationID, ProjectID: "p", Nodes: []int{0}, Steps: []int{0},
		Threads: 1, State: hub.AssignmentReady, Incarnation: 1,
	}}
	return e, spec, a
}

// work inserts an execution with one ready assignment.
func work(t testing.TB, st *store.Store) (*store.ExecutionRow, *store.AssignmentRow) {
	t.Helper()
	e, spec, a := newWork(st)
	err := st.InTx(t.Context(), func(st *store.Store) error {
		if err := st.InsertExecutions(t.Context(), []*store.ExecutionRow{e}, []*store.ExecutionSpec{spec}); err != nil {
			return err
		}
		return st.InsertAssignments(t.Context(), []*store.AssignmentRow{a})
	})
	if err != nil {
		t.Fatal(err)
	}
	return e, a
}

// newOffer is an attempt of an assignment, before it is inserted.
func newOffer(a *store.AssignmentRow, runnerID string) *store.AttemptRow {
	return &store.AttemptRow{Attempt: hub.Attempt{
		Fence:        hub.Fence{Incarnation: 1, AttemptID: store.NewID(), Epoch: a.Attempts + 1},
		AssignmentID: a.ID, ExecutionID: a.ExecutionID, OrganisationID: a.OrganisationID, RunnerID: runnerID,
	}, OfferTick: 1}
}

// offer makes an attempt of a ready assignment.
func offer(ctx context.Context, st *store.Store, a *store.AssignmentRow, runnerID string) (*store.AttemptRow, error) {
	t := newOffer(a, runnerID)
	err := st.InTx(ctx, func(st *store.Store) error {
		won, err := st.OfferAssignments(ctx, []*store.AssignmentRow{a})
		if err != nil {
			return err
		}
		if !won[a.ID] {
			return errLost
		}
		return st.InsertAttempts(ctx, []*store.AttemptRow{t})
	})
	return t, err
}

var errLost = fmt.Errorf("lost the race")

// session connects a runner.
func session(t testing.TB, st *store.Store, name string, epoch int64) string {
	t.Helper()
	r := &hub.Runner{OrganisationID: hub.DefaultOrganisationID, Name: name}
	if err := st.CreateRunner(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	err := st.PutSessions(t.Context(), []string{r.OrganisationID}, []hub.RunnerSession{{
		RunnerID: r.ID, MemberID: "m", Confirmed: epoch, Nonce: []byte("n"), BootID: []byte("boot"), HostID: []byte("host"), ConnectedAt: st.Now(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return r.ID
}

// What is read together is the same as what is read one by one.
func TestReadTogether(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		e, a := work(t, st)
		o := must(offer(ctx, st, a, session(t, st, "r", 1)))(t)
		row, spec, err := st.ExecutionWithSpec(ctx, e.OrganisationID, e.ID)
		ok(t, err)
		same(t, row.Execution, must(st.ExecutionRow(ctx, e.OrganisationID, e.ID))(t).Execution)
		same(t, spec, must(st.ExecutionSpec(ctx, e.ID))(t))
		_, _, err = st.ExecutionWithSpec(ctx, "other", e.ID)
		wantCode(t, err, hub.CodeNotFound)

		attempt, assignment, err := st.AttemptWithAssignment(ctx, o.AttemptID)
		ok(t, err)
		same(t, attempt, must(st.Attempts(ctx, []string{o.AttemptID}, false))(t)[0])
		same(t, assignment, must(st.AssignmentsOf(ctx, []string{e.ID}))(t)[0])
		attempt, assignment, err = st.AttemptWithAssignment(ctx, "none")
		if attempt != nil || assignment != nil || err != nil {
			t.Errorf("no attempt: %v, %v, %v", attempt, assignment, err)
		}
	})
}

// transitions reads a fenced table of docs/state-machines.md as "from event to".
func transitions(t *testing.T, name string) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/state-machines.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "```transitions "+name+"\n")
	table, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatalf("the page has no table of %s", name)
	}
	var out []string
	for line := range strings.Lines(table) {
		words := strings.Fields(line)
		if len(words) < 3 {
			t.Fatalf("line %q is no transition", line)
		}
		for _, to := range words[2:] {
			out = append(out, words[0]+" "+words[1]+" "+to)
		}
	}
	return out
}

// words are the states and events of a table.
func words(table []string) (states, events []string) {
	for _, line := range table {
		w := strings.Fields(line)
		states = append(states, w[0], w[2])
		events = append(events, w[1])
	}
	slices.Sort(states)
	slices.Sort(events)
	states = slices.DeleteFunc(slices.Compact(states), func(s string) bool { return s == "(none)" })
	return states, slices.Compact(events)
}

// row is how a row of a table is made, from id, state and event.
type row struct {
	insert string
	args   int
}

// TestTransitions tries every change of state by every event, and wants exactly those
// to pass that the page draws.
func TestTransitions(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		st := open(t)
		e, a := work(t, st)
		insert := map[string]row{
			"execution": {`INSERT INTO execution (id, organisation_id, project_id, status, slices, node_count, keepgoing, lost_after, incarnation, created_at)
				VALUES ($1, '` + e.OrganisationID + `', 'p', $2, 1, 1, FALSE, 1, 1, 1)`, 2},
			"assignment": {`INSERT INTO assignment (id, execution_id, organisation_id, project_id, position, nodes, steps, runner_tags, threads, state, event, incarnation, ready_at)
				VALUES ($1, '` + e.ID + `', 'o', 'p', 0, '[]', '[]', '[]', 1, $2, $3, 1, 1)`, 3},
			"attempt": {`INSERT INTO attempt (id, assignment_id, execution_id, organisation_id, runner_id, incarnation, epoch, state, event, changed_at, offer_tick, offered_at)
				VALUES ($1, $1, '` + e.ID + `', 'o', 'r', 1, 1, $2, $3, 1, 1, 1)`, 3},
			"node_step": {`INSERT INTO node_step (execution_id, node, step, try, attempt_id, status) VALUES ($1, 0, 0, 1, '` + a.ID + `', $2)`, 2},
		}
		column := map[string]string{"execution": "status", "node_step": "status", "assignment": "state", "attempt": "state"}
		key := map[string]string{"node_step": "execution_id"}
		for name, r := range insert {
			table := transitions(t, name)
			states, events := words(table)
			id := column[name]
			keyed := key[name]
			if keyed == "" {
				keyed = "id"
			}
			exec := func(args ...any) error {
				_, err := store.Exec(t.Context(), st, r.insert, args[:r.args]...)
				return err
			}
			pathTo := paths(table)
			for _, from := range append([]string{"(none)"}, states...) {
				for _, event := range events {
					for _, to := range states {
						if from == to {
							continue
						}
						row := store.NewID()
						if from == "(none)" {
							check(t, name, table, from, event, to, exec(row, to, event))
							continue
						}
						for i, step := range pathTo[from] {
							w := strings.Fields(step)
							var err error
							if i == 0 {
								err = exec(row, w[2], w[1])
							} else {
								err = update(t.Context(), st, name, id, keyed, row, w[2], w[1])
							}
							if err != nil {
								t.Fatalf("%s: cannot reach %s: %v", name, from, err)
							}
						}
						check(t, name, table, from, event, to, update(t.Context(), st, name, id, keyed, row, to, event))
					}
				}
			}
		}
	})
}

func update(ctx context.Context, st *store.Store, table, column, key, id, to, event string) error {
	query := `UPDATE ` + table + ` SET ` + column + ` = $1 WHERE ` + key + ` = $2`
	args := []any{to, id}
	if table == "assignment" || table == "attempt" {
		query = `UPDATE ` + table + ` SET ` + column + ` = $1, event = $3 WHERE ` + key + ` = $2`
		args = append(args, event)
	}
	_, err := store.Exec(ctx, st, query, args...)
	return err
}

// paths finds for each state a way from nothing to it.
func paths(table []string) map[string][]string {
	out := map[string][]string{"(none)": nil}
	for range table {
		for _, line := range table {
			w := strings.Fields(line)
			if way, ok := out[w[0]]; ok && out[w[2]] == nil {
				out[w[2]] = append(slices.Clone(way), line)
			}
		}
	}
	return out
}

func check(t *testing.T, name string, table []string, from, event, to string, err error) {
	t.Helper()
	legal := slices.Contains(table, from+" "+event+" "+to)
	if name == "execution" || name == "node_step" {
		// Their events are not in the row: any that leads there will do.
		legal = slices.ContainsFunc(table, func(l string) bool { return strings.HasPrefix(l, from+" ") && strings.HasSuffix(l, " "+to) })
	}
	if legal != (err == nil) {
		t.Errorf("%s: %s by %s to %s: %v; the page says legal is %v", name, from, event, to, err, legal)
	}
}

func TestTransitionsAreWrittenDown(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		st := open(t)
		_, a := work(t, st)
		runner := session(t, st, "r", 1)
		at, err := offer(t.Context(), st, a, runner)
		if err != nil {
			t.Fatal(err)
		}
		ask := []store.ClaimAsk{{AttemptID: at.AttemptID, RunnerID: runner, Session: 1}}
		if got, err := store.Claim(t.Context(), st, ask); err != nil || !got[at.AttemptID] {
			t.Fatalf("claim: %v, %v", got, err)
		}
		if got, err := store.Return(t.Context(), st, ask); err != nil || !got[at.AttemptID] {
			t.Fatalf("not started: %v, %v", got, err)
		}
		want := []string{" offer offered", "offered claim claimed", "claimed not_started not_started"}
		got, err := store.Events(t.Context(), st, at.AttemptID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// TestOffersRaced lets many dispatchers offer the same assignments: each is offered by
// one of them.
func TestOffersRaced(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		st := open(t)
		runner := session(t, st, "r", 1)
		for range 20 {
			_, a := work(t, st)
			var won atomic.Int64
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					switch _, err := offer(t.Context(), st, a, runner); {
					case err == nil:
						won.Add(1)
					case !errors.Is(err, errLost):
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if won.Load() != 1 {
				t.Errorf("%d offers of one assignment, want 1", won.Load())
			}
		}
	})
}

// TestClaimsRaced lets sessions, expiry, cancel and give-back fight over attempts: the
// events of each must be a path of the page, with at most one claim that holds.
func TestClaimsRaced(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		st := open(t)
		table := transitions(t, "attempt")
		for round := range 12 {
			_, a := work(t, st)
			runner := session(t, st, fmt.Sprintf("r%d", round), 1)
			at, err := offer(t.Context(), st, a, runner)
			if err != nil {
				t.Fatal(err)
			}
			var claimed, expired, returned atomic.Int64
			count := func(n *atomic.Int64, f func(st *store.Store) (map[string]bool, error)) func() {
				return func() {
					got := false
					err := st.InTx(t.Context(), func(st *store.Store) error {
						done, err := f(st)
						got = done[at.AttemptID]
						return err
					})
					if err != nil {
						t.Error(err)
					} else if got {
						n.Add(1)
					}
				}
			}
			ask := []store.ClaimAsk{{AttemptID: at.AttemptID, RunnerID: runner, Session: 1}}
			old := []store.ClaimAsk{{AttemptID: at.AttemptID, RunnerID: runner, Session: 0}}
			other := []store.ClaimAsk{{AttemptID: at.AttemptID, RunnerID: "another", Session: 1}}
			var stale atomic.Int64
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(count(&claimed, func(st *store.Store) (map[string]bool, error) {
					return store.Changed(st.ClaimAttempts(t.Context(), ask, 1, store.ClaimRules{}))
				}))
				wg.Go(count(&stale, func(st *store.Store) (map[string]bool, error) {
					return store.Changed(st.ClaimAttempts(t.Context(), old, 1, store.ClaimRules{}))
				}))
				wg.Go(count(&stale, func(st *store.Store) (map[string]bool, error) {
					return store.Changed(st.ClaimAttempts(t.Context(), other, 1, store.ClaimRules{}))
				}))
				wg.Go(count(&expired, func(st *store.Store) (map[string]bool, error) {
					return st.WithdrawAttempts(t.Context(), []string{at.AttemptID}, "expire", "")
				}))
				wg.Go(count(&returned, func(st *store.Store) (map[string]bool, error) {
					return store.Changed(st.ReturnAttempts(t.Context(), ask, store.ClaimRules{}))
				}))
			}
			wg.Wait()
			if stale.Load() != 0 || expired.Load() > 1 || returned.Load() > 1 || expired.Load() == 1 && claimed.Load()+returned.Load() > 0 {
				t.Errorf("claimed %d times, expired %d, returned %d, by strangers %d", claimed.Load(), expired.Load(), returned.Load(), stale.Load())
			}
			events, err := store.Events(t.Context(), st, at.AttemptID)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events[1:] {
				if !slices.Contains(table, e) {
					t.Errorf("event %q is not on the page", e)
				}
			}
		}
	})
}

func TestExecutionRoundTrip(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		st := open(t)
		first, _ := work(t, st)
		second, _ := work(t, st)
		if second.Number <= first.Number {
			t.Errorf("numbers are %d, %d", first.Number, second.Number)
		}
		for _, ref := range []string{first.ID, fmt.Sprint(first.Number)} {
			e, err := st.GetExecution(t.Context(), first.OrganisationID, ref)
			if err != nil || e.ID != first.ID || e.Options["a"] != "b" || len(e.Nodes) != 1 || e.Definition.Name != "job" {
				t.Errorf("execution %s is %+v, err %v", ref, e, err)
			}
		}
		if _, err := st.GetExecution(t.Context(), "another", first.ID); hub.ErrorCode(err) != hub.CodeNotFound {
			t.Errorf("another organisation gets %v", err)
		}
		err := st.InTx(t.Context(), func(st *store.Store) error {
			return st.EndExecutions(t.Context(), []store.Ending{{ID: first.ID, Outcome: hub.StatusFailed, EndedAt: st.Now(), Sealed: true, NodeCounts: hub.NodeCounts{"failed": 1}}})
		})
		if err != nil {
			t.Fatal(err)
		}
		if sealed, err := st.SealedOptions(t.Context(), first.ID); err != nil || sealed != nil {
			t.Errorf("sealed options after the end: %q, %v", sealed, err)
		}
		if sealed, err := st.SealedOptions(t.Context(), second.ID); err != nil || string(sealed) != "sealed" {
			t.Errorf("sealed options of another: %q, %v", sealed, err)
		}
		for _, f := range []struct {
			filter store.ExecutionFilter
			want   []int64
		}{
			{store.ExecutionFilter{}, []int64{second.Number, first.Number}},
			{store.ExecutionFilter{Before: second.Number}, []int64{first.Number}},
			{store.ExecutionFilter{Statuses: []hub.Status{hub.StatusFailed}}, []int64{first.Number}},
			{store.ExecutionFilter{Statuses: []hub.Status{hub.StatusCancelling}}, nil},
			{store.ExecutionFilter{ProjectID: "p", JobID: "none"}, nil},
		} {
			f.filter.OrganisationID, f.filter.Limit = first.OrganisationID, 10
			list, err := st.ListExecutions(t.Context(), f.filter)
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, e := range list {
				got = append(got, e.Number)
			}
			if diff := cmp.Diff(f.want, got); diff != "" {
				t.Errorf("list %+v (-want +got):\n%s", f.filter, diff)
			}
		}
	})
}
