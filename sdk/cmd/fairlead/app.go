package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/sdk"
)

// app is one run of the program, with everything it takes from outside.
type app struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
	// signals asks the program to stop; nil: nothing does. release gives them back to
	// the system, so that the next one ends the process whatever it does.
	signals <-chan os.Signal
	release func()
	// asks: a person sits there and may be asked. colour: stdout is a terminal.
	asks, colour bool
	// hidden reads a line without showing it.
	hidden func(context.Context) ([]byte, error)

	flags flags
	// onInterrupt, if set, is asked what to do about a signal; true: dealt with.
	onInterrupt atomic.Pointer[func() bool]
	interrupted atomic.Bool
}

// flags are those that every command has.
type flags struct {
	url, tokenFile, caFile, context, project, output string
	quiet, noColor                                   bool
}

// Exit codes, the same in every command.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitCancelled   = 3
	exitUnknown     = 4
	exitOther       = 5
	exitInterrupted = 130
)

// exitError ends the program with a code; without an error it says nothing more.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usage is an error of how the program was called.
func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// main runs the program and returns its exit code.
func (a *app) main(ctx context.Context, args []string) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go a.watchSignals(ctx, cancel)
	a.in = &interruptible{ctx: ctx, in: a.in}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := root.ExecuteContext(ctx)
	return a.report(err)
}

// watchSignals ends the program's work at the first signal that no command deals with.
func (a *app) watchSignals(ctx context.Context, cancel func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.signals:
			if f := a.onInterrupt.Load(); f != nil && (*f)() {
				continue
			}
			a.interrupted.Store(true)
			if a.release != nil {
				a.release()
			}
			cancel()
			return
		}
	}
}

// report tells an error and returns the code for it.
func (a *app) report(err error) int {
	var exit *exitError
	switch {
	case err == nil:
		return exitDone
	case a.interrupted.Load() && errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &exit):
		if exit.err != nil {
			a.say("Error: %v", exit.err)
		}
		return exit.code
	}
	a.say("Error: %v", err)
	switch code := sdk.ErrorCode(err); {
	case code == sdk.CodeInvalid, isUsage(err):
		return exitUsage
	case code == sdk.CodeUnauthenticated:
		a.say("Sign in with: fairlead login URL")
	}
	return exitOther
}

// isUsage reports whether err is cobra's about how it was called. It has no type.
func isUsage(err error) bool {
	for _, begin := range []string{"unknown command", "unknown flag", "unknown shorthand", "accepts ", "requires at least", "required flag", "invalid argument"} {
		if strings.HasPrefix(err.Error(), begin) {
			return true
		}
	}
	return false
}

// say tells a person something; it is never part of the answer.
func (a *app) say(format string, args ...any) {
	_, _ = fmt.Fprintf(a.err, format+"\n", args...) // nobody is left to tell
}

// root is the command tree.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "fairlead", Short: "Run jobs on machines behind other networks", Version: version,
		SilenceUsage: true, SilenceErrors: true,
		Long: "fairlead speaks to a Fairlead hub. Which one, and as whom: --url and --token-file,\n" +
			"else FAIRLEAD_URL and FAIRLEAD_TOKEN (or FAIRLEAD_TOKEN_FILE), else what fairlead login keeps.",
		PersistentPreRunE: func(*cobra.Command, []string) error {
			switch a.flags.output {
			case "table", "json", "yaml":
				return nil
			}
			return usage("--output is table, json or yaml, not %q", a.flags.output)
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exitError{exitUsage, err} })
	f := root.PersistentFlags()
	f.StringVar(&a.flags.url, "url", "", "address of the hub")
	f.StringVar(&a.flags.tokenFile, "token-file", "", "file with the API token, - for standard input")
	f.StringVar(&a.flags.caFile, "ca-file", "", "PEM file of CAs to trust in place of the system's")
	f.StringVar(&a.flags.context, "context", "", "which of the hubs of fairlead login")
	f.StringVarP(&a.flags.output, "output", "o", "table", "table, json or yaml")
	f.BoolVarP(&a.flags.quiet, "quiet", "q", false, "ids alone; no output of what runs")
	f.BoolVar(&a.flags.noColor, "no-color", false, "no colours")
	root.AddCommand(a.projects(), a.nodes(), a.jobs(), a.executions(), a.schedules(), a.calendars(), a.keys(), a.runners(), a.tokens(), a.cluster(), a.quota(),
		a.runCommand(), a.execCommand(), a.verifyFile(), a.loginCommand(), a.logoutCommand(), a.contexts(), a.apiCommand())
	return root
}

// projectFlag adds -p to a command.
func (a *app) projectFlag(c *cobra.Command) {
	c.Flags().StringVarP(&a.flags.project, "project", "p", "", "name of the project")
}

// patience is how long requests that may be repeated are, while no hub answers.
const patience = 15 * time.Second

// client makes a client of the chosen hub.
func (a *app) client() (*sdk.Client, error) {
	hub, err := a.hub()
	if err != nil {
		return nil, err
	}
	return a.clientOf(hub)
}

func (a *app) clientOf(hub hubContext) (*sdk.Client, error) {
	c, err := sdk.New(sdk.Config{
		URL: hub.URL, Token: hub.Token, CAs: []byte(hub.CA), Pinned: hub.Pinned, Patience: patience, UserAgent: "fairlead/" + version,
		Outage: a.tellOutage,
	})
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return c, nil
}

// tellOutage says that no hub answers, once, and that one does again.
func (a *app) tellOutage(err error) {
	if err == nil {
		a.say("The hub answers again.")
		return
	}
	a.say("Trying again: %v", err)
}

// inProject makes a client and finds out which project is meant.
func (a *app) inProject() (*sdk.Client, string, error) {
	hub, err := a.hub()
	if err != nil {
		return nil, "", err
	}
	project := first(a.flags.project, a.getenv("FAIRLEAD_PROJECT"), hub.Project)
	if project == "" {
		return nil, "", usage("which project? give -p NAME, or set FAIRLEAD_PROJECT")
	}
	if err := isName("the project's name", project); err != nil {
		return nil, "", err
	}
	c, err := a.clientOf(hub)
	return c, project, err
}

// first returns the first text that is not empty.
func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// maxFile bounds a file that is sent to the hub, in bytes; the hub's own limits are
// lower and say what they are about.
const maxFile = 64 << 20

// readFile reads a file, or standard input for "-".
func (a *app) readFile(name string) ([]byte, error) {
	in := a.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, &exitError{exitUsage, err}
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return nil, &exitError{exitUsage, fmt.Errorf("reading %s: %w", name, err)}
	}
	if len(b) > maxFile {
		return nil, usage("%s is larger than %d MiB", name, maxFile>>20)
	}
	return b, nil
}
