package store

import (
	"context"
	"fmt"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/fairlead/fairlead/hub"
)

// migrationTable is where goose notes what was applied.
const migrationTable = "schema_migration"

// Migrate brings the schema to what this program knows, one transaction for each
// step. Members that start together wait for one another. A database of a newer
// program is refused and left as it is.
func (s *Store) Migrate(ctx context.Context) error {
	p, done, err := s.migrator()
	if err != nil {
		return err
	}
	defer done()
	// On a database of a newer program this applies nothing: all of ours are there.
	applied, err := p.Up(ctx)
	if err != nil {
		return s.wrap(fmt.Errorf("migrating the database: %w", err))
	}
	for _, m := range applied {
		s.log.Info("applied migration", "version", m.Source.Version, "duration_ms", m.Duration.Milliseconds())
	}
	return s.refuseNewer(ctx, p)
}

// SchemaVersions are the newest migration of the database and the newest that this
// program knows.
func (s *Store) SchemaVersions(ctx context.Context) (database, program int64, err error) {
	p, done, err := s.migrator()
	if err != nil {
		return 0, 0, err
	}
	defer done()
	database, program, err = p.GetVersions(ctx)
	if err != nil {
		return 0, 0, s.wrap(fmt.Errorf("reading the schema's version: %w", err))
	}
	return database, program, nil
}

func (s *Store) refuseNewer(ctx context.Context, p *goose.Provider) error {
	database, program, err := p.GetVersions(ctx)
	if err != nil {
		return s.wrap(fmt.Errorf("reading the schema's version: %w", err))
	}
	if database > program {
		return hub.Errorf(hub.CodeConflict,
			"The database has schema %d, of a newer fairlead-hub; this one knows %d. Run the newer program, or restore a backup from before its upgrade.",
			database, program)
	}
	return nil
}

// migrator makes goose's provider; done frees what it holds.
func (s *Store) migrator() (p *goose.Provider, done func(), err error) {
	options := []goose.ProviderOption{
		goose.WithTableName(migrationTable), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()),
	}
	db, done := s.writer, func() {}
	if s.dialect.name == "postgres" {
		// A connection of its own: a migration may take longer than any statement should.
		db, err = postgresPool(s.config, map[string]string{"lock_timeout": "60s"})
		if err != nil {
			return nil, nil, err
		}
		db.SetMaxOpenConns(2)
		done = func() { _ = db.Close() }
		// Ask again each second, for five minutes: as long as the slowest migration of
		// another member may take.
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
		if err != nil {
			done()
			return nil, nil, fmt.Errorf("making the migration lock: %w", err)
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	p, err = goose.NewProvider(s.dialect.goose, db, s.dialect.migrations, options...)
	if err != nil {
		done()
		return nil, nil, fmt.Errorf("reading the migrations: %w", err)
	}
	return p, done, nil
}
