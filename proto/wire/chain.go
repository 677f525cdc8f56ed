package wire

import (
	"crypto/sha256"
	"encoding/binary"
)

// Hash is a value of one of the two chains of an attempt, or a digest over them.
// The zero Hash stands before the first record and before the first chunk.
type Hash [sha256.Size]byte

// NextRecordHash chains a serialised journal record: h(n) = SHA-256(h(n-1), record).
func NextRecordHash(prev Hash, record []byte) Hash {
	h := sha256.New()
	h.Write(prev[:])
	h.Write(record)
	return Hash(h.Sum(nil))
}

// NextChunkHash chains a chunk by its uncompressed frames:
// h(seq) = SHA-256(h(seq-1), seq, frames).
func NextChunkHash(prev Hash, seq uint64, frames []byte) Hash {
	h := sha256.New()
	h.Write(prev[:])
	h.Write(binary.BigEndian.AppendUint64(nil, seq))
	h.Write(frames)
	return Hash(h.Sum(nil))
}

// Result is what an attempt's signature covers.
type Result struct {
	Incarnation uint64
	AttemptID   string
	Epoch       uint32
	Outcome     int32
	StepsTotal  uint64
	StepsHash   Hash
	LogTotal    uint64
	LogHash     Hash
}

// ResultDigest is what a runner signs with its certificate's key (ECDSA, ASN.1): a
// stored log proves by it that it is whole, and whose it is.
func ResultDigest(r Result) Hash {
	b := []byte("fairlead result 1\x00")
	b = binary.BigEndian.AppendUint64(b, r.Incarnation)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.AttemptID)))
	b = append(b, r.AttemptID...)
	b = binary.BigEndian.AppendUint32(b, r.Epoch)
	b = binary.BigEndian.AppendUint32(b, uint32(r.Outcome))
	b = binary.BigEndian.AppendUint64(b, r.StepsTotal)
	b = append(b, r.StepsHash[:]...)
	b = binary.BigEndian.AppendUint64(b, r.LogTotal)
	b = append(b, r.LogHash[:]...)
	return sha256.Sum256(b)
}
