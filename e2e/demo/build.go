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

// older reports whether file is older than source, or not there.
func older(file, source string) bool {
	f, err := os.Stat(file)
	if err != nil {
		return true
	}
	s, err := os.Stat(source)
	return err == nil && f.ModTime().Before(s.ModTime())
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
func build(ctx context.Context, out io.Writer, root, version string) error {
	web := root + "/hub/ui/web"
	if err := stage(out, "web front end: packages", func() error {
		installed := web + "/node_modules/.package-lock.json"
		if !older(installed, web+"/package-lock.json") {
			return nil
		}
		if err := command(ctx, web, "npm", "ci", "--no-audit", "--no-fund")(); err != nil {
			return err
		}
		now := time.Now()
		return os.Chtimes(installed, now, now) // npm may give it the time of what it unpacked
	}); err != nil {
		return err
	}
	if err := stage(out, "web front end: pages", command(ctx, web, "npm", "run", "build")); err != nil {
		return err
	}
	for _, p := range [][2]string{{"hub", "./hub/cmd/fairlead-hub"}, {"runner", "./runner/cmd/fairlead-runner"}, {"command line", "./sdk/cmd/fairlead"}} {
		if err := stage(out, p[0], command(ctx, root, "go", "build", "-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w -X main.version="+version, "-o", "bin/", p[1])); err != nil {
			return err
		}
	}
	return nil
}
