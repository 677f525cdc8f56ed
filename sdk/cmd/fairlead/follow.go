package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/sdk"
	"github.com/fairlead/fairlead/sdk/rest"
)

// followFlags are those of commands that follow an execution.
type followFlags struct {
	noPrefix, cancelOnInterrupt bool
}

func (f *followFlags) add(c *cobra.Command) {
	c.Flags().BoolVar(&f.noPrefix, "no-prefix", false, "lines as the nodes wrote them, without NODE |")
	c.Flags().BoolVar(&f.cancelOnInterrupt, "cancel-on-interrupt", false, "Ctrl-C cancels the execution instead of leaving it running")
}

// follow shows an execution's output until it has ended, and ends the program with
// what became of it.
func (a *app) follow(ctx context.Context, client *sdk.Client, e *rest.Execution, f followFlags) error {
	out := a.out
	if a.flags.output != "table" {
		out = a.err // the answer is the execution, its log goes beside
	}
	release := a.catchInterrupt(ctx, client, e, f)
	defer release()
	w := &lineWriter{out: out, prefix: !f.noPrefix, terminal: a.colour && out == a.out}
	waiting := a.tellWaiting(ctx, client, e.ID, w)
	_, err := client.FollowLog(ctx, e.ID, sdk.LogOptions{}, w.line)
	waiting()
	if err == nil {
		err = w.flush()
	}
	if err != nil {
		if a.interrupted.Load() {
			a.say("\nStopped following; execution %d goes on. To cancel it: fairlead executions cancel %d", e.Number, e.Number)
			return &exitError{exitInterrupted, nil}
		}
		return err
	}
	end, err := client.Wait(ctx, e.ID)
	if err != nil {
		return err
	}
	if a.flags.output != "table" {
		if err := a.encode(end); err != nil {
			return err
		}
	} else {
		a.say("%s", a.summary(end))
	}
	return verdict(end)
}

// catchInterrupt makes the first Ctrl-C cancel the execution, if that was asked for.
func (a *app) catchInterrupt(ctx context.Context, client *sdk.Client, e *rest.Execution, f followFlags) (release func()) {
	if !f.cancelOnInterrupt {
		return func() {}
	}
	var once sync.Once
	catch := func() bool {
		first := false
		once.Do(func() {
			first = true
			a.say("\nCancelling execution %d; Ctrl-C again stops following.", e.Number)
			if _, err := client.Cancel(ctx, e.ID); err != nil {
				a.say("Error: %v", err)
			}
		})
		return first
	}
	a.onInterrupt.Store(&catch)
	return func() { a.onInterrupt.Store(nil) }
}

// waitingEvery is how often a follower that has seen no line asks what is waited for.
const waitingEvery = 2 * time.Second

// tellWaiting says on stderr what an execution waits for, while no line comes. The
// function it returns ends that and waits for it.
func (a *app) tellWaiting(ctx context.Context, client *sdk.Client, id string, w *lineWriter) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(waitingEvery)
		defer tick.Stop()
		told := ""
		for !w.begun() {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			e, err := client.Execution(ctx, id)
			if err == nil && e.WaitingFor != nil && e.WaitingFor.Message != told {
				told = e.WaitingFor.Message
				a.say("Waiting: %s", oneLine(told))
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

// verdict is the exit code of an execution that has ended.
func verdict(e *rest.Execution) error {
	switch e.Status {
	case rest.StatusSucceeded:
		return nil
	case rest.StatusFailed, rest.StatusTimedOut:
		return &exitError{exitFailed, nil}
	case rest.StatusCancelled:
		return &exitError{exitCancelled, nil}
	case rest.StatusUnknown:
		return &exitError{exitUnknown, nil}
	}
	return &exitError{exitOther, nil}
}

// summary is one line about an execution.
func (a *app) summary(e *rest.Execution) string {
	s := fmt.Sprintf("Execution %d %s: %s", e.Number, a.status(e.Status), oneLine(e.Name))
	if e.EndedAt != nil {
		s += " (" + e.EndedAt.Sub(e.CreatedAt).Round(time.Millisecond).String() + ")"
	}
	if n := counts(e.Nodes); n != "" {
		s += ", nodes: " + n
	}
	if sdk.Final(e.Status) && !e.LogComplete {
		s += ", log incomplete"
	}
	return s
}

// counts tells nodes by state, worst first.
func counts(nodes map[string]int64) string {
	var b bytes.Buffer
	for _, s := range []rest.Status{
		rest.StatusUnknown, rest.StatusCancelled, rest.StatusTimedOut, rest.StatusFailed, rest.StatusRunning,
		rest.StatusQueued, rest.StatusSkipped, rest.StatusSucceeded,
	} {
		if n := nodes[string(s)]; n > 0 {
			if b.Len() > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%d %s", n, s)
		}
	}
	return b.String()
}

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
	out      io.Writer
	prefix   bool
	terminal bool

	mu      sync.Mutex // guards seen
	seen    bool
	pending map[cell][]byte
}

// begun reports whether a line was written.
func (w *lineWriter) begun() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen
}

// line writes one line or keeps a piece of one.
func (w *lineWriter) line(l rest.LogLine) error {
	w.mu.Lock()
	w.seen = true
	w.mu.Unlock()
	data := lineBytes(l)
	partial := l.Partial != nil && *l.Partial
	if !w.prefix {
		if !partial {
			data = append(data, '\n')
		}
		return w.write(data)
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

// flush writes what ended without a newline.
func (w *lineWriter) flush() error {
	for from, data := range w.pending {
		if err := w.write(append(append([]byte(from.node+" | "), data...), '\n')); err != nil {
			return err
		}
	}
	w.pending = nil
	return nil
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
// sequences are shown instead of obeyed.
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

// record is an NDJSON line of a log, as the API has it.
func record(l rest.LogLine) ([]byte, error) {
	if l.Data != nil && l.Text == "" {
		l.Text = base64.StdEncoding.EncodeToString(*l.Data)
	}
	b, err := json.Marshal(l)
	return append(b, '\n'), err
}

// stepPosition turns --step, counted from 1, into what the SDK takes.
func stepPosition(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, usage("--step is the number of a step, from 1")
	}
	return n, nil
}
