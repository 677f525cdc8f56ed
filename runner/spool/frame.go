package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// kind is what a frame holds.
type kind uint8

const (
	kindOffer kind = iota + 1
	kindRecord
	kindDeclined
	kindSettled
	kindCut
	kindChunk
)

const (
	frameMagic  = 0xFA1D
	headLength  = 12 // magic 2, kind 1, key length 1, payload length 4, checksum 4
	sumLength   = 4
	maxPayload  = 80 << 20 // a Spec of 64 MiB and its fence
	minFrameLen = headLength + sumLength
)

// frame is one entry of a segment. Payload aliases what it was read from.
type frame struct {
	kind    kind
	key     string
	payload []byte
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

func appendFrame(b []byte, f frame) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint16(b, frameMagic)
	b = append(b, byte(f.kind), byte(len(f.key)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(f.payload)))
	sum := crc32.Update(crc32.Checksum(b[start:], castagnoli()), castagnoli(), []byte(f.key))
	b = binary.BigEndian.AppendUint32(b, sum)
	b = append(b, f.key...)
	b = append(b, f.payload...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(f.payload, castagnoli()))
}

// What can be wrong with a frame. A bad payload has a key that can be trusted.
var (
	errShort   = errors.New("frame is cut off")
	errHead    = errors.New("frame head is damaged")
	errPayload = errors.New("frame payload is damaged")
)

// readFrame decodes the first frame of b and returns its length. With errPayload, key
// and length are good.
func readFrame(b []byte) (frame, int, error) {
	if len(b) < minFrameLen {
		return frame{}, 0, errShort
	}
	keyLength := int(b[3])
	size := int(binary.BigEndian.Uint32(b[4:]))
	if binary.BigEndian.Uint16(b) != frameMagic || size > maxPayload {
		return frame{}, 0, errHead
	}
	if len(b) < headLength+keyLength {
		return frame{}, 0, errShort
	}
	key := b[headLength : headLength+keyLength]
	sum := crc32.Update(crc32.Checksum(b[:8], castagnoli()), castagnoli(), key)
	if sum != binary.BigEndian.Uint32(b[8:]) {
		return frame{}, 0, errHead
	}
	total := headLength + keyLength + size + sumLength
	if len(b) < total {
		return frame{}, 0, errShort
	}
	f := frame{kind: kind(b[2]), key: string(key), payload: b[headLength+keyLength : total-sumLength : total-sumLength]}
	if crc32.Checksum(f.payload, castagnoli()) != binary.BigEndian.Uint32(b[total-sumLength:]) {
		return f, total, errPayload
	}
	return f, total, nil
}

// damage is a bad place in a segment with good frames behind it. Key is empty when
// the owner cannot be told.
type damage struct {
	offset int
	key    string
}

// scan calls visit for each good frame of a segment, and returns the damages and the
// length up to which the segment is to be kept: what follows is a torn tail.
func scan(b []byte, visit func(f frame, offset int)) (damages []damage, keep int) {
	var open []damage // not yet known to be followed by a good frame
	for at := 0; at < len(b); {
		f, n, err := readFrame(b[at:])
		switch {
		case err == nil:
			damages, open = append(damages, open...), nil
			visit(f, at)
			at += n
			keep = at
		case errors.Is(err, errPayload):
			open = append(open, damage{at, f.key})
			at += n
		default:
			open = append(open, damage{offset: at})
			at = nextMagic(b, at+1)
		}
	}
	return damages, keep
}

// nextMagic returns the first place from at on where a frame may begin.
func nextMagic(b []byte, at int) int {
	for ; at+1 < len(b); at++ {
		if b[at] == frameMagic>>8 && b[at+1] == frameMagic&0xff {
			return at
		}
	}
	return len(b)
}
