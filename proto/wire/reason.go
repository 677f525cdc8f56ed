package wire

// Reasons of an ended record that a runner answers with another try of its own: what
// was told is no failure yet. Its Result says what became of it.
const (
	// ReasonNeverStarted: the start was on record, and that nothing followed is proven.
	ReasonNeverStarted = "never_started"
	// ReasonProbeClean: the end was not seen, and the probe proves that nothing happened.
	ReasonProbeClean = "probe_clean"
)

// ComesAgain reports whether an ended record of that reason is followed by another try.
func ComesAgain(reason string) bool {
	return reason == ReasonNeverStarted || reason == ReasonProbeClean
}

// ReasonLogLimit is the reason of a step that was ended because its job printed more than
// its log limit allows: nothing more of the execution is to start.
const ReasonLogLimit = "log_limit"
