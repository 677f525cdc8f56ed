package model

import (
	"cmp"
	"slices"
	"strings"
	"testing"
)

// DB step states.
const (
	READY = iota
	OFFERED
	CLAIMED
	DISC
	DONE
	LOST
	CANCELLED
)

// Runner journal states for one epoch.
const (
	jNone     = iota
	jAcc      // offer seen, no permission to start
	jStarting // permission seen, fsynced; the shim may start
	jStarted  // shim holds the lock, fsynced; the command may run
	jExited   // exit code fsynced
	jTomb     // never to be started
)

const maxE = 2

type stepRunner struct {
	present, up bool
	rid         uint8
	boot, sess  uint8
	j           [maxE + 1]uint8
	shim        [maxE + 1]bool  // shim process forked, has not taken the lock yet
	child       [maxE + 1]uint8 // 0 none, 1 shim past lock, 2 command running
}

type snap struct {
	used bool
	st   uint8
	ep   uint8
	own  uint8
}

type stepState struct {
	st, ep, own      uint8
	inc              uint8 // DB incarnation, part of the fence
	cSess, cBoot     uint8
	sess             [2]uint8
	cancelReq        bool
	hold             bool
	in               [3]stepRunner
	hub              [2]snap // stale reads by two schedulers
	bak              snap    // one backup
	net              string  // sorted, ';'-joined messages; never removed: any can be delived late, twice or never
	execs            uint8
	execEp           [maxE + 1]uint8
	doneFor          uint8
	execAfterCancel  bool
	crashes, hellos  uint8
	restored, cloned bool
	open             bool // an earlier attempt was let go without a proven end
}

type stepConfig struct {
	idem, clone, restore, cancel                                                         bool
	noGrant, startBeforeJournal, noEpochCheck, noCAS, requeueClaim                       bool
	forgetEarly, cloneBlind, cancelBlind, restoreBlind, noShimLock, twoSched, cancelOpen bool
	maxEp                                                                                uint8
	maxCrash, maxHello                                                                   uint8
}

func msgs(net string) (l []string) {
	for i := 0; i < len(net); i += 5 {
		l = append(l, net[i:i+5])
	}
	return
}

func pk(k byte, a, b, d, f int) string { return string([]byte{k, byte(a), byte(b), byte(d), byte(f)}) }

func (s *stepState) send(m string) {
	l := msgs(s.net)
	if slices.Contains(l, m) {
		return
	}
	l = append(l, m)
	slices.Sort(l)
	s.net = strings.Join(l, "")
}

// stepPrune drops messages that no later stepState can react to.
func stepPrune(c stepConfig, s *stepState) {
	if s.net == "" {
		return
	}
	var keep []string
	mono := !c.restore && !c.noEpochCheck && !c.noCAS
	for _, m := range msgs(s.net) {
		k, a, b, d := m[0], int(m[1]), int(m[2]), int(m[3])
		live := false
		switch k {
		case 'O', 'X':
			for i := range s.in {
				r := s.in[i]
				if r.present && int(r.rid) == b {
					j := r.j[a]
					if k == 'O' && (j == jNone || c.forgetEarly) || k == 'X' && j != jTomb && j != jExited {
						live = true
					}
				}
			}
		case 'C':
			live = !(mono && (int(s.ep) > a || int(s.ep) == a && s.st != OFFERED)) && (int(s.sess[b]) == d || c.cloneBlind)
		case 'G':
			for i := range s.in {
				r := s.in[i]
				if r.present && int(r.rid) == b && (c.cloneBlind || c.forgetEarly || int(r.sess) == d && r.j[a] <= jAcc) {
					live = true
				}
			}
		case 'N':
			live = !(mono && (int(s.ep) > a || terminal(s.st))) && (int(s.sess[b]) == d || c.cloneBlind)
		case 'U', 'R':
			live = !(mono && (int(s.ep) > a || terminal(s.st)))
			if c.noEpochCheck {
				live = !terminal(s.st)
			}
		}
		if live {
			keep = append(keep, m)
		}
	}
	s.net = strings.Join(keep, "")
}

func terminal(st uint8) bool { return st == DONE || st == LOST || st == CANCELLED }

// stepBuilder collects the successors of one stepState.
type stepBuilder struct {
	c   stepConfig
	s   stepState
	out []edge[stepState]
}

func (b *stepBuilder) add(l label, t stepState) {
	stepPrune(b.c, &t)
	b.out = append(b.out, edge[stepState]{l, t})
}

func stepNext(c stepConfig, s stepState, into []edge[stepState]) []edge[stepState] {
	b := &stepBuilder{c: c, s: s, out: into}
	b.dispatch()
	b.expire()
	b.cancel()
	b.restore()
	b.hold()
	b.live()
	b.restart()
	b.report()
	b.shims()
	b.clone()
	b.deliver()
	return b.out
}

// dispatch: two schedulers read, then write under compare-and-set.
func (b *stepBuilder) dispatch() {
	c, s, add := b.c, b.s, b.add
	if !c.twoSched && s.st == READY && !s.hold && s.ep < c.maxEp {
		for r := range uint8(2) {
			if s.sess[r] > 0 {
				t := s
				t.st, t.ep, t.own, t.cSess, t.cBoot = OFFERED, s.ep+1, r, 0, 0
				t.send(pk('O', int(t.ep), int(r), 0, 0))
				add(say("hub offers ep%d to R%d", t.ep, r), t)
			}
		}
	}
	for h := 0; h < 2 && c.twoSched; h++ {
		if s.st == READY && !s.hub[h].used && !s.hold {
			t := s
			t.hub[h] = snap{true, s.st, s.ep, 0}
			add(say("hub%d reads READY ep%d", uint8(h), s.ep), t)
		}
		if s.hub[h].used {
			ok := s.st == READY && s.ep == s.hub[h].ep && !s.hold
			if c.noCAS {
				ok = true
			}
			for r := range uint8(2) {
				if ok && s.sess[r] > 0 && s.hub[h].ep < c.maxEp {
					t := s
					t.st, t.ep, t.own, t.cSess, t.cBoot = OFFERED, s.hub[h].ep+1, r, 0, 0
					t.hub[h] = snap{}
					t.send(pk('O', int(t.ep), int(r), 0, 0))
					add(say("hub%d offers ep%d to R%d", uint8(h), t.ep, r), t)
				}
			}
			t := s
			t.hub[h] = snap{}
			add(say("hub%d loses the race or dies", uint8(h)), t)
		}
	}
}

// expire: a lease can end at any instant; no clock is trusted.
func (b *stepBuilder) expire() {
	c, s, add := b.c, b.s, b.add
	switch s.st {
	case OFFERED:
		t := s
		t.st = READY
		add(say("offer expires"), t)
	case CLAIMED:
		t := s
		t.st = DISC
		if c.requeueClaim && !c.idem {
			t.st = READY
		}
		add(say("claim lease expires"), t)
	case DISC:
		t := s
		t.st = LOST
		add(say("lost_after passes"), t)
		if c.idem && s.ep < c.maxEp {
			t := s
			t.st, t.open = READY, true
			add(say("idempotent: retry"), t)
		}
	}
	if s.st == READY && s.ep >= c.maxEp { // bound of the model: give up
		t := s
		t.st = LOST
		add(say("attempts used up"), t)
	}
}

// cancel: a user asks once.
func (b *stepBuilder) cancel() {
	c, s, add := b.c, b.s, b.add
	if c.cancel && !s.cancelReq && !terminal(s.st) {
		t := s
		t.cancelReq = true
		switch {
		case (s.st == READY || s.st == OFFERED) && s.open && !c.cancelOpen:
			t.st = LOST // stopped, but an earlier attempt may still act
		case s.st == READY || s.st == OFFERED || c.cancelBlind:
			t.st = CANCELLED
		default:
			t.send(pk('X', int(s.ep), int(s.own), 0, 0))
		}
		add(say("user cancels"), t)
	}
}

// restore: the database goes back to a backup.
func (b *stepBuilder) restore() {
	c, s, add := b.c, b.s, b.add
	if c.restore && !s.bak.used && !s.restored && !terminal(s.st) {
		t := s
		t.bak = snap{true, s.st, s.ep, s.own}
		add(say("backup taken"), t)
	}
	if c.restore && s.bak.used && !s.restored {
		t := s
		t.st, t.ep, t.own = s.bak.st, s.bak.ep, s.bak.own
		t.cSess, t.cBoot = 0, 0
		t.restored, t.bak = true, snap{}
		t.hub = [2]snap{}
		if !c.restoreBlind {
			t.hold = true
			t.inc++
		}
		add(say("DB restored"), t)
	}
}

// hold: nothing moves until every runner has shown its journal.
func (b *stepBuilder) hold() {
	s, add := b.s, b.add
	if s.hold { // new incarnation: nothing moves until every runner has shown its journal, else LOST
		all, clean := true, true
		for i := range s.in {
			if !s.in[i].present {
				continue
			}
			if !s.in[i].up || s.in[i].sess == 0 {
				all = false
			}
			for e := 1; e <= maxE; e++ {
				if s.in[i].j[e] != jNone && s.in[i].j[e] != jTomb {
					clean = false
				}
			}
		}
		if all && clean && s.st != CLAIMED && s.st != DISC {
			t := s
			t.hold = false
			// all runners are asked to drop what they have of the old incarnation; old fence values are void
			for i := range t.in {
				t.in[i].sess = 0
			}
			t.ep = maxUsed(t)
			if !terminal(t.st) {
				t.st = READY
			}
			add(say("hold released, clean inventory"), t)
		}
		if !terminal(s.st) {
			t := s
			t.hold, t.st = false, LOST
			add(say("hold resolved as LOST"), t)
		}
	}
}

// live: runners connect, and die in every way.
func (b *stepBuilder) live() {
	c, s, add := b.c, b.s, b.add
	for i := range s.in {
		r := s.in[i]
		if !r.present {
			continue
		}
		if r.up && r.sess == 0 && s.hellos < c.maxHello {
			t := s
			t.hellos++
			t.sess[r.rid]++
			t.in[i].sess = t.sess[r.rid]
			add(say("I%d hello", uint8(i)), t)
		}
		if r.up && s.hellos < c.maxHello && s.crashes < c.maxCrash { // stream breaks, process lives
			t := s
			t.in[i].sess = 0
			t.crashes++
			add(say("I%d stream breaks", uint8(i)), t)
		}
		if r.up && s.crashes < c.maxCrash {
			t := s
			t.crashes++
			t.in[i].up, t.in[i].sess = false, 0
			add(say("I%d runner kill -9", uint8(i)), t)
			t = s
			t.crashes++
			t.in[i].up, t.in[i].sess = false, 0
			t.in[i].boot += 10
			for e := range t.in[i].child {
				t.in[i].child[e], t.in[i].shim[e] = 0, false
			}
			add(say("I%d host reboots", uint8(i)), t)
			for e := 1; e <= maxE; e++ {
				if r.child[e] > 0 {
					t := s
					t.crashes++
					t.in[i].child[e] = 0
					add(say("I%d shim of ep%d kill -9", uint8(i), uint8(e)), t)
				}
			}
		}
	}
}

// restart: a runner comes back and judges by its journal.
func (b *stepBuilder) restart() {
	c, s, add := b.c, b.s, b.add
	for i := range s.in {
		r := s.in[i]
		if !r.present {
			continue
		}
		if !r.up {
			t := s
			t.in[i].up = true
			for e := 1; e <= maxE; e++ { // recovery by the journal
				switch t.in[i].j[e] {
				case jAcc:
					t.in[i].j[e] = jTomb
				case jStarting:
					if c.noShimLock {
						t.in[i].j[e] = jTomb // trusts its memory, forgets a forked shim
					} else { // takes run.lock before the shim did, writes the tombstone
						t.in[i].j[e] = jTomb
						t.in[i].shim[e] = false
					}
				}
				if c.startBeforeJournal && r.j[e] == jAcc {
					t.in[i].j[e] = jTomb
				}
			}
			add(say("I%d runner restarts", uint8(i)), t)
		}
	}
}

// report: what a runner says of an attempt.
func (b *stepBuilder) report() {
	c, s, add := b.c, b.s, b.add
	for i := range s.in {
		r := s.in[i]
		if !r.present {
			continue
		}
		for e := 1; e <= maxE; e++ {
			if r.up && r.sess > 0 && r.j[e] == jAcc { // refuses, or gives up a claim made in an older session
				t := s
				t.in[i].j[e] = jTomb
				add(say("I%d gives up ep%d", uint8(i), uint8(e)), t)
			}
			if r.up && r.sess > 0 && r.j[e] == jTomb {
				t := s
				t.send(pk('N', e, int(r.rid), int(r.sess), int(r.boot)))
				if t.net != s.net {
					add(say("I%d reports ep%d not started", uint8(i), uint8(e)), t)
				}
			}
			if r.up && r.sess > 0 && r.j[e] == jStarted && r.child[e] == 0 {
				t := s
				t.send(pk('U', e, int(r.boot), 0, 0))
				if t.net != s.net {
					add(say("I%d reports ep%d unknown", uint8(i), uint8(e)), t)
				}
			}
			if r.up && r.sess > 0 && r.j[e] == jExited {
				t := s
				t.send(pk('R', e, int(s.inc), 0, 0))
				if c.forgetEarly {
					t.in[i].j[e] = jNone
				}
				if t.net != s.net || c.forgetEarly {
					add(say("I%d reports result ep%d", uint8(i), uint8(e)), t)
				}
			}
		}
	}
}

// shims: between fork, lock, exec and exit.
func (b *stepBuilder) shims() {
	c, s, add := b.c, b.s, b.add
	for i := range s.in {
		r := s.in[i]
		if !r.present {
			continue
		}
		for e := 1; e <= maxE; e++ {
			if r.up && r.j[e] == jStarting && !r.shim[e] && r.child[e] == 0 {
				t := s
				t.in[i].shim[e] = true
				add(say("I%d forks shim ep%d", uint8(i), uint8(e)), t)
			}
			if r.shim[e] { // the shim takes the lock, looks for a tombstone, fsyncs STARTED
				t := s
				t.in[i].shim[e] = false
				if r.j[e] == jTomb && !c.noShimLock {
					add(say("shim sees tombstone"), t)
				} else {
					t.in[i].child[e] = 1
					t.in[i].j[e] = jStarted
					add(say("I%d shim ep%d locks", uint8(i), uint8(e)), t)
				}
			}
			if r.child[e] == 1 {
				t := s
				t.in[i].child[e] = 2
				t.execs++
				t.execEp[e]++
				if s.st == CANCELLED {
					t.execAfterCancel = true
				}
				add(say("I%d EXEC ep%d", uint8(i), uint8(e)), t)
			}
			if r.child[e] == 2 {
				t := s
				t.in[i].child[e] = 0
				t.in[i].j[e] = jExited
				add(say("I%d ep%d exits", uint8(i), uint8(e)), t)
			}
		}
	}
}

// clone: the disk of a runner is copied to another host.
func (b *stepBuilder) clone() {
	c, s, add := b.c, b.s, b.add
	if c.clone && !s.cloned && s.in[0].present && s.in[0].up {
		t := s
		t.cloned = true
		k := s.in[0]
		k.boot, k.sess = 5, 0
		k.up = false // it boots from the copied disk and recovers by the journal
		k.child, k.shim = [maxE + 1]uint8{}, [maxE + 1]bool{}
		t.in[2] = k
		add(say("R0 disk cloned"), t)
	}
}

// deliver: any message ever sent can arrive now.
func (b *stepBuilder) deliver() {
	for _, m := range msgs(b.s.net) {
		switch m[0] {
		case 'O':
			b.offer(m)
		case 'C':
			b.claim(m)
		case 'G':
			b.grant(m)
		case 'N':
			b.notStarted(m)
		case 'U':
			b.reportUnknown(m)
		case 'R':
			b.result(m)
		case 'X':
			b.cancelFrame(m)
		}
	}
}

// offer: an offer reaches its runner.
func (b *stepBuilder) offer(m string) {
	c, s, add := b.c, b.s, b.add
	a, o := int(m[1]), int(m[2])
	for i := range s.in {
		r := s.in[i]
		if !r.present || !r.up || r.sess == 0 || int(r.rid) != o || r.j[a] != jNone {
			continue
		}
		t := s
		t.in[i].j[a] = jAcc
		if c.noGrant {
			t.in[i].j[a] = jStarting
		}
		t.send(pk('C', a, o, int(r.sess), int(r.boot)))
		if c.startBeforeJournal { // forks first, writes later
			t2 := t
			t2.in[i].shim[a] = false
			t = t2
		}
		add(say("I%d gets offer ep%d", uint8(i), uint8(a)), t)
	}
}

// claim: a claim reaches the hub.
func (b *stepBuilder) claim(m string) {
	c, s, add := b.c, b.s, b.add
	a, o, d, f := int(m[1]), int(m[2]), int(m[3]), int(m[4])
	sessOK := int(s.sess[o]) == d || c.cloneBlind
	if s.st == OFFERED && int(s.ep) == a && int(s.own) == o && sessOK && !s.hold {
		t := s
		t.st, t.cSess, t.cBoot = CLAIMED, uint8(d), uint8(f)
		g := pk('G', a, o, d, 0)
		if c.cloneBlind {
			g = pk('G', a, o, 0, 0)
		}
		t.send(g)
		add(say("hub grants ep%d to R%d session %d", uint8(a), uint8(o), uint8(d)), t)
	}
}

// grant: a grant reaches its runner.
func (b *stepBuilder) grant(m string) {
	c, s, add := b.c, b.s, b.add
	a, o, d := int(m[1]), int(m[2]), int(m[3])
	for i := range s.in {
		r := s.in[i]
		if !r.present || !r.up || int(r.rid) != o || r.sess == 0 {
			continue
		}
		if !c.cloneBlind && int(r.sess) != d {
			continue
		}
		if r.j[a] == jAcc || (c.forgetEarly && r.j[a] == jNone) || (c.cloneBlind && r.j[a] == jNone) {
			t := s
			if c.startBeforeJournal {
				t.in[i].shim[a] = true
				t.in[i].j[a] = jAcc
			} else {
				t.in[i].j[a] = jStarting
			}
			if t != s {
				add(say("I%d gets grant ep%d", uint8(i), uint8(a)), t)
			}
		}
	}
}

// notStarted: a NotStarted reaches the hub.
func (b *stepBuilder) notStarted(m string) {
	c, s, add := b.c, b.s, b.add
	a, o, d, f := int(m[1]), int(m[2]), int(m[3]), int(m[4])
	if int(s.ep) != a || int(s.own) != o || s.hold {
		return
	}
	if int(s.sess[o]) != d && !c.cloneBlind {
		return
	}
	t := s
	switch {
	case s.st == OFFERED:
		t.st = READY
	case (s.st == CLAIMED || s.st == DISC) && (int(s.cBoot) == f || c.cloneBlind):
		t.st = READY
	case s.st == CLAIMED || s.st == DISC: // another boot: may be a clone
		t.st = DISC
	}
	if t.st == READY && s.cancelReq {
		t.st = CANCELLED
		if s.open && !c.cancelOpen {
			t.st = LOST
		}
	}
	if t != s {
		add(say("hub takes %c ep%d", m[0], uint8(a)), t)
	}
}

// reportUnknown: an unknown end reaches the hub.
func (b *stepBuilder) reportUnknown(m string) {
	c, s, add := b.c, b.s, b.add
	a, o := int(m[1]), int(m[2])
	if int(s.ep) == a && (s.st == CLAIMED || s.st == DISC) && !s.hold {
		t := s
		t.st = LOST
		if c.idem && s.ep < c.maxEp {
			t.st, t.open = READY, s.open || int(s.cBoot) != o
		}
		add(say("hub takes %c ep%d", m[0], uint8(a)), t)
	}
}

// result: a result reaches the hub.
func (b *stepBuilder) result(m string) {
	c, s, add := b.c, b.s, b.add
	a, o := int(m[1]), int(m[2])
	epOK := (int(s.ep) == a && int(s.inc) == o) || c.noEpochCheck || c.restoreBlind && int(s.ep) == a
	if epOK && (s.st == CLAIMED || s.st == DISC || c.noEpochCheck && s.st == OFFERED) && !s.hold {
		t := s
		t.st, t.doneFor = DONE, uint8(a)
		add(say("hub takes %c ep%d", m[0], uint8(a)), t)
	}
}

// cancelFrame: a cancel reaches its runner.
func (b *stepBuilder) cancelFrame(m string) {
	s, add := b.s, b.add
	a, o := int(m[1]), int(m[2])
	for i := range s.in {
		r := s.in[i]
		if !r.present || !r.up || int(r.rid) != o || r.sess == 0 {
			continue
		}
		t := s
		switch {
		case r.j[a] == jAcc || r.j[a] == jStarting: // takes run.lock, writes tombstone
			t.in[i].j[a] = jTomb
			t.in[i].shim[a] = false
		case r.j[a] == jStarted && r.child[a] == 2:
			t.in[i].child[a], t.in[i].j[a] = 0, jExited
		}
		if t != s {
			add(say("I%d gets cancel ep%d", uint8(i), uint8(a)), t)
		}
	}
}

func maxUsed(s stepState) uint8 {
	m := s.ep
	for i := range s.in {
		for e := uint8(1); e <= maxE; e++ {
			if s.in[i].j[e] != jNone && e > m {
				m = e
			}
		}
	}
	return m
}

func stepCheck(c stepConfig, s stepState) string {
	if !c.idem && s.execs > 1 {
		return "P1 step executed twice"
	}
	for e := range s.execEp {
		if s.execEp[e] > 1 {
			return "P2 one fence value executed twice"
		}
	}
	if s.st == DONE && (s.doneFor != s.ep || s.execEp[s.ep] == 0) {
		return "P3 DONE by a stale or absent run"
	}
	if s.execAfterCancel {
		return "P4 started after CANCELLED was shown"
	}
	return ""
}

func stepSystem(c stepConfig) system[stepState] {
	c.maxCrash, c.maxHello, c.maxEp = cmp.Or(c.maxCrash, 2), cmp.Or(c.maxHello, 3), cmp.Or(c.maxEp, maxE)
	var s stepState
	for i := range 2 {
		s.in[i] = stepRunner{present: true, up: true, rid: uint8(i), boot: uint8(i + 1)}
	}
	return system[stepState]{
		initial: s,
		next:    func(s stepState, into []edge[stepState]) []edge[stepState] { return stepNext(c, s, into) },
		check:   func(s stepState) string { return stepCheck(c, s) },
		goal:    func(s stepState) bool { return terminal(s.st) },
		exempt:  func(stepState) bool { return false },
		limit:   12_000_000,
	}
}

func TestAssignment(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		expectation
		c stepConfig
	}{
		{expectation{name: "A not idempotent, cancel", states: 153_858}, stepConfig{cancel: true}},
		{expectation{name: "B idempotent, cancel", states: 93_938}, stepConfig{idem: true, cancel: true, maxCrash: 1}},
		{expectation{name: "C two schedulers", states: 78_820}, stepConfig{twoSched: true, maxCrash: 1}},
		{expectation{name: "D clone", states: 300_420}, stepConfig{clone: true, maxCrash: 1}},
		{expectation{name: "E database restored", states: 258_945}, stepConfig{restore: true, maxCrash: 1}},
		{expectation{name: "F cancel, 3 crashes, 4 sessions", states: 771_240}, stepConfig{cancel: true, maxCrash: 3, maxHello: 4}},
		{expectation{name: "G clone and cancel, 2 crashes", states: 4_126_405, big: true}, stepConfig{clone: true, cancel: true, maxCrash: 2}},
		{expectation{name: "H restore and clone", states: 6_929_712, big: true}, stepConfig{restore: true, clone: true, maxCrash: 1}},
		{expectation{name: "I idempotent, clone, cancel, 2 crashes", big: true}, stepConfig{idem: true, clone: true, cancel: true, maxCrash: 2}},
		{expectation{name: "M12 journal after start, with the shim lock", states: 108_440}, stepConfig{startBeforeJournal: true}},
		{expectation{name: "M1 start on offer, no grant", violation: "P1"}, stepConfig{noGrant: true}},
		{expectation{name: "M2 journal after start, no shim lock", violation: "P1"}, stepConfig{startBeforeJournal: true, noShimLock: true}},
		{expectation{name: "M3 result without fence", violation: "P3"}, stepConfig{noEpochCheck: true, idem: true}},
		{expectation{name: "M4 dispatch without compare-and-set", violation: "P1"}, stepConfig{noCAS: true, twoSched: true}},
		{expectation{name: "M5 expired claim put back to READY", violation: "P1"}, stepConfig{requeueClaim: true}},
		{expectation{name: "M6 runner forgets before ResultAck", violation: "P1"}, stepConfig{forgetEarly: true}},
		{expectation{name: "M7 clone without session and boot fence", violation: "P1"}, stepConfig{cloneBlind: true, clone: true}},
		{expectation{name: "M8 cancel ignores a claim", violation: "P4"}, stepConfig{cancelBlind: true, cancel: true}},
		{expectation{name: "M9 restore without hold and incarnation", violation: "P1"}, stepConfig{restoreBlind: true, restore: true}},
		{expectation{name: "M10 no run.lock, no tombstone", violation: "P1"}, stepConfig{noShimLock: true}},
		{expectation{name: "M11 cancel forgets an older open attempt", violation: "P4"}, stepConfig{cancelOpen: true, cancel: true, idem: true, maxCrash: 1}},
	} {
		if tt.big && !*big {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			tt.judge(t, explore(stepSystem(tt.c)))
		})
	}
}
