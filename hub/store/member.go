package store

import (
	"context"
	"fmt"
	"time"

	"github.com/fairlead/fairlead/hub"
)

const memberColumns = `id, name, version, gateway, address, roles, nonce, started_at, heartbeat_at`

func scanMember(r scanner) (*hub.Member, error) {
	m := &hub.Member{}
	err := r.Scan(&m.ID, &m.Name, &m.Version, &m.Gateway, &m.Address, jsonInto(&m.Roles), &m.Nonce, timeInto(&m.StartedAt), timeInto(&m.HeartbeatAt))
	return m, err
}

// JoinMember writes a member's row as it starts, with its first heartbeat; a restart
// takes over the row of its id. A name that another member has is a conflict.
func (s *Store) JoinMember(ctx context.Context, m *hub.Member) error {
	m.StartedAt = s.Now()
	m.HeartbeatAt = m.StartedAt
	_, err := s.exec(ctx, `INSERT INTO member (`+memberColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, version = excluded.version, gateway = excluded.gateway,
			address = excluded.address, roles = excluded.roles, nonce = excluded.nonce,
			started_at = excluded.started_at, heartbeat_at = excluded.heartbeat_at`,
		m.ID, m.Name, m.Version, m.Gateway, m.Address, asJSON(m.Roles), m.Nonce, at(m.StartedAt))
	if s.dialect.isConflict(err) {
		return &hub.Error{Code: hub.CodeConflict, Message: fmt.Sprintf("Another member is named %q; start this one with another --member NAME.", m.Name), Cause: err}
	}
	if err != nil {
		return fmt.Errorf("joining as member %s: %w", m.Name, err)
	}
	return nil
}

// Heartbeat writes the database's own time into a member's row, if the row is still
// of this process (nonce), and learns the clock from it. One that is not is a
// conflict: another process runs under this member's id.
func (s *Store) Heartbeat(ctx context.Context, id string, nonce []byte) error {
	var before, after time.Time
	var said int64
	err := s.InTx(ctx, func(s *Store) error {
		before = time.Now()
		defer func() { after = time.Now() }()
		return s.queryRow(ctx, `UPDATE member SET heartbeat_at = `+s.dialect.clock("$1")+`
			WHERE id = $2 AND nonce = $3 RETURNING heartbeat_at`, before.UnixMicro(), id, nonce).Scan(&said)
	})
	if missing(err) {
		return hub.Errorf(hub.CodeConflict, "The row of member %s is gone or of another process; is its data directory used twice?", id)
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

// LeaveMember removes a member's row as it ends in good order.
func (s *Store) LeaveMember(ctx context.Context, id string, nonce []byte) error {
	if _, err := s.exec(ctx, `DELETE FROM member WHERE id = $1 AND nonce = $2`, id, nonce); err != nil {
		return fmt.Errorf("leaving as member %s: %w", id, err)
	}
	return nil
}
