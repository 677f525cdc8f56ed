package api

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strings"

	"github.com/fairlead/fairlead/hub"
)

// runnerBinary is what new hosts download.
const runnerBinary = "fairlead-runner"

// platformWord is what os and arch may look like: they become part of a file name.
var platformWord = regexp.MustCompile(`^[a-z0-9]{1,16}$`)

// install serves the runner's binary that lies beside the hub's, and its SHA-256, to
// who has no account: a new host downloads it, compares and enrols. Binaries for
// other systems lie there as fairlead-runner-OS-ARCH.
func (s *server) install(w http.ResponseWriter, r *http.Request) {
	file := r.PathValue("file")
	name, sum := strings.CutSuffix(file, ".sha256")
	if name != runnerBinary {
		s.fail(w, r, hub.Errorf(hub.CodeNotFound, "The hub serves /install/%s and /install/%s.sha256.", runnerBinary, runnerBinary))
		return
	}
	f, err := s.openRunner(r.URL.Query().Get("os"), r.URL.Query().Get("arch"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		s.fail(w, r, fmt.Errorf("looking at the runner's binary: %w", err))
		return
	}
	if !sum {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Disposition", `attachment; filename="`+runnerBinary+`"`)
		http.ServeContent(w, r, "", info.ModTime(), f)
		return
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		s.fail(w, r, fmt.Errorf("reading the runner's binary: %w", err))
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	// The form that sha256sum -c reads.
	_, _ = fmt.Fprintf(w, "%s  %s\n", hex.EncodeToString(hash.Sum(nil)), runnerBinary)
}

// openRunner opens the binary for a system; "" stands for the hub's own.
func (s *server) openRunner(goos, arch string) (*os.File, error) {
	own := (goos == "" || goos == runtime.GOOS) && (arch == "" || arch == runtime.GOARCH)
	if goos == "" {
		goos = runtime.GOOS
	}
	if arch == "" {
		arch = runtime.GOARCH
	}
	if !platformWord.MatchString(goos) || !platformWord.MatchString(arch) {
		return nil, hub.Errorf(hub.CodeInvalid, "os and arch are words as Go has them: linux and amd64.")
	}
	missing := hub.Errorf(hub.CodeNotFound, "This hub has no runner for %s/%s; put it beside the hub's binary as %s-%s-%s.", goos, arch, runnerBinary, goos, arch)
	if s.RunnerDir == "" {
		return nil, missing
	}
	root, err := os.OpenRoot(s.RunnerDir)
	if err != nil {
		missing.Cause = err
		return nil, missing
	}
	defer root.Close()
	f, err := root.Open(runnerBinary + "-" + goos + "-" + arch)
	if err != nil && own {
		f, err = root.Open(runnerBinary)
	}
	if err != nil {
		missing.Cause = err
		return nil, missing
	}
	return f, nil
}
