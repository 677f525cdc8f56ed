package store

import (
	"context"
	"fmt"

	"github.com/fairlead/fairlead/hub"
)

const nodeStepColumns = `execution_id, node, step, try, attempt_id, status, code, exited, signal, reason, message, end_proven, not_started,
	data, late_status, started_at, ended_at, printed_lines, printed_bytes`

func scanNodeStep(r scanner) (hub.NodeStep, error) {
	var n hub.NodeStep
	err := r.Scan(&n.ExecutionID, &n.Node, &n.Step, &n.Try, &n.AttemptID, &n.Status, &n.Code, &n.Exited, &n.Signal, &n.Reason, &n.Message,
		&n.EndProven, &n.NotStarted, jsonInto(&n.Data), &n.LateStatus, timeInto(&n.StartedAt), timeInto(&n.EndedAt),
		&n.Printed.Lines, &n.Printed.Bytes)
	return n, err
}

// PutNodeSteps inserts node steps or moves them on. No two of the list have the same
// key. A row that has ended stays as it is; what is newer goes to its late status.
func (s *Store) PutNodeSteps(ctx context.Context, list []hub.NodeStep) error {
	return inPieces(len(list), func(from, to int) error {
		var args []any
		for i := range list[from:to] {
			n := &list[from+i]
			data := ""
			if len(n.Data) > 0 {
				data = asJSON(n.Data)
			}
			args = append(args, n.ExecutionID, n.Node, n.Step, n.Try, n.AttemptID, string(n.Status), n.Code, n.Exited, n.Signal, n.Reason, n.Message,
				n.EndProven, n.NotStarted, data, string(n.LateStatus), at(n.StartedAt), at(n.EndedAt), n.Printed.Lines, n.Printed.Bytes)
		}
		return s.later(ctx, `INSERT INTO node_step (`+nodeStepColumns+`) VALUES `+tuples(1, to-from, 19)+`
			ON CONFLICT (execution_id, node, step, try) DO UPDATE SET
				status = excluded.status, code = excluded.code, exited = excluded.exited, signal = excluded.signal, reason = excluded.reason,
				message = excluded.message, end_proven = excluded.end_proven, not_started = excluded.not_started, data = excluded.data,
				started_at = CASE WHEN excluded.started_at > 0 THEN excluded.started_at ELSE node_step.started_at END, ended_at = excluded.ended_at,
				printed_lines = excluded.printed_lines, printed_bytes = excluded.printed_bytes
			WHERE node_step.status = 'running' AND node_step.attempt_id = excluded.attempt_id`, args...)
	})
}

// PutLate notes ends that came after their attempt was settled. The outcome of the
// rows stays.
func (s *Store) PutLate(ctx context.Context, list []hub.NodeStep) error {
	return inPieces(len(list), func(from, to int) error {
		var args []any
		for i := range list[from:to] {
			n := &list[from+i]
			args = append(args, n.ExecutionID, n.Node, n.Step, n.Try, string(n.LateStatus))
		}
		return s.later(ctx, `WITH v (v_id, v_node, v_step, v_try, v_late) AS (VALUES `+s.values("tiiit", to-from)+`)
			UPDATE node_step SET late_status = v_late FROM v WHERE execution_id = v_id AND node = v_node AND step = v_step AND try = v_try`, args...)
	})
}

// FirstFailure returns the node step of an execution that failed or timed out before all
// others, nil for none.
func (s *Store) FirstFailure(ctx context.Context, executionID string) (*hub.NodeStep, error) {
	n, err := scanNodeStep(s.queryRow(ctx, `SELECT `+nodeStepColumns+` FROM node_step
		WHERE execution_id = $1 AND status IN ('failed', 'timed_out') ORDER BY ended_at, node, step, try LIMIT 1`, executionID))
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for the first failure of execution %s: %w", executionID, err)
	}
	return &n, nil
}

// NodeSteps reads the node steps of an execution, by node, step and try.
func (s *Store) NodeSteps(ctx context.Context, executionID string) ([]hub.NodeStep, error) {
	return collect(ctx, s, scanNodeStep, `SELECT `+nodeStepColumns+` FROM node_step WHERE execution_id = $1 ORDER BY node, step, try`, executionID)
}

// Captured reads the node steps of an execution that captured values, in the order in
// which they ended.
func (s *Store) Captured(ctx context.Context, executionID string) ([]hub.NodeStep, error) {
	return collect(ctx, s, scanNodeStep, `SELECT `+nodeStepColumns+` FROM node_step WHERE execution_id = $1 AND data <> ''
		ORDER BY ended_at, node, step, try`, executionID)
}

// Printed adds up what the ended node steps of an execution printed under its log limit, by
// node.
func (s *Store) Printed(ctx context.Context, executionID string) (map[int]hub.Printed, error) {
	out := map[int]hub.Printed{}
	_, err := collect(ctx, s, func(r scanner) (node int, err error) {
		var p hub.Printed
		err = r.Scan(&node, &p.Lines, &p.Bytes)
		out[node] = p
		return node, err
	}, `SELECT node, CAST(sum(printed_lines) AS BIGINT), CAST(sum(printed_bytes) AS BIGINT) FROM node_step
		WHERE execution_id = $1 AND printed_bytes > 0 GROUP BY node`, executionID)
	if err != nil {
		return nil, fmt.Errorf("adding up what execution %s printed: %w", executionID, err)
	}
	return out, nil
}

// NodeStatuses reads of the node steps of executions what counts need: where they are,
// their try and their status.
func (s *Store) NodeStatuses(ctx context.Context, executionIDs []string) ([]hub.NodeStep, error) {
	var all []hub.NodeStep
	err := inPieces(len(executionIDs), func(from, to int) error {
		part, err := collect(ctx, s, scanNodeStatus, `SELECT execution_id, node, step, try, status FROM node_step
			WHERE execution_id IN (`+params(1, to-from)+`)`, anys(executionIDs[from:to])...)
		all = append(all, part...)
		return err
	})
	return all, err
}

func scanNodeStatus(r scanner) (hub.NodeStep, error) {
	var n hub.NodeStep
	err := r.Scan(&n.ExecutionID, &n.Node, &n.Step, &n.Try, &n.Status)
	return n, err
}

// NodeStepsOfAttempts reads the node steps that attempts have records of, by attempt.
func (s *Store) NodeStepsOfAttempts(ctx context.Context, attemptIDs ...string) (map[string][]hub.NodeStep, error) {
	out := make(map[string][]hub.NodeStep, len(attemptIDs))
	err := inPieces(len(attemptIDs), func(from, to int) error {
		part, err := collect(ctx, s, scanNodeStep, `SELECT `+nodeStepColumns+` FROM node_step WHERE attempt_id IN (`+params(1, to-from)+`)
			ORDER BY attempt_id, node, step, try`, anys(attemptIDs[from:to])...)
		for i := range part {
			out[part[i].AttemptID] = append(out[part[i].AttemptID], part[i])
		}
		return err
	})
	return out, err
}
