package output_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/archive"
	"github.com/fairlead/fairlead/hub/archive/archivetest"
	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
	"github.com/fairlead/fairlead/proto/wire"
)

// finish makes the logs of a rig whole and ends its execution some time ago.
func (r *rig) finish(ago time.Duration) {
	r.t.Helper()
	err := r.st.InTx(r.t.Context(), func(st *store.Store) error {
		for _, s := range r.attempts {
			if len(s.chunks) == 0 {
				continue
			}
			if _, _, err := st.ExpectLog(r.t.Context(), s.fence.AttemptID, r.e.ID, int64(len(s.chunks)), s.chunks[len(s.chunks)-1].Hash, 1); err != nil {
				return err
			}
		}
		return st.EndExecutions(r.t.Context(), []store.Ending{{ID: r.e.ID, Outcome: hub.StatusSucceeded, EndedAt: st.Now().Add(-ago)}})
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// lead gives the archive's lease to a member.
func lead(t *testing.T, st *store.Store, member string) (term int64) {
	t.Helper()
	l, err := st.TakeLeaderLease(t.Context(), hub.LeaseArchive, member, 6, true)
	if err != nil || l == nil {
		t.Fatalf("taking the lease: %+v, %v", l, err)
	}
	return l.Term
}

// unlead takes it away from a member that does not know.
func unlead(t *testing.T, st *store.Store, member string, term int64) {
	t.Helper()
	if err := st.EndLeaderLease(t.Context(), hub.LeaseArchive, member, term); err != nil {
		t.Fatal(err)
	}
}

func packer(t *testing.T, st *store.Store, member string, in archive.Archive) *output.Packer {
	t.Helper()
	path, err := archive.ParsePath(archive.DefaultPath)
	if err != nil {
		t.Fatal(err)
	}
	return output.NewPacker(st, output.PackerConfig{MemberID: member, Archives: &archive.Archives{Current: in}, Path: path}, storetest.Logger(t))
}

// pack packs what waits and says how that went.
func pack(t *testing.T, p *output.Packer, term int64, packed, failed int) {
	t.Helper()
	gotPacked, gotFailed, err := p.Pack(t.Context(), term)
	if err != nil || gotPacked != packed || gotFailed != failed {
		t.Fatalf("%d packed, %d failed, %v; want %d and %d", gotPacked, gotFailed, err, packed, failed)
	}
}

// rows counts the chunks of a rig that are rows.
func (r *rig) rows() (n int) {
	r.t.Helper()
	for _, s := range r.attempts {
		heads, err := r.st.ChunkHeads(r.t.Context(), s.fence.AttemptID, 0, 10_000)
		if err != nil {
			r.t.Fatal(err)
		}
		n += len(heads)
	}
	return n
}

// object returns where the log of an attempt lies.
func (r *rig) object(attempt int) *store.LogArchive {
	r.t.Helper()
	a, err := r.st.ArchivedLog(r.t.Context(), r.attempts[attempt].fence.AttemptID)
	if err != nil || a == nil {
		r.t.Fatalf("no archived log: %+v, %v", a, err)
	}
	return a
}

// busy is a rig of two attempts with many chunks, also of unfinished lines.
func busy(t *testing.T, st *store.Store) *rig {
	t.Helper()
	r := newRig(t, st, []int{1, 0}, []int{0})
	for i := range 40 {
		r.send(r.attempts[0].says(fmt.Sprintf("0 line %d", i), fmt.Sprintf("1 part %d...", i), "system word", "0 more"))
		r.send(r.attempts[1].says(fmt.Sprintf("0 other %d", i)))
	}
	return r
}

// views reads a rig in every way.
func (r *rig) views() map[string]string {
	r.t.Helper()
	ofOne := output.Filter{Nodes: []int{1}}
	all := map[string]string{}
	for name, q := range map[string]output.Query{
		"all": {}, "range": {FirstLine: 70, Lines: 60}, "late range": {FirstLine: 190}, "tail": {Tail: 7}, "node": {Filter: ofOne}, "node tail": {Filter: ofOne, Tail: 3},
		"errors": {Filter: output.Filter{Streams: []wire.Stream{wire.System}}, Tail: 5},
	} {
		lines, cursors := r.read(q)
		all[name] = strings.Join(lines, "\n") + strings.Join(cursors, "\n")
	}
	for _, want := range []output.ByteRange{{End: -1}, {First: 500, End: 700}, {First: 1, End: 2}, {First: 1200, End: -1}} {
		all[fmt.Sprint(want)] = r.text(output.Query{}, want)
	}
	found, _ := r.search(output.Search{Pattern: output.Pattern{Text: "part 1"}, Context: 1})
	of, _ := r.search(output.Search{Filter: ofOne, Pattern: output.Pattern{Text: "3"}})
	all["found"] = fmt.Sprintf("%+v %+v", found, of)
	all["export"] = r.export()
	return all
}

// export is what proves the log.
func (r *rig) export() string {
	r.t.Helper()
	var b strings.Builder
	e, err := r.st.GetExecution(r.t.Context(), org, r.e.ID)
	if err == nil {
		err = r.o.Export(r.t.Context(), e, output.Authority{}, func(line []byte) error { b.Write(line); return nil })
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return b.String()
}

func TestPackedLogReadsTheSame(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		r := busy(t, st)
		in, _ := archivetest.OpenDirectory(t)
		p, term := packer(t, st, "m", in), lead(t, st, "m")
		pack(t, p, term, 0, 0) // it runs
		r.finish(0)
		before := r.views()
		pack(t, p, term, 2, 0)
		if n := r.rows(); n != 0 {
			t.Fatalf("%d chunks are rows and in the archive", n)
		}
		r.archives.Current = in
		after := r.views()
		for name := range before {
			if before[name] != after[name] {
				t.Errorf("%s: packing changed %q to %q", name, before[name], after[name])
			}
		}
		for i := range r.attempts {
			a := r.object(i)
			if err := archive.Verify(t.Context(), in, a.Path, a.Size, a.SHA256); err != nil {
				t.Error(err)
			}
		}
		pack(t, p, term, 0, 0)
	})
}

// A log that no reader would take as an object stays in the database, and is told of; its
// rows went, and then nobody could read it any more.
func TestPackKeepsWhatNoObjectHolds(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, []int{0, 1})
		s := r.attempts[0]
		c := s.print("0.0 x")
		row := store.ChunkRow{AttemptID: s.fence.AttemptID, Lines: 1, TextBytes: 6, Nodes: []int{0, 1<<31 + 1}, Hash: c.Hash, Data: c.Data}
		err := st.InTx(t.Context(), func(st *store.Store) error {
			_, err := st.AppendChunks(t.Context(), []store.LogAppend{{AttemptID: row.AttemptID, ExecutionID: r.e.ID, To: 1, Hash: c.Hash, Lines: 1, TextBytes: 6, Chunks: []store.ChunkRow{row}}}, 1, "m")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		r.finish(0)
		in, _ := archivetest.OpenDirectory(t)
		r.archives.Current = in
		p := packer(t, st, "m", in)
		pack(t, p, lead(t, st, "m"), 0, 1)
		if got, _ := r.read(output.Query{}); !slices.Equal(got, []string{"0.0 x"}) || r.rows() != 1 {
			t.Errorf("%q, %d rows", got, r.rows())
		}
		if b, err := p.Backlog(t.Context()); err != nil || b.Failing != 1 || !strings.Contains(b.Error, "Chunk 0 of attempt") {
			t.Errorf("%+v, %v", b, err)
		}
	})
}

// Who reads while the log is packed, or goes on with a cursor of before, misses nothing.
func TestReadingAcrossPacking(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		r := busy(t, st)
		r.finish(0)
		want, cursors := r.read(output.Query{})
		in, _ := archivetest.OpenDirectory(t)
		r.archives.Current = in
		var got []string
		for b, err := range r.o.Read(t.Context(), output.Query{OrganisationID: org, ExecutionID: r.e.ID, Follow: true}) {
			if err != nil {
				t.Fatal(err)
			}
			if len(got) == 0 {
				pack(t, packer(t, st, "m", in), lead(t, st, "m"), 2, 0)
			}
			for _, l := range b.Lines {
				got = append(got, string(l.Data))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("read across packing: %d lines of %d", len(got), len(want))
		}
		for _, i := range []int{0, 1, 50, 130, 170, len(want) - 1} {
			if got, _ := r.read(output.Query{Cursor: cursors[i]}); !slices.Equal(got, want[i+1:]) {
				t.Errorf("from the cursor behind line %d: %d lines, want %d", i, len(got), len(want)-i-1)
			}
		}
	})
}

// An archive that is down for the whole of 50 executions costs nothing but space: each is
// told, stays readable, and is packed when the archive is back.
func TestArchiveThatIsDown(t *testing.T) {
	t.Parallel()
	st := storetest.New(t)
	s := archivetest.StartS3(t)
	in := archivetest.Open(t, s.Options(s.Endpoint))
	p, term := packer(t, st, "m", in), lead(t, st, "m")
	s.Stop()
	const executions = 50
	var rigs []*rig
	for i := range executions {
		r := newRig(t, st, []int{0})
		r.send(r.attempts[0].print(fmt.Sprintf("0.0 of execution %d", i)))
		r.finish(time.Duration(i) * time.Minute)
		rigs = append(rigs, r)
	}
	// It is asked for a few, not for each.
	if packed, failed, err := p.Pack(t.Context(), term); err != nil || packed != 0 || failed == 0 || failed > 8 {
		t.Fatalf("%d packed, %d failed, %v", packed, failed, err)
	}
	b, err := p.Backlog(t.Context())
	if err != nil || b.Logs != executions || b.Failing == 0 || b.TextBytes == 0 || !strings.Contains(b.Error, "s3://") || time.Since(b.Oldest) < 40*time.Minute {
		t.Fatalf("%+v, %v", b, err)
	}
	s.Start()
	for n := 0; n < executions; {
		if _, err := st.RetryArchive(t.Context()); err != nil {
			t.Fatal(err)
		}
		packed, failed, err := p.Pack(t.Context(), term)
		if err != nil || failed > 0 || packed == 0 {
			t.Fatalf("%d packed, %d failed, %v", packed, failed, err)
		}
		n += packed
	}
	for i, r := range rigs {
		r.archives.Current = in
		if got, _ := r.read(output.Query{}); r.rows() != 0 || len(got) != 1 || got[0] != fmt.Sprintf("0.0 of execution %d", i) {
			t.Errorf("execution %d: %q, %d rows", i, got, r.rows())
		}
	}
	if b, err := p.Backlog(t.Context()); err != nil || b != (store.ArchiveBacklog{}) {
		t.Errorf("%+v, %v", b, err)
	}
}

// Whatever an archive answers, no row goes before the object is whole in it.
func TestArchiveThatAnswersBadly(t *testing.T) {
	t.Parallel()
	st := storetest.New(t)
	s := archivetest.StartS3(t)
	proxy := archivetest.StartProxy(t, s)
	in := archivetest.Open(t, s.Options(proxy.Endpoint))
	p, term := packer(t, st, "m", in), lead(t, st, "m")
	r := busy(t, st)
	r.finish(0)
	want := r.text(output.Query{}, all)
	forgetful := func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method == http.MethodPut {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("ETag", `"5d41402abc4b2a76b9719d911017c592"`)
			return true
		}
		return false
	}
	for _, spoil := range []func(){
		func() { proxy.Spoil.Store(&forgetful) }, // first: the last leaves objects that are whole
		func() { proxy.Refuse(http.StatusInternalServerError) },
		func() { proxy.Refuse(http.StatusForbidden) },
		proxy.Truncate,
	} {
		spoil()
		pack(t, p, term, 0, 2)
		if n := r.rows(); n != 80 {
			t.Fatalf("%d rows are left of 80", n)
		}
		if _, err := st.RetryArchive(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	proxy.Heal()
	pack(t, p, term, 2, 0)
	r.archives.Current = in
	if got := r.text(output.Query{}, all); got != want || r.rows() != 0 {
		t.Errorf("read from the archive: %q, %d rows", got, r.rows())
	}
	// While it is down, readers are told where their output is, and nothing else suffers.
	proxy.Refuse(http.StatusForbidden)
	lost := newRig(t, st, []int{0})
	lost.archives.Current = in
	lost.send(lost.attempts[0].print("0.0 still here"))
	if got, _ := lost.read(output.Query{}); len(got) != 1 {
		t.Errorf("rows while the archive is down: %q", got)
	}
	if err := r.unreadable(); hub.ErrorCode(err) != hub.CodeUnavailable || !strings.Contains(hub.ErrorMessage(err), in.Name()) {
		t.Errorf("reading: %v", err)
	}
}

// An archive that is full or read-only takes nothing and loses nothing.
func TestArchiveThatIsFullOrReadOnly(t *testing.T) {
	t.Parallel()
	st := storetest.New(t)
	mount := archivetest.StartMount(t, "size=16k")
	in := archivetest.Open(t, archive.Options{URL: "file://" + mount.Dir})
	r := newRig(t, st, []int{0})
	r.archives.Current = in
	noise := rand.New(rand.NewPCG(1, 2))
	for range 10 {
		text := make([]byte, 4000) // it does not compress to nothing
		for i := range text {
			text[i] = 'a' + byte(noise.IntN(26))
		}
		r.send(r.attempts[0].print("0.0 " + string(text)))
	}
	r.finish(0)
	want := r.text(output.Query{}, all)
	p, term := packer(t, st, "m", in), lead(t, st, "m")
	for _, c := range []struct{ options, told string }{{"size=16k", "no space left"}, {"ro", "read-only"}} {
		mount.Remount(c.options)
		pack(t, p, term, 0, 1)
		if b, err := p.Backlog(t.Context()); err != nil || !strings.Contains(b.Error, c.told) {
			t.Errorf("%s: told %+v, %v", c.options, b, err)
		}
		if n := r.rows(); n != 10 || len(files(t, mount.Dir)) != 0 {
			t.Fatalf("%s: %d rows of 10 are left, and %v in the archive", c.options, n, files(t, mount.Dir))
		}
		if _, err := st.RetryArchive(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	mount.Remount("rw,size=1m")
	pack(t, p, term, 1, 0)
	if got := r.text(output.Query{}, all); got != want || r.rows() != 0 {
		t.Errorf("%d bytes of %d from the archive, %d rows", len(got), len(want), r.rows())
	}
}

// What an archive says of itself is kept for people, also where it is cut within a letter:
// else the log would be tried again at once, for ever, and the others not.
func TestArchiveWithALongName(t *testing.T) {
	t.Parallel()
	st := storetest.New(t)
	r := newRig(t, st, []int{0})
	r.send(r.attempts[0].print("0.0 line"))
	r.finish(0)
	term := lead(t, st, "m")
	for _, first := range []string{"", "x"} { // the letters behind it have two bytes
		dir := filepath.Join(t.TempDir(), first+strings.Repeat("ä", 100))
		for range 3 {
			dir = filepath.Join(dir, strings.Repeat("ä", 100)+"x")
		}
		in := archivetest.Open(t, archive.Options{URL: "file://" + dir})
		p := packer(t, st, "m", in)
		pack(t, p, term, 0, 1)
		if b, err := p.Backlog(t.Context()); err != nil || b.Failing != 1 || !strings.Contains(b.Error, "ää") {
			t.Errorf("told %+v, %v", b, err)
		}
		if _, err := st.RetryArchive(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// unreadable reads until an error.
func (r *rig) unreadable() error {
	r.t.Helper()
	for _, err := range r.o.Read(r.t.Context(), output.Query{OrganisationID: org, ExecutionID: r.e.ID}) {
		if err != nil {
			return err
		}
	}
	r.t.Error("no error")
	return nil
}

// watched is an archive that calls before it is read back: by then the object is put.
type watched struct {
	archive.Archive

	before func()
}

func (w *watched) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	w.before()
	return w.Archive.Get(ctx, key, offset, length)
}

// A member that loses its lease between put and commit changes nothing; the next packs the
// same bytes under the same name.
func TestPackingUnderALostLease(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		r := busy(t, st)
		r.finish(0)
		want := r.views()
		in, dir := archivetest.OpenDirectory(t)
		term := lead(t, st, "m1")
		var next int64
		once := sync.OnceFunc(func() {
			unlead(t, st, "m1", term)
			next = lead(t, st, "m2")
		})
		p := packer(t, st, "m1", &watched{in, once})
		if packed, _, err := p.Pack(t.Context(), term); packed != 0 || hub.ErrorCode(err) != hub.CodeConflict {
			t.Fatalf("without the lease: %d packed, %v", packed, err)
		}
		if n := r.rows(); n != 80 {
			t.Fatalf("%d rows are left of 80", n)
		}
		pack(t, packer(t, st, "m2", in), next, 2, 0)
		r.archives.Current = in
		for name, now := range r.views() {
			if now != want[name] {
				t.Errorf("%s: %q, want %q", name, now, want[name])
			}
		}
		if n := len(files(t, dir)); n != 2 {
			t.Errorf("%d files for two logs", n)
		}
	})
}

// files lists the files below a directory.
func files(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			list = append(list, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// A member that ends in the middle of an upload leaves no object and loses no row.
func TestPackingThatIsCutShort(t *testing.T) {
	t.Parallel()
	st := storetest.New(t)
	s := archivetest.StartS3(t)
	proxy := archivetest.StartProxy(t, s)
	in := archivetest.Open(t, s.Options(proxy.Endpoint))
	r := busy(t, st)
	r.finish(0)
	term := lead(t, st, "m")
	ctx, cancel := context.WithCancel(t.Context())
	cut := func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method == http.MethodPut {
			cancel()
			<-r.Context().Done() // the member is gone
			panic(http.ErrAbortHandler)
		}
		return false
	}
	proxy.Spoil.Store(&cut)
	if packed, _, err := packer(t, st, "m", in).Pack(ctx, term); packed != 0 || !errors.Is(err, context.Canceled) {
		t.Fatalf("%d packed, %v", packed, err)
	}
	proxy.Heal()
	if n := r.rows(); n != 80 {
		t.Fatalf("%d rows are left of 80", n)
	}
	pack(t, packer(t, st, "m", in), term, 2, 0)
}

// A log may be too large for one transaction: a member that ends behind the first is made
// up for, and readers see one log all the time.
func TestRowsThatAreLeftBehindGo(t *testing.T) {
	t.Parallel()
	var left atomic.Int64
	left.Store(math.MaxInt64)
	st := storetest.New(t, func(c *store.Config) {
		c.Fault = func(point string) error {
			if point == store.FaultBegin && left.Add(-1) < 0 {
				return &hub.Error{Code: hub.CodeUnavailable, Message: "The member is gone."}
			}
			return nil
		}
	})
	r := newRig(t, st, []int{0})
	for i := range 50 {
		r.send(r.attempts[0].print(fmt.Sprintf("0.0 line %d", i)))
	}
	r.finish(0)
	want, _ := r.read(output.Query{})
	in, _ := archivetest.OpenDirectory(t)
	r.archives.Current = in
	p, term := packer(t, st, "m", in), lead(t, st, "m")
	left.Store(2) // it plans, and it marks
	if _, _, err := p.Pack(t.Context(), term); hub.ErrorCode(err) != hub.CodeUnavailable {
		t.Fatalf("a member that is gone: %v", err)
	}
	left.Store(math.MaxInt64)
	if n := r.rows(); n == 0 || n == 50 {
		t.Fatalf("%d rows of 50", n)
	}
	if got, _ := r.read(output.Query{}); !slices.Equal(got, want) {
		t.Errorf("between: %d lines of %d", len(got), len(want))
	}
	if got, _ := r.read(output.Query{FirstLine: 20, Lines: 25}); !slices.Equal(got, want[20:45]) {
		t.Errorf("between, from a line: %q", got)
	}
	pack(t, p, term, 1, 0)
	if n := r.rows(); n != 0 {
		t.Errorf("%d rows", n)
	}
	if got, _ := r.read(output.Query{}); !slices.Equal(got, want) {
		t.Errorf("after: %d lines of %d", len(got), len(want))
	}
}

// A log that was given up is packed a day later, and what comes even then is read behind it.
func TestLogThatWasGivenUp(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		in, _ := archivetest.OpenDirectory(t)
		p, term := packer(t, st, "m", in), lead(t, st, "m")
		end := func(ago time.Duration) *rig {
			r := newRig(t, st, []int{0})
			r.archives.Current = in
			r.send(r.attempts[0].print("0.0 a"), r.attempts[0].print("0.0 b"))
			err := st.InTx(t.Context(), func(st *store.Store) error {
				return st.EndExecutions(t.Context(), []store.Ending{{ID: r.e.ID, Outcome: hub.StatusUnknown, EndedAt: st.Now().Add(-ago)}})
			})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		young, old := end(23*time.Hour), end(25*time.Hour)
		pack(t, p, term, 1, 0)
		if young.rows() != 2 || old.rows() != 0 {
			t.Fatalf("rows: %d, %d", young.rows(), old.rows())
		}
		old.send(old.attempts[0].print("0.0 late"))
		pack(t, p, term, 0, 0)
		want := []string{"0.0 a", "0.0 b", "0.0 late"}
		got, cursors := old.read(output.Query{})
		if !slices.Equal(got, want) {
			t.Errorf("read %q", got)
		}
		for i, c := range cursors {
			if got, _ := old.read(output.Query{Cursor: c}); !slices.Equal(got, want[i+1:]) {
				t.Errorf("from cursor %d: %q", i, got)
			}
		}
		for first := range want {
			if got, _ := old.read(output.Query{FirstLine: int64(first)}); !slices.Equal(got, want[first:]) {
				t.Errorf("from line %d: %q", first, got)
			}
		}
	})
}

func TestChunkThatWasChangedInTheArchive(t *testing.T) {
	t.Parallel()
	st := storetest.New(t)
	r := busy(t, st)
	r.finish(0)
	in, dir := archivetest.OpenDirectory(t)
	r.archives.Current = in
	pack(t, packer(t, st, "m", in), lead(t, st, "m"), 2, 0)
	a := r.object(0)
	obj, err := archive.OpenObject(t.Context(), in, a.Path, a.Size)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, a.Path), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at := obj.Chunks[17].Offset + int64(obj.Chunks[17].Size)/2
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{b[0] ^ 1}, at); err != nil {
		t.Fatal(err)
	}
	if err := r.unreadable(); !strings.Contains(hub.ErrorMessage(err), "Chunk 17 of attempt "+a.AttemptID) {
		t.Errorf("reading: %v", err)
	}
	if err := archive.Verify(t.Context(), in, a.Path, a.Size, a.SHA256); err == nil || !strings.Contains(err.Error(), "chunk 17 ") {
		t.Errorf("verifying: %v", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		t.Fatal(err)
	}
	if err := r.unreadable(); hub.ErrorCode(err) != hub.CodeUnavailable || !strings.Contains(hub.ErrorMessage(err), "has lost this output") {
		t.Errorf("reading what is gone: %v", err)
	}
	r.archives = archive.Archives{}
	if err := r.unreadable(); hub.ErrorCode(err) != hub.CodeUnavailable || !strings.Contains(hub.ErrorMessage(err), "archive.other") {
		t.Errorf("reading from an archive that is not configured: %v", err)
	}
}

// Who reads a log while retention takes its execution away is told: else what it has would
// look like all there was.
func TestReadingAcrossPurge(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		text := func(r *rig) func(func([]byte, error) bool) {
			return r.o.ReadText(t.Context(), output.Query{OrganisationID: org, ExecutionID: r.e.ID}, output.ByteRange{End: -1})
		}
		export := func(r *rig) func(func([]byte, error) bool) {
			return func(yield func([]byte, error) bool) {
				e, err := st.GetExecution(t.Context(), org, r.e.ID)
				if err == nil {
					err = r.o.Export(t.Context(), e, output.Authority{}, func(line []byte) error { yield(line, nil); return nil })
				}
				yield(nil, err)
			}
		}
		for name, read := range map[string]func(r *rig) func(func([]byte, error) bool){"text": text, "export": export} {
			r := busy(t, st)
			r.finish(25 * time.Hour)
			parts, err := 0, error(nil)
			for _, err = range read(r) {
				if parts++; parts == 1 {
					r.purge()
				}
			}
			if hub.ErrorCode(err) != hub.CodeNotFound {
				t.Errorf("%s: %d parts, then %v", name, parts, err)
			}
		}
	})
}

// The objects of a log go before its rows: who reads it then is told that the execution is
// gone, and not to restore an object that retention deleted.
func TestReadingArchivedAcrossPurge(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		in, _ := archivetest.OpenDirectory(t)
		r := busy(t, st)
		r.o = output.New(st, output.Config{Archives: &archive.Archives{Current: in}}, storetest.Logger(t))
		r.finish(25 * time.Hour)
		pack(t, packer(t, st, "m", in), lead(t, st, "m"), 2, 0)
		objects := []*store.LogArchive{r.object(0), r.object(1)}
		parts, err := 0, error(nil)
		for _, err = range r.o.ReadText(t.Context(), output.Query{OrganisationID: org, ExecutionID: r.e.ID}, output.ByteRange{End: -1}) {
			if parts++; parts > 1 {
				continue
			}
			purged := st.InTx(t.Context(), func(st *store.Store) error {
				_, err := st.Purge(t.Context(), []string{r.e.ID})
				return err
			})
			if purged != nil {
				t.Fatal(purged)
			}
			for _, a := range objects {
				if err := in.Delete(t.Context(), a.Path); err != nil {
					t.Fatal(err)
				}
			}
		}
		if hub.ErrorCode(err) != hub.CodeNotFound {
			t.Errorf("%d parts, then %v", parts, err)
		}
	})
}

// purge takes the execution of a rig away, as retention does.
func (r *rig) purge() {
	r.t.Helper()
	more, ctx := true, r.t.Context()
	err := r.st.InTx(ctx, func(st *store.Store) error {
		_, err := st.Purge(ctx, []string{r.e.ID})
		return err
	})
	for more && err == nil {
		err = r.st.InTx(ctx, func(st *store.Store) (err error) {
			more, err = st.DeletePurged(ctx, r.e.ID)
			return err
		})
	}
	if err != nil {
		r.t.Fatal(err)
	}
}
