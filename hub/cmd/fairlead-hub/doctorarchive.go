package main

import (
	"context"

	"github.com/fairlead/fairlead/hub/archive"
	"github.com/fairlead/fairlead/hub/config"
)

// checkArchive does with a small object what packing does with logs. The other archive is
// read from alone, and what would be there to read is not known here.
func checkArchive(ctx context.Context, cfg *config.Config) []finding {
	archives, _, _ := cfg.Archive.Open() // what is wrong with it was told with the configuration
	if archives.Current == nil {
		return []finding{fine("none; output stays in the database until its retention is over")}
	}
	if err := archive.Try(ctx, archives.Current); err != nil {
		return []finding{fail("logs stay in the database meanwhile; nothing is lost", "%v", err)}
	}
	return []finding{fine("%s took a small object, gave it back and deleted it", archives.Current.Name())}
}
