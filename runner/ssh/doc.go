// Package ssh runs commands on nodes over SSH: pooled connections, host keys verified
// always, one round trip for a command on a warm connection, and ends that are proven
// or told as unknown. docs/executors.md says what it reads and promises.
package ssh
