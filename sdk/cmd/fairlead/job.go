package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/sdk"
	"github.com/fairlead/fairlead/sdk/rest"
)

func (a *app) jobs() *cobra.Command {
	noun := a.noun("jobs", "Definitions of what to run", "job")
	var search, file string
	lists := verb("list", "List jobs", cobra.NoArgs, func(c *cobra.Command, _ []string) error {
		client, project, err := a.inProject()
		if err != nil {
			return err
		}
		jobs, err := client.Jobs(c.Context(), project, search)
		if err != nil {
			return err
		}
		return list(a, jobs, func(j rest.JobSummary) string { return j.ID }, []string{"JOB", "REVISION", "DESCRIPTION", "ID"},
			func(j rest.JobSummary) []string {
				return []string{fullName(j.Group, j.Name), strconv.FormatInt(j.Revision, 10), j.Description, j.ID}
			})
	})
	lists.Flags().StringVar(&search, "search", "", "part of group/name")
	show := verb("show JOB", "Show a job", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, project, err := a.inProject()
		if err != nil {
			return err
		}
		j, err := client.Job(c.Context(), project, args[0])
		if err != nil {
			return err
		}
		return a.showJob(j)
	})
	export := verb("export [JOB]", "Write jobs as a Rundeck YAML file: one, or all of the project", cobra.MaximumNArgs(1), func(c *cobra.Command, args []string) error {
		client, project, err := a.inProject()
		if err != nil {
			return err
		}
		out, err := client.ExportJobs(c.Context(), project, strings.Join(args, ""))
		if err != nil {
			return err
		}
		return a.writeFile(file, out)
	})
	export.Flags().StringVar(&file, "file", "-", "where to, - for standard output")
	remove := verb("delete JOB", "Delete a job; its executions stay", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, project, err := a.inProject()
		if err != nil {
			return err
		}
		return client.DeleteJob(c.Context(), project, args[0])
	})
	for _, c := range []*cobra.Command{a.importJobs(), lists, show, export, remove} {
		a.projectFlag(c)
		noun.AddCommand(c)
	}
	return noun
}

func (a *app) importJobs() *cobra.Command {
	var dryRun bool
	c := verb("import FILE...", "Create or update jobs from Rundeck YAML files; of each file all or none", cobra.MinimumNArgs(1), func(c *cobra.Command, args []string) error {
		client, project, err := a.inProject()
		if err != nil {
			return err
		}
		all := []rest.ImportedJob{}
		for _, name := range args {
			items, err := a.importFile(c.Context(), client, project, name, dryRun)
			if err != nil {
				if len(all) > 0 && !dryRun {
					a.say("What the files before it hold was imported: %d jobs.", len(all))
				}
				return err
			}
			all = append(all, items...)
		}
		return list(a, all, func(j rest.ImportedJob) string { return text(j.ID) }, []string{"JOB", "RESULT", "ID"},
			func(j rest.ImportedJob) []string {
				return []string{fullName(j.Group, j.Name), string(j.Result), text(j.ID)}
			})
	})
	c.Flags().BoolVar(&dryRun, "dry-run", false, "check and report, change nothing")
	return c
}

// importFile imports one file; what is wrong with it is told with its name.
func (a *app) importFile(ctx context.Context, client *sdk.Client, project, name string, dryRun bool) ([]rest.ImportedJob, error) {
	file, err := a.readFile(name)
	if err != nil {
		return nil, err
	}
	if len(file) == 0 {
		return nil, usage("%s is empty; write the jobs into it", name)
	}
	done, err := client.ImportJobs(ctx, project, file, dryRun)
	if err != nil {
		return nil, named(name, err)
	}
	for _, w := range done.Warnings {
		a.say("%s: %s: %s", name, w.Path, w.Message)
	}
	return done.Items, nil
}

// named puts a file's name before an error.
func named(name string, err error) error {
	return &namedError{name, err}
}

type namedError struct {
	name string
	err  error
}

func (e *namedError) Error() string { return e.name + ": " + e.err.Error() }
func (e *namedError) Unwrap() error { return e.err }

// fullName is group/name.
func fullName(group, name string) string {
	if group == "" {
		return name
	}
	return group + "/" + name
}

func (a *app) showJob(j *rest.Job) error {
	fields := []field{
		{"Job", fullName(j.Group, j.Name)},
		{"Id", j.ID},
		{"UUID", j.UUID},
		{"Description", j.Description},
		{"Revision", strconv.FormatInt(j.Revision, 10)},
		{"Changed", moment(&j.UpdatedAt)},
		{"Timeout", text(j.Timeout)},
		{"Strategy", string(j.Strategy)},
		{"Nodes", text(j.Dispatch.Filter)},
		{"Threads", text(j.Dispatch.Threadcount)},
	}
	for _, o := range j.Options {
		words := []string{}
		for _, w := range []string{yes(o.Required, "required"), yes(o.Secure, "secure"), yes(o.Enforced, "enforced"), text(o.Description)} {
			if w != "" {
				words = append(words, w)
			}
		}
		if v := text(o.Value); v != "" {
			words = append(words, "default "+strconv.Quote(v))
		}
		fields = append(fields, field{"Option " + o.Name, strings.Join(append([]string{"-"}, words...), " ")})
	}
	for _, s := range j.Steps {
		fields = append(fields, field{"Step " + strconv.FormatInt(s.Position, 10), s.Label})
	}
	return one(a, j, j.ID, fields)
}
