package store

import (
	"context"
	"fmt"

	"github.com/fairlead/fairlead/hub"
)

const hostKeyColumns = `project_id, node, public_key, state, runner_id, seen_at`

func scanHostKey(r scanner) (hub.HostKey, error) {
	var k hub.HostKey
	err := r.Scan(&k.ProjectID, &k.Node, &k.Key, &k.State, &k.RunnerID, timeInto(&k.SeenAt))
	return k, err
}

// HostKeys returns what is known of the nodes named, of all nodes of the project if
// none is: accepted keys, and those in conflict, by node and time.
func (s *Store) HostKeys(ctx context.Context, projectID string, nodes ...string) ([]hub.HostKey, error) {
	where := ""
	if len(nodes) > 0 && len(nodes) <= 1000 {
		where = ` AND node IN (` + params(2, len(nodes)) + `)`
	}
	args := []any{projectID}
	if where != "" {
		args = append(args, anys(nodes)...)
	}
	all, err := collect(ctx, s, scanHostKey, `SELECT `+hostKeyColumns+` FROM host_key
		WHERE project_id = $1`+where+` ORDER BY node, seen_at, public_key`, args...)
	if err != nil {
		return nil, fmt.Errorf("reading host keys: %w", err)
	}
	if len(nodes) == 0 || where != "" {
		return all, nil
	}
	return onlyNodes(all, nodes), nil
}

// onlyNodes sorts out what a very long list of names could not ask for in SQL.
func onlyNodes(all []hub.HostKey, nodes []string) []hub.HostKey {
	wanted := make(map[string]bool, len(nodes))
	for _, n := range nodes {
		wanted[n] = true
	}
	kept := all[:0]
	for _, k := range all {
		if wanted[k.Node] {
			kept = append(kept, k)
		}
	}
	return kept
}

// RecordHostKey keeps a key that a runner saw at a node. The first one of a node is
// accepted; one that differs from it is kept as a conflict, until a person chooses
// with AcceptHostKey. It returns the state that the key has.
func (s *Store) RecordHostKey(ctx context.Context, projectID, node, key, runnerID string) (hub.HostKeyState, error) {
	var state hub.HostKeyState
	err := s.InTx(ctx, func(s *Store) error {
		// Two runners that see a new node at once must not both be first.
		if err := s.lockProject(ctx, projectID); err != nil {
			return err
		}
		known, err := s.HostKeys(ctx, projectID, node)
		if err != nil {
			return err
		}
		state = hub.HostKeyAccepted
		for _, k := range known {
			if k.Key == key {
				state = k.State
				return nil
			}
			state = hub.HostKeyConflict
		}
		_, err = s.exec(ctx, `INSERT INTO host_key (`+hostKeyColumns+`) VALUES ($1, $2, $3, $4, $5, $6)`,
			projectID, node, key, string(state), runnerID, at(s.Now()))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("recording the host key of %s: %w", node, err)
	}
	return state, nil
}

// lockProject keeps others from deciding about the same project until the
// transaction ends.
func (s *Store) lockProject(ctx context.Context, projectID string) error {
	var id string
	err := s.queryRow(ctx, `SELECT id FROM project WHERE id = $1`+s.dialect.forUpdate, projectID).Scan(&id)
	if missing(err) {
		return hub.Errorf(hub.CodeNotFound, "There is no project %s.", projectID)
	}
	return err
}

// AcceptHostKey makes key the only host key of a node: a person's choice.
func (s *Store) AcceptHostKey(ctx context.Context, projectID, node, key string) error {
	err := s.InTx(ctx, func(s *Store) error {
		if _, err := s.exec(ctx, `DELETE FROM host_key WHERE project_id = $1 AND node = $2 AND public_key <> $3`, projectID, node, key); err != nil {
			return err
		}
		_, err := s.exec(ctx, `INSERT INTO host_key (`+hostKeyColumns+`) VALUES ($1, $2, $3, $4, '', $5)
			ON CONFLICT (project_id, node, public_key) DO UPDATE SET state = excluded.state`,
			projectID, node, key, string(hub.HostKeyAccepted), at(s.Now()))
		return err
	})
	if err != nil {
		return fmt.Errorf("accepting a host key of %s: %w", node, err)
	}
	return nil
}

// ForgetHostKeys removes all host keys of a node, so that the next one seen is the
// first again; how many there were.
func (s *Store) ForgetHostKeys(ctx context.Context, projectID, node string) (int64, error) {
	n, err := s.exec(ctx, `DELETE FROM host_key WHERE project_id = $1 AND node = $2`, projectID, node)
	if err != nil {
		return 0, fmt.Errorf("forgetting the host keys of %s: %w", node, err)
	}
	return n, nil
}
