package api

import (
	"bytes"
	"context"
	"net/http"
	"strings"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

type listKeysInput struct {
	Page
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

// keyPath is the path of a key with what every one begins with.
func keyPath(path string) string { return "keys/" + strings.TrimPrefix(path, "keys/") }

func (s *server) listKeys(ctx context.Context, in *listKeysInput) (*body[KeyList], error) {
	prefix := in.Prefix
	if prefix != "" && !strings.HasPrefix("keys/", prefix) {
		prefix = keyPath(prefix)
	}
	items, next, err := s.Keys.List(ctx, principal(ctx).OrganisationID, prefix, in.store())
	if err != nil {
		return nil, err
	}
	return &body[KeyList]{KeyList{Items: mapped(items, toKey), Next: next}}, nil
}

func (s *server) setKey(ctx context.Context, in *setKeyInput) (*body[Key], error) {
	p := principal(ctx)
	// The body lies in a buffer that is used again after this request.
	k, err := s.Keys.Set(ctx, p.OrganisationID, keyPath(in.Path), hub.KeyType(in.Type), bytes.Clone(in.RawBody), p.Name)
	if err != nil {
		return nil, err
	}
	return &body[Key]{toKey(k)}, s.audit(ctx, s.Store, "key.set", k.Path)
}

func (s *server) deleteKey(ctx context.Context, in *keyInput) (*empty, error) {
	p := principal(ctx)
	return &empty{}, s.Store.InTx(ctx, func(st *store.Store) error {
		if err := st.DeleteKey(ctx, p.OrganisationID, keyPath(in.Path)); err != nil {
			return err
		}
		return s.audit(ctx, st, "key.delete", keyPath(in.Path))
	})
}
