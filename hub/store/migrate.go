package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/pressly/goose/v3"
)

// migrationTable is where goose notes what was applied.
const migrationTable = "schema_migration"

// Migrate brings the schema to what this program knows, one transaction for each
// step. Of members that start together one does it; the others wait until it has, for
// as long as ctx lets them, and log for whom. A database of a newer program is refused
// and left as it is.
func (s *Store) Migrate(ctx context.Context) error {
	w := migrationWait{log: s.log}
	for {
		schema, err := s.Schema(ctx)
		if err != nil {
			return err
		}
		if err := schema.Refusal(); err != nil {
			return err
		}
		if len(schema.Pending) == 0 {
			return nil
		}
		err = s.applyMigrations(ctx)
		if err == nil || !w.known(err) {
			return s.wrap(err)
		}
		if err := w.wait(ctx, err); err != nil {
			return fmt.Errorf("waiting to migrate the database: %w", err)
		}
	}
}

// applyMigrations applies what is lacking, under the lock.
func (s *Store) applyMigrations(ctx context.Context) error {
	p, done, err := s.migrator()
	if err != nil {
		return err
	}
	defer done()
	applied, err := p.Up(ctx)
	if partial, ok := errors.AsType[*goose.PartialError](err); ok {
		applied = partial.Applied
	}
	for _, m := range applied {
		s.log.Info("applied migration", "version", m.Source.Version, "duration_ms", m.Duration.Milliseconds())
	}
	if err != nil {
		return fmt.Errorf("migrating the database: %w", err)
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
		db, err = postgresPool(s.config, s.checkHistory, map[string]string{
			"application_name": migrationName(s.config.Name),
			// A migration may take longer than any statement should, also by what is set for
			// database or role: it would be cut off at the same place in each start. But a
			// statement that waits for a table keeps all others from that table, so it gives
			// up before theirs do, and is tried again.
			"statement_timeout": "0",
			"lock_timeout":      "5s",
		})
		if err != nil {
			return nil, nil, err
		}
		// A fresh connection for each try: its age is how long the lock has been held.
		db.SetMaxIdleConns(-1)
		db.SetMaxOpenConns(2)
		done = func() { _ = db.Close() }
		options = append(options, goose.WithSessionLocker(migrationLock{}))
	}
	p, err = goose.NewProvider(s.dialect.goose, db, s.dialect.migrations, options...)
	if err != nil {
		done()
		return nil, nil, fmt.Errorf("reading the migrations: %w", err)
	}
	return p, done, nil
}
