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
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/fairlead/fairlead/e2e/lab"
)

// job runs the rolling restart, follows it in the terminal and, if asked, ends the hub
// in its middle. It returns the exit status of the follower.
func (d *demo) job(ctx context.Context) (int, error) {
	if err := d.clearCopies(); err != nil {
		return 1, err
	}
	d.say("$ fairlead run -p demo ops/rolling-restart --follow --opt release=2026.11")
	cmd := exec.CommandContext(ctx, d.binaries.CLI, "run", "-p", "demo", "ops/rolling-restart", "--follow", "--opt", "release=2026.11")
	cmd.Env = append(os.Environ(), "FAIRLEAD_URL="+d.hub.URL, "FAIRLEAD_TOKEN="+d.hub.Token)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 1, fmt.Errorf("following the job: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return 1, fmt.Errorf("starting the follower: %w", err)
	}
	lines := 0
	var killed sync.WaitGroup
	var killErr error
	scan := bufio.NewScanner(stdout)
	for scan.Scan() {
		d.say("%s", scan.Text())
		if lines++; d.kill && lines == 25 {
			killed.Go(func() { killErr = d.killHub(ctx) })
		}
	}
	err = cmd.Wait()
	killed.Wait()
	if killErr != nil {
		return 1, killErr
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 1, fmt.Errorf("following the job: %w", err)
	}
	return max(cmd.ProcessState.ExitCode(), 0), d.tally(ctx)
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
	if err := d.hub.Start(ctx); err != nil {
		return err
	}
	d.say("\n*** the hub is back after %.1f s, as process %d ***\n", time.Since(start).Seconds(), d.hub.Process.Cmd.Process.Pid)
	return note(d.dir, d.hub.Process.Cmd.Process.Pid)
}

// tally compares what Fairlead tells with what the nodes themselves kept.
func (d *demo) tally(ctx context.Context) error {
	var page struct{ Items []lab.Execution }
	if err := d.hub.Do(ctx, "GET", "/executions?limit=1", nil, &page); err != nil || len(page.Items) == 0 {
		return fmt.Errorf("finding the execution: %w", err)
	}
	e := page.Items[0]
	d.say("\nExecution %d: %s", e.Number, e.Status)
	d.say("  %-6s %7s %7s   %s", "node", "starts", "lines", "log")
	same := true
	for _, n := range nodeNames {
		home := filepath.Join(d.dir, "nodes", n)
		starts, _ := os.ReadFile(filepath.Join(home, "starts"))
		copied, _ := os.ReadFile(filepath.Join(home, "copy"))
		log, err := d.hub.Log(ctx, e.ID, "format=text&node="+n)
		if err != nil {
			return err
		}
		verdict := "equals the node's own copy"
		if log != string(copied) {
			verdict, same = "DIFFERS from the node's own copy", false
		}
		d.say("  %-6s %7d %7d   %s", n, strings.Count(string(starts), "\n"), strings.Count(log, "\n"), verdict)
	}
	if !same {
		return errors.New("a log is not what its node printed")
	}
	return nil
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
	keys := make(chan byte)
	if fd := int(os.Stdin.Fd()); term.IsTerminal(fd) {
		d.say("\nk: run the job again and end the hub with kill -9 in its middle    Ctrl-C: end the demo")
		restore, err := cbreak(fd)
		if err != nil {
			return err
		}
		defer restore()
		go readKeys(os.Stdin, keys)
	} else {
		d.say("\nThe demo stays up until it is interrupted (Ctrl-C).")
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.hub.Process.Done():
			return fmt.Errorf("the hub ended by itself:\n%s", d.hub.Process.Tail())
		case <-d.runner.Process.Done():
			return fmt.Errorf("the runner ended by itself:\n%s", d.runner.Process.Tail())
		case k := <-keys:
			if !slices.Contains([]byte("kK"), k) {
				continue
			}
			d.kill = true
			if _, err := d.job(ctx); err != nil {
				return err
			}
		}
	}
}

func readKeys(r io.Reader, keys chan<- byte) {
	buf := make([]byte, 1)
	for {
		if _, err := r.Read(buf); err != nil {
			return
		}
		keys <- buf[0]
	}
}
