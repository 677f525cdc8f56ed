package api

import (
	"context"
	"net/http"
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
	register(s, op{method: http.MethodGet, path: "/me", id: "get-me", summary: "Who am I", right: read}, s.me)
	register(s, op{method: http.MethodGet, path: "/enrolment", id: "get-enrolment", summary: "What a new runner needs to know", right: public}, s.enrolment)
}

func (s *server) signIn(ctx context.Context, in *signInInput) (*signedIn, error) { panic("") }
func (s *server) signOut(ctx context.Context, in *empty) (*signedOut, error)     { panic("") }
func (s *server) me(ctx context.Context, in *empty) (*body[Me], error)           { panic("") }
func (s *server) enrolment(ctx context.Context, in *empty) (*body[Enrolment], error) {
	panic("")
}
