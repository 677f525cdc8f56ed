package task

import (
	"slices"

	"github.com/fairlead/fairlead/runner/command"
)

// HoldsSecret reports whether a text that was expanded for c shows one of its secrets.
// Very short secrets are in any text, which is harmless: then all texts are kept as
// carefully as those that hold one.
func (c *Command) HoldsSecret(text string) bool {
	return slices.ContainsFunc(c.Masks, func(secret []byte) bool {
		// No way of writing one is shorter: this spares most texts the look for a whole key.
		return len(text) >= len(secret) && command.Holds(text, string(secret))
	})
}

// LineHoldsSecret reports whether the command line that runs c shows a secret. Other
// users of a host can read command lines: then it must be given to its shell in
// another way. A script's text is no part of the line.
func (c *Command) LineHoldsSecret() bool {
	if c.Script == nil {
		return c.HoldsSecret(c.Text)
	}
	return c.HoldsSecret(c.Script.Interpreter) || slices.ContainsFunc(c.Script.Args, c.HoldsSecret)
}
