//go:build failpoints

package sim

import (
	"flag"
	"testing"
	"time"

	"github.com/fairlead/fairlead/proto/failpoint"
)

var (
	mutantFlag = flag.String("mutant", "", "one mutant alone")
	mutantMost = flag.Int("mutant-histories", 60, "how many histories a mutant may survive")
)

// A validator that no broken rule fails validates nothing.
func TestEveryMutantIsCaught(t *testing.T) {
	db := newDatabase(t)
	for _, m := range scenes {
		if *mutantFlag != "" && *mutantFlag != m.name {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			restore := failpoint.SetMutant(m.name)
			defer restore()
			began := time.Now()
			for n := range uint64(*mutantMost) {
				w := run(t, m.plan(*firstSeed+n), db)
				if len(w.violated) == 0 {
					continue
				}
				t.Logf("caught by history %d after %.1f s: %s", n+1, time.Since(began).Seconds(), w.violated[0])
				if *mutantFlag != "" {
					t.Log(w.report())
				}
				return
			}
			t.Errorf("not caught by %d histories", *mutantMost)
		})
	}
}
