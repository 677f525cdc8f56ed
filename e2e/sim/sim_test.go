package sim

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/hub/store/storetest"
	"github.com/fairlead/fairlead/proto/wire"
)

var (
	histories = flag.Int("histories", 200, "how many histories; with -seed, how often that one is tried")
	seedFlag  = flag.Uint64("seed", 0, "one history alone, with its story, until it fails")
	firstSeed = flag.Uint64("first", 1, "the first seed")
	sceneMost = flag.Int("scene-histories", 2, "how many histories of each scene")
	verbose   = flag.Bool("simlog", false, "with -seed: show what hubs and runners log")
)

func TestMain(m *testing.M) {
	flag.Parse()
	// A history's memory is small and soon of no use; collecting it as often as a
	// server's would takes a sixth of the time.
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}

// newDatabase returns a database for histories, one after another. What is made once per
// process must be made outside of every bubble, and so is the decoder of the hub's output.
func newDatabase(t *testing.T) *storetest.Serial {
	t.Helper()
	if _, err := output.Prepare(smallChunk(t)); err != nil {
		t.Fatal(err)
	}
	return storetest.NewSerial(t)
}

func smallChunk(t *testing.T) hub.Chunk {
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	frames := wire.AppendFrame(nil, wire.Frame{Data: []byte("x")})
	return hub.Chunk{Lines: 1, Bytes: len(frames), Data: e.EncodeAll(frames, nil)}
}

// run plays a history and returns the world at its end.
func run(t *testing.T, p *plan, db, other *storetest.Serial) (w *world) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	if *verbose {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	synctest.Test(t, func(t *testing.T) {
		w = newWorld(t, p, db, other, log)
		w.play()
	})
	return w
}

// report tells which promises were broken, and the whole story.
func (w *world) report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %s\n", w.plan.seed, strings.Join(w.violated, "\n  "))
	fmt.Fprintf(&b, "%+v\n", *w.plan)
	for _, line := range w.story {
		b.WriteString(line + "\n")
	}
	return b.String()
}

// sum is what all histories had together.
type sum struct {
	most                      int
	draw                      func(seed uint64) *plan
	next, bad                 atomic.Uint64
	histories, starts, struck atomic.Int64
}

func TestHistories(t *testing.T) { play(t, *histories, newPlan) }

// TestTwoPrimaries plays histories in which each of two members has a primary of its own for some
// time, and clock, marks and incarnations are those of the real cluster.
func TestTwoPrimaries(t *testing.T) { play(t, *histories/4, newForkPlan) }

func play(t *testing.T, most int, draw func(seed uint64) *plan) {
	if *seedFlag != 0 {
		replay(t, draw)
		return
	}
	s := sum{most: most, draw: draw}
	s.next.Store(*firstSeed)
	began := time.Now()
	t.Run("seeds", func(t *testing.T) {
		for worker := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				s.work(t)
			})
		}
	})
	n := s.histories.Load()
	t.Logf("%d histories, %.0f a second: %d commands started, %d faults", n, float64(n)/time.Since(began).Seconds(), s.starts.Load(), s.struck.Load())
	// What runs less than it was asked for, or nothing that could go wrong, proves nothing.
	if n < int64(most) || s.starts.Load() < 3*n || s.struck.Load() < n {
		t.Errorf("too little was tried: %d histories of %d with %d commands and %d faults", n, most, s.starts.Load(), s.struck.Load())
	}
}

// work plays one history after another, until there are enough or too many bad ones.
func (s *sum) work(t *testing.T) {
	db, other := newDatabase(t), newDatabase(t)
	for {
		seed := s.next.Add(1) - 1
		if seed-*firstSeed >= uint64(s.most) || s.bad.Load() > 10 {
			return
		}
		w := run(t, s.draw(seed), db, other)
		s.histories.Add(1)
		s.starts.Add(int64(len(w.starts)))
		s.struck.Add(w.struck.Load())
		if len(w.violated) > 0 {
			s.bad.Add(1)
			t.Error(w.report())
		}
	}
}

// replay plays one seed until it fails: the scheduler decides some of what happens at
// one moment, so a rare failure may take some tries.
func replay(t *testing.T, draw func(seed uint64) *plan) {
	db, other := newDatabase(t), newDatabase(t)
	for n := range *histories {
		if w := run(t, draw(*seedFlag), db, other); len(w.violated) > 0 {
			t.Fatalf("at try %d: %s", n+1, w.report())
		} else if n == 0 {
			t.Log(w.report())
		}
	}
}
