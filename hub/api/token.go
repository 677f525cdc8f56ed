package api

import (
	"context"
	"net/http"
)

type newTokenInput struct {
	IdempotencyHeader
	Body NewToken
}

type tokenInput struct {
	ID string `path:"id"`
}

func (s *server) tokenRoutes() {
	register(s, op{method: http.MethodGet, path: "/tokens", id: "list-tokens", summary: "List own API tokens", right: read}, s.listTokens)
	register(s, op{method: http.MethodPost, path: "/tokens", id: "create-token", summary: "Create an API token", right: read, status: http.StatusCreated}, s.createToken)
	register(s, op{method: http.MethodDelete, path: "/tokens/{id}", id: "delete-token", summary: "Delete an own API token", right: read}, s.deleteToken)
}

func (s *server) listTokens(ctx context.Context, in *empty) (*body[TokenList], error) { panic("") }
func (s *server) createToken(ctx context.Context, in *newTokenInput) (*created[CreatedToken], error) {
	panic("")
}
func (s *server) deleteToken(ctx context.Context, in *tokenInput) (*empty, error) { panic("") }
