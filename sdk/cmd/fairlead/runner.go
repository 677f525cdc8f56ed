package main

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/sdk"
	"github.com/fairlead/fairlead/sdk/rest"
)

func (a *app) runners() *cobra.Command {
	noun := a.noun("runners", "Agents that run steps", "runner")
	var revoked bool
	lists := verb("list", "List runners", cobra.NoArgs, func(c *cobra.Command, _ []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		runners, err := client.Runners(c.Context(), revoked)
		if err != nil {
			return err
		}
		return list(a, runners, func(r rest.Runner) string { return r.ID }, []string{"NAME", "STATE", "TAGS", "PROJECTS", "RUNS", "VERSION", "SEEN", "ID"},
			func(r rest.Runner) []string {
				return []string{
					r.Name, string(r.State), strings.Join(r.Tags, ","), serves(&r),
					strconv.FormatInt(r.Live, 10) + "/" + strconv.FormatInt(r.Slots, 10), text(r.Version), moment(r.LastSeenAt), r.ID,
				}
			})
	})
	lists.Flags().BoolVar(&revoked, "revoked", false, "revoked ones too")
	noun.AddCommand(lists, a.runnerVerb("show RUNNER", "Show a runner", nil, (*sdk.Client).Runner),
		a.runnerVerb("drain RUNNER", "Give a runner no more work", nil, (*sdk.Client).DrainRunner),
		a.runnerVerb("release RUNNER", "Give a quarantined or drained runner work again", []string{"resume"}, (*sdk.Client).ReleaseRunner),
		a.runnerVerb("revoke RUNNER", "Refuse a runner for ever", nil, (*sdk.Client).RevokeRunner), a.editRunner(), a.runnerTokens())
	return noun
}

// runnerVerb is a command about one runner, which it shows then.
func (a *app) runnerVerb(use, short string, aliases []string, do func(*sdk.Client, context.Context, string) (*rest.Runner, error)) *cobra.Command {
	c := verb(use, short, cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		r, err := do(client, c.Context(), args[0])
		if err != nil {
			return err
		}
		return a.showRunner(r)
	})
	c.Aliases = aliases
	return c
}

// noProject is what a runner is bound to that was taken in again after the database had
// lost it: without any project it would serve all.
const noProject = "00000000-0000-0000-0000-000000000000"

// serves are the projects of a runner, "" for all.
func serves(r *rest.Runner) string {
	if slices.Equal(r.Projects, []string{noProject}) {
		return "none"
	}
	return strings.Join(r.Projects, ",")
}

func (a *app) showRunner(r *rest.Runner) error {
	return one(a, r, r.ID, []field{
		{"Name", r.Name},
		{"Id", r.ID},
		{"State", string(r.State)},
		{"Quarantined", text(r.Quarantined)},
		{"Tags", strings.Join(r.Tags, ",")},
		{"Projects", serves(r)},
		{"Host", text(r.Hostname)},
		{"System", strings.Trim(text(r.Os)+"/"+text(r.Arch), "/")},
		{"Version", text(r.Version)},
		{"Runs", strconv.FormatInt(r.Live, 10) + " of " + strconv.FormatInt(r.Slots, 10)},
		{"Enrolled", moment(&r.EnrolledAt)},
		{"Seen", moment(r.LastSeenAt)},
		{"Certificate until", moment(r.CertificateExpiresAt)},
	})
}

func (a *app) editRunner() *cobra.Command {
	var name, tags string
	var projects []string
	var anyProject bool
	c := verb("edit RUNNER", "Change a runner's name, tags and projects", cobra.ExactArgs(1), nil)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		change := rest.RunnerChange{}
		if c.Flags().Changed("name") {
			change.Name = &name
		}
		if c.Flags().Changed("tags") {
			list := words(tags)
			change.Tags = &list
		}
		switch {
		case len(projects) > 0 && anyProject:
			return usage("give either --project or --all-projects")
		case len(projects) > 0:
			change.Projects = &projects
		case anyProject:
			change.Projects = &[]string{}
		}
		if change == (rest.RunnerChange{}) {
			return usage("what should change? give --name, --tags, --project or --all-projects")
		}
		client, err := a.client()
		if err != nil {
			return err
		}
		r, err := client.Runner(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if r, err = client.ChangeRunner(cmd.Context(), r.ID, r.Revision, change); err != nil {
			return err
		}
		return a.showRunner(r)
	}
	c.Flags().StringVar(&name, "name", "", "its name from now on")
	c.Flags().StringVar(&tags, "tags", "", "in place of all its tags, a,b; '' for none")
	c.Flags().StringSliceVarP(&projects, "project", "p", nil, "in place of the projects that it serves")
	c.Flags().BoolVar(&anyProject, "all-projects", false, "it serves all projects")
	return c
}

func (a *app) runnerTokens() *cobra.Command {
	noun := a.noun("token", "One-use permissions to enrol a runner", "tokens")
	var tags string
	var projects []string
	var ttl time.Duration
	create := verb("create", "Create an enrolment token and print it, this once; with -q nothing else", cobra.NoArgs, func(c *cobra.Command, _ []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		in := rest.NewRunnerToken{}
		if len(projects) > 0 {
			in.Projects = &projects
		}
		if list := words(tags); len(list) > 0 {
			in.Tags = &list
		}
		if c.Flags().Changed("ttl") { // whatever it says: the hub tells which lives it takes
			ms := ttl.Milliseconds()
			in.TTLMs = &ms
		}
		t, err := client.CreateRunnerToken(c.Context(), in)
		if err != nil {
			return err
		}
		if a.flags.output != "table" {
			return a.encode(t)
		}
		if !a.flags.quiet {
			a.say("Valid once, until %s. On the runner's host:", moment(&t.ExpiresAt))
			a.say("  fairlead-runner enroll --hub %s --token TOKEN && fairlead-runner run", first(text(t.HubURL), client.URL()))
		}
		return a.writeFile("-", []byte(t.Token+"\n"))
	})
	create.Flags().StringVar(&tags, "tags", "", "tags that the runner will bear, a,b")
	create.Flags().StringSliceVarP(&projects, "project", "p", nil, "projects it will serve; all when absent")
	create.Flags().DurationVar(&ttl, "ttl", 0, "how long it may be used, at most 720h; 1h when absent")
	lists := verb("list", "List enrolment tokens, without their secrets", cobra.NoArgs, func(c *cobra.Command, _ []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		tokens, err := client.RunnerTokens(c.Context())
		if err != nil {
			return err
		}
		return list(a, tokens, func(t rest.RunnerToken) string { return t.ID }, []string{"ID", "STATE", "TAGS", "PROJECTS", "EXPIRES", "BY", "RUNNER"},
			func(t rest.RunnerToken) []string {
				return []string{t.ID, string(t.State), strings.Join(t.Tags, ","), strings.Join(t.Projects, ","), moment(&t.ExpiresAt), t.CreatedBy, text(t.RunnerID)}
			})
	})
	revoke := verb("revoke ID", "Make an enrolment token useless", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		return client.RevokeRunnerToken(c.Context(), args[0])
	})
	noun.AddCommand(create, lists, revoke)
	return noun
}
