// Package gateway is the edge that runners speak to: gRPC with TLS 1.3, on which a
// runner's certificate is its whole identity.
//
// It is the only package of the hub that knows the contract's messages; it checks
// them, turns them into the vocabulary, and asks dispatch and output. An answer that
// lets a runner act or forget leaves here only after they have committed it.
//
// Frames of one attempt are handled in the order they came, those of different
// attempts side by side; one goroutine writes, from a queue that never blocks those
// who fill it.
package gateway
