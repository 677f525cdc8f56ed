//go:build failpoints

package dispatch_test

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
		"M3":   "TestReportsOfStrangersAreRefused",
		"M4":   "TestOneOfTwoMembersOffers",
		"M5":   "TestSilentRunnerIsOnlyAWorry",
		"M7":   "TestClaimNeedsTheCurrentSession",
		"M8":   "TestCancelOfAClaimWaitsForItsProof",
		"M9":   "TestForgottenGrantIsNotMadeAgain",
		"M11":  "TestCancelRemembersAnOpenAttempt",
		"NM6":  "TestGapIsAnsweredWithWhatIsMissing",
		"NM7":  "TestAnotherHistoryIsRefused",
		"NM8":  "TestGapIsAnsweredWithWhatIsMissing",
		"NM10": "TestLost",
		"NM11": "TestOutcomes",
		"NM14": "TestResume",
	} {
		t.Run(mutant, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+test+"$/^sqlite$")
			cmd.Env = append(os.Environ(), "FAIRLEAD_MUTANT="+mutant)
			if out, err := cmd.CombinedOutput(); err == nil {
				t.Errorf("%s passes with the rule broken:\n%s", test, out)
			}
		})
	}
}
