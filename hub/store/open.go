package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"

	"github.com/fairlead/fairlead/hub"
)

// Open connects to the database and looks whether it is fit: reachable, of a version
// that we know, writable. It changes no schema; that is Migrate's.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s := &Store{base: &base{config: cfg, log: cfg.logger(), fault: cfg.Fault, clock: clock{start: time.Now()}}}
	var err error
	switch {
	case cfg.URL != "" && cfg.Path != "":
		return nil, hub.Errorf(hub.CodeInvalid, "Both a PostgreSQL URL and an SQLite file are configured; give one of them.")
	case cfg.URL != "":
		err = s.openPostgres(ctx, cfg)
	case cfg.Path != "":
		err = s.openSQLite(ctx, cfg)
	case cfg.Serial != nil:
		s.openSerial(cfg)
	default:
		return nil, hub.Errorf(hub.CodeInvalid, "No database is configured; give a PostgreSQL URL or a data directory.")
	}
	if err == nil {
		err = s.LearnClock(ctx)
	}
	if err != nil {
		s.closeOpened()
		return nil, err
	}
	return s, nil
}

// closeOpened undoes an Open that failed half-way.
func (s *Store) closeOpened() {
	for _, db := range []*sql.DB{s.reader, s.writer} {
		if db != nil {
			_ = db.Close()
		}
	}
	if s.lock != nil {
		_ = unlockFile(s.lock)
	}
}

func (c Config) logger() *slog.Logger {
	if c.Log != nil {
		return c.Log
	}
	return slog.New(slog.DiscardHandler)
}

// poolSize is the number of connections a member keeps to PostgreSQL.
func (c Config) poolSize() int {
	if c.PoolSize > 0 {
		return c.PoolSize
	}
	return 16
}

// refuse makes the error of a database that cannot be used, with what to do.
func refuse(format string, args ...any) error {
	return &hub.Error{Code: hub.CodeInvalid, Message: fmt.Sprintf(format, args...)}
}
