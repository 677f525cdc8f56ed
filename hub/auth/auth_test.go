package auth

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

const org = hub.DefaultOrganisationID

func newAuth(t *testing.T, st *store.Store, cfg Config) *Auth {
	t.Helper()
	return New(st, cfg, storetest.Logger(t))
}

// with makes a request that presents a token or a cookie.
func with(token string, cookie *http.Cookie) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if cookie != nil {
		r.AddCookie(cookie)
	}
	return r
}

func TestPasswordSignIn(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		ctx, st := context.Background(), open(t)
		a := newAuth(t, st, Config{SecureCookies: true})
		if _, err := a.CreateUser(ctx, org, "ann", "correct horse battery", true); err != nil {
			t.Fatal(err)
		}
		for name, tc := range map[string]struct{ user, password string }{
			"wrong password": {"ann", "correct horse"},
			"empty password": {"ann", ""},
			"wrong name":     {"bob", "correct horse battery"},
		} {
			if _, err := a.SignIn(ctx, tc.user, tc.password); err == nil || hub.ErrorMessage(err) != errSignIn.Message {
				t.Errorf("%s: %v", name, err)
			}
		}
		s, err := a.SignIn(ctx, "ann", "correct horse battery")
		if err != nil {
			t.Fatal(err)
		}
		c := s.Cookie
		if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || !strings.HasPrefix(c.Name, "__Host-") || c.Path != "/" || c.Domain != "" {
			t.Errorf("cookie %+v", c)
		}
		p, err := a.Authenticate(with("", c))
		if err != nil || p.Name != "ann" || !p.Admin || p.OrganisationID != org {
			t.Errorf("principal %+v, %v", p, err)
		}
		if _, err := a.SignOut(ctx, p); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Authenticate(with("", c)); hub.ErrorCode(err) != hub.CodeUnauthenticated {
			t.Errorf("after signing out: %v", err)
		}
	})
}

// An account without a password must not be opened by an empty one, nor by the hash
// that wrong names are compared with.
func TestAccountWithoutPassword(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a := newAuth(t, storetest.New(t), Config{})
	if _, err := a.CreateUser(ctx, org, "ann", "", false); err != nil {
		t.Fatal(err)
	}
	for _, password := range []string{"", "x", dummyHash} {
		if _, err := a.SignIn(ctx, "ann", password); err == nil {
			t.Errorf("signed in with %q", password)
		}
	}
}

func TestGuessingIsSlowedDown(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a := newAuth(t, storetest.New(t), Config{})
	if _, err := a.CreateUser(ctx, org, "ann", "correct horse battery", false); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ann", "nobody"} {
		for range freeTries {
			if _, err := a.SignIn(ctx, name, "wrong"); hub.ErrorCode(err) != hub.CodeUnauthenticated {
				t.Fatalf("%s: %v", name, err)
			}
		}
		_, err := a.SignIn(ctx, name, "correct horse battery")
		if hub.ErrorCode(err) != hub.CodeExhausted || !strings.Contains(err.Error(), "try again in") {
			t.Errorf("%s, after %d wrong tries: %v", name, freeTries, err)
		}
	}
}

// Tries that come together are slowed down as those that follow one another: else as many
// passwords could be tried as a hub takes connections.
func TestGuessingTogetherIsSlowedDown(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a := newAuth(t, storetest.New(t), Config{})
	if _, err := a.CreateUser(ctx, org, "ann", "correct horse battery", false); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ann", "nobody"} {
		var tried atomic.Int64
		var guessing sync.WaitGroup
		for range 30 {
			guessing.Go(func() {
				if _, err := a.SignIn(ctx, name, "wrong"); hub.ErrorCode(err) == hub.CodeUnauthenticated {
					tried.Add(1)
				}
			})
		}
		guessing.Wait()
		if n := tried.Load(); n < freeTries || n > freeTries+maxHashing {
			t.Errorf("%s: %d passwords were tried", name, n)
		}
	}
}

func TestPauseAfter(t *testing.T) {
	t.Parallel()
	for count, want := range map[int]time.Duration{
		0: 0, freeTries - 1: 0, freeTries: time.Second, freeTries + 3: 8 * time.Second, 1000: maxPause,
	} {
		if got := pauseAfter(count); got != want {
			t.Errorf("after %d: %s, want %s", count, got, want)
		}
	}
}

func TestSessionEnds(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		cfg   Config
		alive bool
	}{
		"in time":  {Config{Idle: time.Hour, Absolute: time.Hour}, true},
		"idle":     {Config{Idle: time.Nanosecond, Absolute: time.Hour}, false},
		"absolute": {Config{Idle: time.Hour, Absolute: time.Nanosecond}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, st := context.Background(), storetest.New(t)
			a := newAuth(t, st, tc.cfg)
			if _, err := a.CreateUser(ctx, org, "ann", "", false); err != nil {
				t.Fatal(err)
			}
			link, err := a.CreateLink(ctx, org, "ann", time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			s, err := a.SignInByLink(ctx, link)
			if err != nil {
				t.Fatal(err)
			}
			_, err = a.Authenticate(with("", s.Cookie))
			if tc.alive != (err == nil) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestLinkWorksOnce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a := newAuth(t, storetest.New(t), Config{})
	link, err := a.Bootstrap(ctx, "")
	if err != nil || link == "" {
		t.Fatalf("link %q, %v", link, err)
	}
	s, err := a.SignInByLink(ctx, link)
	if err != nil || !s.Principal.Admin || s.Principal.Name != AdminName {
		t.Fatalf("session %+v, %v", s, err)
	}
	if _, err := a.SignInByLink(ctx, link); hub.ErrorCode(err) != hub.CodeUnauthenticated {
		t.Errorf("used twice: %v", err)
	}
	if _, err := a.SignInByLink(ctx, "forged"); hub.ErrorCode(err) != hub.CodeUnauthenticated {
		t.Errorf("forged: %v", err)
	}
	if again, err := a.Bootstrap(ctx, ""); err != nil || again != "" {
		t.Errorf("a second start made %q, %v", again, err)
	}
}

func TestBootstrapToken(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		ctx := context.Background()
		a := newAuth(t, open(t), Config{})
		const token = "an-operators-own-token"
		if link, err := a.Bootstrap(ctx, token); err != nil || link != "" {
			t.Fatalf("link %q, %v", link, err)
		}
		p, err := a.Authenticate(with(token, nil))
		if err != nil || !p.Admin || p.TokenID == "" {
			t.Errorf("principal %+v, %v", p, err)
		}
		if _, err := a.Bootstrap(ctx, "another-operators-token"); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Authenticate(with("another-operators-token", nil)); err == nil {
			t.Error("a later start made another administrator")
		}
	})
	for _, token := range []string{"short", "with a blank in it", "with\nnewline-in-it", strings.Repeat("x", maxCredential+1)} {
		if err := checkForeignToken(token); hub.ErrorCode(err) != hub.CodeInvalid || strings.Contains(err.Error(), token) {
			t.Errorf("%.20q: %v", token, err)
		}
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	st := storetest.New(t)
	a := newAuth(t, st, Config{})
	u, err := a.CreateUser(ctx, org, "ann", "", false)
	if err != nil {
		t.Fatal(err)
	}
	p := hub.Principal{UserID: u.ID, OrganisationID: org, Name: "ann"}
	text, row, err := a.CreateToken(ctx, p, "laptop", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(row.SecretHash), text) {
		t.Error("the row holds the token")
	}
	got, err := a.Authenticate(with(text, nil))
	if err != nil || got.Name != "ann" || got.TokenID != row.ID {
		t.Errorf("principal %+v, %v", got, err)
	}
	if _, _, err := a.CreateToken(ctx, got, "child", time.Hour); hub.ErrorCode(err) != hub.CodeForbidden {
		t.Errorf("a token made another: %v", err)
	}
	id := tokenText(row.ID, "")
	for name, token := range map[string]string{
		"altered":        text[:len(text)-1] + "!",
		"cut":            text[:len(text)-1],
		"without secret": id,
		"foreign":        "flt_00000000-0000-7000-8000-000000000000_" + text[len(id):],
		"huge":           strings.Repeat("x", maxCredential+1),
	} {
		if _, err := a.Authenticate(with(token, nil)); hub.ErrorCode(err) != hub.CodeUnauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := a.DeleteToken(ctx, hub.Principal{UserID: "other"}, row.ID); hub.ErrorCode(err) != hub.CodeNotFound {
		t.Errorf("deleted by another: %v", err)
	}
	if err := a.DeleteToken(ctx, p, row.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Authenticate(with(text, nil)); hub.ErrorCode(err) != hub.CodeUnauthenticated {
		t.Errorf("after deleting: %v", err)
	}
}

func TestExpiredToken(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a := newAuth(t, storetest.New(t), Config{})
	u, err := a.CreateUser(ctx, org, "ann", "", false)
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := a.CreateToken(ctx, hub.Principal{UserID: u.ID, OrganisationID: org}, "old", time.Nanosecond)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Authenticate(with(text, nil)); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("error %v", err)
	}
}

func TestDisabledAccountIsNobody(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	st := storetest.New(t)
	a := newAuth(t, st, Config{})
	u, err := a.CreateUser(ctx, org, "ann", "correct horse battery", false)
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := a.CreateToken(ctx, hub.Principal{UserID: u.ID, OrganisationID: org}, "t", 0)
	if err != nil {
		t.Fatal(err)
	}
	u.Disabled = true
	if err := st.UpdateUser(ctx, u); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Authenticate(with(text, nil)); hub.ErrorCode(err) != hub.CodeUnauthenticated {
		t.Errorf("by token: %v", err)
	}
	if _, err := a.SignIn(ctx, "ann", "correct horse battery"); hub.ErrorCode(err) != hub.CodeUnauthenticated {
		t.Errorf("by password: %v", err)
	}
}

// What another member revokes ends here when the cached answer does.
func TestCacheEnds(t *testing.T) {
	t.Parallel()
	c, asked := newCache(), 0
	ask := func(context.Context, credential) (hub.Principal, error) {
		asked++
		return hub.Principal{Name: "ann"}, nil
	}
	for range 3 {
		if p, err := c.get(context.Background(), credential{secret: "x", kind: byToken}, ask); err != nil || p.Name != "ann" {
			t.Fatal(p, err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times, want 1", asked)
	}
	for key, e := range c.entries {
		e.until = time.Now().Add(-time.Second)
		c.entries[key] = e
	}
	if _, err := c.get(context.Background(), credential{secret: "x", kind: byToken}, ask); err != nil || asked != 2 {
		t.Errorf("asked %d times, want 2; %v", asked, err)
	}
}

func TestBadUsersAndPasswords(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a := newAuth(t, storetest.New(t), Config{})
	for _, name := range []string{"", "a b", "-x", "a\nb", "<img>", strings.Repeat("a", 200)} {
		if _, err := a.CreateUser(ctx, org, name, "", false); hub.ErrorCode(err) != hub.CodeInvalid {
			t.Errorf("name %.20q: %v", name, err)
		}
	}
	for _, password := range []string{"short", strings.Repeat("x", maxPassword+1)} {
		if _, err := a.CreateUser(ctx, org, "ann", password, false); hub.ErrorCode(err) != hub.CodeInvalid {
			t.Errorf("password of %d: %v", len(password), err)
		}
	}
	if _, err := a.CreateUser(ctx, org, "ann", "", false); err != nil {
		t.Fatal(err)
	}
	if _, err := a.CreateUser(ctx, org, "ann", "", false); hub.ErrorCode(err) != hub.CodeConflict {
		t.Errorf("taken name: %v", err)
	}
}

func TestSetPasswordSignsOut(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a := newAuth(t, storetest.New(t), Config{})
	if _, err := a.CreateUser(ctx, org, "ann", "correct horse battery", false); err != nil {
		t.Fatal(err)
	}
	s, err := a.SignIn(ctx, "ann", "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.SetPassword(ctx, org, "ann", "staple battery horse"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Authenticate(with("", s.Cookie)); err == nil {
		t.Error("the old session lives on")
	}
	if _, err := a.SignIn(ctx, "ann", "staple battery horse"); err != nil {
		t.Errorf("new password: %v", err)
	}
}

func TestVerifyPasswordRefusesForeignHashes(t *testing.T) {
	t.Parallel()
	good := hashPassword("correct horse battery")
	if ok, err := verifyPassword(good, "correct horse battery"); !ok || err != nil {
		t.Errorf("own hash: %v, %v", ok, err)
	}
	for _, hash := range []string{
		"", "plain", "$2a$10$abcdefghijklmnopqrstuv", strings.Replace(good, "argon2id", "argon2i", 1),
		strings.Replace(good, "m=19456", "m=99999999", 1), strings.Replace(good, "p=1", "p=0", 1), good[:len(good)-4],
	} {
		if ok, err := verifyPassword(hash, "correct horse battery"); ok || err == nil {
			t.Errorf("%.30q: %v, %v", hash, ok, err)
		}
	}
}

// A page that asks by itself, and a stream that is open, do not keep a session alive;
// its user does, also while the page asks.
func TestOnlyUseKeepsASessionAlive(t *testing.T) {
	t.Parallel()
	ctx, st := context.Background(), storetest.New(t)
	a := newAuth(t, st, Config{})
	u, err := a.CreateUser(ctx, org, "ann", "", false)
	if err != nil {
		t.Fatal(err)
	}
	const secret = "cookie"
	earlier := st.Now().Add(-5 * time.Minute).Truncate(time.Millisecond)
	if err := st.CreateUserSession(ctx, &hub.UserSession{
		IDHash: hashSecret(secret), UserID: u.ID, OrganisationID: org, CreatedAt: earlier, LastUsedAt: earlier, ExpiresAt: st.Now().Add(time.Hour),
	}); err != nil {
		t.Fatal(err)
	}
	used := func() bool {
		s, err := st.UserSession(ctx, hashSecret(secret))
		if err != nil {
			t.Fatal(err)
		}
		return s.LastUsedAt.After(earlier)
	}
	r := with("", a.cookie(secret, time.Hour))
	background := with("", a.cookie(secret, time.Hour))
	background.Header.Set(BackgroundHeader, "true")
	for _, ask := range []func() (hub.Principal, error){
		func() (hub.Principal, error) { return a.Recheck(r) },
		func() (hub.Principal, error) { return a.Authenticate(background) },
	} {
		if p, err := ask(); err != nil || p.Name != "ann" || used() {
			t.Errorf("%+v, %v; used: %v", p, err, used())
		}
	}
	if _, err := a.Authenticate(r); err != nil || !used() {
		t.Errorf("a request of its user is no use: %v", err)
	}
}
