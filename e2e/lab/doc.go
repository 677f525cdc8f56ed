// Package lab starts the built binaries and the real servers around them (PostgreSQL,
// sshd) on loopback, with a proxy on any link that can cut, stall and swallow it.
// Tests, benchmarks and the demo stand on it. Everything it starts it ends, by its
// own process id.
package lab
