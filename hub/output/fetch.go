package output

import (
	"context"
	"fmt"

	"github.com/fairlead/fairlead/hub/store"
)

const (
	// chunksAtOnce bounds what is read by one query; a chunk is at most 256 KiB of text.
	chunksAtOnce = 16
	// fewChunks is for who wants a few lines.
	fewChunks = 2
	// headsAtOnce is how many chunks are looked at without their data.
	headsAtOnce = 512
)

// fetch returns chunks of an attempt from a number on, of which each may hold lines that
// are wanted; none at the end. What lies between them is not read.
func (r *reader) fetch(ctx context.Context, s *source, from int64) ([]store.ChunkRow, error) {
	n := chunksAtOnce
	if r.few {
		n = fewChunks
	}
	if s.sieve.nodes != nil {
		var err error
		if from, n, err = r.speaking(ctx, s, from); err != nil || n == 0 {
			return nil, err
		}
	}
	return r.o.chunks(ctx, s, from, n)
}

// speaking finds the next chunks, one behind the other, of nodes that are wanted.
func (r *reader) speaking(ctx context.Context, s *source, from int64) (first int64, n int, err error) {
	if s.sieve.silent() {
		return 0, 0, nil
	}
	for from < s.log.Next {
		heads, err := r.heads(ctx, s, from)
		if err != nil {
			return 0, 0, err
		}
		for i := range heads {
			switch speaks := heads[i].Seq >= from && s.sieve.speaks(heads[i].Nodes); {
			case speaks && n == 0:
				first, n = heads[i].Seq, 1
			case speaks && heads[i].Seq == first+int64(n) && n < chunksAtOnce:
				n++
			case n > 0:
				return first, n, nil
			}
		}
		if n > 0 {
			return first, n, nil
		}
		from = s.headsTo
	}
	return 0, 0, nil
}

// heads returns chunks from a number on without their data, at most headsAtOnce. They
// are asked for again and again by one reading, which remembers them.
func (r *reader) heads(ctx context.Context, s *source, from int64) ([]store.ChunkHead, error) {
	if from >= s.headsFrom && from < s.headsTo {
		return s.heads, nil
	}
	to := min(from+headsAtOnce, s.log.Next)
	heads, err := r.o.heads(ctx, s, from, to)
	if err != nil {
		return nil, err
	}
	s.heads, s.headsFrom, s.headsTo = heads, from, to
	return heads, nil
}

// frames decompresses a chunk into buf, which may be nil.
func frames(c *store.ChunkRow, buf []byte) ([]byte, error) {
	out, err := decoder().DecodeAll(c.Data, buf[:0])
	if err != nil {
		return nil, fmt.Errorf("reading chunk %d of attempt %s: %w", c.Seq, c.AttemptID, err)
	}
	return out, nil
}
