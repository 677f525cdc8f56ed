// Package stepdir is the directory of a running command, by which the process that keeps
// the command and a later process of the runner know each other: a lock that is held
// while the command runs, that it was started, its output, its end, and a socket. A
// local command's keeper is its shim, that of a command that was handed over the process
// of the runner that started it. docs/executors.md and docs/runner.md say what is
// proven when.
package stepdir
