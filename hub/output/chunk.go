package output

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/archive"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/proto/failpoint"
	"github.com/fairlead/fairlead/proto/wire"
)

// Prepared is a chunk whose content was looked at: what can be done before, and
// outside of, the transaction that stores it.
type Prepared struct {
	hub.Chunk
	frames    []byte
	textBytes int64
	// first and seam are the node that its text begins with, -1 for no text, and how the
	// text ends.
	first int
	seam  seam
}

// decoder is safe for many goroutines when it decodes whole blocks.
var decoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(4*wire.MaxChunkBytes))
	if err != nil {
		// Only options that contradict each other can fail.
		panic(err)
	}
	return d
})

// Prepare checks that a chunk is what it says: compressed frames, as many and as large
// as stated.
func Prepare(c hub.Chunk) (*Prepared, error) {
	if c.Bytes < 0 || c.Bytes > wire.MaxChunkBytes || c.Seq < 0 {
		return nil, fmt.Errorf("chunk %d states %d bytes, more than %d", c.Seq, c.Bytes, wire.MaxChunkBytes)
	}
	if len(c.Data) > archive.MaxChunk || len(c.Nodes) > c.Lines || slices.ContainsFunc(c.Nodes, func(n int) bool { return n < 0 || n > archive.MaxNode }) {
		return nil, fmt.Errorf("chunk %d has %d compressed bytes, or nodes, that no chunk has", c.Seq, len(c.Data))
	}
	frames, err := decoder().DecodeAll(c.Data, make([]byte, 0, c.Bytes))
	if err != nil {
		return nil, fmt.Errorf("chunk %d cannot be decompressed: %w", c.Seq, err)
	}
	if len(frames) != c.Bytes {
		return nil, fmt.Errorf("chunk %d has %d bytes and states %d", c.Seq, len(frames), c.Bytes)
	}
	p := &Prepared{Chunk: c, frames: frames, first: -1}
	lines := 0
	for rest := frames; len(rest) > 0; lines++ {
		var f wire.Frame
		if f, rest, err = wire.NextFrame(rest); err != nil {
			return nil, fmt.Errorf("chunk %d: %w", c.Seq, err)
		}
		if f.Stream == wire.System {
			continue // the runner's own words are no part of the text
		}
		p.count(&f)
	}
	if lines != c.Lines {
		return nil, fmt.Errorf("chunk %d has %d lines and states %d", c.Seq, lines, c.Lines)
	}
	return p, nil
}

// count adds a line to the text of the chunk.
func (p *Prepared) count(f *wire.Frame) {
	node, partial := int(f.Node), f.Flags&wire.FlagPartial != 0
	if p.first < 0 {
		p.first = node
	}
	if p.seam.breaks(node) {
		p.textBytes++
	}
	p.textBytes += int64(len(f.Data))
	if !partial {
		p.textBytes++
	}
	p.seam.line(node, partial)
}

// errHistory says that a runner tells another history than the one that is stored.
var errHistory = errors.New("another chunk is stored under the same number")

// IsOtherHistory reports whether an error of Extend is evidence of a second instance.
func IsOtherHistory(err error) bool { return errors.Is(err, errHistory) }

// Extend works out what chunks of one attempt, in any order, add to its log as it is
// stored. gap is set when chunks are missing before one of them. The append is nil when
// there is nothing to add.
func Extend(log *store.LogState, chunks []*Prepared) (add *store.LogAppend, gap bool, err error) {
	a := &store.LogAppend{
		AttemptID: log.AttemptID, ExecutionID: log.ExecutionID, Exists: log.Exists,
		Next: log.Next, To: log.Next, Hash: log.Hash, Lines: log.Lines, TextBytes: log.TextBytes, TextOpen: log.TextOpen,
	}
	for _, c := range chunks {
		switch {
		case c.Seq < a.To:
			if c.Seq == a.To-1 && c.Hash != a.Hash {
				return nil, false, errHistory
			}
			continue
		case c.Seq > a.To && !failpoint.Mutant("L2"):
			gap = true
			continue
		}
		if log.Total >= 0 && c.Seq >= log.Total {
			return nil, false, fmt.Errorf("chunk %d comes after the %d that the result told: %w", c.Seq, log.Total, errHistory)
		}
		if wire.NextChunkHash(wire.Hash(a.Hash), uint64(c.Seq), c.frames) != wire.Hash(c.Hash) && !failpoint.Mutant("L2") {
			return nil, false, errHistory
		}
		size := c.textBytes
		if c.first >= 0 {
			if seamOf(a.TextOpen).breaks(c.first) {
				size++
			}
			a.TextOpen = c.seam.stored()
		}
		nodes := c.Nodes
		if nodes == nil {
			nodes = []int{}
		}
		a.Chunks = append(a.Chunks, store.ChunkRow{
			AttemptID: log.AttemptID, Seq: c.Seq, FirstLine: a.Lines, Lines: c.Lines, FirstByte: a.TextBytes, TextBytes: size,
			Nodes: nodes, Hash: c.Hash, Data: bytes.Clone(c.Data), Frames: c.frames,
		})
		a.To, a.Hash = c.Seq+1, c.Hash
		a.Lines += int64(c.Lines)
		a.TextBytes += size
	}
	if len(a.Chunks) == 0 {
		return nil, gap, nil
	}
	return a, gap, nil
}
