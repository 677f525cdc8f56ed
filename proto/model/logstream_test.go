package model

import "testing"

const streamLines = 3

// streamState is the way of chunks 0..2 from a runner's spool into the hub's table.
// Sets are bit masks, the table a string of chunk numbers.
type streamState struct {
	made, durable uint8
	low           uint8 // the spool is trimmed below
	table         string
	acks          uint8 // ChunkAck{n} was sent, ever; bit n
	frames        uint8 // chunk n was sent, ever
	pending       uint8 // the hub got chunk n-1 and has not committed; 0 none
	regressed     bool
	cut           bool // the one power cut happened
}

type streamConfig struct {
	ackFirst, noOffset, trimOnSend bool
	regress, retain                bool
	sendUnsynced, powerCut         bool
}

func streamNext(c streamConfig, s streamState) (out []edge[streamState]) {
	add := func(l label, t streamState) { out = append(out, edge[streamState]{l, t}) }
	if s.made < streamLines {
		t := s
		t.made++
		add(say("runner cuts chunk %d", s.made), t)
	}
	if s.durable < s.made {
		t := s
		t.durable = s.made
		add(say("spool synced"), t)
	}
	if c.powerCut && !s.cut {
		t := s
		t.made, t.frames, t.cut = s.durable, 0, true
		add(say("power cut"), t)
	}
	sendable := s.durable
	if c.sendUnsynced {
		sendable = s.made
	}
	for n := s.low; n < sendable; n++ {
		t := s
		t.frames |= 1 << n
		if c.trimOnSend {
			t.low = max(t.low, n+1)
		}
		if t != s {
			add(say("runner sends %d", n), t)
		}
	}
	for n := range uint8(streamLines + 1) {
		if s.acks&(1<<n) != 0 && n > s.low && (!c.regress || !c.retain) {
			t := s
			t.low = n
			add(say("ack %d, spool trimmed", n), t)
		}
	}
	if c.regress && !s.regressed && s.table != "" {
		t := s
		t.table, t.regressed = s.table[:len(s.table)-1], true
		add(say("database falls back one commit"), t)
	}
	return append(out, streamHub(c, s)...)
}

func streamHub(c streamConfig, s streamState) (out []edge[streamState]) {
	add := func(l label, t streamState) { out = append(out, edge[streamState]{l, t}) }
	next := uint8(len(s.table))
	if s.pending == 0 {
		for n := range uint8(streamLines) {
			if s.frames&(1<<n) != 0 {
				t := s
				t.pending = n + 1
				if c.ackFirst {
					t.acks |= 1 << (n + 1)
				}
				add(say("hub gets %d", n), t)
			}
		}
		return out
	}
	n, t := s.pending-1, s
	t.pending = 0
	add(say("hub dies"), t)
	switch {
	case c.noOffset && next <= streamLines, n == next:
		t.table += string(rune('0' + n))
		t.acks |= 1 << (next + 1) & (1<<(streamLines+1) - 1)
		add(say("hub commits %d", n), t)
	case n < next:
		t.acks |= 1 << next
		add(say("hub has %d, acknowledges again", n), t)
	}
	return out
}

func streamCheck(s streamState) string {
	for i := range len(s.table) {
		if s.table[i] != byte('0'+i) {
			return "gap or repeat in the table: " + s.table
		}
	}
	if int(s.low) > len(s.table) {
		return "loss: trimmed on the runner, not in the table"
	}
	return ""
}

func TestLogStream(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		expectation
		c streamConfig
	}{
		{expectation{name: "sound"}, streamConfig{}},
		{expectation{name: "power cut"}, streamConfig{powerCut: true}},
		{expectation{name: "database falls back, spool retained"}, streamConfig{regress: true, retain: true}},
		{expectation{name: "L1 ack before commit", violation: "loss"}, streamConfig{ackFirst: true}},
		{expectation{name: "L2 append without offset", violation: "gap"}, streamConfig{noOffset: true}},
		{expectation{name: "L3 trim on send", violation: "loss"}, streamConfig{trimOnSend: true}},
		{expectation{name: "L4 database falls back after trim", violation: "loss"}, streamConfig{regress: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.judge(t, explore(system[streamState]{
				next: func(s streamState, into []edge[streamState]) []edge[streamState] {
					return append(into, streamNext(tt.c, s)...)
				},
				check:  streamCheck,
				goal:   func(s streamState) bool { return len(s.table) == streamLines },
				exempt: func(streamState) bool { return false },
			}))
		})
	}
}
