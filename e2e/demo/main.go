// Command demo brings up a whole Fairlead on this machine: a hub on SQLite, one
// runner, three nodes over real SSH and a small project; runs a job and shows its
// output; and on request ends the hub with kill -9 in the middle of it.
//
// It needs no root and keeps everything in .demo/.
package main

import (
	"context"
	"errors"
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

	"github.com/fairlead/fairlead/e2e/lab"
)

func main() {
	once := flag.Bool("once", false, "end after the job, with its exit status")
	kill := flag.Bool("kill", false, "end the hub with kill -9 in the middle of the job, and start it again")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	d := &demo{out: os.Stdout, kill: *kill}
	code, err := d.run(ctx, *once)
	d.stop()
	if err != nil && !errors.Is(err, context.Canceled) {
		_, _ = fmt.Fprintln(os.Stderr, "demo:", err)
		code = 1
	}
	os.Exit(code)
}

type demo struct {
	out      io.Writer
	kill     bool
	root     string
	dir      string // .demo
	binaries lab.Binaries
	hub      *lab.Hub
	runner   *lab.Runner
	stops    []func() // in the order of starting
}

func (d *demo) say(format string, args ...any) { _, _ = fmt.Fprintf(d.out, format+"\n", args...) }

func (d *demo) run(ctx context.Context, once bool) (int, error) {
	var err error
	if d.root, err = lab.Root(); err != nil {
		return 1, err
	}
	d.dir, d.binaries = filepath.Join(d.root, ".demo"), lab.At(filepath.Join(d.root, "bin"))
	d.say("Building")
	if err := build(ctx, d.out, d.root); err != nil {
		return 1, err
	}
	d.say("Starting")
	if err := d.start(ctx); err != nil {
		return 1, err
	}
	if err := d.links(ctx); err != nil {
		return 1, err
	}
	code, err := d.job(ctx)
	if err != nil || once {
		return code, err
	}
	return 0, d.stay(ctx)
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
	if err := d.runner.Start(ctx); err != nil {
		return err
	}
	d.stops = append(d.stops, d.runner.Process.Kill)
	d.say("  runner   enrolled and connected")
	return note(d.dir, d.runner.Process.Cmd.Process.Pid)
}

func (d *demo) startHub(ctx context.Context) error {
	hub, err := lab.NewHub(lab.HubConfig{Binary: d.binaries.Hub, Dir: d.dir})
	if err != nil {
		return err
	}
	hub.Prefer("127.0.0.1:8440", "127.0.0.1:8441")
	if err := hub.Start(ctx); err != nil {
		return err
	}
	d.hub = hub
	d.stops = append(d.stops, func() { d.hub.Process.Kill() })
	d.say("  hub      %s (SQLite in .demo/hub)", hub.URL)
	return note(d.dir, hub.Process.Cmd.Process.Pid)
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
	if os.Getenv("SSH_CONNECTION") != "" {
		d.say("This is an SSH session. On your own machine, first:\n\n  ssh -L %s:%s %s\n", d.hub.HTTP[strings.LastIndexByte(d.hub.HTTP, ':')+1:], d.hub.HTTP, sshTarget())
	}
	return nil
}

// sshTarget is user@address of this machine as the present SSH session reached it.
func sshTarget() string {
	fields := strings.Fields(os.Getenv("SSH_CONNECTION"))
	user := os.Getenv("USER")
	if len(fields) < 4 {
		return user + "@this-machine"
	}
	return user + "@" + fields[2]
}

// stop ends everything, last started first.
func (d *demo) stop() {
	for _, stop := range slices.Backward(d.stops) {
		stop()
	}
	d.stops = nil
}
