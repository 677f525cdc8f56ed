package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/fairlead/fairlead/hub/config"
	"github.com/fairlead/fairlead/hub/store"
)

const (
	// clockWarn is how far the clocks of database and host may be apart. The hub goes by
	// the database's, but logs and certificates by the host's.
	clockWarn = 5 * time.Second
	// spareConnections of a member beside its pool: migrations, notices, an operator.
	spareConnections = 4
)

func checkDatabase(ctx context.Context, cfg *config.Config) []finding {
	if file := cfg.DatabaseFile(); file != "" {
		return []finding{checkSQLiteFile(file)}
	}
	r, err := store.Examine(ctx, storeConfig(cfg, nil))
	if err != nil {
		return []finding{failed(err)}
	}
	var found []finding
	for _, check := range []func(*store.ServerReport) finding{
		checkServer, checkEncoding, checkDurability, checkConnections, checkClock, checkPooler,
	} {
		found = append(found, check(r))
	}
	return found
}

func checkSQLiteFile(file string) finding {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fine("%s is not there yet; the first start makes it", file)
	case err != nil:
		return failed(err)
	case info.Mode().Perm()&0o077 != 0:
		return warn("run: chmod 600 "+file, "%s can be read by others (mode %04o)", file, info.Mode().Perm())
	default:
		return fine("%s, SQLite, %d MiB; one hub alone can use it", file, info.Size()>>20)
	}
}

func checkServer(r *store.ServerReport) finding {
	switch {
	case !r.VersionKnown:
		return fail("upgrade it to version 14 or later", "PostgreSQL %s is too old", r.Version)
	case r.Standby:
		return fail("give the URL of the primary", "the server is a standby and takes no changes")
	default:
		return fine("PostgreSQL %s answers in %s", r.Version, r.RoundTrip.Round(100*time.Microsecond))
	}
}

func checkEncoding(r *store.ServerReport) finding {
	if r.Encoding != "UTF8" {
		return fail("make one with ENCODING 'UTF8'", "the database has the encoding %s", r.Encoding)
	}
	return fine("its encoding is UTF8")
}

func checkDurability(r *store.ServerReport) finding {
	switch {
	case r.Fsync != "on":
		return warn("set fsync = on in postgresql.conf", "fsync is %s: a power cut loses what was promised to runners", r.Fsync)
	case r.SynchronousCommit == "off":
		return warn("set synchronous_commit = on, so that all who write agree", "synchronous_commit is off; the hub sets it to on for itself")
	default:
		return fine("commits are on disk (fsync on, synchronous_commit %s)", r.SynchronousCommit)
	}
}

func checkConnections(r *store.ServerReport) finding {
	each := r.PoolSize + spareConnections
	const todo = "raise max_connections in postgresql.conf"
	members := max(r.Members, 1)
	switch {
	case r.Connections < each:
		return fail(todo, "the server admits %d connections, and one member needs up to %d", r.Connections, each)
	case r.Connections < members*each:
		return warn(todo, "the server admits %d connections, and %d members need up to %d each", r.Connections, members, each)
	default:
		return fine("the server admits %d connections, %d are there; a member needs up to %d", r.Connections, r.Connected, each)
	}
}

func checkClock(r *store.ServerReport) finding {
	if apart := r.ClockAhead.Abs(); apart-r.RoundTrip/2 > clockWarn {
		where := "ahead of"
		if r.ClockAhead < 0 {
			where = "behind"
		}
		return warn("let both follow NTP", "the database's clock is %s %s this host's", apart.Round(time.Second), where)
	}
	return fine("the clocks of database and host are %s apart", r.ClockAhead.Abs().Round(time.Millisecond))
}

func checkPooler(r *store.ServerReport) finding {
	if r.Pooler == "" {
		return fine("each connection keeps its server process: no pooler, or one in session mode")
	}
	return fail("connect to the server itself, or set the pooler to session mode (PgBouncer: pool_mode = session)",
		"a pooler in transaction mode stands between (%s): wake-ups (LISTEN), the lock of migrations and the settings of a session get lost in it", r.Pooler)
}

func checkSchemaVersion(ctx context.Context, cfg *config.Config) []finding {
	schema, err := store.LookAtSchema(ctx, storeConfig(cfg, nil))
	if err == nil {
		err = schema.Refusal()
	}
	switch {
	case err != nil:
		return []finding{failed(err)}
	case schema.Database == 0:
		return []finding{fine("there is none yet; the first start makes it")}
	case len(schema.Pending) > 0:
		return []finding{warn("`fairlead-hub migrate --check` tells what", "the database has schema %d, this program %d: the next start brings it there", schema.Database, schema.Program)}
	default:
		return []finding{fine("%d, as this program's", schema.Database)}
	}
}
