// Package runnerv1 is the contract between a hub and its runners in Go, generated from
// runner.proto, whose comments are the reference.
package runnerv1
