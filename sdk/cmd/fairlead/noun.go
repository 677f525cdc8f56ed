package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/sdk"
	"github.com/fairlead/fairlead/sdk/rest"
)

// noun makes a command that only has verbs.
func (a *app) noun(use, short string, aliases ...string) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Aliases: aliases, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		if err := c.Help(); err != nil {
			return err
		}
		return &exitError{exitUsage, nil}
	}}
}

// verb makes a command. Its arguments name things.
func verb(use, short string, args cobra.PositionalArgs, do func(*cobra.Command, []string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, RunE: do, Args: func(c *cobra.Command, given []string) error {
		for _, name := range given {
			if err := isName("the name that was given", name); err != nil {
				return err
			}
		}
		return args(c, given)
	}}
}

// isName refuses what no thing is called. As a part of a path it is another path: with an
// empty variable a script would ask for something else, or be told of paths that it never typed.
func isName(what, name string) error {
	switch name {
	case "":
		return usage("%s is empty", what)
	case ".", "..":
		return usage("%s is %q, which nothing is called", what, name)
	}
	return nil
}

func (a *app) projects() *cobra.Command {
	noun := a.noun("projects", "Sets of jobs, nodes and keys", "project")
	noun.AddCommand(verb("list", "List projects", cobra.NoArgs, func(c *cobra.Command, _ []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		projects, err := client.Projects(c.Context())
		if err != nil {
			return err
		}
		return list(a, projects, func(p rest.Project) string { return p.Name }, []string{"NAME", "DESCRIPTION", "CREATED"},
			func(p rest.Project) []string { return []string{p.Name, p.Description, moment(&p.CreatedAt)} })
	}))
	noun.AddCommand(verb("show NAME", "Show a project", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		p, err := client.Project(c.Context(), args[0])
		if err != nil {
			return err
		}
		return a.showProject(p)
	}))
	noun.AddCommand(a.createProject(), a.editProject(), a.retentionCommand(), a.deleteProject())
	return noun
}

func (a *app) showProject(p *rest.Project) error {
	fields := []field{{"Name", p.Name}, {"Id", p.ID}, {"Description", p.Description}, {"Revision", strconv.FormatInt(p.Revision, 10)}}
	for _, name := range slices.Sorted(maps.Keys(p.Settings)) {
		fields = append(fields, field{"Setting " + name, p.Settings[name]})
	}
	for _, r := range p.Routes {
		filter := r.Filter
		if filter == "" {
			filter = "all nodes"
		}
		fields = append(fields, field{"Route", filter + " -> runners with " + strings.Join(r.Tags, ",")})
	}
	fields = append(fields, field{"Executions stay", stay(p.Retention.Days, p.Retention.FailedDays, p.Retention.Executions, p.Retention.Bytes)})
	return one(a, p, p.Name, fields)
}

func (a *app) createProject() *cobra.Command {
	var description string
	var settings []string
	c := verb("create NAME", "Create a project", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		in := rest.NewProject{Name: args[0]}
		if description != "" {
			in.Description = &description
		}
		if len(settings) > 0 {
			values, err := pairs(settings)
			if err != nil {
				return err
			}
			in.Settings = &values
		}
		p, err := client.CreateProject(c.Context(), in)
		if err != nil {
			return err
		}
		return a.showProject(p)
	})
	c.Flags().StringVar(&description, "description", "", "what it is for")
	c.Flags().StringArrayVar(&settings, "set", nil, "a setting, NAME=VALUE, such as ssh-key-storage-path=keys/web/deploy")
	return c
}

// pairs reads NAME=VALUE texts.
func pairs(texts []string) (map[string]string, error) {
	out := map[string]string{}
	for _, t := range texts {
		name, value, ok := strings.Cut(t, "=")
		if !ok || name == "" {
			return nil, usage("%q is not NAME=VALUE", t)
		}
		out[name] = value
	}
	return out, nil
}

func (a *app) editProject() *cobra.Command {
	var description string
	var set, unset, routes []string
	var noRoutes bool
	c := verb("edit NAME", "Change a project", cobra.ExactArgs(1), nil)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		p, err := client.Project(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		change := rest.ProjectChange{}
		if c.Flags().Changed("description") {
			change.Description = &description
		}
		if len(set)+len(unset) > 0 {
			values, err := pairs(set)
			if err != nil {
				return err
			}
			settings := maps.Clone(p.Settings)
			maps.Copy(settings, values)
			for _, name := range unset {
				delete(settings, name)
			}
			change.Settings = &settings
		}
		if len(routes) > 0 || noRoutes {
			change.Routes = &[]rest.Route{}
			for _, r := range routes {
				tags, filter, _ := strings.Cut(r, "=")
				*change.Routes = append(*change.Routes, rest.Route{Tags: words(tags), Filter: filter})
			}
		}
		p, err = client.ChangeProject(cmd.Context(), args[0], p.Revision, change)
		if err != nil {
			return err
		}
		return a.showProject(p)
	}
	c.Flags().StringVar(&description, "description", "", "what it is for")
	c.Flags().StringArrayVar(&set, "set", nil, "a setting, NAME=VALUE")
	c.Flags().StringArrayVar(&unset, "unset", nil, "a setting to remove")
	c.Flags().StringArrayVar(&routes, "route", nil, "in place of all routes: RUNNER-TAGS=NODE-FILTER, first match decides")
	c.Flags().BoolVar(&noRoutes, "no-routes", false, "remove all routes: any runner of the project")
	return c
}

func (a *app) deleteProject() *cobra.Command {
	var sure bool
	c := verb("delete NAME", "Delete a project with its jobs and nodes", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		if !sure {
			if !a.asks {
				return usage("deleting project %s deletes its jobs and nodes; say --yes", args[0])
			}
			if sure, err = a.confirm("Delete project " + args[0] + " with its jobs and nodes? [y/N] "); err != nil {
				return err
			}
			if !sure {
				return &exitError{exitOther, fmt.Errorf("nothing was deleted")}
			}
		}
		return client.DeleteProject(c.Context(), args[0])
	})
	c.Flags().BoolVar(&sure, "yes", false, "do not ask")
	return c
}

// words splits a list at commas.
func words(list string) []string {
	out := []string{}
	for w := range strings.SplitSeq(list, ",") {
		if w = strings.TrimSpace(w); w != "" {
			out = append(out, w)
		}
	}
	return out
}

func (a *app) keys() *cobra.Command {
	noun := a.noun("keys", "Stored secrets and public keys", "key")
	lists := verb("list [PREFIX]", "List keys, never their values", cobra.MaximumNArgs(1), func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		keys, err := client.Keys(c.Context(), strings.Join(args, ""))
		if err != nil {
			return err
		}
		return list(a, keys, func(k rest.Key) string { return k.Path }, []string{"PATH", "TYPE", "SIZE", "CHANGED", "BY"},
			func(k rest.Key) []string {
				return []string{k.Path, string(k.Type), strconv.FormatInt(k.Size, 10), moment(&k.UpdatedAt), text(k.CreatedBy)}
			})
	})
	lists.Args = cobra.MaximumNArgs(1) // an empty prefix is that of all
	noun.AddCommand(lists)
	var file, keyType string
	set := verb("set PATH", "Store a key", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		// What was there before this command began is what it replaces.
		revision, err := keyRevision(c.Context(), client, args[0])
		if err != nil {
			return err
		}
		value, err := a.readFile(file)
		if err != nil {
			return err
		}
		if keyType == "password" {
			value = []byte(strings.TrimRight(string(value), "\r\n"))
		}
		if len(value) == 0 {
			return usage("%s holds no key; write it there, or end a stored one with: fairlead keys delete %s", file, args[0])
		}
		k, err := client.SetKey(c.Context(), args[0], revision, keyType, value)
		if err != nil {
			return err
		}
		return one(a, k, k.Path, []field{{"Path", k.Path}, {"Type", string(k.Type)}, {"Size", strconv.FormatInt(k.Size, 10)}, {"Revision", strconv.FormatInt(k.Revision, 10)}})
	})
	set.Flags().StringVar(&file, "file", "", "file with the value, - for standard input")
	set.Flags().StringVar(&keyType, "type", "", "private-key, public-key or password")
	for _, name := range []string{"file", "type"} {
		_ = set.MarkFlagRequired(name) // fails for flags that do not exist
	}
	noun.AddCommand(set)
	noun.AddCommand(verb("delete PATH", "Delete a key", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		return client.DeleteKey(c.Context(), args[0], 0)
	}))
	return noun
}

// keyRevision is the revision of a key, 0 for one that is not there yet.
func keyRevision(ctx context.Context, client *sdk.Client, path string) (int64, error) {
	k, err := client.Key(ctx, path)
	switch {
	case sdk.ErrorCode(err) == sdk.CodeNotFound:
		return 0, nil
	case err != nil:
		return 0, err
	}
	return k.Revision, nil
}

func (a *app) cluster() *cobra.Command {
	noun := a.noun("cluster", "The installation")
	noun.AddCommand(verb("status", "Members and state", cobra.NoArgs, func(c *cobra.Command, _ []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		cl, err := client.Cluster(c.Context())
		if err != nil {
			return err
		}
		if a.flags.output != "table" || a.flags.quiet {
			return one(a, cl, cl.ID, nil)
		}
		if cl.Recovery != nil {
			for _, line := range recoveryLines(cl.Recovery) {
				a.say("%s", line)
			}
		}
		for _, line := range slices.Concat(archiveLines(cl.Archive), purgeLines(&cl.Retention), quotaLines(&cl.Quota)) {
			a.say("%s", line)
		}
		if err := one(a, cl, cl.ID, slices.Concat([]field{
			{"Cluster", cl.ID},
			{"Database", string(cl.Database)},
			{"Incarnation", strconv.FormatInt(cl.Incarnation, 10)},
			{"Tick", strconv.FormatInt(cl.Tick, 10)},
			{"Database time", cl.Time.UTC().Format(time.RFC3339)},
		}, archiveFields(cl.Archive), purgeFields(&cl.Retention), quotaFields(&cl.Quota))); err != nil {
			return err
		}
		return list(a, cl.Members, func(m rest.Member) string { return m.ID }, []string{"MEMBER", "STATE", "ROLES", "RUNNERS", "VERSION", "GATEWAY", "STARTED", ""},
			func(m rest.Member) []string {
				return []string{
					m.Name, memberState(cl, m), strings.Join(m.Roles, ","), strconv.FormatInt(m.Sessions, 10), m.Version, m.Gateway,
					moment(&m.StartedAt), yes(m.Self, "answered"),
				}
			})
	}))
	noun.AddCommand(a.promote(), a.drainMember(), a.executionMode())
	noun.AddCommand(a.holdCluster(), a.releaseCluster())
	return noun
}

// memberState is how a member looks, and what it does otherwise than the rest.
func memberState(c *rest.Cluster, m rest.Member) string {
	words := []string{string(m.State)}
	if m.Draining {
		words = append(words, "drained")
	}
	if c.Mode == rest.ClusterModeActivePassive && !m.Active {
		words = append(words, "passive")
	}
	if m.ExecutionMode == rest.MemberExecutionModePassive {
		words = append(words, "no schedules")
	}
	return strings.Join(words, ", ")
}

func (a *app) promote() *cobra.Command {
	return verb("promote MEMBER", "Make a member of an active-passive cluster the active one", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		if _, err := client.PromoteMember(c.Context(), args[0]); err != nil {
			return err
		}
		a.say("%s takes over within a few seconds; `fairlead cluster status` shows it.", args[0])
		return nil
	})
}

func (a *app) drainMember() *cobra.Command {
	undo := false
	cmd := verb("drain MEMBER", "Send runners and people from a member to the others", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		draining := !undo
		_, err = client.ChangeMember(c.Context(), args[0], rest.MemberChange{Draining: &draining})
		return err
	})
	cmd.Flags().BoolVar(&undo, "undo", false, "let them come back")
	return cmd
}

func (a *app) executionMode() *cobra.Command {
	member := ""
	cmd := verb("mode active|passive", "Say whether schedules fire, in the whole cluster or on one member", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		if args[0] != "active" && args[0] != "passive" {
			return usage("the mode is active or passive, not %q", args[0])
		}
		client, err := a.client()
		if err != nil {
			return err
		}
		if member == "" {
			_, err = client.SetExecutionMode(c.Context(), args[0])
			return err
		}
		mode := rest.MemberChangeExecutionMode(args[0])
		_, err = client.ChangeMember(c.Context(), member, rest.MemberChange{ExecutionMode: &mode})
		return err
	})
	cmd.Flags().StringVar(&member, "member", "", "this member alone, until it restarts")
	return cmd
}

func (a *app) nodes() *cobra.Command {
	noun := a.noun("nodes", "Machines that steps run on", "node")
	var format string
	imports := verb("import FILE", "Replace all nodes of a project by those of a file", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, project, err := a.inProject()
		if err != nil {
			return err
		}
		media, err := nodeMedia(first(format, strings.TrimPrefix(filepath.Ext(args[0]), ".")))
		if err != nil {
			return err
		}
		// What was there before this command began is what it replaces.
		revision, err := client.NodesRevision(c.Context(), project)
		if err != nil {
			return err
		}
		file, err := a.readFile(args[0])
		if err != nil {
			return err
		}
		if len(file) == 0 {
			return usage("%s is empty; write the nodes into it, or {} for none", args[0])
		}
		done, err := client.ImportNodes(c.Context(), project, revision, media, file)
		if err != nil {
			return err
		}
		if a.flags.output != "table" {
			return a.encode(done)
		}
		for _, w := range done.Warnings {
			a.say("%s: %s: %s", args[0], w.Path, w.Message)
		}
		a.say("%d nodes in project %s: %d new, %d gone.", done.Nodes, project, done.Added, done.Removed)
		return nil
	})
	imports.Flags().StringVar(&format, "format", "", "yaml, json or xml; by the file's name when absent")
	var filter string
	lists := verb("list", "List nodes", cobra.NoArgs, func(c *cobra.Command, _ []string) error {
		client, project, err := a.inProject()
		if err != nil {
			return err
		}
		nodes, err := client.Nodes(c.Context(), project, filter)
		if err != nil {
			return err
		}
		return list(a, nodes, func(n rest.Node) string { return n.Name }, []string{"NAME", "HOSTNAME", "USER", "TAGS", "DESCRIPTION"},
			func(n rest.Node) []string {
				return []string{n.Name, n.Hostname, n.Username, strings.Join(n.Tags, ","), n.Description}
			})
	})
	lists.Flags().StringVar(&filter, "filter", "", "a node filter, such as 'tags: web'")
	show := verb("show NAME", "Show a node", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, project, err := a.inProject()
		if err != nil {
			return err
		}
		n, err := client.Node(c.Context(), project, args[0])
		if err != nil {
			return err
		}
		fields := []field{{"Name", n.Name}, {"Hostname", n.Hostname}, {"User", n.Username}, {"Tags", strings.Join(n.Tags, ",")}, {"Description", n.Description}}
		for _, name := range slices.Sorted(maps.Keys(n.Attributes)) {
			fields = append(fields, field{name, n.Attributes[name]})
		}
		return one(a, n, n.Name, fields)
	})
	for _, c := range []*cobra.Command{imports, lists, show} {
		a.projectFlag(c)
		noun.AddCommand(c)
	}
	noun.AddCommand(a.hostKeys())
	return noun
}

// nodeMedia is the media type of a node file.
func nodeMedia(format string) (string, error) {
	switch strings.ToLower(format) {
	case "yaml", "yml":
		return "application/yaml", nil
	case "json":
		return "application/json", nil
	case "xml":
		return "application/xml", nil
	}
	return "", usage("what format does the node file have? give --format yaml, json or xml")
}

func (a *app) hostKeys() *cobra.Command {
	noun := a.noun("hostkeys", "SSH host keys that runners saw")
	lists := verb("list NODE", "List the host keys of a node", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, project, err := a.inProject()
		if err != nil {
			return err
		}
		keys, err := client.HostKeys(c.Context(), project, args[0])
		if err != nil {
			return err
		}
		return list(a, keys, func(k rest.HostKey) string { return k.Fingerprint }, []string{"FINGERPRINT", "TYPE", "STATE", "SEEN"},
			func(k rest.HostKey) []string {
				return []string{k.Fingerprint, k.Type, string(k.State), moment(&k.SeenAt)}
			})
	})
	accept := verb("accept NODE FINGERPRINT", "Choose the one host key of a node", cobra.ExactArgs(2), func(c *cobra.Command, args []string) error {
		client, project, err := a.inProject()
		if err != nil {
			return err
		}
		keys, err := client.HostKeys(c.Context(), project, args[0])
		if err != nil {
			return err
		}
		for _, k := range keys {
			if k.Fingerprint == args[1] {
				return client.AcceptHostKey(c.Context(), project, args[0], k.Key)
			}
		}
		return &exitError{exitOther, fmt.Errorf("no runner saw a host key %s at %s; fairlead nodes hostkeys list shows those there are", args[1], args[0])}
	})
	forget := verb("forget NODE", "Forget the host keys of a node, so that the next contact records them anew", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, project, err := a.inProject()
		if err != nil {
			return err
		}
		return client.ForgetHostKeys(c.Context(), project, args[0])
	})
	for _, c := range []*cobra.Command{lists, accept, forget} {
		a.projectFlag(c)
		noun.AddCommand(c)
	}
	return noun
}
