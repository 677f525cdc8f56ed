package auth

import (
	"context"
	"strings"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// AdminName is the name of the first administrator.
const AdminName = "admin"

// firstLinkLife is how long the link of the first start works: it may lie in a
// terminal for a while before somebody comes back to it.
const firstLinkLife = 24 * time.Hour

// minForeignToken is how long a token must be that was not made here.
const minForeignToken = 12

// Bootstrap makes the first administrator of an installation that has no user yet, and
// does nothing else. With token, that becomes an API token; without, link is the
// secret of a sign-in link. Members that start together make one between them.
func (a *Auth) Bootstrap(ctx context.Context, token string) (link string, err error) {
	if err := checkForeignToken(token); token != "" && err != nil {
		return "", err
	}
	err = a.st.InTx(ctx, func(st *store.Store) error {
		link = ""
		n, err := st.CountUsers(ctx)
		if err != nil || n > 0 {
			return err
		}
		u, err := newUser(hub.DefaultOrganisationID, AdminName, "", true)
		if err != nil {
			return err
		}
		if err := createUser(ctx, st, u); err != nil {
			return err
		}
		if token == "" {
			link, err = createLink(ctx, st, u, firstLinkLife)
			return err
		}
		t := &hub.APIToken{
			ID: tokenID(token), OrganisationID: u.OrganisationID, UserID: u.ID,
			Name: "bootstrap", SecretHash: hashSecret(token),
		}
		if err := st.CreateAPIToken(ctx, t); err != nil {
			return err
		}
		return done(ctx, st, u.OrganisationID, hubActor, "token.create", t.ID, t.Name)
	})
	if hub.ErrorCode(err) == hub.CodeConflict {
		return "", nil // another member was first, with its own token or link
	}
	return link, err
}

func checkForeignToken(token string) error {
	if len(token) < minForeignToken || len(token) > maxCredential || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return hub.Errorf(hub.CodeInvalid, "The bootstrap token must have %d to %d printable ASCII characters without blanks. Make one with: openssl rand -hex 32", minForeignToken, maxCredential)
	}
	return nil
}
