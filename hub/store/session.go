package store

import (
	"context"
	"fmt"

	"github.com/fairlead/fairlead/hub"
)

const sessionColumns = `runner_id, member_id, confirmed, unconfirmed, nonce, boot_id, host_id, slots, connected_at, released, incarnation`

func scanSession(r scanner) (hub.RunnerSession, error) {
	var s hub.RunnerSession
	err := r.Scan(&s.RunnerID, &s.MemberID, &s.Confirmed, &s.Unconfirmed, &s.Nonce, &s.BootID, &s.HostID, &s.Slots, timeInto(&s.ConnectedAt), &s.Released, &s.Incarnation)
	return s, err
}

// LockSessions takes the rows of runners and of their sessions; runners that have no
// session yet are not in the answer. The runner's row comes first, since before the
// first session there is no other: two first Hellos at once would both be the first.
func (s *Store) LockSessions(ctx context.Context, runnerIDs []string) (map[string]hub.RunnerSession, error) {
	out := make(map[string]hub.RunnerSession, len(runnerIDs))
	err := inPieces(len(runnerIDs), func(from, to int) error {
		_, err := collect(ctx, s, scanID, `SELECT id FROM runner WHERE id IN (`+params(1, to-from)+`) ORDER BY id`+s.dialect.forUpdate, anys(runnerIDs[from:to])...)
		if err != nil {
			return err
		}
		list, err := collect(ctx, s, scanSession, `SELECT `+sessionColumns+` FROM runner_session WHERE runner_id IN (`+params(1, to-from)+`) ORDER BY runner_id`+s.dialect.forUpdate,
			anys(runnerIDs[from:to])...)
		for _, r := range list {
			out[r.RunnerID] = r
		}
		return err
	})
	return out, err
}

// PutSessions writes session rows that Hello decided on; at most one for each runner.
func (s *Store) PutSessions(ctx context.Context, organisationIDs []string, list []hub.RunnerSession) error {
	return inPieces(len(list), func(from, to int) error {
		var args []any
		for i, r := range list[from:to] {
			args = append(args, r.RunnerID, organisationIDs[from+i], r.MemberID, r.Confirmed, r.Unconfirmed, r.Nonce, r.BootID, r.HostID, r.Slots, at(r.ConnectedAt), r.Incarnation)
		}
		_, err := s.exec(ctx, `INSERT INTO runner_session (runner_id, organisation_id, member_id, confirmed, unconfirmed, nonce, boot_id, host_id, slots, connected_at, incarnation)
			VALUES `+tuples(1, to-from, 11)+`
			ON CONFLICT (runner_id) DO UPDATE SET member_id = excluded.member_id, confirmed = excluded.confirmed, unconfirmed = excluded.unconfirmed,
				nonce = excluded.nonce, boot_id = excluded.boot_id, host_id = excluded.host_id, slots = excluded.slots,
				connected_at = excluded.connected_at, incarnation = excluded.incarnation, released = FALSE, closed_at = 0`, args...)
		return err
	})
}

// ConfirmSessions makes unconfirmed sessions the current ones, each if it is the newest
// of its runner; it returns the runners that have confirmed.
func (s *Store) ConfirmSessions(ctx context.Context, refs []hub.SessionRef) (map[string]bool, error) {
	done := make(map[string]bool, len(refs))
	err := inPieces(len(refs), func(from, to int) error {
		var args []any
		for _, r := range refs[from:to] {
			args = append(args, r.RunnerID, r.Epoch)
		}
		ids, err := collect(ctx, s, scanID, `WITH v (v_id, v_epoch) AS (VALUES `+s.values("ti", to-from)+`)
			UPDATE runner_session SET confirmed = v_epoch, unconfirmed = 0, closed_at = 0 FROM v
			WHERE runner_id = v_id AND (unconfirmed = v_epoch OR confirmed = v_epoch AND unconfirmed = 0) RETURNING runner_id`, args...)
		for _, id := range ids {
			done[id] = true
		}
		return err
	})
	return done, err
}

// CloseSession notes that the stream of a session ended, unless another followed.
func (s *Store) CloseSession(ctx context.Context, ref hub.SessionRef) error {
	_, err := s.exec(ctx, `UPDATE runner_session SET closed_at = $3 WHERE runner_id = $1 AND (confirmed = $2 OR unconfirmed = $2) AND closed_at = 0`,
		ref.RunnerID, ref.Epoch, at(s.Now()))
	return err
}

// Session reads the session row of a runner; the zero value if there is none.
func (s *Store) Session(ctx context.Context, runnerID string) (hub.RunnerSession, error) {
	r, err := scanSession(s.queryRow(ctx, `SELECT `+sessionColumns+` FROM runner_session WHERE runner_id = $1`, runnerID))
	if missing(err) {
		return hub.RunnerSession{}, nil
	}
	return r, err
}

// RunnersMark changes with what a person or a quarantine changes about any runner.
type RunnersMark struct{ inService, revisions int64 }

// RunnersMark reads the present mark. It was read before the runners that are held
// against a later one, or a change between the two is never seen.
func (s *Store) RunnersMark(ctx context.Context) (m RunnersMark, err error) {
	err = s.queryRow(ctx, `SELECT COUNT(*), CAST(COALESCE(SUM(revision), 0) AS BIGINT) FROM runner WHERE NOT revoked`).Scan(&m.inService, &m.revisions)
	if err != nil {
		return m, fmt.Errorf("reading whether runners have changed: %w", err)
	}
	return m, nil
}

// RunnersByID reads runners, revoked ones too, without the key that secrets are sealed to,
// their host and the end of their certificates: a member reads all that are connected when
// their mark has changed, and keeps them.
func (s *Store) RunnersByID(ctx context.Context, ids []string) ([]*hub.Runner, error) {
	var all []*hub.Runner
	err := inPieces(len(ids), func(from, to int) error {
		part, err := collect(ctx, s, func(r scanner) (*hub.Runner, error) {
			u := &hub.Runner{}
			return u, r.Scan(&u.ID, &u.OrganisationID, &u.Name, jsonInto(&u.Tags), jsonInto(&u.ProjectIDs), &u.Version, &u.Slots,
				&u.Draining, &u.Quarantined, &u.Revoked, &u.Revision, timeInto(&u.LastSeenAt))
		}, `SELECT id, organisation_id, name, tags, project_ids, version, slots, draining, quarantined, revoked, revision, last_seen_at
			FROM runner WHERE id IN (`+params(1, to-from)+`)`, anys(ids[from:to])...)
		all = append(all, part...)
		return err
	})
	return all, err
}
