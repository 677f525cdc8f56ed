package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"
)

// hubContext is one hub as it is known here.
type hubContext struct {
	URL     string `yaml:"url"`
	Token   string `yaml:"token,omitempty"`
	Project string `yaml:"project,omitempty"`
	// TokenID is of a token that fairlead login made, for fairlead logout to end; "" for
	// one that was given.
	TokenID string `yaml:"tokenId,omitempty"`
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
		kept.Token, kept.TokenID = token, ""
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
