//go:build failpoints

package output_test

import (
	"os"
	"os/exec"
	"testing"
)

// TestMutants breaks one rule at a time and wants a test of this package to notice.
func TestMutants(t *testing.T) {
	t.Parallel()
	if os.Getenv("FAIRLEAD_MUTANT") != "" {
		return
	}
	for mutant, test := range map[string]string{
		"L1": "TestLostCommitIsSentAgain",
		"L2": "TestAppend",
	} {
		t.Run(mutant, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+test+"$")
			cmd.Env = append(os.Environ(), "FAIRLEAD_MUTANT="+mutant)
			if out, err := cmd.CombinedOutput(); err == nil {
				t.Errorf("%s passes with the rule broken:\n%s", test, out)
			}
		})
	}
}
