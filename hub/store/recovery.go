package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/proto/failpoint"
)

// The comparison of docs/recovery.md: what is held may not be granted, resumed or cut.
const (
	heldHead = `EXISTS (SELECT 1 FROM cluster c WHERE c.singleton = 1 AND c.held_kind <> '' AND (c.held_kind <> 'promotion' OR `
	heldBody = `.incarnation < c.incarnation)
		AND NOT EXISTS (SELECT 1 FROM execution_release r WHERE r.incarnation = c.incarnation AND r.execution_id = `
	// heldExecution is for the row of an execution, heldE for one that is named e.
	heldExecution = heldHead + `execution` + heldBody + `execution.id))`
	heldE         = heldHead + `e` + heldBody + `e.id))`
)

// planned is the guard of everything that is acknowledged: not while the database is
// being moved. It is part of the statements themselves, since a member that was paused
// knows nothing of the move.
const planned = `EXISTS (SELECT 1 FROM cluster c WHERE c.singleton = 1 AND c.held_kind = 'planned')`

// ReadHold tells the incarnation and whether the cluster is held.
func (s *Store) ReadHold(ctx context.Context) (hub.Hold, error) {
	var h hub.Hold
	err := s.queryRow(ctx, `SELECT incarnation, held_kind, held_reason, held_at, held_from FROM cluster WHERE singleton = 1`).
		Scan(&h.Incarnation, &h.Kind, &h.Reason, timeInto(&h.Since), timeInto(&h.From))
	if missing(err) {
		return hub.Hold{Incarnation: 1}, nil // a database that no hub has used yet
	}
	if err != nil {
		return h, fmt.Errorf("reading whether the cluster is held: %w", err)
	}
	return h, nil
}

// holdSQL raises the incarnation above the one that evidence is of, unless it is
// already: then that evidence is explained. $1 is that incarnation, $4 the time.
const holdSQL = `UPDATE cluster SET incarnation = $1 + 1, held_kind = $2, held_reason = $3, held_at = $4,
		held_from = COALESCE((SELECT max(ticked_at) FROM tick_history), $4)
	WHERE singleton = 1 AND incarnation <= $1`

// What was due by the moment of the hold ($1) may have been started in what the database
// lost: it is not started, whatever the job says of fires that were missed. The first of
// each job is recorded ($2 is why), and schedules go on from there; so do those whose next
// fire nobody had looked for yet (0).
const (
	lostFiresSQL = `INSERT INTO job_fire (job_id, fire_at, status, reason, recorded_at)
		SELECT job_id, next_fire, 'missed', CAST($2 AS TEXT), CAST($1 AS BIGINT) FROM job_schedule WHERE next_fire > 0 AND next_fire <= $1 AND NOT paused
		ON CONFLICT (job_id, fire_at) DO NOTHING`
	resumeSchedulesSQL = `UPDATE job_schedule SET next_fire = 0, since = $1 WHERE next_fire <= $1`
)

// A tick of its own, so that who is greeted in the new incarnation can prove at once that
// there is one: the ticks of before are in the other database too.
const (
	holdTickSQL = `UPDATE lease_clock SET tick = tick + 1 WHERE singleton = 1`
	holdMarkSQL = `INSERT INTO tick_history (tick, nonce, ticked_at) VALUES ((SELECT tick FROM lease_clock WHERE singleton = 1), $1, $2)`
)

// beginIncarnation does what belongs to raising it, in the same transaction as holdSQL.
func (s *Store) beginIncarnation(now time.Time, exec func(sql string, args ...any) error) error {
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails
	for _, do := range []struct {
		sql  string
		args []any
	}{
		{s.dialect.skipNumbers, nil},
		{lostFiresSQL, []any{at(now), whyLostFire(now)}},
		{resumeSchedulesSQL, []any{at(now)}},
		{holdTickSQL, nil},
		{holdMarkSQL, []any{nonce, at(now)}},
	} {
		if err := exec(do.sql, do.args...); err != nil {
			return err
		}
	}
	return nil
}

// whyLostFire is what people read of such a fire.
func whyLostFire(now time.Time) string {
	return "The database went back in time, and may have lost that this was started. This record stands for all until " + now.UTC().Format(time.RFC3339) + "."
}

// HoldCluster holds the cluster for evidence of the given incarnation that the database
// went back; false when a hold that came first explains it.
func (s *Store) HoldCluster(ctx context.Context, kind hub.HoldKind, reason string, incarnation int64) (bool, error) {
	if failpoint.Mutant("M9") {
		return false, nil
	}
	done := false
	err := s.InTx(ctx, func(s *Store) error {
		now := s.Now()
		n, err := s.exec(ctx, holdSQL, incarnation, string(kind), reason, at(now))
		if done = n > 0; err != nil || !done {
			return err
		}
		return s.beginIncarnation(now, func(sql string, args ...any) error {
			_, err := s.exec(ctx, sql, args...)
			return err
		})
	})
	if err != nil {
		return false, fmt.Errorf("holding the cluster: %w", err)
	}
	return done, nil
}

// HoldPlanned holds the cluster for a move of the database: when it returns, everything
// that was acknowledged is committed, the last mark with it, and the lease clock stands.
// It returns the tick of that mark. A cluster that is held already is a conflict.
func (s *Store) HoldPlanned(ctx context.Context, reason string, nonce []byte) (tick int64, err error) {
	err = s.InTx(ctx, func(s *Store) error {
		if s.dialect.lockWriters != "" {
			if _, err := s.exec(ctx, s.dialect.lockWriters); err != nil {
				return err
			}
		}
		n, err := s.exec(ctx, `UPDATE cluster SET held_kind = 'planned', held_reason = $1, held_at = $2, held_from = $2
			WHERE singleton = 1 AND held_kind = ''`, reason, at(s.Now()))
		if err != nil {
			return err
		}
		if n == 0 {
			return hub.Errorf(hub.CodeConflict, "The cluster is held already; `fairlead cluster status` tells why, `fairlead cluster release` ends it.")
		}
		if err := s.queryRow(ctx, `UPDATE lease_clock SET tick = tick + 1 WHERE singleton = 1 RETURNING tick`).Scan(&tick); err != nil {
			return err
		}
		_, err = s.exec(ctx, `INSERT INTO tick_history (tick, nonce, ticked_at) VALUES ($1, $2, $3)`, tick, nonce, at(s.Now()))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("holding the cluster for a move: %w", err)
	}
	return tick, nil
}

// EndHold ends the hold of an incarnation; false when there is none, or another.
func (s *Store) EndHold(ctx context.Context, incarnation int64) (bool, error) {
	n, err := s.exec(ctx, `UPDATE cluster SET held_kind = '', held_reason = '', held_at = 0, held_from = 0
		WHERE singleton = 1 AND incarnation = $1 AND held_kind <> ''`, incarnation)
	if err != nil {
		return false, fmt.Errorf("ending the hold: %w", err)
	}
	return n > 0, nil
}

// ReleaseExecution lets a held execution go on in an incarnation, if that is the present
// one.
func (s *Store) ReleaseExecution(ctx context.Context, id string, incarnation int64, by string) error {
	_, err := s.exec(ctx, `INSERT INTO execution_release (execution_id, incarnation, released_at, released_by)
		SELECT e.id, c.incarnation, $2, $3 FROM execution e JOIN cluster c ON c.singleton = 1 WHERE e.id = $1 AND c.incarnation = $4
		ON CONFLICT (execution_id) DO UPDATE SET incarnation = excluded.incarnation, released_at = excluded.released_at, released_by = excluded.released_by`,
		id, at(s.Now()), by, incarnation)
	if err != nil {
		return fmt.Errorf("releasing execution %s: %w", id, err)
	}
	return nil
}

// HeldExecutions lists held executions that have not ended and are older than the
// present incarnation. after and limit page by id.
func (s *Store) HeldExecutions(ctx context.Context, after string, limit int) ([]*ExecutionRow, error) {
	return collect(ctx, s, scanExecution, `SELECT `+executionColumns+` FROM execution WHERE ended_at = 0 AND id > $1
		AND incarnation < (SELECT c.incarnation FROM cluster c WHERE c.singleton = 1) AND `+heldExecution+` ORDER BY id LIMIT $2`, after, limit)
}

// CountHeld counts the executions that HeldExecutions lists.
func (s *Store) CountHeld(ctx context.Context) (n int, err error) {
	err = s.queryRow(ctx, `SELECT count(*) FROM execution WHERE ended_at = 0
		AND incarnation < (SELECT c.incarnation FROM cluster c WHERE c.singleton = 1) AND `+heldExecution).Scan(&n)
	return n, err
}

// AwaitedRunners lists the runners that had a session within a time before the database
// knew no more, or were enrolled then and had none yet, and have not shown all they have
// since, by name.
func (s *Store) AwaitedRunners(ctx context.Context, h hub.Hold, within time.Duration) ([]hub.AwaitedRunner, error) {
	list, err := collect(ctx, s, func(r scanner) (a hub.AwaitedRunner, err error) {
		return a, r.Scan(&a.ID, &a.OrganisationID, &a.Name, jsonInto(&a.ProjectIDs), timeInto(&a.LastSeenAt))
	}, `SELECT runner.id, runner.organisation_id, runner.name, runner.project_ids, `+lastSeen+` FROM runner LEFT JOIN runner_session s ON s.runner_id = runner.id
		WHERE NOT runner.revoked AND (s.closed_at = 0 OR s.closed_at >= $1 OR s.runner_id IS NULL AND runner.enrolled_at >= $1)
			AND NOT EXISTS (SELECT 1 FROM recovery_report p WHERE p.runner_id = runner.id AND p.incarnation = $2) ORDER BY runner.name, runner.id`,
		at(h.From.Add(-within)), h.Incarnation)
	if err != nil {
		return nil, fmt.Errorf("listing the runners that are awaited: %w", err)
	}
	return list, nil
}

// ReportRecovery notes that a runner has shown all it has to an incarnation.
func (s *Store) ReportRecovery(ctx context.Context, runnerID string, incarnation int64) error {
	_, err := s.exec(ctx, `INSERT INTO recovery_report (runner_id, incarnation, reported_at) VALUES ($1, $2, $3)
		ON CONFLICT (runner_id) DO UPDATE SET incarnation = excluded.incarnation, reported_at = excluded.reported_at`,
		runnerID, incarnation, at(s.Now()))
	if err != nil {
		return fmt.Errorf("noting that runner %s has shown its inventory: %w", runnerID, err)
	}
	return nil
}

// UnknownMarks returns those of the marks that the database must have and does not:
// each of them proves that it went back. Of marks that are too old it cannot tell.
func (s *Store) UnknownMarks(ctx context.Context, marks []hub.DBMark) ([]hub.DBMark, error) {
	if len(marks) == 0 {
		return nil, nil
	}
	now, err := s.Tick(ctx)
	if err != nil {
		return nil, err
	}
	known := make(map[int64]string, len(marks))
	err = inPieces(len(marks), func(from, to int) error {
		var ticks []any
		for _, m := range marks[from:to] {
			ticks = append(ticks, m.Tick)
		}
		list, err := collect(ctx, s, func(r scanner) (m TickMark, err error) {
			return m, r.Scan(&m.Tick, &m.Nonce)
		}, `SELECT tick, nonce FROM tick_history WHERE tick IN (`+params(1, to-from)+`)`, ticks...)
		for _, m := range list {
			known[m.Tick] = string(m.Nonce)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for marks: %w", err)
	}
	var out []hub.DBMark
	for _, m := range marks {
		nonce, ok := known[m.Tick]
		kept := int64(keepTicks)
		if m.Tick%keepEvery == 0 {
			kept = keepLongTicks
		}
		if ok && nonce != string(m.Nonce) || !ok && m.Tick >= now-kept {
			out = append(out, m)
		}
	}
	return out, nil
}

// AdoptAttempt takes an attempt that is offered as granted by a proof: to the session
// that shows it, and to the boot that the proof names.
func (s *Store) AdoptAttempt(ctx context.Context, id string, session int64, boot, host []byte, tick int64) error {
	_, err := s.exec(ctx, `UPDATE attempt SET state = 'claimed', event = 'claim', changed_at = $2, claim_session = $3, claim_boot = $4, claim_host = $5,
			claim_tick = $6, claimed_at = $2, reason = 'granted before the database went back'
		WHERE id = $1 AND state = 'offered'`, id, at(s.Now()), session, boot, blob(host), tick)
	if err != nil {
		return fmt.Errorf("adopting attempt %s: %w", id, err)
	}
	return nil
}

// HasAttempt reports whether an assignment has an attempt of this epoch.
func (s *Store) HasAttempt(ctx context.Context, assignmentID string, epoch int) (bool, error) {
	var n int
	if err := s.queryRow(ctx, `SELECT count(*) FROM attempt WHERE assignment_id = $1 AND epoch = $2`, assignmentID, epoch).Scan(&n); err != nil {
		return false, fmt.Errorf("looking for attempt %d of assignment %s: %w", epoch, assignmentID, err)
	}
	return n > 0, nil
}

// SettleBefore settles what an assignment had before an attempt of a later epoch was
// granted, which proves it: offers had lapsed, claims had been given back.
func (s *Store) SettleBefore(ctx context.Context, assignmentID string, epoch int) error {
	const reason = "a later grant proves it"
	for _, move := range [][3]string{{"expired", "expire", "offered"}, {"not_started", "not_started", "claimed"}} {
		_, err := s.exec(ctx, `UPDATE attempt SET state = $3, event = $4, reason = $5, changed_at = $6, ended_at = $6
			WHERE assignment_id = $1 AND epoch < $2 AND state = $7`, assignmentID, epoch, move[0], move[1], reason, at(s.Now()), move[2])
		if err != nil {
			return fmt.Errorf("settling earlier attempts of assignment %s: %w", assignmentID, err)
		}
	}
	return nil
}

// RaiseAttempts makes an assignment active with at least so many attempts.
func (s *Store) RaiseAttempts(ctx context.Context, assignmentID string, attempts int) error {
	_, err := s.exec(ctx, `UPDATE assignment SET state = 'active', event = 'offer', attempts = CASE WHEN attempts > $2 THEN attempts ELSE $2 END
		WHERE id = $1 AND state IN ('ready', 'active')`, assignmentID, attempts)
	if err != nil {
		return fmt.Errorf("making assignment %s active: %w", assignmentID, err)
	}
	return nil
}

// LiftQuarantine ends a runner's quarantine of the given reason.
func (s *Store) LiftQuarantine(ctx context.Context, id, why string) error {
	_, err := s.exec(ctx, `UPDATE runner SET quarantined = '', revision = revision + 1 WHERE id = $1 AND quarantined = $2`, id, why)
	if err != nil {
		return fmt.Errorf("ending the quarantine of runner %s: %w", id, err)
	}
	return nil
}

// MarkRecovered begins an execution of which a grant was shown; it may be held.
func (s *Store) MarkRecovered(ctx context.Context, id string) error {
	_, err := s.exec(ctx, `UPDATE execution SET status = 'running', started_at = $2, waiting_kind = '', waiting_since = 0, waiting_message = ''
		WHERE id = $1 AND status = 'queued'`, id, at(s.Now()))
	return err
}

// InsertRecovered inserts a queued execution that the database had lost, under its
// number if that is free.
func (s *Store) InsertRecovered(ctx context.Context, e *ExecutionRow, spec *ExecutionSpec) error {
	var taken int
	if err := s.queryRow(ctx, `SELECT count(*) FROM execution WHERE number = $1`, e.Number).Scan(&taken); err != nil {
		return err
	}
	number, values := "", `$1, $2, $3, $4, $5, 'queued', 1, $6, $7, $8, $9, $10, $11, TRUE`
	args := []any{e.ID, e.OrganisationID, e.ProjectID, e.JobID, e.JobName, e.NodeCount, e.Keepgoing, e.LostAfter, e.Incarnation, e.StartedBy, at(e.CreatedAt)}
	if e.Number > 0 && taken == 0 {
		number, values = ", number", values+", $12"
		args = append(args, e.Number)
	}
	err := s.queryRow(ctx, `INSERT INTO execution (id, organisation_id, project_id, job_id, job_name, status, slices, node_count, keepgoing, lost_after,
			incarnation, started_by, created_at, recovered`+number+`) VALUES (`+values+`) RETURNING number`, args...).Scan(&e.Number)
	if err != nil {
		return fmt.Errorf("inserting the recovered execution %s: %w", e.ID, err)
	}
	return s.insertSpecs(ctx, []*ExecutionRow{e}, []*ExecutionSpec{spec})
}

// GrowRecovered replaces what a recovered execution is known to do.
func (s *Store) GrowRecovered(ctx context.Context, id string, spec *ExecutionSpec) error {
	_, err := s.exec(ctx, `UPDATE execution_spec SET definition = $2, nodes = $3, node_routes = $4 WHERE execution_id = $1`,
		id, asJSON(spec.Definition), asJSON(spec.Nodes), asJSON(spec.NodeRoutes))
	if err == nil {
		_, err = s.exec(ctx, `UPDATE execution SET node_count = $2 WHERE id = $1`, id, len(spec.Nodes))
	}
	if err != nil {
		return fmt.Errorf("completing the recovered execution %s: %w", id, err)
	}
	return nil
}

// noProject is the id of no project: a runner bound to it alone serves none.
const noProject = "00000000-0000-0000-0000-000000000000"

// RecoverCertificate takes in a certificate that is authentic and was lost, and with it
// its runner: under quarantine and for no project, since nobody knows any more what it
// was for.
func (s *Store) RecoverCertificate(ctx context.Context, organisationID string, c *hub.RunnerCertificate) (*hub.Runner, error) {
	var r *hub.Runner
	err := s.InTx(ctx, func(s *Store) (err error) {
		r, err = s.Runner(ctx, c.RunnerID)
		if hub.ErrorCode(err) == hub.CodeNotFound {
			r = &hub.Runner{
				ID: c.RunnerID, OrganisationID: organisationID, Name: "recovered-" + c.RunnerID, ProjectIDs: []string{noProject},
				Quarantined: "It was enrolled in what the database lost. If it is yours, give it its name, tags and projects, then release it.",
			}
			if err = s.CreateRunner(ctx, r); err == nil {
				_, err = s.QuarantineRunner(ctx, r.ID, r.Quarantined)
			}
		}
		switch {
		case err != nil:
			return err
		case r.Revoked:
			return hub.Errorf(hub.CodeUnauthenticated, "The runner %q was revoked.", r.Name)
		case r.OrganisationID != organisationID:
			return ErrUnknownCertificate
		}
		c.CreatedAt = s.Now()
		// Two streams of one connection come at the same time.
		_, err = s.exec(ctx, `INSERT INTO runner_certificate (serial, runner_id, public_key, der, not_after, first_used_at, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT (serial) DO NOTHING`,
			c.Serial, c.RunnerID, c.PublicKey, c.DER, at(c.NotAfter), at(c.CreatedAt))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("taking in certificate %s: %w", c.Serial, err)
	}
	return r, nil
}
