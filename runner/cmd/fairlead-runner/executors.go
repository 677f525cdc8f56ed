package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/fairlead/fairlead/runner/ssh"
	"github.com/fairlead/fairlead/runner/task"
)

// shimCommand is how the runner starts itself as a shim; see docs/executors.md.
const shimCommand = "exec-shim"

// runShim is the life of a shim.
func runShim([]string) int {
	fmt.Fprintln(os.Stderr, "fairlead-runner: no shims in this build")
	return exitOther
}

// executors are what this build can run commands with.
type executors struct {
	byName map[string]task.Executor
	close  func()
}

func (p *program) executors(cfg *config, log *slog.Logger) (*executors, error) {
	remote := ssh.New(ssh.Config{
		KnownHosts: filepath.Join(cfg.DataDir, "known_hosts"), KeyFiles: filepath.Join(cfg.DataDir, "ssh"), Log: log,
	})
	return &executors{
		byName: map[string]task.Executor{task.ExecutorSSH: remote},
		close:  remote.Close,
	}, nil
}
