package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/sdk"
	"github.com/fairlead/fairlead/sdk/rest"
)

func (a *app) executions() *cobra.Command {
	noun := a.noun("executions", "Runs of jobs and commands", "execution")
	noun.AddCommand(a.listExecutions(), a.showExecution(), a.logCommand(), a.searchCommand(), a.exportCommand(), a.verifyExecution(), a.waitCommand(), a.cancelCommand(), a.rerunCommand(), a.retryCommand(), a.keepCommand())
	return noun
}

func (a *app) listExecutions() *cobra.Command {
	var q sdk.ExecutionQuery
	var all bool
	c := verb("list", "List executions, newest first", cobra.NoArgs, nil)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		hub, err := a.hub()
		if err != nil {
			return err
		}
		client, err := a.clientOf(hub)
		if err != nil {
			return err
		}
		q.Project = a.flags.project
		if !c.Flags().Changed("project") {
			q.Project = first(a.getenv("FAIRLEAD_PROJECT"), hub.Project)
		}
		if q.Job != "" && q.Project == "" && uuid.Validate(q.Job) != nil {
			return usage("which project has the job %q? give -p NAME, or the job's id", q.Job)
		}
		if all {
			q.Limit = math.MaxInt64
		}
		items, more, err := client.Executions(cmd.Context(), q)
		if err != nil {
			return err
		}
		if err := a.showExecutions(items); err != nil {
			return err
		}
		if more {
			a.say("There are older ones; --limit N shows more of them, --all shows all.")
		}
		return nil
	}
	c.Flags().StringVarP(&a.flags.project, "project", "p", "", "of this project; '' for all, also when the context has one")
	c.Flags().StringVar(&q.Job, "job", "", "of this job: its id, or its name with -p")
	c.Flags().StringSliceVar(&q.Statuses, "status", nil, "in any of these states")
	c.Flags().Int64Var(&q.Limit, "limit", 0, "how many at most; 100 when absent")
	c.Flags().BoolVar(&all, "all", false, "all there are")
	return c
}

func (a *app) showExecutions(items []rest.Execution) error {
	return list(a, items, func(e rest.Execution) string { return e.ID }, []string{"NUMBER", "STATUS", "PROJECT", "NAME", "NODES", "STARTED BY", "CREATED", "WAITING FOR"},
		func(e rest.Execution) []string {
			return []string{strconv.FormatInt(e.Number, 10), string(e.Status), e.Project, e.Name, counts(e.Nodes), e.StartedBy, moment(&e.CreatedAt), waiting(e.WaitingFor)}
		})
}

// waiting tells what an execution waits for, "" for nothing.
func waiting(w *rest.WaitingFor) string {
	if w == nil {
		return ""
	}
	return string(w.Kind) + ": " + w.Message
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
	since := ""
	if e.WaitingFor != nil {
		since = moment(&e.WaitingFor.Since)
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
		{"Reason", text(e.Reason)},
		{"Waiting for", waiting(e.WaitingFor)},
		{"Waiting since", since},
		{"Nodes", counts(e.Nodes)},
		{"Log", yes(sdk.Final(e.Status) && !e.LogComplete, "incomplete")},
		{"Started by", e.StartedBy},
		{"Cancelled by", text(e.CancelledBy)},
		{"Created", moment(&e.CreatedAt)},
		{"To start", moment(e.RunAt)},
		{"Started", moment(e.StartedAt)},
		{"Ended", moment(e.EndedAt)},
		{"Kept", yes(e.Kept, "for ever")},
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

func (a *app) waitCommand() *cobra.Command {
	var timeout time.Duration
	c := verb("wait ID", "Wait until an execution has ended; the exit code tells how", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		if timeout < 0 {
			return usage("--timeout is how long to wait, not %s", timeout)
		}
		ctx := c.Context()
		if timeout > 0 {
			var cancel func()
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
		err = a.watch(client, args[0], args[0], false).await(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			return &exitError{exitOther, fmt.Errorf("execution %s has not ended within %s; it goes on", args[0], timeout)}
		}
		return err
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
