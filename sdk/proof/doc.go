// Package proof verifies the export of an execution's log without a hub: that each chunk
// of output is the one that follows the chunks before it, that the last one is the one of
// which the runner's signed result speaks, and that the runner's certificate is under the
// hub's CA.
//
// It shares no code with the programs that wrote what it verifies.
package proof
