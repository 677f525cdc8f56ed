package main

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

// says fails the test unless doctor ended with a code and said all the lines, each a
// level, a name and words of its text.
func says(t *testing.T, wantCode int, environ, args []string, lines ...string) {
	t.Helper()
	code, out, errs := command(t, environ, append([]string{"doctor"}, args...)...)
	if code != wantCode {
		t.Errorf("doctor ends with %d, want %d: %s", code, wantCode, errs)
	}
	for _, line := range lines {
		w := strings.SplitN(line, "|", 3)
		if !regexp.MustCompile(`(?m)^` + w[0] + ` +` + w[1] + ` +.*` + regexp.QuoteMeta(w[2])).MatchString(out) {
			t.Errorf("doctor does not say %q, but\n%s", line, out)
		}
	}
}

var runnersLine = regexp.MustCompile(`Runners +(\S+)`)

// An archive is tried as packing would, and holds afterwards what it held.
func TestDoctorTriesTheArchive(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	logs := filepath.Join(dir, "logs")
	args := []string{"--http", "127.0.0.1:0", "--gateway", "127.0.0.1:0", "--data-dir", filepath.Join(dir, "data")}
	environ := []string{"FAIRLEAD_HUB_ARCHIVE_URL=file://" + logs}
	says(t, 0, nil, args, "ok|archive|none; output stays in the database")
	says(t, exitOther, environ, args, "fail|archive|the directory "+logs+" does not exist")
	ok(t, os.Mkdir(logs, 0o700))
	says(t, 0, environ, args, "ok|archive|file://"+logs+" took a small object")
	if left, err := os.ReadDir(logs); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}

// Doctor looks at a hub that runs without getting in its way.
func TestDoctorBesideAHub(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ok(t, os.Chmod(dir, 0o700))
	h := serve(t, dir, nil)
	gateway := runnersLine.FindStringSubmatch(h.out.String())[1]
	args := []string{"--data-dir", dir, "--http", strings.TrimPrefix(h.url, "http://"), "--gateway", gateway}
	says(t, 0, nil, args, "ok|configuration|read", "ok|data directory|for its owner alone", "ok|disk|MiB are free", "ok|master key|by its owner alone",
		"ok|listeners|by UI and API of the hub that runs", "ok|listeners|by the gateway of the hub that runs", "ok|public URL|this machine alone",
		"ok|database|SQLite", "ok|schema|as this program's")
	says(t, 0, nil, []string{"--data-dir", dir, "--http", "127.0.0.1:0", "--gateway", "127.0.0.1:0"}, "warn|listeners|it listens elsewhere")
	if code, _ := h.get("/health/ready", ""); code != 200 {
		t.Errorf("the hub is not ready: %d", code)
	}
	h.end()
	ok(t, os.Remove(filepath.Join(dir, "master.key")))
	says(t, exitOther, nil, args, "fail|master key|has secrets under a master key that is not at", "ok|listeners|is free for the gateway")
	other := []string{"FAIRLEAD_HUB_MASTER_KEY=" + strings.Repeat("0f", 32)}
	says(t, exitOther, other, args, "fail|master key|was stored under another master key")
}

func TestDoctorFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	defer l.Close()
	free := []string{"--http", "127.0.0.1:0", "--gateway", "127.0.0.1:0", "--data-dir"}
	says(t, exitOther, nil, []string{"--http", "8440"}, "fail|configuration|is wrong", "fail|configuration|http: \"8440\" is not host:port")
	says(t, exitOther, nil, []string{"--http", l.Addr().String(), "--gateway", "127.0.0.1:0", "--data-dir", dir}, "fail|listeners|is in use, and not by a hub of this data directory", "ok|listeners|127.0.0.1:0")
	says(t, 0, nil, append(free, filepath.Join(dir, "none")), "warn|data directory|the first start makes it", "warn|master key|the first start makes it", "ok|schema|none yet")
	if _, err := os.Stat(filepath.Join(dir, "none")); err == nil {
		t.Error("doctor made the data directory")
	}
	says(t, 0, nil, []string{"--http", ":0", "--gateway", ":0", "--data-dir", dir, "--public-url", "http://127.0.0.1:8440"}, "warn|public URL|is this machine's own")
	says(t, 0, nil, append(free, dir, "--public-url", "http://192.0.2.1:8440"), "warn|public URL|travel readable")
	says(t, 0, nil, append(free, dir, "--public-url", "https://192.0.2.1:8440"), "ok|public URL|https://192.0.2.1:8440")

	file, key := filepath.Join(dir, "file"), filepath.Join(dir, "master.key")
	ok(t, os.WriteFile(file, nil, 0o600))
	says(t, exitOther, nil, append(free, file), "fail|data directory|is no directory")
	ok(t, os.WriteFile(key, []byte("short"), 0o600))
	says(t, exitOther, nil, append(free, dir), "fail|master key|not 32 bytes")
	ok(t, os.Chmod(key, 0o644))
	ok(t, os.Chmod(dir, 0o755))
	says(t, exitOther, nil, append(free, dir), "fail|master key|can be read by others", "warn|data directory|mode 0755")
	ok(t, os.Remove(key))
	if code, _, errs := command(t, nil, "migrate", "--data-dir", dir); code != 0 {
		t.Fatalf("migrate: %d %s", code, errs)
	}
	says(t, 0, nil, append(free, dir), "warn|master key|the first start makes it", "ok|database|SQLite", "ok|schema|as this program's")
}

// asStranger calls do as a user who may not enter dir.
func asStranger(t *testing.T, dir string, do func()) {
	t.Helper()
	ok(t, os.Chmod(dir, 0))
	defer func() { ok(t, os.Chmod(dir, 0o700)) }() // else it cannot be removed
	if os.Geteuid() == 0 {
		// Root may enter everything; the kernel asks this thread's user for files alone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		ok(t, unix.Setfsuid(65534))
		defer func() { ok(t, unix.Setfsuid(0)) }()
	}
	do()
}

// Who is not the hub's user is told that, and neither that a hub which runs is not there, nor
// to stop it, nor that what could not be read is right or wrong.
func TestStrangersAreToldThatTheyAre(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := serve(t, dir, nil)
	gateway := runnersLine.FindStringSubmatch(h.out.String())[1]
	args := []string{"--data-dir", dir, "--http", strings.TrimPrefix(h.url, "http://"), "--gateway", gateway}
	asStranger(t, dir, func() {
		for name, tt := range map[string]struct {
			args  []string
			said  string
			never string
		}{
			"config check": {[]string{"config", "check"}, "masterKey: The master key " + dir + "/master.key cannot be read by this user", "is wrong"},
			"doctor":       {[]string{"doctor"}, "this user may not ask whether by the hub of this data directory", "stop what listens there"},
			"doctor's key": {[]string{"doctor"}, "master.key cannot be read by this user", "whether the database needs it cannot be told"},
			"user":         {[]string{"user", "link"}, "Run this as the hub's own user", "There is no hub"},
			"hold":         {[]string{"hold"}, "Run this as the hub's own user", "There is no database"},
		} {
			code, out, errs := command(t, nil, append(tt.args, args...)...)
			if said := out + errs; code != exitOther || !strings.Contains(said, tt.said) || strings.Contains(said, tt.never) {
				t.Errorf("%s: %d\n%s", name, code, said)
			}
		}
	})
}

// What a start ends on is found before: the certificate, and the port of the metrics.
func TestDoctorLooksAtCertificateAndMetrics(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	defer l.Close()
	file := filepath.Join(dir, "hub.yaml")
	ok(t, os.WriteFile(file, []byte("metrics:\n  listen: "+l.Addr().String()+"\n"), 0o600))
	args := []string{"--data-dir", dir, "--http", "127.0.0.1:0", "--gateway", "127.0.0.1:0"}
	says(t, exitOther, nil, append(args, "--config", file), "fail|listeners|"+l.Addr().String()+" is in use")
	says(t, exitOther, nil, append(args, "--tls-cert", file, "--tls-key", file), "fail|certificate|cannot be used")
}

func TestDoctorOnPostgres(t *testing.T) {
	t.Parallel()
	server := storetest.StartServer(t)
	args := []string{"--data-dir", t.TempDir(), "--http", "127.0.0.1:0", "--gateway", "127.0.0.1:0"}
	at := func(url string) []string { return []string{"FAIRLEAD_HUB_DATABASE=" + url} }
	healthy := []string{
		"ok|database|PostgreSQL", "ok|database|UTF8", "ok|database|fsync on", "ok|database|a member needs up to 20",
		"ok|database|the clocks of database and host", "ok|schema|none yet",
	}
	says(t, 0, at(server.URL("postgres")), args, append(healthy, "ok|database|no pooler, or one in session mode")...)
	says(t, 0, at(server.Pooler(t, "session")("postgres")), args, append(healthy, "ok|database|no pooler, or one in session mode")...)
	says(t, exitOther, at(server.Pooler(t, "transaction")("postgres")), args, append(healthy, "fail|database|a pooler in transaction mode stands between")...)
	says(t, exitOther, at("postgres://u:geheim@127.0.0.1:1/d?sslmode=disable"), args, "fail|database|does not answer")
}

// What this machine's own server does not show.
func TestDoctorJudgesAServer(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]finding{
		"fail: PostgreSQL 13.1 is too old":                                           checkServer(&store.ServerReport{Version: "13.1"}),
		"fail: the server is a standby and takes no changes":                         checkServer(&store.ServerReport{VersionKnown: true, Standby: true}),
		"fail: the database has the encoding LATIN1":                                 checkEncoding(&store.ServerReport{Encoding: "LATIN1"}),
		"warn: fsync is off: a power cut loses what was promised to runners":         checkDurability(&store.ServerReport{Fsync: "off"}),
		"warn: synchronous_commit is off; the hub sets it to on for itself":          checkDurability(&store.ServerReport{Fsync: "on", SynchronousCommit: "off"}),
		"fail: the server admits 10 connections, and one member needs up to 20":      checkConnections(&store.ServerReport{Connections: 10, PoolSize: 16}),
		"warn: the server admits 50 connections, and 3 members need up to 20 each":   checkConnections(&store.ServerReport{Connections: 50, PoolSize: 16, Members: 3}),
		"ok: the server admits 60 connections, 7 are there; a member needs up to 20": checkConnections(&store.ServerReport{Connections: 60, Connected: 7, PoolSize: 16, Members: 3}),
		"warn: the database's clock is 1h0m0s behind this host's":                    checkClock(&store.ServerReport{ClockAhead: -time.Hour}),
		"warn: the database's clock is 6s ahead of this host's":                      checkClock(&store.ServerReport{ClockAhead: 6 * time.Second}),
		"ok: the clocks of database and host are 5.5s apart":                         checkClock(&store.ServerReport{ClockAhead: 5500 * time.Millisecond, RoundTrip: 2 * time.Second}),
	} {
		if got := f.level + ": " + f.text; got != want || (f.level == "ok") != (f.todo == "") {
			t.Errorf("got %q -> %q, want %q", got, f.todo, want)
		}
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
