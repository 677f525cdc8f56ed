package nodefilter

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fairlead/fairlead/hub"
)

// Expand puts option values into the ${option.x} of a filter. Where the whole filter
// is one reference, the value is a filter. Else a value stands for itself: ".*" is two
// characters, "a,b" one odd name, and no value adds keys, so that a run's input never
// widens what the author selected. An option of several values means any of them.
func Expand(text string, options []hub.Option, values map[string]string) (string, error) {
	if !strings.Contains(text, "${option.") {
		return text, nil
	}
	trimmed := strings.TrimSpace(text)
	if strings.HasPrefix(trimmed, "${option.") && strings.IndexByte(trimmed, '}') == len(trimmed)-1 {
		return hub.ExpandOptions(trimmed, values)
	}
	pairs, err := parsePairs(text)
	if err != nil {
		return "", err
	}
	patterns, several := valuePatterns(options, values)
	parts := make([]string, len(pairs))
	for i, p := range pairs {
		value, err := p.expand(values, patterns, several)
		if err != nil {
			return "", fmt.Errorf("expand the node filter: %w", err)
		}
		parts[i] = quoteWord(p.name()+":") + " " + quoteWord(value)
	}
	return strings.Join(parts, " "), nil
}

// expand returns the value of a key with its references replaced.
func (p pair) expand(values, patterns map[string]string, several map[string]bool) (string, error) {
	if !strings.Contains(p.value, "${option.") {
		return p.value, nil
	}
	plain, err := hub.ExpandOptions(p.value, values)
	if err != nil {
		return "", err
	}
	if strings.TrimSpace(plain) == "" {
		return "", hub.Errorf(hub.CodeInvalid, "The node filter has no value for key %q: the option in %q is empty.", p.name(), p.value)
	}
	if !utf8.ValidString(plain) { // no pattern can be made of it
		return "", hub.Errorf(hub.CodeInvalid, "The node filter's value for key %q is not UTF-8: give the option another value.", p.name())
	}
	if err := p.checkReferences(several); err != nil {
		return "", err
	}
	pattern := strings.HasPrefix(p.value, "/") && strings.HasSuffix(p.value, "/")
	if p.key == "tags" || pattern || !strings.Contains(p.value, ",") {
		return hub.ExpandOptions(p.value, patterns)
	}
	// A comma list is of literal values. With a reference in it, it is written as the
	// pattern that means the same.
	var items []string
	for item := range strings.SplitSeq(p.value, ",") {
		item, err := hub.ExpandOptions(quoteAround(item), patterns)
		if err != nil {
			return "", err
		}
		items = append(items, item)
	}
	return "(?:" + strings.Join(items, "|") + ")", nil
}

// checkReferences refuses references at places where the author's pattern would give a
// value another meaning.
func (p pair) checkReferences(several map[string]bool) error {
	rest := p.value
	for at := strings.Index(rest, "${option."); at >= 0; at = strings.Index(rest, "${option.") {
		before := rest[:at]
		name, after, _ := strings.Cut(rest[at+len("${option."):], "}")
		if strings.HasSuffix(before, `\`) {
			return hub.Errorf(hub.CodeInvalid, "The node filter has a backslash right before a reference, for key %q: remove it, values are taken literally.", p.name())
		}
		if several[name] && strings.LastIndexByte(before, '[') > strings.LastIndexByte(before, ']') {
			return hub.Errorf(hub.CodeInvalid, "The node filter has an option of several values within brackets, for key %q: write ${option.%s} outside of them.", p.name(), name)
		}
		rest = after
	}
	return nil
}

// valuePatterns writes each value as the pattern that matches it alone, or any of
// several; several names the options that have more than one.
func valuePatterns(options []hub.Option, values map[string]string) (patterns map[string]string, several map[string]bool) {
	patterns, several = map[string]string{}, map[string]bool{}
	for name, value := range values {
		patterns[name] = literal(value)
	}
	for i := range options {
		value, ok := values[options[i].Name]
		if parts := options[i].Split(value); ok && len(parts) > 1 {
			for k := range parts {
				parts[k] = literal(parts[k])
			}
			patterns[options[i].Name] = "(?:" + strings.Join(parts, "|") + ")"
			several[options[i].Name] = true
		}
	}
	return patterns, several
}

// literal is the pattern that matches text alone, also between brackets. What the filter
// language gives a meaning to of its own is written by its number.
func literal(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == ',' || r == '+' || r == '/' || r < ' ' || unicode.IsSpace(r):
			fmt.Fprintf(&b, `\x{%x}`, r)
		case r < utf8.RuneSelf && r != '_' && !alphanumeric(r):
			b.WriteByte('\\')
			fallthrough
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func alphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// quoteAround makes what stands around the references of a text literal.
func quoteAround(text string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${option.")
		b.WriteString(literal(before))
		if !found {
			return b.String()
		}
		name, after, _ := strings.Cut(rest, "}")
		b.WriteString("${option." + name + "}")
		text = after
	}
}
