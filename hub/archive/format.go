package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/proto/wire"
)

// Sizes of the parts of an object.
const (
	magic     = "FAIRLEAD-LOG"
	version   = 1
	headBytes = len(magic) + 4
	footBytes = 2*sha256.Size + 3*8 + headBytes
	// minEntry is what the index takes for a chunk at least.
	minEntry = 4 + sha256.Size + 4
	// maxID bounds the id of an attempt or an execution.
	maxID = 100
	// maxIndex bounds what a reader allocates for an index, of which it has read no more
	// than that it says so: some 5 million chunks.
	maxIndex = 256 << 20
	// MaxChunk bounds a compressed chunk: zstd makes what it cannot compress larger by
	// less than a hundredth.
	MaxChunk = wire.MaxChunkBytes + wire.MaxChunkBytes/64 + 1024
	// MaxNode bounds the position of a node.
	MaxNode = 1 << 31
)

// castagnoli is made once by the library too.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// Log is what an object holds: the output of one attempt.
type Log struct {
	AttemptID, ExecutionID string
	// Chunks are numbered from 0 by their place.
	Chunks []Chunk
}

// Chunk is one of them.
type Chunk struct {
	// FirstLine and FirstByte are where it begins among the lines and the bytes of text.
	FirstLine, FirstByte int64
	Lines                int
	TextBytes            int64
	// Nodes that speak in it, positions in the attempt's spec.
	Nodes []int
	// Hash is the chain over uncompressed frames up to its end.
	Hash [32]byte
	// Offset, Size and CRC (32C) are of its compressed bytes.
	Offset int64
	Size   int
	CRC    uint32
}

// Lines of all chunks.
func (l *Log) Lines() int64 {
	if len(l.Chunks) == 0 {
		return 0
	}
	last := &l.Chunks[len(l.Chunks)-1]
	return last.FirstLine + int64(last.Lines)
}

// place works out where each chunk begins, and returns where the last one ends.
func (l *Log) place() int64 {
	at, line, text := int64(headBytes), int64(0), int64(0)
	for i := range l.Chunks {
		c := &l.Chunks[i]
		c.Offset, c.FirstLine, c.FirstByte = at, line, text
		at += int64(c.Size)
		line += int64(c.Lines)
		text += c.TextBytes
	}
	return at
}

func head() []byte { return binary.BigEndian.AppendUint32([]byte(magic), version) }

func isHead(b []byte) bool { return bytes.Equal(b, head()) }

func (l *Log) index() []byte {
	var b []byte
	for _, id := range []string{l.AttemptID, l.ExecutionID} {
		b = binary.AppendUvarint(b, uint64(len(id)))
		b = append(b, id...)
	}
	for i := range l.Chunks {
		c := &l.Chunks[i]
		for _, n := range []uint64{uint64(c.Size), uint64(c.Lines), uint64(c.TextBytes), uint64(len(c.Nodes))} {
			b = binary.AppendUvarint(b, n)
		}
		for _, n := range c.Nodes {
			b = binary.AppendUvarint(b, uint64(n))
		}
		b = append(b, c.Hash[:]...)
		b = binary.BigEndian.AppendUint32(b, c.CRC)
	}
	return b
}

// Packing is an object on its way to an archive: a reader of its bytes. Make it with
// Pack.
type Packing struct {
	log  *Log
	next func() ([]byte, error)
	size int64
	i    int
	rest []byte
	sum  hash.Hash
	done bool
}

// Pack makes the object of a log whose chunks have their Size, and all else but CRC and
// what their place tells. next gives their compressed bytes in order; what it returned
// is not kept beyond the next call. A log that no reader would take as an object is an
// error.
func Pack(l *Log, next func() ([]byte, error)) (*Packing, error) {
	ends, index := l.place(), l.index()
	if err := l.readable(index, maxIndex); err != nil {
		return nil, err
	}
	p := &Packing{log: l, next: next, size: ends + int64(len(index)) + int64(footBytes), rest: head(), sum: sha256.New()}
	p.sum.Write(p.rest)
	return p, nil
}

// readable says what in an index of the log parseFoot, which takes most bytes of it, or
// parseIndex would refuse. Its rows go once the object is there: nobody could read it any
// more.
func (l *Log) readable(index []byte, most int) error {
	if len(index) > most {
		return hub.Errorf(hub.CodeExhausted, "The log of attempt %s is too large for an object: its index would have %d bytes, and at most %d are read. It stays in the database until its retention is over.", l.AttemptID, len(index), most)
	}
	p := &parser{b: index}
	for range 2 {
		p.bytes(p.number(maxID))
	}
	for i := range l.Chunks {
		if p.chunk(&Chunk{}); p.bad {
			return hub.Errorf(hub.CodeInternal, "Chunk %d of attempt %s is none that an object can hold. The log stays in the database until its retention is over.", i, l.AttemptID)
		}
	}
	return nil
}

// Size of the whole object in bytes.
func (p *Packing) Size() int64 { return p.size }

// Sum is the SHA-256 of the whole object, once all of it was read.
func (p *Packing) Sum() [32]byte { return [32]byte(p.sum.Sum(nil)) }

// Read implements io.Reader.
func (p *Packing) Read(b []byte) (int, error) {
	for len(p.rest) == 0 {
		if p.done {
			return 0, io.EOF
		}
		if err := p.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *Packing) fill() (err error) {
	if p.i == len(p.log.Chunks) {
		p.end()
		return nil
	}
	c := &p.log.Chunks[p.i]
	if p.rest, err = p.next(); err != nil {
		return err
	}
	if len(p.rest) != c.Size {
		return fmt.Errorf("chunk %d has %d bytes and had %d a moment ago", p.i, len(p.rest), c.Size)
	}
	c.CRC = crc32.Checksum(p.rest, castagnoli())
	p.sum.Write(p.rest)
	p.i++
	return nil
}

// end is index and foot.
func (p *Packing) end() {
	index := p.log.index()
	p.sum.Write(index)
	own := sha256.Sum256(index)
	foot := p.sum.Sum(own[:])
	for _, n := range []uint64{uint64(p.size) - uint64(footBytes) - uint64(len(index)), uint64(len(index)), uint64(len(p.log.Chunks))} {
		foot = binary.BigEndian.AppendUint64(foot, n)
	}
	foot = append(foot, head()...)
	p.sum.Write(foot)
	p.rest, p.done = append(index, foot...), true
}

// foot is the end of an object.
type foot struct {
	index, before  [32]byte
	offset, length int64
	chunks         int64
}

var errNoObject = errors.New("is not an object of an archive, or its end is damaged")

// parseFoot reads the foot of an object of so many bytes.
func parseFoot(b []byte, size int64) (foot, error) {
	if len(b) != footBytes || !isHead(b[footBytes-headBytes:]) {
		return foot{}, errNoObject
	}
	f := foot{index: [32]byte(b), before: [32]byte(b[32:])}
	offset, length, chunks := binary.BigEndian.Uint64(b[64:]), binary.BigEndian.Uint64(b[72:]), binary.BigEndian.Uint64(b[80:])
	if length > maxIndex || chunks > length/uint64(minEntry) || offset > uint64(size) || int64(offset)+int64(length)+int64(footBytes) != size || offset < uint64(headBytes) {
		return foot{}, errNoObject
	}
	f.offset, f.length, f.chunks = int64(offset), int64(length), int64(chunks)
	return f, nil
}

var errIndex = errors.New("has a damaged index")

// parseIndex reads the index that a foot speaks of.
func parseIndex(b []byte, f foot) (*Log, error) {
	if int64(len(b)) != f.length || sha256.Sum256(b) != f.index {
		return nil, errIndex
	}
	p := &parser{b: b}
	l := &Log{AttemptID: string(p.bytes(p.number(maxID))), ExecutionID: string(p.bytes(p.number(maxID)))}
	l.Chunks = make([]Chunk, f.chunks)
	for i := range l.Chunks {
		p.chunk(&l.Chunks[i])
	}
	if p.bad || len(p.b) > 0 || l.place() != f.offset {
		return nil, errIndex
	}
	return l, nil
}

// parser takes an index apart; once bad it gives zeros.
type parser struct {
	b   []byte
	bad bool
}

// number is a varint of at most so much.
func (p *parser) number(most int64) int64 {
	v, n := binary.Uvarint(p.b)
	if n <= 0 || v > uint64(most) {
		p.bad, p.b = true, nil
		return 0
	}
	p.b = p.b[n:]
	return int64(v)
}

func (p *parser) bytes(n int64) []byte {
	if n > int64(len(p.b)) {
		p.bad, p.b = true, nil
		return make([]byte, n) // n is small: a hash, or the length of an id
	}
	b := p.b[:n]
	p.b = p.b[n:]
	return b
}

func (p *parser) chunk(c *Chunk) {
	c.Size = int(p.number(MaxChunk))
	c.Lines = int(p.number(wire.MaxChunkBytes))
	c.TextBytes = p.number(2 * wire.MaxChunkBytes)
	if nodes := p.number(int64(len(p.b))); nodes > 0 { // each takes a byte at least
		c.Nodes = make([]int, nodes)
	}
	for i := range c.Nodes {
		c.Nodes[i] = int(p.number(MaxNode))
	}
	c.Hash = [32]byte(p.bytes(sha256.Size))
	c.CRC = binary.BigEndian.Uint32(p.bytes(4))
}
