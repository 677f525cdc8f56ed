// Command fairlead-runner takes work from a hub and runs it in its own network.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/local"
)

// version is set when the binary is linked.
var version = "dev"

// Exit codes, the same in every command.
const (
	exitUsage = 2
	exitOther = 5
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == shimCommand {
		os.Exit(local.Shim()) // before all else: every local step waits for it
	}
	// After the first signal the next one ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	p := &program{
		environ: os.Environ(), args: os.Args[1:], stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		root: os.Geteuid() == 0, hangups: make(chan os.Signal, 1),
	}
	p.manager = serviceManager{p.getenv(notifySocket)}
	// Whose terminal is closed, and who started this with nohup, means what they always did.
	if _, err := unix.IoctlGetTermios(int(os.Stdin.Fd()), unix.TCGETS); err != nil && !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(p.hangups, syscall.SIGHUP)
	}
	var err error
	if p.self, err = selfPath(os.Args[0]); err == nil {
		err = p.command().ExecuteContext(ctx)
	}
	if err != nil {
		_, _ = fmt.Fprintln(p.stderr, "fairlead-runner:", err)
	}
	os.Exit(exitCode(err))
}

// program is one call of the binary with what a process has around it.
type program struct {
	self           string // path of the program's file
	args           []string
	environ        []string
	stdin          io.Reader
	stdout, stderr io.Writer
	root           bool
	manager        serviceManager
	hangups        chan os.Signal // SIGHUP: another process is to take over

	file  string // --config
	flags flags
}

// flags are those given on the command line; empty ones were not.
type flags struct {
	dataDir   string
	logLevel  string
	logFormat string
}

// usageError is a wrong call, as opposed to one that failed.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func exitCode(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		return exitUsage
	default:
		return exitOther
	}
}

func (p *program) command() *cobra.Command {
	root := &cobra.Command{
		Use: "fairlead-runner", Short: "Runs jobs of a Fairlead hub in this network",
		SilenceUsage: true, SilenceErrors: true,
	}
	root.Args, root.RunE = cobra.ArbitraryArgs, chooseCommand
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if c.HasSubCommands() && c.Flags().NArg() > 0 { // the flag is of a command that there is not
			return noCommand(c, c.Flags().Arg(0))
		}
		return usageError{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
	})
	f := root.PersistentFlags()
	f.StringVar(&p.file, "config", "", "configuration file (YAML)")
	f.StringVar(&p.flags.dataDir, "data-dir", "", "where identity, journal and output lie (default "+defaultDataDir(p.root, p.getenv)+")")
	f.StringVar(&p.flags.logLevel, "log-level", "", "debug, info, warn or error (default info)")
	f.StringVar(&p.flags.logFormat, "log-format", "", "text or json (default text)")
	root.AddCommand(p.enrollCommand(),
		&cobra.Command{
			Use: "run", Short: "Take work from the hub until a signal ends it", Args: noArgs, RunE: p.run,
			Long: "Take work from the hub until a signal ends it.\n\n" +
				"SIGTERM, SIGINT  take no more work, give commands over SSH drain.timeout to end, and end.\n" +
				"                 A second one ends the process at once.\n" +
				"SIGHUP           have a new process of the program's file as it is now, with the configuration as it is\n" +
				"                 now, take over. Nothing is cut: this process ends when the commands over SSH that it has\n" +
				"                 have ended. Refused, with an error in the log, when the new process does not come up.",
		},
		p.statusCommand(),
		&cobra.Command{Use: "version", Short: "Tell the version", Args: noArgs, RunE: p.version})
	return root
}

// chooseCommand runs for a command that is not known: a wrong call. Without any it
// helps.
func chooseCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	return noCommand(c, args[0])
}

func noCommand(c *cobra.Command, name string) error {
	return usageError{fmt.Errorf("%s has no command %q; see %s --help", c.CommandPath(), name, c.CommandPath())}
}

func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s takes no arguments; got %q", c.CommandPath(), args)}
	}
	return nil
}

func (p *program) version(*cobra.Command, []string) error {
	_, err := fmt.Fprintf(p.stdout, "fairlead-runner %s, protocol %d to %d, %s %s/%s\n",
		version, wire.MinProtocolVersion, wire.MaxProtocolVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

func (p *program) info() *runnerv1.RunnerInfo {
	host, err := os.Hostname()
	if err != nil {
		host = "" // shown to people only
	}
	return &runnerv1.RunnerInfo{Version: version, Os: runtime.GOOS, Arch: runtime.GOARCH, Hostname: host}
}

func (p *program) getenv(name string) string {
	prefix := name + "="
	for _, e := range p.environ {
		if len(e) >= len(prefix) && e[:len(prefix)] == prefix {
			return e[len(prefix):]
		}
	}
	return ""
}
