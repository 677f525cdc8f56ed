package main

import (
	"context"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/sdk"
	"github.com/fairlead/fairlead/sdk/rest"
)

// runFlags are those of commands that start an execution.
type runFlags struct {
	filter      string
	nodes       []string
	threadcount int64
	at          string
	keepgoing   bool
	wait        bool
	follow      followFlags
}

func (f *runFlags) add(c *cobra.Command) {
	f.follow.add(c)
	c.Flags().Int64Var(&f.threadcount, "threadcount", 0, "nodes at once")
	c.Flags().StringVar(&f.at, "at", "", "when it is to start, within a year, such as 2026-12-01T02:00:00+01:00; its nodes are found then")
	c.Flags().BoolVar(&f.keepgoing, "keepgoing", false, "go on with other nodes after a failure")
	c.Flags().BoolVar(&f.wait, "wait", false, "wait for the end without output; the exit code tells it")
}

// addWhere adds those that say on which nodes.
func (f *runFlags) addWhere(c *cobra.Command) {
	c.Flags().StringVar(&f.filter, "filter", "", "a node filter, such as 'tags: web'")
	c.Flags().StringSliceVar(&f.nodes, "node", nil, "of the nodes that the filter gives, these alone")
}

// check refuses what would have no effect; stays: the command stays until the end.
func (f *runFlags) check(c *cobra.Command, stays bool) error {
	if c.Flags().Changed("threadcount") && f.threadcount < 1 {
		return usage("--threadcount is a number of nodes, from 1, not %d", f.threadcount)
	}
	if f.follow.cancelOnInterrupt && !stays && !f.wait {
		return usage("--cancel-on-interrupt needs a command that stays until the end: --follow or --wait")
	}
	return nil
}

// runAt reads when it is to start, nil for now.
func (f *runFlags) runAt() (*time.Time, error) {
	if f.at == "" {
		return nil, nil
	}
	at, err := time.Parse(time.RFC3339, f.at)
	if err != nil {
		return nil, usage("--at is a time with its offset from UTC, such as 2026-12-01T02:00:00+01:00 or 2026-12-01T01:00:00Z, not %q", f.at)
	}
	return &at, nil
}

// ofJob puts what was given into a run of a job.
func (f *runFlags) ofJob(c *cobra.Command, in *rest.RunJob) {
	if f.filter != "" {
		in.NodeFilter = &f.filter
	}
	if len(f.nodes) > 0 {
		in.Nodes = &f.nodes
	}
	if f.threadcount > 0 {
		in.Threadcount = &f.threadcount
	}
	if c.Flags().Changed("keepgoing") {
		in.Keepgoing = &f.keepgoing
	}
}

// ofCommand puts what was given into a run of a command.
func (f *runFlags) ofCommand(c *cobra.Command, in *rest.RunCommand) {
	if f.filter != "" {
		in.NodeFilter = &f.filter
	}
	if len(f.nodes) > 0 {
		in.Nodes = &f.nodes
	}
	if f.threadcount > 0 {
		in.Threadcount = &f.threadcount
	}
	if c.Flags().Changed("keepgoing") {
		in.Keepgoing = &f.keepgoing
	}
}

func (a *app) runCommand() *cobra.Command {
	var f runFlags
	var options []string
	var following bool
	c := verb("run JOB", "Run a job; prints the execution and returns", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		if err := f.check(c, following); err != nil {
			return err
		}
		client, project, err := a.inProject()
		if err != nil {
			return err
		}
		values, err := a.options(options)
		if err != nil {
			return err
		}
		in := rest.RunJob{}
		if in.RunAt, err = f.runAt(); err != nil {
			return err
		}
		if len(values) > 0 {
			in.Options = &values
		}
		f.ofJob(c, &in)
		e, err := client.RunJob(c.Context(), project, args[0], in, 0)
		if err != nil {
			return err
		}
		return a.started(c.Context(), client, e, f, following)
	})
	a.projectFlag(c)
	f.add(c)
	f.addWhere(c)
	followFlag(c, &following)
	optionFlag(c, &options)
	return c
}

func followFlag(c *cobra.Command, following *bool) {
	c.Flags().BoolVarP(following, "follow", "f", false, "show the output until it has ended; the exit code tells how")
}

func optionFlag(c *cobra.Command, options *[]string) {
	c.Flags().StringArrayVar(options, "opt", nil, "an option's value, NAME=VALUE; NAME=@FILE takes it from a file, NAME=@- from standard input")
}

// options reads --opt. Secrets come by file, so that no command line shows them.
func (a *app) options(texts []string) (map[string]string, error) {
	values, err := pairs(texts)
	if err != nil {
		return nil, err
	}
	for name, value := range values {
		file, isFile := strings.CutPrefix(value, "@")
		if !isFile {
			continue
		}
		if literal, escaped := strings.CutPrefix(file, "@"); escaped {
			values[name] = "@" + literal
			continue
		}
		b, err := a.readFile(file)
		if err != nil {
			return nil, err
		}
		values[name] = strings.TrimRight(string(b), "\r\n")
	}
	for name, value := range values {
		if err := isText("the value of option "+name, value); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// isText refuses what is not UTF-8. JSON has no other text: what it puts in the place of
// such bytes would run as if it had been given.
func isText(what, value string) error {
	if !utf8.ValidString(value) {
		return usage("%s is not UTF-8: save or give it as UTF-8", what)
	}
	return nil
}

// started goes on with an execution as the flags say.
func (a *app) started(ctx context.Context, client *sdk.Client, e *rest.Execution, f runFlags, following bool) error {
	if n := len(f.nodes); n > 0 && count(e.Nodes) < int64(n) {
		a.say("Of the %d nodes named, the filter gives only %d.", n, count(e.Nodes))
	}
	w := a.watch(client, e.ID, strconv.FormatInt(e.Number, 10), f.follow.cancelOnInterrupt)
	switch {
	case f.wait, following && a.flags.quiet:
		return w.await(ctx)
	case following:
		return a.followRun(ctx, w, e, f.follow)
	}
	return a.show(e)
}

// followRun follows an execution that was just started. In a table's place the answer
// is the execution, and its log goes beside.
func (a *app) followRun(ctx context.Context, w *watch, e *rest.Execution, f followFlags) error {
	table := a.flags.output == "table"
	lines := &lineWriter{out: a.out, system: a.say, prefix: !f.noPrefix, terminal: a.colour}
	if table {
		a.say("Execution %d: %s", e.Number, e.URL)
	} else {
		lines.out, lines.terminal = a.err, a.asks
	}
	end, err := w.follow(ctx, sdk.LogOptions{}, lines)
	if end != nil && !table {
		if err := a.encode(end); err != nil {
			return err
		}
	}
	return err
}

func (a *app) execCommand() *cobra.Command {
	var f runFlags
	var script, interpreter string
	var detach, local bool
	var timeout time.Duration
	c := verb("exec -- COMMAND", "Run a command on nodes and show its output; the exit code tells how it ended", cobra.ArbitraryArgs, func(c *cobra.Command, args []string) error {
		if (f.filter == "") != local {
			return usage("where? give --filter, such as 'tags: web', or --local for the runner's own host")
		}
		if local && len(f.nodes) > 0 {
			return usage("--node names nodes of --filter; --local is the runner's own host")
		}
		if detach && f.wait {
			return usage("give either --detach or --wait")
		}
		if err := f.check(c, !detach); err != nil {
			return err
		}
		if timeout != 0 && timeout < time.Second {
			return usage("--timeout is at least 1s, not %s", timeout)
		}
		client, project, err := a.inProject()
		if err != nil {
			return err
		}
		in := rest.RunCommand{}
		if in.RunAt, err = f.runAt(); err != nil {
			return err
		}
		if err := a.whatToRun(&in, args, script, interpreter); err != nil {
			return err
		}
		f.ofCommand(c, &in)
		if timeout > 0 {
			ms := timeout.Milliseconds()
			in.TimeoutMs = &ms
		}
		e, err := client.RunCommand(c.Context(), project, in, 0)
		if err != nil {
			return err
		}
		return a.started(c.Context(), client, e, f, !detach)
	})
	c.Args = cobra.ArbitraryArgs // they name nothing: a command's own may be empty, or "."
	a.projectFlag(c)
	f.add(c)
	f.addWhere(c)
	c.Flags().StringVar(&script, "script", "", "file with a script to run instead, - for standard input; COMMAND is its arguments")
	c.Flags().StringVar(&interpreter, "interpreter", "", "what runs the script, such as bash")
	c.Flags().BoolVar(&detach, "detach", false, "print the execution and return")
	c.Flags().BoolVar(&local, "local", false, "on the runner's own host")
	c.Flags().DurationVar(&timeout, "timeout", 0, "end it after this long")
	return c
}

// whatToRun puts the command or script into a request.
func (a *app) whatToRun(in *rest.RunCommand, args []string, script, interpreter string) error {
	command := strings.Join(args, " ")
	if err := isText("the command", command); err != nil {
		return err
	}
	if script == "" {
		if strings.TrimSpace(command) == "" {
			return usage("which command? fairlead exec -p P --filter F -- COMMAND")
		}
		in.Command = &command
		return nil
	}
	b, err := a.readFile(script)
	if err != nil {
		return err
	}
	body := string(b)
	if body == "" {
		return usage("%s is empty; write the script into it", script)
	}
	if err := isText(script, body); err != nil {
		return err
	}
	in.Script = &body
	if command != "" {
		in.Args = &command
	}
	if interpreter != "" {
		in.Interpreter = &interpreter
	}
	return nil
}
