package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"github.com/fairlead/fairlead/sdk/rest"
)

// maxPending bounds what is kept of a line that goes on, in bytes; a longer one is
// shown in pieces.
const maxPending = 16 << 20

// cell is where a line comes from.
type cell struct {
	node      string
	step, try int64
	stream    rest.LogLineStream
}

// lineWriter writes log lines for people, NODE | LINE: pieces of a long line are put
// together first, since others may write between them.
type lineWriter struct {
	out io.Writer
	// system says what Fairlead itself has to tell of a node where out is for what the
	// commands printed, byte for byte.
	system func(format string, args ...any)
	prefix bool
	// records writes NDJSON as the API has it in place of lines.
	records  bool
	terminal bool

	lines   atomic.Int64
	asked   int64 // lines when moved was asked last
	pending map[cell][]byte
	// now is what each node does, without a stream.
	now map[string]cell
	// within is the node whose line is not at its end, where lines have no prefix; "" is none.
	within string
}

// moved reports whether a line came since it was asked last.
func (w *lineWriter) moved() bool {
	before := w.asked
	w.asked = w.lines.Load()
	return w.asked != before
}

// line writes one line or keeps a piece of one.
func (w *lineWriter) line(l rest.LogLine) error {
	w.lines.Add(1)
	if w.records {
		return w.record(l)
	}
	data := lineBytes(l)
	partial := l.Partial != nil && *l.Partial
	if !w.prefix {
		if l.Stream == rest.LogLineStreamSystem {
			w.system("%s: %s", oneLine(l.Node), oneLine(string(data)))
			return nil
		}
		return w.bare(l.Node, data, partial)
	}
	if err := w.turn(cell{node: l.Node, step: l.Step, try: l.Try}); err != nil {
		return err
	}
	from := cell{l.Node, l.Step, l.Try, l.Stream}
	data = append(w.pending[from], data...)
	delete(w.pending, from)
	if partial && len(data) < maxPending {
		if w.pending == nil {
			w.pending = map[cell][]byte{}
		}
		w.pending[from] = data
		return nil
	}
	return w.write(append(append([]byte(l.Node+" | "), data...), '\n'))
}

// bare writes what a node printed as it did. A line that has not ended when another node
// prints ends there, as in the hub's text form, or both would be one.
func (w *lineWriter) bare(node string, data []byte, partial bool) error {
	if w.within != "" && w.within != node {
		data = append([]byte("\n"), data...)
	}
	w.within = node
	if !partial {
		data, w.within = append(data, '\n'), ""
	}
	return w.write(data)
}

// turn notes what a node does. What it left open before has no end, and comes first.
func (w *lineWriter) turn(to cell) error {
	before, known := w.now[to.node]
	if known && before == to {
		return nil
	}
	if w.now == nil {
		w.now = map[string]cell{}
	}
	w.now[to.node] = to
	for _, before.stream = range []rest.LogLineStream{rest.LogLineStreamStdout, rest.LogLineStreamStderr, rest.LogLineStreamSystem} {
		if err := w.rest(before); err != nil {
			return err
		}
	}
	return nil
}

// rest writes what is kept of a line as far as it came, if any is.
func (w *lineWriter) rest(from cell) error {
	data, open := w.pending[from]
	if !open {
		return nil
	}
	delete(w.pending, from)
	return w.write(append(append([]byte(from.node+" | "), data...), '\n'))
}

// end writes what ended without a newline, or the record that ends the log.
func (w *lineWriter) end(e *rest.LogEnd) error {
	if w.records {
		return w.record(struct {
			End *rest.LogEnd `json:"end"`
		}{e})
	}
	for from := range w.pending {
		if err := w.rest(from); err != nil {
			return err
		}
	}
	return nil
}

// record writes v as one line of JSON.
func (w *lineWriter) record(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding the log: %w", err)
	}
	_, err = w.out.Write(append(inert(b), '\n'))
	return err
}

func (w *lineWriter) write(b []byte) error {
	if w.terminal {
		b = harmless(b)
	}
	_, err := w.out.Write(b)
	return err
}

// lineBytes are the bytes of a line: text cannot hold those that are not UTF-8.
func lineBytes(l rest.LogLine) []byte {
	if l.Data != nil {
		return bytes.Clone(*l.Data)
	}
	return []byte(l.Text)
}

// harmless keeps output from steering the terminal: colours pass, other control
// sequences, bytes that are no text and marks that turn its direction are shown
// instead of obeyed.
func harmless(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); {
		if n := colourSequence(b[i:]); n > 0 {
			out = append(out, b[i:i+n]...)
			i += n
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		switch {
		case r == utf8.RuneError && n == 1: // 0x9b alone begins a sequence for some terminals
			out = fmt.Appendf(out, "\\x%02x", b[i])
		case unicode.Is(unicode.Bidi_Control, r):
			out = fmt.Appendf(out, "\\u%04x", r)
		case r == '\n' || r == '\t' || !unicode.IsControl(r):
			out = append(out, b[i:i+n]...)
		case r == '\r' && (i+1 == len(b) || b[i+1] == '\n'):
		default:
			out = fmt.Appendf(out, "\\x%02x", r)
		}
		i += n
	}
	return out
}

// colourSequence is the length of the SGR sequence that b begins with, 0 for none.
func colourSequence(b []byte) int {
	if len(b) < 3 || b[0] != 0x1b || b[1] != '[' {
		return 0
	}
	for i := 2; i < len(b) && i < 64; i++ {
		switch c := b[i]; {
		case c == 'm':
			return i + 1
		case (c < '0' || c > '9') && c != ';' && c != ':':
			return 0
		}
	}
	return 0
}
