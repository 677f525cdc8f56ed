package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/sdk"
	"github.com/fairlead/fairlead/sdk/rest"
)

// loginFlags of fairlead login.
type loginFlags struct{ name, user, pin, link string }

// loginCommand signs in and keeps the context.
func (a *app) loginCommand() *cobra.Command {
	var f loginFlags
	c := &cobra.Command{
		Use: "login URL|LINK", Short: "Sign in to a hub and keep that", Args: cobra.MaximumNArgs(1),
		Long: "Signs in with a one-time sign-in link, as a hub prints it at its first start and\n" +
			"fairlead-hub user link makes one (on standard input with --link -); or with an API token\n" +
			"(--token-file, FAIRLEAD_TOKEN); or, at a terminal, with name and password. For a link or\n" +
			"a password it makes an API token, which fairlead logout ends. A hub with a CA of its own\n" +
			"is trusted by that CA's pin, which the hub prints when it starts: give it with --ca-pin,\n" +
			"or compare it when asked. An enrolment token pins the same CA and will do for --ca-pin.",
		RunE: func(c *cobra.Command, args []string) error { return a.login(c.Context(), args, f) },
	}
	c.Flags().StringVar(&f.name, "name", "", "name of the context; the host when absent")
	c.Flags().StringVar(&f.user, "user", "", "user name, to sign in by password")
	c.Flags().StringVar(&f.link, "link", "", "one-time sign-in link, - for standard input")
	c.Flags().StringVar(&f.pin, "ca-pin", "", "pin of the hub's own CA")
	return c
}

func (a *app) login(ctx context.Context, args []string, f loginFlags) error {
	address, link, err := a.loginTarget(strings.Join(args, ""), f.link)
	if err != nil {
		return err
	}
	hub := hubContext{URL: address}
	if err := a.overrideCA(&hub); err != nil {
		return err
	}
	// Before anything is given away, a link used up, or a password typed.
	if err := a.trust(ctx, &hub, f.pin); err != nil {
		return err
	}
	if err := a.authenticate(ctx, &hub, link, f.user); err != nil {
		return err
	}
	c, err := a.clientOf(hub)
	if err != nil {
		return err
	}
	me, err := c.Me(ctx)
	if err == nil {
		err = a.keep(hub, f.name)
	}
	if err != nil {
		return a.takeBack(ctx, c, hub.TokenID, err)
	}
	a.say("Signed in to %s as %s; commands speak to it from now on.", address, me.Name)
	return nil
}

// takeBack ends the token that was made for a context that could not be kept: nobody has
// it, and it would work for 90 days.
func (a *app) takeBack(ctx context.Context, c *sdk.Client, tokenID string, why error) error {
	if tokenID == "" {
		return why
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeBackTime) // Ctrl-C may be why
	defer cancel()
	if err := c.DeleteToken(ctx, tokenID); err != nil {
		a.say("The API token that was made for this could not be ended: %v\nEnd it later with: fairlead tokens delete %s", err, tokenID)
	}
	return why
}

// takeBackTime bounds that.
const takeBackTime = 10 * time.Second

// loginTarget finds the hub's address, and the secret of a sign-in link if there is
// one, in the argument and --link.
func (a *app) loginTarget(arg, link string) (address, secret string, err error) {
	if link, err = a.givenLink(link); err != nil {
		return "", "", err
	}
	if link == "" && strings.Contains(arg, "link=") {
		arg, link = "", arg
	}
	if link != "" {
		if address, secret, err = splitLink(link); err != nil {
			return "", "", err
		}
	}
	if address = first(strings.TrimSuffix(arg, "/"), address); address == "" {
		return "", "", usage("which hub? fairlead login URL, or a sign-in link")
	}
	return address, secret, nil
}

// givenLink is what --link says, - being standard input.
func (a *app) givenLink(link string) (string, error) {
	if link != "-" {
		return link, nil
	}
	b, err := a.readFile(link)
	return strings.TrimSpace(string(b)), err
}

// splitLink takes a sign-in link apart. What is wrong with it is told without it: it
// may still work.
func splitLink(link string) (address, secret string, err error) {
	u, err := url.Parse(link)
	if err != nil || u.Host == "" || u.Query().Get("link") == "" {
		return "", "", usage("that is not a sign-in link; it looks like https://hub.example:8440/sign-in?link=SECRET")
	}
	path, _ := strings.CutSuffix(u.Path, "/sign-in")
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimSuffix(path, "/")}).String(), u.Query().Get("link"), nil
}

// keep stores a hub as the current context.
func (a *app) keep(hub hubContext, name string) error {
	contexts, err := a.readContexts()
	if err != nil {
		return err
	}
	if name == "" {
		u, err := url.Parse(hub.URL)
		if err != nil {
			return usage("%q is not an address", hub.URL)
		}
		name = u.Host
	}
	if contexts.Contexts == nil {
		contexts.Contexts = map[string]hubContext{}
	}
	hub.Project = contexts.Contexts[name].Project
	contexts.Contexts[name], contexts.Current = hub, name
	return a.writeContexts(contexts)
}

// trust finds out whether the hub's certificate is of a known CA, and else pins the
// hub's own.
func (a *app) trust(ctx context.Context, hub *hubContext, pin string) error {
	c, err := a.clientOf(*hub)
	if err != nil {
		return err
	}
	resp, err := c.Rest().GetEnrolment(ctx)
	if err == nil {
		_ = resp.Body.Close()
		if pin == "" {
			return nil
		}
	} else if !sdk.Distrusted(err) || hub.CA != "" {
		return fmt.Errorf("cannot reach the hub: %w", err)
	}
	ca, err := sdk.FetchCA(ctx, hub.URL)
	if err != nil {
		return err
	}
	switch {
	case pin != "" && !ca.Matches(pin):
		return &exitError{exitOther, fmt.Errorf("the hub's CA has the pin %s, not the one given: do not sign in before you know why", ca.Pin)}
	case pin == "" && !a.asks:
		return usage("the hub has a CA of its own with the pin\n  %s\nCompare it with what the hub printed when it started, then give it: --ca-pin PIN", ca.Pin)
	case pin == "":
		a.say("The hub has a CA of its own. Its pin, which it printed when it started, is\n  %s", ca.Pin)
		if yes, err := a.confirm("Trust it? [y/N] "); err != nil {
			return err
		} else if !yes {
			return &exitError{exitOther, errors.New("not trusted, nothing was kept")}
		}
	}
	hub.CA, hub.Pinned = string(ca.PEM), true
	return nil
}

// authenticate finds the token to keep: one that was given, or one that it makes.
func (a *app) authenticate(ctx context.Context, hub *hubContext, link, user string) error {
	c, err := a.clientOf(*hub)
	if err != nil {
		return err
	}
	if link == "" {
		if hub.Token, err = a.givenToken(); err != nil || hub.Token != "" {
			return err
		}
		if !a.asks {
			return usage("no token: give a sign-in link (--link -, on standard input) or --token-file FILE, or set FAIRLEAD_TOKEN; a password is only asked for at a terminal")
		}
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	t, err := a.makeToken(ctx, c, "fairlead login on "+host, tokenTTL, link, user)
	if err != nil {
		return err
	}
	hub.Token, hub.TokenID = t.Secret, t.ID
	return nil
}

// makeToken makes an API token in a session for it alone, which is begun by the secret
// of a link or, with "", by a password.
func (a *app) makeToken(ctx context.Context, c *sdk.Client, name string, ttl time.Duration, link, user string) (*rest.CreatedToken, error) {
	var session *http.Cookie
	var err error
	if link != "" {
		session, err = c.SignInByLink(ctx, link)
	} else {
		session, err = a.signIn(ctx, c, user)
	}
	if err != nil {
		return nil, err
	}
	t, err := c.CreateToken(ctx, name, ttl, sdk.WithCookie(session))
	_ = c.SignOut(ctx, session) // it ends by itself if this fails
	return t, err
}

// signIn asks for a password and signs in with it.
func (a *app) signIn(ctx context.Context, c *sdk.Client, user string) (*http.Cookie, error) {
	var err error
	if user == "" {
		if user, err = a.ask("User: "); err != nil {
			return nil, err
		}
	}
	_, _ = fmt.Fprint(a.err, "Password: ") // nobody is left to ask
	password, err := a.hidden(ctx)
	a.say("")
	if err != nil {
		return nil, fmt.Errorf("reading the password: %w", err)
	}
	return c.SignIn(ctx, user, string(password))
}

// tokenTTL is how long a token that login makes lives.
const tokenTTL = 90 * 24 * time.Hour

// logoutCommand forgets a context and ends its token.
func (a *app) logoutCommand() *cobra.Command {
	return verb("logout [CONTEXT]", "Forget a hub, and end the API token that fairlead login made for it", cobra.MaximumNArgs(1), func(c *cobra.Command, args []string) error {
		contexts, err := a.readContexts()
		if err != nil {
			return err
		}
		name := first(strings.Join(args, ""), a.flags.context, contexts.Current)
		kept, ok := contexts.Contexts[name]
		if !ok {
			return usage("there is no context %q; fairlead context list shows those there are", name)
		}
		delete(contexts.Contexts, name)
		if contexts.Current == name {
			contexts.Current = ""
		}
		if err := a.writeContexts(contexts); err != nil {
			return err
		}
		return a.endToken(c.Context(), name, kept)
	})
}

// endToken ends the token of a context that is forgotten already: a hub that is gone
// for good must not keep anybody from that.
func (a *app) endToken(ctx context.Context, name string, kept hubContext) error {
	if kept.TokenID == "" {
		a.say("Signed out of %s. Its API token was given to fairlead login, not made by it, and is not ended.", name)
		return nil
	}
	c, err := a.clientOf(kept)
	if err == nil {
		err = c.DeleteToken(ctx, kept.TokenID)
	}
	switch sdk.ErrorCode(err) {
	case sdk.CodeUnauthenticated, sdk.CodeNotFound: // it was ended before
		err = nil
	}
	if err != nil {
		return &exitError{exitOther, fmt.Errorf("%s is forgotten here, but its API token still works, because the hub could not be told: %w\nEnd it later with: fairlead tokens delete %s", name, err, kept.TokenID)}
	}
	a.say("Signed out of %s; its API token is ended.", name)
	return nil
}
