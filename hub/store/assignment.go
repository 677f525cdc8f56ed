package store

import (
	"context"
	"time"

	"github.com/fairlead/fairlead/hub"
)

// AssignmentRow is an assignment with what dispatch needs besides.
type AssignmentRow struct {
	hub.Assignment
	// Stops: something in it failed and was not answered.
	Stops  bool
	Reason string
	// TryBase is added to the tries that a runner counts.
	TryBase int
	// Adopted: the database had lost it, and a runner showed it.
	Adopted bool
	ReadyAt time.Time
}

const assignmentColumns = `id, execution_id, organisation_id, project_id, position, nodes, steps, runner_tags, threads, state, stops, reason,
	attempts, open_attempt, try_base, adopted, incarnation, ready_at`

func scanAssignment(r scanner) (*AssignmentRow, error) {
	a := &AssignmentRow{}
	err := r.Scan(&a.ID, &a.ExecutionID, &a.OrganisationID, &a.ProjectID, &a.Position, jsonInto(&a.Nodes), jsonInto(&a.Steps), jsonInto(&a.RunnerTags),
		&a.Threads, &a.State, &a.Stops, &a.Reason, &a.Attempts, &a.OpenAttempt, &a.TryBase, &a.Adopted, &a.Incarnation, timeInto(&a.ReadyAt))
	return a, err
}

// InsertAssignments inserts assignments that are ready, or active because an attempt is
// inserted beside them.
func (s *Store) InsertAssignments(ctx context.Context, list []*AssignmentRow) error {
	return inPieces(len(list), func(from, to int) error {
		var args []any
		for _, a := range list[from:to] {
			event := "cut"
			if a.State == hub.AssignmentActive {
				event = "offer"
			}
			args = append(args, a.ID, a.ExecutionID, a.OrganisationID, a.ProjectID, a.Position, asJSON(a.Nodes), asJSON(a.Steps), asJSON(a.RunnerTags),
				a.Threads, string(a.State), event, a.Attempts, a.OpenAttempt, a.TryBase, a.Adopted, a.Incarnation, at(s.Now()))
		}
		return s.later(ctx, `INSERT INTO assignment (id, execution_id, organisation_id, project_id, position, nodes, steps, runner_tags,
			threads, state, event, attempts, open_attempt, try_base, adopted, incarnation, ready_at) VALUES `+tuples(1, to-from, 17), args...)
	})
}

// AssignmentsOf reads all assignments of executions, in the order of their positions.
func (s *Store) AssignmentsOf(ctx context.Context, executionIDs []string) ([]*AssignmentRow, error) {
	var all []*AssignmentRow
	err := s.assignmentsOf(ctx, executionIDs, &all)
	if err == nil {
		err = s.flush(ctx)
	}
	return all, err
}

// assignmentsOf reads later, into all.
func (s *Store) assignmentsOf(ctx context.Context, executionIDs []string, all *[]*AssignmentRow) error {
	return inPieces(len(executionIDs), func(from, to int) error {
		return collectLater(ctx, s, all, scanAssignment, `SELECT `+assignmentColumns+` FROM assignment WHERE execution_id IN (`+params(1, to-from)+`)
			ORDER BY execution_id, position, id`, anys(executionIDs[from:to])...)
	})
}

// LockAssignments takes the rows of assignments, in the order of their ids, and returns
// their states. An offer takes its assignment's row too: behind this no attempt of them
// is on its way that cannot be seen yet.
func (s *Store) LockAssignments(ctx context.Context, ids []string) (map[string]hub.AssignmentState, error) {
	states := make(map[string]hub.AssignmentState, len(ids))
	err := inPieces(len(ids), func(from, to int) error {
		list, err := collect(ctx, s, scanAssignment, `SELECT `+assignmentColumns+` FROM assignment WHERE id IN (`+params(1, to-from)+`) ORDER BY id`+s.dialect.forUpdate,
			anys(ids[from:to])...)
		for _, a := range list {
			states[a.ID] = a.State
		}
		return err
	})
	return states, err
}

// ReadyAssignments lists assignments that wait for a runner, oldest first.
func (s *Store) ReadyAssignments(ctx context.Context, after string, limit int) ([]*AssignmentRow, error) {
	return collect(ctx, s, scanAssignment, `SELECT `+assignmentColumns+` FROM assignment WHERE state = 'ready' AND id > $1
		AND NOT EXISTS (SELECT 1 FROM execution e WHERE e.id = assignment.execution_id AND `+heldE+`) ORDER BY id LIMIT $2`, after, limit)
}

// unresolved is the guard that keeps two grants of one assignment apart.
const unresolved = `NOT EXISTS (SELECT 1 FROM attempt t WHERE t.assignment_id = assignment.id AND t.state IN ('offered', 'claimed', 'running'))`

// inTurn is whether an assignment that was cut anew, after its runner was lost, has its threads:
// together with those cut before it at its position it takes no more than the first one there
// had. Those before it only end, so whoever looks at once with others errs on the safe side.
const inTurn = `(try_base = 0 OR threads + (SELECT COALESCE(SUM(o.threads), 0) FROM assignment o
		WHERE o.execution_id = assignment.execution_id AND o.position = assignment.position AND o.id < assignment.id AND o.state IN ('ready', 'active'))
	<= COALESCE((SELECT MAX(o.threads) FROM assignment o WHERE o.execution_id = assignment.execution_id AND o.position = assignment.position AND o.try_base = 0), threads))`

// OfferAssignments makes ready assignments active, each if it is as it was read and
// nothing of it is unresolved, and returns the ids of those that were. The attempts go
// in beside it, in the same transaction.
func (s *Store) OfferAssignments(ctx context.Context, list []*AssignmentRow) (map[string]bool, error) {
	won := make(map[string]bool, len(list))
	err := inPieces(len(list), func(from, to int) error {
		var args []any
		for _, a := range list[from:to] {
			args = append(args, a.ID, a.Attempts)
		}
		ids, err := collect(ctx, s, scanID, `WITH v (v_id, v_attempts) AS (VALUES `+s.values("ti", to-from)+`)
			UPDATE assignment SET state = 'active', event = 'offer', attempts = attempts + 1
			FROM v WHERE id = v_id AND state = 'ready' AND attempts = v_attempts AND `+unresolved+` AND `+inTurn+`
				AND NOT EXISTS (SELECT 1 FROM execution e WHERE e.id = assignment.execution_id AND (e.cancel_requested OR e.no_new OR e.ended_at > 0 OR `+heldE+`))
			RETURNING id`, args...)
		for _, id := range ids {
			won[id] = true
		}
		return err
	})
	return won, err
}

// OfferBlindly is OfferAssignments without any guard: mutant M4.
func (s *Store) OfferBlindly(ctx context.Context, list []*AssignmentRow) (map[string]bool, error) {
	won := make(map[string]bool, len(list))
	for _, a := range list {
		err := s.queryRow(ctx, `UPDATE assignment SET state = CASE WHEN state = 'ready' THEN 'active' ELSE state END, event = 'offer', attempts = attempts + 1
			WHERE id = $1 RETURNING attempts`, a.ID).Scan(&a.Attempts)
		if err != nil {
			return nil, err
		}
		a.Attempts--
		won[a.ID] = true
	}
	return won, nil
}

// ReleaseAssignments makes active assignments ready again: their attempt was proven not
// to have started.
func (s *Store) ReleaseAssignments(ctx context.Context, ids []string) error {
	return inPieces(len(ids), func(from, to int) error {
		args := append([]any{at(s.Now())}, anys(ids[from:to])...)
		_, err := s.exec(ctx, `UPDATE assignment SET state = 'ready', event = 'release', ready_at = $1 WHERE id IN (`+params(2, to-from)+`) AND state = 'active'`, args...)
		return err
	})
}

// SetAssignmentNodes has an assignment that is not granted end with fewer nodes than it was
// cut with: call it in the transaction that ends it.
func (s *Store) SetAssignmentNodes(ctx context.Context, id string, nodes []int) error {
	_, err := s.exec(ctx, `UPDATE assignment SET nodes = $2 WHERE id = $1 AND state IN ('ready', 'active')`, id, asJSON(nodes))
	return err
}

// AssignmentEnd settles an assignment.
type AssignmentEnd struct {
	ID     string
	State  hub.AssignmentState
	Stops  bool
	Reason string
}

// EndAssignments settles assignments that are not settled.
func (s *Store) EndAssignments(ctx context.Context, list []AssignmentEnd) error {
	return inPieces(len(list), func(from, to int) error {
		var args []any
		for _, e := range list[from:to] {
			args = append(args, e.ID, string(e.State), e.Stops, e.Reason)
		}
		return s.later(ctx, `WITH v (v_id, v_state, v_stops, v_reason) AS (VALUES `+s.values("ttot", to-from)+`)
			UPDATE assignment SET state = v_state, event = 'end', stops = v_stops, reason = v_reason
			FROM v WHERE id = v_id AND state IN ('ready', 'active')`, args...)
	})
}
