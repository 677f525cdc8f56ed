package output

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/fairlead/fairlead/hub"
)

// keySize is how many bytes of an attempt's id name it in a cursor: the last ones are
// random, and an execution has few attempts.
const keySize = 6

type key [keySize]byte

// position is how far an attempt's log was read: chunk, and lines of it.
type position struct {
	seq  int64
	skip int64
}

// later is the one of two that is further on.
func later(a, b position) position {
	if a.seq > b.seq || a.seq == b.seq && a.skip > b.skip {
		return a
	}
	return b
}

// positions is how far an execution's log was read. Attempts not in it are unread.
type positions map[key]position

func keyOf(attemptID string) key {
	var k key
	raw, err := hex.DecodeString(strings.ReplaceAll(attemptID, "-", ""))
	if err == nil && len(raw) >= keySize {
		copy(k[:], raw[len(raw)-keySize:])
	}
	return k
}

const cursorVersion = 1

// String is the cursor's text.
func (p positions) String() string {
	keys := make([]key, 0, len(p))
	for k := range p {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int { return slices.Compare(a[:], b[:]) })
	raw := []byte{cursorVersion}
	for _, k := range keys {
		raw = append(raw, k[:]...)
		raw = binary.AppendUvarint(raw, uint64(p[k].seq))
		raw = binary.AppendUvarint(raw, uint64(p[k].skip))
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// parseCursor reverses String.
func parseCursor(text string) (positions, error) {
	p := make(positions)
	if text == "" {
		return p, nil
	}
	bad := hub.Errorf(hub.CodeInvalid, "The log cursor is not one that this hub gave; start without one.")
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) == 0 || raw[0] != cursorVersion {
		return nil, bad
	}
	for raw = raw[1:]; len(raw) > 0; {
		var k key
		if len(raw) < keySize {
			return nil, bad
		}
		copy(k[:], raw)
		raw = raw[keySize:]
		var at [2]int64
		for i := range at {
			v, n := binary.Uvarint(raw)
			if n <= 0 || v > 1<<62 {
				return nil, bad
			}
			at[i], raw = int64(v), raw[n:]
		}
		p[k] = position{at[0], at[1]}
	}
	return p, nil
}
