package terminal

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Run is text of one style.
type Run struct {
	Text  string
	Style Style
	// Code: the text is the code of a character that cannot be shown as it stands.
	Code bool
}

// box is one place of a line. Marks that stand above or below a letter are in its box.
type box struct {
	text  string
	style Style
	code  bool
}

const (
	// maxColumns is how far a sequence may move in a line beyond what stands there.
	maxColumns = 1000
	// maxMarks bounds the marks on one letter.
	maxMarks = 8
)

// screen is a line as it is written.
type screen struct {
	boxes []box
	at    int
	style Style
}

// Line shows a line, without its newline, as a terminal would once all of it was printed.
// before is the style that was left on, after the one that is left now.
func Line(line []byte, before Style) (runs []Run, after Style) {
	s := screen{style: before}
	for len(line) > 0 {
		if line[0] == escape {
			n := sequence(line)
			s.obey(line[:n])
			line = line[n:]
			continue
		}
		r, n := utf8.DecodeRune(line)
		s.take(r)
		line = line[n:]
	}
	return s.runs(), s.style
}

// obey does what a sequence says within a line; others are left out.
func (s *screen) obey(seq []byte) {
	if len(seq) < 3 || seq[1] != '[' {
		return
	}
	parameters, final := seq[2:len(seq)-1], seq[len(seq)-1]
	if bytes.IndexFunc(parameters, func(r rune) bool { return r != ';' && r != ':' && (r < '0' || r > '9') }) >= 0 {
		return // private ones
	}
	first, _, _ := bytes.Cut(parameters, []byte{';'})
	n, _ := number(first)
	n = min(max(n, 0), maxColumns)
	switch final {
	case 'm':
		s.style = s.style.apply(parameters)
	case 'K':
		s.erase(n)
	case 'C':
		s.move(s.at + max(n, 1))
	case 'D':
		s.move(s.at - max(n, 1))
	case 'G':
		s.move(max(n, 1) - 1)
	}
}

func (s *screen) move(to int) { s.at = min(max(to, 0), max(len(s.boxes), maxColumns)) }

// erase is the sequence K: to the end, from the beginning, or all.
func (s *screen) erase(what int) {
	switch what {
	case 0:
		s.boxes = s.boxes[:min(s.at, len(s.boxes))]
	case 1:
		for i := range min(s.at+1, len(s.boxes)) {
			s.boxes[i] = box{text: " "}
		}
	case 2:
		s.boxes = s.boxes[:0]
	}
}

// take prints a character.
func (s *screen) take(r rune) {
	switch {
	case r == '\r':
		s.at = 0
	case r == '\b':
		s.move(s.at - 1)
	case r == '\t':
		// It moves, and erases nothing.
		to := s.at - s.at%8 + 8
		for len(s.boxes) < to {
			s.boxes = append(s.boxes, box{text: " "})
		}
		s.at = to
	case hidden(r):
		s.put(box{text: code(r), style: s.style, code: true})
	case unicode.Is(unicode.Mn, r) && s.at > 0 && s.at <= len(s.boxes):
		if on := &s.boxes[s.at-1]; utf8.RuneCountInString(on.text) <= maxMarks {
			on.text += string(r)
		}
	default:
		s.put(box{text: string(r), style: s.style})
	}
}

func (s *screen) put(b box) {
	for len(s.boxes) < s.at {
		s.boxes = append(s.boxes, box{text: " "})
	}
	if s.at < len(s.boxes) {
		s.boxes[s.at] = b
	} else {
		s.boxes = append(s.boxes, b)
	}
	s.at++
}

// runs puts what looks alike together.
func (s *screen) runs() []Run {
	var runs []Run
	var text strings.Builder
	for i, b := range s.boxes {
		text.WriteString(b.text)
		if next := i + 1; next < len(s.boxes) && s.boxes[next].style == b.style && s.boxes[next].code == b.code && !b.code {
			continue
		}
		runs = append(runs, Run{Text: text.String(), Style: b.style, Code: b.code})
		text.Reset()
	}
	return runs
}

// hidden reports whether a character cannot be seen, or turns the text around it.
func hidden(r rune) bool {
	switch {
	case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r), unicode.Is(unicode.Variation_Selector, r):
		return true
	case r == 0x034f, r == 0x115f, r == 0x1160, r == 0x17b4, r == 0x17b5, r == 0x3164, r == 0xffa0:
		return true
	}
	return false
}

// code names a character: its picture if it has one, else its number.
func code(r rune) string {
	switch {
	case r < ' ':
		return string(0x2400 + r)
	case r == 0x7f:
		return "\u2421"
	}
	return fmt.Sprintf("U+%04X", r)
}
