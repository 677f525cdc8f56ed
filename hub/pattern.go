package hub

import "strings"

// IntersectsClasses reports whether a pattern has && within a class, as in [a-z&&[^b]].
// Rundeck's patterns are Java's, where it means both. RE2 takes it too, as two
// characters of a class that ends at the first bracket: another pattern, without a word.
func IntersectsClasses(pattern string) bool {
	inside := false
	for i := 0; i < len(pattern); i++ {
		rest := pattern[i:]
		switch {
		case strings.HasPrefix(rest, `\Q`) && !inside:
			end := strings.Index(rest, `\E`)
			if end < 0 {
				return false
			}
			i += end + 1
		case rest[0] == '\\':
			i++
		case !inside && rest[0] == '[':
			inside = true
			if strings.HasPrefix(rest, "[^") {
				i++
			}
			if strings.HasPrefix(pattern[i+1:], "]") { // the first one is a character
				i++
			}
		case inside && rest[0] == ']':
			inside = false
		case inside && strings.HasPrefix(rest, "&&"):
			return true
		}
	}
	return false
}
