package task

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/disk/memdisk"
	"github.com/fairlead/fairlead/runner/spool"
)

// remoteNode has the output of one detached command, and keeps of it what the runner has
// not said that it keeps.
type remoteNode struct {
	t       *testing.T
	streams [2][]byte
	kept    Offsets
	rnd     *rand.Rand
	// until is after how much more the runner dies; then it calls dies.
	until int
	dies  func()
}

func (n *remoteNode) Prepare(context.Context, *Command) (Process, error) {
	return &remoteCommand{node: n}, nil
}

func (n *remoteNode) Reattach(_ context.Context, _ *Command, from Offsets) (Process, bool, error) {
	if from[0] < n.kept[0] || from[1] < n.kept[1] {
		n.t.Errorf("asked for output from %v on; its node was told that all before %v is kept", from, n.kept)
	}
	return &remoteCommand{n, from}, true, nil
}

func (*remoteNode) Forget(context.Context, string) error { return nil }

type remoteCommand struct {
	node *remoteNode
	at   Offsets
}

func (*remoteCommand) Discard()      {}
func (*remoteCommand) About() string { return "" }

// Run tells pieces of both streams as they come over a connection.
func (c *remoteCommand) Run(ctx context.Context, out Output) End {
	n := c.node
	for {
		left := [2][]byte{n.streams[0][c.at[0]:], n.streams[1][c.at[1]:]}
		if len(left[0])+len(left[1]) == 0 {
			return End{Outcome: ok, Exited: true, EndProven: true}
		}
		stream := n.rnd.IntN(2)
		if len(left[stream]) == 0 {
			stream = 1 - stream
		}
		piece := left[stream][:min(len(left[stream]), 1+n.rnd.IntN(n.rnd.IntN(100_000)+1))]
		c.at[stream] += uint64(len(piece))
		if err := out.WriteRaw(wire.Stream(stream), piece, c.at[stream]); err != nil {
			return End{Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Message: err.Error()}
		}
		if n.until -= len(piece); n.until <= 0 && n.dies != nil {
			n.dies()
			<-ctx.Done()
			return End{Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN}
		}
		if n.rnd.IntN(10) == 0 {
			<-time.After(time.Second) // what is quiet is shown, and chunks are synced
			n.kept = out.(SyncedOutput).Synced()
		}
	}
}

// refiltered runs a detached command that prints streams with a runner that dies after
// each of some amounts, with the disk's cache or without, and returns its log, stream
// after stream, and what was captured.
func refiltered(t *testing.T, spec *runnerv1.Spec, streams [2][]byte, seed uint64, deaths []int) (log [3]string, data map[string]string, kept Offsets) {
	t.Helper()
	n := &remoteNode{t: t, streams: streams, rnd: rand.New(rand.NewPCG(seed, 0))}
	disk := memdisk.New()
	secrets := &runnerv1.Secrets{Options: map[string]string{"pw": "hunter2\nhunter3"}}
	for i := 0; ; i++ {
		ctx, cancel := context.WithCancelCause(t.Context())
		w := &workbench{t: t, disk: disk.Mount(), spec: spec, executor: n}
		var a *spool.Attempt
		var attempt *Attempt
		var err error
		if i == 0 {
			a = w.offer(ctx)
			attempt = w.drive(ctx, a, Working)
			err = attempt.Granted(&runnerv1.Granted{BootId: []byte("boot")}, secrets, 0)
		} else {
			a = w.reopen(ctx)
			attempt = w.drive(ctx, a, Waiting)
			err = attempt.Resumed(secrets, 0, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		n.dies = nil
		if i < len(deaths) {
			n.until, n.dies = deaths[i], func() {
				if (i+int(seed))%2 == 0 {
					disk.Kill()
				} else {
					disk.Crash(i * 100)
				}
				cancel(ErrDetach)
			}
		}
		err = attempt.Run()
		if err == nil {
			log, data = told(t, w, a, attempt)
			cancel(nil)
			synctest.Wait()
			return log, data, n.kept
		}
		if !errors.Is(err, ErrDetach) {
			t.Fatal(err)
		}
		synctest.Wait()
	}
}

// told is the log of an attempt, by stream, and what its one command captured.
func told(t *testing.T, w *workbench, a *spool.Attempt, attempt *Attempt) (log [3]string, data map[string]string) {
	t.Helper()
	for _, f := range w.frames(a) {
		log[f.Stream] += string(f.Data)
		if f.Flags&wire.FlagPartial == 0 {
			log[f.Stream] += "\n"
		}
	}
	err := a.Replay(func(_ uint64, r *runnerv1.Record) {
		if e := r.GetEnded(); e != nil {
			data = e.GetData()
		}
	})
	if err != nil || attempt.state.cells[0].phase != ended {
		t.Fatal("it has not ended", err)
	}
	return log, data
}

func filteredSpec(filters ...*runnerv1.LogFilter) *runnerv1.Spec {
	spec := specOf("detached")
	spec.Steps[0].Detached = true
	spec.LogFilters = filters
	spec.SecureOptions, spec.ExposedOptions = []string{"pw"}, []string{"pw"}
	return spec
}

// chatter is output with all that filters look at.
func chatter(rnd *rand.Rand, size int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < size; i++ {
		switch rnd.IntN(12) {
		case 0:
			fmt.Fprintf(&b, "a token=%d%s and more\n", i, strings.Repeat("s", rnd.IntN(20)))
		case 1:
			fmt.Fprintf(&b, "RUNDECK:DATA:key%d = value token=%d x\n", rnd.IntN(30), i)
		case 2:
			fmt.Fprintf(&b, "progress %d\r%d\n", i, i)
		case 3:
			b.WriteString("the key is hunter2\nhunter3\nhunter2 is none\n")
		case 4:
			fmt.Fprintf(&b, "%s token=%d\n", strings.Repeat("long ", rnd.IntN(80_000)), i)
		default:
			fmt.Fprintf(&b, "line %d %s\n", i, strings.Repeat("x", rnd.IntN(4_000)))
		}
	}
	b.WriteString("the last token=9")
	return b.Bytes()
}

// However often and wherever a runner dies, the filters of a detached step come out as if
// it had not: nothing that a mask hides is shown at the seam, nothing is told or captured
// twice, and nothing is lost. Its node may give up what it has printed meanwhile.
func TestDetachedIsFilteredAlike(t *testing.T) {
	t.Parallel()
	spec := filteredSpec(
		&runnerv1.LogFilter{Type: "quiet-output", Config: map[string]string{"regex": "^progress"}},
		&runnerv1.LogFilter{Type: "key-value-data", Config: map[string]string{"logData": "true"}},
		&runnerv1.LogFilter{Type: "mask-log-output-regex", Config: map[string]string{"regex": `token=(\S+)`, "maskOnlyValue": "true"}},
		&runnerv1.LogFilter{Type: "key-value-data-multilines", Config: map[string]string{"regex": "(line 1.)", "name": "first"}},
		&runnerv1.LogFilter{Type: "render-datatype", Config: map[string]string{"datatype": "text/plain"}},
	)
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, 1))
				streams := [2][]byte{chatter(rnd, 5<<20), chatter(rnd, 256<<10)}
				want, wantData, _ := refiltered(t, spec, streams, seed, nil)
				var deaths []int
				for range 3 {
					deaths = append(deaths, 1+rnd.IntN(3<<20))
				}
				got, data, kept := refiltered(t, spec, streams, seed+100, deaths)
				for stream, text := range got[:2] {
					wantSame(t, stream, text, want[stream])
					if strings.Contains(text, "hunter3") || strings.Contains(text, "token=9") {
						t.Errorf("stream %d shows what is to be hidden", stream)
					}
				}
				if diff := cmp.Diff(wantData, data); diff != "" || data["first"] == "" || len(data) < 10 {
					t.Errorf("captured %d values: %s", len(data), diff)
				}
				if kept[0] == 0 {
					t.Error("its node has to keep all output")
				}
			})
		})
	}
}

func wantSame(t *testing.T, stream int, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	t.Errorf("stream %d has %d bytes, want %d; from %d on %.100q, want %.100q", stream, len(got), len(want), at, got[at:], want[at:])
}

// A line without an end does not stop its command: of what filters cannot hold back the
// rest is left out, and the log says so, before and after a death alike.
func TestDetachedLineWithoutEnd(t *testing.T) {
	t.Parallel()
	spec := filteredSpec(&runnerv1.LogFilter{Type: "mask-log-output-regex", Config: map[string]string{"regex": `token=\S+`}})
	streams := [2][]byte{[]byte("first\n" + strings.Repeat("0123456\t", 9<<18) + "token=8\nbehind\ntoken=7\n")}
	synctest.Test(t, func(t *testing.T) {
		got, _, kept := refiltered(t, spec, streams, 1, []int{15 << 20, 2 << 20, 1 << 20})
		log := got[wire.Stdout]
		if !strings.HasPrefix(log, "first\n0123456\t") || !strings.HasSuffix(log, "\t\n[the rest of this line is left out: log filters hold at most 16 MiB of one back]\nbehind\n[SECURE]\n") {
			t.Errorf("log begins %.40q and ends %q", log, log[max(0, len(log)-200):])
		}
		if n := len(log); n > 16<<20+200 || n < 15<<20 || strings.Count(log, "left out") != 1 {
			t.Errorf("the log has %d bytes", n)
		}
		if kept[0] < 16<<20 {
			t.Errorf("its node still has to keep all from %d on", kept[0])
		}
	})
}
