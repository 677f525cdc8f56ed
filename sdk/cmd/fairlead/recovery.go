package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/sdk/rest"
)

func (a *app) holdCluster() *cobra.Command {
	var restored bool
	var reason string
	c := verb("hold", "Hold all work: before the database is moved, or after a backup was restored", cobra.NoArgs, func(c *cobra.Command, _ []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		kind := "planned"
		if restored {
			kind = "restored"
		}
		cl, err := client.HoldCluster(c.Context(), kind, reason)
		if err != nil {
			return err
		}
		if a.flags.output != "table" || a.flags.quiet {
			return one(a, cl, cl.ID, nil)
		}
		if restored {
			a.say("Held. What no runner can have had goes on by itself; `fairlead cluster status` shows the rest.")
			return nil
		}
		a.say("Held: nothing is granted or acknowledged any more, steps go on. Move the database now.")
		a.say("The hold ends by itself when the hubs find the moved database; to call it off: fairlead cluster release")
		return nil
	})
	c.Flags().BoolVar(&restored, "restored", false, "a backup was restored: work of before waits until runners have shown what they have")
	c.Flags().StringVar(&reason, "reason", "", "for those who look at it")
	return c
}

func (a *app) releaseCluster() *cobra.Command {
	var sure, fail bool
	c := verb("release", "End the hold by your word, without the runners that are still awaited", cobra.NoArgs, func(c *cobra.Command, _ []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		cl, err := client.Cluster(c.Context())
		if err != nil {
			return err
		}
		if cl.Recovery == nil {
			return &exitError{exitOther, fmt.Errorf("the cluster is not held; there is nothing to release")}
		}
		if !sure {
			for _, line := range recoveryLines(cl.Recovery) {
				a.say("%s", line)
			}
			question := "Let it go on? A step that an awaited runner had may run twice. [y/N] "
			if fail {
				question = "End it as unknown? [y/N] "
			}
			if !a.asks {
				return usage("releasing takes the word of a person for what the awaited runners may have had; say --yes")
			}
			if sure, err = a.confirm(question); err != nil || !sure {
				return &exitError{exitOther, fmt.Errorf("nothing was released")}
			}
		}
		if cl, err = client.ReleaseCluster(c.Context(), fail); err != nil {
			return err
		}
		if a.flags.output != "table" || a.flags.quiet {
			return one(a, cl, cl.ID, nil)
		}
		a.say("Released.")
		return nil
	})
	c.Flags().BoolVar(&sure, "yes", false, "do not ask")
	c.Flags().BoolVar(&fail, "fail", false, "what is still held ends as unknown")
	return c
}

// recoveryLines tell why the cluster is held and what is open.
func recoveryLines(r *rest.Recovery) []string {
	lines := []string{
		"Held since " + moment(&r.Since) + " (" + string(r.Kind) + "): " + r.Reason,
		"Executions that wait: " + strconv.FormatInt(r.Held, 10),
	}
	var names []string
	for _, runner := range r.Awaited {
		names = append(names, runner.Name+" (seen "+moment(runner.LastSeenAt)+")")
	}
	if len(names) > 0 {
		lines = append(lines, "Runners that have not shown what they have: "+strings.Join(names, ", "))
	}
	return lines
}
