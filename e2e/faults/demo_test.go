package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

// demo is the demo's program over the programs under test, in a directory of its own.
type demo struct {
	cmd *exec.Cmd
	dir string // .demo
	out bytes.Buffer
}

func startDemo(t *testing.T, args ...string) *demo {
	t.Helper()
	root, err := lab.Root()
	if err != nil {
		t.Fatal(err)
	}
	top := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	d := &demo{dir: filepath.Join(top, ".demo")}
	d.cmd = exec.CommandContext(ctx, filepath.Join(binaries.Dir, "demo"), append(args, "-binaries", binaries.Dir, "-dir", top)...)
	d.cmd.Dir, d.cmd.Env = root, append(os.Environ(), "FAIRLEAD_HUB_HTTP=not an address", "FAIRLEAD_TOKEN=not one of the hub")
	d.cmd.Stdout, d.cmd.Stderr = &d.out, &d.out
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return d
}

// noted are the processes that the demo started.
func (d *demo) noted() []string {
	text, err := os.ReadFile(filepath.Join(d.dir, "processes"))
	if err != nil {
		return nil
	}
	var pids []string
	for line := range strings.Lines(string(text)) {
		pid, _, _ := strings.Cut(line, " ")
		pids = append(pids, pid)
	}
	return pids
}

// gone fails for each process that was left behind.
func (d *demo) gone(t *testing.T, least int) {
	t.Helper()
	pids := d.noted()
	if len(pids) < least {
		t.Errorf("%d processes were noted", len(pids))
	}
	for _, pid := range pids {
		if command, err := os.ReadFile("/proc/" + pid + "/cmdline"); err == nil && bytes.Contains(command, []byte(d.dir)) {
			t.Errorf("process %s was left behind: %q", pid, command)
		}
	}
}

// The demo ends with its job's status and a tally that is right, also when it kills the
// hub in the job's middle.
func TestDemo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args      []string
		says      string
		processes int
	}{
		"once": {[]string{"-once"}, "The demo ends with exit status 0.", 3},
		"kill": {[]string{"-once", "-kill"}, "the hub is back", 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := startDemo(t, c.args...)
			if err := d.cmd.Wait(); err != nil {
				t.Fatalf("%v\n%s", err, &d.out)
			}
			out := d.out.String()
			if !strings.Contains(out, c.says) || !strings.Contains(out, "sign-in?link=") {
				t.Errorf("it does not say %q:\n%s", c.says, out)
			}
			for _, n := range []string{"web1", "web2", "web3"} {
				right := regexp.MustCompile(`(?m)^  ` + n + ` +1 +50   equals the node's own copy$`)
				if !right.MatchString(out) {
					t.Errorf("the tally of %s is not right:\n%s", n, out)
				}
			}
			d.gone(t, c.processes)
		})
	}
}

// Ctrl-C while it starts leaves nothing behind.
func TestDemoInterrupted(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := lab.Poll(ctx, time.Millisecond, func() error {
		if len(d.noted()) < 2 { // sshd and the hub
			return fmt.Errorf("the hub was not started")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := d.cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("it ended with %v:\n%s", err, &d.out)
	}
	d.gone(t, 2)
}
