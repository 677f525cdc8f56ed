package auth

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

// audited is what the audit says, oldest first: "actor action object result".
func audited(t *testing.T, st *store.Store) []string {
	t.Helper()
	events, _, err := st.AuditEvents(t.Context(), org, store.Page{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(events)
	var lines []string
	for _, e := range events {
		lines = append(lines, strings.Join([]string{e.Actor, e.Action, e.Object, e.Result}, " "))
	}
	return lines
}

func TestAudit(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		ctx, st := context.Background(), open(t)
		a := newAuth(t, st, Config{})
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		_, err := a.Bootstrap(ctx, "an-operators-own-token")
		must(err)
		ann, err := a.CreateUser(ctx, org, "ann", "correct horse battery", false)
		must(err)
		s, err := a.SignIn(ctx, "ann", "correct horse battery")
		must(err)
		_, token, err := a.CreateToken(ctx, s.Principal, "laptop", time.Hour)
		must(err)
		must(a.DeleteToken(ctx, s.Principal, token.ID))
		_, err = a.SignOut(ctx, s.Principal)
		must(err)
		must(a.SetPassword(ctx, org, "ann", "staple battery horse"))
		link, err := a.CreateLink(ctx, org, "ann", time.Hour)
		must(err)
		for name, signIn := range map[string]func() (*Session, error){
			"wrong password": func() (*Session, error) { return a.SignIn(ctx, "ann", "correct horse battery") },
			"wrong name":     func() (*Session, error) { return a.SignIn(ctx, "bob\n\t\ufffd", "x") },
			"huge name":      func() (*Session, error) { return a.SignIn(ctx, strings.Repeat("é", 500), "x") },
			"forged link":    func() (*Session, error) { return a.SignInByLink(ctx, "forged") },
		} {
			if _, err := signIn(); err == nil {
				t.Errorf("%s signed in", name)
			}
		}
		ann.Disabled = true
		must(st.UpdateUser(ctx, ann))
		if _, err := a.SignInByLink(ctx, link); err == nil {
			t.Error("a disabled account signed in")
		}
		got := audited(t, st)
		for i, line := range got {
			got[i] = strings.ReplaceAll(strings.ReplaceAll(line, token.ID, "TOKEN"), tokenID("an-operators-own-token"), "BOOTSTRAP")
		}
		long := strings.Repeat("é", 64)
		if diff := cmp.Diff([]string{
			"hub user.create admin done", "hub token.create BOOTSTRAP done", "hub user.create ann done",
			"user:ann session.create ann done", "user:ann token.create TOKEN done", "user:ann token.delete TOKEN done",
			"user:ann session.delete ann done", "hub user.password ann done", "hub user.link ann done",
		}, got[:9]); diff != "" {
			t.Error(diff)
		}
		refused := got[9:]
		slices.Sort(refused) // they were tried in the order of a map
		if diff := cmp.Diff([]string{
			"user: session.create  unauthenticated",
			"user:ann session.create ann unauthenticated", "user:ann session.create ann unauthenticated",
			"user:bob??� session.create bob??� unauthenticated",
			"user:" + long + " session.create " + long + " unauthenticated",
		}, refused); diff != "" {
			t.Error(diff)
		}
	})
}

// Strangers cannot fill the audit, and what they tried is counted.
func TestRefusalsAreBounded(t *testing.T) {
	t.Parallel()
	ctx, st := context.Background(), storetest.New(t)
	a := newAuth(t, st, Config{})
	for range refusalsEach + 50 {
		a.auditRefusal(ctx, "password", "eve", errSignIn)
	}
	if got := len(audited(t, st)); got != refusalsEach {
		t.Errorf("%d events, want %d", got, refusalsEach)
	}
	a.refused.since = a.refused.since.Add(-time.Minute)
	a.auditRefusal(ctx, "password", "eve", errSignIn)
	events, _, err := st.AuditEvents(ctx, org, store.Page{Limit: 1})
	if err != nil || len(events) != 1 || !strings.Contains(events[0].Detail, "50 more") {
		t.Errorf("the next minute says %+v, %v", events, err)
	}
}
