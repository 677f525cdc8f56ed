package task

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/proto"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/disk/memdisk"
	"github.com/fairlead/fairlead/runner/spool"
)

// printer is an executor whose commands print what their text says, a line at a time
// and without quotes; "wait" waits to be ended.
type printer struct{}

func (printer) Prepare(_ context.Context, c *Command) (Process, error) { return printing{c}, nil }

type printing struct{ c *Command }

func (printing) Discard()      {}
func (printing) About() string { return "" }

func (p printing) Run(ctx context.Context, out Output) End {
	text := strings.NewReplacer("\\n", "\n", "'", "").Replace(p.c.Text)
	for line := range strings.Lines(text) {
		if line == "wait\n" {
			<-ctx.Done()
			return End{Outcome: runnerv1.Outcome_OUTCOME_CANCELLED, Reason: "cancelled", EndProven: true}
		}
		if err := out.Write(wire.Stdout, []byte(line)); err != nil {
			return End{Outcome: runnerv1.Outcome_OUTCOME_FAILED, Message: err.Error()}
		}
	}
	return End{Outcome: ok, Exited: true, EndProven: true}
}

// workbench runs attempts over one disk.
type workbench struct {
	t    *testing.T
	disk *memdisk.Mount
	spec *runnerv1.Spec
	// executor of the nodes; printer when nil.
	executor Executor
}

func (w *workbench) offer(ctx context.Context) *spool.Attempt {
	w.t.Helper()
	store, err := spool.Open(w.disk, spool.Config{})
	if err != nil {
		w.t.Fatal(err)
	}
	go func() { _ = store.Run(ctx) }()
	b, err := proto.Marshal(w.spec)
	if err != nil {
		w.t.Fatal(err)
	}
	a, err := store.Offer(&runnerv1.Fence{Incarnation: 1, AttemptId: "a1", Epoch: 1}, b)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// reopen returns the attempt that an earlier process left.
func (w *workbench) reopen(ctx context.Context) *spool.Attempt {
	w.t.Helper()
	store, err := spool.Open(w.disk, spool.Config{})
	if err != nil {
		w.t.Fatal(err)
	}
	go func() { _ = store.Run(ctx) }()
	for _, a := range store.Attempts() {
		return a
	}
	w.t.Fatal("the disk has no attempt")
	return nil
}

func (w *workbench) drive(ctx context.Context, a *spool.Attempt, mode Mode) *Attempt {
	w.t.Helper()
	e := w.executor
	if e == nil {
		e = printer{}
	}
	host := &Host{
		Executors: map[string]Executor{ExecutorSSH: e, ExecutorLocal: e}, Log: slog.New(slog.DiscardHandler), BootID: []byte("boot"),
		Boottime: func() time.Duration { return time.Hour }, FS: w.disk,
	}
	attempt, err := host.New(ctx, a, mode)
	if err != nil {
		w.t.Fatal(err)
	}
	return attempt
}

// run runs the spec from its grant to its end.
func (w *workbench) run(secrets *runnerv1.Secrets) *Attempt {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	defer synctest.Wait()
	defer cancel()
	a := w.offer(ctx)
	attempt := w.drive(ctx, a, Working)
	if err := errors.Join(attempt.Granted(&runnerv1.Granted{BootId: []byte("boot")}, secrets, 0), attempt.Run()); err != nil {
		w.t.Fatal(err)
	}
	return attempt
}

// log is what the spool has of an attempt: "node step stream text" by line.
func (w *workbench) log(a *spool.Attempt) []string {
	w.t.Helper()
	var out []string
	for _, f := range w.frames(a) {
		out = append(out, fmt.Sprintf("%d.%d %s%s", f.Node, f.Step, [3]string{"out", "err", "sys"}[f.Stream], " "+string(f.Data)))
	}
	return out
}

// frames are those that the spool has of an attempt.
func (w *workbench) frames(a *spool.Attempt) []wire.Frame {
	w.t.Helper()
	dec, err := zstd.NewReader(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer dec.Close()
	var out []wire.Frame
	synctest.Wait() // the chunks are synced
	total, _, _, _ := a.ChunkTotals()
	for seq := range total {
		c, found, err := a.Chunk(seq)
		if err != nil || !found {
			w.t.Fatal(seq, found, err)
		}
		frames, err := dec.DecodeAll(c.GetData(), nil)
		if err != nil {
			w.t.Fatal(err)
		}
		for len(frames) > 0 {
			f, rest, err := wire.NextFrame(frames)
			if err != nil {
				w.t.Fatal(err)
			}
			out = append(out, f)
			frames = rest
		}
	}
	return out
}

// specOf has steps on one node.
func specOf(texts ...string) *runnerv1.Spec {
	return &runnerv1.Spec{Threads: 1, Strategy: runnerv1.Strategy_STRATEGY_NODE_FIRST, Nodes: nodes(1), Steps: steps(texts...)}
}

func steps(texts ...string) []*runnerv1.Step {
	var out []*runnerv1.Step
	for i, text := range texts {
		out = append(out, &runnerv1.Step{Number: uint32(i + 1), Work: &runnerv1.Step_Exec{Exec: text}})
	}
	return out
}

func nodes(n int) []*runnerv1.Node {
	var out []*runnerv1.Node
	for i := range n {
		out = append(out, &runnerv1.Node{Name: fmt.Sprintf("n%d", i)})
	}
	return out
}

func TestLogLimit(t *testing.T) {
	t.Parallel()
	four := `a\nb\nc\nd\n`
	tests := map[string]struct {
		limit   *runnerv1.LogLimit
		nodes   int
		steps   []string
		outcome runnerv1.Outcome
		want    []string
	}{
		"just fits": {
			&runnerv1.LogLimit{Lines: 4, Text: "4 lines"}, 1,
			[]string{four},
			ok,
			[]string{"0.0 out a", "0.0 out b", "0.0 out c", "0.0 out d"},
		},
		"truncates lines of all steps": {
			&runnerv1.LogLimit{Lines: 5, Truncate: true, Text: "5 lines"}, 1,
			[]string{four, four},
			ok,
			[]string{
				"0.0 out a", "0.0 out b", "0.0 out c", "0.0 out d", "0.1 out a",
				"0.1 sys The job's log limit of 5 lines is reached: what is printed from here on is dropped.",
				"0.1 out [3 lines (6 bytes) of output were dropped here: the job's log limit of 5 lines was reached]",
			},
		},
		"truncates lines of each node": {
			&runnerv1.LogLimit{Lines: 3, PerNode: true, Truncate: true, Text: "3 lines for each node"}, 2,
			[]string{four},
			ok,
			[]string{
				"0.0 out a", "0.0 out b", "0.0 out c",
				"0.0 sys The job's log limit of 3 lines for each node is reached: what is printed from here on is dropped.",
				"0.0 out [1 line (2 bytes) of output were dropped here: the job's log limit of 3 lines for each node was reached]",
				"1.0 out a", "1.0 out b", "1.0 out c",
				"1.0 sys The job's log limit of 3 lines for each node is reached: what is printed from here on is dropped.",
				"1.0 out [1 line (2 bytes) of output were dropped here: the job's log limit of 3 lines for each node was reached]",
			},
		},
		"truncates bytes within a line": {
			&runnerv1.LogLimit{Bytes: 9, Truncate: true, Text: "9 bytes"}, 1,
			[]string{`hello\nworld\nagain\n`},
			ok,
			[]string{
				"0.0 out hello", "0.0 out wor",
				"0.0 sys The job's log limit of 9 bytes is reached: what is printed from here on is dropped.",
				"0.0 out [1 line (9 bytes) of output were dropped here: the job's log limit of 9 bytes was reached]",
			},
		},
		"halts what runs and all that would follow": {
			&runnerv1.LogLimit{Lines: 2, Text: "2 lines"}, 2,
			[]string{`a\nb\nc\nwait\n`, "never"},
			runnerv1.Outcome_OUTCOME_FAILED,
			[]string{
				"0.0 out a", "0.0 out b",
				"0.0 sys The job's log limit of 2 lines is reached: the steps are ended.",
				"0.0 sys The job's log limit of 2 lines was reached: the step was ended. Raise loglimit, or set loglimitAction: truncate.",
				"0.0 out [1 line (2 bytes) of output were dropped here: the job's log limit of 2 lines was reached]",
			},
		},
		"halts as aborted": {
			&runnerv1.LogLimit{Bytes: 1, Cancelled: true, Text: "1 byte"}, 1,
			[]string{`a\nwait\n`},
			runnerv1.Outcome_OUTCOME_CANCELLED,
			[]string{
				"0.0 out a",
				"0.0 sys The job's log limit of 1 byte is reached: the steps are ended.",
				"0.0 sys The job's log limit of 1 byte was reached: the step was ended. Raise loglimit, or set loglimitAction: truncate.",
				"0.0 out [1 byte of output were dropped here: the job's log limit of 1 byte was reached]",
			},
		},
		"the quota alone halts, counting all nodes together": {
			&runnerv1.LogLimit{Quota: 10}, 2,
			[]string{four, `never\nwait\n`, "never"},
			runnerv1.Outcome_OUTCOME_FAILED,
			[]string{
				"0.0 out a", "0.0 out b", "0.0 out c", "0.0 out d", "0.1 out ne",
				"0.1 sys The organisation's quota of 10 bytes for one execution is reached: the steps are ended.",
				"0.1 sys The organisation's quota of 10 bytes for one execution was reached: the step was ended. Print less, or have an administrator raise the quota (fairlead quota set --execution-log-bytes).",
				"0.1 out [4 bytes of output were dropped here: the organisation's quota of 10 bytes for one execution was reached]",
			},
		},
		"what the job truncates does not count against the quota": {
			&runnerv1.LogLimit{Lines: 1, PerNode: true, Truncate: true, Text: "1 line for each node", Quota: 4}, 2,
			[]string{four},
			ok,
			[]string{
				"0.0 out a",
				"0.0 sys The job's log limit of 1 line for each node is reached: what is printed from here on is dropped.",
				"0.0 out [3 lines (6 bytes) of output were dropped here: the job's log limit of 1 line for each node was reached]",
				"1.0 out a",
				"1.0 sys The job's log limit of 1 line for each node is reached: what is printed from here on is dropped.",
				"1.0 out [3 lines (6 bytes) of output were dropped here: the job's log limit of 1 line for each node was reached]",
			},
		},
		"the quota halts what the job would truncate later, as failed": {
			&runnerv1.LogLimit{Lines: 10, Truncate: true, Cancelled: true, Text: "10 lines", Quota: 7}, 1,
			[]string{`a\nb\nc\nd\nwait\n`},
			runnerv1.Outcome_OUTCOME_FAILED,
			[]string{
				"0.0 out a", "0.0 out b", "0.0 out c", "0.0 out d",
				"0.0 sys The organisation's quota of 7 bytes for one execution is reached: the steps are ended.",
				"0.0 sys The organisation's quota of 7 bytes for one execution was reached: the step was ended. Print less, or have an administrator raise the quota (fairlead quota set --execution-log-bytes).",
				"0.0 out [1 byte of output were dropped here: the organisation's quota of 7 bytes for one execution was reached]",
			},
		},
		"a limit that ends where the quota does is the job's": {
			&runnerv1.LogLimit{Bytes: 4, Truncate: true, Text: "4 bytes", Quota: 4}, 1,
			[]string{four},
			ok,
			[]string{
				"0.0 out a", "0.0 out b",
				"0.0 sys The job's log limit of 4 bytes is reached: what is printed from here on is dropped.",
				"0.0 out [2 lines (4 bytes) of output were dropped here: the job's log limit of 4 bytes was reached]",
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := &workbench{t: t, disk: memdisk.New().Mount(), spec: &runnerv1.Spec{
					Threads: 1, Keepgoing: true, Strategy: runnerv1.Strategy_STRATEGY_NODE_FIRST,
					Nodes: nodes(tt.nodes), Steps: steps(tt.steps...), LogLimit: tt.limit,
				}}
				attempt := w.run(nil)
				if got := w.log(attempt.disk); strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
					t.Errorf("the log is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
				}
				if got := Fold(attempt.plan, attempt.state); got != tt.outcome {
					t.Errorf("it ended %v, want %v", got, tt.outcome)
				}
			})
		})
	}
}

// survivor is an executor of commands that outlive the runner: each has printed all of
// its file, of which a runner reads as far as it lives.
type survivor struct {
	file string
	upTo int // the runner is killed when it has read so much; 0: it is not
	from []uint64
}

func (s *survivor) Prepare(context.Context, *Command) (Process, error) { return surviving{s, 0}, nil }

func (s *survivor) Reattach(_ context.Context, _ *Command, from Offsets) (Process, bool, error) {
	s.from = append(s.from, from.Last())
	return surviving{s, int(from.Last())}, true, nil
}

func (*survivor) Forget(context.Context, string) error { return nil }

type surviving struct {
	*survivor
	at int
}

func (surviving) Discard()      {}
func (surviving) About() string { return "" }

func (p surviving) Run(ctx context.Context, out Output) End {
	for line := range strings.Lines(p.file[p.at:]) {
		if p.upTo > 0 && p.at >= p.upTo {
			<-ctx.Done()
			return End{}
		}
		p.at += len(line)
		if err := out.WriteMasked(wire.Stdout, []byte(line), uint64(p.at)); err != nil {
			return End{Outcome: runnerv1.Outcome_OUTCOME_FAILED, Message: err.Error()}
		}
	}
	return End{Outcome: ok, Exited: true, EndProven: true}
}

// A runner that is killed counts on where it was, and what is dropped is accounted for
// whole: what was dropped before is read, and dropped, again.
func TestLogLimitOutlivesTheRunner(t *testing.T) {
	t.Parallel()
	for name, upTo := range map[string]int{"below the limit": 6, "beyond it": 18} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				fs := memdisk.New()
				s := &survivor{file: "one\ntwo\nthree\nfour\nfive\nsix\n", upTo: upTo}
				w := &workbench{t: t, disk: fs.Mount(), executor: s, spec: &runnerv1.Spec{
					Threads: 1, Strategy: runnerv1.Strategy_STRATEGY_NODE_FIRST, Nodes: nodes(1), Steps: steps("true"),
					LogLimit: &runnerv1.LogLimit{Lines: 3, Truncate: true, Text: "3 lines"},
				}}
				w.spec.Nodes[0].Attributes = map[string]string{"node-executor": ExecutorLocal}
				first, kill := context.WithCancelCause(t.Context())
				attempt := w.drive(first, w.offer(first), Working)
				if err := attempt.Granted(&runnerv1.Granted{BootId: []byte("boot")}, nil, 0); err != nil {
					t.Fatal(err)
				}
				go func() { _ = attempt.Run() }()
				<-time.After(time.Minute) // what was printed is in the spool
				fs.Kill()
				kill(ErrDetach)
				synctest.Wait()

				s.upTo, w.disk = 0, fs.Mount()
				second, end := context.WithCancel(t.Context())
				defer synctest.Wait()
				defer end()
				attempt = w.drive(second, w.reopen(second), Waiting)
				if err := errors.Join(attempt.Resumed(nil, 0, nil), attempt.Run()); err != nil {
					t.Fatal(err)
				}
				got := strings.Join(w.log(attempt.disk), "\n")
				want := "0.0 out one\n0.0 out two\n0.0 out three\n" +
					"0.0 sys The job's log limit of 3 lines is reached: what is printed from here on is dropped.\n"
				if rest, found := strings.CutPrefix(got, want); !found || !strings.HasSuffix(rest, "0.0 out [3 lines (14 bytes) of output were dropped here: the job's log limit of 3 lines was reached]") {
					t.Errorf("read on from %d, the log is\n%s", s.from, got)
				}
			})
		})
	}
}
