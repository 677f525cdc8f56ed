package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/sdk"
	"github.com/fairlead/fairlead/sdk/rest"
)

func (a *app) executions() *cobra.Command {
	noun := a.noun("executions", "Runs of jobs and commands", "execution")
	noun.AddCommand(a.listExecutions(), a.showExecution(), a.logCommand(), a.waitCommand(), a.cancelCommand())
	return noun
}

func (a *app) listExecutions() *cobra.Command {
	var q sdk.ExecutionQuery
	c := verb("list", "List executions, newest first", cobra.NoArgs, nil)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		q.Project = first(a.flags.project, a.getenv("FAIRLEAD_PROJECT"))
		all, _, err := client.Executions(cmd.Context(), q)
		if err != nil {
			return err
		}
		return list(a, all, func(e rest.Execution) string { return e.ID }, []string{"NUMBER", "STATUS", "PROJECT", "NAME", "NODES", "STARTED BY", "CREATED"},
			func(e rest.Execution) []string {
				return []string{strconv.FormatInt(e.Number, 10), string(e.Status), e.Project, e.Name, counts(e.Nodes), e.StartedBy, moment(&e.CreatedAt)}
			})
	}
	a.projectFlag(c)
	c.Flags().StringVar(&q.Job, "job", "", "of this job: its id, or its name with -p")
	c.Flags().StringSliceVar(&q.Statuses, "status", nil, "in any of these states")
	c.Flags().Int64Var(&q.Limit, "limit", 0, "how many at most; 100 when absent")
	return c
}

func (a *app) showExecution() *cobra.Command {
	var nodes bool
	c := verb("show ID", "Show an execution", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		e, err := client.Execution(c.Context(), args[0])
		if err != nil {
			return err
		}
		if !nodes {
			return a.show(e)
		}
		return a.showMatrix(c.Context(), client, e)
	})
	c.Flags().BoolVar(&nodes, "nodes", false, "its nodes and their steps instead")
	return c
}

// show answers with one execution.
func (a *app) show(e *rest.Execution) error {
	waiting := ""
	if e.WaitingFor != nil {
		waiting = e.WaitingFor.Message
	}
	outcome := ""
	if !sdk.Final(e.Status) {
		outcome = text(e.Outcome)
	}
	return one(a, e, e.ID, []field{
		{"Execution", strconv.FormatInt(e.Number, 10)},
		{"Id", e.ID},
		{"Name", e.Name},
		{"Project", e.Project},
		{"Status", string(e.Status)},
		{"Outcome", outcome},
		{"Waiting for", waiting},
		{"Nodes", counts(e.Nodes)},
		{"Log", yes(sdk.Final(e.Status) && !e.LogComplete, "incomplete")},
		{"Started by", e.StartedBy},
		{"Cancelled by", text(e.CancelledBy)},
		{"Created", moment(&e.CreatedAt)},
		{"Started", moment(e.StartedAt)},
		{"Ended", moment(e.EndedAt)},
		{"Page", e.URL},
	})
}

// showMatrix answers with the nodes of an execution, one row for each step.
func (a *app) showMatrix(ctx context.Context, client *sdk.Client, e *rest.Execution) error {
	rows, err := client.ExecutionNodes(ctx, e.ID)
	if err != nil {
		return err
	}
	if a.flags.output != "table" {
		return a.encode(rows)
	}
	type line struct {
		node rest.ExecutionNode
		step rest.StepOn
	}
	var lines []line
	for _, n := range rows {
		for _, s := range n.Steps {
			lines = append(lines, line{n, s})
		}
	}
	labels := map[int64]string{}
	if e.Steps != nil {
		for _, s := range *e.Steps {
			labels[s.Position] = s.Label
		}
	}
	return list(a, lines, func(l line) string { return l.node.Node }, []string{"NODE", "STEP", "STATUS", "EXIT", "MESSAGE"}, func(l line) []string {
		exit := text(l.step.Signal)
		if l.step.Code != nil {
			exit = strconv.FormatInt(*l.step.Code, 10)
		}
		return []string{l.node.Node, labels[l.step.Step], string(l.step.Status), exit, text(l.step.Message)}
	})
}

func (a *app) logCommand() *cobra.Command {
	var f followFlags
	var o sdk.LogOptions
	var following bool
	var format, step string
	c := verb("log ID", "Show or follow the output of an execution", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		if o.Step, err = stepPosition(step); err != nil {
			return err
		}
		w := &lineWriter{out: a.out, prefix: !f.noPrefix, terminal: a.colour}
		each := w.line
		switch format {
		case "text":
		case "ndjson":
			each = func(l rest.LogLine) error {
				b, err := record(l)
				if err != nil {
					return err
				}
				_, err = a.out.Write(b)
				return err
			}
		default:
			return usage("--format is text or ndjson, not %q", format)
		}
		read, waiting := client.ReadLog, func() {}
		if following {
			read, waiting = client.FollowLog, a.tellWaiting(c.Context(), client, args[0], w)
		}
		_, err = read(c.Context(), args[0], o, each)
		waiting()
		if err != nil {
			if following && a.interrupted.Load() {
				a.say("\nStopped following; the execution is not affected. To cancel it: fairlead executions cancel %s", args[0])
				return &exitError{exitInterrupted, nil}
			}
			return err
		}
		return w.flush()
	})
	f.add(c)
	_ = c.Flags().MarkHidden("cancel-on-interrupt") // fails for flags that do not exist
	c.Flags().BoolVarP(&following, "follow", "f", false, "stay until the execution has ended, also when a hub restarts")
	c.Flags().StringVar(&format, "format", "text", "text or ndjson")
	c.Flags().StringVar(&o.Node, "node", "", "lines of this node alone")
	c.Flags().StringVar(&step, "step", "", "lines of this step alone, from 1")
	c.Flags().Int64Var(&o.Tail, "tail", 0, "begin with the last so many lines")
	return c
}

func (a *app) waitCommand() *cobra.Command {
	var timeout time.Duration
	c := verb("wait ID", "Wait until an execution has ended; the exit code tells how", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		ctx := c.Context()
		if timeout > 0 {
			var cancel func()
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
		e, err := client.Wait(ctx, args[0])
		if err != nil {
			if c.Context().Err() == nil && ctx.Err() != nil {
				return &exitError{exitOther, fmt.Errorf("execution %s has not ended within %s; it goes on", args[0], timeout)}
			}
			return err
		}
		if err := a.show(e); err != nil {
			return err
		}
		return verdict(e)
	})
	c.Flags().DurationVar(&timeout, "timeout", 0, "give up waiting after this long")
	return c
}

func (a *app) cancelCommand() *cobra.Command {
	var nodes []string
	var wait bool
	c := verb("cancel ID", "Cancel an execution, or single nodes of it", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		e, err := client.Cancel(c.Context(), args[0], nodes...)
		if err != nil {
			return err
		}
		if wait {
			if e, err = client.Wait(c.Context(), e.ID); err != nil {
				return err
			}
		}
		if a.flags.output != "table" || a.flags.quiet {
			return one(a, e, e.ID, nil)
		}
		a.say("%s", a.summary(e))
		return nil
	})
	c.Aliases = []string{"abort", "kill"}
	// Aliases are shown by cobra; these two are for fingers that know other programs.
	c.SetHelpTemplate("{{.Short}}\n\nUsage:\n  {{.UseLine}}\n\nFlags:\n{{.LocalFlags.FlagUsages}}")
	c.Flags().StringSliceVar(&nodes, "node", nil, "only these nodes")
	c.Flags().BoolVar(&wait, "wait", false, "until it has ended")
	return c
}

// runFlags are those that run and exec share.
type runFlags struct {
	filter      string
	threadcount int64
	keepgoing   bool
	wait        bool
	follow      followFlags
}

func (f *runFlags) add(a *app, c *cobra.Command) {
	a.projectFlag(c)
	f.follow.add(c)
	c.Flags().StringVar(&f.filter, "filter", "", "a node filter, such as 'tags: web'")
	c.Flags().Int64Var(&f.threadcount, "threadcount", 0, "nodes at once")
	c.Flags().BoolVar(&f.keepgoing, "keepgoing", false, "go on with other nodes after a failure")
	c.Flags().BoolVar(&f.wait, "wait", false, "wait for the end without output; the exit code tells it")
}

func (a *app) runCommand() *cobra.Command {
	var f runFlags
	var options []string
	var following bool
	c := verb("run JOB", "Run a job; prints the execution and returns", cobra.ExactArgs(1), nil)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		client, project, err := a.inProject()
		if err != nil {
			return err
		}
		values, err := a.options(options)
		if err != nil {
			return err
		}
		in := rest.RunJob{}
		if len(values) > 0 {
			in.Options = &values
		}
		if f.filter != "" {
			in.NodeFilter = &f.filter
		}
		if f.threadcount > 0 {
			in.Threadcount = &f.threadcount
		}
		if c.Flags().Changed("keepgoing") {
			in.Keepgoing = &f.keepgoing
		}
		e, err := client.RunJob(cmd.Context(), project, args[0], in, 0)
		if err != nil {
			return err
		}
		return a.started(cmd.Context(), client, e, f, following)
	}
	f.add(a, c)
	c.Flags().BoolVarP(&following, "follow", "f", false, "show the output until it has ended; the exit code tells how")
	c.Flags().StringArrayVar(&options, "opt", nil, "an option's value, NAME=VALUE; NAME=@FILE takes it from a file, NAME=@- from standard input")
	return c
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
	return values, nil
}

// started goes on with an execution as the flags say.
func (a *app) started(ctx context.Context, client *sdk.Client, e *rest.Execution, f runFlags, following bool) error {
	switch {
	case following && !a.flags.quiet:
		if a.flags.output == "table" {
			a.say("Execution %d: %s", e.Number, e.URL)
		}
		return a.follow(ctx, client, e, f.follow)
	case f.wait:
		end, err := client.Wait(ctx, e.ID)
		if err != nil {
			return err
		}
		if err := a.show(end); err != nil {
			return err
		}
		return verdict(end)
	}
	return a.show(e)
}

func (a *app) execCommand() *cobra.Command {
	var f runFlags
	var script, interpreter string
	var detach, local bool
	var timeout time.Duration
	c := verb("exec -- COMMAND", "Run a command on nodes and show its output; the exit code tells how it ended", cobra.ArbitraryArgs, func(c *cobra.Command, args []string) error {
		client, project, err := a.inProject()
		if err != nil {
			return err
		}
		if (f.filter == "") != local {
			return usage("where? give --filter, such as 'tags: web', or --local for the runner's own host")
		}
		in := rest.RunCommand{}
		if err := a.whatToRun(&in, args, script, interpreter); err != nil {
			return err
		}
		if f.filter != "" {
			in.NodeFilter = &f.filter
		}
		if f.threadcount > 0 {
			in.Threadcount = &f.threadcount
		}
		if f.keepgoing {
			in.Keepgoing = &f.keepgoing
		}
		if timeout > 0 {
			ms := timeout.Milliseconds()
			in.TimeoutMs = &ms
		}
		e, err := client.RunCommand(c.Context(), project, in, 0)
		if err != nil {
			return err
		}
		return a.started(c.Context(), client, e, f, !detach && !f.wait)
	})
	f.add(a, c)
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
	in.Script = &body
	if command != "" {
		in.Args = &command
	}
	if interpreter != "" {
		in.Interpreter = &interpreter
	}
	return nil
}
