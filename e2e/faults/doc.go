// Package faults breaks the real programs in every way that the protocol names and
// looks at what a node itself can tell: how often a command was started, and what it
// printed. The ground truth is the witness's own files, never the hub's word.
//
// Tests that wait run side by side.
package faults
