package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Binaries are the three programs under test.
type Binaries struct {
	Dir, Hub, Runner, CLI string
}

// At names the programs in dir.
func At(dir string) Binaries {
	return Binaries{
		Dir: dir, Hub: filepath.Join(dir, "fairlead-hub"),
		Runner: filepath.Join(dir, "fairlead-runner"), CLI: filepath.Join(dir, "fairlead"),
	}
}

// Build builds the programs into dir with the given tags, as make build does, and more
// packages beside them.
func Build(ctx context.Context, dir, tags string, more ...string) (Binaries, error) {
	root, err := Root()
	if err != nil {
		return Binaries{}, err
	}
	return buildIn(ctx, root, dir, tags, more...)
}

// firstPrevious stands for the last release until there is one.
const firstPrevious = "b8b8f8af7d5b2807779e0765d7008b16f2ea17e4"

// BuildPrevious builds the programs of the release before this tree into dir.
func BuildPrevious(ctx context.Context, dir, tags string) (Binaries, error) {
	root, err := Root()
	if err != nil {
		return Binaries{}, err
	}
	release := firstPrevious
	git := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Dir = root
		return cmd
	}
	// A release is not upgraded from itself.
	if tag, err := git("describe", "--tags", "--abbrev=0", "--match", "v*", "HEAD^").Output(); err == nil {
		release = strings.TrimSpace(string(tag))
	}
	source := filepath.Join(dir, "source")
	archive := filepath.Join(dir, "source.tar")
	if out, err := git("archive", "--output", archive, release).CombinedOutput(); err != nil {
		return Binaries{}, fmt.Errorf("taking the sources of %s out of the history, which a shallow clone lacks (git fetch --unshallow --tags): %w\n%s", release, err, out)
	}
	if err := os.MkdirAll(source, 0o700); err != nil {
		return Binaries{}, fmt.Errorf("making a directory for the sources: %w", err)
	}
	if out, err := exec.CommandContext(ctx, "tar", "-x", "-f", archive, "-C", source).CombinedOutput(); err != nil {
		return Binaries{}, fmt.Errorf("unpacking the sources of %s: %w\n%s", release, err, out)
	}
	return buildIn(ctx, source, dir, tags)
}

func buildIn(ctx context.Context, root, dir, tags string, more ...string) (Binaries, error) {
	args := []string{
		"build", "-trimpath", "-tags", tags, "-ldflags", "-s -w -X main.version=lab", "-o", dir + "/",
		"./hub/cmd/fairlead-hub", "./runner/cmd/fairlead-runner", "./sdk/cmd/fairlead",
	}
	cmd := exec.CommandContext(ctx, "go", append(args, more...)...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return Binaries{}, fmt.Errorf("building the programs: %w\n%s", err, out)
	}
	return At(dir), nil
}

// Root finds the top of the source tree from the working directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the working directory: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no go.mod above the working directory")
		}
		dir = parent
	}
}
