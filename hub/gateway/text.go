package gateway

import (
	"strings"
	"unicode/utf8"
)

// What a runner says for people is made storable: valid UTF-8, no NUL, bounded. It is
// a report about foreign programs, so a strange byte in it must not refuse a result.

func text(s string, limit int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

func word(s string) string { return text(s, maxWord) }

func clean(data map[string]string) map[string]string {
	if len(data) == 0 {
		return nil
	}
	out := make(map[string]string, len(data))
	for k, v := range data {
		out[word(k)] = text(v, len(v)*3)
	}
	return out
}
