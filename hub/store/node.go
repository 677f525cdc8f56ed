package store

import (
	"context"
	"fmt"

	"github.com/fairlead/fairlead/hub"
)

const nodeColumns = `name, hostname, username, description, tags, attributes`

// nodesPerInsert keeps a statement well under SQLite's 32,766 parameters.
const nodesPerInsert = 500

func scanNode(r scanner) (hub.Node, error) {
	var n hub.Node
	err := r.Scan(&n.Name, &n.Hostname, &n.Username, &n.Description, jsonInto(&n.Tags), jsonInto(&n.Attributes))
	return n, err
}

// ReplaceNodes makes nodes the whole inventory of a project, in one transaction, and
// returns the inventory's new revision. Names must be unique in the list.
func (s *Store) ReplaceNodes(ctx context.Context, projectID string, nodes []hub.Node) (revision int64, err error) {
	err = s.InTx(ctx, func(s *Store) error {
		// The project's row first: two imports at once go one after the other.
		err := s.queryRow(ctx, `UPDATE project SET nodes_revision = nodes_revision + 1, updated_at = $2 WHERE id = $1 RETURNING nodes_revision`,
			projectID, at(s.Now())).Scan(&revision)
		if missing(err) {
			return hub.Errorf(hub.CodeNotFound, "There is no project %s.", projectID)
		}
		if err != nil {
			return err
		}
		if _, err := s.exec(ctx, `DELETE FROM node WHERE project_id = $1`, projectID); err != nil {
			return err
		}
		for first := 0; first < len(nodes); first += nodesPerInsert {
			if err := s.insertNodes(ctx, projectID, nodes[first:min(first+nodesPerInsert, len(nodes))]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("replacing the nodes of project %s: %w", projectID, err)
	}
	return revision, nil
}

func (s *Store) insertNodes(ctx context.Context, projectID string, nodes []hub.Node) error {
	args := make([]any, 0, len(nodes)*7)
	for _, n := range nodes {
		args = append(args, projectID, n.Name, n.Hostname, n.Username, n.Description, asJSON(n.Tags), asJSON(n.Attributes))
	}
	_, err := s.exec(ctx, `INSERT INTO node (project_id, `+nodeColumns+`) VALUES `+tuples(1, len(nodes), 7), args...)
	if s.dialect.isConflict(err) {
		return &hub.Error{Code: hub.CodeInvalid, Message: "Two nodes of the list have the same name.", Cause: err}
	}
	return err
}

// Nodes returns all nodes of a project, by name.
func (s *Store) Nodes(ctx context.Context, projectID string) ([]hub.Node, error) {
	nodes, err := collect(ctx, s, scanNode, `SELECT `+nodeColumns+` FROM node WHERE project_id = $1 ORDER BY name`, projectID)
	if err != nil {
		return nil, fmt.Errorf("reading the nodes of project %s: %w", projectID, err)
	}
	return nodes, nil
}

// Node returns one node of a project.
func (s *Store) Node(ctx context.Context, projectID, name string) (*hub.Node, error) {
	n, err := scanNode(s.queryRow(ctx, `SELECT `+nodeColumns+` FROM node WHERE project_id = $1 AND name = $2`, projectID, name))
	if missing(err) {
		return nil, hub.Errorf(hub.CodeNotFound, "The project has no node %q.", name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading node %s: %w", name, err)
	}
	return &n, nil
}
