// Package local runs commands on the runner's own host, under shims: processes of the
// same binary that outlive the runner, hold a lock while a command runs, and keep its
// output and exit on disk. docs/executors.md says what is proven when.
package local
