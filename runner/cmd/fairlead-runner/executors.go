package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/fairlead/fairlead/runner/local"
	"github.com/fairlead/fairlead/runner/ssh"
	"github.com/fairlead/fairlead/runner/task"
)

// shimCommand is how the runner starts itself as a shim; see docs/executors.md.
const shimCommand = local.ShimCommand

// executors are what this build can run commands with.
type executors struct {
	byName map[string]task.Executor
	close  func()
}

func (p *program) executors(cfg *config, log *slog.Logger) (*executors, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program's file: %w", err)
	}
	here, err := local.New(local.Config{
		Dir: filepath.Join(cfg.DataDir, "shim"), Shim: []string{self, shimCommand}, Env: p.environ, Log: log,
	})
	if err != nil {
		return nil, err
	}
	remote := ssh.New(ssh.Config{
		KnownHosts: filepath.Join(cfg.DataDir, "known_hosts"), KeyFiles: filepath.Join(cfg.DataDir, "ssh"), Log: log,
	})
	return &executors{
		byName: map[string]task.Executor{task.ExecutorSSH: remote, task.ExecutorLocal: here},
		close:  func() { remote.Close(); here.Close() },
	}, nil
}
