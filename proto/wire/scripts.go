package wire

import (
	"container/list"
	"crypto/sha256"
)

const (
	// MinKeptScript is the length from which on a script is told by its digest once the
	// runner has it.
	MinKeptScript = 1 << 10
	// MaxKeptScripts bounds what a runner keeps for a session, and so does
	// MaxKeptScriptBytes.
	MaxKeptScripts = 256
	// MaxKeptScriptBytes is the most that their texts take together.
	MaxKeptScriptBytes = 8 << 20
)

// ScriptDigest is what a kept script is told by: the SHA-256 of its text.
func ScriptDigest(text string) [sha256.Size]byte { return sha256.Sum256([]byte(text)) }

// Scripts are those that a runner keeps for as long as a session lasts. Hub and runner
// each have one and put and get the same in the same order, that of the offers in the
// stream: so they always hold the same, and neither need ask the other. The hub's holds
// no texts. The zero value is empty; it is not safe for concurrent use.
type Scripts struct {
	recent list.List // of *keptScript, the least lately used first
	by     map[[sha256.Size]byte]*list.Element
	bytes  int
}

type keptScript struct {
	digest [sha256.Size]byte
	text   string
	length int
}

// Get returns the text that Put was given; false when it is not kept, or not any more.
func (s *Scripts) Get(digest [sha256.Size]byte) (text string, ok bool) {
	e := s.by[digest]
	if e == nil {
		return "", false
	}
	s.recent.MoveToBack(e)
	return e.Value.(*keptScript).text, true
}

// Put keeps a script of a length, of which text may be left out, and lets go of those
// that were not used for the longest time.
func (s *Scripts) Put(digest [sha256.Size]byte, length int, text string) {
	if _, have := s.Get(digest); have || length > MaxKeptScriptBytes {
		return
	}
	if s.by == nil {
		s.by = make(map[[sha256.Size]byte]*list.Element)
	}
	s.by[digest] = s.recent.PushBack(&keptScript{digest, text, length})
	s.bytes += length
	for s.recent.Len() > MaxKeptScripts || s.bytes > MaxKeptScriptBytes {
		oldest := s.recent.Remove(s.recent.Front()).(*keptScript)
		delete(s.by, oldest.digest)
		s.bytes -= oldest.length
	}
}
