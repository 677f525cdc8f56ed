// Command demo brings up a whole Fairlead on this machine: a hub on SQLite, one
// runner, three nodes over real SSH and a small project; runs a job and shows its
// output; and on request ends the hub with kill -9 in the middle of it.
//
// It needs no root and keeps everything in .demo/.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

func main() {
	var o options
	flag.BoolVar(&o.once, "once", false, "end after the job, with its exit status")
	flag.BoolVar(&o.kill, "kill", false, "end the hub with kill -9 in the middle of the job, and start it again")
	flag.StringVar(&o.version, "version", "dev", "what the programs tell as their version")
	flag.StringVar(&o.binaries, "binaries", "", "directory of programs to use instead of building them")
	flag.StringVar(&o.dir, "dir", "", "where .demo lies; the top of the source tree when absent")
	flag.Parse()
	os.Exit(run(o))
}

type options struct {
	once, kill             bool
	version, binaries, dir string
}

// exitInterrupted is the status of a demo that was ended before its job had.
const exitInterrupted = 130

// run runs the demo and returns its exit status: that of the job with -once.
func run(o options) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	d := &demo{out: os.Stdout}
	defer d.stop()
	code, err := d.run(ctx, o)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return exitInterrupted
	default:
		_, _ = fmt.Fprintln(os.Stderr, "demo:", err)
		code = max(code, 1)
	}
	if o.once {
		d.say("\nThe demo ends with exit status %d.", code)
	}
	return code
}

type demo struct {
	out      io.Writer
	root     string
	dir      string // .demo
	binaries lab.Binaries
	hub      *lab.Hub
	runner   *lab.Runner
	keys     chan byte // pressed by a person; none come without a terminal
	stops    []func()  // in the order of starting
}

func (d *demo) say(format string, args ...any) { _, _ = fmt.Fprintf(d.out, format+"\n", args...) }

// run does everything, and returns the job's exit status with o.once, else 0.
func (d *demo) run(ctx context.Context, o options) (int, error) {
	if err := d.programs(ctx, o); err != nil {
		return 1, err
	}
	d.say("Starting")
	if err := d.start(ctx); err != nil {
		return 1, err
	}
	if err := d.links(ctx); err != nil {
		return 1, err
	}
	if err := d.listen(); err != nil {
		return 1, err
	}
	code, err := d.job(ctx, o.kill)
	if err != nil || o.once {
		return code, err
	}
	return 0, d.stay(ctx)
}

// programs builds the programs, or takes those that were named.
func (d *demo) programs(ctx context.Context, o options) error {
	var err error
	if d.root, err = lab.Root(); err != nil {
		return err
	}
	d.dir = filepath.Join(d.root, ".demo")
	if o.dir != "" {
		d.dir = filepath.Join(o.dir, ".demo")
	}
	if o.binaries != "" {
		d.binaries = lab.At(o.binaries)
		return nil
	}
	d.binaries = lab.At(filepath.Join(d.root, "bin"))
	return build(ctx, d.out, d.root, o.version)
}

// start brings up nodes, hub and runner in a new .demo.
func (d *demo) start(ctx context.Context) error {
	if n := endLeftovers(d.dir); n > 0 {
		d.say("  ended %d processes that an earlier demo left running", n)
	}
	if err := os.RemoveAll(d.dir); err != nil {
		return fmt.Errorf("clearing %s: %w", d.dir, err)
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return fmt.Errorf("making %s: %w", d.dir, err)
	}
	nodes, err := d.startNodes(ctx)
	if err != nil {
		return err
	}
	yaml, err := writeNodes(d.dir, nodes.addrs, nodes.user)
	if err != nil {
		return err
	}
	if err := d.startHub(ctx); err != nil {
		return err
	}
	if err := d.project(ctx, yaml, nodes.keyFile); err != nil {
		return err
	}
	if d.runner, err = d.hub.Enrol(ctx, d.binaries.Runner, d.dir, "demo-runner", "demo"); err != nil {
		return err
	}
	if err := d.runner.Launch(); err != nil {
		return err
	}
	// From here on it is ended whatever happens, and found if this process is killed.
	d.stops = append(d.stops, d.runner.Process.Kill)
	if err := note(d.dir, d.runner.Process.Cmd.Process.Pid); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := d.runner.WaitConnected(bounded); err != nil {
		return err
	}
	d.say("  runner   enrolled and connected")
	return nil
}

func (d *demo) startHub(ctx context.Context) error {
	var err error
	if d.hub, err = lab.NewHub(lab.HubConfig{Binary: d.binaries.Hub, Dir: d.dir}); err != nil {
		return err
	}
	d.hub.Prefer("127.0.0.1:8440", "127.0.0.1:8441")
	d.stops = append(d.stops, func() {
		if d.hub.Process != nil {
			d.hub.Process.Kill()
		}
	})
	if err := d.launchHub(ctx); err != nil {
		select {
		case <-d.hub.Process.Done(): // perhaps somebody took a port that was free a moment ago
		default:
			return err
		}
		if err := d.hub.Elsewhere(); err != nil {
			return err
		}
		if err := d.launchHub(ctx); err != nil {
			return err
		}
	}
	d.say("  hub      %s (SQLite in .demo/hub)", d.hub.URL)
	return nil
}

// launchHub starts the hub's process, notes it and waits until it is ready.
func (d *demo) launchHub(ctx context.Context) error {
	if err := d.hub.Launch(); err != nil {
		return err
	}
	if err := note(d.dir, d.hub.Process.Cmd.Process.Pid); err != nil {
		return err
	}
	return d.hub.WaitReady(ctx)
}

func (d *demo) project(ctx context.Context, nodesYAML, keyFile string) error {
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return fmt.Errorf("reading the nodes' key: %w", err)
	}
	if err := d.hub.SetKey(ctx, "keys/project/demo/nodes", "private-key", key); err != nil {
		return err
	}
	if err := d.hub.CreateProject(ctx, "demo", map[string]string{"ssh-key-storage-path": "keys/project/demo/nodes"}); err != nil {
		return err
	}
	if err := d.hub.ImportNodes(ctx, "demo", nodesYAML); err != nil {
		return err
	}
	d.say("  project  demo: ops/health-check, ops/rotate-logs, ops/rolling-restart")
	return d.hub.ImportJobs(ctx, "demo", healthJob+rotateJob+restartJob)
}

// links prints how to look at it in a browser.
func (d *demo) links(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, d.binaries.Hub, "user", "link", "--data-dir", d.hub.DataDir, "--public-url", d.hub.URL)
	cmd.Env = lab.Environ()
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("making a sign-in link: %w", err)
	}
	link := ""
	for field := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(field, "http") {
			link = field
		}
	}
	d.say("\nOpen in a browser, no typing needed:\n\n  %s\n", link)
	if connection := os.Getenv("SSH_CONNECTION"); connection != "" {
		d.say("This is an SSH session. On your own machine, first:\n\n  %s\n", forward(d.hub.HTTP, connection, os.Getenv("USER")))
	}
	return nil
}

// forward is the command that brings addr of this machine to another one, which has
// reached it by the SSH connection: client's address and port, server's address and port.
func forward(addr, connection, user string) string {
	host, port := "this-machine", "22"
	if fields := strings.Fields(connection); len(fields) == 4 {
		host, port = fields[2], fields[3]
	}
	command := "ssh -L " + addr[strings.LastIndexByte(addr, ':')+1:] + ":" + addr
	if port != "22" {
		command += " -p " + port
	}
	return command + " " + user + "@" + host
}

// stop ends everything, last started first.
func (d *demo) stop() {
	for _, stop := range slices.Backward(d.stops) {
		stop()
	}
	d.stops = nil
}
