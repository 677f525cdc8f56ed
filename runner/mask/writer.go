package mask

// Writer masks one stream. It holds back bytes that may be the start of a secret until
// the next bytes tell, so Flush must be called at the stream's end. Not safe for use
// by several goroutines at once.
type Writer struct {
	m, runs *machine
	dst     func(p []byte, masked bool) error

	state   int32
	held    []byte // not yet written: may become part of a match
	hide    []bool // hide[i]: held[i] belongs to a match
	masking bool   // the last byte written belonged to a match
	passed  uint64

	// run is the state of runs, and broken whether it went on over a line break.
	run    int32
	broken bool
}

// minRun is how many characters that may begin an encoded secret are held back with the
// line break behind them. Fewer are shown: they end every tenth line.
const minRun = 4

// Write masks p and writes what is certain. It always takes all of p unless dst fails.
func (w *Writer) Write(p []byte) (int, error) {
	if w.m == nil {
		if len(p) == 0 {
			return 0, nil
		}
		return len(p), w.plain(p)
	}
	for i := 0; i < len(p); i++ {
		if len(w.held) == 0 && w.run == 0 {
			// Most bytes begin no secret: pass them on without copying.
			start := i
			for i < len(p) && !w.m.begins(p[i]) && !w.runs.begins(p[i]) {
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
		if err := w.release(len(w.held) - w.open()); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// Holds reports whether bytes are held back.
func (w *Writer) Holds() bool { return len(w.held) > 0 }

// Held is how many bytes are held back.
func (w *Writer) Held() int { return len(w.held) }

// Fresh reports whether what follows is masked as at the beginning of a stream: nothing of
// what came may be part of a secret.
func (w *Writer) Fresh() bool {
	return len(w.held) == 0 && w.state == 0 && w.run == 0 && !w.broken && !w.masking
}

// Passed is how many of the bytes given to Write are told by now: also, when asked in
// dst, those that its piece stands for. A replacement stands for all of its secret.
func (w *Writer) Passed() uint64 { return w.passed }

// Flush writes what was held back: the stream is over, nothing can complete it.
func (w *Writer) Flush() error {
	err := w.release(len(w.held))
	w.state, w.run, w.broken, w.masking = 0, 0, false, false
	return err
}

// step takes one byte into the machines and marks what it completes. A match reaches
// back at most to the start of held, since held is as long as the longest pattern
// start that is open.
func (w *Writer) step(b byte) {
	w.held = append(w.held, b)
	w.hide = append(w.hide, false)
	w.state = w.m.after(w.state, b)
	match := int(w.m.match[w.state])
	if w.runs != nil {
		match = max(match, w.stepRun(b))
	}
	for i := len(w.hide) - match; i < len(w.hide); i++ {
		w.hide[i] = true
	}
}

// stepRun takes one byte into the machine of encoded runs and returns how many of the
// last bytes it completes.
func (w *Writer) stepRun(b byte) int {
	if isBreak(b) {
		w.broken = w.run != 0
		return 0
	}
	w.run = w.runs.after(w.run, b)
	w.broken = w.broken && w.runs.depth[w.run] > 1 // else it begins anew
	return w.length(int(w.runs.match[w.run]))
}

func isBreak(b byte) bool { return b == '\r' || b == '\n' }

// open is how many of the last bytes may be the start of a secret.
func (w *Writer) open() int {
	n := int(w.m.depth[w.state])
	if w.runs == nil {
		return n
	}
	run := int(w.runs.depth[w.run])
	if run < minRun && isBreak(w.held[len(w.held)-1]) {
		return n
	}
	return max(n, w.length(run))
}

// length is how many of the last bytes hold n characters of a run, with the line
// breaks between and behind them, as far as they are still held.
func (w *Writer) length(n int) int {
	if !w.broken {
		return min(n, len(w.held))
	}
	at := len(w.held)
	for at > 0 && n > 0 {
		at--
		if !isBreak(w.held[at]) {
			n--
		}
	}
	return len(w.held) - at
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
	w.passed += uint64(len(p))
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
	w.passed += uint64(len(p))
	return w.dst(p, false)
}
