//go:build !failpoints

package failpoint

// Hit does nothing in this build.
func Hit(string) {}

// Mutant is false in this build.
func Mutant(string) bool { return false }

// Override is empty in this build.
func Override(string) string { return "" }
