package main

import (
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

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

// thisProgram is the file that this process runs, also where another version, or a broken
// one, has taken its place in the meantime.
const thisProgram = "/proc/self/exe"

// commandEnv is the environment of commands: none of them speaks for this service.
func (p *program) commandEnv() []string {
	return slices.DeleteFunc(slices.Clone(p.environ), func(pair string) bool { return strings.HasPrefix(pair, notifySocket+"=") })
}

func (p *program) executors(cfg *config, log *slog.Logger) (*executors, error) {
	here, err := local.New(local.Config{
		Dir: filepath.Join(cfg.DataDir, "shim"), Shim: []string{thisProgram, shimCommand}, Env: p.commandEnv(), Log: log,
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
