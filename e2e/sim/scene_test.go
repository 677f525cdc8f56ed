package sim

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// scenes are histories in which it shows whether a rule of the protocol is kept, by the
// mutant that breaks it. (Those of the shim have tests with real processes.)
var scenes = []struct {
	name string
	// broken is what the mutant breaks, as the judge tells it.
	broken string
	plan   func(seed uint64) *plan
}{
	{"M1", "V1:", scene(nil, fault{kind: cut, on: "down.offer.sent", n: 1, last: time.Second}, fault{kind: partition, on: "start", n: 1, last: 20 * time.Second})},
	{"M3", "N6:", scene(idempotentLost, fault{kind: partition, on: "start", n: 1, last: 16 * time.Second})},
	{"M4", "V1:", scene(crossed)},
	{"M5", "V1:", scene(nil, fault{kind: partition, on: "start", n: 1, last: 30 * time.Second})},
	{"M6", "V8:", scene(nil, fault{kind: lose, on: "up.result", n: 1, last: time.Second})},
	{"M7", "V1:", scene(alone, fault{kind: clone, on: "up.claim", n: 1, last: 300 * time.Millisecond}, fault{kind: partition, on: "start", n: 1, last: 20 * time.Second})},
	{"M8", "V4:", scene(nil, fault{at: 2 * time.Second, kind: cancel, last: time.Second})},
	{"M9", "V1:", scene(waits, fault{kind: forget, at: 500 * time.Millisecond, last: 4 * time.Second}, fault{kind: partition, on: "start", n: 1, last: 20 * time.Second})},
	{"L4", "G3:", scene(quick, fault{kind: forget, at: 1050 * time.Millisecond, last: 4 * time.Second})},
	{"M11", "V4:", scene(both(idempotentLost, alone), fault{kind: partition, on: "start", n: 1, last: 50 * time.Second}, fault{at: 16 * time.Second, kind: cancel})},
	{"M12", "V8:", scene(localOnly, fault{kind: runnerKill, on: "started", n: 1, last: time.Second})},
	{"L1", "G3:", scene(chatty, fault{at: 2 * time.Second, kind: dbDown, last: 2 * time.Second})},
	{"L2", "G3:", scene(chatty, fault{kind: lose, on: "up.chunk", n: 2, last: 9 * time.Second})},
	{"L3", "G3:", scene(chatty, fault{kind: cut, on: "up.chunk", n: 2, last: time.Second})},
	{"NM1", "V1:", scene(remoteOnly, fault{kind: runnerKill, on: "started", n: 2, last: time.Second})},
	{"NM2", "V1:", scene(remoteOnly, fault{kind: runnerKill, on: "started", n: 2, last: time.Second})},
	{"NM3", "N3:", scene(remoteOnly, fault{kind: runnerKill, on: "started", n: 2, last: time.Second})},
	{"NM4", "N5:", scene(remoteOnly, fault{kind: runnerKill, on: "started", n: 2, last: time.Second})},
	{"NM5", "V1:", scene(remoteOnly, fault{kind: clone, on: "started", n: 1, last: 300 * time.Millisecond})},
	{"NM6", "N2:", scene(nil, fault{kind: cut, on: "up.steps.sent", n: 1, last: time.Second})},
	{"NM7", "N2:", scene(remoteOnly, fault{kind: clone, on: "started", n: 1, last: 700 * time.Millisecond})},
	{"NM8", "it succeeded, but node step", scene(brief, fault{kind: lose, on: "up.steps", n: 1, last: 5 * time.Second})},
	{"NM9", "V8:", scene(nil, fault{kind: lose, on: "up.result", n: 1, last: time.Second})},
	{"NM10", "not all is over", scene(lostSoon, fault{kind: partition, on: "start", n: 1, last: 30 * time.Second})},
	{"NM11", "N4:", scene(both(remoteOnly, failing), fault{kind: runnerKill, on: "started", n: 2, last: time.Second})},
	{"NM12", "N7:", scene(both(remoteOnly, stopsAlone), fault{at: 1500 * time.Millisecond, kind: partition, last: 3 * time.Second}, fault{kind: runnerKill, on: "stopping", n: 1, last: 4 * time.Second})},
	{"NM13", "V1:", scene(remoteOnly, fault{kind: powerCut, on: "start", n: 2, last: time.Second})},
	{"NM14", "V1:", scene(remoteOnly, fault{kind: clone, on: "started", n: 1, last: 300 * time.Millisecond})},
}

// scene makes histories of one execution of some commands over some nodes, with the
// faults that show what a rule is for; the rest follows from the seed.
func scene(change func(p *plan), faults ...fault) func(seed uint64) *plan {
	return func(seed uint64) *plan {
		r := rand.New(rand.NewPCG(seed, 2))
		p := &plan{seed: seed, members: 1, slow: 3 * time.Millisecond, faults: slices.Clone(faults), runners: []runnerPlan{{slots: 4}, {slots: 4}}}
		for range 2 + r.IntN(3) {
			p.nodes = append(p.nodes, nodePlan{local: r.IntN(2) == 0, tag: "a"})
		}
		j := jobPlan{at: time.Second, threads: 1 + r.IntN(2), keepgoing: true, lostAfter: 120, goOn: false}
		for range 1 + r.IntN(2) {
			j.steps = append(j.steps, stepPlan{lines: 2 + r.IntN(3), pace: time.Duration(200+r.IntN(1000)) * time.Millisecond})
		}
		p.jobs = []jobPlan{j}
		if change != nil {
			change(p)
		}
		// Which of the runners is chosen first is not ours to say.
		for _, f := range p.faults {
			if len(p.runners) > 1 && f.kind != cancel && f.kind != dbDown && f.kind != forget {
				f.who = 1
				p.faults = append(p.faults, f)
			}
		}
		return p
	}
}

func both(a, b func(*plan)) func(*plan) { return func(p *plan) { a(p); b(p) } }

func eachStep(p *plan, change func(*stepPlan)) {
	for i := range p.jobs[0].steps {
		change(&p.jobs[0].steps[i])
	}
}

func alone(p *plan) { p.runners = p.runners[:1] }

func remoteOnly(p *plan) {
	alone(p)
	for i := range p.nodes {
		p.nodes[i].local = false
	}
}

func localOnly(p *plan) {
	alone(p)
	for i := range p.nodes {
		p.nodes[i].local = true
	}
}

// idempotentLost: what is lost is tried again while the first may still act.
func idempotentLost(p *plan) {
	p.jobs[0].lostAfter = 3
	eachStep(p, func(s *stepPlan) { s.idempotent, s.lines, s.pace = true, 4, 5*time.Second })
}

func lostSoon(p *plan) {
	p.jobs[0].lostAfter = 3
	eachStep(p, func(s *stepPlan) { s.lines, s.pace = 3, 3*time.Second })
}

func chatty(p *plan) { eachStep(p, func(s *stepPlan) { s.lines, s.pace = 12, 300*time.Millisecond }) }

// brief: one command, of which Steps tell the start and the result the end.
func brief(p *plan) {
	p.nodes = p.nodes[:1]
	p.jobs[0].steps = []stepPlan{{lines: 1, pace: 40 * time.Millisecond}}
}

// crossed: work waits already when two runners come to two hubs, all of them slow.
func crossed(p *plan) {
	p.members, p.slow = 2, 400*time.Millisecond
	j := jobPlan{threads: 1, lostAfter: 120, steps: []stepPlan{{pace: time.Second}}}
	p.jobs = []jobPlan{j, j, j}
}

// waits: the execution is there before any runner is, so that a backup has it.
func waits(p *plan) {
	p.jobs[0].at = 0
	p.late = 2 * time.Second
}

// quick: one execution is over and acknowledged when the database is put back, another
// one still runs.
func quick(p *plan) {
	j := p.jobs[0]
	j.steps, j.threads = []stepPlan{{lines: 3, pace: 100 * time.Millisecond}}, len(p.nodes)
	slow := j
	slow.steps = []stepPlan{{lines: 8, pace: time.Second}}
	p.jobs = []jobPlan{j, slow}
}

func failing(p *plan) { eachStep(p, func(s *stepPlan) { s.fails = 60 }) }

// stopsAlone: without a hub the runner stops on its own account, and nobody else knows.
func stopsAlone(p *plan) {
	j := &p.jobs[0]
	j.stopAfter, j.goOn, j.threads = 2*time.Second, true, 1
	j.steps = []stepPlan{{lines: 4, pace: 4 * time.Second}, {lines: 1, pace: time.Second}}
}

// What catches a mutant must let the sound programs pass.
func TestScenesHold(t *testing.T) {
	for _, s := range scenes {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			db := newDatabase(t)
			for seed := range uint64(*sceneMost) {
				if w := run(t, s.plan(*firstSeed+seed), db, nil); len(w.violated) > 0 || *verbose {
					t.Fatal(w.report())
				}
			}
		})
	}
}
