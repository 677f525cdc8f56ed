package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/config"
	"github.com/fairlead/fairlead/hub/store"
)

// tellCopyEvery is the time between two lines about the same table of a copy.
const tellCopyEvery = 5 * time.Second

// migrateFlags are the flags of migrate alone.
type migrateFlags struct {
	check    bool
	from, to string
}

func (p *program) migrateCommand() *cobra.Command {
	var f migrateFlags
	c := &cobra.Command{
		Use: "migrate", Short: "Bring the database's schema to this version, or move from SQLite to PostgreSQL, and end", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, _, err := p.load(c)
			switch {
			case err != nil:
				return err
			case f.check && f.from+f.to != "":
				return usageError{errors.New("--check goes with the schema alone, not with --from and --to")}
			case f.check:
				return p.checkSchema(c.Context(), cfg)
			case f.from+f.to != "":
				return p.copyDatabase(c.Context(), cfg, f)
			default:
				return p.migrate(c.Context(), cfg)
			}
		},
	}
	c.Flags().BoolVar(&f.check, "check", false, "tell what would be applied, and change nothing")
	c.Flags().StringVar(&f.from, "from", "", "copy from this SQLite file, sqlite:PATH; sqlite: the data directory's")
	c.Flags().StringVar(&f.to, "to", "", "copy into this PostgreSQL database, postgres://user@host/name; postgres: that of --database")
	return c
}

func (p *program) migrate(ctx context.Context, cfg *config.Config) error {
	if cfg.Database == "" {
		lock, err := lockDataDir(cfg.DataDir)
		if err != nil {
			return err
		}
		defer func() { _ = lock.Close() }() // the process ends
	}
	st, err := openStore(ctx, cfg, p.logger(cfg))
	if err != nil {
		return err
	}
	err = st.Migrate(ctx)
	if err == nil {
		var schema *store.Schema
		if schema, err = st.Schema(ctx); err == nil {
			_, err = fmt.Fprintf(p.env.stdout, "The database has schema %d.\n", schema.Database)
		}
	}
	return errors.Join(err, st.Close())
}

// checkSchema tells what migrate would do. Where it would refuse, so does this.
func (p *program) checkSchema(ctx context.Context, cfg *config.Config) error {
	schema, err := store.LookAtSchema(ctx, storeConfig(cfg, p.logger(cfg)))
	if err != nil {
		return err
	}
	if err := schema.Refusal(); err != nil {
		return err
	}
	out := p.env.stdout
	if len(schema.Pending) == 0 {
		_, err = fmt.Fprintf(out, "The database has schema %d, and so has this program: there is nothing to apply.\n", schema.Database)
		return err
	}
	_, _ = fmt.Fprintf(out, "The database has schema %d, this program %d. The next start or `fairlead-hub migrate` applies:\n", schema.Database, schema.Program)
	for _, m := range schema.Pending {
		_, _ = fmt.Fprintf(out, "  %04d  %s  %s\n", m.Version, m.Name, m.Purpose)
	}
	_, err = fmt.Fprintln(out, "Members of the version before go on serving meanwhile. Nothing was changed now.")
	return err
}

// copyDatabase moves from an SQLite file to PostgreSQL.
func (p *program) copyDatabase(ctx context.Context, cfg *config.Config, f migrateFlags) error {
	from, err := copySource(cfg, f.from)
	if err != nil {
		return err
	}
	to, err := copyTarget(cfg, f.to)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(p.env.stderr, "Copying %s into %s.\n", from, shownURL(to))
	told := copyTeller{p: p}
	copied, err := store.Copy(ctx, from, store.Config{URL: to, Name: cfg.MemberName(), Log: p.logger(cfg)}, told.tell)
	if errors.Is(err, context.Canceled) {
		return &hub.Error{Code: hub.CodeUnavailable, Message: "The copy was interrupted. PostgreSQL has no row of it, and the file is unchanged; run the command again.", Cause: err}
	}
	if err != nil {
		return err
	}
	rows := int64(0)
	for _, t := range copied {
		rows += t.Rows
		_, _ = fmt.Fprintf(p.env.stdout, "%-20s %10d rows  %x\n", t.Table, t.Rows, t.Digest)
	}
	_, err = fmt.Fprintf(p.env.stdout, "Verified: %d rows of %d tables are the same on both sides, and the file %s is as it was.\n"+
		"Start the hub with --database and the same --data-dir: the master key lies there, and every further member needs it.\n", rows, len(copied), from)
	return err
}

// copySource is the file that --from names.
func copySource(cfg *config.Config, from string) (string, error) {
	path, named := strings.CutPrefix(from, "sqlite:")
	switch {
	case from == "" || from == "sqlite":
		return cfg.SQLiteFile(), nil
	case path == "" || !named && strings.Contains(from, "://"):
		return "", usageError{fmt.Errorf("--from %q is no SQLite file; write sqlite:PATH", shownURL(from))}
	default:
		return path, nil
	}
}

// copyTarget is the database that --to names.
func copyTarget(cfg *config.Config, to string) (string, error) {
	scheme, _, _ := strings.Cut(to, "://")
	switch {
	case to == "" || to == "postgres":
		if cfg.Database == "" {
			return "", usageError{errors.New("say where to copy: --to postgres://USER@HOST/NAME, or set --database (FAIRLEAD_HUB_DATABASE, which no other user of this machine sees)")}
		}
		return cfg.Database, nil
	case scheme != "postgres" && scheme != "postgresql" || scheme == to:
		return "", usageError{errors.New("--to is no address like postgres://USER@HOST/NAME")}
	default:
		return to, nil
	}
}

// shownURL is a database's address without its password.
func shownURL(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Fragment != "" || strings.Contains(u.Path+u.RawQuery, "@") {
		return "the database" // what looks like its end may be of a password with odd characters
	}
	if u.Query().Has("password") {
		u.RawQuery = ""
	}
	return u.Redacted()
}

// copyTeller writes progress for a person who waits.
type copyTeller struct {
	p    *program
	last time.Time
}

func (c *copyTeller) tell(now store.CopyProgress) {
	if now.Rows < now.Total && time.Since(c.last) < tellCopyEvery {
		return
	}
	c.last = time.Now()
	doing := "copied  "
	if now.Verifying {
		doing = "compared"
	}
	_, _ = fmt.Fprintf(c.p.env.stderr, "%s  %-20s %10d of %d rows\n", doing, now.Table, now.Rows, now.Total)
}
