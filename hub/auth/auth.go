package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"strings"
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
	st      *store.Store
	cfg     Config
	log     *slog.Logger
	seen    *cache
	slow    *slowdown
	refused *refusals
	hashing chan struct{}
}

// New makes an Auth.
func New(st *store.Store, cfg Config, log *slog.Logger) *Auth {
	if cfg.Idle == 0 {
		cfg.Idle = 30 * time.Minute
	}
	if cfg.Absolute == 0 {
		cfg.Absolute = 12 * time.Hour
	}
	return &Auth{st: st, cfg: cfg, log: log, seen: newCache(), slow: &slowdown{}, refused: &refusals{}, hashing: make(chan struct{}, maxHashing)}
}

// In returns an Auth that works in a transaction of its caller.
func (a *Auth) In(st *store.Store) *Auth {
	in := *a
	in.st = st
	return &in
}

// touchEvery is how fine the last use of sessions and tokens is told: a write for each
// request would be a commit for each request.
const touchEvery = time.Minute

// maxCredential bounds a token or cookie before anything is done with it.
const maxCredential = 512

var errNobody = &hub.Error{Code: hub.CodeUnauthenticated, Message: "Sign in first, or send an API token as \"Authorization: Bearer TOKEN\"."}

// BackgroundHeader marks a request that a page makes by itself while nobody is at it: it
// does not count as use of the session, or an open page would keep it alive for ever.
const BackgroundHeader = "Fairlead-Background"

// Authenticate says who a request comes from: by bearer token, else by cookie. The
// error has code unauthenticated when nothing valid was presented. An answer may be as
// old as trust: what is revoked elsewhere ends here within it.
func (a *Auth) Authenticate(r *http.Request) (hub.Principal, error) {
	return a.identify(r, r.Header.Get(BackgroundHeader) == "")
}

// Recheck says who the request of a stream that is open still comes from. It is no use
// of the session.
func (a *Auth) Recheck(r *http.Request) (hub.Principal, error) { return a.identify(r, false) }

func (a *Auth) identify(r *http.Request, use bool) (hub.Principal, error) {
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		token = strings.TrimSpace(token)
		if !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxCredential {
			return hub.Principal{}, errNobody
		}
		return a.seen.get(r.Context(), credential{token, byToken, use}, a.ask)
	}
	cookie, err := r.Cookie(a.cookieName())
	if err != nil || cookie.Value == "" || len(cookie.Value) > maxCredential {
		return hub.Principal{}, errNobody
	}
	return a.seen.get(r.Context(), credential{cookie.Value, bySession, use}, a.ask)
}

// ask asks the database about a credential.
func (a *Auth) ask(ctx context.Context, c credential) (hub.Principal, error) {
	if c.kind == byToken {
		return a.byToken(ctx, c.secret, c.use)
	}
	return a.bySession(ctx, c.secret, c.use)
}

// principal is the account as a request acts as it. An account that is gone or
// disabled is nobody.
func (a *Auth) principal(ctx context.Context, userID string) (hub.Principal, error) {
	u, err := a.st.User(ctx, userID)
	if hub.ErrorCode(err) == hub.CodeNotFound {
		return hub.Principal{}, errNobody
	}
	if err != nil {
		return hub.Principal{}, err
	}
	if u.Disabled {
		return hub.Principal{}, hub.Errorf(hub.CodeUnauthenticated, "The account %q is disabled; an administrator can enable it.", u.Name)
	}
	return hub.Principal{UserID: u.ID, OrganisationID: u.OrganisationID, Name: u.Name, Admin: u.Admin}, nil
}

// newSecret makes 256 random bits as text.
func newSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

func hashSecret(secret string) []byte {
	h := sha256.Sum256([]byte(secret))
	return h[:]
}

func sameHash(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// Run removes what has expired, every hour, until ctx ends.
func (a *Auth) Run(ctx context.Context) error {
	ticker := time.NewTicker(time.Hour)
	defer ticker.Stop()
	for {
		if _, err := a.st.DeleteExpiredSignIns(ctx); err != nil && !errors.Is(err, context.Canceled) {
			a.log.WarnContext(ctx, "expired sign-ins not removed", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
