package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// noticeChannel is where members listen for what could not be told them directly.
const noticeChannel = "fairlead_wake"

// Notify tells every process that listens a short text, at most once each: it is lost
// with the server and with whoever does not listen just then. On SQLite nobody does.
func (s *Store) Notify(ctx context.Context, text string) error {
	if s.dialect.name != "postgres" {
		return nil
	}
	// Nothing stands on it, so it need not wait for the disk.
	_, err := s.writer.ExecContext(ctx, `SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)`, noticeChannel, text)
	if err != nil {
		return s.wrap(fmt.Errorf("notifying other members: %w", err))
	}
	return nil
}

// Listen calls heard with each text that any process tells with Notify, over a
// connection of its own, until ctx ends or the connection breaks, which is an error.
func (s *Store) Listen(ctx context.Context, heard func(text string)) error {
	if s.dialect.name != "postgres" {
		<-ctx.Done()
		return nil
	}
	config, err := postgresConfig(s.config)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return s.wrap(fmt.Errorf("connecting to listen for other members: %w", err))
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "LISTEN "+noticeChannel, pgx.QueryExecModeExec); err != nil {
		return s.wrap(fmt.Errorf("listening for other members: %w", err))
	}
	for {
		n, err := conn.WaitForNotification(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return s.wrap(fmt.Errorf("listening for other members: %w", err))
		}
		heard(n.Payload)
	}
}
