package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Runner is an enrolled runner; its state directory outlives restarts.
type Runner struct {
	Name    string
	DataDir string
	Process *Process

	binary, dir string
	hub         *Hub
	env, args   []string
	starter     Starter
}

// Enrol makes a runner of the project and enrols it with hub, without starting it.
func (h *Hub) Enrol(ctx context.Context, binary, dir, name, project string, tags ...string) (*Runner, error) {
	token, err := h.EnrolmentToken(ctx, project, tags...)
	if err != nil {
		return nil, err
	}
	r := &Runner{Name: name, DataDir: filepath.Join(dir, name), binary: binary, dir: dir, hub: h, starter: StartProcess}
	cmd := exec.CommandContext(ctx, binary, "enroll", "--hub", h.URL, "--data-dir", r.DataDir, "--name", name)
	cmd.Env = Environ("FAIRLEAD_RUNNER_TOKEN=" + token)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("enrolling %s: %w\n%s", name, err, out)
	}
	return r, nil
}

// SetEnv replaces what is added to the environment of the next start.
func (r *Runner) SetEnv(env ...string) { r.env = env }

// SetArgs replaces what is added to the arguments of the next start.
func (r *Runner) SetArgs(args ...string) { r.args = args }

// SetBinary replaces the program of the next start.
func (r *Runner) SetBinary(path string) { r.binary = path }

// SetStarter is how the next start starts the process.
func (r *Runner) SetStarter(s Starter) { r.starter = s }

// Start starts the runner and waits until the hub sees it connected.
func (r *Runner) Start(ctx context.Context) error {
	if err := r.Launch(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	return r.WaitConnected(ctx)
}

// Launch starts the runner's process and waits for nothing.
func (r *Runner) Launch() error {
	p, err := r.starter(r.dir, r.Name, r.env, r.binary, append([]string{"run", "--data-dir", r.DataDir}, r.args...)...)
	if err != nil {
		return err
	}
	r.Process = p
	return nil
}

// At returns the address of the gateway where the runner's session is, "" without one, as
// the runner itself tells it.
func (r *Runner) At() string {
	var s struct {
		Connected bool
		Address   string
	}
	text, err := os.ReadFile(filepath.Join(r.DataDir, "status.json"))
	if err != nil || json.Unmarshal(text, &s) != nil || !s.Connected {
		return ""
	}
	return s.Address
}

// Knows returns the addresses of gateways that the runner keeps.
func (r *Runner) Knows() []string {
	var about struct{ Gateways []string }
	text, err := os.ReadFile(filepath.Join(r.DataDir, "identity", "runner.json"))
	if err != nil || json.Unmarshal(text, &about) != nil {
		return nil
	}
	return about.Gateways
}

// Via makes the runner's hub, which its connection is looked up at, another.
func (r *Runner) Via(h *Hub) { r.hub = h }

// WaitConnected waits until the hub shows the runner as connected.
func (r *Runner) WaitConnected(ctx context.Context) error {
	return Poll(ctx, 5*time.Millisecond, func() error {
		select {
		case <-r.Process.Done():
			return fmt.Errorf("runner %s ended: %w\n%s", r.Name, r.Process.err, r.Process.Tail())
		default:
		}
		runners, err := r.hub.Runners(ctx)
		if err != nil {
			return err
		}
		for _, x := range runners {
			if x.Name == r.Name && x.Connected {
				return nil
			}
		}
		return fmt.Errorf("runner %s is not connected\n%s", r.Name, r.Process.Tail())
	})
}
