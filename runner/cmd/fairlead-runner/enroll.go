package main

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/enroll"
)

func (p *program) enrollCommand() *cobra.Command {
	var hub, name string
	var token enroll.TokenSource
	c := &cobra.Command{
		Use: "enroll", Short: "Get this runner's identity from the hub", Args: noArgs,
		Long: "Get this runner's identity from the hub, with a token from: fairlead runners token create.\n" +
			"The token pins the hub's CA. It may also come from FAIRLEAD_RUNNER_TOKEN, or from standard input with --token -.\n" +
			"An enrolment that was cut off may be repeated with the same token.",
	}
	c.Flags().StringVar(&hub, "hub", "", "address of the hub's pages, e.g. https://hub.example:8440")
	c.Flags().StringVar(&token.Flag, "token", "", "enrolment token; - reads it from standard input")
	c.Flags().StringVar(&token.File, "token-file", "", "file with the enrolment token")
	c.Flags().StringVar(&name, "name", "", "what people call this runner (default: the host name)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		token.Env, token.Stdin = p.getenv("FAIRLEAD_RUNNER_TOKEN"), p.stdin
		hub = cmp.Or(hub, p.getenv("FAIRLEAD_RUNNER_HUB"))
		if hub == "" {
			return usageError{errors.New("--hub is needed: the address of the hub's pages")}
		}
		return p.enroll(c, hub, name, token)
	}
	return c
}

func (p *program) enroll(c *cobra.Command, hub, name string, source enroll.TokenSource) error {
	cfg, err := p.load()
	if err != nil {
		return err
	}
	token, err := source.Token()
	if err != nil {
		return usageError{err}
	}
	if _, err := wire.ParseEnrolmentToken(token); err != nil {
		return usageError{err}
	}
	info := p.info()
	i, already, err := enroll.Enrol(c.Context(), enroll.Config{
		Hub: hub, Token: token, DataDir: cfg.DataDir, Name: cmp.Or(name, info.GetHostname(), "runner"), Info: info, Log: p.logger(cfg),
	})
	if err != nil {
		return err
	}
	how := "enrolled"
	if already {
		how = "was enrolled before"
	}
	_, err = fmt.Fprintf(p.stdout, "Runner %s (%s) %s at %s.\n", i.Name(), i.RunnerID(), how, i.Hub())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stderr, "Start it with: fairlead-runner run --data-dir %s\n", cfg.DataDir)
	return err
}

const (
	lockFile   = "runner.lock"
	statusFile = "status.json"
)
