package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

func TestUsers(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		same(t, must(st.CountUsers(ctx))(t), int64(0))
		u := makeUser(ctx, t, st, "ann")
		same(t, must(st.User(ctx, u.ID))(t), u)
		same(t, must(st.UserByName(ctx, org, "ann"))(t), u)
		same(t, must(st.CountUsers(ctx))(t), int64(1))
		wantCode(t, st.CreateUser(ctx, &hub.User{OrganisationID: org, Name: "ann"}), hub.CodeConflict)
		_, err := st.User(ctx, "nobody")
		wantCode(t, err, hub.CodeNotFound)
		_, err = st.UserByName(ctx, org, "nobody")
		wantCode(t, err, hub.CodeNotFound)
		makeUser(ctx, t, st, "bob")
		list, next, err := st.Users(ctx, org, store.Page{Limit: 1})
		ok(t, err)
		same(t, list[0].Name, "ann")
		list, next, err = st.Users(ctx, org, store.Page{Limit: 1, Cursor: next})
		ok(t, err)
		same(t, []string{list[0].Name, next}, []string{"bob", ""})
	})
}

func TestSignInFailuresAreCounted(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		u := makeUser(ctx, t, st, "ann")
		ok(t, st.CountSignIn(ctx, u.ID, false))
		ok(t, st.CountSignIn(ctx, u.ID, false))
		n, last, err := st.SignInFailures(ctx, u.ID)
		ok(t, err)
		if n != 2 || st.Now().Sub(last) > time.Minute || last.IsZero() {
			t.Errorf("got %d failures, last %v", n, last)
		}
		ok(t, st.CountSignIn(ctx, u.ID, true))
		n, last, err = st.SignInFailures(ctx, u.ID)
		ok(t, err)
		if n != 0 || !last.IsZero() {
			t.Errorf("got %d failures, last %v, want none", n, last)
		}
	})
}

func TestDisabledUserIsSignedOut(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		u := makeUser(ctx, t, st, "ann")
		s := &hub.UserSession{IDHash: hash("a"), UserID: u.ID, OrganisationID: org, ExpiresAt: later(st, time.Hour)}
		ok(t, st.CreateUserSession(ctx, s))
		same(t, must(st.UserSession(ctx, hash("a")))(t), s)
		u.Disabled = true
		ok(t, st.UpdateUser(ctx, u))
		_, err := st.UserSession(ctx, hash("a"))
		wantCode(t, err, hub.CodeUnauthenticated)
		same(t, must(st.User(ctx, u.ID))(t), u)
		wantCode(t, st.UpdateUser(ctx, &hub.User{ID: "nobody"}), hub.CodeNotFound)
	})
}

func TestUserSessions(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		u := makeUser(ctx, t, st, "ann")
		add := func(id string, lives time.Duration) {
			ok(t, st.CreateUserSession(ctx, &hub.UserSession{
				IDHash: hash(id), UserID: u.ID, OrganisationID: org,
				CreatedAt: later(st, -2*time.Hour), ExpiresAt: later(st, lives),
			}))
		}
		add("old", -time.Second)
		add("a", time.Hour)
		add("b", time.Hour)
		_, err := st.UserSession(ctx, hash("old"))
		wantCode(t, err, hub.CodeUnauthenticated)
		before := st.Now()
		ok(t, st.TouchUserSession(ctx, hash("a")))
		if got := must(st.UserSession(ctx, hash("a")))(t).LastUsedAt; got.Before(before) {
			t.Errorf("last used at %v, before the use at %v", got, before)
		}
		ok(t, st.DeleteUserSession(ctx, hash("a")))
		_, err = st.UserSession(ctx, hash("a"))
		wantCode(t, err, hub.CodeUnauthenticated)
		same(t, must(st.DeleteExpiredSignIns(ctx))(t), int64(1))
		ok(t, st.DeleteUserSessions(ctx, u.ID))
		_, err = st.UserSession(ctx, hash("b"))
		wantCode(t, err, hub.CodeUnauthenticated)
	})
}

func TestSignInLinkWorksOnce(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		u := makeUser(ctx, t, st, "ann")
		ok(t, st.CreateSignInLink(ctx, &hub.SignInLink{SecretHash: hash("a"), UserID: u.ID, ExpiresAt: later(st, time.Hour)}))
		ok(t, st.CreateSignInLink(ctx, &hub.SignInLink{SecretHash: hash("old"), UserID: u.ID, ExpiresAt: later(st, -time.Hour)}))
		results := make(chan error, 8)
		for range 8 {
			go func() {
				_, err := st.UseSignInLink(ctx, hash("a"))
				results <- err
			}()
		}
		used := 0
		for range 8 {
			if err := <-results; err == nil {
				used++
			} else {
				wantCode(t, err, hub.CodeUnauthenticated)
			}
		}
		same(t, used, 1)
		for _, id := range []string{"old", "forged"} {
			_, err := st.UseSignInLink(ctx, hash(id))
			wantCode(t, err, hub.CodeUnauthenticated)
		}
	})
}

func TestAPITokens(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		u, v := makeUser(ctx, t, st, "ann"), makeUser(ctx, t, st, "bob")
		a := &hub.APIToken{ID: "abc", OrganisationID: org, UserID: u.ID, Name: "ci", SecretHash: hash("s")}
		ok(t, st.CreateAPIToken(ctx, a))
		same(t, must(st.APIToken(ctx, "abc"))(t), a)
		wantCode(t, st.CreateAPIToken(ctx, &hub.APIToken{ID: "abc", OrganisationID: org, UserID: u.ID, SecretHash: hash("s")}), hub.CodeConflict)
		b := &hub.APIToken{OrganisationID: org, UserID: v.ID, SecretHash: hash("t"), ExpiresAt: later(st, -time.Hour)}
		ok(t, st.CreateAPIToken(ctx, b))
		same(t, must(st.APITokens(ctx, u.ID))(t), []*hub.APIToken{a})
		ok(t, st.TouchAPIToken(ctx, "abc"))
		first := must(st.APIToken(ctx, "abc"))(t).LastUsedAt
		if first.IsZero() {
			t.Error("the use was not noted")
		}
		ok(t, st.TouchAPIToken(ctx, "abc"))
		same(t, must(st.APIToken(ctx, "abc"))(t).LastUsedAt, first)
		wantCode(t, st.DeleteAPIToken(ctx, v.ID, "abc"), hub.CodeNotFound)
		ok(t, st.DeleteAPIToken(ctx, u.ID, "abc"))
		_, err := st.APIToken(ctx, "abc")
		wantCode(t, err, hub.CodeNotFound)
		same(t, must(st.DeleteExpiredSignIns(ctx))(t), int64(1))
	})
}
