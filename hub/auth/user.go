package auth

import (
	"context"
	"regexp"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// errSignIn is the one answer to a wrong name and a wrong password.
var errSignIn = &hub.Error{Code: hub.CodeUnauthenticated, Message: "Name or password is wrong."}

// dummyHash makes a wrong name cost what a wrong password costs. It is of no password.
const dummyHash = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// checkPassword returns the account if the password is its own. Known and unknown
// names are slowed down alike; a known one at all members together.
func (a *Auth) checkPassword(ctx context.Context, name, password string) (*hub.User, error) {
	u, err := a.st.UserByName(ctx, hub.DefaultOrganisationID, name)
	known := err == nil
	if err != nil && hub.ErrorCode(err) != hub.CodeNotFound {
		return nil, err
	}
	hash := dummyHash
	if known && u.PasswordHash != "" {
		hash = u.PasswordHash
	}
	select {
	case a.hashing <- struct{}{}:
		defer func() { <-a.hashing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	// Not before: of tries that come together, all would find that none was wrong yet.
	if err := a.slowedDown(ctx, u, known, name); err != nil {
		return nil, err
	}
	right, err := verifyPassword(hash, password)
	if err != nil {
		return nil, err
	}
	right = right && known && u.PasswordHash != ""
	if known {
		if err := a.st.CountSignIn(ctx, u.ID, right); err != nil {
			return nil, err
		}
	} else {
		a.slow.failed(name, a.st.Now())
	}
	if !right {
		return nil, errSignIn
	}
	return u, nil
}

func (a *Auth) slowedDown(ctx context.Context, u *hub.User, known bool, name string) error {
	if !known {
		return a.slow.check(name, a.st.Now())
	}
	n, last, err := a.st.SignInFailures(ctx, u.ID)
	if err != nil {
		return err
	}
	return paused(last.Add(pauseAfter(n)), a.st.Now())
}

// userName is what an account may be called: it stands in audit lines and in RD_*
// variables on nodes.
var userName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$`)

// CreateUser makes a local account. password may be empty: it then signs in by link or
// token alone.
func (a *Auth) CreateUser(ctx context.Context, organisationID, name, password string, admin bool) (*hub.User, error) {
	u, err := newUser(organisationID, name, password, admin)
	if err != nil {
		return nil, err
	}
	return u, a.st.InTx(ctx, func(st *store.Store) error { return createUser(ctx, st, u) })
}

// createUser stores a new account and writes that down.
func createUser(ctx context.Context, st *store.Store, u *hub.User) error {
	if err := st.CreateUser(ctx, u); err != nil {
		return err
	}
	detail := ""
	if u.Admin {
		detail = "administrator"
	}
	return done(ctx, st, u.OrganisationID, hubActor, "user.create", u.Name, detail)
}

func newUser(organisationID, name, password string, admin bool) (*hub.User, error) {
	if !userName.MatchString(name) {
		return nil, hub.Errorf(hub.CodeInvalid, "The user name %q is not one: it begins with a letter or digit and goes on with letters, digits and . _ @ - (at most 128).", name)
	}
	u := &hub.User{OrganisationID: organisationID, Name: name, Admin: admin}
	if password != "" {
		if err := checkPassword(password); err != nil {
			return nil, err
		}
		u.PasswordHash = hashPassword(password)
	}
	return u, nil
}

// SetPassword changes a user's password and ends their sessions: whoever knew the old
// one is signed out too.
func (a *Auth) SetPassword(ctx context.Context, organisationID, userName, password string) error {
	if err := checkPassword(password); err != nil {
		return err
	}
	hash := hashPassword(password)
	err := a.st.InTx(ctx, func(st *store.Store) error {
		u, err := st.UserByName(ctx, organisationID, userName)
		if err != nil {
			return err
		}
		u.PasswordHash = hash
		if err := st.UpdateUser(ctx, u); err != nil {
			return err
		}
		if err := st.DeleteUserSessions(ctx, u.ID); err != nil {
			return err
		}
		return done(ctx, st, u.OrganisationID, hubActor, "user.password", u.Name, "signed out everywhere")
	})
	a.seen.forget()
	return err
}

// Bounds of a sign-in link's life.
const (
	minLinkLife = time.Second
	maxLinkLife = 30 * 24 * time.Hour
)

// CreateLink makes the secret of a link that signs the named user in once; life 0: 1 h.
func (a *Auth) CreateLink(ctx context.Context, organisationID, userName string, life time.Duration) (secret string, err error) {
	if life != 0 && (life < minLinkLife || life > maxLinkLife) {
		return "", hub.Errorf(hub.CodeInvalid, "A sign-in link works for %s to %s, not for %s.", minLinkLife, maxLinkLife, life)
	}
	u, err := a.st.UserByName(ctx, organisationID, userName)
	if err != nil {
		return "", err
	}
	err = a.st.InTx(ctx, func(st *store.Store) error {
		secret, err = createLink(ctx, st, u, life)
		return err
	})
	return secret, err
}

func createLink(ctx context.Context, st *store.Store, u *hub.User, life time.Duration) (string, error) {
	if life == 0 {
		life = time.Hour
	}
	secret := newSecret()
	err := st.CreateSignInLink(ctx, &hub.SignInLink{SecretHash: hashSecret(secret), UserID: u.ID, ExpiresAt: st.Now().Add(life)})
	if err != nil {
		return "", err
	}
	return secret, done(ctx, st, u.OrganisationID, hubActor, "user.link", u.Name, "works once, for "+life.String())
}
