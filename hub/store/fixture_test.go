package store_test

import (
	"context"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

const org = hub.DefaultOrganisationID

// both runs a test on SQLite and on PostgreSQL, with a store of its own.
func both(t *testing.T, test func(ctx context.Context, t *testing.T, st *store.Store)) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		test(t.Context(), t, open(t))
	})
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("got error %v", err)
	}
}

// must returns the value of a call that has to succeed.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		ok(t, err)
		return v
	}
}

func wantCode(t *testing.T, err error, want hub.Code) {
	t.Helper()
	if got := hub.ErrorCode(err); got != want {
		t.Fatalf("got error %v of code %q, want %q", err, got, want)
	}
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("-want +got\n%s", d)
	}
}

func hash(text string) []byte {
	h := sha256.Sum256([]byte(text))
	return h[:]
}

func makeProject(ctx context.Context, t *testing.T, st *store.Store, name string) *hub.Project {
	t.Helper()
	p := &hub.Project{OrganisationID: org, Name: name, Settings: map[string]string{"ssh-authentication": "privateKey"}}
	ok(t, st.CreateProject(ctx, p))
	return p
}

func makeUser(ctx context.Context, t *testing.T, st *store.Store, name string) *hub.User {
	t.Helper()
	u := &hub.User{OrganisationID: org, Name: name, PasswordHash: "$argon2id$x", Admin: true}
	ok(t, st.CreateUser(ctx, u))
	return u
}

func makeRunner(ctx context.Context, t *testing.T, st *store.Store, name string) *hub.Runner {
	t.Helper()
	r := &hub.Runner{OrganisationID: org, Name: name, Tags: []string{"dc1"}, SealingKey: []byte{1, 2}}
	ok(t, st.CreateRunner(ctx, r))
	return r
}

// later is a time that columns can hold.
func later(st *store.Store, d time.Duration) time.Time { return st.Now().Add(d) }
