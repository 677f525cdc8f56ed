package output

import (
	"bytes"
	"regexp"
	"regexp/syntax"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/fairlead/fairlead/hub"
)

// Pattern is what to look for in lines.
type Pattern struct {
	Text string
	// Regex reads Text as a regular expression of RE2, else it is looked for as it stands.
	Regex      bool
	IgnoreCase bool
}

// maxPattern bounds a pattern, in bytes: what an expression costs grows with it.
const maxPattern = 1000

// matcher finds a pattern. It is safe for many goroutines.
type matcher struct {
	// literal is what is looked for, unless re is.
	literal []byte
	re      *regexp.Regexp
	// needs: a line that matches has one of these in it, in small letters with fold; nil:
	// nothing is known. They are sought in whole chunks, which is many times faster than
	// to ask the expression line by line.
	needs [][]byte
	fold  bool
}

func newMatcher(p Pattern) (*matcher, error) {
	if p.Text == "" || len(p.Text) > maxPattern {
		return nil, hub.Invalid("There is nothing to search for.", []hub.FieldError{{Path: "query.q", Message: "from 1 to 1000 bytes"}})
	}
	if !p.Regex && !p.IgnoreCase {
		literal := []byte(p.Text)
		return &matcher{literal: literal, needs: [][]byte{literal}}, nil
	}
	text := p.Text
	if !p.Regex {
		text = regexp.QuoteMeta(text)
	}
	if p.IgnoreCase {
		text = "(?i)" + text
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, hub.Invalid("The regular expression cannot be read.", []hub.FieldError{{Path: "query.q", Message: reasonOf(err) + "; the syntax is that of RE2"}})
	}
	m := &matcher{re: re}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, hub.Invalid("The regular expression cannot be read.", []hub.FieldError{{Path: "query.q", Message: reasonOf(err)}})
	}
	m.needs = m.required(tree)
	if m.fold {
		for i, n := range m.needs {
			m.needs[i] = lower(nil, n)
		}
	}
	return m, nil
}

// reasonOf leaves the package's name out of an expression's error.
func reasonOf(err error) string {
	if e, ok := err.(*syntax.Error); ok { //nolint:errorlint // regexp returns it bare
		return e.Code.String() + ": " + e.Expr
	}
	return err.Error()
}

// maxNeeds bounds how many words are sought at once.
const maxNeeds = 16

// required finds texts of which one stands in whatever an expression matches; none when
// that cannot be said.
func (m *matcher) required(re *syntax.Regexp) [][]byte {
	switch re.Op {
	case syntax.OpLiteral:
		return m.word(re)
	case syntax.OpCapture, syntax.OpPlus:
		return m.required(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return m.required(re.Sub[0])
		}
	case syntax.OpConcat:
		var best [][]byte
		for _, sub := range re.Sub {
			if words := m.required(sub); shortest(words) > shortest(best) {
				best = words
			}
		}
		return best
	case syntax.OpAlternate:
		var all [][]byte
		for _, sub := range re.Sub {
			words := m.required(sub)
			if words == nil || len(all)+len(words) > maxNeeds {
				return nil
			}
			all = append(all, words...)
		}
		return all
	}
	return nil
}

// word is the longest part of a literal whose bytes are certain to stand in a match.
func (m *matcher) word(re *syntax.Regexp) [][]byte {
	fold := re.Flags&syntax.FoldCase != 0
	var best, now []byte
	for _, r := range re.Rune {
		// An invalid byte is U+FFFD to an expression; and only ASCII has small letters here.
		if r == utf8.RuneError || fold && r > unicode.MaxASCII {
			now = nil
			continue
		}
		now = utf8.AppendRune(now, r)
		if len(now) > len(best) {
			best = now
		}
	}
	if best == nil {
		return nil
	}
	m.fold = m.fold || fold
	return [][]byte{bytes.Clone(best)}
}

func shortest(words [][]byte) int {
	least := 0
	for i, w := range words {
		if i == 0 || len(w) < least {
			least = len(w)
		}
	}
	return least
}

// matches reports whether the pattern stands in a line.
func (m *matcher) matches(line []byte) bool {
	if m.re != nil {
		return m.re.Match(line)
	}
	return bytes.Contains(line, m.literal)
}

// maxMarks bounds how often a pattern is shown in one line.
const maxMarks = 100

// findAll is every place of a line, at most maxMarks; those that are empty are left out.
func (m *matcher) findAll(line []byte) (marks [][2]int) {
	if m.re != nil {
		for _, at := range m.re.FindAllIndex(line, maxMarks) {
			if at[1] > at[0] {
				marks = append(marks, [2]int{at[0], at[1]})
			}
		}
		return marks
	}
	for from := 0; len(marks) < maxMarks; {
		i := bytes.Index(line[from:], m.literal)
		if i < 0 {
			return marks
		}
		marks = append(marks, [2]int{from + i, from + i + len(m.literal)})
		from += i + len(m.literal)
	}
	return marks
}

// lower appends text with the capital letters of ASCII made small.
func lower(buf, text []byte) []byte {
	from := len(buf)
	buf = append(buf, text...)
	for i, c := range buf[from:] {
		if c-'A' < 26 {
			buf[from+i] = c + 'a' - 'A'
		}
	}
	return buf
}

// spots are the places of a chunk at which a line may match.
type spots struct {
	in    []byte
	words [][]byte
	next  []int
	// all: nothing is known, every line may.
	all bool
}

// Signs that are the same letter as k and s when case is ignored, beyond ASCII.
var kelvin, longS = []byte("\u212a"), []byte("\u017f")

// spots prepares a chunk; buf is for its small letters.
func (m *matcher) spots(data, buf []byte) (spots, []byte) {
	if m.needs == nil || m.fold && (bytes.Contains(data, kelvin) || bytes.Contains(data, longS)) {
		return spots{all: true}, buf
	}
	in := data
	if m.fold {
		buf = lower(buf[:0], data)
		in = buf
	}
	// A word with colours in its middle is none to a plain search: such lines are asked.
	words := append(slices.Clip(m.needs), []byte{0x1b})
	s := spots{in: in, words: words, next: make([]int, len(words))}
	for i := range s.next {
		s.next[i] = -1
	}
	return s, buf
}

// within reports whether the bytes between two places may match. The first place never
// goes back.
func (s *spots) within(from, to int) bool {
	if s.all {
		return true
	}
	for i, w := range s.words {
		if s.next[i] < from {
			s.next[i] = len(s.in)
			if at := bytes.Index(s.in[from:], w); at >= 0 {
				s.next[i] = from + at
			}
		}
		if s.next[i] < to {
			return true
		}
	}
	return false
}
