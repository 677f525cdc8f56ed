//go:build failpoints

package runner_test

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestMutants breaks one rule at a time in a process of its own and expects the test
// that guards the rule to notice. It proves that those tests test something.
func TestMutants(t *testing.T) {
	t.Parallel()
	if os.Getenv("FAIRLEAD_MUTANT") != "" {
		return // this is the process with the mutant
	}
	guards := map[string]string{
		"M1":   "TestGrantLost",
		"M6":   "TestResultRepeatedUntilAcknowledged",
		"NM9":  "TestResultRepeatedUntilAcknowledged",
		"L3":   "TestLostChunksAreSentAgain",
		"NM1":  "TestKilledAtEveryWrite",
		"NM2":  "TestKilledRunner",
		"NM3":  "TestKilledRunner",
		"NM4":  "TestKilledRunner",
		"NM5":  "TestKilledRunner",
		"NM12": "TestStop",
		"NM13": "TestKilledAtEveryWrite",
	}
	for mutant, guard := range guards {
		t.Run(mutant, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			c := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+guard+"$", "-test.timeout=50s")
			c.Env = append(os.Environ(), "FAIRLEAD_MUTANT="+mutant)
			out, err := c.CombinedOutput()
			if err == nil {
				t.Errorf("%s passes with the rule %s broken:\n%s", guard, mutant, out)
			}
		})
	}
}
