package wire

import (
	"fmt"
	"strings"
	"testing"
)

// TestScriptsAreForgottenAlike gives both ends of a session the same offers: the hub's
// must never believe that the runner has what it has not.
func TestScriptsAreForgottenAlike(t *testing.T) {
	t.Parallel()
	var hub, runner Scripts
	texts := make([]string, 2*MaxKeptScripts)
	for i := range texts {
		texts[i] = fmt.Sprintf("%d ", i) + strings.Repeat("x", i*i%(MaxKeptScriptBytes/60))
	}
	known := 0
	for i := range 20_000 {
		text := texts[i*i%len(texts)]
		if i%3 == 0 {
			text = texts[i%7]
		}
		digest := ScriptDigest(text)
		if _, ok := hub.Get(digest); ok {
			known++
			if got, ok := runner.Get(digest); !ok || got != text {
				t.Fatalf("offer %d: the runner lacks what the hub believes it has", i)
			}
			continue
		}
		hub.Put(digest, len(text), "")
		runner.Put(digest, len(text), text)
	}
	if known < 6_000 {
		t.Errorf("only %d offers went by digest", known)
	}
	if hub.recent.Len() != len(hub.by) || hub.recent.Len() > MaxKeptScripts || hub.bytes > MaxKeptScriptBytes || hub.bytes < 0 {
		t.Errorf("%d scripts with %d bytes are kept", hub.recent.Len(), hub.bytes)
	}
	huge := strings.Repeat("x", MaxKeptScriptBytes+1)
	hub.Put(ScriptDigest(huge), len(huge), "")
	if _, ok := hub.Get(ScriptDigest(huge)); ok {
		t.Error("a script is kept that would drive out all others")
	}
}
