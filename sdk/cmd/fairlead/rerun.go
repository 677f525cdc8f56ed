package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/sdk"
	"github.com/fairlead/fairlead/sdk/rest"
)

func (a *app) rerunCommand() *cobra.Command {
	return a.again("rerun ID", "Run again what an execution ran: same options, filter and limits, and on the same nodes if its start named them", nil)
}

func (a *app) retryCommand() *cobra.Command {
	return a.again("retry ID", "Run again what an execution ran, on the nodes where it failed or timed out", a.failedNodes)
}

// again makes a command that runs an execution once more, on the nodes that choose
// names; nil: flags may say which.
func (a *app) again(use, short string, choose func(context.Context, *sdk.Client, *rest.Execution) ([]string, error)) *cobra.Command {
	var f runFlags
	var options []string
	var following bool
	c := verb(use, short, cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		if err := f.check(c, following); err != nil {
			return err
		}
		given, err := a.options(options)
		if err != nil {
			return err
		}
		client, err := a.client()
		if err != nil {
			return err
		}
		old, err := client.Execution(c.Context(), args[0])
		if err != nil {
			return err
		}
		if choose != nil {
			f.nodes, err = choose(c.Context(), client, old)
		} else if len(f.nodes) == 0 && f.filter == "" && old.NodesNamed != nil && *old.NodesNamed {
			f.nodes, err = a.allNodes(c.Context(), client, old)
		}
		if err != nil {
			return err
		}
		var e *rest.Execution
		if old.Job == nil {
			e, err = a.commandAgain(c, client, old, &f, given)
		} else {
			e, err = a.jobAgain(c, client, old, &f, given)
		}
		if err != nil {
			return err
		}
		return a.started(c.Context(), client, e, f, following)
	})
	f.add(c)
	if choose == nil {
		f.addWhere(c)
	}
	followFlag(c, &following)
	optionFlag(c, &options)
	return c
}

// allNodes are those that an execution was limited to by name, as a retry is: its filter
// alone would select more.
func (a *app) allNodes(ctx context.Context, client *sdk.Client, e *rest.Execution) ([]string, error) {
	rows, err := client.ExecutionNodes(ctx, e.ID)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, n := range rows {
		all = append(all, n.Node)
	}
	return all, nil
}

// failedNodes are the nodes to retry. One that is unknown may have run, and is never
// run again by itself.
func (a *app) failedNodes(ctx context.Context, client *sdk.Client, e *rest.Execution) ([]string, error) {
	if !sdk.Final(e.Status) {
		return nil, &exitError{exitOther, fmt.Errorf("execution %d has not ended yet; wait for it, or cancel it", e.Number)}
	}
	rows, err := client.ExecutionNodes(ctx, e.ID)
	if err != nil {
		return nil, err
	}
	var failed, unknown []string
	for _, n := range rows {
		switch n.Status {
		case rest.StatusFailed, rest.StatusTimedOut:
			failed = append(failed, n.Node)
		case rest.StatusUnknown:
			unknown = append(unknown, n.Node)
		default:
		}
	}
	if len(unknown) > 0 {
		a.say("Left out, because nobody knows whether it ran there: %s\nLook at them, and then: fairlead executions rerun %d --node NAME", oneLine(strings.Join(unknown, ", ")), e.Number)
	}
	if len(failed) == 0 {
		return nil, &exitError{exitOther, fmt.Errorf("execution %d failed on no node; fairlead executions rerun %d runs it on all", e.Number, e.Number)}
	}
	return failed, nil
}

// jobAgain runs the job as it is now.
func (a *app) jobAgain(c *cobra.Command, client *sdk.Client, old *rest.Execution, f *runFlags, given map[string]string) (*rest.Execution, error) {
	job, err := client.Job(c.Context(), old.Project, old.Job.ID)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	if old.Options != nil {
		maps.Copy(values, *old.Options)
	}
	maps.Copy(values, given)
	if old.SecureOptions != nil {
		lacking := slices.DeleteFunc(slices.Clone(*old.SecureOptions), func(name string) bool { _, ok := given[name]; return ok })
		if len(lacking) > 0 {
			return nil, usage("values of secure options are not kept; give them again: --opt %s=@FILE", strings.Join(lacking, "=@FILE --opt "))
		}
	}
	in := rest.RunJob{Options: &values, Threadcount: old.Threadcount, Keepgoing: &old.Keepgoing}
	if job.Dispatch.Editable && text(old.NodeFilter) != text(job.Dispatch.Filter) {
		in.NodeFilter = old.NodeFilter
	}
	f.ofJob(c, &in)
	return client.RunJob(c.Context(), old.Project, job.ID, in, 0)
}

// commandAgain runs an ad-hoc command as it was.
func (a *app) commandAgain(c *cobra.Command, client *sdk.Client, old *rest.Execution, f *runFlags, given map[string]string) (*rest.Execution, error) {
	if len(given) > 0 {
		return nil, usage("execution %d was a command and has no options", old.Number)
	}
	if old.Command == nil {
		return nil, &exitError{exitOther, fmt.Errorf("this hub does not tell what execution %d ran; it is older than this program", old.Number)}
	}
	in := *old.Command
	f.ofCommand(c, &in)
	return client.RunCommand(c.Context(), old.Project, in, 0)
}
