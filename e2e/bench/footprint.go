package main

import (
	"fmt"
	"os"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

// idleAfter is how long after its start a program is taken for idle.
const idleAfter = 6 * time.Second

// footprint measures the runner: its binary, its memory when idle, and how long it
// takes from its start until the hub sees it connected.
func (b *bench) footprint() error {
	r, err := b.newRig("footprint", true, nil, localNode)
	if err != nil {
		return err
	}
	defer r.stop()
	info, err := os.Stat(b.binaries.Runner)
	if err != nil {
		return fmt.Errorf("measuring the binary: %w", err)
	}
	var starts, idle []float64
	for range b.runs {
		r.runner.Process.Kill()
		if err := b.awaitGone(r); err != nil {
			return err
		}
		start := time.Now()
		if err := r.runner.Start(b.ctx); err != nil {
			return err
		}
		starts = append(starts, float64(time.Since(start).Milliseconds()))
		select {
		case <-b.ctx.Done():
			return b.ctx.Err()
		case <-time.After(idleAfter):
		}
		idle = append(idle, status(r.runner.Process, "VmRSS:")/(1<<20))
	}
	mb, rss, up := float64(info.Size())/1e6, median(idle), median(starts)
	root, err := lab.Root()
	if err != nil {
		return err
	}
	bareMB, bareRSS, bareUp, err := b.bareClient(root)
	if err != nil {
		return err
	}
	b.add("runner: binary, idle memory, start to connected", "25 MB, 25 MiB, 150 ms", fmt.Sprintf("%.1f MB, %.1f MiB, %.0f ms", mb, rss, up),
		fmt.Sprintf("bare gRPC client: %.1f MB, %.1f MiB, %.0f ms", bareMB, bareRSS, bareUp), mb <= 25 && rss <= 25 && up <= 150)
	return nil
}

// awaitGone waits until the hub no longer shows the runner as connected.
func (b *bench) awaitGone(r *rig) error {
	deadline := time.After(30 * time.Second)
	for {
		runners, err := r.hub.Runners(b.ctx)
		if err != nil {
			return err
		}
		if len(runners) == 1 && !runners[0].Connected {
			return nil
		}
		select {
		case <-deadline:
			return fmt.Errorf("the hub still shows the killed runner as connected")
		case <-time.After(10 * time.Millisecond):
		}
	}
}
