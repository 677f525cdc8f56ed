package mask

// Writer masks one stream. It holds back bytes that may be the start of a secret until
// the next bytes tell, so Flush must be called at the stream's end. Not safe for use
// by several goroutines at once.
type Writer struct {
	m   *machine
	dst func(p []byte, masked bool) error

	state   int32
	held    []byte // not yet written: may become part of a match
	hide    []bool // hide[i]: held[i] belongs to a match
	masking bool   // the last byte written belonged to a match
}

// Write masks p and writes what is certain. It always takes all of p unless dst fails.
func (w *Writer) Write(p []byte) (int, error) {
	if w.m == nil {
		if len(p) == 0 {
			return 0, nil
		}
		return len(p), w.dst(p, false)
	}
	for i := 0; i < len(p); i++ {
		if len(w.held) == 0 {
			// Most bytes begin no secret: pass them on without copying.
			start := i
			for i < len(p) && w.m.next[w.m.class[p[i]]] == 0 {
				i++
			}
			if err := w.plain(p[start:i]); err != nil {
				return i, err
			}
			if i == len(p) {
				break
			}
		}
		w.step(p[i])
		if err := w.release(len(w.held) - int(w.m.depth[w.state])); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// Flush writes what was held back: the stream is over, nothing can complete it.
func (w *Writer) Flush() error {
	err := w.release(len(w.held))
	w.state, w.masking = 0, false
	return err
}

// step takes one byte into the machine and marks what it completes. A match reaches
// back at most to the start of held, since held is as long as the longest pattern
// start that is open.
func (w *Writer) step(b byte) {
	w.held = append(w.held, b)
	w.hide = append(w.hide, false)
	w.state = w.m.next[int(w.state)*w.m.width+int(w.m.class[b])]
	for i := len(w.hide) - int(w.m.match[w.state]); i < len(w.hide); i++ {
		w.hide[i] = true
	}
}

// release writes the first n held bytes, each run of hidden ones as one replacement.
func (w *Writer) release(n int) error {
	for n > 0 {
		run := 1
		for run < n && w.hide[run] == w.hide[0] {
			run++
		}
		err := w.write(w.held[:run], w.hide[0])
		w.held, w.hide, n = w.held[run:], w.hide[run:], n-run
		if err != nil {
			return err
		}
	}
	if len(w.held) == 0 {
		w.held, w.hide = w.held[:0], w.hide[:0]
	}
	return nil
}

func (w *Writer) write(p []byte, hidden bool) error {
	if !hidden {
		return w.plain(p)
	}
	if w.masking {
		return nil
	}
	w.masking = true
	return w.dst([]byte(Replacement), true)
}

func (w *Writer) plain(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	w.masking = false
	return w.dst(p, false)
}
