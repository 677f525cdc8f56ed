package ssh

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/task"
)

const (
	// reachFor is how long a node may be out of reach before its step is given up.
	reachFor = time.Hour
	// keptEvery is how often a node is told how much of its output is kept, keptLeast how
	// much it keeps where nobody can tell what is synced.
	keptEvery = time.Second
	keptLeast = 16 << 20
)

// follower reads the output of a detached command, over one connection after another.
type follower struct {
	*detached
	out    task.Output
	buf    []byte
	killed *killed // what became of an orphaned command

	giving sync.Mutex // held while output is handed on; guards left
	left   bool       // nothing more is: the command's end may be recorded

	mu     sync.Mutex // guards the following fields
	outErr error
	// at is how much of each stream was handed on, kept how much of it is safe.
	at, kept task.Offsets
}

func newFollower(d *detached, out task.Output) *follower {
	return &follower{detached: d, out: out, at: d.from, kept: d.from, buf: make([]byte, readSize)}
}

// errOrphaned: the supervisor is dead, and what it left was ended; its output may go on
// for a moment.
var errOrphaned = errors.New("the supervisor died")

// follow returns the command's end as its directory tells it.
func (f *follower) follow(ctx context.Context) task.End {
	var since time.Time // when the connection was lost
	pause := firstPause
	for {
		began, before := time.Now(), f.moved.Load()
		end, err := f.once(ctx)
		switch {
		case err == nil:
			return end
		case errors.Is(err, errOrphaned):
			continue
		case ctx.Err() != nil || !since.IsZero() && time.Since(since) > reachFor:
			return task.End{
				Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Reason: "connection_lost",
				Message: fmt.Sprintf("%s: the node could not be reached again (%v): the command may have ended there, or may still run: look at ~/.fairlead/steps/%s", f.node().name, err, f.step),
			}
		case since.IsZero() || f.moved.Load() > before || time.Since(began) > lastPause:
			since, pause = time.Now(), firstPause
			f.say(fmt.Sprintf("The connection was lost: %v. The command goes on on the node; connecting again.\n", err))
		default:
			pause = min(2*pause, lastPause)
		}
		select {
		case <-ctx.Done():
		case <-f.hurry:
		case <-time.After(pause):
		}
	}
}

// say tells people what the runner does.
func (f *follower) say(text string) {
	_ = f.out.Write(wire.System, []byte(text)) // if it cannot be stored, neither can output, which is told
}

// once follows over one connection. An error means that it was lost, or never came
// about.
func (f *follower) once(ctx context.Context) (task.End, error) {
	ch, err := f.executor.openChannel(ctx, f.target)
	if err != nil {
		return task.End{}, err
	}
	defer ch.close()
	stop := context.AfterFunc(ctx, func() { _ = ch.Close() })
	defer stop()
	if key := newKey(f.node(), ch.on); key != "" {
		f.newHostKey = key
	}
	h, ok := unlessItHangs(ctx, func() (h heard) {
		h.end, h.err = f.listen(ch)
		return h
	})
	if !ok {
		f.giving.Lock()
		f.left = true
		f.giving.Unlock()
		return task.End{}, errSilent
	}
	return h.end, h.err
}

// heard is what a node told of a command's end.
type heard struct {
	end task.End
	err error
}

// listen has the node tell what there is, until the channel is closed.
func (f *follower) listen(ch *channel) (task.End, error) {
	if ok, err := ch.exec(f.shell()); err != nil || !ok {
		return task.End{}, errors.Join(errNotAccepted, err)
	}
	go ch.waitExit(func(exit) {}) // the end comes in words of our own
	go func() { _, _ = io.Copy(io.Discard, ch.Stderr()) }()
	script := inBraces(f.names(), fmt.Sprintf("o=%d e=%d", f.at[wire.Stdout], f.at[wire.Stderr]), nodeScript, "echo \"$mark\"", followScript)
	if _, err := io.WriteString(ch, script); err != nil {
		return task.End{}, ch.why()
	}
	end, err := f.heed(bufio.NewReaderSize(ch, readSize), ch)
	if errors.Is(err, errCut) {
		err = ch.why()
	}
	return end, err
}

// errCut: the node's messages end without a last one.
var errCut = errors.New("the messages were cut")

// heed does what the node's messages in r say, until the last of them. Answers go to w.
func (f *follower) heed(r *bufio.Reader, w io.Writer) (task.End, error) {
	for began := false; !began; { // what comes before is the login shell's
		line, err := r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return task.End{}, errCut
		}
		began = strings.HasSuffix(string(line), f.mark+"\n")
	}
	over := make(chan struct{})
	defer close(over)
	tell := sync.OnceFunc(func() { go f.tellKept(w, over) })
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return task.End{}, errCut
		}
		words := strings.Fields(string(line))
		switch {
		case len(words) == 3 && words[0] == "f":
			f.begin(words[1:])
			tell()
		case len(words) == 2 && words[0] == "o":
			err = f.piece(r, wire.Stdout, words[1])
		case len(words) == 2 && words[0] == "e":
			err = f.piece(r, wire.Stderr, words[1])
		case len(words) >= 3 && words[0] == "x":
			return f.exited(words[1:])
		case len(words) == 1 && words[0] == "d":
			return f.orphaned()
		case len(words) == 1:
			return f.state(words[0])
		default:
			err = fmt.Errorf("the node's shell said %q", firstLine(line))
		}
		if err != nil {
			return task.End{}, err
		}
	}
}

// begin takes the offsets from which the node sends. They are larger than ours where
// it knows that an earlier process of the runner had kept more.
func (f *follower) begin(offsets []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for stream, text := range offsets {
		if n, err := strconv.ParseUint(text, 10, 64); err == nil && n > f.at[stream] {
			f.at[stream], f.kept[stream] = n, n
		}
	}
}

// piece hands on the bytes behind a message. When they cannot be stored, the rest is
// read all the same: the command must not hang because its output is lost.
func (f *follower) piece(r *bufio.Reader, stream wire.Stream, size string) error {
	rest, err := strconv.ParseUint(size, 10, 32)
	if err != nil {
		return fmt.Errorf("the node's shell said %q", size)
	}
	for rest > 0 {
		n, err := r.Read(f.buf[:min(uint64(len(f.buf)), rest)])
		f.hand(stream, f.buf[:n])
		rest -= uint64(n)
		if err != nil && rest > 0 {
			return errCut
		}
	}
	return nil
}

func (f *follower) hand(stream wire.Stream, p []byte) {
	f.mu.Lock()
	f.at[stream] += uint64(len(p))
	offset, failed := f.at[stream], f.outErr
	f.mu.Unlock()
	if failed == nil && len(p) > 0 {
		f.handing.Store(true)
		failed = f.give(stream, p, offset)
		f.handing.Store(false)
	}
	f.mu.Lock()
	f.outErr = failed
	f.mu.Unlock()
	f.moved.Add(int64(len(p)))
}

func (f *follower) give(stream wire.Stream, p []byte, offset uint64) error {
	f.giving.Lock()
	defer f.giving.Unlock()
	if f.left {
		return nil
	}
	return f.out.WriteRaw(stream, p, offset)
}

// tellKept tells the node what it need not keep any more.
func (f *follower) tellKept(w io.Writer, over <-chan struct{}) {
	tick := time.NewTicker(keptEvery)
	defer tick.Stop()
	var told task.Offsets
	for {
		if kept := f.safe(); kept != told {
			if _, err := fmt.Fprintf(w, "%d %d\n", kept[wire.Stdout], kept[wire.Stderr]); err != nil {
				return
			}
			told = kept
		}
		select {
		case <-tick.C:
		case <-over:
			return
		}
	}
}

// safe is how much of the output is kept elsewhere, or lost for good.
func (f *follower) safe() task.Offsets {
	synced, ok := f.out.(task.SyncedOutput)
	f.mu.Lock()
	defer f.mu.Unlock()
	for stream := range f.kept {
		n := f.at[stream]
		switch {
		case f.outErr != nil:
		case ok:
			n = min(n, synced.Synced()[stream])
		default:
			n -= min(n, keptLeast)
		}
		f.kept[stream] = max(f.kept[stream], n)
	}
	return f.kept
}

// exited is the end of a command that the supervisor saw: its exit status, why it was
// ended, and whether output was lost on the node.
func (f *follower) exited(words []string) (task.End, error) {
	code, err := strconv.ParseUint(words[0], 10, 8)
	if err != nil {
		return task.End{}, fmt.Errorf("the node's shell told the exit status %q", words[0])
	}
	outErr := f.outErr
	if len(words) > 2 {
		outErr = errors.Join(outErr, errors.New("the node's disk did not take all of it"))
	}
	f.answers.refused = words[1] == "refused"
	end := f.ended(exit{told: true, code: uint32(code)}, outErr)
	switch words[1] {
	case "timed_out":
		return f.stopped(task.ErrTimedOut, killed{gone: true}, end), nil
	case "left":
		return f.stopped(task.ErrTimedOut, killed{err: errors.New("some of its processes would not go")}, end), nil
	}
	return end, nil
}

// orphaned ends what a dead supervisor left, and has the rest of its output read.
func (f *follower) orphaned() (task.End, error) {
	if f.killed == nil {
		result := f.killNow(nil)
		f.killed = &result
		return task.End{}, errOrphaned
	}
	return task.End{
		Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Reason: "supervisor_died", EndProven: f.killed.gone,
		Message: fmt.Sprintf("%s: the process that watched the command was killed; what was left of the command was ended, but what it had done by then is not known", f.node().name),
	}, nil
}

// state is the end of a command of which only its directory tells.
func (f *follower) state(word string) (task.End, error) {
	end := task.End{Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN}
	switch word {
	case "n":
		end = task.End{Outcome: runnerv1.Outcome_OUTCOME_FAILED, Reason: task.ReasonNeverStarted, NotStarted: true, EndProven: true}
		end.Message = "the command was never started, and will not be"
		if !f.again { // no fault of a runner's end, so no reason to try again for nothing
			end.Reason, end.Message = "supervisor_failed", fmt.Sprintf("the command was not started: %v", f.silence)
		}
	case "r":
		end.Reason, end.EndProven = "node_rebooted", true
		end.Message = "the node was restarted while the command ran: nothing of it runs, but what it had done by then is not known"
	case "g":
		end.Reason = "step_directory_lost"
		end.Message = "the step's directory ~/.fairlead/steps/" + f.step + " is not as it was left: whether the command ran is not known: look at the node"
	default:
		return end, fmt.Errorf("the node's shell said %q", firstLine([]byte(word)))
	}
	end.Message = f.node().name + ": " + end.Message
	return end, nil
}
