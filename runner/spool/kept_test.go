package spool

import (
	"testing"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/runner/disk/memdisk"
)

func grantedRecord(mac, boot string) *runnerv1.Record {
	return &runnerv1.Record{Record: &runnerv1.Record_Granted{Granted: &runnerv1.Granted{Mac: []byte(mac), BootId: []byte(boot)}}}
}

// fill is an attempt with records and output that take some segments.
func fill(t *testing.T, s *Store, id string) *Attempt {
	t.Helper()
	a := offer(t, s, id)
	write(t, a, grantedRecord("mac of "+id, "boot"), started(1))
	for _, text := range []string{"one", "two", "three"} {
		if err := appendChunk(t, a, id+text)(); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func texts(t *testing.T, a *Attempt) (out string) {
	t.Helper()
	total, _, _, _ := a.ChunkTotals()
	for seq := a.FirstChunk(); seq < total; seq++ {
		c, ok, err := a.Chunk(seq)
		if err != nil || !ok {
			t.Fatalf("chunk %d of %s: there %v, error %v", seq, a.ID(), ok, err)
		}
		out += string(c.GetData()) + " "
	}
	return out
}

// What is settled is kept, and can be told again whole, in this process and the next.
func TestSettledAttemptsAreKept(t *testing.T) {
	t.Parallel()
	fs := memdisk.New()
	small := Config{JournalSegment: 64, SpoolSegment: 64}
	s, stop := open(t, fs, small)
	a := fill(t, s, "a")
	write(t, a, closedRecord(3))
	total, hash, _ := a.Totals()
	a.AckChunks(3)
	a.Settle()
	given := offer(t, s, "b")
	if err := given.Decline(); err != nil {
		t.Fatal(err)
	}
	given.Settle()
	offer(t, s, "c").Settle() // never granted: nothing to show
	fill(t, s, "d")           // not settled: shown as ever
	for process := range 2 {
		kept, err := s.Kept()
		if err != nil || len(kept) != 2 {
			t.Fatalf("process %d: kept are %v, error %v", process, kept, err)
		}
		h := kept[0]
		if h.GetState() != runnerv1.Holding_STATE_CLOSED || h.GetSteps() != 3 || string(h.GetMac()) != "mac of a" ||
			string(h.GetBootId()) != "boot" || h.GetExecutionId() != "of a" {
			t.Errorf("process %d: shown as %v", process, h)
		}
		if kept[1].GetState() != runnerv1.Holding_STATE_NOT_STARTED {
			t.Errorf("process %d: what was given back is shown as %v", process, kept[1])
		}
		stop()
		s, stop = open(t, fs, small)
	}
	again, err := s.Reopen(map[string]bool{"a": true, "b": true, "gone": true})
	if err != nil || len(again) != 2 || !again[1].Declined() {
		t.Fatalf("read back are %v, error %v", again, err)
	}
	if n, h, _ := again[0].Totals(); n != total || h != hash || !again[0].Closed() {
		t.Errorf("the journal read back has %d records and chain %x, want %d and %x", n, h, total, hash)
	}
	if got := texts(t, again[0]); got != "aone atwo athree " {
		t.Errorf("output read back is %q", got)
	}
	if more, err := s.Reopen(map[string]bool{"a": true}); err != nil || len(more) != 0 {
		t.Errorf("read back twice: %v, %v", more, err)
	}
	again[0].Settle()
	if kept, err := s.Kept(); err != nil || len(kept) != 1 {
		t.Errorf("settled again, kept are %v, error %v", kept, err)
	}
}

// Output that was acknowledged and put away is found again by a later process.
func TestRefill(t *testing.T) {
	t.Parallel()
	fs := memdisk.New()
	small := Config{SpoolSegment: 32}
	s, stop := open(t, fs, small)
	fill(t, s, "a").AckChunks(3)
	stop()
	s, _ = open(t, fs, small)
	a := find(t, s, "a")
	if a.FirstChunk() == 0 {
		t.Fatal("the segments of acknowledged output were not put away")
	}
	if err := a.Refill(); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, a); got != "aone atwo athree " || a.FirstChunk() != 0 {
		t.Errorf("refilled from %d: %q", a.FirstChunk(), got)
	}
	if seq, _ := a.NextChunk(); seq != 3 {
		t.Errorf("the next chunk is %d", seq)
	}
}
