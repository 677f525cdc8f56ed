package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

// killAfter is after how many lines of output the hub is ended, if it is to be.
const killAfter = 25

// job runs the rolling restart, follows it in the terminal and, if asked or when k is
// pressed, ends the hub in its middle. It returns the exit status of the follower, and
// an error if what Fairlead tells is not what happened.
func (d *demo) job(ctx context.Context, kill bool) (int, error) {
	if err := d.clearCopies(); err != nil {
		return 1, err
	}
	id, err := d.startJob(ctx)
	if err != nil {
		return 1, err
	}
	cmd := d.cli(ctx, "executions", "log", id, "--follow")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 1, fmt.Errorf("following the job: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return 1, fmt.Errorf("starting the follower: %w", err)
	}
	killErr := d.show(ctx, stdout, kill)
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return 1, ctx.Err()
	case killErr != nil:
		return 1, killErr
	case err != nil && !errors.As(err, &exit):
		return 1, fmt.Errorf("following the job: %w", err)
	}
	code := cmd.ProcessState.ExitCode()
	if code < 0 {
		return 1, fmt.Errorf("the follower was ended: %s", cmd.ProcessState)
	}
	return code, d.tally(ctx, id)
}

// cli is a command line of the demo's administrator, shown as it is run.
func (d *demo) cli(ctx context.Context, args ...string) *exec.Cmd {
	d.say("$ fairlead %s", strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, d.binaries.CLI, args...)
	cmd.Env = lab.Environ("FAIRLEAD_URL="+d.hub.URL, "FAIRLEAD_TOKEN="+d.hub.Token)
	cmd.Stderr = os.Stderr
	return cmd
}

// startJob starts the rolling restart and returns the execution's id.
func (d *demo) startJob(ctx context.Context) (string, error) {
	out, err := d.cli(ctx, "run", "-q", "-p", "demo", "ops/rolling-restart", "--opt", "release=2026.11").Output()
	if err != nil {
		return "", fmt.Errorf("starting the job: %w", err)
	}
	d.say("%s", strings.TrimSpace(string(out)))
	return strings.TrimSpace(string(out)), nil
}

// show shows the job's output until it ends. The hub is ended and started again once:
// after some lines if kill says so, or when a person presses k.
func (d *demo) show(ctx context.Context, stdout io.Reader, kill bool) error {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scan := bufio.NewScanner(stdout); scan.Scan(); {
			lines <- scan.Text()
		}
	}()
	back := make(chan error, 1)
	shown, killed := 0, false
	killOnce := func() {
		if !killed {
			killed = true
			go func() { back <- d.killHub(ctx) }()
		}
	}
	for {
		select {
		case line, more := <-lines:
			if !more && killed {
				return <-back
			}
			if !more {
				return nil
			}
			d.say("%s", line)
			if shown++; kill && shown == killAfter {
				killOnce()
			}
		case k := <-d.keys:
			if isKill(k) {
				killOnce()
			}
		}
	}
}

func (d *demo) killHub(ctx context.Context) error {
	pid := d.hub.Process.Cmd.Process.Pid
	d.say("\n*** kill -9 %d: the hub is gone. The steps go on; their lines wait on the runner's disk. ***\n", pid)
	d.hub.Process.Kill()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(2 * time.Second):
	}
	start := time.Now()
	if err := d.launchHub(ctx); err != nil {
		return err
	}
	d.say("\n*** the hub is back after %.1f s, as process %d ***\n", time.Since(start).Seconds(), d.hub.Process.Cmd.Process.Pid)
	return nil
}

// tally compares what Fairlead tells of an execution with what the nodes themselves
// kept.
func (d *demo) tally(ctx context.Context, id string) error {
	e, err := d.hub.Execution(ctx, id)
	if err != nil {
		return fmt.Errorf("reading execution %s: %w", id, err)
	}
	d.say("\nExecution %d: %s", e.Number, e.Status)
	d.say("  %-6s %7s %7s   %s", "node", "starts", "lines", "log")
	var wrong []string
	for _, n := range nodeNames {
		home := filepath.Join(d.dir, "nodes", n)
		starts, _ := os.ReadFile(filepath.Join(home, "starts")) // not there: none
		copied, _ := os.ReadFile(filepath.Join(home, "copy"))
		log, err := d.hub.Log(ctx, id, "format=text&node="+n)
		if err != nil {
			return err
		}
		row := compare(n, string(starts), string(copied), log)
		d.say("  %s", row.text)
		wrong = append(wrong, row.wrong...)
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// row is what the tally tells of a node, and what is wrong with it.
type row struct {
	text  string
	wrong []string
}

// compare tells how often a node's step was started, by the node's own count, and
// whether the log is what the node printed, by its own copy.
func compare(node, starts, copied, log string) row {
	var r row
	n := strings.Count(starts, "\n")
	if n != 1 {
		r.wrong = append(r.wrong, fmt.Sprintf("the step was started %d times on %s", n, node))
	}
	verdict := "equals the node's own copy"
	if log != copied {
		verdict = "DIFFERS from the node's own copy"
		r.wrong = append(r.wrong, "the log of "+node+" is not what it printed")
	}
	r.text = fmt.Sprintf("%-6s %7d %7d   %s", node, n, strings.Count(log, "\n"), verdict)
	return r
}

func (d *demo) clearCopies() error {
	for _, n := range nodeNames {
		for _, f := range []string{"starts", "copy"} {
			if err := os.RemoveAll(filepath.Join(d.dir, "nodes", n, f)); err != nil {
				return fmt.Errorf("clearing the copies of %s: %w", n, err)
			}
		}
	}
	return nil
}

// stay keeps everything up until Ctrl-C; the key k runs the job and kills the hub in
// its middle.
func (d *demo) stay(ctx context.Context) error {
	if d.keys == nil {
		d.say("\nThe demo stays up until it is interrupted (Ctrl-C).")
	} else {
		d.say("\nk: run the job again and end the hub with kill -9 in its middle    Ctrl-C: end the demo")
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.hub.Process.Done():
			return fmt.Errorf("the hub ended by itself:\n%s", d.hub.Process.Tail())
		case <-d.runner.Process.Done():
			return fmt.Errorf("the runner ended by itself:\n%s", d.runner.Process.Tail())
		case k := <-d.keys:
			if !isKill(k) {
				continue
			}
			if _, err := d.job(ctx, true); err != nil {
				return err
			}
		}
	}
}
