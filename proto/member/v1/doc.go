// Package memberv1 is the contract between the members of a cluster in Go, generated from
// member.proto, whose comments are the reference.
package memberv1
