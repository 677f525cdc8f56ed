package auth

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// Config of Auth.
type Config struct {
	// SecureCookies: people come over HTTPS, so cookies must.
	SecureCookies bool
	// Idle and Absolute end sessions; 0: 30 min and 12 h.
	Idle, Absolute time.Duration
}

// Auth says who a request comes from. Make it with New; all methods may be called by
// many goroutines at once.
type Auth struct {
	st  *store.Store
	cfg Config
	log *slog.Logger
}

// New makes an Auth.
func New(st *store.Store, cfg Config, log *slog.Logger) *Auth {
	return &Auth{st: st, cfg: cfg, log: log}
}

// Session is a browser that was just signed in. Cookie bears its secret.
type Session struct {
	Principal hub.Principal
	Cookie    *http.Cookie
	ExpiresAt time.Time
}

// Authenticate says who a request comes from: by bearer token, else by cookie. The
// error has code unauthenticated when nothing valid was presented.
func (a *Auth) Authenticate(r *http.Request) (hub.Principal, error) { return hub.Principal{}, nil }

// SignIn starts a session for a name and its password in the default organisation.
// Wrong names and wrong passwords look alike.
func (a *Auth) SignIn(ctx context.Context, name, password string) (*Session, error) { return nil, nil }

// SignInByLink starts a session for the secret of a sign-in link, which works once.
func (a *Auth) SignInByLink(ctx context.Context, secret string) (*Session, error) { return nil, nil }

// SignOut ends the session of p, if it is one, and returns the cookie that clears its own.
func (a *Auth) SignOut(ctx context.Context, p hub.Principal) (*http.Cookie, error) { return nil, nil }

// CreateToken makes an API token for p's own user. text is shown once. life 0: it
// never ends.
func (a *Auth) CreateToken(ctx context.Context, p hub.Principal, name string, life time.Duration) (text string, t *hub.APIToken, err error) {
	return "", nil, nil
}

// Tokens lists p's own API tokens, newest first.
func (a *Auth) Tokens(ctx context.Context, p hub.Principal) ([]hub.APIToken, error) { return nil, nil }

// DeleteToken ends one of p's own API tokens, at every member within 5 s.
func (a *Auth) DeleteToken(ctx context.Context, p hub.Principal, id string) error { return nil }

// CreateUser makes a local account. password may be empty: it then signs in by link or
// token alone.
func (a *Auth) CreateUser(ctx context.Context, organisationID, name, password string, admin bool) (*hub.User, error) {
	return nil, nil
}

// SetPassword changes a user's password.
func (a *Auth) SetPassword(ctx context.Context, organisationID, userID, password string) error {
	return nil
}

// CreateLink makes the secret of a link that signs the named user in once; life 0: 1 h.
func (a *Auth) CreateLink(ctx context.Context, organisationID, userName string, life time.Duration) (secret string, err error) {
	return "", nil
}

// Bootstrap makes the first administrator of an installation that has no user yet, and
// does nothing else. With token, that becomes an API token; without, link is the
// secret of a sign-in link.
func (a *Auth) Bootstrap(ctx context.Context, token string) (link string, err error) { return "", nil }
