package task

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fairlead/fairlead/runner/command"
)

// announce writes into the log of a job that asks for it how a node was reached, and what
// is about to run there.
func (t *Attempt) announce(c *Command, p Process, out *cellOutput) {
	if !slices.Contains([]string{"DEBUG", "VERBOSE"}, t.plan.Spec.GetLogLevel()) {
		return
	}
	line := c.shown()
	// A secret of a few characters is masked as it is, not as quoting writes it.
	if c.HoldsSecret(t.secrets().masker.Text(line)) {
		line = "a command line that is not shown, since it holds a secret too short to be masked"
	}
	_ = out.say(p.About() + "\nRuns: " + line) // if output cannot be stored, the record tells
}

// shown is what runs, for people: of a script not its text, which the job shows.
func (c *Command) shown() string {
	if c.Script == nil {
		return c.Text
	}
	out := fmt.Sprintf("a script of %d bytes", len(c.Script.Text))
	if c.Script.Interpreter != "" {
		out += " by " + c.Script.Interpreter
	}
	if len(c.Script.Args) == 0 {
		return out
	}
	args := make([]string, 0, len(c.Script.Args))
	for _, a := range c.Script.Args {
		args = append(args, command.Quote(a))
	}
	return out + " with " + strings.Join(args, " ")
}
