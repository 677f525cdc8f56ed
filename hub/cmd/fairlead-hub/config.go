package main

import (
	"crypto/tls"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/config"
	"github.com/fairlead/fairlead/hub/keys"
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
	cfg, _, err := p.load(c)
	if err != nil {
		return err
	}
	if err := checkFiles(cfg); err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.env.stdout, "The configuration is right.")
	return err
}

// checkFiles looks at what the configuration names and a start would fail on. A master key
// that is not there yet is made by the first start.
func checkFiles(cfg *config.Config) error {
	var wrong []hub.FieldError
	if cfg.TLS.Cert != "" {
		if _, err := tls.LoadX509KeyPair(cfg.TLS.Cert, cfg.TLS.Key); err != nil {
			wrong = append(wrong, hub.FieldError{Path: "tls", Message: err.Error()})
		}
	}
	path := cfg.MasterKeyFile()
	if cfg.MasterKey != "" || exists(path) {
		if _, _, err := keys.LoadMaster(cfg.MasterKey, path, true); err != nil {
			wrong = append(wrong, hub.FieldError{Path: "masterKey", Message: failed(err).text})
		}
	}
	return hub.Invalid("The configuration is wrong.", wrong)
}
