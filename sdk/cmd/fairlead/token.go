package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/sdk/rest"
)

func (a *app) tokens() *cobra.Command {
	noun := a.noun("tokens", "Your own API tokens", "token")
	var ttl time.Duration
	create := verb("create NAME", "Create an API token and print it, this once; with -q nothing else", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		t, err := client.CreateToken(c.Context(), args[0], ttl)
		if err != nil {
			return err
		}
		if a.flags.output != "table" {
			return a.encode(t)
		}
		if !a.flags.quiet {
			a.say("Token %s, valid until %s; it is not shown again:", t.ID, moment(t.ExpiresAt))
		}
		return a.writeFile("-", []byte(t.Secret+"\n"))
	})
	create.Flags().DurationVar(&ttl, "ttl", 0, "how long it may be used, such as 720h; 90 days when absent")
	lists := verb("list", "List your API tokens, without their secrets", cobra.NoArgs, func(c *cobra.Command, _ []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		tokens, err := client.Tokens(c.Context())
		if err != nil {
			return err
		}
		return list(a, tokens, func(t rest.Token) string { return t.ID }, []string{"ID", "NAME", "CREATED", "EXPIRES", "USED"},
			func(t rest.Token) []string {
				return []string{t.ID, t.Name, moment(&t.CreatedAt), moment(t.ExpiresAt), moment(t.LastUsedAt)}
			})
	})
	remove := verb("delete ID", "Make an API token useless", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		return client.DeleteToken(c.Context(), args[0])
	})
	noun.AddCommand(create, lists, remove)
	return noun
}
