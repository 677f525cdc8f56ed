package archive

import (
	"crypto/sha256"
	"encoding/binary"
)

// Sealed gives bytes a foot whose sums are right, so that a fuzzer comes past them.
func Sealed(b []byte) []byte {
	if len(b) < footBytes {
		return b
	}
	f := b[len(b)-footBytes:]
	offset, length := binary.BigEndian.Uint64(f[64:]), binary.BigEndian.Uint64(f[72:])
	if ends := uint64(len(b) - footBytes); offset <= ends && length <= ends-offset {
		sum := sha256.Sum256(b[offset : offset+length])
		copy(f, sum[:])
	}
	return b
}

// Readable is what Pack asks of a log whose index may have so many bytes.
func (l *Log) Readable(most int) error { return l.readable(l.index(), most) }

// IndexBytes is how large the index of a log is.
func (l *Log) IndexBytes() int { return len(l.index()) }
