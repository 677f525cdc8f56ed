package archive

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/proto/wire"
)

// BadChunkError says that a chunk of an object is not the one that was archived.
type BadChunkError struct {
	Seq int64
	Why string
}

// Error implements error.
func (e *BadChunkError) Error() string { return fmt.Sprintf("chunk %d %s", e.Seq, e.Why) }

// Object is one that can be read from. It is never changed, so many may share it.
type Object struct {
	Log

	in   Archive
	key  string
	size int64
}

// firstRead is how much of an object's end is read at once: foot and index of most.
const firstRead = 64 << 10

// OpenObject reads the end of an object of size bytes.
func OpenObject(ctx context.Context, in Archive, key string, size int64) (*Object, error) {
	if size < int64(headBytes+footBytes) {
		return nil, fmt.Errorf("the object %s %w", key, errNoObject)
	}
	end, err := readRange(ctx, in, key, max(0, size-firstRead), min(size, firstRead))
	if err != nil {
		return nil, err
	}
	f, err := parseFoot(end[len(end)-footBytes:], size)
	if err != nil {
		return nil, fmt.Errorf("the object %s %w", key, err)
	}
	var index []byte
	if from := int64(len(end)) - int64(footBytes) - f.length; from >= 0 {
		index = end[from : from+f.length]
	} else if index, err = readRange(ctx, in, key, f.offset, f.length); err != nil {
		return nil, err
	}
	l, err := parseIndex(index, f)
	if err != nil {
		return nil, fmt.Errorf("the object %s %w", key, err)
	}
	return &Object{Log: *l, in: in, key: key, size: size}, nil
}

func readRange(ctx context.Context, in Archive, key string, offset, length int64) ([]byte, error) {
	r, err := in.Get(ctx, key, offset, length)
	if err != nil {
		return nil, err
	}
	b := make([]byte, length)
	_, err = io.ReadFull(r, b)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = fmt.Errorf("the object %s ends before byte %d", key, offset+length)
	}
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	return b, nil
}

// Read returns the compressed bytes of the chunks from one up to another, not itself, by
// one request; each is as large as the index says and has its CRC.
func (o *Object) Read(ctx context.Context, from, to int) ([][]byte, error) {
	first, last := &o.Chunks[from], &o.Chunks[to-1]
	all, err := readRange(ctx, o.in, o.key, first.Offset, last.Offset+int64(last.Size)-first.Offset)
	if err != nil {
		return nil, err
	}
	list := make([][]byte, 0, to-from)
	for i := from; i < to; i++ {
		c := &o.Chunks[i]
		var data []byte
		data, all = all[:c.Size:c.Size], all[c.Size:]
		if crc32.Checksum(data, castagnoli()) != c.CRC {
			return nil, &BadChunkError{int64(i), "was changed since it was archived"}
		}
		list = append(list, data)
	}
	return list, nil
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

// Verify reads a whole object and compares everything: size and SHA-256, the chain of the
// chunks by which the first bad one is named, and what the foot says. A BadChunkError
// names a chunk.
func Verify(ctx context.Context, in Archive, key string, size int64, sum [32]byte) error {
	o, err := OpenObject(ctx, in, key, size)
	if err != nil {
		return err
	}
	body, err := in.Get(ctx, key, 0, size)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // only read
	whole := sha256.New()
	r := bufio.NewReaderSize(io.TeeReader(body, whole), 1<<20)
	if err := o.check(r); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return fmt.Errorf("reading the object %s: %w", key, err)
	}
	if [32]byte(whole.Sum(nil)) != sum {
		return fmt.Errorf("the object %s has another SHA-256 than it was archived with, though all its chunks are right", key)
	}
	return nil
}

// check walks along the chain of an object that is read from its beginning.
func (o *Object) check(r io.Reader) error {
	buf := make([]byte, MaxChunk)
	if _, err := io.ReadFull(r, buf[:headBytes]); err != nil || !isHead(buf[:headBytes]) {
		return fmt.Errorf("the object %s %w", o.key, errNoObject)
	}
	var chain wire.Hash
	var frames []byte
	for i := range o.Chunks {
		c := &o.Chunks[i]
		data := buf[:c.Size]
		if _, err := io.ReadFull(r, data); err != nil {
			return fmt.Errorf("reading chunk %d of the object %s: %w", i, o.key, err)
		}
		var err error
		if frames, err = decoder().DecodeAll(data, frames[:0]); err != nil {
			return &BadChunkError{int64(i), "cannot be decompressed: " + err.Error()}
		}
		if chain = wire.NextChunkHash(chain, uint64(i), frames); chain != wire.Hash(c.Hash) {
			return &BadChunkError{int64(i), "does not have the hash of what its runner sent"}
		}
	}
	return nil
}

// Compare reads back what was put: size bytes with that SHA-256, and none behind them.
func Compare(ctx context.Context, in Archive, key string, size int64, sum [32]byte) error {
	body, err := in.Get(ctx, key, 0, size+1)
	if err != nil {
		return fmt.Errorf("reading it back: %w", err)
	}
	defer func() { _ = body.Close() }() // only read
	whole := sha256.New()
	n, err := io.Copy(whole, body)
	switch {
	case err != nil:
		return fmt.Errorf("reading it back: %w", err)
	case n != size:
		return hub.Errorf(hub.CodeUnavailable, "The archive %s took %d bytes as %s and gives back %d.", in.Name(), size, key, n)
	case [32]byte(whole.Sum(nil)) != sum:
		return hub.Errorf(hub.CodeUnavailable, "The archive %s gives other bytes back as %s than it took.", in.Name(), key)
	}
	return nil
}
