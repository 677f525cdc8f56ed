package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

func TestRunners(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		r := makeRunner(ctx, t, st, "r1")
		same(t, must(st.Runner(ctx, r.ID))(t), r)
		same(t, must(st.FindRunner(ctx, org, "r1"))(t), r)
		same(t, must(st.FindRunner(ctx, org, r.ID))(t), r)
		wantCode(t, st.CreateRunner(ctx, &hub.Runner{OrganisationID: org, Name: "r1"}), hub.CodeConflict)
		_, err := st.FindRunner(ctx, "other", "r1")
		wantCode(t, err, hub.CodeNotFound)

		one, two := *r, *r
		one.Name, one.Draining, one.ProjectIDs = "r9", true, []string{"p"}
		ok(t, st.UpdateRunner(ctx, &one))
		wantCode(t, st.UpdateRunner(ctx, &two), hub.CodeConflict)
		same(t, must(st.Runner(ctx, r.ID))(t), &one)
		makeRunner(ctx, t, st, "r1")
		one.Name = "r1"
		wantCode(t, st.UpdateRunner(ctx, &one), hub.CodeConflict)

		one.Name = "r9"
		one.Version, one.OS, one.Arch, one.Hostname, one.Slots = "1.2", "linux", "amd64", "h", 8
		ok(t, st.ReportRunner(ctx, &one))
		ok(t, st.SetSealingKey(ctx, r.ID, []byte("new")))
		one.SealingKey = []byte("new")
		same(t, must(st.Runner(ctx, r.ID))(t), &one)
	})
}

// TestRunnersMark: every change that a person or a quarantine makes to a runner changes
// the mark, what the runner itself reports does not.
func TestRunnersMark(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		r, gone := makeRunner(ctx, t, st, "r"), makeRunner(ctx, t, st, "gone")
		mark := must(st.RunnersMark(ctx))(t)
		changes := func(what string, want bool) {
			t.Helper()
			now := must(st.RunnersMark(ctx))(t)
			if (now != mark) != want {
				t.Errorf("%s: the mark went from %+v to %+v", what, mark, now)
			}
			mark = now
		}
		ok(t, st.ReportRunner(ctx, r))
		changes("a report", false)
		r.Draining = true
		ok(t, st.UpdateRunner(ctx, r))
		changes("an edit", true)
		must(st.QuarantineRunner(ctx, r.ID, "copied"))(t)
		changes("a quarantine", true)
		ok(t, st.ReleaseRunner(ctx, org, r.ID))
		changes("a release", true)
		ok(t, st.RevokeRunner(ctx, org, gone.ID))
		changes("a revocation", true)
		makeRunner(ctx, t, st, "new")
		changes("an enrolment", true)
	})
}

// A runner is connected while the member that holds its session lives, and has not
// been started anew since.
func TestRunnersAreConnectedThroughALiveMember(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		r := makeRunner(ctx, t, st, "r")
		connected := func() bool { return must(st.FindRunner(ctx, org, "r"))(t).Connected }
		same(t, connected(), false)
		m := &hub.Member{ID: "m", Name: "m", Nonce: []byte("1")}
		ok(t, st.JoinMember(ctx, m))
		session := hub.RunnerSession{RunnerID: r.ID, MemberID: "m", Confirmed: 1, Nonce: []byte("n"), BootID: []byte("b"), HostID: []byte("h"), ConnectedAt: st.Now()}
		ok(t, st.PutSessions(ctx, []string{org}, []hub.RunnerSession{session}))
		same(t, connected(), true)
		same(t, must(st.Runners(ctx, org, false))(t)[0].Connected, true)
		ok(t, st.CloseSession(ctx, hub.SessionRef{RunnerID: r.ID, OrganisationID: org, Epoch: 1}))
		same(t, connected(), false)
		session.ConnectedAt = st.Now()
		ok(t, st.PutSessions(ctx, []string{org}, []hub.RunnerSession{session}))
		same(t, connected(), true)
		waitFor(t, func() bool { return st.Now().After(session.ConnectedAt) })
		m.Nonce = []byte("2")
		ok(t, st.JoinMember(ctx, m))
		same(t, connected(), false)
	})
}

// What people are told of a runner that is gone is when it went, not when it first came.
func TestRunnerIsSeenUntilItsSessionEnds(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		r := makeRunner(ctx, t, st, "r")
		ok(t, st.ReportRunner(ctx, r))
		m := &hub.Member{ID: "m", Name: "m", Nonce: []byte("1")}
		ok(t, st.JoinMember(ctx, m))
		connect := func() time.Time {
			s := hub.RunnerSession{RunnerID: r.ID, MemberID: "m", Confirmed: 1, Nonce: []byte("n"), BootID: []byte("b"), HostID: []byte("h"), ConnectedAt: st.Now()}
			ok(t, st.PutSessions(ctx, []string{org}, []hub.RunnerSession{s}))
			waitFor(t, func() bool { return st.Now().After(s.ConnectedAt) })
			return s.ConnectedAt
		}
		seen := func() time.Time {
			one, all := must(st.FindRunner(ctx, org, "r"))(t), must(st.Runners(ctx, org, false))(t)
			same(t, one.LastSeenAt, all[0].LastSeenAt)
			same(t, must(st.AwaitedRunners(ctx, hub.Hold{Incarnation: 1, From: st.Now()}, time.Hour))(t)[0].LastSeenAt, one.LastSeenAt)
			return one.LastSeenAt
		}
		connected := connect()
		same(t, seen().Before(connected), false)
		ok(t, st.CloseSession(ctx, hub.SessionRef{RunnerID: r.ID, OrganisationID: org, Epoch: 1}))
		closed := seen()
		same(t, closed.After(connected), true)

		// Its member is killed, and comes back without it.
		again := connect()
		m.Nonce = []byte("2")
		ok(t, st.JoinMember(ctx, m))
		same(t, seen().After(again), true)
	})
}

func TestBarredRunners(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		a, b, c := makeRunner(ctx, t, st, "a"), makeRunner(ctx, t, st, "b"), makeRunner(ctx, t, st, "c")
		same(t, must(st.QuarantineRunner(ctx, a.ID, "clone"))(t), true)
		same(t, must(st.QuarantineRunner(ctx, a.ID, "another reason"))(t), false)
		ok(t, st.RevokeRunner(ctx, org, b.ID))
		same(t, must(st.BarredRunners(ctx))(t), map[string]store.Barred{a.ID: {Quarantined: "clone"}, b.ID: {Revoked: true}})
		ok(t, st.ReleaseRunner(ctx, org, a.ID))
		same(t, must(st.BarredRunners(ctx))(t), map[string]store.Barred{b.ID: {Revoked: true}})
		wantCode(t, st.ReleaseRunner(ctx, "other", a.ID), hub.CodeNotFound)
		wantCode(t, st.RevokeRunner(ctx, org, "nobody"), hub.CodeNotFound)

		names := func(revoked bool) (names []string) {
			for _, r := range must(st.Runners(ctx, org, revoked))(t) {
				names = append(names, r.ID)
			}
			return names
		}
		same(t, names(false), []string{a.ID, c.ID})
		same(t, names(true), []string{a.ID, b.ID, c.ID})
		// A revoked runner's name is free.
		again := makeRunner(ctx, t, st, "b")
		same(t, must(st.FindRunner(ctx, org, "b"))(t).ID, again.ID)
		same(t, must(st.FindRunner(ctx, org, b.ID))(t).ID, b.ID)
	})
}

func TestEnrolmentTokenWorksForOneKey(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		tok := &hub.EnrolmentToken{
			OrganisationID: org, SecretHash: hash("s"), ProjectIDs: []string{"p"}, Tags: []string{"x"},
			CreatedBy: "ann", ExpiresAt: later(st, time.Hour),
		}
		ok(t, st.CreateEnrolmentToken(ctx, tok))
		list, _, err := st.EnrolmentTokens(ctx, org, store.Page{})
		ok(t, err)
		same(t, list, []*hub.EnrolmentToken{tok})
		use := func(id, secret, key, runner string) (*hub.EnrolmentToken, error) {
			return st.UseEnrolmentToken(ctx, id, hash(secret), []byte(key), runner)
		}
		_, err = use(tok.ID, "forged", "k1", "r1")
		wantCode(t, err, hub.CodeUnauthenticated)
		_, err = use("forged", "s", "k1", "r1")
		wantCode(t, err, hub.CodeUnauthenticated)
		same(t, must(use(tok.ID, "s", "k1", "r1"))(t).RunnerID, "r1")
		// The answer was lost: the same key again gets the same runner.
		same(t, must(use(tok.ID, "s", "k1", "r2"))(t).RunnerID, "r1")
		_, err = use(tok.ID, "s", "k2", "r2")
		wantCode(t, err, hub.CodeUnauthenticated)
		ok(t, st.RevokeEnrolmentToken(ctx, org, tok.ID))
		_, err = use(tok.ID, "s", "k1", "r1")
		wantCode(t, err, hub.CodeUnauthenticated)
		wantCode(t, st.RevokeEnrolmentToken(ctx, org, "forged"), hub.CodeNotFound)

		old := &hub.EnrolmentToken{OrganisationID: org, SecretHash: hash("s"), ExpiresAt: later(st, -time.Second)}
		ok(t, st.CreateEnrolmentToken(ctx, old))
		_, err = use(old.ID, "s", "k1", "r1")
		wantCode(t, err, hub.CodeUnauthenticated)
	})
}

func TestEnrolmentTokenRaced(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		tok := &hub.EnrolmentToken{OrganisationID: org, SecretHash: hash("s"), ExpiresAt: later(st, time.Hour)}
		ok(t, st.CreateEnrolmentToken(ctx, tok))
		won := make(chan bool, 12)
		for i := range 12 {
			go func() {
				_, err := st.UseEnrolmentToken(ctx, tok.ID, hash("s"), []byte{byte(i)}, store.NewID())
				won <- err == nil
			}()
		}
		n := 0
		for range 12 {
			if <-won {
				n++
			}
		}
		same(t, n, 1)
	})
}

func TestCertificatesSupersedeAtFirstUse(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		r := makeRunner(ctx, t, st, "r")
		add := func(serial string) *hub.RunnerCertificate {
			c := &hub.RunnerCertificate{Serial: serial, RunnerID: r.ID, PublicKey: hash(serial), DER: []byte(serial), NotAfter: later(st, time.Hour)}
			ok(t, st.AddRunnerCertificate(ctx, c))
			return c
		}
		use := func(serial string) error {
			_, _, err := st.UseRunnerCertificate(ctx, serial)
			return err
		}
		one := add("1")
		ok(t, use("1"))
		two := add("2")
		ok(t, use("1"))
		same(t, must(st.RunnerCertificate(ctx, "2"))(t), two)
		got, runner, err := st.UseRunnerCertificate(ctx, "2")
		ok(t, err)
		same(t, []string{got.Serial, runner.ID}, []string{"2", r.ID})
		ok(t, use("2"))
		wantCode(t, use("1"), hub.CodeUnauthenticated)
		wantCode(t, use("3"), hub.CodeUnauthenticated)
		four := add("4")
		many := must(st.LookUpCertificates(ctx, []string{"4", "1", "2", "3"}))(t)
		same(t, []bool{many[0].First, many[2].First}, []bool{true, false})
		same(t, []string{many[0].Runner.ID, many[2].Runner.ID}, []string{r.ID, r.ID})
		ok(t, errors.Join(many[0].Err, many[2].Err))
		wantCode(t, many[1].Err, hub.CodeUnauthenticated)
		same(t, many[3].Err, store.ErrUnknownCertificate)
		var serials []string
		for _, c := range must(st.RunnerCertificates(ctx, r.ID))(t) {
			serials = append(serials, c.Serial)
		}
		same(t, serials, []string{"4", "2", "1"})
		same(t, must(st.Runner(ctx, r.ID))(t).CertExpires, four.NotAfter)

		same(t, must(st.DeleteOldCertificates(ctx, one.NotAfter))(t), int64(0))
		same(t, must(st.DeleteOldCertificates(ctx, later(st, 2*time.Hour)))(t), int64(1))
		ok(t, st.RevokeRunner(ctx, org, r.ID))
		wantCode(t, use("2"), hub.CodeUnauthenticated)
		wantCode(t, must(st.LookUpCertificates(ctx, []string{"2"}))(t)[0].Err, hub.CodeUnauthenticated)
	})
}

func TestRunnersAndTokensByPages(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		var runners, tokens []string
		for _, name := range []string{"a", "b", "c"} {
			runners = append(runners, makeRunner(ctx, t, st, name).ID)
			tok := &hub.EnrolmentToken{OrganisationID: org, SecretHash: hash(name), ExpiresAt: later(st, time.Hour)}
			ok(t, st.CreateEnrolmentToken(ctx, tok))
			tokens = append([]string{tok.ID}, tokens...)
		}
		pages := func(fetch func(store.Page) ([]string, string, error)) (all []string) {
			page := store.Page{Limit: 2}
			for {
				ids, next, err := fetch(page)
				ok(t, err)
				all = append(all, ids...)
				if page.Cursor = next; next == "" {
					return all
				}
			}
		}
		same(t, pages(func(p store.Page) (ids []string, next string, err error) {
			list, next, err := st.ListRunners(ctx, org, false, p)
			for _, r := range list {
				ids = append(ids, r.ID)
			}
			return ids, next, err
		}), runners)
		same(t, pages(func(p store.Page) (ids []string, next string, err error) {
			list, next, err := st.EnrolmentTokens(ctx, org, p)
			for _, tok := range list {
				ids = append(ids, tok.ID)
			}
			return ids, next, err
		}), tokens)
	})
}
