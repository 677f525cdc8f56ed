package output_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/archive/archivetest"
	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/proto/wire"
)

// search reads all pages of a search.
func (r *rig) search(q output.Search) (matches []output.Match, pages int) {
	r.t.Helper()
	q.OrganisationID, q.ExecutionID = org, r.e.ID
	if q.Limit == 0 {
		q.Limit = 1000
	}
	if q.Within == 0 {
		q.Within = time.Minute
	}
	for pages < 10_000 {
		found, err := r.o.Search(r.t.Context(), &q)
		if err != nil {
			r.t.Fatal(err)
		}
		pages++
		matches = append(matches, found.Matches...)
		if found.Next == "" {
			if found.Reached != found.Lines {
				r.t.Errorf("the last page reached line %d of %d", found.Reached, found.Lines)
			}
			return matches, pages
		}
		if found.Reached > found.Lines {
			r.t.Errorf("a page reached line %d of %d", found.Reached, found.Lines)
		}
		q.Cursor = found.Next
	}
	r.t.Fatal("the pages have no end")
	return nil, 0
}

func texts(matches []output.Match) (out []string) {
	for i := range matches {
		out = append(out, string(matches[i].Line.Data))
	}
	return out
}

func TestSearch(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, []int{0, 1}, []int{1})
		first, second := r.attempts[0], r.attempts[1]
		r.send(first.says("0 one disk full", "1 two", "system DISK of a runner", "0 \x1b[31mdi\x1b[1msk\x1b[0m three"))
		r.send(first.says("0 a line in pie...", "1 between", "0 ces, of a disk"))
		r.send(first.says("0 \u017fa Stra\u00dfe", "1 \xff\xfebad disk\r"))
		r.send(second.says("0 disk again", "0 \x1b]0;disk in a title\x07none", "0 \x1b]8;;disk"))
		for _, tt := range []struct {
			p    output.Pattern
			f    output.Filter
			want []string
		}{
			{output.Pattern{Text: "disk"}, output.Filter{}, []string{"one disk full", "disk three", "a line in pieces, of a disk", "\xff\xfebad disk", "disk again", "8;;disk"}},
			{output.Pattern{Text: "Disk", IgnoreCase: true}, output.Filter{Nodes: []int{0}}, []string{"one disk full", "disk three", "a line in pieces, of a disk", "DISK of a runner"}},
			{output.Pattern{Text: "DISK"}, output.Filter{Streams: []wire.Stream{wire.System}}, []string{"DISK of a runner"}},
			{output.Pattern{Text: "pieces"}, output.Filter{}, []string{"a line in pieces, of a disk"}},
			{output.Pattern{Text: "^ces", Regex: true}, output.Filter{}, nil},
			{output.Pattern{Text: "disk$", Regex: true}, output.Filter{}, []string{"a line in pieces, of a disk", "\xff\xfebad disk", "8;;disk"}},
			{output.Pattern{Text: "t(hree|wo)|again", Regex: true}, output.Filter{}, []string{"two", "disk three", "disk again"}},
			{output.Pattern{Text: "SA STRA\u00dfE", IgnoreCase: true}, output.Filter{}, []string{"\u017fa Stra\u00dfe"}},
			{output.Pattern{Text: "one.disk", Regex: false}, output.Filter{}, nil},
			{output.Pattern{Text: "title"}, output.Filter{}, nil},
		} {
			for _, limit := range []int{0, 1, 2} {
				matches, _ := r.search(output.Search{Pattern: tt.p, Filter: tt.f, Limit: limit})
				got := texts(matches)
				want := slices.Clone(tt.want)
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Errorf("%+v %+v by %d: %q, want %q", tt.p, tt.f, limit, got, want)
				}
			}
		}
	})
}

// Every expression finds in all of a log what it finds in each of its lines, however the
// lines were cut into pieces, chunks and pages.
func TestSearchFindsWhatLinesHold(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, []int{0, 1})
		rnd := rand.New(rand.NewPCG(3, 4))
		var lines []string
		open := map[int]string{}
		words := []string{"err", "or", "Kelvin", "k\u212a", "\x1b[1m", " ", "fail", "ed", "\u00e4", "\xff", "x"}
		for range 60 {
			var frames []wire.Frame
			for range 1 + rnd.IntN(8) {
				node := rnd.IntN(2)
				var b strings.Builder
				for range rnd.IntN(4) {
					b.WriteString(words[rnd.IntN(len(words))])
				}
				f := wire.Frame{Node: uint32(node), Try: 1, Data: []byte(b.String())}
				open[node] += b.String()
				if rnd.IntN(4) == 0 {
					f.Flags = wire.FlagPartial
				} else {
					lines = append(lines, open[node])
					delete(open, node)
				}
				frames = append(frames, f)
			}
			r.send(r.attempts[0].cut(frames))
		}
		for _, rest := range open {
			lines = append(lines, rest)
		}
		for _, text := range []string{"error", "(err|fail)ed", "(?i)KELVIN", "(?i)kk", "^x", "x.*k", "fail.?ed|\u00e4", "\ufffd", "[a-f]{3}r"} {
			re := regexp.MustCompile(text)
			want := 0
			for _, l := range lines {
				if re.MatchString(strings.ReplaceAll(l, "\x1b[1m", "")) {
					want++
				}
			}
			for _, limit := range []int{1000, 3} {
				got, _ := r.search(output.Search{Pattern: output.Pattern{Text: text, Regex: true}, Limit: limit})
				if len(got) != want {
					t.Errorf("%s by %d: %d lines, want %d", text, limit, len(got), want)
				}
			}
		}
	})
}

func TestSearchPositions(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, []int{0}, []int{0})
		for i, s := range r.attempts {
			for c := range 20 {
				r.send(s.print(fmt.Sprintf("0.0 attempt %d chunk %d", i, c), "0.0 other", "0.1 other step"))
			}
		}
		matches, pages := r.search(output.Search{Pattern: output.Pattern{Text: "attempt"}, Limit: 7, Context: 2})
		if len(matches) != 40 || pages != 6 {
			t.Fatalf("%d matches on %d pages", len(matches), pages)
		}
		all, _ := r.read(output.Query{})
		for i := range matches {
			m := &matches[i]
			if m.AttemptID != r.attempts[i/20].fence.AttemptID || m.Line.N != int64(3*(i%20)) {
				t.Errorf("match %d is line %d of %s", i, m.Line.N, m.AttemptID)
			}
			at := 3 * i
			if got := mustRead(r, output.Query{Cursor: m.Before, Lines: 1}); !slices.Equal(got, all[at:at+1]) {
				t.Errorf("from the position before match %d: %q", i, got)
			}
			if got := mustRead(r, output.Query{Cursor: m.After, Lines: 1}); !slices.Equal(got, all[at+1:at+2]) {
				t.Errorf("from the position behind match %d: %q", i, got)
			}
			var near []string
			for _, l := range append(m.Ahead, m.Behind...) {
				near = append(near, string(l.Data))
			}
			want := slices.Concat(all[max(0, at-2):at], all[at+1:at+3])
			if diff := cmp.Diff(want, near); diff != "" {
				t.Errorf("around match %d (-want +got):\n%s", i, diff)
			}
		}
	})
}

// A page that has no time left ends where it is and says so; the next one goes on.
func TestSearchIsBoundedInTime(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, []int{0})
		for i := range 50 {
			r.send(r.attempts[0].print(fmt.Sprint("0.0 line ", i), "0.0 needle"))
		}
		matches, pages := r.search(output.Search{Pattern: output.Pattern{Text: "needle"}, Within: time.Nanosecond})
		if len(matches) != 50 || pages < 40 {
			t.Errorf("%d matches on %d pages", len(matches), pages)
		}
	})
}

func TestSearchIsBoundedInMemory(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, []int{0})
		long := strings.Repeat("x", 20_000) + "needle" + strings.Repeat("y", 10_000)
		var frames []wire.Frame
		for range 8 {
			frames = append(frames, wire.Frame{Try: 1, Data: []byte(long)})
		}
		r.send(r.attempts[0].cut(frames))
		matches, _ := r.search(output.Search{Pattern: output.Pattern{Text: "needle"}})
		if len(matches) != 8 {
			t.Fatalf("%d matches", len(matches))
		}
		m := &matches[0]
		if len(m.Line.Data) > 4096 || !m.Cut || len(m.Marks) != 1 || string(m.Line.Data[m.Marks[0][0]:m.Marks[0][1]]) != "needle" {
			t.Errorf("%d bytes, cut %v, marks %v", len(m.Line.Data), m.Cut, m.Marks)
		}
	})
}

// A runner that begins lines in ever new tries does not make the hub keep all of them.
func TestSearchOfManyOpenLines(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, []int{0})
		const tries, most = 6000, 4096
		r.send(r.attempts[0].cut(inTries(tries, "needle in ", wire.FlagPartial)))
		r.send(r.attempts[0].cut(inTries(tries, "a haystack", 0)))
		matches, _ := r.search(output.Search{Pattern: output.Pattern{Text: "in a hay"}, Limit: 2 * tries})
		if len(matches) != most {
			t.Errorf("%d lines in pieces were put together, want %d of %d", len(matches), most, tries)
		}
	})
}

// inTries is a text in each of some tries.
func inTries(tries int, text string, flags uint8) (frames []wire.Frame) {
	for try := range tries {
		frames = append(frames, wire.Frame{Try: uint32(try + 1), Flags: flags, Data: []byte(text)})
	}
	return frames
}

func TestSearchRefuses(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, []int{0})
		for _, p := range []output.Pattern{{}, {Text: "(", Regex: true}, {Text: `(a)\1`, Regex: true}, {Text: "((a{100}){100}){100}", Regex: true}, {Text: strings.Repeat("x", 2000)}} {
			_, err := r.o.Search(t.Context(), &output.Search{OrganisationID: org, ExecutionID: r.e.ID, Pattern: p, Limit: 1, Within: time.Second})
			if hub.ErrorCode(err) != hub.CodeInvalid {
				t.Errorf("%.20q: %v", p.Text, err)
			}
		}
	})
}

// What stands around a match is read beside the chunks that are looked through next: of an
// archived log, the second attempt's place is found while the first one's end is shown.
func TestSearchContextBesideScan(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		r := busy(t, st)
		r.send(r.attempts[0].says("0 before", "0 needle"))
		r.send(r.attempts[1].says("1 behind"))
		r.finish(0)
		in, _ := archivetest.OpenDirectory(t)
		pack(t, packer(t, st, "m", in), lead(t, st, "m"), 2, 0)
		r.archives.Current = in
		for range 20 {
			found, _ := r.search(output.Search{Filter: output.Filter{Nodes: []int{0, 1}}, Pattern: output.Pattern{Text: "needle"}, Context: 1})
			if len(found) != 1 || len(found[0].Ahead) != 1 || string(found[0].Ahead[0].Data) != "before" || len(found[0].Behind) != 1 {
				t.Fatalf("%+v", found)
			}
		}
	})
}
