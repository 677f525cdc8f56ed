//go:build failpoints

package output_test

import (
	"testing"

	"github.com/fairlead/fairlead/proto/failpoint/failpointtest"
)

// TestMutants breaks one rule at a time and wants a test of this package to notice.
func TestMutants(t *testing.T) {
	t.Parallel()
	failpointtest.Check(
		t,
		failpointtest.Guard{Mutant: "L1", Test: "^TestLostCommitIsSentAgain$", Says: "append: <nil>"},
		failpointtest.Guard{Mutant: "L2", Test: "^TestAppend$", Says: "a gap (-want +got)"},
	)
}
