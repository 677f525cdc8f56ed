// Package model checks the protocol between hub and runner by exploring every state
// that small configurations of it can reach. It has no code but its tests.
//
// Three models stand beside the contract that they describe:
//
//   - assignment_test.go: one step, two runners, offers, claims, grants, cancel, disk
//     clones, a restored database (invariants P1 to P5);
//   - nodesteps_test.go: node steps within one granted attempt, journal with an
//     unsynced tail, kills, reboots, clones, stops (N1 to N8);
//   - logstream_test.go: chunks between spool and table.
//
// In each, every message ever sent may arrive late, twice or never, and every lease
// may expire at any instant. Each rule of the protocol has a mutant that breaks it
// and must be caught; the real code carries the same mutants (package failpoint).
//
// Configurations of more than two million states run with -big (make model).
package model
