package store

import (
	"context"
	"fmt"
	"time"

	"github.com/fairlead/fairlead/hub"
)

const memberColumns = `id, name, version, gateway, address, roles, nonce, started_at, heartbeat_at,
	sessions, draining, execution_mode`

func scanMember(r scanner) (*hub.Member, error) {
	m := &hub.Member{}
	err := r.Scan(&m.ID, &m.Name, &m.Version, &m.Gateway, &m.Address, jsonInto(&m.Roles), &m.Nonce, timeInto(&m.StartedAt), timeInto(&m.HeartbeatAt),
		&m.Sessions, &m.Draining, &m.ExecutionMode)
	return m, err
}

// JoinMember writes a member's row as it starts, with its first heartbeat; a restart
// takes over the row of its id, and what a person had set for the process before is
// gone. A name that another member has is a conflict.
func (s *Store) JoinMember(ctx context.Context, m *hub.Member) error {
	m.StartedAt = s.Now()
	m.HeartbeatAt = m.StartedAt
	m.Sessions, m.Draining = 0, false
	if m.ExecutionMode == "" {
		m.ExecutionMode = hub.ModeActive
	}
	_, err := s.exec(ctx, `INSERT INTO member (`+memberColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, 0, FALSE, $9)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, version = excluded.version, gateway = excluded.gateway,
			address = excluded.address, roles = excluded.roles, nonce = excluded.nonce,
			started_at = excluded.started_at, heartbeat_at = excluded.heartbeat_at, sessions = 0, draining = FALSE,
			execution_mode = excluded.execution_mode`,
		m.ID, m.Name, m.Version, m.Gateway, m.Address, asJSON(m.Roles), m.Nonce, at(m.StartedAt), m.ExecutionMode)
	if s.dialect.isConflict(err) {
		return &hub.Error{Code: hub.CodeConflict, Message: fmt.Sprintf("Another member is named %q; start this one with another --member NAME.", m.Name), Cause: err}
	}
	if err != nil {
		return fmt.Errorf("joining as member %s: %w", m.Name, err)
	}
	return nil
}

// Heartbeat writes the database's own time into a member's row, and how many sessions
// it serves, if the row is still of this process (nonce), and learns the clock from it. One that is not is a
// conflict: another process runs under this member's id.
func (s *Store) Heartbeat(ctx context.Context, id string, nonce []byte, sessions int) error {
	var before, after time.Time
	var said int64
	err := s.InTx(ctx, func(s *Store) error {
		before = time.Now()
		defer func() { after = time.Now() }()
		return s.queryRow(ctx, `UPDATE member SET heartbeat_at = `+s.dialect.clock("$1")+`, sessions = $4
			WHERE id = $2 AND nonce = $3 RETURNING heartbeat_at`, before.UnixMicro(), id, nonce, sessions).Scan(&said)
	})
	if missing(err) {
		return hub.Errorf(hub.CodeConflict, "The row of member %s is gone or of another process. Is its data directory used twice? If not, the database was restored, or another server took its place: start this member again.", id)
	}
	if err != nil {
		return fmt.Errorf("writing the heartbeat of member %s: %w", id, err)
	}
	if s.dialect.ownClock {
		after = before
	}
	s.clock.learn(said, before, after)
	return nil
}

// Members returns all members by name, also those that are gone without leaving.
func (s *Store) Members(ctx context.Context) ([]*hub.Member, error) {
	list, err := collect(ctx, s, scanMember, `SELECT `+memberColumns+` FROM member ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("listing members: %w", err)
	}
	return list, nil
}

// Member returns a member by name or id.
func (s *Store) Member(ctx context.Context, nameOrID string) (*hub.Member, error) {
	m, err := scanMember(s.queryRow(ctx, `SELECT `+memberColumns+` FROM member WHERE name = $1 OR id = $1`, nameOrID))
	if missing(err) {
		return nil, hub.Errorf(hub.CodeNotFound, "There is no member %q; fairlead cluster status lists them.", nameOrID)
	}
	if err != nil {
		return nil, fmt.Errorf("reading member %s: %w", nameOrID, err)
	}
	return m, nil
}

// LeaveMember removes a member's row as it ends in good order.
func (s *Store) LeaveMember(ctx context.Context, id string, nonce []byte) error {
	if _, err := s.exec(ctx, `DELETE FROM member WHERE id = $1 AND nonce = $2`, id, nonce); err != nil {
		return fmt.Errorf("leaving as member %s: %w", id, err)
	}
	return nil
}

// SetMember changes what a person sets for a running member: draining and execution
// mode.
func (s *Store) SetMember(ctx context.Context, m *hub.Member) error {
	n, err := s.exec(ctx, `UPDATE member SET draining = $2, execution_mode = $3 WHERE id = $1`, m.ID, m.Draining, m.ExecutionMode)
	if err != nil {
		return fmt.Errorf("changing member %s: %w", m.Name, err)
	}
	if n == 0 {
		return hub.Errorf(hub.CodeNotFound, "Member %s has left.", m.Name)
	}
	return nil
}
