// Package spool is the runner's memory on disk: the journal of all attempts and the
// chunks of their output, in shared segments, each with one loop that syncs. What is
// synced before what is told in docs/runner.md; this package offers the means and
// says of every record and chunk whether the disk has it.
package spool
