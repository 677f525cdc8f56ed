// Command bench measures the figures that Fairlead aims at, each beside its limit
// measured in the same run on the same machine: absolute figures of different days or
// machines do not compare, ratios do.
//
// Everything runs on loopback, every loop is bounded, everything started is ended.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

// row is one figure.
type row struct {
	what, aim, got, limit string
	met                   bool
}

type bench struct {
	ctx      context.Context
	dir      string
	out      io.Writer
	binaries lab.Binaries
	runs     int
	fleet    int     // simulated runners
	minutes  float64 // that the crowd prints
	rows     []row
}

func main() {
	gen := flag.Int("loggen", 0, "print so many numbered lines of 100 bytes and end (used as a step)")
	ticks := flag.Int("ticker", 0, "print the time so often, every 10 ms, and end (used as a step)")
	pours := flag.Int("pour", 0, "pour so many numbered lines, a thousand a second, into each named pipe of the folder -into, and end (used beside steps)")
	into := flag.String("into", "", "folder of named pipes, for -pour")
	minutes := flag.Float64("minutes", 10, "minutes for which the crowd prints")
	runs := flag.Int("runs", 3, "runs of which the median counts")
	only := flag.String("only", "", "only benchmarks whose name contains this")
	fleet := flag.Int("runners", 1000, "simulated runners of the cluster's benchmarks")
	keep := flag.Bool("keep", false, "keep the working directory")
	flag.Parse()
	switch {
	case *gen > 0:
		generate(os.Stdout, *gen)
		return
	case *ticks > 0:
		tick(os.Stdout, *ticks)
		return
	case *pours > 0:
		if err := pourInto(*into, *pours); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(&bench{ctx: ctx, out: os.Stdout, runs: *runs, fleet: *fleet, minutes: *minutes}, *only, *keep); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(b *bench, only string, keep bool) error {
	root, err := lab.Root()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "flb-")
	if err != nil {
		return fmt.Errorf("making a working directory: %w", err)
	}
	if keep {
		_, _ = fmt.Fprintln(os.Stderr, "working in", dir)
	} else {
		defer func() { _ = os.RemoveAll(dir) }()
	}
	b.dir, b.binaries = dir, lab.At(filepath.Join(root, "bin"))
	for _, part := range []struct {
		name string
		run  func() error
	}{
		{"footprint", b.footprint},
		{"noop", b.noop},
		{"ssh", b.ssh},
		{"lines", b.lines},
		{"delay", b.delay},
		{"gigabyte", b.gigabyte},
		{"crowd", b.crowd},
		{"members", b.members},
		{"failover", b.failover},
		{"takeover", b.takeover},
		{"together", b.together},
		{"idle", b.idle},
	} {
		if !strings.Contains(part.name, only) {
			continue
		}
		if err := part.run(); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	b.print()
	return nil
}

func (b *bench) add(what, aim, got, limit string, met bool) {
	b.rows = append(b.rows, row{what, aim, got, limit, met})
	_, _ = fmt.Fprintf(os.Stderr, "%-44s %s\n", what, got)
}

func (b *bench) print() {
	_, _ = fmt.Fprintln(b.out, "| what | aim | measured | beside it, in the same run | met |\n|---|---|---|---|---|")
	for _, r := range b.rows {
		_, _ = fmt.Fprintf(b.out, "| %s | %s | %s | %s | %s |\n", r.what, r.aim, r.got, r.limit, map[bool]string{true: "yes", false: "no"}[r.met])
	}
}

// rig is a hub, a runner and what they need, for one benchmark.
type rig struct {
	hub    *lab.Hub
	hubs   []*lab.Hub // that clients spread over; nil: hub alone
	runner *lab.Runner
	pg     *lab.Postgres
}

// newRig starts a hub (on PostgreSQL of its own, if asked) with project p, and a
// runner; env is added to the environment of both.
func (b *bench) newRig(name string, postgres bool, settings map[string]string, nodes string, env ...string) (*rig, error) {
	dir := filepath.Join(b.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making %s: %w", dir, err)
	}
	r := &rig{}
	config := lab.HubConfig{Binary: b.binaries.Hub, Dir: dir, Env: env}
	var err error
	if postgres {
		if r.pg, err = lab.StartPostgres(b.ctx, dir); err != nil {
			return nil, err
		}
		config.Database = r.pg.URL()
	}
	if r.hub, err = lab.NewHub(config); err != nil {
		return nil, err
	}
	if err := r.hub.Start(b.ctx); err != nil {
		r.stop()
		return nil, err
	}
	if err := r.hub.CreateProject(b.ctx, "p", settings); err != nil {
		r.stop()
		return nil, err
	}
	if err := r.hub.ImportNodes(b.ctx, "p", nodes); err != nil {
		r.stop()
		return nil, err
	}
	if r.runner, err = r.hub.Enrol(b.ctx, b.binaries.Runner, dir, "runner", "p"); err == nil {
		r.runner.SetEnv(env...)
		err = r.runner.Start(b.ctx)
	}
	if err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}

func (r *rig) stop() {
	if r.runner != nil && r.runner.Process != nil {
		r.runner.Process.Kill()
	}
	if r.hub != nil && r.hub.Process != nil {
		r.hub.Process.Kill()
	}
	if r.pg != nil {
		r.pg.Stop()
	}
}

const localNode = "here:\n  nodename: here\n  hostname: localhost\n  username: me\n  node-executor: local\n"

// job is a job that many clients may run at once.
func job(name, exec, filter string, threads int) string {
	return fmt.Sprintf("- name: %s\n  multipleExecutions: true\n  nodefilters:\n    filter: '%s'\n    dispatch: {threadcount: %d, keepgoing: true}\n  sequence:\n    commands:\n    - exec: %q\n", name, filter, threads, exec)
}

// quantile of durations; q from 0 to 1.
func quantile(d []time.Duration, q float64) time.Duration {
	s := slices.Clone(d)
	slices.Sort(s)
	return s[min(len(s)-1, int(q*float64(len(s))))]
}

func median(f []float64) float64 {
	s := slices.Clone(f)
	slices.Sort(s)
	return s[len(s)/2]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
