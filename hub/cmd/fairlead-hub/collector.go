package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Go lets garbage grow as large as what is live, however slowly it comes. A hub with some
// thousands of idle runners makes little, and kept the garbage of minutes: half its memory.
// So what comes in collectionTime is all that may lie, up to Go's own bound. A collection
// then costs no more than collectionTime allows, and a busy hub is paced as ever.
const (
	collectionTime = 15 * time.Second
	paceTime       = 250 * time.Millisecond // between looks at what was allocated
	averageTime    = 5 * time.Second
	leastPercent   = 5
	mostPercent    = 100 // Go's own
)

// paceCollector sets the collector's pace until ctx ends, unless the operator did, by
// Go's GOGC.
func paceCollector(ctx context.Context) error {
	if os.Getenv("GOGC") != "" {
		return nil
	}
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}}
	tick := time.NewTicker(paceTime)
	defer tick.Stop()
	p := pace{percent: mostPercent}
	for {
		metrics.Read(sample)
		if p.look(time.Now(), sample[0].Value.Uint64(), sample[1].Value.Uint64()+sample[2].Value.Uint64()) {
			debug.SetGCPercent(p.percent)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// pace is the collector's percentage, and the rate of allocation that it follows.
type pace struct {
	percent   int
	rate      float64 // bytes a second, averaged
	at        time.Time
	allocated uint64
}

// look takes what was allocated since the program's start, and what the last collection
// found live, in bytes; it reports whether the percentage changes.
func (p *pace) look(now time.Time, allocated, live uint64) bool {
	elapsed := now.Sub(p.at).Seconds()
	rate := float64(allocated-p.allocated) / elapsed
	first := p.at.IsZero()
	p.at, p.allocated = now, allocated
	if first || live == 0 || elapsed <= 0 {
		return false
	}
	p.rate += (rate - p.rate) * min(elapsed/averageTime.Seconds(), 1)
	if room := float64(live) * float64(p.percent) / 100; rate > room {
		p.rate = max(p.rate, rate) // work came at once: it would be collected each second
	}
	percent := p.rate * collectionTime.Seconds() / float64(live) * 100
	percent = min(max(percent, leastPercent), mostPercent)
	// Each change stops the world for a moment: small ones are not worth it.
	if change := percent / float64(p.percent); change > 0.8 && change < 1.25 {
		return false
	}
	p.percent = int(percent)
	return true
}
