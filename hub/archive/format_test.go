package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/fairlead/fairlead/hub/archive"
	"github.com/fairlead/fairlead/hub/archive/archivetest"
	"github.com/fairlead/fairlead/proto/wire"
)

// sample is a log of n chunks, with their compressed bytes.
func sample(t testing.TB, n int) (*archive.Log, [][]byte) {
	t.Helper()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	l := &archive.Log{AttemptID: "the-attempt", ExecutionID: "the-execution"}
	var data [][]byte
	var chain wire.Hash
	for i := range n {
		frames := []byte(strings.Repeat(fmt.Sprintf("line of chunk %d\n", i), 20+i%7))
		chain = wire.NextChunkHash(chain, uint64(i), frames)
		data = append(data, enc.EncodeAll(frames, nil))
		l.Chunks = append(l.Chunks, archive.Chunk{Lines: 20 + i%7, TextBytes: int64(len(frames)), Nodes: []int{i % 3, 200}, Hash: chain, Size: len(data[i])})
	}
	return l, data
}

func pack(t testing.TB, l *archive.Log, data [][]byte) *archive.Packing {
	t.Helper()
	i := -1
	p, err := archive.Pack(l, func() ([]byte, error) { i++; return data[i], nil })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// put packs a log into a directory and returns its file.
func put(t testing.TB, l *archive.Log, data [][]byte) (a archive.Archive, p *archive.Packing, file string) {
	t.Helper()
	a, dir := archivetest.OpenDirectory(t)
	p = pack(t, l, data)
	if err := a.Put(t.Context(), "x", p.Size(), p); err != nil {
		t.Fatal(err)
	}
	return a, p, filepath.Join(dir, "x")
}

func TestObjectIsReadAsItWasPacked(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 50, 3000} { // the index of the last is more than the first read
		l, data := sample(t, n)
		a, p, _ := put(t, l, data)
		ok(t, archive.Compare(t.Context(), a, "x", p.Size(), p.Sum()))
		ok(t, archive.Verify(t.Context(), a, "x", p.Size(), p.Sum()))
		o, err := archive.OpenObject(t.Context(), a, "x", p.Size())
		ok(t, err)
		if o.AttemptID != l.AttemptID || o.ExecutionID != l.ExecutionID || len(o.Chunks) != n || o.Lines() != l.Lines() {
			t.Fatalf("%d chunks: %+v", n, o.Log)
		}
		line, text := int64(0), int64(0)
		for i, c := range o.Chunks {
			if c.FirstLine != line || c.FirstByte != text || c.Hash != l.Chunks[i].Hash || !slices.Equal(c.Nodes, l.Chunks[i].Nodes) {
				t.Fatalf("chunk %d: %+v", i, c)
			}
			line, text = line+int64(c.Lines), text+c.TextBytes
		}
		from := n / 3
		got, err := o.Read(t.Context(), from, n)
		ok(t, err)
		for i := range got {
			if !bytes.Equal(got[i], data[from+i]) {
				t.Fatalf("chunk %d was changed", from+i)
			}
		}
	}
}

// The same chunks are the same bytes, so that packing twice does no harm.
func TestPackingIsDeterministic(t *testing.T) {
	t.Parallel()
	l, data := sample(t, 10)
	one, err := io.ReadAll(pack(t, l, data))
	ok(t, err)
	l, data = sample(t, 10)
	two, err := io.ReadAll(pack(t, l, data))
	ok(t, err)
	if !bytes.Equal(one, two) {
		t.Error("two objects of one log differ")
	}
}

// One byte that was changed anywhere is found, and a chunk that has it is named.
func TestEachFlippedByteIsFound(t *testing.T) {
	t.Parallel()
	l, data := sample(t, 4)
	a, p, file := put(t, l, data)
	whole, err := os.ReadFile(file)
	ok(t, err)
	for at := range whole {
		flipped := bytes.Clone(whole)
		flipped[at] ^= 0x10
		ok(t, os.WriteFile(file, flipped, 0o600))
		err := archive.Verify(t.Context(), a, "x", p.Size(), p.Sum())
		if err == nil {
			t.Fatalf("byte %d was changed and nobody says so", at)
		}
		i := slices.IndexFunc(l.Chunks, func(c archive.Chunk) bool {
			return int64(at) >= c.Offset && int64(at) < c.Offset+int64(c.Size)
		})
		if i < 0 {
			continue
		}
		bad, named := errors.AsType[*archive.BadChunkError](err)
		// A byte that zstd does not look at changes nothing but the sum of all.
		if named && bad.Seq != int64(i) || !named && !strings.Contains(err.Error(), "another SHA-256") {
			t.Errorf("byte %d of chunk %d: %v", at, i, err)
		}
		o, err := archive.OpenObject(t.Context(), a, "x", p.Size())
		ok(t, err)
		if _, err = o.Read(t.Context(), 0, 4); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("chunk %d ", i)) {
			t.Errorf("reading chunk %d: %v", i, err)
		}
	}
}

// An object that is cut off anywhere is an error, never a shorter log.
func TestEachTruncationIsFound(t *testing.T) {
	t.Parallel()
	l, data := sample(t, 3)
	a, p, file := put(t, l, data)
	for at := range p.Size() {
		ok(t, os.Truncate(file, p.Size()-1-at))
		if _, err := archive.OpenObject(t.Context(), a, "x", p.Size()); err == nil {
			t.Fatalf("%d bytes of %d are an object", p.Size()-1-at, p.Size())
		}
	}
}

// What no reader would take as an object is not made one: its rows would go for it.
func TestPackRefusesWhatNobodyCouldRead(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(c *archive.Chunk){
		"chunk too large": func(c *archive.Chunk) { c.Size = archive.MaxChunk + 1 },
		"no such node":    func(c *archive.Chunk) { c.Nodes = []int{archive.MaxNode + 1} },
		"negative node":   func(c *archive.Chunk) { c.Nodes = []int{-1} },
	} {
		l, _ := sample(t, 3)
		change(&l.Chunks[1])
		if _, err := archive.Pack(l, nil); err == nil || !strings.Contains(err.Error(), "Chunk 1 of attempt") {
			t.Errorf("%s: %v", name, err)
		}
	}
	l, _ := sample(t, 3)
	if err := l.Readable(l.IndexBytes() - 1); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("index too large: %v", err)
	}
	ok(t, l.Readable(l.IndexBytes()))
}

// memory is an archive of one object, for the fuzzer.
type memory []byte

func (memory) Name() string { return "memory" }

func (memory) Put(context.Context, string, int64, io.Reader) error { return errors.ErrUnsupported }

func (memory) Delete(context.Context, string) error { return errors.ErrUnsupported }

func (m memory) Get(_ context.Context, _ string, offset, length int64) (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(bytes.NewReader(m), offset, length)), nil
}

func FuzzObject(f *testing.F) {
	for _, n := range []int{1, 3} {
		l, data := sample(f, n)
		b, err := io.ReadAll(pack(f, l, data))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a := memory(archive.Sealed(b))
		o, err := archive.OpenObject(t.Context(), a, "x", int64(len(a)))
		if err != nil || len(o.Chunks) == 0 {
			return
		}
		_, _ = o.Read(t.Context(), 0, len(o.Chunks))
		_ = archive.Verify(t.Context(), a, "x", int64(len(a)), [32]byte{})
	})
}

func TestPath(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{project}":               "lacks {attempt}",
		"{attempt}/../x":          "begins with a dot",
		"/{attempt}":              "empty",
		"a//{attempt}":            "empty",
		"{attempt}/":              "empty",
		"{user}/{attempt}":        "holds {user}",
		"a b/{attempt}":           "holds ' '",
		"{attempt":                "lacks {attempt}",
		"{x{attempt}":             "holds '{'",
		strings.Repeat("x", 1000): "longer than",
	} {
		if _, err := archive.ParsePath(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	p, err := archive.ParsePath("{organisation}/{project}/{job}/{date}/{execution}-{attempt}")
	ok(t, err)
	for _, c := range []struct{ job, want string }{
		{"", "o/p_q/command/2026-11-26/e-a"},
		{"group/name", "o/p_q/group/name/2026-11-26/e-a"},
		{"../../etc/passwd", "o/p_q/_../_../etc/passwd/2026-11-26/e-a"},
		{"a//.b\x00\n\\c", "o/p_q/a/_/_.b___c/2026-11-26/e-a"},
		{"größe {attempt}", "o/p_q/größe__attempt_/2026-11-26/e-a"},
		{"\xff", "o/p_q/_/2026-11-26/e-a"},
		{strings.Repeat("ü", 300), "o/p_q/" + strings.Repeat("ü", 50) + "/2026-11-26/e-a"},
		{strings.Repeat("x/", 1000), "long/a"},
	} {
		got := p.Key(archive.Subject{
			Organisation: "o", Project: "p/q", Job: c.job, Execution: "e", Attempt: "a",
			CreatedAt: time.Date(2026, 11, 26, 23, 0, 0, 0, time.UTC),
		})
		if got != c.want {
			t.Errorf("%q is %s", c.job, got)
		}
	}
}
