package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/sdk/rest"
)

func (a *app) tokens() *cobra.Command {
	noun := a.noun("tokens", "Your own API tokens", "token")
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
	noun.AddCommand(a.createToken(), lists, remove)
	return noun
}

// Bounds of an API token's life, as the hub has them.
const (
	minTokenTTL = time.Minute
	maxTokenTTL = 366 * 24 * time.Hour
)

func (a *app) createToken() *cobra.Command {
	var ttl time.Duration
	var link, user string
	c := verb("create NAME", "Create an API token and print it, this once; with -q nothing else", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		if c.Flags().Changed("ttl") && (ttl < minTokenTTL || ttl > maxTokenTTL) {
			// The hub would say so too, but after the link was used up.
			return usage("--ttl is %s to %s, not %s", minTokenTTL, maxTokenTTL, ttl)
		}
		secret := ""
		if link, err = a.givenLink(link); err != nil {
			return err
		}
		if link != "" {
			if _, secret, err = splitLink(link); err != nil {
				return err
			}
		} else if !a.asks {
			return usage("an API token cannot make another one: sign in anew, with a sign-in link (--link -, on standard input), or with a password at a terminal")
		}
		t, err := a.makeToken(c.Context(), client, args[0], ttl, secret, user)
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
	c.Long = "Creates an API token for what runs without a person. An API token cannot make another one,\n" +
		"or one that was found would outlive its end: this signs in anew, with name and password or\n" +
		"with a sign-in link, and out again."
	c.Flags().DurationVar(&ttl, "ttl", 0, "how long it may be used, such as 720h; 90 days when absent")
	c.Flags().StringVar(&user, "user", "", "user name, to sign in by password")
	c.Flags().StringVar(&link, "link", "", "one-time sign-in link, - for standard input")
	return c
}
