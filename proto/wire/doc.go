// Package wire holds what the contract between hub and runner says beside its
// protobuf messages: who a certificate speaks for, which protocol versions exist,
// how large things may be, how records and chunks are chained and signed, how output
// frames are encoded, how secrets are sealed and what an enrolment token looks like.
//
// Both programs import it, so nothing in it may lean on either.
package wire
