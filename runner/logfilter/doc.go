// Package logfilter is Rundeck's log filters: what the output of a step goes through,
// line by line, behind the masker of secrets and before anything is stored. It runs
// wherever output is met first: in the runner for SSH, in the shim for the runner's host.
//
// What comes out depends on the bytes alone, not on how they were cut into writes nor on
// time, so a stream that is filtered again gives the same again. The price is that a
// line shows when it has ended.
package logfilter
