package model

import (
	"strings"
	"testing"
)

// A journal is a string of records, two bytes each: kind, then cell ('0' + 2*node + step).
// S cellStarted, K ended well, F ended badly, U ended cellUnknown, X never to be cellStarted, Z stop asked (cell '-').
const cells = 4

// State of a cell as a journal prefix tells it.
const (
	cellWaiting = iota
	cellStarted
	cellSucceeded
	cellFailed
	cellUnknown
	cellSkipped
)

// Attempt at the hub.
const (
	live    = iota
	settled // by the runner's result
	lost    // lost_after
)

type attemptRunner struct {
	present, up, resumed bool
	otherHost            bool // cannot prove to be the host that claimed: a clone, or a reboot where no host identity can be read
	jr                   string
	synced               int         // bytes of jr that survive a power cut
	run                  [cells]bool // a command whose exit status this process will learn
	due                  [cells]bool // cellStarted is recorded, the command not yet sent
	forgot               bool
	sent                 string // longest synced journal ever reported; what the hub may receive, now or later
	result               int    // length the result speaks of, 0 if none was sent
	memStop              bool   // mutant: the stop is remembered in memory alone
}

type attemptState struct {
	in        [2]attemptRunner
	execs     [cells]uint8 // truth: commands really cellStarted
	truth     [cells]uint8 // truth: how the last of them ended
	early     bool         // a command ran before what it waits for
	afterStop bool         // a command ran that the hub, told of the stop, had to think could not

	hub      string // node-step records applied, in order
	rows     [cells]uint8
	applied  [cells]uint8 // ended records applied to a row
	st       uint8
	outcome  uint8
	changed  bool // the outcome changed after it was shown
	stop     bool // no_new asked
	told     bool // mutant: StopAck without a record
	crashes  uint8
	cloned   bool
	failures uint8
}

type attemptConfig struct {
	stepFirst, keep    bool
	threads            int
	crashes            uint8
	reboot, clone      bool
	sameHost           bool // a rebooted host proves its identity and is resumed; else it is refused like a clone
	stop               bool
	fail               uint8
	startBeforeJournal bool // command first, record after
	sendUnsynced       bool // the record is written, not yet synced, when the command is sent
	rerun              bool // restart takes cellStarted-without-ended for not cellStarted
	asFailed           bool // ... for cellFailed
	unknownGoesOn      bool // ... and lets the node go on
	resumeAnywhere     bool // no boot attemptCheck, no answer of the hub needed
	noOrder            bool // hub applies whatever comes, in any order
	noChain            bool // hub compares numbers, not the chain of hashes
	noTotal            bool // result taken before all its records are
	forgetEarly        bool // runner forgets before ResultAck
	lateWins           bool // late records change a settled outcome
	stopInMemory       bool // stop is not journalled
	foldFailedFirst    bool // FAILED outranks UNKNOWN
}

func cellState(jr string) (c [cells]uint8, stop bool) {
	for i := 0; i < len(jr); i += 2 {
		if jr[i] == 'Z' {
			stop = true
			continue
		}
		k := jr[i+1] - '0'
		switch jr[i] {
		case 'S':
			c[k] = cellStarted
		case 'K':
			c[k] = cellSucceeded
		case 'F':
			c[k] = cellFailed
		case 'U':
			c[k] = cellUnknown
		case 'X':
			c[k] = cellSkipped
		}
	}
	return
}

// mayStart is the pure function the runner uses: may this cell start, given what the journal proves?
func mayStart(c attemptConfig, t [cells]uint8, k int) bool {
	node, step, busy := k/2, k%2, 0
	for i, x := range t {
		if x == cellStarted {
			busy++
		}
		if (x == cellFailed || x == cellUnknown && !c.unknownGoesOn) && !c.keep {
			return false
		}
		if c.stepFirst && i%2 < step && (x == cellWaiting || x == cellStarted) {
			return false // barrier
		}
	}
	if t[k] != cellWaiting || busy >= c.threads {
		return false
	}
	if step == 0 {
		return true
	}
	before := t[node*2]
	return before == cellSucceeded || c.unknownGoesOn && before == cellUnknown
}

func foldRows(c attemptConfig, rows [cells]uint8) uint8 {
	out := uint8(cellSucceeded)
	for _, r := range rows {
		switch {
		case r == cellUnknown && !(c.foldFailedFirst && out == cellFailed), r == cellFailed && (out != cellUnknown || c.foldFailedFirst):
			out = r
		}
	}
	return out
}

// applyRecords is the hub's transaction for records [i:j) of a runner's stream.
func applyRecords(c attemptConfig, s *attemptState, from string, i, j int) bool {
	if s.st != live && !c.lateWins {
		return false // kept as late, the rows stay
	}
	attemptNext := len(s.hub)
	switch {
	case c.noOrder:
	case i > attemptNext: // gap: told the attemptNext number
		return false
	case j <= attemptNext: // repeat: acknowledged again
		return false
	case !c.noChain && from[:attemptNext] != s.hub: // another history: refused
		return false
	default:
		i = attemptNext
	}
	for p := i; p < j; p += 2 {
		if from[p] == 'Z' {
			continue
		}
		k := from[p+1] - '0'
		one, _ := cellState(from[p : p+2])
		s.rows[k] = one[k]
		if from[p] != 'S' {
			s.applied[k]++
		}
	}
	if c.noOrder {
		s.hub += from[i:j]
		if len(s.hub) > 40 {
			return false
		}
	} else {
		s.hub = from[:j]
		if c.noChain {
			s.hub = s.hub[:attemptNext] + from[attemptNext:j]
		}
	}
	if s.st != live && foldRows(c, s.rows) != s.outcome {
		s.changed = true
	}
	return true
}

// attemptBuilder collects the successors of one attemptState.
type attemptBuilder struct {
	c   attemptConfig
	s   attemptState
	out []edge[attemptState]
}

func (b *attemptBuilder) add(l label, t attemptState) {
	b.out = append(b.out, edge[attemptState]{l, t})
}

func attemptNext(c attemptConfig, s attemptState, into []edge[attemptState]) []edge[attemptState] {
	b := &attemptBuilder{c: c, s: s, out: into}
	for i := range s.in {
		b.runner(i)
	}
	b.clone()
	b.reports()
	b.lose()
	return b.out
}

// runner: what instance i can do.
func (b *attemptBuilder) runner(i int) {
	r := b.s.in[i]
	if !r.present || r.forgot {
		return
	}
	t, stopped := cellState(r.jr)
	stopped = stopped || r.memStop
	if !r.up {
		b.restart(i, t)
		return
	}
	b.control(i, t, stopped)
	could := b.work(i, t, stopped)
	b.sync(i)
	b.finish(i, t, stopped, could)
	b.crash(i)
}

// restart: by the journal alone.
func (b *attemptBuilder) restart(i int, t [cells]uint8) {
	c, s, add := b.c, b.s, b.add
	n := s
	m := &n.in[i]
	m.up, m.resumed = true, false
	for k := range t {
		if t[k] != cellStarted {
			continue
		}
		switch {
		case c.rerun:
			m.jr = strings.ReplaceAll(m.jr, string([]byte{'S', byte('0' + k)}), "")
			m.synced = len(m.jr)
		case c.asFailed:
			m.jr += string([]byte{'F', byte('0' + k)})
		default:
			m.jr += string([]byte{'U', byte('0' + k)})
		}
	}
	if c.resumeAnywhere {
		m.resumed = true
	}
	add(say("I%d restarts, judges by the journal", uint8(i)), n)
}

// control: resume, its refusal, and stop.
func (b *attemptBuilder) control(i int, t [cells]uint8, stopped bool) {
	c, s, add, r := b.c, b.s, b.add, b.s.in[i]
	if !r.resumed && s.st == live && !r.otherHost { // the hub commits the resume for this boot and session
		n := s
		n.in[i].resumed = true
		add(say("I%d resumed by the hub", uint8(i)), n)
	}
	if !r.resumed && r.otherHost { // refused: what is not ended can no longer be proven
		n := s
		for k := range t {
			if t[k] == cellWaiting || t[k] == cellStarted {
				n.in[i].jr += string([]byte{'U', byte('0' + k)})
			}
		}
		if n.in[i].jr != r.jr {
			add(say("I%d refused, writes UNKNOWN", uint8(i)), n)
		}
	}
	if s.stop && !stopped && r.resumed && r.result == 0 { // only under a grant, and never after the result
		n := s
		if c.stopInMemory {
			n.in[i].memStop, n.told = true, true
		} else {
			n.in[i].jr += "Z-"
		}
		add(say("I%d takes stop", uint8(i)), n)
	}
}

// work: starts and ends of commands; reports whether anything could start.
func (b *attemptBuilder) work(i int, t [cells]uint8, stopped bool) bool {
	c, s, add, r := b.c, b.s, b.add, b.s.in[i]
	could := false
	for k := range t {
		if r.resumed && !stopped && mayStart(c, t, k) {
			could = true
			n := s
			if c.startBeforeJournal {
				if r.run[k] {
					n.in[i].jr += string([]byte{'S', byte('0' + k)})
					add(say("I%d records start of %d", uint8(i), uint8(k)), n)
				} else {
					sendCommand(c, &n, i, k, t)
					add(say("I%d SENDS %d", uint8(i), uint8(k)), n)
				}
			} else {
				n.in[i].jr += string([]byte{'S', byte('0' + k)})
				n.in[i].due[k] = true
				add(say("I%d records start of %d", uint8(i), uint8(k)), n)
			}
		}
		if r.due[k] && (r.synced == len(r.jr) || c.sendUnsynced) {
			n := s
			n.in[i].due[k] = false
			sendCommand(c, &n, i, k, t)
			add(say("I%d SENDS %d", uint8(i), uint8(k)), n)
		}
		if r.run[k] && t[k] == cellStarted {
			for _, how := range []byte{'K', 'F'} {
				n := s
				if how == 'F' {
					if s.failures >= c.fail {
						continue
					}
					n.failures++
				}
				n.in[i].run[k] = false
				n.truth[k] = map[byte]uint8{'K': cellSucceeded, 'F': cellFailed}[how]
				n.in[i].jr += string([]byte{how, byte('0' + k)})
				add(say("I%d sees %d end %c", uint8(i), uint8(k), how), n)
			}
		}
	}
	return could
}

// sync: the journal reaches the disk, and then the hub may hear of it.
func (b *attemptBuilder) sync(i int) {
	s, add, r := b.s, b.add, b.s.in[i]
	if r.synced < len(r.jr) {
		n := s
		n.in[i].synced = len(r.jr)
		add(say("I%d syncs", uint8(i)), n)
	}
	if r.synced == len(r.jr) && r.sent != r.jr && r.jr != "" {
		n := s
		n.in[i].sent = r.jr
		add(say("I%d reports %d records", uint8(i), uint8(len(r.jr)/2)), n)
	}
}

// finish: close, result, forget.
func (b *attemptBuilder) finish(i int, t [cells]uint8, stopped, could bool) {
	c, s, add, r := b.c, b.s, b.add, b.s.in[i]
	idle := true
	for k := range t {
		idle = idle && t[k] != cellStarted
	}
	over := idle && !could && (r.resumed || r.otherHost)
	if over && (r.resumed || stopped) {
		n := s
		for k := range t {
			if t[k] == cellWaiting {
				n.in[i].jr += string([]byte{'X', byte('0' + k)})
			}
		}
		if n.in[i].jr != r.jr {
			add(say("I%d closes the rest", uint8(i)), n)
		}
	}
	full := true
	for k := range t {
		full = full && t[k] >= cellSucceeded
	}
	if full && r.synced == len(r.jr) && r.sent == r.jr && r.result == 0 {
		n := s
		n.in[i].result = len(r.jr)
		if c.forgetEarly {
			n.in[i].jr, n.in[i].synced, n.in[i].resumed = "", 0, true
		}
		add(say("I%d sends result", uint8(i)), n)
	}
	if r.result > 0 && s.st != live && !c.forgetEarly {
		n := s
		n.in[i].forgot = true
		add(say("I%d gets ResultAck, forgets", uint8(i)), n)
	}
}

// crash: kill -9, and reboot.
func (b *attemptBuilder) crash(i int) {
	c, s, add, r := b.c, b.s, b.add, b.s.in[i]
	if s.crashes < c.crashes {
		n := s
		n.crashes++
		m := &n.in[i]
		m.up, m.resumed, m.memStop, m.run, m.due = false, false, false, [cells]bool{}, [cells]bool{}
		add(say("I%d runner kill -9", uint8(i)), n)
		if c.reboot {
			m.jr, m.otherHost = r.jr[:r.synced], r.otherHost || !c.sameHost
			add(say("I%d host reboots", uint8(i)), n)
		}
	}
}

// clone: the disk is copied to another host.
func (b *attemptBuilder) clone() {
	c, s, add := b.c, b.s, b.add
	if c.clone && !s.cloned && s.in[0].present && !s.in[0].forgot {
		n := s
		n.cloned = true
		a := s.in[0]
		n.in[1] = attemptRunner{present: true, otherHost: true, jr: a.jr[:a.synced], synced: a.synced}
		add(say("disk cloned"), n)
	}
}

// reports: any report ever sent may arrive now, all of it or any one record.
func (b *attemptBuilder) reports() {
	c, s, add := b.c, b.s, b.add
	for i := range s.in {
		h := s.in[i].sent
		for p := 0; p < len(h); p += 2 {
			for _, e := range []int{p + 2, len(h)} {
				n := s
				if applyRecords(c, &n, h, p, e) {
					add(say("hub applies I%d [%d:%d)", uint8(i), uint8(p/2), uint8(e/2)), n)
				}
			}
		}
		if r := s.in[i].result; r > 0 && r <= len(h) && s.st == live {
			ok := len(s.hub) == r && (c.noChain || s.hub == h[:r])
			if ok || c.noTotal || c.noOrder {
				n := s
				n.st, n.outcome = settled, foldRows(c, s.rows)
				add(say("hub takes result of I%d", uint8(i)), n)
			}
		}
	}
}

// lose: lost_after passes at any instant; a stop is asked once.
func (b *attemptBuilder) lose() {
	c, s, add := b.c, b.s, b.add
	if s.st == live {
		n := s
		n.st = lost
		for k, r := range n.rows {
			if r == cellWaiting || r == cellStarted {
				n.rows[k] = cellUnknown
			}
		}
		n.outcome = foldRows(c, n.rows)
		add(say("lost_after passes"), n)
		if c.stop && !s.stop {
			n := s
			n.stop = true
			add(say("stop asked"), n)
		}
	}
}

func sendCommand(c attemptConfig, s *attemptState, i, k int, t [cells]uint8) {
	s.in[i].run[k] = true
	s.execs[k]++
	s.truth[k] = 0
	for j, x := range t {
		if c.stepFirst && j%2 < k%2 && (x == cellWaiting || x == cellStarted) {
			s.early = true
		}
	}
	if k%2 == 1 && t[k-1] != cellSucceeded {
		s.early = true
	}
	_, told := cellState(s.hub) // the hub has the stop's record, so also every start recorded before it
	s.afterStop = s.afterStop || (told || s.told) && s.rows[k] == cellWaiting
}

func attemptCheck(s attemptState) string {
	un, bad := false, false
	for k := range s.rows {
		if s.execs[k] > 1 {
			return "N1 node step started twice"
		}
		if s.applied[k] > 1 {
			return "N2 an end applied twice"
		}
		r := s.rows[k]
		if r == cellSucceeded && s.truth[k] != cellSucceeded || r == cellFailed && s.truth[k] != cellFailed {
			return "N3 row claims an end that did not happen"
		}
		if s.st == settled && (r == cellWaiting || r == cellStarted || r == cellSkipped && s.execs[k] > 0) {
			return "N3 settled with a row open, or a started one shown as skipped"
		}
		un, bad = un || r == cellUnknown, bad || r == cellFailed
	}
	switch {
	case s.st != live && un && s.outcome != cellUnknown:
		return "N4 outcome hides an UNKNOWN"
	case s.st != live && !un && bad && s.outcome != cellFailed:
		return "N4 outcome hides a failure"
	case s.early:
		return "N5 started before what it waits for"
	case s.changed:
		return "N6 outcome changed after it was shown"
	case s.afterStop:
		return "N7 started after the stop was confirmed"
	}
	return ""
}

func attemptSystem(c attemptConfig) system[attemptState] {
	var s attemptState
	s.in[0] = attemptRunner{present: true, up: true, resumed: true}
	return system[attemptState]{
		initial: s,
		next:    func(s attemptState, into []edge[attemptState]) []edge[attemptState] { return attemptNext(c, s, into) },
		check:   attemptCheck,
		// N8: until it is lost, a settlement by result stays in reach. A clone may take
		// the attempt over, so states with one are exempt.
		goal:   func(s attemptState) bool { return s.st == settled },
		exempt: func(s attemptState) bool { return s.st != live || s.cloned },
		limit:  6_000_000,
	}
}

func TestNodeSteps(t *testing.T) {
	t.Parallel()
	base := attemptConfig{threads: 2, keep: true, crashes: 2, fail: 1}
	for _, tt := range []struct {
		expectation
		set func(*attemptConfig)
	}{
		{expectation{name: "NA node-first", states: 1_598_072}, func(*attemptConfig) {}},
		{expectation{name: "NB step-first", states: 800_446}, func(c *attemptConfig) { c.stepFirst = true }},
		{expectation{name: "NC node-first, one thread, no keepgoing", states: 91_958}, func(c *attemptConfig) { c.threads, c.keep = 1, false }},
		{expectation{name: "ND node-first, reboot", states: 2_765_683, big: true}, func(c *attemptConfig) { c.reboot = true }},
		{expectation{name: "ND2 reboot of the same host, resumed", states: 2_520_664, big: true}, func(c *attemptConfig) { c.reboot, c.sameHost = true, true }},
		{expectation{name: "ND3 step-first, no keepgoing, same host, stop", states: 4_735_892, big: true}, func(c *attemptConfig) {
			c.stepFirst, c.keep, c.reboot, c.sameHost, c.stop = true, false, true, true, true
		}},
		{expectation{name: "NE step-first, stop", states: 4_566_240, big: true}, func(c *attemptConfig) { c.stepFirst, c.stop = true, true }},
		{expectation{name: "NF node-first, clone, one thread", states: 3_488_187, big: true}, func(c *attemptConfig) {
			c.clone, c.threads, c.crashes, c.fail = true, 1, 1, 0
		}},
		{expectation{name: "NF2 clone and reboot of either host", states: 4_349_629, big: true}, func(c *attemptConfig) {
			c.clone, c.reboot, c.sameHost, c.threads, c.crashes, c.fail = true, true, true, 1, 1, 0
		}},
		{expectation{name: "NG step-first, clone, stop, no kill", states: 1_621_591}, func(c *attemptConfig) {
			c.stepFirst, c.clone, c.stop, c.threads, c.crashes, c.fail = true, true, true, 1, 0, 0
		}},
		{expectation{name: "NM1 command before its record", violation: "N1"}, func(c *attemptConfig) { c.startBeforeJournal = true }},
		{expectation{name: "NM2 started taken for not started", violation: "N1"}, func(c *attemptConfig) { c.rerun = true }},
		{expectation{name: "NM3 started taken for failed", violation: "N3"}, func(c *attemptConfig) { c.asFailed = true }},
		{expectation{name: "NM4 node goes on after its unknown", violation: "N5"}, func(c *attemptConfig) { c.unknownGoesOn = true }},
		{expectation{name: "NM5 clone goes on from its disk", violation: "N1"}, func(c *attemptConfig) { c.resumeAnywhere, c.clone = true, true }},
		{expectation{name: "NM6 records without number", violation: "N2"}, func(c *attemptConfig) { c.noOrder = true }},
		{expectation{name: "NM7 numbers without chain, clone", violation: "N2"}, func(c *attemptConfig) { c.noChain, c.clone, c.crashes = true, true, 1 }},
		{expectation{name: "NM8 result before its records", violation: "N3"}, func(c *attemptConfig) { c.noTotal = true }},
		{expectation{name: "NM9 forgets before ResultAck", violation: "N1"}, func(c *attemptConfig) { c.forgetEarly = true }},
		{expectation{name: "NM10 late records win", violation: "N6"}, func(c *attemptConfig) { c.lateWins = true }},
		{expectation{name: "NM11 failed outranks unknown", violation: "N4"}, func(c *attemptConfig) { c.foldFailedFirst = true }},
		{expectation{name: "NM12 stop kept in memory", violation: "N7"}, func(c *attemptConfig) { c.stop, c.stopInMemory = true, true }},
		{expectation{name: "NM13 sent before the sync, same host", violation: "N1"}, func(c *attemptConfig) { c.reboot, c.sameHost, c.sendUnsynced = true, true, true }},
		{expectation{name: "NM14 clone taken for the same host", violation: "N1"}, func(c *attemptConfig) {
			c.clone, c.resumeAnywhere, c.sameHost, c.crashes = true, true, true, 1
		}},
	} {
		if tt.big && !*big {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			c := base
			tt.set(&c)
			tt.judge(t, explore(attemptSystem(c)))
		})
	}
}
