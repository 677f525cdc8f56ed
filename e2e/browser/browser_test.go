package browser

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

const nodes = 3

// TestFrontEnd runs hub/ui/web/browser/drive.mjs, which holds what is done and checked.
func TestFrontEnd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute) // most of it to build on a busy machine
	defer cancel()
	web := builtFrontEnd(t)
	dir, err := os.MkdirTemp("", "flt-") //nolint:usetesting // sockets lie in it, so its path must be short
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	binaries, err := lab.Build(ctx, dir, "grpcnotrace,failpoints")
	must(t, err)
	hub := startHub(ctx, t, dir, binaries)
	sshd, err := lab.StartSSHD(ctx, dir, nodes)
	must(t, err)
	t.Cleanup(sshd.Stop)
	key, err := os.ReadFile(sshd.KeyFile)
	must(t, err)
	must(t, hub.SetKey(ctx, "keys/project/p/lab", "private-key", key))
	must(t, hub.CreateProject(ctx, "p", map[string]string{"ssh-key-storage-path": "keys/project/p/lab"}))
	stage := filepath.Join(dir, "stage")
	must(t, os.Mkdir(stage, 0o700))

	cmd := exec.CommandContext(ctx, "node", "browser/drive.mjs")
	cmd.Dir = web
	cmd.Env = append(os.Environ(), "HUB_URL="+hub.URL, "SIGN_IN_LINK="+signInLink(ctx, t, hub, binaries), "STAGE="+stage,
		"NODES_YAML="+sshd.NodesYAML(nodes), "NO_SOCKETS_URL="+withoutSockets(ctx, t, hub))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	// The runner that it enrols is in its group too, and must not outlive the test.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	must(t, cmd.Start())
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	err = cmd.Wait()
	t.Logf("%s", out.Bytes())
	must(t, err)
}

// builtFrontEnd is the front end's folder. The hub's binary holds what was built there.
func builtFrontEnd(t *testing.T) string {
	t.Helper()
	root, err := lab.Root()
	must(t, err)
	if _, err := os.Stat(filepath.Join(root, "hub/ui/dist/index.html")); err != nil {
		t.Fatalf("the front end is not built; run: make ui (%v)", err)
	}
	return filepath.Join(root, "hub/ui/web")
}

func startHub(ctx context.Context, t *testing.T, dir string, binaries lab.Binaries) *lab.Hub {
	t.Helper()
	hub, err := lab.NewHub(lab.HubConfig{Binary: binaries.Hub, Dir: dir})
	must(t, err)
	must(t, hub.Start(ctx))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("hub:\n%s", hub.Process.Tail())
		}
		hub.Process.Kill()
	})
	return hub
}

func signInLink(ctx context.Context, t *testing.T, hub *lab.Hub, binaries lab.Binaries) string {
	t.Helper()
	out, err := exec.CommandContext(ctx, binaries.Hub, "user", "link", "--data-dir", hub.DataDir, "--public-url", hub.URL).Output()
	must(t, err)
	for field := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(field, hub.URL) {
			return field
		}
	}
	t.Fatalf("no sign-in link in %q", out)
	return ""
}

// withoutSockets is a proxy in front of the hub that lets no WebSocket through, as some
// offices have. Below /test it also ends the hub with kill -9 and starts it again.
func withoutSockets(ctx context.Context, t *testing.T, hub *lab.Hub) string {
	t.Helper()
	target, err := url.Parse(hub.URL)
	must(t, err)
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // answers that the hub's end cuts
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // the hub compares it with the Origin
		},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /test/restart-hub", func(w http.ResponseWriter, _ *http.Request) {
		if err := hub.Restart(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			http.Error(w, "no sockets here", http.StatusForbidden)
			return
		}
		proxy.ServeHTTP(w, r)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
