package store

import (
	"context"
	"fmt"

	"github.com/fairlead/fairlead/hub"
)

// Organisation returns an organisation by its id.
func (s *Store) Organisation(ctx context.Context, id string) (*hub.Organisation, error) {
	o := &hub.Organisation{}
	err := s.queryRow(ctx, `SELECT id, name FROM organisation WHERE id = $1`, id).Scan(&o.ID, &o.Name)
	if missing(err) {
		return nil, hub.Errorf(hub.CodeNotFound, "There is no organisation %s.", id)
	}
	if err != nil {
		return nil, fmt.Errorf("reading organisation %s: %w", id, err)
	}
	return o, nil
}
