package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
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
// that is not there yet is made by the first start. What this user may not read is not
// wrong, and not right either: the hub's own user may be another.
func checkFiles(cfg *config.Config) error {
	var wrong, unread []hub.FieldError
	look := func(path string, err error) {
		switch f := (hub.FieldError{Path: path}); {
		case err == nil:
		case errors.Is(err, fs.ErrPermission):
			f.Message = failed(err).text
			unread = append(unread, f)
		default:
			f.Message = failed(err).text
			wrong = append(wrong, f)
		}
	}
	if cfg.TLS.Cert != "" {
		_, err := tls.LoadX509KeyPair(cfg.TLS.Cert, cfg.TLS.Key)
		look("tls", err)
	}
	path := cfg.MasterKeyFile()
	if cfg.MasterKey != "" || !absent(path) {
		_, _, err := keys.LoadMaster(cfg.MasterKey, path, true)
		look("masterKey", err)
	}
	if len(wrong) == 0 && len(unread) > 0 {
		return &hub.Error{
			Code:    hub.CodeForbidden,
			Message: "Nothing wrong was found, but this user may not read all of what the configuration names. Run this as the hub's own user; if it is, let that user read:",
			Fields:  unread,
		}
	}
	return hub.Invalid("The configuration is wrong.", append(wrong, unread...))
}
