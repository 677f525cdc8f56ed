package output_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
	"github.com/fairlead/fairlead/proto/wire"
)

// A log of ten million lines, 1 GB.
const (
	benchLines = 10_000_000
	chunkLines = 2200 // some 250 KB
)

// long is a rig with a log of ten million lines of 100 bytes as programs print them, of
// two nodes.
func long(b *testing.B) *rig {
	b.Helper()
	st, err := store.Open(b.Context(), store.Config{Path: filepath.Join(b.TempDir(), "hub.db"), Log: storetest.Logger(b)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = st.Close() })
	if err := st.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	r := newRig(b, st, []int{0, 1})
	s := r.attempts[0]
	rnd := rand.New(rand.NewPCG(5, 6))
	paths := []string{"orders", "customers", "invoices", "health", "metrics"}
	kinds := make([][]byte, 200) // of chunks, over and over
	for i := range kinds {
		var frames []wire.Frame
		for n := range chunkLines {
			line := fmt.Sprintf(`2026-01-30T15:04:%02d.%03d INFO  [worker-%d] GET /api/%s/%d from 10.0.%d.%d took %d ms`,
				n%60, rnd.IntN(1000), rnd.IntN(32), paths[rnd.IntN(len(paths))], rnd.IntN(1_000_000), rnd.IntN(256), rnd.IntN(256), rnd.IntN(900))
			frames = append(frames, wire.Frame{Node: uint32(i & 1), Try: 1, Time: int64(n), Data: fmt.Appendf(nil, "%-99s", line)})
		}
		kinds[i] = s.cut(frames).Data
	}
	rare := s.cut([]wire.Frame{{Try: 1, Data: []byte("ERROR the needle in the haystack")}})
	chunks := benchLines / chunkLines
	log := store.LogAppend{AttemptID: s.fence.AttemptID, ExecutionID: r.e.ID, To: int64(chunks)}
	for seq := range chunks {
		row := store.ChunkRow{
			AttemptID: log.AttemptID, Seq: int64(seq), FirstLine: log.Lines, Lines: chunkLines,
			FirstByte: log.TextBytes, TextBytes: chunkLines * 100, Nodes: []int{seq & 1}, Data: kinds[seq%len(kinds)],
		}
		if seq == chunks*9/10 {
			row.Lines, row.Data, row.Nodes = 1, rare.Data, []int{0}
		}
		log.Lines += int64(row.Lines)
		log.TextBytes += row.TextBytes
		log.Chunks = append(log.Chunks, row)
	}
	err = st.InTx(b.Context(), func(st *store.Store) error {
		_, err := st.AppendChunks(b.Context(), []store.LogAppend{log}, 1, "m")
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return r
}

func BenchmarkSearch(b *testing.B) {
	r := long(b)
	for _, p := range []output.Pattern{
		{Text: "needle"},
		{Text: "NEEDLE", IgnoreCase: true},
		{Text: "(needle|haystack)s?", Regex: true},
		{Text: `[a-z]+ in the h\w+k`, Regex: true},
		{Text: `\d{4}-\d\d-\d\dT\S+ ERROR`, Regex: true},
		{Text: `^.*/orders/(\d)\d{8}`, Regex: true},
	} {
		b.Run(p.Text, func(b *testing.B) {
			for b.Loop() {
				found, err := r.o.Search(b.Context(), &output.Search{OrganisationID: org, ExecutionID: r.e.ID, Pattern: p, Limit: 10, Within: time.Hour})
				if err != nil || found.Next != "" {
					b.Fatal(found, err)
				}
			}
			b.ReportMetric(benchLines/b.Elapsed().Seconds()*float64(b.N)/1e6, "Mlines/s")
		})
	}
}

// BenchmarkOpen reads a page at line 9,000,000, and the last page of one node.
func BenchmarkOpen(b *testing.B) {
	r := long(b)
	for name, q := range map[string]output.Query{
		"line":   {FirstLine: 9_000_000, Lines: 2000},
		"node":   {Filter: output.Filter{Nodes: []int{1}}, Tail: 2000},
		"stream": {Filter: output.Filter{Streams: []wire.Stream{wire.Stdout}}, Tail: 2000},
	} {
		q.OrganisationID, q.ExecutionID = org, r.e.ID
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				lines := 0
				for batch, err := range r.o.Read(b.Context(), q) {
					if err != nil {
						b.Fatal(err)
					}
					lines += len(batch.Lines)
				}
				if lines != 2000 {
					b.Fatal(lines)
				}
			}
		})
	}
}
