package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/auth"
)

// A running hub answers commands of its own machine on a socket in its data directory
// (mode 0600): who may write there could open the database itself. An SQLite file
// admits no second process, so without it `fairlead-hub user` would need a stop.

const (
	adminSocket  = "admin.sock"
	adminTimeout = 30 * time.Second
	// maxSocketPath is what fits into a socket's address on every system, in bytes.
	maxSocketPath = 100
)

// userRequest is what `fairlead-hub user` asks for.
type userRequest struct {
	// Do is create, link or password.
	Do       string `json:"do"`
	Name     string `json:"name"`
	Password string `json:"password,omitempty"`
	Admin    bool   `json:"admin,omitempty"`
	// LifeMS is how long a link works.
	LifeMS int64 `json:"lifeMs,omitempty"`
}

type userAnswer struct {
	// URL of a sign-in link.
	URL string `json:"url,omitempty"`
	// Code and Error tell what went wrong.
	Code  hub.Code `json:"code,omitempty"`
	Error string   `json:"error,omitempty"`
}

// doUser does what a user command asks; public is the UI's address.
func doUser(ctx context.Context, a *auth.Auth, public string, r userRequest) (userAnswer, error) {
	life := time.Duration(r.LifeMS) * time.Millisecond
	var err error
	switch r.Do {
	case "create":
		_, err = a.CreateUser(ctx, hub.DefaultOrganisationID, r.Name, r.Password, r.Admin)
	case "password":
		return userAnswer{}, a.SetPassword(ctx, hub.DefaultOrganisationID, r.Name, r.Password)
	case "link":
	default:
		err = hub.Errorf(hub.CodeInvalid, "The request %q is not known.", r.Do)
	}
	if err != nil || r.Password != "" {
		return userAnswer{}, err
	}
	secret, err := a.CreateLink(ctx, hub.DefaultOrganisationID, r.Name, life)
	return userAnswer{URL: signInURL(public, secret)}, err
}

// atSocket calls use with a path of the socket in dir that fits into a socket's address.
// The path of a deep directory does not: there it leads through the directory opened,
// as Linux has it, which is valid only until use returns.
func atSocket(dir string, use func(path string) error) error {
	path, err := filepath.Abs(filepath.Join(dir, adminSocket))
	if err != nil {
		return err
	}
	if len(path) <= maxSocketPath {
		return use(path)
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // nothing was written
	if err := use(fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), adminSocket)); err != nil {
		return fmt.Errorf("the path %s is too long for a socket, and the way around it fails: %w", path, err)
	}
	return nil
}

// listenAdmin opens the socket. The data directory is locked, so one that is there was
// left by a hub that ended before.
func listenAdmin(ctx context.Context, dir string) (net.Listener, error) {
	path := filepath.Join(dir, adminSocket)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var l net.Listener
	err := atSocket(dir, func(short string) (err error) {
		var lc net.ListenConfig
		if l, err = lc.Listen(ctx, "unix", short); err != nil {
			return err
		}
		// The path it was opened by may be another file's when it is closed.
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (s *server) serveAdmin(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /user", func(w http.ResponseWriter, r *http.Request) {
		var req userRequest
		var answer userAnswer
		err := json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(&req)
		if err == nil {
			answer, err = doUser(r.Context(), s.auth, s.addr.public, req)
		}
		if err != nil {
			s.log.WarnContext(r.Context(), "local command failed", "command", req.Do, "error", err)
			answer = userAnswer{Code: hub.ErrorCode(err), Error: hub.ErrorMessage(err)}
		}
		_ = json.NewEncoder(w).Encode(answer) // the client is gone if this fails
	})
	mux.HandleFunc("POST /archive", s.serveArchive)
	h := &http.Server{Handler: mux, ReadHeaderTimeout: adminTimeout}
	defer context.AfterFunc(ctx, func() { _ = h.Close() })() // who waits for an answer can ask again
	if err := h.Serve(s.admin); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the local socket: %w", err)
	}
	return nil
}

func dialAdmin(ctx context.Context, dir string) (c net.Conn, err error) {
	err = atSocket(dir, func(path string) (err error) {
		var d net.Dialer
		c, err = d.DialContext(ctx, "unix", path)
		return err
	})
	return c, err
}

// askWhetherHubRuns returns nil when a hub answers in the data directory, and
// fs.ErrPermission when this user may not ask it.
func askWhetherHubRuns(ctx context.Context, dir string) error {
	c, err := dialAdmin(ctx, dir)
	if err != nil {
		return err
	}
	return c.Close()
}

// adminClient speaks to the hub that runs in the data directory.
func adminClient(dir string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialAdmin(ctx, dir) },
	}}
}

// errNoHub says that no hub runs in the data directory.
var errNoHub = errors.New("no hub answers on the local socket")

// askHub sends a user command to the hub that runs in dir.
func askHub(ctx context.Context, dir string, r userRequest) (userAnswer, error) {
	if _, err := os.Stat(filepath.Join(dir, adminSocket)); err != nil {
		return userAnswer{}, errNoHub
	}
	client := adminClient(dir)
	client.Timeout = adminTimeout
	defer client.CloseIdleConnections()
	body, err := json.Marshal(r) //nolint:gosec // to a socket that this user alone can open
	if err != nil {
		return userAnswer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://hub/user", bytes.NewReader(body))
	if err != nil {
		return userAnswer{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return userAnswer{}, errors.Join(errNoHub, err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	var answer userAnswer
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&answer); err != nil {
		return userAnswer{}, fmt.Errorf("reading the hub's answer: %w", err)
	}
	if answer.Error != "" {
		return userAnswer{}, &hub.Error{Code: answer.Code, Message: answer.Error}
	}
	return answer, nil
}
