package sim

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
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
	histories = flag.Int("histories", 0, "so many histories; 0: as many as fit into -span")
	span      = flag.Duration("span", 20*time.Second, "how long histories are run if their number is not given")
	seedFlag  = flag.Uint64("seed", 0, "one history alone, with its story")
	firstSeed = flag.Uint64("first", 1, "the first seed")
	sceneMost = flag.Int("scene-histories", 2, "how many histories of each scene")
	verbose   = flag.Bool("simlog", false, "with -seed: show what hubs and runners log")
)

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

// run plays a history and returns which promises were broken, and its story.
func run(t *testing.T, p *plan, db *storetest.Serial) (violated, story []string) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	if *verbose {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, p, db, log)
		w.play()
		violated, story = w.violated, w.story
	})
	return violated, story
}

func report(p *plan, violated, story []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %s\n", p.seed, strings.Join(violated, "\n  "))
	fmt.Fprintf(&b, "%+v\n", *p)
	for _, line := range story {
		b.WriteString(line + "\n")
	}
	return b.String()
}

func TestHistories(t *testing.T) {
	if *seedFlag != 0 {
		p := newPlan(*seedFlag)
		violated, story := run(t, p, newDatabase(t))
		t.Log(report(p, violated, story))
		if len(violated) > 0 {
			t.Fail()
		}
		return
	}
	var next, bad atomic.Uint64
	next.Store(*firstSeed - 1)
	began := time.Now()
	t.Run("seeds", func(t *testing.T) {
		for worker := range 2 {
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				db := newDatabase(t)
				for {
					seed := next.Add(1)
					if done := int(seed - *firstSeed); *histories > 0 && done >= *histories || *histories == 0 && time.Since(began) > *span {
						return
					}
					p := newPlan(seed)
					if violated, story := run(t, p, db); len(violated) > 0 {
						t.Error(report(p, violated, story))
						if bad.Add(1) > 10 {
							return
						}
					}
				}
			})
		}
	})
	n := next.Load() - *firstSeed
	t.Logf("%d histories, %.0f a second", n, float64(n)/time.Since(began).Seconds())
}
