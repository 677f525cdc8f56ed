package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

func TestKeys(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		seal := func(revision int64) ([]byte, error) { return fmt.Appendf(nil, "sealed %d", revision), nil }
		k := &hub.Key{OrganisationID: org, Path: "keys/web/deploy", Type: hub.KeyPrivate, Size: 7, CreatedBy: "ann"}
		ok(t, st.SetKey(ctx, k, seal))
		got, sealed, err := st.SealedKey(ctx, org, k.Path)
		ok(t, err)
		same(t, got, k)
		same(t, string(sealed), "sealed 1")

		next := &hub.Key{OrganisationID: org, Path: k.Path, Type: hub.KeyPassword, Size: 3, CreatedBy: "bob"}
		ok(t, st.SetKey(ctx, next, seal))
		same(t, next.Revision, int64(2))
		same(t, next.CreatedAt, k.CreatedAt)
		_, sealed, err = st.SealedKey(ctx, org, k.Path)
		ok(t, err)
		same(t, string(sealed), "sealed 2")

		// What cannot be sealed leaves the old value.
		broken := errors.New("no master key")
		err = st.SetKey(ctx, next, func(int64) ([]byte, error) { return nil, broken })
		if !errors.Is(err, broken) {
			t.Errorf("got %v, want the sealer's error", err)
		}
		got, sealed, err = st.SealedKey(ctx, org, k.Path)
		ok(t, err)
		same(t, string(sealed), "sealed 2")
		same(t, got.Type, hub.KeyPassword)

		ok(t, st.SetKey(ctx, &hub.Key{OrganisationID: org, Path: "keys/Web/x", Type: hub.KeyPublic}, seal))
		ok(t, st.SetKey(ctx, &hub.Key{OrganisationID: org, Path: "keys/web/z", Type: hub.KeyPublic}, seal))
		paths := func(prefix string) (paths []string) {
			page := store.Page{Limit: 1}
			for {
				list, next, err := st.Keys(ctx, org, prefix, page)
				ok(t, err)
				for _, k := range list {
					paths = append(paths, k.Path)
				}
				if page.Cursor = next; next == "" {
					return paths
				}
			}
		}
		same(t, paths(""), []string{"keys/Web/x", "keys/web/deploy", "keys/web/z"})
		same(t, paths("keys/w"), []string{"keys/web/deploy", "keys/web/z"})
		wantCode(t, st.DeleteKey(ctx, org, "keys/web/z", 2), hub.CodeConflict)
		ok(t, st.DeleteKey(ctx, org, "keys/web/z", 1))
		wantCode(t, st.DeleteKey(ctx, org, "keys/web/z", 0), hub.CodeNotFound)
		_, err = st.Key(ctx, org, "keys/web/z")
		wantCode(t, err, hub.CodeNotFound)
		_, err = st.Key(ctx, "other", k.Path)
		wantCode(t, err, hub.CodeNotFound)
	})
}

// Writers of one path at once: every envelope is bound to the revision it is
// stored under.
func TestKeysRaced(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		done := make(chan struct{})
		for range 10 {
			go func() {
				defer func() { done <- struct{}{} }()
				k := &hub.Key{OrganisationID: org, Path: "keys/a", Type: hub.KeyPublic}
				err := st.SetKey(ctx, k, func(r int64) ([]byte, error) { return []byte{byte(r)}, nil })
				if err != nil {
					t.Error(err)
				}
			}()
		}
		for range 10 {
			<-done
		}
		k, sealed, err := st.SealedKey(ctx, org, "keys/a")
		ok(t, err)
		same(t, k.Revision, int64(10))
		same(t, sealed, []byte{10})
	})
}
