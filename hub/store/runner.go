package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fairlead/fairlead/hub"
)

// memberSilence is how long a member may be silent before its sessions count as gone:
// cluster.heartbeat.considerDead.
const memberSilence = 10 * time.Second

// The last column is when the newest certificate ends. Connected and LiveCount are
// not of the row: addLive fills them in.
const runnerColumns = `id, organisation_id, name, tags, project_ids, sealing_key, version, os, arch, hostname, slots,
	draining, quarantined, revoked, revision, enrolled_at, ` + lastSeen + `,
	(SELECT max(not_after) FROM runner_certificate c WHERE c.runner_id = runner.id)`

// lastSeen is when a runner's session ended, or how long the member that holds it has
// lived. A member that was killed ended no session: what it held before it was started
// anew, it held until then at the latest. The row's own last_seen_at is of the first Hello,
// and of one that told something new.
const lastSeen = `COALESCE((SELECT CASE WHEN rs.closed_at > 0 THEN rs.closed_at
		WHEN m.started_at > rs.connected_at THEN m.started_at
		WHEN m.heartbeat_at > rs.connected_at THEN m.heartbeat_at
		ELSE rs.connected_at END
	FROM runner_session rs LEFT JOIN member m ON m.id = rs.member_id WHERE rs.runner_id = runner.id), last_seen_at)`

func scanRunner(r scanner) (*hub.Runner, error) {
	u := &hub.Runner{}
	err := r.Scan(&u.ID, &u.OrganisationID, &u.Name, jsonInto(&u.Tags), jsonInto(&u.ProjectIDs), &u.SealingKey, &u.Version,
		&u.OS, &u.Arch, &u.Hostname, &u.Slots, &u.Draining, &u.Quarantined, &u.Revoked, &u.Revision,
		timeInto(&u.EnrolledAt), timeInto(&u.LastSeenAt), timeInto(&u.CertExpires))
	return u, err
}

// CreateRunner stores a runner under r.ID, one is made if it is empty, and gives it
// revision and time. A name that a runner in service has is a conflict.
func (s *Store) CreateRunner(ctx context.Context, r *hub.Runner) error {
	if r.ID == "" {
		r.ID = NewID()
	}
	r.Revision, r.EnrolledAt = 1, s.Now()
	n, err := s.exec(ctx, `INSERT INTO runner (id, organisation_id, name, tags, project_ids, sealing_key, version, os, arch, hostname, slots, enrolled_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (organisation_id, name) WHERE NOT revoked DO NOTHING`,
		r.ID, r.OrganisationID, r.Name, asJSON(r.Tags), asJSON(r.ProjectIDs), r.SealingKey, r.Version, r.OS, r.Arch, r.Hostname, r.Slots, at(r.EnrolledAt))
	if err != nil {
		return fmt.Errorf("creating runner %s: %w", r.Name, err)
	}
	if n == 0 {
		return hub.Errorf(hub.CodeConflict, "There is a runner %q already; enrol with another --name, or revoke that one first.", r.Name)
	}
	return nil
}

// Runner returns a runner by its id.
func (s *Store) Runner(ctx context.Context, id string) (*hub.Runner, error) {
	r, err := scanRunner(s.queryRow(ctx, `SELECT `+runnerColumns+` FROM runner WHERE id = $1`, id))
	if missing(err) {
		return nil, hub.Errorf(hub.CodeNotFound, "There is no runner %s.", id)
	}
	if err != nil {
		return nil, fmt.Errorf("reading runner %s: %w", id, err)
	}
	return r, nil
}

// FindRunner returns a runner of an organisation by its id, or by the name of one
// that is in service, with Connected and LiveCount.
func (s *Store) FindRunner(ctx context.Context, organisationID, nameOrID string) (*hub.Runner, error) {
	r, err := scanRunner(s.queryRow(ctx, `SELECT `+runnerColumns+` FROM runner
		WHERE organisation_id = $1 AND (id = $2 OR (name = $2 AND NOT revoked))
		ORDER BY CASE WHEN id = $2 THEN 0 ELSE 1 END LIMIT 1`, organisationID, nameOrID))
	if missing(err) {
		return nil, hub.Errorf(hub.CodeNotFound, "There is no runner %q.", nameOrID)
	}
	if err != nil {
		return nil, fmt.Errorf("reading runner %s: %w", nameOrID, err)
	}
	return r, s.addLive(ctx, organisationID, r)
}

// Runners returns all runners of an organisation, by name, with Connected and
// LiveCount; revoked ones too if asked.
func (s *Store) Runners(ctx context.Context, organisationID string, revoked bool) ([]*hub.Runner, error) {
	list, err := collect(ctx, s, scanRunner, `SELECT `+runnerColumns+` FROM runner
		WHERE organisation_id = $1 AND (NOT revoked OR $2) ORDER BY name, id`, organisationID, revoked)
	if err != nil {
		return nil, fmt.Errorf("listing runners: %w", err)
	}
	return list, s.addLive(ctx, organisationID, list...)
}

// ListRunners is Runners by pages.
func (s *Store) ListRunners(ctx context.Context, organisationID string, revoked bool, page Page) ([]*hub.Runner, string, error) {
	after, err := decodeCursor(page.Cursor, 2)
	if err != nil {
		return nil, "", err
	}
	list, err := collect(ctx, s, scanRunner, `SELECT `+runnerColumns+` FROM runner
		WHERE organisation_id = $1 AND (NOT revoked OR $2) AND (name, id) > ($3, $4) ORDER BY name, id LIMIT $5`,
		organisationID, revoked, after[0], after[1], page.limit()+1)
	if err != nil {
		return nil, "", fmt.Errorf("listing runners: %w", err)
	}
	list, next := cut(list, page.limit(), func(r *hub.Runner) []string { return []string{r.Name, r.ID} })
	return list, next, s.addLive(ctx, organisationID, list...)
}

// addLive fills in which runners have a confirmed session that a live member holds, since its
// own start, and how many attempts they hold.
func (s *Store) addLive(ctx context.Context, organisationID string, runners ...*hub.Runner) error {
	connected, err := collect(ctx, s, scanCount, `SELECT rs.runner_id, count(*) FROM runner_session rs JOIN member m ON m.id = rs.member_id
		WHERE rs.organisation_id = $1 AND rs.closed_at = 0 AND rs.unconfirmed = 0 AND rs.connected_at >= m.started_at AND m.heartbeat_at > $2
		GROUP BY rs.runner_id`, organisationID, at(s.Now().Add(-memberSilence)))
	if err != nil {
		return fmt.Errorf("reading which runners are connected: %w", err)
	}
	live, err := collect(ctx, s, scanCount, `SELECT runner_id, count(*) FROM attempt
		WHERE organisation_id = $1 AND state IN ('claimed', 'running') GROUP BY runner_id`, organisationID)
	if err != nil {
		return fmt.Errorf("counting what runners hold: %w", err)
	}
	for _, r := range runners {
		r.Connected = slices.ContainsFunc(connected, func(c runnerCount) bool { return c.id == r.ID })
		r.LiveCount = 0
		for _, c := range live {
			if c.id == r.ID {
				r.LiveCount = c.n
			}
		}
	}
	return nil
}

type runnerCount struct {
	id string
	n  int
}

func scanCount(r scanner) (c runnerCount, err error) { return c, r.Scan(&c.id, &c.n) }

// UpdateRunner stores what a person may change (name, tags, projects, draining), if
// the runner still has r.Revision, and raises it.
func (s *Store) UpdateRunner(ctx context.Context, r *hub.Runner) error {
	n, err := s.exec(ctx, `UPDATE runner SET name = $1, tags = $2, project_ids = $3, draining = $4, revision = revision + 1
		WHERE organisation_id = $5 AND id = $6 AND revision = $7`,
		r.Name, asJSON(r.Tags), asJSON(r.ProjectIDs), r.Draining, r.OrganisationID, r.ID, r.Revision)
	if s.dialect.isConflict(err) {
		return &hub.Error{Code: hub.CodeConflict, Message: fmt.Sprintf("There is a runner %q already; choose another name.", r.Name), Cause: err}
	}
	if err != nil {
		return fmt.Errorf("changing runner %s: %w", r.Name, err)
	}
	if n == 0 {
		if _, err := s.FindRunner(ctx, r.OrganisationID, r.ID); err != nil {
			return err
		}
		return changedMeanwhile("runner", r.Name)
	}
	r.Revision++
	return nil
}

// ReportRunner stores what a runner says of itself when it connects: version, system,
// host name, slots, and that it was seen now. It is no edit and raises no revision.
func (s *Store) ReportRunner(ctx context.Context, r *hub.Runner) error {
	r.LastSeenAt = s.Now()
	_, err := s.exec(ctx, `UPDATE runner SET version = $1, os = $2, arch = $3, hostname = $4, slots = $5, last_seen_at = $6 WHERE id = $7`,
		r.Version, r.OS, r.Arch, r.Hostname, r.Slots, at(r.LastSeenAt), r.ID)
	if err != nil {
		return fmt.Errorf("storing the report of runner %s: %w", r.ID, err)
	}
	return nil
}

// SetSealingKey stores the key that secrets for a runner are sealed to from now on.
func (s *Store) SetSealingKey(ctx context.Context, runnerID string, key []byte) error {
	if _, err := s.exec(ctx, `UPDATE runner SET sealing_key = $1 WHERE id = $2`, key, runnerID); err != nil {
		return fmt.Errorf("storing the sealing key of runner %s: %w", runnerID, err)
	}
	return nil
}

// QuarantineRunner bars a runner from claims and says why; the first reason stays.
// It reports whether the runner was not in quarantine before.
func (s *Store) QuarantineRunner(ctx context.Context, id, why string) (bool, error) {
	n, err := s.exec(ctx, `UPDATE runner SET quarantined = $1, revision = revision + 1 WHERE id = $2 AND quarantined = ''`, why, id)
	if err != nil {
		return false, fmt.Errorf("quarantining runner %s: %w", id, err)
	}
	return n > 0, nil
}

// ReleaseRunner ends a runner's quarantine: a person looked. Its next session is taken
// whatever epoch it presents, since the copy may have had the last one.
func (s *Store) ReleaseRunner(ctx context.Context, organisationID, id string) error {
	return s.InTx(ctx, func(st *Store) error {
		if _, err := st.exec(ctx, `UPDATE runner_session SET released = TRUE WHERE organisation_id = $1 AND runner_id = $2`, organisationID, id); err != nil {
			return fmt.Errorf("releasing runner %s: %w", id, err)
		}
		return st.oneRunner(ctx, organisationID, id, "releasing",
			`UPDATE runner SET quarantined = '', revision = revision + 1 WHERE organisation_id = $1 AND id = $2`)
	})
}

// RevokeRunner ends a runner for good: its certificates are refused from now on.
func (s *Store) RevokeRunner(ctx context.Context, organisationID, id string) error {
	return s.oneRunner(ctx, organisationID, id, "revoking",
		`UPDATE runner SET revoked = TRUE, revision = revision + 1 WHERE organisation_id = $1 AND id = $2`)
}

func (s *Store) oneRunner(ctx context.Context, organisationID, id, doing, query string) error {
	n, err := s.exec(ctx, query, organisationID, id)
	if err != nil {
		return fmt.Errorf("%s runner %s: %w", doing, id, err)
	}
	if n == 0 {
		return hub.Errorf(hub.CodeNotFound, "There is no runner %q.", id)
	}
	return nil
}

// Barred is why a runner is not served as others are.
type Barred struct {
	Revoked     bool
	Quarantined string
}

// BarredRunners returns the revoked and quarantined runners of the installation, by
// id: what a member looks at every few seconds for its open streams.
func (s *Store) BarredRunners(ctx context.Context) (map[string]Barred, error) {
	rows, err := s.query(ctx, `SELECT id, revoked, quarantined FROM runner WHERE revoked OR quarantined <> ''`)
	if err != nil {
		return nil, fmt.Errorf("reading barred runners: %w", err)
	}
	defer rows.Close()
	barred := map[string]Barred{}
	for rows.Next() {
		var id string
		var b Barred
		if err := rows.Scan(&id, &b.Revoked, &b.Quarantined); err != nil {
			return nil, fmt.Errorf("reading barred runners: %w", err)
		}
		barred[id] = b
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading barred runners: %w", err)
	}
	return barred, nil
}
