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
	KeyPath
	IfMatchHeader
	IdempotencyHeader
	Type    string `query:"type" required:"true" enum:"private-key,public-key,password"`
	RawBody []byte `contentType:"application/octet-stream"`
}

// KeyPath names a key in a path.
type KeyPath struct {
	Path string `path:"path" maxLength:"1000" doc:"Path of the key; the leading keys/ may be left out"`
}

type deleteKeyInput struct {
	KeyPath
	IfMatchHeader
}

func (s *server) keyRoutes() {
	register(s, op{method: http.MethodGet, path: "/keys", id: "list-keys", summary: "List keys, without values", right: read}, s.listKeys)
	register(s, op{method: http.MethodGet, path: "/keys/{path...}", id: "get-key", summary: "Show a key, without its value", right: read}, s.getKey)
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

func (s *server) getKey(ctx context.Context, in *KeyPath) (*tagged[Key], error) {
	k, err := s.Store.Key(ctx, principal(ctx).OrganisationID, keyPath(in.Path))
	if err != nil {
		return nil, err
	}
	return &tagged[Key]{ETag: etag(k.Revision), Body: toKey(k)}, nil
}

func (s *server) setKey(ctx context.Context, in *setKeyInput) (*tagged[Key], error) {
	p := principal(ctx)
	// The body lies in a buffer that is used again after this request.
	value := bytes.Clone(in.RawBody)
	r, err := s.newRequest(ctx, in.IdempotencyKey, "set-key", struct {
		Path, Type string
		Value      []byte
	}{in.Path, in.Type, value})
	if err != nil {
		return nil, err
	}
	k, err := onceJSON(ctx, s, r, func(st *store.Store) (*Key, error) {
		k, err := s.Keys.In(st).Set(ctx, p.OrganisationID, keyPath(in.Path), hub.KeyType(in.Type), value, p.Name)
		if err != nil {
			return nil, err
		}
		// The key's row is locked now, so that nobody comes between check and change.
		if err := in.check(k.Revision-1, "key", k.Path); err != nil {
			return nil, err
		}
		out := toKey(k)
		return &out, s.audit(ctx, st, "key.set", k.Path)
	})
	if err != nil {
		return nil, err
	}
	return &tagged[Key]{ETag: etag(k.Revision), Body: *k}, nil
}

func (s *server) deleteKey(ctx context.Context, in *deleteKeyInput) (*empty, error) {
	organisation := principal(ctx).OrganisationID
	k, err := s.Store.Key(ctx, organisation, keyPath(in.Path))
	if err != nil {
		return nil, err
	}
	if err := in.check(k.Revision, "key", k.Path); err != nil {
		return nil, err
	}
	return &empty{}, s.Store.InTx(ctx, func(st *store.Store) error {
		if err := s.Keys.In(st).Delete(ctx, organisation, k.Path, in.revision(k.Revision)); err != nil {
			return err
		}
		return s.audit(ctx, st, "key.delete", k.Path)
	})
}
