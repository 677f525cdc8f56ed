package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/disk/memdisk"
)

// open opens a store whose loops run until the test ends or stop is called.
func open(t *testing.T, fs *memdisk.FS, c Config) (s *Store, stop func()) {
	t.Helper()
	s, err := Open(fs, c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return s, stop
}

func fence(id string) *runnerv1.Fence {
	return &runnerv1.Fence{Incarnation: 1, AttemptId: id, Epoch: 1}
}

func offer(t *testing.T, s *Store, id string) *Attempt {
	t.Helper()
	spec, err := proto.Marshal(&runnerv1.Spec{ExecutionId: "of " + id})
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Offer(fence(id), spec)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func started(node uint32) *runnerv1.Record {
	return &runnerv1.Record{Record: &runnerv1.Record_Started{Started: &runnerv1.Started{Cell: &runnerv1.Cell{Node: node, Try: 1}}}}
}

func closedRecord(total uint64) *runnerv1.Record {
	return &runnerv1.Record{Record: &runnerv1.Record_Closed{Closed: &runnerv1.Closed{Total: total}}}
}

func write(t *testing.T, a *Attempt, records ...*runnerv1.Record) {
	t.Helper()
	_, wait, err := a.Append(true, records...)
	if err == nil {
		err = wait()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func appendChunk(t *testing.T, a *Attempt, text string) func() error {
	t.Helper()
	seq, before := a.NextChunk()
	hash := wire.NextChunkHash(before, seq, []byte(text))
	wait, err := a.AppendChunk(context.Background(), &runnerv1.Chunk{Fence: a.Fence(), Seq: seq, Data: []byte(text), Hash: hash[:]}, false)
	if err != nil {
		t.Fatal(err)
	}
	return wait
}

// numbers returns the nodes of the started records, in order.
func numbers(t *testing.T, a *Attempt) string {
	t.Helper()
	var out []string
	if err := a.Replay(func(_ uint64, r *runnerv1.Record) {
		if r.GetClosed() != nil {
			out = append(out, "closed")
			return
		}
		out = append(out, fmt.Sprint(r.GetStarted().GetCell().GetNode()))
	}); err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, " ")
}

func find(t *testing.T, s *Store, id string) *Attempt {
	t.Helper()
	for _, a := range s.Attempts() {
		if a.ID() == id {
			return a
		}
	}
	t.Fatalf("attempt %s is not there", id)
	return nil
}

// What a process found that was killed before it had synced anything is told to the hub,
// and so it must survive a power cut, the name of its file included.
func TestWhatIsFoundSurvivesAPowerCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fs := memdisk.New()
		killed, err := Open(fs, Config{})
		if err != nil {
			t.Fatal(err)
		}
		offered := make(chan error, 1)
		go func() {
			_, err := killed.Offer(fence("a"), nil)
			offered <- err
		}()
		defer func() {
			over, cancel := context.WithCancel(t.Context())
			cancel()
			_ = killed.Run(over) // its sync fails, and lets the offer go
			if err := <-offered; err == nil {
				t.Error("the dead process kept its offer")
			}
		}()
		synctest.Wait() // it is written, and waits for a sync that never comes
		fs.Kill()
		second, err := Open(fs, Config{})
		if err != nil {
			t.Fatal(err)
		}
		find(t, second, "a")
		fs.Crash(0)
		third, err := Open(fs, Config{})
		if err != nil {
			t.Fatal(err)
		}
		find(t, third, "a")
	})
}

func TestWhatIsSyncedSurvivesAPowerCut(t *testing.T) {
	t.Parallel()
	for _, tail := range []int{0, 1, 7, 30, 1000} {
		synctest.Test(t, func(t *testing.T) {
			fs := memdisk.New()
			s, stop := open(t, fs, Config{})
			a := offer(t, s, "a")
			write(t, a, started(1), started(2))
			if err := appendChunk(t, a, "one")(); err != nil {
				t.Fatal(err)
			}
			_, hash, _ := a.Totals()
			if _, _, err := a.Append(false, started(3)); err != nil { // never synced
				t.Fatal(err)
			}
			fs.Crash(tail)
			stop()
			s, _ = open(t, fs, Config{})
			b := find(t, s, "a")
			got := numbers(t, b)
			if got != "1 2" && (tail < 30 || got != "1 2 3") {
				t.Errorf("tail %d: records %q", tail, got)
			}
			if got == "1 2" {
				if n, h, _ := b.Totals(); n != 2 || h != hash {
					t.Errorf("tail %d: chain %d %x, want 2 %x", tail, n, h, hash)
				}
			}
			if b.Spec().GetExecutionId() != "of a" || b.Frozen() != "" {
				t.Errorf("spec %v, frozen %q", b.Spec(), b.Frozen())
			}
			if c, ok, err := b.Chunk(0); err != nil || !ok || string(c.GetData()) != "one" {
				t.Errorf("chunk %v %v %v", c, ok, err)
			}
		})
	}
}

// TestCrashAtEveryPoint cuts the power at every write and sync of a life, and looks
// each time that nothing is gone that was told to be on disk.
func TestCrashAtEveryPoint(t *testing.T) {
	t.Parallel()
	for point := 1; ; point++ {
		reached := false
		synctest.Test(t, func(t *testing.T) { reached = crashAt(t, point) })
		if !reached {
			if point < 20 {
				t.Fatalf("the life has only %d points", point)
			}
			return
		}
	}
}

// crashAt lives until the given point; reached is false if the life has fewer.
func crashAt(t *testing.T, point int) (reached bool) {
	fs := memdisk.New()
	s, stop := open(t, fs, Config{JournalSegment: 200, SpoolSegment: 100})
	count := 0
	var mu sync.Mutex
	fs.SetHook(func(op, _ string) error {
		mu.Lock()
		defer mu.Unlock()
		if count++; count == point {
			fs.Crash(point % 40)
			reached = true
		}
		if reached {
			return memdisk.ErrCrashed
		}
		return nil
	})
	kept, chunks, settled := 0, 0, false // promised to be on disk
	func() {
		spec, _ := proto.Marshal(&runnerv1.Spec{})
		other, err := s.Offer(fence("z"), spec)
		if err != nil {
			return
		}
		a, err := s.Offer(fence("a"), spec)
		if err != nil {
			return
		}
		for i := range 12 {
			_, wait, err := a.Append(true, started(uint32(i)))
			if err != nil || wait() != nil {
				return
			}
			kept++
			seq, before := a.NextChunk()
			hash := wire.NextChunkHash(before, seq, []byte("text"))
			told, err := a.AppendChunk(context.Background(), &runnerv1.Chunk{Seq: seq, Hash: hash[:], Data: []byte("text")}, false)
			if err != nil || told() != nil {
				return
			}
			chunks++
			if i == 5 {
				other.Settle()
				a.AckChunks(3)
			}
		}
		_, wait, err := a.Append(true, closedRecord(13))
		if err != nil || wait() != nil {
			return
		}
		kept++
		a.Settle()
		settled = true
	}()
	stop()
	fs.SetHook(nil)
	s, _ = open(t, fs, Config{JournalSegment: 200, SpoolSegment: 100})
	for _, a := range s.Attempts() {
		if a.ID() != "a" {
			continue
		}
		n, _, _ := a.Totals()
		total, _, _, _ := a.ChunkTotals()
		if int(n) < kept || int(total) < chunks {
			t.Errorf("point %d: %d records and %d chunks are left of %d and %d", point, n, total, kept, chunks)
		}
		return reached
	}
	if kept > 0 && !settled {
		t.Errorf("point %d: the attempt is gone, with %d records", point, kept)
	}
	return reached
}

func TestDamageFreezes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fs := memdisk.New()
		s, stop := open(t, fs, Config{})
		a, b := offer(t, s, "a"), offer(t, s, "b")
		write(t, a, started(1))
		before, err := fs.ReadFile("journal/00000001.log")
		if err != nil {
			t.Fatal(err)
		}
		write(t, a, started(2))
		write(t, a, started(3))
		write(t, b, started(1))
		stop()
		fs.Damage("journal/00000001.log", len(before)+headLength+3)
		s, stop = open(t, fs, Config{})
		a, b = find(t, s, "a"), find(t, s, "b")
		if a.Frozen() == "" || numbers(t, a) != "1" {
			t.Errorf("frozen %q, records %q", a.Frozen(), numbers(t, a))
		}
		if b.Frozen() != "" || numbers(t, b) != "1" {
			t.Errorf("the other attempt: frozen %q, records %q", b.Frozen(), numbers(t, b))
		}
		write(t, a, closedRecord(2))
		stop()
		s, _ = open(t, fs, Config{})
		if a = find(t, s, "a"); a.Frozen() == "" || numbers(t, a) != "1 closed" {
			t.Errorf("after a restart: frozen %q, records %q", a.Frozen(), numbers(t, a))
		}
	})
}

func TestDamagedHeadFreezesAllOfTheSegment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fs := memdisk.New()
		s, stop := open(t, fs, Config{})
		a, b := offer(t, s, "a"), offer(t, s, "b")
		write(t, a, started(1))
		before, _ := fs.ReadFile("journal/00000001.log")
		write(t, a, started(2))
		write(t, b, started(1))
		stop()
		fs.Damage("journal/00000001.log", len(before)+5)
		s, _ = open(t, fs, Config{})
		if find(t, s, "a").Frozen() == "" || find(t, s, "b").Frozen() == "" {
			t.Error("an attempt that may own the damaged frame is not frozen")
		}
	})
}

// TestFailedSync: what waited fails for good, nothing behind it counts, and the cut
// stands on disk.
func TestFailedSync(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fs := memdisk.New()
		broken := make(chan error, 1)
		s, stop := open(t, fs, Config{Broken: func(err error) { broken <- err }})
		a, b := offer(t, s, "a"), offer(t, s, "b")
		write(t, a, started(1))
		write(t, b, started(1))
		failing := true
		fs.SetHook(func(op, name string) error {
			if failing && op == "sync" && strings.HasPrefix(name, "journal") {
				failing = false
				return syscall.EIO
			}
			return nil
		})
		_, wait, err := a.Append(true, started(2))
		if err != nil {
			t.Fatal(err)
		}
		if err := wait(); !errors.Is(err, ErrBroken) {
			t.Errorf("wait returned %v", err)
		}
		synctest.Wait()
		select {
		case err := <-broken:
			if err == nil {
				t.Error("told of no error")
			}
		default:
			t.Error("nobody was told")
		}
		if a.Frozen() == "" || numbers(t, a) != "1" || b.Frozen() != "" {
			t.Errorf("frozen %q with %q; the other %q", a.Frozen(), numbers(t, a), b.Frozen())
		}
		write(t, b, started(2))
		write(t, a, closedRecord(2))
		stop()
		s, _ = open(t, fs, Config{})
		if got := numbers(t, find(t, s, "a")); got != "1 closed" {
			t.Errorf("on disk %q", got)
		}
		if got := numbers(t, find(t, s, "b")); got != "1 2" {
			t.Errorf("the other on disk %q", got)
		}
	})
}

// TestFailedSyncAgain: what is written behind a failed sync may go with the next one.
// Neither counts, in this process or the next, and what is written then does.
func TestFailedSyncAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fs := memdisk.New()
		s, stop := open(t, fs, Config{})
		a := offer(t, s, "a")
		write(t, a, started(1))
		var failing atomic.Int32
		fs.SetHook(func(op, name string) error {
			if op == "sync" && strings.HasPrefix(name, "journal") && failing.Add(-1) >= 0 {
				return syscall.EIO
			}
			return nil
		})
		for i, r := range []*runnerv1.Record{started(2), closedRecord(2)} {
			failing.Store(int32(2 - i)) // the cut, too, goes with a sync of its own
			_, wait, err := a.Append(true, r)
			if err != nil {
				t.Fatal(err)
			}
			if err := wait(); !errors.Is(err, ErrBroken) {
				t.Errorf("wait returned %v", err)
			}
			synctest.Wait()
			if got := numbers(t, a); got != "1" {
				t.Errorf("after a failed sync it has %q", got)
			}
		}
		write(t, a, started(3))
		write(t, a, closedRecord(3))
		stop()
		s, _ = open(t, fs, Config{})
		if got := numbers(t, find(t, s, "a")); got != "1 3 closed" {
			t.Errorf("on disk %q", got)
		}
	})
}

func TestNothingBehindClosedOrDeclined(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := open(t, memdisk.New(), Config{})
		a, b := offer(t, s, "a"), offer(t, s, "b")
		write(t, a, closedRecord(1))
		if err := b.Decline(); err != nil {
			t.Fatal(err)
		}
		for _, x := range []*Attempt{a, b} {
			if _, _, err := x.Append(true, started(1)); !errors.Is(err, ErrClosed) {
				t.Errorf("append returned %v", err)
			}
		}
		if err := a.Decline(); err == nil {
			t.Error("a granted attempt was declined")
		}
	})
}

func TestSegmentsGoWhenNothingNeedsThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fs := memdisk.New()
		s, stop := open(t, fs, Config{JournalSegment: 100, SpoolSegment: 100})
		long := offer(t, s, "long")
		for i := range 10 {
			a := offer(t, s, fmt.Sprintf("short%d", i))
			write(t, a, started(1))
			if err := appendChunk(t, a, strings.Repeat("x", 90))(); err != nil {
				t.Fatal(err)
			}
			a.Settle()
		}
		if names := fs.Names(); strings.Count(names, "spool/") > 12 || !strings.Contains(names, "spool/00000001.done") {
			t.Errorf("files %s", names)
		}
		long.Settle()
		write(t, offer(t, s, "last"), started(1)) // its sync lets the segment before it go
		offer(t, s, "x").Settle()
		if names := fs.Names(); strings.Count(names, ".log") > 4 {
			t.Errorf("files %s", names)
		}
		s.retain(time.Now().Add(25 * time.Hour))
		stop()
		s, _ = open(t, fs, Config{})
		if got := len(s.Attempts()); got != 1 {
			t.Errorf("%d attempts, want the last one", got)
		}
	})
}

func TestOutputWaitsForRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := open(t, memdisk.New(), Config{MaxUnacknowledged: 1000})
		a := offer(t, s, "a")
		for range 2 {
			if err := appendChunk(t, a, strings.Repeat("x", 600))(); err != nil {
				t.Fatal(err)
			}
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = appendChunk(t, a, "more")
		}()
		synctest.Wait()
		select {
		case <-done:
			t.Error("output was taken beyond the limit")
		default:
		}
		if stalled, _ := a.Stalled(); stalled {
			t.Error("a moment's wait is told")
		}
		<-time.After(stallAfter)
		if stalled, disk := a.Stalled(); !stalled || disk {
			t.Errorf("stalled %v, for the disk %v", stalled, disk)
		}
		a.AckChunks(1)
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Fatal("there is room, and the output is not taken")
		}
	})
}

// An attempt that prints without end does not hold up one that prints little.
func TestOutputOfOthersGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := open(t, memdisk.New(), Config{MaxUnacknowledged: 100_000})
		loud, quiet := offer(t, s, "loud"), offer(t, s, "quiet")
		for range 2 {
			if err := appendChunk(t, loud, strings.Repeat("x", 60_000))(); err != nil {
				t.Fatal(err)
			}
		}
		waits := make(chan struct{})
		go func() {
			defer close(waits)
			_ = appendChunk(t, loud, "more")
		}()
		synctest.Wait()
		if err := appendChunk(t, quiet, "a line")(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-waits:
			t.Error("output was taken beyond the limit")
		default:
		}
		loud.AckChunks(2)
		<-waits
	})
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fs := memdisk.New()
		broken := make(chan error, 4)
		s, _ := open(t, fs, Config{Broken: func(err error) { broken <- err }})
		a := offer(t, s, "a")
		reserved := true
		fs.SetHook(func(op, name string) error {
			if op == "remove" && name == reserveFile {
				reserved = false
			}
			if op == "write" && reserved {
				return syscall.ENOSPC
			}
			return nil
		})
		write(t, a, started(1))
		synctest.Wait()
		select {
		case err := <-broken:
			if err == nil || reserved {
				t.Errorf("told %v, reserve kept %v", err, reserved)
			}
		default:
			t.Error("nobody was told")
		}
	})
}

func FuzzScan(f *testing.F) {
	good := appendFrame(nil, frame{kindRecord, "key", []byte("payload")})
	good = appendFrame(good, frame{kindOffer, "", nil})
	f.Add(good, 3, byte(0))
	f.Add([]byte{}, 0, byte(0))
	f.Fuzz(func(t *testing.T, b []byte, at int, flip byte) {
		if len(b) > 0 {
			b = bytes.Clone(b)
			b[uint(at)%uint(len(b))] ^= flip
		}
		damages, keep := scan(b, func(fr frame, offset int) {
			again := appendFrame(nil, fr)
			if !bytes.Equal(again, b[offset:offset+len(again)]) {
				t.Errorf("frame at %d reads as another", offset)
			}
		})
		if keep > len(b) {
			t.Errorf("keep %d of %d", keep, len(b))
		}
		for _, d := range damages {
			if d.offset >= keep {
				t.Errorf("damage at %d, behind %d", d.offset, keep)
			}
		}
	})
}

// A runner that was put back to an earlier build does not go on with what it cannot read, and
// minds nothing that is over.
func TestJournalOfALaterBuild(t *testing.T) {
	t.Parallel()
	record := []byte{0, 0xfa, 0x06, 0} // number 0, and a field 111 that no Record has
	for name, f := range map[string]frame{
		"a frame": {kindChunk + 1, "a", nil}, "a record": {kindRecord, "a", record},
	} {
		fs := memdisk.New()
		s, stop := open(t, fs, Config{})
		a := offer(t, s, "a")
		if _, _, _, err := s.journal.append(f, true); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(fs, Config{}); !errors.Is(err, errLater) {
			t.Errorf("%s: got %v", name, err)
		}
		a.Settle()
		stop()
		open(t, fs, Config{})
	}
}
