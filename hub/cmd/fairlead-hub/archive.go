package main

import (
	"context"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/cluster"
)

// archive packs logs whenever this member leads that, until ctx ends. A hub without an
// archive has nothing to lead.
func (s *server) archive(ctx context.Context) error {
	if s.archives.Names() == "" {
		<-ctx.Done()
		return nil
	}
	return s.cluster.Lead(ctx, cluster.Leads{
		Lease: hub.LeaseArchive, May: func() bool { return s.cluster.Active(ctx) == nil }, Work: s.packer.Lead,
	})
}
