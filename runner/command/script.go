package command

import (
	"errors"
	"strings"
	"unicode"
)

// ExpandScript returns an inline script with every @option.x@, @unquotedoption.x@,
// @node.x@ and @job.x@ replaced by its value, as text: a script may be of any
// language, so nothing is quoted. "@@" stands for one "@". Everything else is left.
//
// Authors should prefer the RD_* variables: a value cannot become code there.
func ExpandScript(text string, c Context) (string, error) {
	if !strings.Contains(text, "@") {
		return text, nil
	}
	var out strings.Builder
	out.Grow(len(text))
	for {
		before, rest, found := strings.Cut(text, "@")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		if after, ok := strings.CutPrefix(rest, "@"); ok {
			out.WriteByte('@')
			text = after
			continue
		}
		ref, ok := parseToken(rest)
		if !ok {
			out.WriteByte('@')
			text = rest
			continue
		}
		v, err := c.value(ref)
		if err != nil {
			return "", scriptError(err)
		}
		out.WriteString(v)
		text = rest[ref.size:]
	}
}

func scriptError(err error) error {
	return errors.New(err.Error() + " (write @@ for an @ that is meant as such)")
}

// parseToken reads "space.name@" at the start of text; of a captured value also
// "data.name*@" with what is to stand between, and "data.name/node@".
func parseToken(text string) (reference, bool) {
	data, all := strings.HasPrefix(text, "data."), false
	end := strings.IndexFunc(text, func(r rune) bool {
		all = all || data && r == '*'
		return !tokenRune(r) && (r == '@' || unicode.IsSpace(r) || !all && !(data && r == '/'))
	})
	if end < 0 || text[end] != '@' {
		return reference{}, false
	}
	space, name, ok := strings.Cut(text[:end], ".")
	if !ok || name == "" || !known(space) {
		return reference{}, false
	}
	if i := strings.LastIndexByte(name, '/'); data && !all && i > 0 {
		name = name[:i] + "@" + name[i+1:]
	}
	return reference{space: space, name: name, size: end + 1}, true
}

// tokenRune reports whether r may stand between the marks of a token.
func tokenRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(".+-_:", r) || r > 127
}
