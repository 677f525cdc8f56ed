package store

import (
	"context"
	"fmt"

	"github.com/fairlead/fairlead/hub"
)

// AttemptRow is an attempt with what dispatch needs besides. LogNext and LogHash are
// filled by AttemptsOf alone.
type AttemptRow struct {
	hub.Attempt
	MemberID   string
	OfferTick  int64
	ClaimTick  int64
	LateResult string
}

const attemptColumns = `id, assignment_id, execution_id, organisation_id, runner_id, incarnation, epoch, state, member_id, offer_tick, claim_tick,
	claim_session, claim_boot, claim_host, step_next, step_hash, steps_total, log_total, late_result, reason, offered_at, claimed_at, ended_at`

func scanAttempt(r scanner) (*AttemptRow, error) {
	a := &AttemptRow{}
	err := r.Scan(&a.AttemptID, &a.AssignmentID, &a.ExecutionID, &a.OrganisationID, &a.RunnerID, &a.Incarnation, &a.Epoch, &a.State, &a.MemberID, &a.OfferTick, &a.ClaimTick,
		&a.ClaimSession, &a.ClaimBoot, &a.ClaimHost, &a.StepNext, hashInto(&a.StepHash), &a.StepsTotal, &a.LogTotal, &a.LateResult, &a.Reason,
		timeInto(&a.OfferedAt), timeInto(&a.ClaimedAt), timeInto(&a.EndedAt))
	return a, err
}

// InsertAttempts inserts offered attempts.
func (s *Store) InsertAttempts(ctx context.Context, list []*AttemptRow) error {
	return inPieces(len(list), func(from, to int) error {
		now := at(s.Now())
		var args []any
		for _, a := range list[from:to] {
			args = append(args, a.AttemptID, a.AssignmentID, a.ExecutionID, a.OrganisationID, a.RunnerID, a.Incarnation, a.Epoch,
				string(hub.AttemptOffered), "offer", now, a.MemberID, a.OfferTick, now)
		}
		return s.later(ctx, `INSERT INTO attempt (id, assignment_id, execution_id, organisation_id, runner_id, incarnation, epoch,
			state, event, changed_at, member_id, offer_tick, offered_at) VALUES `+tuples(1, to-from, 13), args...)
	})
}

// Attempts reads attempts by id; with lock their rows are taken, in the order of ids.
func (s *Store) Attempts(ctx context.Context, ids []string, lock bool) ([]*AttemptRow, error) {
	tail := ""
	if lock {
		tail = s.dialect.forUpdate
	}
	var all []*AttemptRow
	err := s.attempts(ctx, ids, tail, &all)
	if err == nil {
		err = s.flush(ctx)
	}
	return all, err
}

// attempts reads later, into all; tail may lock them.
func (s *Store) attempts(ctx context.Context, ids []string, tail string, all *[]*AttemptRow) error {
	return inPieces(len(ids), func(from, to int) error {
		return collectLater(ctx, s, all, scanAttempt, `SELECT `+attemptColumns+` FROM attempt WHERE id IN (`+params(1, to-from)+`) ORDER BY id`+tail, anys(ids[from:to])...)
	})
}

// AttemptWithAssignment reads an attempt and what it works at; nil when there is no such
// attempt.
func (s *Store) AttemptWithAssignment(ctx context.Context, id string) (*AttemptRow, *AssignmentRow, error) {
	var t *AttemptRow
	a, err := scanAssignment(beside(s.queryRow(ctx, `SELECT `+prefixed("t", attemptColumns)+`, `+prefixed("a", assignmentColumns)+`
		FROM attempt t JOIN assignment a ON a.id = t.assignment_id WHERE t.id = $1`, id), &t, scanAttempt))
	if missing(err) {
		return nil, nil, nil
	}
	return t, a, err
}

// AttemptsOf reads the attempts of an execution in the order of the workflow.
func (s *Store) AttemptsOf(ctx context.Context, executionID string) ([]*AttemptRow, error) {
	return collect(ctx, s, scanAttempt, `SELECT `+prefixed("t", attemptColumns)+` FROM attempt t JOIN assignment g ON g.id = t.assignment_id
		WHERE t.execution_id = $1 ORDER BY g.position, g.id, t.epoch`, executionID)
}

// OpenAttemptsOf reads the attempts of an execution that are offered or live.
func (s *Store) OpenAttemptsOf(ctx context.Context, executionID string) ([]*AttemptRow, error) {
	return collect(ctx, s, scanAttempt, `SELECT `+attemptColumns+` FROM attempt WHERE execution_id = $1 AND state IN ('offered', 'claimed', 'running') ORDER BY id`, executionID)
}

// OpenAttemptsOfRunner reads the attempts that are offered to a runner or live there.
func (s *Store) OpenAttemptsOfRunner(ctx context.Context, runnerID string) ([]*AttemptRow, error) {
	return collect(ctx, s, scanAttempt, `SELECT `+attemptColumns+` FROM attempt WHERE runner_id = $1 AND state IN ('offered', 'claimed', 'running') ORDER BY id`, runnerID)
}

// OpenAttemptsOfRunners is OpenAttemptsOfRunner for many.
func (s *Store) OpenAttemptsOfRunners(ctx context.Context, runnerIDs []string) ([]*AttemptRow, error) {
	var all []*AttemptRow
	err := inPieces(len(runnerIDs), func(from, to int) error {
		part, err := collect(ctx, s, scanAttempt, `SELECT `+attemptColumns+` FROM attempt WHERE runner_id IN (`+params(1, to-from)+`)
			AND state IN ('offered', 'claimed', 'running') ORDER BY id`, anys(runnerIDs[from:to])...)
		all = append(all, part...)
		return err
	})
	return all, err
}

// OffersThrough reads the offers that a member is to tell its runners, oldest first.
func (s *Store) OffersThrough(ctx context.Context, memberID string, limit int) ([]*AttemptRow, error) {
	return collect(ctx, s, scanAttempt, `SELECT `+attemptColumns+` FROM attempt WHERE state = 'offered' AND member_id = $1
		AND NOT EXISTS (SELECT 1 FROM execution e WHERE e.id = attempt.execution_id AND `+heldE+`) ORDER BY id LIMIT $2`, memberID, limit)
}

// StoppableAttempts reads live attempts of runners in executions in which something was
// asked to stop. after and limit page by id.
func (s *Store) StoppableAttempts(ctx context.Context, after string, limit int) ([]*AttemptRow, error) {
	return collect(ctx, s, scanAttempt, `SELECT `+prefixed("t", attemptColumns)+` FROM attempt t JOIN execution e ON e.id = t.execution_id
		WHERE t.state IN ('claimed', 'running') AND t.id > $1 AND (e.cancel_requested OR e.no_new OR e.cancelled_nodes <> '') ORDER BY t.id LIMIT $2`, after, limit)
}

// ExpiredOffers reads offers made before a tick.
func (s *Store) ExpiredOffers(ctx context.Context, before int64, limit int) ([]*AttemptRow, error) {
	return collect(ctx, s, scanAttempt, `SELECT `+attemptColumns+` FROM attempt WHERE state = 'offered' AND offer_tick < $1
		AND NOT EXISTS (SELECT 1 FROM execution e WHERE e.id = attempt.execution_id AND `+heldE+`) ORDER BY id LIMIT $2`, before, limit)
}

// ClaimAsk is one claim or resume: an attempt, and the session that asks.
type ClaimAsk struct {
	AttemptID string
	RunnerID  string
	Session   int64
}

const (
	currentSession = `EXISTS (SELECT 1 FROM runner_session s WHERE s.runner_id = attempt.runner_id AND s.confirmed = v_session AND s.unconfirmed = 0)`
	trustedRunner  = `EXISTS (SELECT 1 FROM runner r WHERE r.id = attempt.runner_id AND r.quarantined = '' AND NOT r.revoked)`
	sameMachine    = `EXISTS (SELECT 1 FROM runner_session s WHERE s.runner_id = attempt.runner_id AND s.confirmed = v_session AND s.unconfirmed = 0
		AND (s.boot_id = attempt.claim_boot OR s.host_id = attempt.claim_host AND length(s.host_id) > 0))`
	currentBlind = `EXISTS (SELECT 1 FROM runner_session s WHERE s.runner_id = attempt.runner_id)`
)

// ClaimRules says which guards hold; all of them, but in mutants.
type ClaimRules struct {
	// AnySession drops the session guard (M7), AnyHost the one of boot and host (NM14, M7).
	AnySession, AnyHost bool
}

// ClaimAttempts grants offers, and grants again those that the same session has
// claimed; it returns those granted, with the boot of their runner.
func (s *Store) ClaimAttempts(ctx context.Context, asks []ClaimAsk, tick int64, rules ClaimRules) (boots map[string][]byte, err error) {
	session, again := currentSession, `state = 'claimed' AND claim_session = v_session AND step_next = 0`
	if rules.AnySession {
		session, again = currentBlind, `state = 'claimed'`
	}
	return s.touchAttempts(ctx, asks, `state = 'claimed', event = 'claim', claim_session = v_session,
			claim_tick = CASE WHEN state = 'offered' THEN v_tick ELSE claim_tick END,
			claimed_at = CASE WHEN state = 'offered' THEN v_now ELSE claimed_at END,
			claim_boot = (SELECT s.boot_id FROM runner_session s WHERE s.runner_id = attempt.runner_id),
			claim_host = (SELECT s.host_id FROM runner_session s WHERE s.runner_id = attempt.runner_id)`,
		`(state = 'offered' OR `+again+`) AND `+session+` AND `+trustedRunner+`
			AND NOT EXISTS (SELECT 1 FROM execution e WHERE e.id = attempt.execution_id AND (e.cancel_requested OR e.no_new OR e.ended_at > 0 OR `+heldE+`))`, tick)
}

// ResumeAttempts binds live attempts to the session that asks, if it is of the boot or
// host that claimed; it returns those that may go on, with the boot that claimed.
func (s *Store) ResumeAttempts(ctx context.Context, asks []ClaimAsk, tick int64, rules ClaimRules) (boots map[string][]byte, err error) {
	machine := sameMachine
	if rules.AnyHost {
		machine = currentSession
	}
	return s.touchAttempts(ctx, asks, `claim_session = v_session`, `state IN ('claimed', 'running') AND `+machine+` AND `+trustedRunner+`
		AND NOT EXISTS (SELECT 1 FROM execution e WHERE e.id = attempt.execution_id AND `+heldE+`)`, tick)
}

// ReturnAttempts takes back claims of which nothing was started; it returns those that
// it took.
func (s *Store) ReturnAttempts(ctx context.Context, asks []ClaimAsk, rules ClaimRules) (boots map[string][]byte, err error) {
	machine := sameMachine
	if rules.AnyHost {
		machine = currentBlind
	}
	return s.touchAttempts(ctx, asks, `state = 'not_started', event = 'not_started', ended_at = v_now`, `state = 'claimed' AND step_next = 0 AND `+machine, 0)
}

// touchAttempts is the compare-and-set of claims: one statement for all. It returns the
// attempts that it changed, with the boot that claimed each.
func (s *Store) touchAttempts(ctx context.Context, asks []ClaimAsk, set, guard string, tick int64) (map[string][]byte, error) {
	boots := make(map[string][]byte, len(asks))
	note := func(r scanner) (id string, err error) {
		var boot []byte
		if err := r.Scan(&id, &boot); err != nil {
			return "", err
		}
		boots[id] = boot
		return id, nil
	}
	err := inPieces(len(asks), func(from, to int) error {
		now := at(s.Now())
		var args []any
		for _, a := range asks[from:to] {
			args = append(args, a.AttemptID, a.RunnerID, a.Session, tick, now)
		}
		_, err := collect(ctx, s, note, `WITH v (v_id, v_runner, v_session, v_tick, v_now) AS (VALUES `+s.values("ttiii", to-from)+`)
			UPDATE attempt SET changed_at = v_now, `+set+`
			FROM v WHERE id = v_id AND runner_id = v_runner AND `+guard+` RETURNING id, claim_boot`, args...)
		return err
	})
	return boots, err
}

// WithdrawAttempts expires offers, for one of the events expire, refuse and withdraw,
// and returns those that were offers still.
func (s *Store) WithdrawAttempts(ctx context.Context, ids []string, event, reason string) (map[string]bool, error) {
	done := make(map[string]bool, len(ids))
	err := inPieces(len(ids), func(from, to int) error {
		args := append([]any{event, reason, at(s.Now())}, anys(ids[from:to])...)
		got, err := collect(ctx, s, scanID, `UPDATE attempt SET state = 'expired', event = $1, reason = $2, changed_at = $3, ended_at = $3
			WHERE id IN (`+params(4, to-from)+`) AND state = 'offered' RETURNING id`, args...)
		for _, id := range got {
			done[id] = true
		}
		return err
	})
	return done, err
}

// AttemptStep moves the journal chain of an attempt, and with Final its state.
type AttemptStep struct {
	ID string
	// FirstN and PrevHash are compared, NextN and Hash set.
	FirstN, NextN  int64
	PrevHash, Hash [32]byte
	// State and Event as they shall be; the same state for records that change none.
	State  hub.AttemptState
	Event  string
	Reason string
	// Of a result; StepsTotal -1 for none.
	StepsTotal, LogTotal int64
	LogHash              [32]byte
	Signature            []byte
	LateResult           string
}

// StepAttempts moves chains, each if it is as it was read; it returns those that moved.
// Also one that does not move is written: an answer follows a commit of its own.
func (s *Store) StepAttempts(ctx context.Context, list []AttemptStep) (map[string]bool, error) {
	moved := make(map[string]bool, len(list))
	err := inPieces(len(list), func(from, to int) error {
		now := at(s.Now())
		var args []any
		for _, a := range list[from:to] {
			ended := int64(0)
			if a.State != hub.AttemptClaimed && a.State != hub.AttemptRunning {
				ended = now
			}
			args = append(args, a.ID, a.FirstN, hash(a.PrevHash), a.NextN, hash(a.Hash), string(a.State), a.Event, a.Reason,
				a.StepsTotal, a.LogTotal, hash(a.LogHash), blob(a.Signature), a.LateResult, ended, now)
		}
		ids, err := collect(ctx, s, scanID, `WITH v (v_id, v_first, v_prev, v_next, v_hash, v_state, v_event, v_reason, v_steps, v_log, v_loghash, v_sig, v_late, v_ended, v_now)
				AS (VALUES `+s.values("tibibtttiibbtii", to-from)+`)
			UPDATE attempt SET step_next = v_next, step_hash = v_hash, state = v_state, event = v_event, changed_at = v_now,
				reason = CASE WHEN v_reason <> '' THEN v_reason ELSE reason END,
				steps_total = CASE WHEN v_steps >= 0 THEN v_steps ELSE steps_total END,
				log_total = CASE WHEN v_steps >= 0 THEN v_log ELSE log_total END,
				log_hash = CASE WHEN v_steps >= 0 THEN v_loghash ELSE log_hash END,
				signature = CASE WHEN v_steps >= 0 THEN v_sig ELSE signature END,
				late_result = CASE WHEN v_late <> '' THEN v_late ELSE late_result END,
				ended_at = CASE WHEN ended_at = 0 THEN v_ended ELSE ended_at END
			FROM v WHERE id = v_id AND step_next = v_first AND step_hash IS NOT DISTINCT FROM v_prev AND NOT `+planned+` RETURNING id`, args...)
		for _, id := range ids {
			moved[id] = true
		}
		return err
	})
	return moved, err
}

// LoseAttempts makes live attempts unknown whose runner was not heard of; it returns
// those that were live and silent still. before is the tick of the last renewal that
// would have saved them.
func (s *Store) LoseAttempts(ctx context.Context, ids []string, before int64, reason string) (map[string]bool, error) {
	done := make(map[string]bool, len(ids))
	err := inPieces(len(ids), func(from, to int) error {
		args := append([]any{reason, at(s.Now()), before}, anys(ids[from:to])...)
		got, err := collect(ctx, s, scanID, `UPDATE attempt SET state = 'unknown', event = 'lost', reason = $1, changed_at = $2, ended_at = $2
			WHERE id IN (`+params(4, to-from)+`) AND state IN ('claimed', 'running') AND claim_tick < $3
				AND NOT EXISTS (SELECT 1 FROM attempt_lease l WHERE l.attempt_id = attempt.id AND l.tick >= $3) RETURNING id`, args...)
		for _, id := range got {
			done[id] = true
		}
		return err
	})
	return done, err
}

// AttemptEvent is a note about an attempt; those of state changes come from the trigger.
type AttemptEvent struct {
	AttemptID string
	Event     string
	State     hub.AttemptState
	Detail    string
}

// HasAttemptEvent reports whether the event was noted of the attempt before.
func (s *Store) HasAttemptEvent(ctx context.Context, attemptID, event string) (bool, error) {
	var n int
	err := s.queryRow(ctx, `SELECT COUNT(*) FROM attempt_event WHERE attempt_id = $1 AND event = $2`, attemptID, event).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("looking for %s of attempt %s: %w", event, attemptID, err)
	}
	return n > 0, nil
}

// InsertAttemptEvents notes what changed no state.
func (s *Store) InsertAttemptEvents(ctx context.Context, list []AttemptEvent) error {
	return inPieces(len(list), func(from, to int) error {
		now := at(s.Now())
		var args []any
		for _, e := range list[from:to] {
			args = append(args, e.AttemptID, now, e.Event, string(e.State), string(e.State), e.Detail)
		}
		return s.later(ctx, `INSERT INTO attempt_event (attempt_id, happened_at, event, from_state, to_state, detail) VALUES `+tuples(1, to-from, 6), args...)
	})
}
