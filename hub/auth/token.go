package auth

import (
	"context"
	"crypto/sha256"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// tokenPrefix lets secret scanners find a token that was published.
const tokenPrefix = "flt_"

// tokenText is "flt_ID_SECRET".
func tokenText(id, secret string) string { return tokenPrefix + id + "_" + secret }

// tokenID finds the row that a token's text speaks of. A text of another form, as an
// operator may have chosen for the first administrator, has an id made from its hash.
func tokenID(text string) string {
	if rest, ok := strings.CutPrefix(text, tokenPrefix); ok {
		if id, _, ok := strings.Cut(rest, "_"); ok && len(id) == 36 {
			return id
		}
	}
	h := sha256.Sum256([]byte("fairlead foreign token 1\x00" + text))
	id, _ := uuid.FromBytes(h[:16]) // sixteen bytes always are one
	return id.String()
}

// CreateToken makes an API token for p's own user. text is shown once. life 0: it
// never ends. A token cannot make another: whoever found one would keep their way in
// after it was deleted or had expired.
func (a *Auth) CreateToken(ctx context.Context, p hub.Principal, name string, life time.Duration) (text string, t *hub.APIToken, err error) {
	if p.TokenID != "" {
		return "", nil, hub.Errorf(hub.CodeForbidden, "An API token cannot make another one. Sign in in the browser and make it in the profile, or with: fairlead login")
	}
	if life < 0 {
		return "", nil, hub.Errorf(hub.CodeInvalid, "The token's life of %s is negative.", life)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return "", nil, err
	}
	text = tokenText(id.String(), newSecret())
	t = &hub.APIToken{ID: id.String(), OrganisationID: p.OrganisationID, UserID: p.UserID, Name: name, SecretHash: hashSecret(text)}
	if life > 0 {
		t.ExpiresAt = a.st.Now().Add(life)
	}
	err = a.st.InTx(ctx, func(st *store.Store) error {
		if err := st.CreateAPIToken(ctx, t); err != nil {
			return err
		}
		return done(ctx, st, p.OrganisationID, p.Actor(), "token.create", t.ID, t.Name)
	})
	if err != nil {
		return "", nil, err
	}
	return text, t, nil
}

// Tokens lists p's own API tokens, oldest first.
func (a *Auth) Tokens(ctx context.Context, p hub.Principal) ([]*hub.APIToken, error) {
	return a.st.APITokens(ctx, p.UserID)
}

// DeleteToken ends one of p's own API tokens, at every member within 5 s.
func (a *Auth) DeleteToken(ctx context.Context, p hub.Principal, id string) error {
	err := a.st.InTx(ctx, func(st *store.Store) error {
		if err := st.DeleteAPIToken(ctx, p.UserID, id); err != nil {
			return err
		}
		return done(ctx, st, p.OrganisationID, p.Actor(), "token.delete", id, "")
	})
	if err != nil {
		return err
	}
	a.seen.forget()
	return nil
}

// byToken asks the database about a token. Whatever is wrong with it, the answer is
// the same but for one that has expired.
func (a *Auth) byToken(ctx context.Context, text string, use bool) (hub.Principal, error) {
	const wrong = "The API token is not one of this hub, or was deleted; make one in the profile, or with: fairlead login"
	t, err := a.st.APIToken(ctx, tokenID(text))
	switch {
	case hub.ErrorCode(err) == hub.CodeNotFound:
		return hub.Principal{}, hub.Errorf(hub.CodeUnauthenticated, wrong)
	case err != nil:
		return hub.Principal{}, err
	case !sameHash(t.SecretHash, hashSecret(text)):
		return hub.Principal{}, hub.Errorf(hub.CodeUnauthenticated, wrong)
	case !t.ExpiresAt.IsZero() && !a.st.Now().Before(t.ExpiresAt):
		return hub.Principal{}, hub.Errorf(hub.CodeUnauthenticated, "The API token %q has expired; make another in the profile.", t.Name)
	}
	p, err := a.principal(ctx, t.UserID)
	if err != nil {
		return hub.Principal{}, err
	}
	p.TokenID = t.ID
	if !use || a.st.Now().Sub(t.LastUsedAt) < touchEvery {
		return p, nil
	}
	return p, a.st.TouchAPIToken(ctx, t.ID)
}
