// Command fairlead-hub is the hub: API, user interface and the gateway that runners
// connect to, over SQLite or PostgreSQL.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	_ "time/tzdata" // the zones of schedules, where the machine has none (containers)

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/config"
	"github.com/fairlead/fairlead/proto/wire"
)

// version is set when the binary is linked.
var version = "dev"

// Exit codes, the same in every command.
const (
	exitUsage = 2
	exitOther = 5
)

func main() {
	// After the first signal the next one ends the process at once: context.AfterFunc
	// gives the signals back.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	p := &program{env: environment{
		environ: os.Environ(), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		home: config.Home{Root: os.Geteuid() == 0, XDGDataHome: os.Getenv("XDG_DATA_HOME"), Dir: os.Getenv("HOME")},
	}}
	err := p.command().ExecuteContext(ctx)
	if err != nil {
		p.explain(err)
	}
	os.Exit(exitCode(err))
}

// environment is what a process has around it; tests bring their own.
type environment struct {
	environ        []string
	stdin          io.Reader
	stdout, stderr io.Writer
	home           config.Home
}

// program is one call of the binary.
type program struct {
	env  environment
	file string // --config
}

// usageError is a command line that cannot be understood.
type usageError struct{ error }

func exitCode(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage), hub.ErrorCode(err) == hub.CodeInvalid:
		return exitUsage
	default:
		return exitOther
	}
}

// explain tells an error to the person who typed the command.
func (p *program) explain(err error) {
	var coded *hub.Error
	if !errors.As(err, &coded) {
		_, _ = fmt.Fprintf(p.env.stderr, "fairlead-hub: %v\n", err)
		return
	}
	_, _ = fmt.Fprintf(p.env.stderr, "fairlead-hub: %s\n", coded.Message)
	for _, f := range coded.Fields {
		_, _ = fmt.Fprintf(p.env.stderr, "  %s: %s\n", f.Path, f.Message)
	}
	if coded.Cause != nil {
		_, _ = fmt.Fprintf(p.env.stderr, "  cause: %v\n", coded.Cause)
	}
}

func (p *program) command() *cobra.Command {
	root := &cobra.Command{
		Use: "fairlead-hub", Short: "The hub of Fairlead: API, user interface and gateway for runners",
		SilenceErrors: true, SilenceUsage: true,
	}
	root.SetOut(p.env.stdout)
	root.SetErr(p.env.stderr)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if c.HasSubCommands() && c.Flags().NArg() > 0 { // the flag is of a command that there is not
			return noCommand(c, c.Flags().Arg(0))
		}
		return usageError{fmt.Errorf("%w; `%s --help` lists the flags", err, c.CommandPath())}
	})
	group(root)
	p.addFlags(root.PersistentFlags())
	root.AddCommand(
		&cobra.Command{Use: "serve", Short: "Serve UI, API and runners until told to end", Args: noArgs, RunE: p.serve},
		p.migrateCommand(),
		&cobra.Command{Use: "doctor", Short: "Look at configuration, host, database and archive, and tell what is wrong", Args: noArgs, RunE: p.doctor},
		p.holdCommand(),
		p.userCommand(),
		p.archiveCommand(),
		p.configCommand(),
		&cobra.Command{Use: "version", Short: "Tell the version", Args: noArgs, RunE: p.version},
	)
	return root
}

// group makes c one that only has commands: an unknown one is a wrong call, which cobra
// tells from others by its text alone, or not at all. The root without any helps.
func group(c *cobra.Command) *cobra.Command {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return noCommand(c, args[0])
		}
		if err := c.Help(); err != nil || !c.HasParent() {
			return err
		}
		return usageError{fmt.Errorf("%s needs one of its commands", c.CommandPath())}
	}
	return c
}

func noCommand(c *cobra.Command, name string) error {
	return usageError{fmt.Errorf("%s has no command %q; `%s --help` lists those there are", c.CommandPath(), name, c.CommandPath())}
}

func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s takes no arguments, but got %q", c.CommandPath(), args[0])}
	}
	return nil
}

// addFlags adds a flag for each field of the configuration that has one.
func (p *program) addFlags(flags *pflag.FlagSet) {
	defaults := config.Default(p.env.home)
	for _, f := range config.Fields(&defaults) {
		switch {
		case f.Flag == "":
		case f.Bool:
			flags.Bool(f.Flag, f.Value == "true", f.Help)
		default:
			flags.String(f.Flag, f.Value, f.Help)
		}
	}
	flags.StringVar(&p.file, "config", "", "YAML file of the configuration")
}

// load reads the configuration from all its sources and checks it.
func (p *program) load(c *cobra.Command) (*config.Config, []config.Field, error) {
	source := config.Source{Flags: map[string]string{}, Environ: p.env.environ, File: p.file}
	if source.File == "" {
		source.File = config.FileFromEnvironment(p.env.environ)
	}
	c.Flags().Visit(func(f *pflag.Flag) { source.Flags[f.Name] = f.Value.String() })
	cfg := config.Default(p.env.home)
	fields, err := config.Load(&cfg, source)
	if err != nil {
		return nil, nil, err
	}
	return &cfg, fields, cfg.Validate()
}

func (p *program) logger(cfg *config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.SlogLevel()}
	if cfg.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(p.env.stderr, options))
	}
	return slog.New(slog.NewTextHandler(p.env.stderr, options))
}

func (p *program) version(*cobra.Command, []string) error {
	_, err := fmt.Fprintf(p.env.stdout, "fairlead-hub %s (protocol %d to %d, %s, %s/%s)\n",
		version, wire.MinProtocolVersion, wire.MaxProtocolVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
