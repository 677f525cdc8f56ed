package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/auth"
	"github.com/fairlead/fairlead/hub/config"
	"github.com/fairlead/fairlead/hub/store"
)

func (p *program) userCommand() *cobra.Command {
	c := group(&cobra.Command{Use: "user", Short: "Accounts of people, from the hub's own machine"})
	var life time.Duration
	link := &cobra.Command{
		Use: "link [NAME]", Short: "Print a link that signs NAME (default: admin) in once", Args: maxArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if life.Milliseconds() == 0 { // which asks for the default
				return usageError{fmt.Errorf("--ttl %s is too short for a link to be used", life)}
			}
			return p.user(c, userRequest{Do: "link", Name: nameOf(args), LifeMS: life.Milliseconds()})
		},
	}
	link.Flags().DurationVar(&life, "ttl", time.Hour, "how long the link works")
	var admin bool
	var file string
	create := &cobra.Command{
		Use: "create NAME", Short: "Make an account; without a password a sign-in link is printed", Args: oneArg,
		RunE: func(c *cobra.Command, args []string) error {
			password, err := p.password(file)
			if err != nil {
				return err
			}
			return p.user(c, userRequest{Do: "create", Name: args[0], Password: password, Admin: admin})
		},
	}
	create.Flags().BoolVar(&admin, "admin", false, "make it an administrator")
	create.Flags().StringVar(&file, "password-file", "", "file with the password; - is standard input")
	password := &cobra.Command{
		Use: "password NAME", Short: "Set an account's password and sign it out everywhere", Args: oneArg,
		RunE: func(c *cobra.Command, args []string) error {
			password, err := p.password(file)
			if err == nil && password == "" {
				err = usageError{errors.New("give the password with --password-file FILE, or - for standard input")}
			}
			if err != nil {
				return err
			}
			return p.user(c, userRequest{Do: "password", Name: args[0], Password: password})
		},
	}
	password.Flags().StringVar(&file, "password-file", "", "file with the password; - is standard input")
	c.AddCommand(link, create, password)
	return c
}

func nameOf(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return auth.AdminName
}

func maxArgs(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := cobra.MaximumNArgs(n)(c, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}

func oneArg(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError{fmt.Errorf("%s needs one NAME", c.CommandPath())}
	}
	return nil
}

// password reads a password from a file, without its last newline; "" when no file is
// given.
func (p *program) password(file string) (string, error) {
	var text []byte
	var err error
	switch file {
	case "":
		return "", nil
	case "-":
		text, err = io.ReadAll(io.LimitReader(p.env.stdin, 4<<10))
	default:
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return "", hub.Errorf(hub.CodeInvalid, "The password cannot be read: %v", err)
	}
	password := strings.TrimRight(string(text), "\r\n")
	if password == "" {
		// Taken for none it would make an account that only a link signs in to.
		return "", hub.Errorf(hub.CodeInvalid, "The password file is empty; write the password into it, or leave --password-file away for a sign-in link.")
	}
	return password, nil
}

// user does a user command by the hub that runs in the data directory, or on the
// database itself when none does.
func (p *program) user(c *cobra.Command, r userRequest) error {
	cfg, _, err := p.load(c)
	if err != nil {
		return err
	}
	answer, err := askHub(c.Context(), cfg.DataDir, r)
	if errors.Is(err, errNoHub) {
		answer, err = p.userAlone(c.Context(), cfg, r)
	}
	if err != nil {
		return err
	}
	if answer.URL == "" {
		_, err = fmt.Fprintf(p.env.stdout, "Done: %s.\n", r.Name)
	} else {
		_, err = fmt.Fprintln(p.env.stdout, answer.URL)
	}
	return err
}

// userAlone works without a hub.
func (p *program) userAlone(ctx context.Context, cfg *config.Config, r userRequest) (userAnswer, error) {
	st, unlock, err := p.openAlone(ctx, cfg)
	if err != nil {
		return userAnswer{}, err
	}
	defer unlock()
	public := strings.TrimSuffix(cfg.PublicURL, "/")
	if public == "" {
		public = guessPublic(cfg)
	}
	answer, err := doUser(ctx, auth.New(st, auth.Config{}, p.logger(cfg)), public, r)
	return answer, errors.Join(err, st.Close())
}

// openAlone opens the database of a hub that does not run. It makes no data directory: a
// mistyped one would look like an empty installation.
func (p *program) openAlone(ctx context.Context, cfg *config.Config) (st *store.Store, unlock func(), err error) {
	unlock = func() {}
	if file := cfg.DatabaseFile(); file != "" {
		if err := mayLookAt(file); err != nil {
			return nil, nil, err
		}
		if absent(file) {
			return nil, nil, hub.Errorf(hub.CodeNotFound, "There is no hub in %s yet. Start it once, or name its directory with --data-dir.", cfg.DataDir)
		}
		lock, err := lockDataDir(cfg.DataDir)
		if err != nil {
			return nil, nil, err
		}
		unlock = func() { _ = lock.Close() } // the process ends
	}
	if st, err = openStore(ctx, cfg, p.logger(cfg)); err != nil {
		unlock()
		return nil, nil, err
	}
	return st, unlock, nil
}

// mayLookAt refuses a file of the hub that this user may not even look for. It may well be
// there, so who is told that it is not would start a second hub elsewhere.
func mayLookAt(file string) error {
	if _, err := os.Stat(file); errors.Is(err, fs.ErrPermission) {
		return &hub.Error{
			Code: hub.CodeForbidden, Cause: err,
			Message: fmt.Sprintf("This user may not enter the hub's data directory %s. Run this as the hub's own user.", filepath.Dir(file)),
		}
	}
	return nil
}

// guessPublic is the UI's address as far as the configuration tells it.
func guessPublic(cfg *config.Config) string {
	scheme, host := "http", strings.TrimPrefix(cfg.HTTP, "0.0.0.0")
	if strings.HasPrefix(host, ":") {
		host = hostName() + host
	}
	if cfg.TLS.Cert != "" || !config.Loopback(cfg.HTTP) && !cfg.InsecureHTTP {
		scheme = "https"
	}
	return scheme + "://" + host
}
