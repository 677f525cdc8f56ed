package output_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/archive"
	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
	"github.com/fairlead/fairlead/proto/wire"
)

const org = hub.DefaultOrganisationID

// rig is an output over an execution of two nodes and two steps (the second with a
// handler), with one claimed attempt for each list of nodes.
type rig struct {
	t        testing.TB
	st       *store.Store
	o        *output.Output
	e        *store.ExecutionRow
	attempts []*spool
	accused  chan string
	whole    chan string
	archives archive.Archives
}

// spool is what a runner has printed.
type spool struct {
	fence  hub.Fence
	runner string
	chunks []hub.Chunk
}

func newRig(t testing.TB, st *store.Store, nodes ...[]int) *rig {
	t.Helper()
	r := &rig{t: t, st: st, accused: make(chan string, 10), whole: make(chan string, 10)}
	def := &hub.Job{Name: "job", Workflow: hub.Workflow{Steps: []hub.Step{{Exec: "a"}, {Exec: "b", ErrorHandler: &hub.Step{Exec: "h"}}}}}
	r.e = &store.ExecutionRow{Execution: hub.Execution{ID: store.NewID(), OrganisationID: org, ProjectID: "p", CreatedAt: st.Now()}, Slices: len(nodes), NodeCount: 2}
	spec := &store.ExecutionSpec{Definition: def, Nodes: []hub.Node{{Name: "a"}, {Name: "b"}}, Threads: 1}
	err := st.InTx(t.Context(), func(st *store.Store) error {
		if err := st.InsertExecutions(t.Context(), []*store.ExecutionRow{r.e}, []*store.ExecutionSpec{spec}); err != nil {
			return err
		}
		for i, list := range nodes {
			a := &store.AssignmentRow{Assignment: hub.Assignment{
				ID: store.NewID(), ExecutionID: r.e.ID, OrganisationID: org, Position: i, Nodes: list, Steps: []int{0, 1}, State: hub.AssignmentActive, Attempts: 1,
			}}
			if err := st.InsertAssignments(t.Context(), []*store.AssignmentRow{a}); err != nil {
				return err
			}
			runner := &hub.Runner{OrganisationID: org, Name: fmt.Sprintf("r%d-%s", i, r.e.ID)}
			if err := st.CreateRunner(t.Context(), runner); err != nil {
				return err
			}
			at := &store.AttemptRow{Attempt: hub.Attempt{
				Fence: hub.Fence{AttemptID: store.NewID(), Epoch: 1}, AssignmentID: a.ID, ExecutionID: r.e.ID, OrganisationID: org, RunnerID: runner.ID,
			}}
			if err := st.InsertAttempts(t.Context(), []*store.AttemptRow{at}); err != nil {
				return err
			}
			err := st.PutSessions(t.Context(), []string{org}, []hub.RunnerSession{{RunnerID: runner.ID, MemberID: "m", Confirmed: 1, Nonce: []byte("n"), BootID: []byte("b"), HostID: []byte("h")}})
			if err != nil {
				return err
			}
			_, err = st.ClaimAttempts(t.Context(), []store.ClaimAsk{{AttemptID: at.AttemptID, RunnerID: runner.ID, Session: 1}}, 1, store.ClaimRules{})
			if err != nil {
				return err
			}
			r.attempts = append(r.attempts, &spool{fence: at.Fence, runner: runner.ID})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r.o = output.New(st, output.Config{
		MemberID: "m", Clock: func() (int64, hub.DBMark) { return 1, hub.DBMark{} }, Poll: 5 * time.Millisecond, Archives: &r.archives,
		Whole: func(_ context.Context, ids []string) {
			for _, id := range ids {
				r.whole <- id
			}
		},
		Accuse: func(_ context.Context, _ hub.Fence, _, why string) { r.accused <- why },
	}, storetest.Logger(t))
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.o.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return r
}

var encoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return e
})

// print cuts a chunk of lines of a cell, "node.step text".
func (s *spool) print(lines ...string) hub.Chunk {
	var frames []wire.Frame
	for _, l := range lines {
		f := wire.Frame{Try: 1, Time: 1, Data: []byte(l)}
		if _, err := fmt.Sscanf(l, "%d.%d", &f.Node, &f.Step); err != nil {
			panic(err)
		}
		frames = append(frames, f)
	}
	return s.cut(frames)
}

// cut makes the next chunk of frames.
func (s *spool) cut(list []wire.Frame) hub.Chunk {
	var frames []byte
	var nodes []int
	for _, f := range list {
		if !slices.Contains(nodes, int(f.Node)) {
			nodes = append(nodes, int(f.Node))
		}
		frames = wire.AppendFrame(frames, f)
	}
	var prev [32]byte
	if n := len(s.chunks); n > 0 {
		prev = s.chunks[n-1].Hash
	}
	c := hub.Chunk{
		RunnerID: s.runner, Fence: s.fence, Seq: int64(len(s.chunks)), Lines: len(list), Bytes: len(frames),
		Hash: wire.NextChunkHash(prev, uint64(len(s.chunks)), frames), Data: encoder().EncodeAll(frames, nil), Nodes: nodes,
	}
	s.chunks = append(s.chunks, c)
	return c
}

// send appends chunks and returns the one answer.
func (r *rig) send(chunks ...hub.Chunk) hub.ChunkAck {
	r.t.Helper()
	acks, err := r.o.Append(r.t.Context(), chunks)
	if err != nil || len(acks) != 1 {
		r.t.Fatalf("append: %+v, %v", acks, err)
	}
	return acks[0]
}

// read returns the lines of a query, and the cursor after each.
func (r *rig) read(q output.Query) (lines, cursors []string) {
	r.t.Helper()
	q.OrganisationID, q.ExecutionID = org, r.e.ID
	ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Second)
	defer cancel()
	for b, err := range r.o.Read(ctx, q) {
		if err != nil {
			r.t.Fatal(err)
		}
		for i, l := range b.Lines {
			lines = append(lines, string(l.Data))
			cursors = append(cursors, b.CursorAt(i))
		}
		if b.CursorAt(len(b.Lines)-1) == "" || b.Cursor() == "" {
			r.t.Error("a batch without a cursor")
		}
	}
	return lines, cursors
}

func both(t *testing.T, test func(t *testing.T, st *store.Store)) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) { test(t, open(t)) })
}

func TestAppend(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, []int{0, 1})
		s := r.attempts[0]
		for range 5 {
			s.print("0.0 x", "1.0 y")
		}
		for _, tt := range []struct {
			name   string
			chunks []hub.Chunk
			want   hub.ChunkAck
		}{
			{"a gap", s.chunks[1:2], hub.ChunkAck{NextSeq: 0, Nack: true}},
			{"the first two", s.chunks[:2], hub.ChunkAck{NextSeq: 2}},
			{"again", s.chunks[:2], hub.ChunkAck{NextSeq: 2}},
			{"overlapping", s.chunks[1:3], hub.ChunkAck{NextSeq: 3}},
			{"out of order", []hub.Chunk{s.chunks[4], s.chunks[3]}, hub.ChunkAck{NextSeq: 5}},
		} {
			tt.want.Fence = s.fence
			if diff := cmp.Diff(tt.want, r.send(tt.chunks...)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.name, diff)
			}
		}
		lines, _ := r.read(output.Query{})
		if len(lines) != 10 {
			t.Errorf("%d lines, want 10", len(lines))
		}
	})
}

func TestAppendRefuses(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, []int{0, 1})
		s := r.attempts[0]
		good := s.print("0.0 x")
		change := func(f func(c *hub.Chunk)) hub.Chunk {
			c := good
			f(&c)
			return c
		}
		for name, c := range map[string]hub.Chunk{
			"not compressed":     change(func(c *hub.Chunk) { c.Data = []byte("junk") }),
			"other line count":   change(func(c *hub.Chunk) { c.Lines = 7 }),
			"other size":         change(func(c *hub.Chunk) { c.Bytes++ }),
			"too large":          change(func(c *hub.Chunk) { c.Bytes = 1 << 30 }),
			"another runner":     change(func(c *hub.Chunk) { c.RunnerID = "another" }),
			"another epoch":      change(func(c *hub.Chunk) { c.Fence.Epoch = 2 }),
			"an unknown attempt": change(func(c *hub.Chunk) { c.Fence.AttemptID = "x" }),
			"another chain":      change(func(c *hub.Chunk) { c.Hash[0]++ }),
			"padded":             change(func(c *hub.Chunk) { c.Data = padded(c.Data, 300<<10) }),
			"no such node":       change(func(c *hub.Chunk) { c.Nodes = []int{1<<31 + 1} }),
			"too many nodes":     change(func(c *hub.Chunk) { c.Nodes = slices.Repeat([]int{0}, 1000) }),
		} {
			if ack := r.send(c); !ack.Nack || !ack.Lasting || ack.Message == "" {
				t.Errorf("%s: %+v", name, ack)
			}
		}
		receive(t, r.accused)
		if ack := r.send(good); ack.NextSeq != 1 || ack.Nack {
			t.Errorf("the good one: %+v", ack)
		}
		// Another chunk under the same number.
		other := &spool{fence: s.fence, runner: s.runner}
		if ack := r.send(other.print("0.0 forged")); !ack.Lasting {
			t.Errorf("a forged repeat: %+v", ack)
		}
		receive(t, r.accused)
	})
}

// What comes in one commit with what somebody else sends under the attempt's id, whatever
// fence that bears, is stored and answered as if it had come alone.
func TestAppendBesideForged(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		for name, forge := range map[string]func(c *hub.Chunk){
			"another runner":      func(c *hub.Chunk) { c.RunnerID = "another" },
			"another epoch":       func(c *hub.Chunk) { c.Fence.Epoch = 2 },
			"another incarnation": func(c *hub.Chunk) { c.Fence.Incarnation = 7 },
		} {
			for _, first := range []bool{true, false} {
				r := newRig(t, st, []int{0})
				good := r.attempts[0].print("0.0 x")
				forged := good
				forge(&forged)
				list := []hub.Chunk{good, forged}
				if first {
					slices.Reverse(list)
				}
				acks, err := r.o.Append(t.Context(), list)
				if err != nil {
					t.Fatal(err)
				}
				for _, a := range acks {
					if a.Fence == good.Fence && forged.Fence != good.Fence && (a.Nack || a.NextSeq != 1) {
						t.Errorf("%s, first: %v: %+v", name, first, a)
					}
				}
				if got, _ := r.read(output.Query{}); len(got) != 1 {
					t.Errorf("%s, first: %v: %q is stored", name, first, got)
				}
			}
		}
	})
}

// padded makes compressed bytes more by a frame that decoders skip.
func padded(data []byte, more uint32) []byte {
	head := binary.LittleEndian.AppendUint32([]byte{0x50, 0x2a, 0x4d, 0x18}, more)
	return slices.Concat(head, make([]byte, more), data)
}

func receive(t *testing.T, from <-chan string) string {
	t.Helper()
	select {
	case s := <-from:
		return s
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came within 10 s")
		return ""
	}
}

func TestRead(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, []int{1}, []int{0})
		first, second := r.attempts[0], r.attempts[1]
		// Cells are of the spec: node 0 of the first attempt is node 1 of the execution.
		r.send(second.print("0.0 s1", "0.1 s2"))
		r.send(first.print("0.0 f1", "0.1 f2"))
		r.send(first.print("0.2 f3"))
		r.send(second.print("0.0 s3"))
		// In the order of the workflow, whatever came first.
		all := []string{"0.0 f1", "0.1 f2", "0.2 f3", "0.0 s1", "0.1 s2", "0.0 s3"}
		one := func(n int) *int { return &n }
		for _, tt := range []struct {
			name string
			q    output.Query
			want []string
		}{
			{"all", output.Query{}, all},
			{"a node", output.Query{Filter: output.Filter{Nodes: []int{0}}}, all[3:]},
			{"a step with its handler", output.Query{Filter: output.Filter{Step: one(1)}}, []string{"0.1 f2", "0.2 f3", "0.1 s2"}},
			{"a cell", output.Query{Filter: output.Filter{Nodes: []int{1}, Step: one(0)}}, all[:1]},
			{"from a line", output.Query{FirstLine: 4}, all[4:]},
			{"a range", output.Query{FirstLine: 1, Lines: 3}, all[1:4]},
			{"beyond", output.Query{FirstLine: 100}, nil},
			{"tail", output.Query{Tail: 2}, all[4:]},
			{"a long tail", output.Query{Tail: 100}, all},
			{"tail of a step", output.Query{Filter: output.Filter{Step: one(1)}, Tail: 2}, []string{"0.2 f3", "0.1 s2"}},
			{"range of a node", output.Query{Filter: output.Filter{Nodes: []int{0}}, FirstLine: 1, Lines: 1}, all[4:5]},
		} {
			if got, _ := r.read(tt.q); !slices.Equal(got, tt.want) {
				t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
			}
		}
		_, cursors := r.read(output.Query{})
		for i, c := range cursors {
			if got, _ := r.read(output.Query{Cursor: c}); !slices.Equal(got, append([]string(nil), all[i+1:]...)) && len(got)+i+1 != len(all) {
				t.Errorf("after line %d: %q, want %q", i, got, all[i+1:])
			}
		}
		for b, err := range r.o.Read(t.Context(), output.Query{OrganisationID: org, ExecutionID: r.e.ID, Filter: output.Filter{Nodes: []int{0}}}) {
			if err != nil {
				t.Fatal(err)
			}
			if l := b.Lines[0]; l.Node != 0 || l.Step != 0 || l.Try != 1 {
				t.Errorf("line is %+v", l)
			}
			break
		}
		for _, err := range r.o.Read(t.Context(), output.Query{OrganisationID: org, ExecutionID: r.e.ID, Cursor: "junk"}) {
			if hub.ErrorCode(err) != hub.CodeInvalid {
				t.Errorf("a bad cursor: %v", err)
			}
		}
		for _, err := range r.o.Read(t.Context(), output.Query{OrganisationID: "another", ExecutionID: r.e.ID}) {
			if hub.ErrorCode(err) != hub.CodeNotFound {
				t.Errorf("another organisation: %v", err)
			}
		}
	})
}

// TestFollow follows while chunks come, breaks off again and again and goes on with the
// cursor: every line comes once and in order.
func TestFollow(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, []int{0, 1})
		s := r.attempts[0]
		const chunks = 60
		var want []string
		for i := range chunks {
			a, b := fmt.Sprintf("0.0 line %d", 2*i), fmt.Sprintf("1.1 line %d", 2*i+1)
			s.print(a, b)
			want = append(want, a, b)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range s.chunks {
				if _, err := r.o.Append(t.Context(), s.chunks[i:i+1]); err != nil {
					t.Error(err)
				}
			}
		})
		var got []string
		cursor := ""
		for len(got) < len(want) {
			n := 0
			for b, err := range r.o.Read(t.Context(), output.Query{OrganisationID: org, ExecutionID: r.e.ID, Cursor: cursor, Follow: true}) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, string(b.Lines[0].Data))
				cursor = b.CursorAt(0)
				if n++; n == 7 || len(got) == len(want) {
					break
				}
				for i := 1; i < len(b.Lines); i++ {
					got = append(got, string(b.Lines[i].Data))
					cursor = b.CursorAt(i)
				}
				if len(got) == len(want) {
					break
				}
			}
		}
		wg.Wait()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("followed (-want +got):\n%s", diff)
		}
	})
}

func TestFollowEnds(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, []int{0, 1})
		s := r.attempts[0]
		r.send(s.print("0.0 x"))
		done := make(chan []string)
		go func() {
			lines, _ := r.read(output.Query{Follow: true})
			done <- lines
		}()
		r.send(s.print("0.0 y"))
		err := st.InTx(t.Context(), func(st *store.Store) error {
			return st.EndExecutions(t.Context(), []store.Ending{{ID: r.e.ID, Outcome: hub.StatusSucceeded, EndedAt: st.Now()}})
		})
		if err != nil {
			t.Fatal(err)
		}
		if lines := <-done; !slices.Equal(lines, []string{"0.0 x", "0.0 y"}) {
			t.Errorf("followed %q", lines)
		}
	})
}

func TestFollowedIsTold(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, []int{0, 1})
		s := r.attempts[0]
		if r.send(s.print("0.0 x")).Followed {
			t.Error("nobody follows")
		}
		for b, err := range r.o.Read(t.Context(), output.Query{OrganisationID: org, ExecutionID: r.e.ID, Follow: true}) {
			if err != nil || len(b.Lines) != 1 {
				t.Fatalf("%+v, %v", b, err)
			}
			if !r.send(s.print("0.0 y")).Followed {
				t.Error("somebody follows")
			}
			break
		}
	})
}

func TestResultThenChunks(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, []int{0, 1})
		s := r.attempts[0]
		s.print("0.0 x")
		s.print("0.0 y")
		err := st.InTx(t.Context(), func(st *store.Store) error {
			_, _, err := st.ExpectLog(t.Context(), s.fence.AttemptID, r.e.ID, 2, s.chunks[1].Hash, 1)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		r.send(s.chunks[0])
		r.send(s.chunks[1])
		if id := receive(t, r.whole); id != r.e.ID {
			t.Errorf("whole is %s", id)
		}
		if ack := r.send(s.print("0.0 z")); !ack.Lasting {
			t.Errorf("a chunk behind the last: %+v", ack)
		}
	})
}

func TestLostCommitIsSentAgain(t *testing.T) {
	t.Parallel()
	var cut bool
	st := storetest.New(t, func(c *store.Config) {
		c.Fault = func(point string) error {
			if cut && point == store.FaultCommitted {
				cut = false
				return &hub.Error{Code: hub.CodeUnavailable, Message: "cut"}
			}
			return nil
		}
	})
	r := newRig(t, st, []int{0, 1})
	c := r.attempts[0].print("0.0 x")
	cut = true
	if _, err := r.o.Append(t.Context(), []hub.Chunk{c}); hub.ErrorCode(err) != hub.CodeUnavailable {
		t.Fatalf("append: %v", err)
	}
	if ack := r.send(c); ack.NextSeq != 1 {
		t.Errorf("sent again: %+v", ack)
	}
	if lines, _ := r.read(output.Query{}); strings.Join(lines, "|") != "0.0 x" {
		t.Errorf("log is %q", lines)
	}
}
