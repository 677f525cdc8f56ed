// Package runner is one runner process: it holds attempts and takes each from offer to
// settled, tells the hub what happened, and after a restart goes on from its disk.
// docs/runner.md tells the rules; the packages below do the parts.
package runner
