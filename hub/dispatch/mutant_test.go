//go:build failpoints

package dispatch_test

import (
	"testing"

	"github.com/fairlead/fairlead/proto/failpoint/failpointtest"
)

// TestMutants breaks one rule at a time and wants a test of this package to notice.
func TestMutants(t *testing.T) {
	t.Parallel()
	guard := func(mutant, test, says string) failpointtest.Guard {
		return failpointtest.Guard{Mutant: mutant, Test: "^" + test + "$/^sqlite$", Says: says}
	}
	failpointtest.Check(
		t,
		guard("M3", "TestReportsOfStrangersAreRefused", "want refused: gone"),
		guard("M4", "TestOneOfTwoMembersOffers", "offered as {1 "),
		guard("M5", "TestSilentRunnerIsOnlyAWorry", "a second attempt is offered while the first is unresolved"),
		guard("M7", "TestClaimNeedsTheCurrentSession", "got error <nil>, want refused: old_session"),
		guard("M8", "TestCancelOfAClaimWaitsForItsProof", "cancelling execution is "),
		guard("M9", "TestForgottenGrantIsNotMadeAgain", "not asked for its inventory"),
		guard("M11", "TestCancelRemembersAnOpenAttempt", "execution ended cancelled"),
		guard("NM6", "TestGapIsAnsweredWithWhatIsMissing", "steps after a gap: <nil>"),
		guard("NM7", "TestAnotherHistoryIsRefused", "want refused: quarantined"),
		guard("NM8", "TestGapIsAnsweredWithWhatIsMissing", "steps after a gap: <nil>"),
		guard("NM10", "TestLost", "a late record was not taken for one"),
		guard("NM11", "TestOutcomes", "execution ended failed (outcome failed, log complete true), want unknown"),
		guard("NM14", "TestResume", "got error <nil>, want refused: other_host"),
	)
}
