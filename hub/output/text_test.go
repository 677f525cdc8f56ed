package output_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/proto/wire"
)

// says cuts a chunk of what nodes print: "node text", with "..." at the end of a line
// that has no newline yet, or "system text" for the runner's own words.
func (s *spool) says(lines ...string) hub.Chunk {
	var frames []wire.Frame
	for _, l := range lines {
		who, data, _ := strings.Cut(l, " ")
		f := wire.Frame{Try: 1, Time: 1}
		if who == "system" {
			f.Stream = wire.System
		} else if _, err := fmt.Sscan(who, &f.Node); err != nil {
			panic(err)
		}
		data, partial := strings.CutSuffix(data, "...")
		if partial {
			f.Flags = wire.FlagPartial
		}
		f.Data = []byte(data)
		frames = append(frames, f)
	}
	return s.cut(frames)
}

// text returns a range of the text of a query.
func (r *rig) text(q output.Query, want output.ByteRange) string {
	r.t.Helper()
	q.OrganisationID, q.ExecutionID = org, r.e.ID
	ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Second)
	defer cancel()
	var b strings.Builder
	for part, err := range r.o.ReadText(ctx, q, want) {
		if err != nil {
			r.t.Fatal(err)
		}
		b.Write(part)
	}
	return b.String()
}

var all = output.ByteRange{End: -1}

func (r *rig) end() {
	r.t.Helper()
	err := r.st.InTx(r.t.Context(), func(st *store.Store) error {
		return st.EndExecutions(r.t.Context(), []store.Ending{{ID: r.e.ID, Outcome: hub.StatusSucceeded, EndedAt: st.Now()}})
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// A line of the text belongs to one node, however the nodes' pieces of lines come.
func TestTextKeepsNodesApart(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, []int{0, 1}, []int{0})
		first, second := r.attempts[0], r.attempts[1]
		r.send(first.says("0 Pass...", "system a word", "0 word: ...", "1 Pass...", "0 ok", "1 word...", "1 : ok"))
		r.send(first.says("0 same...", "1 a...", "1 b"))
		r.send(first.says("1 over...", "0 x", "1 the..."))
		r.send(first.says("system between"))
		r.send(first.says("1  cut", "0 open..."))
		r.send(first.says("1 last..."))
		r.send(second.says("0 other attempt..."))
		const whole = "Password: \nPass\nok\nword: ok\nsame\nab\nover\nx\nthe cut\nopen\nlast\nother attempt"
		if diff := cmp.Diff(whole, r.text(output.Query{}, all)); diff != "" {
			t.Errorf("text (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff("Password: ok\nab\nover", r.text(output.Query{Filter: output.Filter{Nodes: []int{1}}}, output.ByteRange{End: 20})); diff != "" {
			t.Errorf("of one node (-want +got):\n%s", diff)
		}
		r.end()
		if diff := cmp.Diff(whole, r.text(output.Query{Follow: true}, all)); diff != "" {
			t.Errorf("followed (-want +got):\n%s", diff)
		}
		r.everyRange(whole)
	})
}

// everyRange checks ranges from every byte of a text against cutting the whole.
func (r *rig) everyRange(whole string) {
	r.t.Helper()
	size := len(whole)
	for from := range size + 2 {
		for _, length := range []int{1, 5, size} {
			got := r.text(output.Query{}, output.ByteRange{First: int64(from), End: int64(from + length)})
			if want := whole[min(from, size):min(from+length, size)]; got != want {
				r.t.Fatalf("%d bytes from %d: %q, want %q", length, from, got, want)
			}
		}
		if got := r.text(output.Query{}, output.ByteRange{First: int64(from), End: -1}); got != whole[min(from, size):] {
			r.t.Fatalf("from byte %d: %q, want %q", from, got, whole[min(from, size):])
		}
	}
}

// Ranges of a random log are what cutting the whole gives, at each moment.
func TestRangesOfRandomLog(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, []int{0, 1}, []int{1, 0}, []int{0})
		rnd := rand.New(rand.NewPCG(7, 7))
		for range 3 {
			for range 7 {
				s := r.attempts[rnd.IntN(len(r.attempts))]
				var lines []string
				for range 1 + rnd.IntN(3) {
					lines = append(lines, []string{"0 a", "1 b", "0 c...", "1 d...", "0 ", "system s"}[rnd.IntN(6)])
				}
				r.send(s.says(lines...))
			}
			r.everyRange(r.text(output.Query{}, all))
		}
	})
}

// While an execution runs, a client that has read so far goes on behind it, within a
// line too.
func TestFollowFromByte(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, []int{0, 1})
		s := r.attempts[0]
		r.send(s.says("0 one", "0 tw..."))
		seen := int64(len(r.text(output.Query{}, all)))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		got, sent := "", false
		q := output.Query{OrganisationID: org, ExecutionID: r.e.ID, Follow: true}
		for part, err := range r.o.ReadText(ctx, q, output.ByteRange{First: seen - 1, End: seen + 9}) {
			if err != nil {
				t.Fatal(err)
			}
			got += string(part)
			if !sent {
				sent = true
				r.send(s.says("0 o", "1 three", "1 four"))
			}
		}
		if want := "wo\nthree\nf"; got != want {
			t.Errorf("followed %q, want %q", got, want)
		}
	})
}

// A range in a log of 100 MB reads the chunks that it lies in and no other: these are the
// only ones that can be read at all.
func TestRangeReadsItsChunksAlone(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, []int{0}, []int{1})
		const chunks, size = 200, 256 << 10 // of each attempt
		line := strings.Repeat("x", 1023)
		good := map[int]bool{0: true, 198: true, 199: true, 200: true, 396: true, 397: true, 399: true}
		for n, s := range r.attempts {
			r.store(s, chunks, size, func(seq int) []string {
				if !good[n*chunks+seq] {
					return nil
				}
				return slices.Repeat([]string{"0 " + line}, size/1024)
			})
		}
		whole := strings.Repeat(line+"\n", 2*chunks*size/1024)
		for _, want := range []output.ByteRange{
			{First: 0, End: 10},
			{First: 198*size + 5, End: 200*size - 5},
			{First: 200*size - 5, End: 200*size + 5},
			{First: 396 * size, End: 398 * size},
			{First: 400*size - 7, End: -1},
			{First: 400 * size, End: -1},
		} {
			end := want.End
			if end < 0 {
				end = int64(len(whole))
			}
			if got := r.text(output.Query{}, want); got != whole[want.First:end] {
				t.Errorf("bytes %d to %d are not those of the whole: %d bytes", want.First, want.End, len(got))
			}
		}
		rows, err := st.Chunks(t.Context(), r.attempts[0].fence.AttemptID, 3, 5*size, 100)
		if err != nil || len(rows) != 2 {
			t.Errorf("%d rows from chunk 3 to the end of chunk 4, %v", len(rows), err)
		}
	})
}

// store puts a log of so many chunks of one size into the rows as it stands; a chunk
// without lines is junk, which fails whoever reads it.
func (r *rig) store(s *spool, chunks, size int, lines func(seq int) []string) {
	r.t.Helper()
	log := store.LogAppend{AttemptID: s.fence.AttemptID, ExecutionID: r.e.ID, To: int64(chunks), Lines: int64(chunks), TextBytes: int64(chunks * size)}
	for seq := range chunks {
		row := store.ChunkRow{
			AttemptID: log.AttemptID, Seq: int64(seq), FirstLine: int64(seq), Lines: 1,
			FirstByte: int64(seq * size), TextBytes: int64(size), Nodes: []int{0}, Data: []byte("junk"),
		}
		if l := lines(seq); l != nil {
			c := s.says(l...)
			row.Lines, row.Data = c.Lines, c.Data
		}
		log.Chunks = append(log.Chunks, row)
	}
	err := r.st.InTx(r.t.Context(), func(st *store.Store) error {
		_, err := st.AppendChunks(r.t.Context(), []store.LogAppend{log}, 1, "m")
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
}
