package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"

	"github.com/fairlead/fairlead/sdk"
)

// hubContext is one hub as it is known here.
type hubContext struct {
	URL     string `yaml:"url"`
	Token   string `yaml:"token,omitempty"`
	Project string `yaml:"project,omitempty"`
	// CA is PEM. Pinned: it is the hub's own, not one that a file gave.
	CA     string `yaml:"ca,omitempty"`
	Pinned bool   `yaml:"pinned,omitempty"`
}

// contextFile is what fairlead login keeps.
type contextFile struct {
	Current  string                `yaml:"current"`
	Contexts map[string]hubContext `yaml:"contexts"`
}

// contextPath is where it is kept.
func (a *app) contextPath() (string, error) {
	if path := a.getenv("FAIRLEAD_CONFIG"); path != "" {
		return path, nil
	}
	dir := a.getenv("XDG_CONFIG_HOME")
	if dir == "" {
		home := a.getenv("HOME")
		if home == "" {
			return "", errors.New("there is no HOME to keep contexts in; set FAIRLEAD_CONFIG to a file")
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "fairlead", "config.yaml"), nil
}

// readContexts reads the file; none is an empty one.
func (a *app) readContexts() (*contextFile, error) {
	path, err := a.contextPath()
	if err != nil {
		return &contextFile{}, nil //nolint:nilerr // without a home there are no contexts
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &contextFile{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading contexts: %w", err)
	}
	f := &contextFile{}
	if err := yaml.Unmarshal(b, f); err != nil {
		return nil, fmt.Errorf("reading %s: %w; repair or remove it", path, err)
	}
	return f, nil
}

// writeContexts stores the file, which holds tokens, for this user alone.
func (a *app) writeContexts(f *contextFile) error {
	path, err := a.contextPath()
	if err != nil {
		return err
	}
	b, err := yaml.Marshal(f)
	if err != nil {
		return fmt.Errorf("encoding contexts: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("keeping contexts: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".config-*") // made with mode 0600
	if err != nil {
		return fmt.Errorf("keeping contexts: %w", err)
	}
	_, err = temp.Write(b)
	if e := temp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temp.Name())
		return fmt.Errorf("keeping contexts: %w", err)
	}
	return nil
}

// hub is the hub that is meant: flags, then environment, then the context. The token
// of a context goes to that context's address alone.
func (a *app) hub() (hubContext, error) {
	f, err := a.readContexts()
	if err != nil {
		return hubContext{}, err
	}
	given := strings.TrimSuffix(first(a.flags.url, a.getenv("FAIRLEAD_URL")), "/")
	name := first(a.flags.context, f.Current)
	kept, known := f.Contexts[name]
	switch {
	case a.flags.context != "" && !known:
		return kept, usage("there is no context %q; fairlead context list shows those there are", name)
	case given == "" || a.flags.context != "" && a.flags.url == "":
	case given != kept.URL:
		kept = byURL(f, given)
	}
	if kept.URL == "" {
		return kept, usage("which hub? sign in with: fairlead login URL (or set FAIRLEAD_URL and FAIRLEAD_TOKEN)")
	}
	if err := a.overrideCA(&kept); err != nil {
		return kept, err
	}
	token, err := a.givenToken()
	if token != "" {
		kept.Token = token
	}
	return kept, err
}

// byURL is the context of an address, or a new one.
func byURL(f *contextFile, given string) hubContext {
	for _, c := range f.Contexts {
		if c.URL == given {
			return c
		}
	}
	return hubContext{URL: given}
}

// overrideCA takes the CA that flag or environment give.
func (a *app) overrideCA(hub *hubContext) error {
	file := first(a.flags.caFile, a.getenv("FAIRLEAD_CA_FILE"))
	if file == "" {
		return nil
	}
	b, err := a.readFile(file)
	if err != nil {
		return err
	}
	hub.CA, hub.Pinned = string(b), false
	return nil
}

// givenToken is the token that flag or environment give, "" for none. There is no flag
// for the token itself: other users of a machine can read command lines.
func (a *app) givenToken() (string, error) {
	file := a.flags.tokenFile
	if file == "" {
		if token := a.getenv("FAIRLEAD_TOKEN"); token != "" {
			return strings.TrimSpace(token), nil
		}
		file = a.getenv("FAIRLEAD_TOKEN_FILE")
	}
	if file == "" {
		return "", nil
	}
	b, err := a.readFile(file)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(b))
	if token == "" {
		return "", usage("%s holds no token", file)
	}
	return token, nil
}

// contexts is the noun context.
func (a *app) contexts() *cobra.Command {
	noun := a.noun("context", "Hubs that you signed in to")
	noun.AddCommand(&cobra.Command{Use: "list", Short: "List them", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		f, err := a.readContexts()
		if err != nil {
			return err
		}
		type shown struct {
			Name    string `json:"name"`
			URL     string `json:"url"`
			Project string `json:"project,omitempty"`
			Current bool   `json:"current"`
		}
		items := []shown{}
		for _, name := range slices.Sorted(maps.Keys(f.Contexts)) {
			items = append(items, shown{name, f.Contexts[name].URL, f.Contexts[name].Project, name == f.Current})
		}
		return list(a, items, func(s shown) string { return s.Name }, []string{"", "NAME", "URL", "PROJECT"}, func(s shown) []string {
			mark := ""
			if s.Current {
				mark = "*"
			}
			return []string{mark, s.Name, s.URL, s.Project}
		})
	}})
	use := &cobra.Command{Use: "use NAME", Short: "Choose the hub that commands speak to", Args: cobra.ExactArgs(1)}
	project := use.Flags().String("project", "", "and the project that commands are about")
	use.RunE = func(_ *cobra.Command, args []string) error {
		f, err := a.readContexts()
		if err != nil {
			return err
		}
		c, ok := f.Contexts[args[0]]
		if !ok {
			return usage("there is no context %q; fairlead context list shows those there are", args[0])
		}
		if use.Flags().Changed("project") {
			c.Project = *project
			f.Contexts[args[0]] = c
		}
		f.Current = args[0]
		return a.writeContexts(f)
	}
	noun.AddCommand(use)
	return noun
}

// loginFlags of fairlead login.
type loginFlags struct{ name, user, pin string }

// loginCommand signs in and keeps the context.
func (a *app) loginCommand() *cobra.Command {
	var f loginFlags
	c := &cobra.Command{
		Use: "login URL", Short: "Sign in to a hub and keep that", Args: cobra.ExactArgs(1),
		Long: "Signs in with an API token (--token-file, FAIRLEAD_TOKEN) or, at a terminal, with name and\n" +
			"password, for which it makes an API token. A hub with a CA of its own is trusted by that\n" +
			"CA's pin, which the hub prints when it starts: give it with --ca-pin, or compare it when\n" +
			"asked. An enrolment token pins the same CA and will do for --ca-pin.",
		RunE: func(c *cobra.Command, args []string) error { return a.login(c.Context(), args[0], f) },
	}
	c.Flags().StringVar(&f.name, "name", "", "name of the context; the host when absent")
	c.Flags().StringVar(&f.user, "user", "", "user name, to sign in by password")
	c.Flags().StringVar(&f.pin, "ca-pin", "", "pin of the hub's own CA")
	return c
}

func (a *app) login(ctx context.Context, address string, f loginFlags) error {
	address = strings.TrimSuffix(address, "/")
	hub := hubContext{URL: address}
	if err := a.overrideCA(&hub); err != nil {
		return err
	}
	if err := a.trust(ctx, &hub, f.pin); err != nil {
		return err
	}
	var err error
	if hub.Token, err = a.givenToken(); err != nil {
		return err
	}
	if hub.Token == "" {
		if hub.Token, err = a.passwordToken(ctx, hub, f.user); err != nil {
			return err
		}
	}
	c, err := a.clientOf(hub)
	if err != nil {
		return err
	}
	me, err := c.Me(ctx)
	if err != nil {
		return err
	}
	contexts, err := a.readContexts()
	if err != nil {
		return err
	}
	name := f.name
	if name == "" {
		u, err := url.Parse(address)
		if err != nil {
			return usage("%q is not an address", address)
		}
		name = u.Host
	}
	if contexts.Contexts == nil {
		contexts.Contexts = map[string]hubContext{}
	}
	hub.Project = contexts.Contexts[name].Project
	contexts.Contexts[name], contexts.Current = hub, name
	if err := a.writeContexts(contexts); err != nil {
		return err
	}
	a.say("Signed in to %s as %s; commands speak to it from now on.", address, me.Name)
	return nil
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
		if yes, err := a.confirm("Trust it? [y/N] "); err != nil || !yes {
			return &exitError{exitOther, errors.New("not trusted, nothing was kept")}
		}
	}
	hub.CA, hub.Pinned = string(ca.PEM), true
	return nil
}

// confirm asks a question that only a person may answer.
func (a *app) confirm(question string) (bool, error) {
	answer, err := a.ask(question)
	answer = strings.ToLower(answer)
	return answer == "y" || answer == "yes", err
}

// ask reads one line.
func (a *app) ask(question string) (string, error) {
	_, _ = fmt.Fprint(a.err, question) // nobody is left to ask
	reader, ok := a.in.(*bufio.Reader)
	if !ok {
		reader = bufio.NewReader(a.in)
		a.in = reader
	}
	line, err := reader.ReadString('\n')
	return strings.TrimSpace(line), err
}

// tokenTTL is how long a token that login makes lives.
const tokenTTL = 90 * 24 * time.Hour

// passwordToken makes an API token with a password.
func (a *app) passwordToken(ctx context.Context, hub hubContext, user string) (string, error) {
	if !a.asks {
		return "", usage("no token: give --token-file FILE (- for standard input) or set FAIRLEAD_TOKEN; a password is only asked for at a terminal")
	}
	var err error
	if user == "" {
		if user, err = a.ask("User: "); err != nil {
			return "", err
		}
	}
	_, _ = fmt.Fprint(a.err, "Password: ") // nobody is left to ask
	password, err := a.hidden()
	a.say("")
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	c, err := a.clientOf(hub)
	if err != nil {
		return "", err
	}
	cookie, err := c.SignIn(ctx, user, string(password))
	if err != nil {
		return "", err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	t, err := c.CreateToken(ctx, "fairlead login on "+host, tokenTTL, sdk.WithCookie(cookie))
	if err != nil {
		return "", err
	}
	return t.Secret, nil
}
