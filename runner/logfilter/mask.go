package logfilter

import (
	"bytes"
	"errors"
	"regexp"
	"slices"
)

// defaultReplacement is what Rundeck puts where something was masked.
const defaultReplacement = "[SECURE]"

// mask is mask-log-output-regex.
type mask struct {
	re          *regexp.Regexp
	replacement []byte
	// onlyValue: the pattern's groups alone are masked.
	onlyValue bool
}

func newMask(config map[string]string) (mask, error) {
	re, err := pattern(config, "regex", "")
	if err == nil && re == nil {
		err = errors.New("regex is required")
	}
	m := mask{re: re, replacement: []byte(config["replacement"]), onlyValue: truth(config["maskOnlyValue"])}
	if len(m.replacement) == 0 {
		m.replacement = []byte(defaultReplacement)
	}
	return m, err
}

// span is what is to be hidden of a line.
type span struct {
	from, to int
	with     []byte
}

// find returns what the mask hides.
func (m mask) find(text []byte) []span {
	var out []span
	for _, at := range m.re.FindAllSubmatchIndex(text, -1) {
		if m.onlyValue && len(at) > 2 {
			for i := 2; i+1 < len(at); i += 2 {
				out = append(out, span{at[i], at[i+1], m.replacement})
			}
			continue
		}
		out = append(out, span{at[0], at[1], m.replacement})
	}
	return slices.DeleteFunc(out, func(s span) bool { return s.to <= s.from })
}

// lineMasker hides what masks find in each line. All look at the line as it is, so that
// none can be blinded by another.
type lineMasker struct {
	masks []mask
	dst   func(p []byte, masked bool) error

	held   []byte
	masked bool // a secret was replaced in held
	// hiding: what was hidden last reached the end of what was held, so it may have gone
	// on: the rest of the line is hidden, too.
	hiding bool
}

func (w *lineMasker) write(p []byte, masked bool) error {
	if len(w.masks) == 0 {
		return w.dst(p, masked)
	}
	for len(p) > 0 {
		n, ended := cutLine(p, maxLine-len(w.held))
		piece := p[:n]
		p = p[n:]
		if w.hiding {
			w.hiding = !ended
			if ended {
				if err := w.dst([]byte{'\n'}, false); err != nil {
					return err
				}
			}
			continue
		}
		w.held, w.masked = append(w.held, piece...), w.masked || masked
		var err error
		switch {
		case ended:
			err = w.flush()
		case len(w.held) >= maxLine:
			err = w.half()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// flush masks what is held: a whole line, or the last one, which lacks its end.
func (w *lineMasker) flush() error {
	text, end := bytes.CutSuffix(w.held, []byte{'\n'})
	err := w.tell(text, w.find(text), end)
	w.held, w.masked = w.held[:0], false
	return err
}

// half masks the first half of what is held of a long line, and holds the rest for what
// reaches over.
func (w *lineMasker) half() error {
	spans := w.find(w.held)
	if n := len(spans); n > 0 && spans[n-1].to == len(w.held) {
		err := w.tell(w.held, spans, false)
		w.held, w.masked, w.hiding = w.held[:0], false, true
		return err
	}
	cut := len(w.held) / 2
	for i, s := range spans {
		if s.from < cut && s.to > cut {
			cut = s.to
		}
		if s.from >= cut {
			spans = spans[:i]
			break
		}
	}
	err := w.tell(w.held[:cut], spans, false)
	w.held = append(w.held[:0], w.held[cut:]...)
	return err
}

// find returns what is to be hidden, in order; what overlaps is one.
func (w *lineMasker) find(text []byte) []span {
	var all []span
	for _, m := range w.masks {
		all = append(all, m.find(text)...)
	}
	slices.SortStableFunc(all, func(a, b span) int { return a.from - b.from })
	out := all[:0]
	for _, s := range all {
		if n := len(out); n > 0 && s.from < out[n-1].to {
			out[n-1].to = max(out[n-1].to, s.to)
			continue
		}
		out = append(out, s)
	}
	return out
}

// tell passes text on with spans replaced.
func (w *lineMasker) tell(text []byte, spans []span, end bool) error {
	out := make([]byte, 0, len(text)+1)
	at := 0
	for _, s := range spans {
		out = append(append(out, text[at:s.from]...), s.with...)
		at = s.to
	}
	out = append(out, text[at:]...)
	if end {
		out = append(out, '\n')
	}
	if len(out) == 0 {
		return nil
	}
	return w.dst(out, w.masked || len(spans) > 0)
}

// cutLine is how much of p belongs to its first line, at most so much, and whether that
// ends in it. What is taken at once must not depend on how output was cut into writes.
func cutLine(p []byte, most int) (n int, ended bool) {
	p = p[:min(len(p), most)]
	if i := bytes.IndexByte(p, '\n'); i >= 0 {
		return i + 1, true
	}
	return len(p), false
}
