package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/config"
)

// holdCommand is for who restored a backup by hand: docs/recovery.md.
func (p *program) holdCommand() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "hold", Args: noArgs,
		Short: "Say that a backup was restored: work of before waits until runners have shown what they have",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, _, err := p.load(c)
			if err != nil {
				return err
			}
			return p.hold(c.Context(), cfg, reason)
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "what was restored, for those who look at it")
	return c
}

// hold works on the database itself, so that the hub finds it held when it starts. A hub
// that runs on PostgreSQL learns of it within a second.
func (p *program) hold(ctx context.Context, cfg *config.Config, reason string) error {
	if file := cfg.DatabaseFile(); file != "" {
		if err := mayLookAt(file); err != nil {
			return err
		}
		if absent(file) {
			return hub.Errorf(hub.CodeNotFound, "There is no database in %s. Put the restored file there first, or name its directory with --data-dir.", cfg.DataDir)
		}
		lock, err := lockDataDir(cfg.DataDir)
		if err != nil {
			return errors.Join(err, hub.Errorf(hub.CodeConflict, "While the hub runs, use: fairlead cluster hold --restored"))
		}
		defer func() { _ = lock.Close() }() // the process ends
	}
	st, err := openStore(ctx, cfg, p.logger(cfg))
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }() // what was written is committed
	if err := st.Migrate(ctx); err != nil {
		return err
	}
	before, err := st.ReadHold(ctx)
	if err != nil {
		return err
	}
	if reason == "" {
		reason = "A backup was restored by hand."
	}
	held, err := st.HoldCluster(ctx, hub.HoldRestore, reason, before.Incarnation)
	if err != nil {
		return err
	}
	if !held {
		return hub.Errorf(hub.CodeNotFound, "This database belongs to no hub yet, so there is nothing to hold. Start the hub once.")
	}
	_, err = fmt.Fprintf(p.env.stdout, "Held, incarnation %d. Start the hub: its runners show what they have, and what they cannot have had goes on by itself.\n"+
		"`fairlead cluster status` tells what is left.\n", before.Incarnation+1)
	return err
}
