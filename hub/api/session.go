package api

import (
	"context"
	"net/http"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/auth"
	"github.com/fairlead/fairlead/hub/store"
)

type signInInput struct {
	Body SignIn
}

type signedIn struct {
	SetCookie string `header:"Set-Cookie"`
	Body      Me
}

type signedOut struct {
	SetCookie string `header:"Set-Cookie"`
}

func (s *server) sessionRoutes() {
	register(s, op{method: http.MethodPost, path: "/sessions", id: "create-session", summary: "Sign in by password or link", right: public, status: http.StatusCreated}, s.signIn)
	register(s, op{method: http.MethodDelete, path: "/sessions/current", id: "delete-session", summary: "Sign out", right: read}, s.signOut)
	register(s, op{method: http.MethodGet, path: "/me", id: "get-me", summary: "Who am I", right: read}, s.getMe)
	register(s, op{method: http.MethodGet, path: "/enrolment", id: "get-enrolment", summary: "What a new runner needs to know", right: public}, s.enrolment)
}

func (s *server) signIn(ctx context.Context, in *signInInput) (*signedIn, error) {
	var session *auth.Session
	var err error
	switch {
	case in.Body.Link != "" && in.Body.User == "" && in.Body.Password == "":
		session, err = s.Auth.SignInByLink(ctx, in.Body.Link)
	case in.Body.Link == "" && in.Body.User != "":
		session, err = s.Auth.SignIn(ctx, in.Body.User, in.Body.Password)
	default:
		const message = "Give either user and password, or link."
		err = hub.Invalid(message, []hub.FieldError{{Path: "body.user", Message: message}, {Path: "body.link", Message: message}})
	}
	if err != nil {
		return nil, err
	}
	return &signedIn{SetCookie: session.Cookie.String(), Body: s.me(session.Principal)}, nil
}

func (s *server) signOut(ctx context.Context, _ *empty) (*signedOut, error) {
	cookie, err := s.Auth.SignOut(ctx, principal(ctx))
	if err != nil {
		return nil, err
	}
	if cookie == nil {
		return &signedOut{}, nil
	}
	return &signedOut{SetCookie: cookie.String()}, nil
}

func (s *server) getMe(ctx context.Context, _ *empty) (*body[Me], error) {
	return &body[Me]{s.me(principal(ctx))}, nil
}

func (s *server) me(p hub.Principal) Me {
	m := Me{
		ID: p.UserID, Name: p.Name, Admin: p.Admin, Method: "session", PublicURL: s.PublicURL,
		Version: s.Version, Member: s.MemberName, Time: s.timeNow(),
	}
	if p.TokenID != "" {
		m.Method = "token"
	}
	return m
}

func (s *server) enrolment(context.Context, *empty) (*body[Enrolment], error) {
	return &body[Enrolment]{Enrolment{ClusterID: s.CA.ClusterID(), CAPem: string(s.CA.PEM()), Gateways: list(s.Cluster.Gateways())}}, nil
}

type newTokenInput struct {
	IdempotencyHeader
	Body NewToken
}

type tokenInput struct {
	ID string `path:"id" maxLength:"200"`
}

func (s *server) tokenRoutes() {
	register(s, op{method: http.MethodGet, path: "/tokens", id: "list-tokens", summary: "List own API tokens", right: read}, s.listTokens)
	register(s, op{method: http.MethodPost, path: "/tokens", id: "create-token", summary: "Create an API token", right: read, status: http.StatusCreated}, s.createToken)
	register(s, op{method: http.MethodDelete, path: "/tokens/{id}", id: "delete-token", summary: "Delete an own API token", right: read}, s.deleteToken)
}

// tokenLife is how long an API token lives when nothing is said.
const tokenLife = 90 * 24 * time.Hour

func (s *server) listTokens(ctx context.Context, _ *empty) (*body[TokenList], error) {
	tokens, err := s.Auth.Tokens(ctx, principal(ctx))
	if err != nil {
		return nil, err
	}
	return &body[TokenList]{TokenList{Items: mapped(tokens, toToken)}}, nil
}

func toToken(t *hub.APIToken) Token {
	return Token{ID: t.ID, Name: t.Name, CreatedAt: Time(t.CreatedAt), ExpiresAt: timePtr(t.ExpiresAt), LastUsedAt: timePtr(t.LastUsedAt)}
}

func (s *server) createToken(ctx context.Context, in *newTokenInput) (*created[CreatedToken], error) {
	life := time.Duration(in.Body.TTLMs) * time.Millisecond
	if life == 0 {
		life = tokenLife
	}
	return secretOnce(ctx, s, in.IdempotencyKey, "create-token", in.Body, func(st *store.Store) (*created[CreatedToken], error) {
		text, t, err := s.Auth.In(st).CreateToken(ctx, principal(ctx), in.Body.Name, life)
		if err != nil {
			return nil, err
		}
		return &created[CreatedToken]{Location: "/api/v1/tokens/" + t.ID, Body: CreatedToken{Token: toToken(t), Secret: text}}, nil
	})
}

func (s *server) deleteToken(ctx context.Context, in *tokenInput) (*empty, error) {
	return &empty{}, s.Auth.DeleteToken(ctx, principal(ctx), in.ID)
}
