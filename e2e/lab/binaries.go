package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
