// Package cluster is this member's part in the installation: its row and heartbeat,
// the lease clock that ticks at most once a second however many members there are,
// the marks that prove to a later database what this one had committed, and whether
// the member is fit to serve.
package cluster
