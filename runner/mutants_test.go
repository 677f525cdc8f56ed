//go:build failpoints

package runner_test

import (
	"testing"

	"github.com/fairlead/fairlead/proto/failpoint/failpointtest"
)

// TestMutants breaks one rule at a time in a process of its own and expects the test
// that guards the rule to notice. It proves that those tests test something.
func TestMutants(t *testing.T) {
	t.Parallel()
	guard := func(mutant, test, says string) failpointtest.Guard {
		return failpointtest.Guard{Mutant: mutant, Test: "^" + test + "$", Says: says}
	}
	const forgotten = "attempt a1 is granted and not in the inventory"
	failpointtest.Check(
		t,
		guard("M1", "TestGrantLost", "timed out waiting until given back"),
		guard("M6", "TestResultRepeatedUntilAcknowledged", forgotten),
		guard("NM9", "TestResultRepeatedUntilAcknowledged", forgotten),
		guard("L3", "TestLostChunksAreSentAgain", "the result came, and chunk 0 that was lost did not come again"),
		guard("NM1", "TestKilledAtEveryWrite", "was started 2 times"),
		guard("NM2", "TestKilledRunner", "starts map[n0/s0:1 n1/s0:2 "),
		guard("NM3", "TestKilledRunner", "outcome OUTCOME_FAILED"),
		guard("NM4", "TestKilledRunner", "n1 s1 ended "),
		guard("NM5", "TestKilledRunner", "a copied disk started something"),
		guard("NM12", "TestStop", "is no stop"),
		guard("NM13", "TestKilledAtEveryWrite", "was started 2 times"),
	)
}
