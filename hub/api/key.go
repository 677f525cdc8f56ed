package api

import (
	"context"
	"net/http"
)

type listKeysInput struct {
	Prefix string `query:"prefix" maxLength:"1000" doc:"Paths that begin with this"`
}

type setKeyInput struct {
	Path    string `path:"path" maxLength:"1000" doc:"Path of the key; the leading keys/ may be left out"`
	Type    string `query:"type" required:"true" enum:"private-key,public-key,password"`
	RawBody []byte `contentType:"application/octet-stream"`
}

type keyInput struct {
	Path string `path:"path" maxLength:"1000"`
}

func (s *server) keyRoutes() {
	register(s, op{method: http.MethodGet, path: "/keys", id: "list-keys", summary: "List keys, without values", right: read}, s.listKeys)
	register(s, op{method: http.MethodPut, path: "/keys/{path...}", id: "set-key", summary: "Store a key; the body is its value", right: admin, maxBody: maxKey, takes: []string{"application/octet-stream"}}, s.setKey)
	register(s, op{method: http.MethodDelete, path: "/keys/{path...}", id: "delete-key", summary: "Delete a key", right: admin}, s.deleteKey)
}

func (s *server) listKeys(ctx context.Context, in *listKeysInput) (*body[KeyList], error) { panic("") }
func (s *server) setKey(ctx context.Context, in *setKeyInput) (*body[Key], error)         { panic("") }
func (s *server) deleteKey(ctx context.Context, in *keyInput) (*empty, error)             { panic("") }
