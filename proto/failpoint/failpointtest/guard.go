// Package failpointtest shows of tests that they look after the rules that they are for.
package failpointtest

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Guard is a test that fails when a rule is broken.
type Guard struct {
	Mutant string // the rule
	Test   string // a pattern of the calling package's tests, as for go test -run
	// Says is what the test reports then. A test that fails for another reason (it hung,
	// its database did not start) looks after nothing.
	Says string
}

// timeLimit bounds a test with a broken rule, which may wait for what never comes.
const timeLimit = 50 * time.Second

// Check runs each guard in a process of its own with its rule broken. In such a process
// itself it does nothing.
func Check(t *testing.T, guards ...Guard) {
	t.Helper()
	if os.Getenv("FAIRLEAD_MUTANT") != "" {
		return
	}
	for _, g := range guards {
		t.Run(g.Mutant, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", g.Test, "-test.timeout", timeLimit.String()) //nolint:gosec // this very program
			cmd.Env = append(os.Environ(), "FAIRLEAD_MUTANT="+g.Mutant)
			out, err := cmd.CombinedOutput()
			switch {
			case err == nil:
				t.Errorf("%s passes with the rule broken:\n%s", g.Test, out)
			case !strings.Contains(string(out), "--- FAIL: ") || !strings.Contains(string(out), g.Says):
				t.Errorf("%s fails, but does not say %q: %v\n%s", g.Test, g.Says, err, out)
			}
		})
	}
}
