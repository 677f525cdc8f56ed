// Package hub is the vocabulary of the hub: one file per noun, plain data, nothing
// but the standard library.
//
// The hub is a set of identical members over one database. None owns an execution:
// its truth is its rows, and whichever member hears of an attempt's end advances the
// execution in the transaction that records it.
//
//	edges     api (REST, WebSocket)  gateway (gRPC for runners)  ui
//	services  dispatch  output  schedule  auth  keys  ca  cluster
//	pure      workflow  nodefilter  rundeck  cron
//	store     all SQL
//	hub       this package
//
// Imports point down only; docs/architecture.md tells how work flows.
package hub
