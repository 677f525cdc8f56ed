//go:build failpoints

package sim

import (
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/proto/failpoint"
)

var (
	mutantFlag = flag.String("mutant", "", "one mutant alone")
	mutantMost = flag.Int("mutant-histories", 300, "how many histories a mutant may survive")
)

// hasBroken reports whether a promise was broken.
func (w *world) hasBroken(promise string) bool {
	return slices.ContainsFunc(w.violated, func(v string) bool { return strings.Contains(v, promise) })
}

// A validator that no broken rule fails validates nothing, and one that fails for another
// reason does not look after the rule.
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
				w := run(t, m.plan(*firstSeed+n), db, nil)
				if !w.hasBroken(m.broken) {
					continue
				}
				t.Logf("caught by history %d after %.1f s: %s", n+1, time.Since(began).Seconds(), strings.Join(w.violated, "\n"))
				if *mutantFlag != "" {
					t.Log(w.report())
				}
				return
			}
			t.Errorf("not caught by %d histories: none has broken %q", *mutantMost, m.broken)
		})
	}
}

// With M12 a shim's lock alone stands against a second start. It holds.
func TestLockHoldsWithoutJournal(t *testing.T) {
	defer failpoint.SetMutant("M12")()
	db := newDatabase(t)
	for seed := range uint64(20) {
		p := scene(localOnly, fault{kind: runnerKill, on: "started", n: 1, last: time.Second})(*firstSeed + seed)
		if w := run(t, p, db, nil); w.hasBroken("V1:") {
			t.Fatal(w.report())
		}
	}
}
