package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// plan is a history before it happens: what runs, and what goes wrong when.
type plan struct {
	seed    uint64
	members int
	runners []runnerPlan
	// strict: another boot of a host counts as another host.
	strict bool
	routed bool
	// deaf: members hear each other at times only.
	deaf   bool
	nodes  []nodePlan
	jobs   []jobPlan
	faults []fault
	// slow is the most that a frame, a sync or a commit takes.
	slow time.Duration
	// late is how long after the hubs the runners start.
	late time.Duration
	// unready is how many of 1,000 commands cannot be prepared.
	unready int
	// leases and offers in ticks; 0: short ones that keep histories short.
	leaseTicks, offerTicks int64
}

type runnerPlan struct {
	tags  []string
	slots int
}

type nodePlan struct {
	local bool
	tag   string
}

type jobPlan struct {
	at         time.Duration
	steps      []stepPlan
	sequential bool
	threads    int
	keepgoing  bool
	goOn       bool // the workflow's keepgoing
	lostAfter  int64
	stopAfter  time.Duration // of hub loss
	nodes      []int         // of the plan; nil: all
	// limit of lines, 0 for none; truncate drops what is more. filters capture the last line
	// and hide a word of each.
	limit    int64
	truncate bool
	filters  bool
}

type stepPlan struct {
	idempotent bool
	onUnknown  bool
	retries    int
	handler    bool
	lines      int
	pace       time.Duration
	fails      int // of 100
	timeout    time.Duration
}

// fault is something that goes wrong: at a time, or at the n-th time from then on that
// something happens.
type fault struct {
	at   time.Duration
	kind faultKind
	who  int    // member, runner or execution
	on   string // "db.commit", "up.claim", "disk", ...; "" for the time alone
	n    int
	last time.Duration // how long it lasts, or until the victim is back
	// tail is how many unsynced bytes of each file a power cut leaves.
	tail int
}

func (f fault) String() string {
	s := fmt.Sprintf("%s %d", f.kind, f.who)
	if f.on != "" {
		s += fmt.Sprintf(" at %s no. %d", f.on, f.n)
	}
	return fmt.Sprintf("%s for %s", s, f.last)
}

type faultKind string

const (
	hubKill    faultKind = "hub-kill"
	dbError    faultKind = "db-error" // one transaction fails
	dbDown     faultKind = "db-down"
	cut        faultKind = "cut"       // connections of a runner break, in flight or not
	partition  faultKind = "partition" // and no new ones
	silence    faultKind = "silence"   // one direction carries nothing until keepalive notices
	lose       faultKind = "lose"      // one frame, and the connection some time later
	runnerKill faultKind = "runner-kill"
	powerCut   faultKind = "power-cut"
	restart    faultKind = "restart" // a planned one
	clone      faultKind = "clone"   // the disk runs on another host, too
	cloneMove  faultKind = "clone-move"
	cancel     faultKind = "cancel"
	cancelNode faultKind = "cancel-node"
	forget     faultKind = "forget" // the database is put back to what it was that long ago
	fork       faultKind = "fork"   // a standby is promoted, and the old primary lives on so long
)

// explains reports whether a fault may leave something unknown.
func (f fault) explains(p *plan) bool {
	switch f.kind {
	case powerCut, clone, cloneMove:
		return true
	case runnerKill, restart:
		return p.sshOrLost(f.last)
	case partition, hubKill, dbDown, silence, lose:
		return p.sshOrLost(f.last) && f.last > p.patience()
	default:
		return false
	}
}

// sshOrLost: attached commands die with the runner; local ones are lost only when it
// stays away.
func (p *plan) sshOrLost(away time.Duration) bool {
	for _, n := range p.nodes {
		if !n.local {
			return true
		}
	}
	return away > p.patience()
}

// patience is how long a runner may be away without losing an attempt for sure.
func (p *plan) patience() time.Duration {
	least := int64(1 << 30)
	for _, j := range p.jobs {
		least = min(least, j.lostAfter)
	}
	return time.Duration(least) * time.Second
}

// quiet plans have nothing that could explain an unknown.
func (p *plan) quiet() bool {
	away := time.Duration(0)
	for _, f := range p.faults {
		if f.explains(p) {
			return false
		}
		switch f.kind {
		case partition, hubKill, dbDown, silence, lose, cut, runnerKill, restart, forget, fork:
			away += f.last + 20*time.Second
		}
	}
	return away < p.patience()
}

// forgets reports whether what one database had committed is missing in the one that stays.
func (p *plan) forgets() bool { return p.has(forget, fork) }

func (p *plan) has(kinds ...faultKind) bool {
	for _, f := range p.faults {
		if slices.Contains(kinds, f.kind) {
			return true
		}
	}
	return false
}

// newPlan draws a history.
func newPlan(seed uint64) *plan {
	r := rand.New(rand.NewPCG(seed, 0x5eed))
	p := &plan{seed: seed, members: 1, slow: time.Duration(1+r.IntN(4)) * time.Millisecond, strict: r.IntN(5) == 0}
	if r.IntN(3) == 0 {
		p.members = 2
	}
	if r.IntN(4) == 0 {
		p.slow = time.Duration(50+r.IntN(400)) * time.Millisecond
	}
	if r.IntN(3) == 0 {
		p.unready = 60
	}
	p.draw(r)
	for range 1 + r.IntN(3) {
		p.jobs = append(p.jobs, drawJob(r, len(p.nodes)))
	}
	p.drawFaults(r)
	// Of a source of its own, so that all else of a seed is as it was before there were any.
	p.drawOutput(rand.New(rand.NewPCG(seed, 0x109)))
	p.deaf = rand.New(rand.NewPCG(seed, 0xdeaf)).IntN(2) == 0
	return p
}

// drawOutput gives some jobs a log limit, filters, or both.
func (p *plan) drawOutput(r *rand.Rand) {
	for i := range p.jobs {
		j := &p.jobs[i]
		if j.filters = r.IntN(4) == 0; r.IntN(4) == 0 {
			j.limit, j.truncate = 1+r.Int64N(12), r.IntN(2) == 0
		}
	}
}

func (p *plan) draw(r *rand.Rand) {
	runners := 1 + r.IntN(3)
	p.routed = runners > 1 && r.IntN(2) == 0
	for i := range runners {
		rp := runnerPlan{slots: 1 + r.IntN(4)}
		if p.routed {
			rp.tags = [][]string{{"a"}, {"b"}, {"a", "b"}}[i]
		}
		p.runners = append(p.runners, rp)
	}
	kind := r.IntN(3)
	for range 1 + r.IntN(4) {
		p.nodes = append(p.nodes, nodePlan{local: kind == 0 || kind == 1 && r.IntN(2) == 0, tag: []string{"a", "b"}[r.IntN(2)]})
	}
}

func drawJob(r *rand.Rand, nodes int) jobPlan {
	j := jobPlan{
		at: time.Duration(r.IntN(3000)) * time.Millisecond, sequential: r.IntN(3) == 0, threads: 1 + r.IntN(3),
		keepgoing: r.IntN(2) == 0, goOn: r.IntN(4) == 0, lostAfter: int64(60 + r.IntN(60)),
	}
	if r.IntN(2) == 0 {
		j.lostAfter = int64(3 + r.IntN(10))
	}
	if r.IntN(6) == 0 {
		j.stopAfter = time.Duration(2+r.IntN(10)) * time.Second
	}
	if r.IntN(4) == 0 {
		j.nodes = []int{r.IntN(nodes)}
	}
	idempotent := r.IntN(4) == 0
	for range 1 + r.IntN(3) {
		s := stepPlan{idempotent: idempotent || r.IntN(8) == 0, lines: r.IntN(6), pace: time.Duration(r.IntN(300)) * time.Millisecond}
		switch r.IntN(8) {
		case 0:
			s.fails = 50
		case 1:
			s.fails, s.retries = 60, 1+r.IntN(2)
		case 2:
			s.fails, s.handler = 60, true
		case 3:
			s.pace = time.Duration(1+r.IntN(4)) * time.Second
		case 4:
			s.timeout = time.Duration(1+r.IntN(2)) * time.Second
			s.pace = time.Second
		}
		s.onUnknown = r.IntN(10) == 0
		j.steps = append(j.steps, s)
	}
	return j
}

// newForkPlan draws a history of two members, the second of which goes with a standby that
// is promoted while the first one's primary lives on. No disk is copied: a copy at one side
// speaks for its original at the other, and nobody can tell (docs/recovery.md).
func newForkPlan(seed uint64) *plan {
	p := newPlan(seed)
	r := rand.New(rand.NewPCG(seed, 0xf04c))
	p.members = 2
	p.faults = slices.DeleteFunc(p.faults, func(f fault) bool { return slices.Contains([]faultKind{forget, clone, cloneMove}, f.kind) })
	f := fault{kind: fork, at: time.Duration(r.IntN(5000)) * time.Millisecond, last: time.Duration(1+r.IntN(20)) * time.Second}
	if r.IntN(2) == 0 {
		f.n = r.IntN(3000) // milliseconds that the standby lags
	}
	p.faults = append(p.faults, f)
	for i := range p.runners { // they come to the other side
		p.faults = append(p.faults, fault{kind: cut, who: i, at: f.at + time.Duration(r.IntN(int(f.last)))})
	}
	return p
}

// things that happen, to hang a fault on.
var (
	hubPoints    = []string{"db.begin", "db.commit", "db.committed", "down.offer", "down.grant", "down.grant.sent", "down.result_ack", "down.welcome", "down.steps_ack"}
	runnerPoints = []string{
		"disk", "disk", "disk", "up.claim", "up.claim.sent", "up.hello.sent", "up.confirm", "up.confirm.sent", "up.steps", "up.steps.sent",
		"up.result", "up.result.sent", "up.chunk", "up.chunk.sent", "start", "started", "print", "end",
	}
	losable = []string{"up.steps", "up.result", "up.chunk", "up.claim", "down.grant", "down.steps_ack", "down.result_ack", "down.ack", "down.offer", "down.stop", "up.stop_ack", "up.renew"}
)

func (p *plan) drawFaults(r *rand.Rand) {
	for range r.IntN(6) {
		p.faults = append(p.faults, p.drawFault(r))
	}
}

func (p *plan) drawFault(r *rand.Rand) fault {
	f := fault{at: time.Duration(r.IntN(6000)) * time.Millisecond, n: 1 + r.IntN(4), last: time.Duration(100+r.IntN(4000)) * time.Millisecond}
	if r.IntN(6) == 0 {
		f.last = time.Duration(10+r.IntN(40)) * time.Second
	}
	runner := r.IntN(len(p.runners))
	switch k := r.IntN(25); {
	case k < 4:
		f.kind, f.who = hubKill, r.IntN(p.members)
		if r.IntN(4) > 0 {
			f.on, f.n = pick(r, hubPoints), 1+r.IntN(12)
		}
	case k < 5:
		f.kind, f.who, f.on, f.n = dbError, r.IntN(p.members), pick(r, hubPoints[:3]), 1+r.IntN(12)
	case k < 6:
		f.kind = dbDown
	case k < 8:
		f.kind, f.who = cut, runner
		if r.IntN(2) == 0 {
			f.on = pick(r, append(runnerPoints[3:14:14], "down.offer.sent", "down.grant.sent", "down.grant"))
		}
	case k < 10:
		f.kind, f.who = partition, runner
	case k < 11:
		f.kind, f.who = silence, runner
	case k < 13:
		f.kind, f.who, f.on = lose, runner, pick(r, losable)
	case k < 17:
		f.kind, f.who = runnerKill, runner
		if r.IntN(4) > 0 {
			f.on = pick(r, runnerPoints)
		}
		if strings.HasPrefix(f.on, "disk") {
			f.n = 1 + r.IntN(30)
		}
	case k < 19:
		f.kind, f.who, f.tail = powerCut, runner, r.IntN(3)*r.IntN(200)
		if r.IntN(4) > 0 {
			f.on = pick(r, runnerPoints)
		}
		if strings.HasPrefix(f.on, "disk") {
			f.n = 1 + r.IntN(30)
		}
	case k < 20:
		f.kind, f.who = restart, runner
	case k < 21:
		f.kind, f.who = []faultKind{clone, cloneMove}[r.IntN(2)], runner
		if r.IntN(2) == 0 {
			f.on = pick(r, runnerPoints)
		}
	case k < 23:
		f.kind, f.who = cancel, r.IntN(len(p.jobs))
	case k < 24:
		f.kind, f.n = forget, 0
	default:
		f.kind, f.who, f.n = cancelNode, r.IntN(len(p.jobs)), r.IntN(len(p.nodes))
	}
	return f
}

func pick(r *rand.Rand, list []string) string { return list[r.IntN(len(list))] }
