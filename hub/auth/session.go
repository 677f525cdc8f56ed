package auth

import (
	"context"
	"net/http"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// Session is a browser that was just signed in. Cookie bears its secret.
type Session struct {
	Principal hub.Principal
	Cookie    *http.Cookie
	ExpiresAt time.Time
}

// cookieName has the prefix by which browsers refuse a cookie that another host or an
// unencrypted page tries to plant; it needs HTTPS.
func (a *Auth) cookieName() string {
	if a.cfg.SecureCookies {
		return "__Host-fairlead_session"
	}
	return "fairlead_session"
}

func (a *Auth) cookie(value string, life time.Duration) *http.Cookie {
	c := &http.Cookie{ //nolint:gosec // Secure follows how people come: plain HTTP only on loopback
		Name: a.cookieName(), Value: value, Path: "/", MaxAge: int(life.Seconds()),
		Secure: a.cfg.SecureCookies, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

// SignIn starts a session for a name and its password in the default organisation.
// Wrong names and wrong passwords look alike.
func (a *Auth) SignIn(ctx context.Context, name, password string) (*Session, error) {
	s, err := a.byPassword(ctx, name, password)
	if err != nil {
		a.auditRefusal(ctx, "password", name, err)
	}
	return s, err
}

func (a *Auth) byPassword(ctx context.Context, name, password string) (*Session, error) {
	if len(name) > 256 || len(password) > maxPassword {
		return nil, errSignIn
	}
	u, err := a.checkPassword(ctx, name, password)
	if err != nil {
		return nil, err
	}
	return a.start(ctx, u, "password")
}

// SignInByLink starts a session for the secret of a sign-in link, which works once.
func (a *Auth) SignInByLink(ctx context.Context, secret string) (*Session, error) {
	s, name, err := a.byLink(ctx, secret)
	if err != nil {
		a.auditRefusal(ctx, "link", name, err)
	}
	return s, err
}

// byLink takes the link's one use and starts the session in one transaction, so that
// neither happens alone. With an error, name is whose link it was, if it was one.
func (a *Auth) byLink(ctx context.Context, secret string) (s *Session, name string, err error) {
	if len(secret) > maxCredential {
		return nil, "", errSignIn
	}
	err = a.st.InTx(ctx, func(st *store.Store) error {
		u, err := st.UseSignInLink(ctx, hashSecret(secret))
		if err != nil {
			return err
		}
		name = u.Name
		s, err = a.In(st).start(ctx, u, "link")
		return err
	})
	if err != nil {
		return nil, name, err
	}
	return s, name, nil
}

// start makes a new session, whatever cookie the browser had before.
func (a *Auth) start(ctx context.Context, u *hub.User, how string) (*Session, error) {
	if u.Disabled {
		return nil, hub.Errorf(hub.CodeUnauthenticated, "The account %q is disabled; an administrator can enable it.", u.Name)
	}
	secret, now := newSecret(), a.st.Now()
	s := &hub.UserSession{
		IDHash: hashSecret(secret), UserID: u.ID, OrganisationID: u.OrganisationID,
		CreatedAt: now, LastUsedAt: now, ExpiresAt: now.Add(a.cfg.Absolute),
	}
	p := hub.Principal{UserID: u.ID, OrganisationID: u.OrganisationID, Name: u.Name, Admin: u.Admin, SessionID: string(s.IDHash)}
	err := a.st.InTx(ctx, func(st *store.Store) error {
		if err := st.CreateUserSession(ctx, s); err != nil {
			return err
		}
		return done(ctx, st, u.OrganisationID, p.Actor(), "session.create", u.Name, "by "+how)
	})
	if err != nil {
		return nil, err
	}
	return &Session{Principal: p, Cookie: a.cookie(secret, a.cfg.Absolute), ExpiresAt: s.ExpiresAt}, nil
}

// bySession asks the database about a cookie.
func (a *Auth) bySession(ctx context.Context, secret string, use bool) (hub.Principal, error) {
	s, err := a.st.UserSession(ctx, hashSecret(secret))
	if err != nil {
		return hub.Principal{}, err
	}
	if a.st.Now().Sub(s.LastUsedAt) > a.cfg.Idle {
		return hub.Principal{}, hub.Errorf(hub.CodeUnauthenticated, "The session has ended after %s without a request; sign in again.", a.cfg.Idle)
	}
	p, err := a.principal(ctx, s.UserID)
	if err != nil {
		return hub.Principal{}, err
	}
	p.SessionID = string(s.IDHash)
	if !use || a.st.Now().Sub(s.LastUsedAt) < touchEvery {
		return p, nil
	}
	return p, a.st.TouchUserSession(ctx, s.IDHash)
}

// SignOut ends the session of p, if it is one, and returns the cookie that clears its own.
func (a *Auth) SignOut(ctx context.Context, p hub.Principal) (*http.Cookie, error) {
	if p.SessionID != "" {
		err := a.st.InTx(ctx, func(st *store.Store) error {
			if err := st.DeleteUserSession(ctx, []byte(p.SessionID)); err != nil {
				return err
			}
			return done(ctx, st, p.OrganisationID, p.Actor(), "session.delete", p.Name, "")
		})
		if err != nil {
			return nil, err
		}
		a.seen.forget()
	}
	return a.cookie("", 0), nil
}
