package store

import (
	"context"
	"fmt"

	"github.com/fairlead/fairlead/hub"
)

const projectColumns = `id, organisation_id, name, description, settings, routes, revision, nodes_revision, created_at, updated_at`

func scanProject(r scanner) (*hub.Project, error) {
	p := &hub.Project{}
	err := r.Scan(&p.ID, &p.OrganisationID, &p.Name, &p.Description, jsonInto(&p.Settings), jsonInto(&p.Routes),
		&p.Revision, &p.NodesRevision, timeInto(&p.CreatedAt), timeInto(&p.UpdatedAt))
	return p, err
}

// CreateProject stores a new project and gives it id, revision and times. A name
// that is taken is a conflict.
func (s *Store) CreateProject(ctx context.Context, p *hub.Project) error {
	p.ID, p.Revision, p.NodesRevision = NewID(), 1, 0
	p.CreatedAt = s.Now()
	p.UpdatedAt = p.CreatedAt
	n, err := s.exec(ctx, `INSERT INTO project (`+projectColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) ON CONFLICT (organisation_id, name) DO NOTHING`,
		p.ID, p.OrganisationID, p.Name, p.Description, asJSON(p.Settings), asJSON(p.Routes), p.Revision, p.NodesRevision, at(p.CreatedAt))
	if err != nil {
		return fmt.Errorf("creating project %s: %w", p.Name, err)
	}
	if n == 0 {
		return hub.Errorf(hub.CodeConflict, "There is a project %q already; choose another name.", p.Name)
	}
	return nil
}

// Project returns a project of an organisation by its name or id.
func (s *Store) Project(ctx context.Context, organisationID, nameOrID string) (*hub.Project, error) {
	// A project may be named like the id of another: the id decides.
	p, err := scanProject(s.queryRow(ctx, `SELECT `+projectColumns+` FROM project
		WHERE organisation_id = $1 AND (name = $2 OR id = $2) ORDER BY CASE WHEN id = $2 THEN 0 ELSE 1 END LIMIT 1`,
		organisationID, nameOrID))
	if missing(err) {
		return nil, hub.Errorf(hub.CodeNotFound, "There is no project %q.", nameOrID)
	}
	if err != nil {
		return nil, fmt.Errorf("reading project %s: %w", nameOrID, err)
	}
	return p, nil
}

// Projects lists the projects of an organisation by name.
func (s *Store) Projects(ctx context.Context, organisationID string, page Page) ([]*hub.Project, string, error) {
	after, err := decodeCursor(page.Cursor, 1)
	if err != nil {
		return nil, "", err
	}
	list, err := collect(ctx, s, scanProject, `SELECT `+projectColumns+` FROM project
		WHERE organisation_id = $1 AND name > $2 ORDER BY name LIMIT $3`, organisationID, after[0], page.limit()+1)
	if err != nil {
		return nil, "", fmt.Errorf("listing projects: %w", err)
	}
	list, next := cut(list, page.limit(), func(p *hub.Project) []string { return []string{p.Name} })
	return list, next, nil
}

// UpdateProject stores description, settings and routes if the project still has
// p.Revision, and raises it; else it is a conflict. The name stays.
func (s *Store) UpdateProject(ctx context.Context, p *hub.Project) error {
	return s.InTx(ctx, func(s *Store) error {
		if err := s.lockProject(ctx, p.ID); err != nil {
			return err
		}
		old, err := s.Project(ctx, p.OrganisationID, p.ID)
		if err != nil {
			return err
		}
		now := s.Now()
		n, err := s.exec(ctx, `UPDATE project SET description = $1, settings = $2, routes = $3, revision = $7 + 1, updated_at = $4
			WHERE organisation_id = $5 AND id = $6 AND revision = $7`,
			p.Description, asJSON(p.Settings), asJSON(p.Routes), at(now), p.OrganisationID, p.ID, p.Revision)
		if err != nil {
			return fmt.Errorf("changing project %s: %w", p.Name, err)
		}
		if n == 0 {
			return changedMeanwhile("project", p.Name)
		}
		p.Revision, p.UpdatedAt = old.Revision+1, now
		return s.projectSchedules(ctx, old, p)
	})
}

// changedMeanwhile is the answer to a lost compare-and-set of an editor.
func changedMeanwhile(noun, name string) error {
	return hub.Errorf(hub.CodeConflict, "The %s %q was changed meanwhile by someone else; read it again and repeat your change.", noun, name)
}

// DeleteProject deletes a project with its nodes, jobs and host keys, if it still has
// the revision (0: whatever it has) and nothing of it is running. Executions that
// ended stay, under the project's id.
func (s *Store) DeleteProject(ctx context.Context, organisationID, id string, revision int64) error {
	return s.InTx(ctx, func(s *Store) error {
		p, err := s.Project(ctx, organisationID, id)
		if err != nil {
			return err
		}
		var open int64
		err = s.queryRow(ctx, `SELECT count(*) FROM execution WHERE project_id = $1 AND ended_at = 0`, p.ID).Scan(&open)
		if err != nil {
			return fmt.Errorf("counting the executions of project %s: %w", p.Name, err)
		}
		if open > 0 {
			return hub.Errorf(hub.CodeConflict, "The project %q has %d executions that have not ended; cancel them or wait for them first.", p.Name, open)
		}
		n, err := s.exec(ctx, `DELETE FROM project WHERE organisation_id = $1 AND id = $2 AND (CAST($3 AS BIGINT) = 0 OR revision = $3)`,
			organisationID, p.ID, revision)
		if err != nil {
			return fmt.Errorf("deleting project %s: %w", p.Name, err)
		}
		if n == 0 {
			return changedMeanwhile("project", p.Name)
		}
		return nil
	})
}
