package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// stage runs one named part of the build and tells its seconds; the part's output is
// shown only when it fails.
func stage(out io.Writer, name string, run func() error) error {
	_, _ = fmt.Fprintf(out, "  %-34s", name)
	start := time.Now()
	if err := run(); err != nil {
		_, _ = fmt.Fprintln(out, "failed")
		return fmt.Errorf("%s: %w", name, err)
	}
	_, _ = fmt.Fprintf(out, "%5.1f s\n", time.Since(start).Seconds())
	return nil
}

func command(ctx context.Context, dir, program string, args ...string) func() error {
	return func() error {
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, text)
		}
		return nil
	}
}

// build makes the web front end and the three programs.
func build(ctx context.Context, out io.Writer, root string) error {
	web := root + "/hub/ui/web"
	if err := stage(out, "web front end: packages", func() error {
		if _, err := os.Stat(web + "/node_modules/.package-lock.json"); err == nil {
			return nil
		}
		return command(ctx, web, "npm", "ci", "--no-audit", "--no-fund")()
	}); err != nil {
		return err
	}
	if err := stage(out, "web front end: pages", command(ctx, web, "npm", "run", "build")); err != nil {
		return err
	}
	for _, p := range [][2]string{{"hub", "./hub/cmd/fairlead-hub"}, {"runner", "./runner/cmd/fairlead-runner"}, {"command line", "./sdk/cmd/fairlead"}} {
		if err := stage(out, p[0], command(ctx, root, "go", "build", "-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w", "-o", "bin/", p[1])); err != nil {
			return err
		}
	}
	return nil
}
