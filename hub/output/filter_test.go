package output_test

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/proto/wire"
)

// printed is a line as a test knows it, in the words of the execution.
type printed struct {
	node, step int
	stream     wire.Stream
	at         int64
	text       string
}

// babble has the attempts of a rig print lines of all kinds, and returns them in the
// order of the workflow.
func (r *rig) babble(rnd *rand.Rand, nodes [][]int, chunks int) (all []printed) {
	r.t.Helper()
	for i, s := range r.attempts {
		for c := range chunks {
			// A chunk of one node alone, now and then, so that there is something to skip.
			alone := rnd.IntN(2*len(nodes[i]) + 1)
			var frames []wire.Frame
			for n := range 1 + rnd.IntN(6) {
				f := wire.Frame{Node: uint32(rnd.IntN(len(nodes[i]))), Step: uint32(rnd.IntN(3)), Try: 1, Time: rnd.Int64N(100), Stream: wire.Stream(rnd.IntN(3))}
				if alone < len(nodes[i]) {
					f.Node = uint32(alone)
				}
				f.Data = fmt.Appendf(nil, "attempt %d chunk %d line %d", i, c, n)
				frames = append(frames, f)
				all = append(all, printed{nodes[i][f.Node], int(f.Step), f.Stream, f.Time, string(f.Data)})
			}
			r.send(s.cut(frames))
		}
	}
	return all
}

// wanted is what a filter leaves, found the plain way.
func wanted(all []printed, f output.Filter) []string {
	var out []string
	for _, l := range all {
		step := l.step
		if step == 2 { // the handler of the second step
			step = 1
		}
		if (len(f.Nodes) == 0 || slices.Contains(f.Nodes, l.node)) && (f.Step == nil || *f.Step == step) &&
			(len(f.Streams) == 0 || slices.Contains(f.Streams, l.stream)) &&
			(f.Since.IsZero() || l.at >= f.Since.UnixMicro()) && (f.Until.IsZero() || l.at < f.Until.UnixMicro()) {
			out = append(out, l.text)
		}
	}
	return out
}

func TestFilters(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		nodes := [][]int{{1, 0}, {0}, {1}}
		r := newRig(t, st, nodes...)
		rnd := rand.New(rand.NewPCG(1, 2))
		all := r.babble(rnd, nodes, 40)
		for range 60 {
			var q output.Query
			if rnd.IntN(3) > 0 {
				q.Nodes = [][]int{{0}, {1}, {0, 1}}[rnd.IntN(3)]
			}
			if step := rnd.IntN(4); step < 2 {
				q.Step = &step
			}
			if rnd.IntN(2) == 0 {
				q.Streams = [][]wire.Stream{{wire.Stderr}, {wire.Stdout, wire.System}}[rnd.IntN(2)]
			}
			if rnd.IntN(2) == 0 {
				q.Since = time.UnixMicro(rnd.Int64N(60))
			}
			if rnd.IntN(2) == 0 {
				q.Until = time.UnixMicro(40 + rnd.Int64N(60))
			}
			want := wanted(all, q.Filter)
			got, cursors := r.read(q)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%+v (-want +got):\n%s", q.Filter, diff)
			}
			if len(want) == 0 {
				continue
			}
			at := rnd.IntN(len(want))
			n := 1 + rnd.IntN(len(want)+3)
			tail := q
			tail.Tail = int64(n)
			if got, _ := r.read(tail); !slices.Equal(got, want[max(0, len(want)-n):]) {
				t.Errorf("the last %d of %+v: %q, want %q", n, q.Filter, got, want[max(0, len(want)-n):])
			}
			tail.Cursor = cursors[at]
			if got, _ := r.read(tail); !slices.Equal(got, want[max(at+1, len(want)-n):]) {
				t.Errorf("the last %d behind line %d of %+v: %q, want %q", n, at, q.Filter, got, want[max(at+1, len(want)-n):])
			}
			back := q
			back.Cursor, back.Back, back.Lines = cursors[at], int64(n), int64(n)
			if from := max(0, at+1-n); !slices.Equal(mustRead(r, back), want[from:min(len(want), from+n)]) {
				t.Errorf("%d lines in front of line %d of %+v are not those", n, at, q.Filter)
			}
		}
	})
}

func mustRead(r *rig, q output.Query) []string {
	r.t.Helper()
	lines, _ := r.read(q)
	return lines
}

// A cursor that lies behind the end of its log, and as far as a number goes, is the end.
func TestBackFromBehindTheEnd(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, []int{0}, []int{0})
		s := r.attempts[0]
		r.send(s.print("0.0 a", "0.0 b", "0.0 c"))
		_, cursors := r.read(output.Query{})
		raw, err := base64.RawURLEncoding.DecodeString(cursors[0])
		if err != nil {
			t.Fatal(err)
		}
		const version, key = 1, 6
		far := append(binary.AppendUvarint(raw[:version+key:version+key], 1<<62), 0)
		if got := mustRead(r, output.Query{Cursor: base64.RawURLEncoding.EncodeToString(far), Back: 2}); !slices.Equal(got, []string{"0.0 b", "0.0 c"}) {
			t.Errorf("it reads %q", got)
		}
	})
}

// Chunks that lie elsewhere, or are of other nodes, are not read: those here would fail.
func TestUnwantedChunksAreNotRead(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, []int{0, 1}, []int{0})
		s := r.attempts[0]
		good := s.print("1.0 wanted", "1.0 too")
		rows := make([]store.ChunkRow, 3000)
		for i := range rows {
			rows[i] = store.ChunkRow{AttemptID: s.fence.AttemptID, Seq: int64(i), FirstLine: int64(2 * i), Lines: 2, Nodes: []int{0}, Data: []byte("junk")}
		}
		const at = 2500
		rows[at].Nodes, rows[at].Data = []int{1}, good.Data
		err := st.InTx(t.Context(), func(st *store.Store) error {
			_, err := st.AppendChunks(t.Context(), []store.LogAppend{{
				AttemptID: s.fence.AttemptID, ExecutionID: r.e.ID, To: int64(len(rows)), Lines: int64(2 * len(rows)), Chunks: rows,
			}}, 1, "m")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		node := output.Filter{Nodes: []int{1}}
		for name, q := range map[string]output.Query{
			"a range of lines": {FirstLine: 2*at + 1, Lines: 1},
			"a node":           {Filter: node, FirstLine: 1},
			"the end":          {Filter: node, Tail: 1},
		} {
			if got := mustRead(r, q); !slices.Equal(got, []string{"1.0 too"}) {
				t.Errorf("%s: %q", name, got)
			}
		}
		_, cursors := r.read(output.Query{FirstLine: 2 * at, Lines: 2})
		if got := mustRead(r, output.Query{Cursor: cursors[1], Back: 1, Lines: 1}); !slices.Equal(got, []string{"1.0 too"}) {
			t.Errorf("back: %q", got)
		}
	})
}
