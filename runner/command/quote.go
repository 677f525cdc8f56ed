package command

import "strings"

// Quote returns s as one word of a POSIX shell, whatever bytes it holds but NUL, which
// no shell can take: the caller refuses it before.
func Quote(s string) string {
	return "'" + insideSingle(s) + "'"
}

// Holds reports whether an expanded text shows value, in any of the ways in which
// expansion writes one. The empty value is in no text.
func Holds(text, value string) bool {
	return value != "" &&
		(strings.Contains(text, value) || strings.Contains(text, insideSingle(value)) || strings.Contains(text, insideDouble(value)))
}

// insideSingle returns s as it must stand between single quotes.
func insideSingle(s string) string {
	return strings.ReplaceAll(s, `'`, `'\''`)
}

// insideDouble returns s as it must stand between double quotes: these four are all
// that a POSIX shell still reads there.
func insideDouble(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := range len(s) {
		switch s[i] {
		case '$', '`', '"', '\\':
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
