package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Stream is where a frame's bytes came from.
type Stream uint8

// The streams. System frames are written by the runner about a step, never by it.
const (
	Stdout Stream = 0
	Stderr Stream = 1
	System Stream = 2
)

// Flags of a frame.
const (
	// FlagPartial: no newline follows; the line goes on in the next frame of the same
	// cell and stream, or ended without one.
	FlagPartial uint8 = 1 << 2
	// FlagMasked: a secret was replaced in it.
	FlagMasked uint8 = 1 << 3
	// FlagTruncated: bytes were dropped by a limit, and the text says how many.
	FlagTruncated uint8 = 1 << 4
	flagOffset    uint8 = 1 << 5
	streamMask    uint8 = 3
)

// Frame is one line of output, or a piece of a long one. Lines of an attempt are
// numbered by frames: the n-th frame is line n.
type Frame struct {
	// Node, Step and Try name the cell, by position in the spec; Try from 1.
	Node, Step, Try uint32
	Stream          Stream
	// Flags without the stream.
	Flags uint8
	// Time is Unix microseconds by the runner's clock.
	Time int64
	// Offset is where in the step's own output file this frame ends, so that a restarted
	// runner goes on there; 0 for none. A local step has one file for both streams, a
	// detached one a file for each.
	Offset uint64
	// Data is the line without its newline; any bytes, at most MaxFrameData.
	Data []byte
}

// AppendFrame appends the encoding of f to b: a byte of stream and flags, then
// varints of node, step, try, time, offset (if flagged) and length, then the data.
func AppendFrame(b []byte, f Frame) []byte {
	head := uint8(f.Stream)&streamMask | f.Flags&^(streamMask|flagOffset)
	if f.Offset > 0 {
		head |= flagOffset
	}
	b = append(b, head)
	b = binary.AppendUvarint(b, uint64(f.Node))
	b = binary.AppendUvarint(b, uint64(f.Step))
	b = binary.AppendUvarint(b, uint64(f.Try))
	b = binary.AppendVarint(b, f.Time)
	if f.Offset > 0 {
		b = binary.AppendUvarint(b, f.Offset)
	}
	b = binary.AppendUvarint(b, uint64(len(f.Data)))
	return append(b, f.Data...)
}

var errFrame = errors.New("output frame is cut off or malformed")

// NextFrame decodes the first frame of b and returns what follows it. Data aliases b.
func NextFrame(b []byte) (Frame, []byte, error) {
	if len(b) == 0 {
		return Frame{}, nil, errFrame
	}
	head := b[0]
	f := Frame{Stream: Stream(head & streamMask), Flags: head &^ (streamMask | flagOffset)}
	b = b[1:]
	for _, field := range []*uint32{&f.Node, &f.Step, &f.Try} {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > 1<<31 {
			return Frame{}, nil, errFrame
		}
		*field, b = uint32(v), b[n:]
	}
	t, n := binary.Varint(b)
	if n <= 0 {
		return Frame{}, nil, errFrame
	}
	f.Time, b = t, b[n:]
	if head&flagOffset != 0 {
		if f.Offset, n = binary.Uvarint(b); n <= 0 {
			return Frame{}, nil, errFrame
		}
		b = b[n:]
	}
	size, n := binary.Uvarint(b)
	if n <= 0 || size > MaxFrameData || size > uint64(len(b)-n) {
		return Frame{}, nil, errFrame
	}
	f.Data = b[n : n+int(size) : n+int(size)]
	return f, b[n+int(size):], nil
}

// CountFrames walks all frames of b and returns their number; an error tells that b
// is not a whole number of well-formed frames.
func CountFrames(b []byte) (int, error) {
	count := 0
	for len(b) > 0 {
		var err error
		if _, b, err = NextFrame(b); err != nil {
			return 0, fmt.Errorf("frame %d: %w", count, err)
		}
		count++
	}
	return count, nil
}
