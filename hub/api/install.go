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
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fairlead/fairlead/hub"
)

// runnerBinary is what new hosts download.
const runnerBinary = "fairlead-runner"

// platformWord is what os and arch may look like: they become part of a file name.
var platformWord = regexp.MustCompile(`^[a-z0-9]{1,16}$`)

// sumsFile lists all binaries by system, so that the commands for a new host can tell
// whether one fits it.
const sumsFile = "SHA256SUMS"

// install serves the runner's binary that lies beside the hub's, and its SHA-256, to
// who has no account: a new host downloads it, compares and enrols. Binaries for
// other systems lie there as fairlead-runner-OS-ARCH.
func (s *server) install(w http.ResponseWriter, r *http.Request) {
	file := r.PathValue("file")
	if file == sumsFile {
		s.installSums(w, r)
		return
	}
	name, sum := strings.CutSuffix(file, ".sha256")
	if name != runnerBinary {
		s.fail(w, r, hub.Errorf(hub.CodeNotFound, "The hub serves /install/%s, /install/%s.sha256 and /install/%s.", runnerBinary, runnerBinary, sumsFile))
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
	line, err := s.sums.line(f, runnerBinary)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	writeSums(w, line)
}

// installSums serves one line for each system that the hub has a runner for, by the
// names under which binaries for other systems lie beside the hub's.
func (s *server) installSums(w http.ResponseWriter, r *http.Request) {
	platforms, err := s.platforms()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	var lines strings.Builder
	for _, p := range platforms {
		f, err := s.openRunner(p[0], p[1])
		if err != nil {
			s.fail(w, r, err)
			return
		}
		line, err := s.sums.line(f, runnerBinary+"-"+p[0]+"-"+p[1])
		_ = f.Close() // only read
		if err != nil {
			s.fail(w, r, err)
			return
		}
		lines.WriteString(line)
	}
	writeSums(w, lines.String())
}

// platforms are the systems that the hub has a runner for, each OS and ARCH.
func (s *server) platforms() ([][2]string, error) {
	entries, err := os.ReadDir(s.RunnerDir)
	if err != nil && s.RunnerDir != "" {
		return nil, fmt.Errorf("looking for runners beside the hub's binary: %w", err)
	}
	own := [2]string{runtime.GOOS, runtime.GOARCH}
	var out [][2]string
	for _, entry := range entries {
		p, ok := own, entry.Name() == runnerBinary
		if rest, found := strings.CutPrefix(entry.Name(), runnerBinary+"-"); found {
			p[0], p[1], ok = strings.Cut(rest, "-")
			ok = ok && platformWord.MatchString(p[0]) && platformWord.MatchString(p[1])
		}
		if ok && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return nil, noRunner(own[0], own[1])
	}
	return out, nil
}

// sums keeps the SHA-256 of files, by what tells their versions apart: anybody may ask for
// it, and reading a binary whole for each request would be a cheap way to keep a hub busy.
type sums struct {
	mu sync.Mutex // held while a file is read: who asks meanwhile waits for that one
	by map[string]fileSum
}

type fileSum struct {
	size    int64
	changed time.Time
	sum     string
}

// line is the SHA-256 of an open file, in the form that sha256sum -c reads, under a name.
func (c *sums) line(f *os.File, name string) (string, error) {
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("looking at the runner's binary: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.by[f.Name()]
	if known.sum == "" || known.size != info.Size() || !known.changed.Equal(info.ModTime()) {
		hash := sha256.New()
		if _, err := io.Copy(hash, f); err != nil {
			return "", fmt.Errorf("reading the runner's binary: %w", err)
		}
		known = fileSum{info.Size(), info.ModTime(), hex.EncodeToString(hash.Sum(nil))}
		if c.by == nil {
			c.by = map[string]fileSum{}
		}
		c.by[f.Name()] = known
	}
	return known.sum + "  " + name + "\n", nil
}

func writeSums(w http.ResponseWriter, lines string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, lines) //nolint:gosec // plain text: hashes, and names that were looked at
}

func noRunner(goos, arch string) *hub.Error {
	return hub.Errorf(hub.CodeNotFound, "This hub has no runner for %s/%s; put it beside the hub's binary as %s-%s-%s.", goos, arch, runnerBinary, goos, arch)
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
	missing := noRunner(goos, arch)
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
