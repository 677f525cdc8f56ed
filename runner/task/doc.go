// Package task advances one attempt: it decides which node step is next, has it run by
// an executor, writes what happened to the journal and cuts the output into chunks.
//
// What to do next is Next, a pure function of the spec and of a State, which is a fold
// over the attempt's journal records and nothing else. So it is the same before and
// after a restart. docs/runner.md tells the rules.
package task
