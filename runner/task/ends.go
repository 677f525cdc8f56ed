package task

import (
	"time"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
)

// Ends of a crowd are recorded together: each time costs a chunk of output and its way
// into the hub's database. For each cell in hand they may lie so far apart, so that no
// fewer than 5,000 a second can end, and a cell that is alone never waits.
const (
	endsApart     = 200 * time.Microsecond
	endsApartMost = 10 * time.Millisecond
)

// ends are cells that have ended and are not recorded yet. Guarded by Attempt.mu.
type ends struct {
	waiting []*runnerv1.Record
	// recording: a cell's goroutine records what waits.
	recording bool
	last      time.Time // when it last did
}

// finish records the end of a cell and what follows from it, unless another cell's
// goroutine is about to.
func (t *Attempt) finish(c Cell, end End) {
	t.mu.Lock()
	ended := &runnerv1.Record_Ended{Ended: endedRecord(c, end, t.vault.masker)}
	t.ends.waiting = append(t.ends.waiting, record(&runnerv1.Record{Record: ended}))
	if t.ends.recording {
		t.mu.Unlock()
		return
	}
	t.ends.recording = true
	for len(t.ends.waiting) > 0 {
		pause := t.ends.pause(len(t.hand))
		t.mu.Unlock()
		if pause > 0 {
			<-time.After(pause)
		}
		t.recordEnds()
		t.mu.Lock()
	}
	t.ends.recording = false
	t.mu.Unlock()
}

// pause is how long to wait for others that end with those that wait; hand is how many
// cells are in hand, those among them.
func (e *ends) pause(hand int) time.Duration {
	if hand <= len(e.waiting) {
		return 0
	}
	return min(time.Duration(hand)*endsApart, endsApartMost) - time.Since(e.last)
}

// recordEnds records what waits.
func (t *Attempt) recordEnds() {
	t.mu.Lock()
	waiting := t.ends.waiting
	t.ends.waiting = nil
	t.ends.last = time.Now()
	t.mu.Unlock()
	// What they printed is in the spool's file before their end is in the journal's: a
	// kill between them must not leave an end whose last lines are nowhere.
	t.cutter.flush()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range waiting {
		c := r.GetEnded().GetCell()
		delete(t.hand, t.position(Cell{Node: c.GetNode(), Step: c.GetStep()}))
	}
	if t.state.closed {
		return
	}
	if why := t.disk.Frozen(); why != "" {
		t.freeze()
		for _, r := range waiting {
			r.Record = &runnerv1.Record_Ended{Ended: &runnerv1.Ended{
				Cell: r.GetEnded().GetCell(), Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN,
				Reason: ReasonFrozen, Message: "Unknown: " + why + ".",
			}}
		}
	}
	t.advance(waiting)
	t.poke()
}
