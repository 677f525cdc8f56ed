package ssh

import (
	"bytes"
)

// filter takes our own marks out of a stream and reports them.
type filter struct {
	mark   []byte
	onMark func(kind byte, text string)
	// more says whether further marks are expected; without, bytes pass unlooked at.
	more func() bool
	held []byte
}

// maxMarkText bounds what follows a mark up to its line end.
const maxMarkText = 4096

// push returns what of the stream is output. It may alias p.
func (f *filter) push(p []byte) []byte {
	if len(f.held) == 0 && !f.more() {
		return p
	}
	buf := append(f.held, p...)
	f.held = nil
	var out []byte
	for {
		i := bytes.Index(buf, f.mark)
		if i < 0 {
			keep := len(buf) - partial(buf, f.mark)
			out = append(out, buf[:keep]...)
			f.held = append(f.held, buf[keep:]...)
			return out
		}
		out = append(out, buf[:i]...)
		rest, whole := f.take(buf[i:])
		if !whole {
			f.held = append(f.held, buf[i:]...)
			return out
		}
		buf = rest
	}
}

// take consumes the mark at the start of buf; whole is false when more must come.
func (f *filter) take(buf []byte) (rest []byte, whole bool) {
	after := buf[len(f.mark):]
	if len(after) == 0 {
		return nil, false
	}
	kind, after := after[0], after[1:]
	if kind == markQuestion {
		f.onMark(kind, "")
		return after, true
	}
	end := bytes.IndexByte(after, '\n')
	if end < 0 {
		if len(after) > maxMarkText {
			return after, true
		}
		return nil, false
	}
	f.onMark(kind, string(bytes.TrimRight(after[:end], "\r")))
	return after[end+1:], true
}

// flush returns what was held back when the stream ends.
func (f *filter) flush() []byte {
	held := f.held
	f.held = nil
	return held
}

// partial is the length of the longest end of buf that begins mark.
func partial(buf, mark []byte) int {
	n := min(len(buf), len(mark)-1)
	for ; n > 0; n-- {
		if bytes.HasSuffix(buf, mark[:n]) {
			return n
		}
	}
	return 0
}
