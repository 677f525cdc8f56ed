package main

import (
	"testing"
	"time"
)

// TestPaceFollowsWork: little garbage is left lying while there is little work, and work
// that begins at once is not slowed down by collections.
func TestPaceFollowsWork(t *testing.T) {
	t.Parallel()
	const live, mib = 200 << 20, 1 << 20
	now, allocated := time.Unix(0, 0), uint64(0)
	p := pace{percent: mostPercent}
	work := func(rate uint64, looks int) {
		for range looks {
			now, allocated = now.Add(paceTime), allocated+rate/4
			p.look(now, allocated, live)
		}
	}
	work(mib, 400)
	if p.percent > 2*leastPercent {
		t.Errorf("a hub with little to do has %d percent, want about %d", p.percent, leastPercent)
	}
	work(5*mib, 400)
	if p.percent < 30 || p.percent > 40 {
		t.Errorf("at 5 MiB a second of 200 live %d percent, want enough for 15 s: 37", p.percent)
	}
	work(100*mib, 1)
	if p.percent != mostPercent {
		t.Errorf("%d percent in the first quarter second of a storm, want %d", p.percent, mostPercent)
	}
	work(mib, 4)
	if p.percent != mostPercent {
		t.Errorf("%d percent a second after it, want %d", p.percent, mostPercent)
	}
	work(mib, 400)
	if p.percent > 2*leastPercent {
		t.Errorf("%d percent long after it, want about %d", p.percent, leastPercent)
	}
}
