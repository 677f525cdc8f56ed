package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func (p *program) configCommand() *cobra.Command {
	c := group(&cobra.Command{Use: "config", Short: "Look at the configuration"})
	c.AddCommand(
		&cobra.Command{Use: "show", Short: "Show each value and where it came from, secrets hidden", Args: noArgs, RunE: p.configShow},
		&cobra.Command{Use: "check", Short: "Tell what is wrong with the configuration, if anything", Args: noArgs, RunE: p.configCheck},
	)
	return c
}

func (p *program) configShow(c *cobra.Command, _ []string) error {
	_, fields, err := p.load(c)
	if fields == nil {
		return err
	}
	w := tabwriter.NewWriter(p.env.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "KEY\tVALUE\tSOURCE\tENVIRONMENT")
	for _, f := range fields {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", f.Key, f.Shown(), f.Source, f.Env)
	}
	if flushed := w.Flush(); flushed != nil {
		return fmt.Errorf("writing the table: %w", flushed)
	}
	return err
}

func (p *program) configCheck(c *cobra.Command, _ []string) error {
	if _, _, err := p.load(c); err != nil {
		return err
	}
	_, err := fmt.Fprintln(p.env.stdout, "The configuration is right.")
	return err
}
