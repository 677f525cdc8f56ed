package local

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/runner/task"
)

// lookAgain is how long a shim may take between its lock and its first word.
const lookAgain = 5 * time.Second

type state int

// What a command's directory says about it.
const (
	stateRunning  state = iota // a shim holds the lock
	stateNever                 // not started; we hold the lock
	stateFinished              // exit is there
	stateDead                  // started, no exit: the shim died; we hold the lock
)

// inspect reads a directory by the table of docs/executors.md. It waits up to wait
// for a shim that holds the lock and has not said that it starts.
func inspect(dir string, wait time.Duration) (held *os.File, r record, st state) {
	deadline := time.Now().Add(wait)
	for {
		f, free, err := lock(dir)
		r, rerr := readRecord(dir)
		if err == nil && !free {
			if r.Started != nil || time.Now().After(deadline) {
				return nil, r, stateRunning
			}
			<-time.After(5 * time.Millisecond)
			continue
		}
		if r.Exit != nil {
			return f, r, stateFinished
		}
		if r.begun() || rerr != nil || err != nil && !errors.Is(err, fs.ErrNotExist) {
			return f, r, stateDead
		}
		return f, r, stateNever
	}
}

// Reattach looks for a command of an earlier process of this runner. For a cell that
// never started it writes the tombstone, so that no late shim starts it.
func (e *Executor) Reattach(ctx context.Context, c *task.Command, from task.Offsets) (task.Process, bool, error) {
	dir := filepath.Join(e.config.Dir, stepName(c.AttemptID, c.Cell))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, false, err
	}
	e.remember(c.AttemptID, filepath.Base(dir))
	for {
		if err := ctx.Err(); err != nil {
			return nil, false, context.Cause(ctx)
		}
		held, r, st := inspect(dir, lookAgain)
		p := &reattached{executor: e, command: c, dir: dir, offset: from.Last(), held: held, record: r, state: st}
		switch st {
		case stateNever:
			if c.OtherBoot {
				// A power cut takes what was not synced: this proves nothing.
				p.state = stateDead
				return p, true, nil
			}
			defer held.Close()
			removeScript(dir)
			return nil, false, bury(dir)
		case stateRunning:
			conn, err := dialControl(ctx, dir)
			if err != nil {
				// It ends at this moment, or has not seen yet that its runner is gone.
				wait(ctx, 5*time.Millisecond)
				continue
			}
			p.link = newLink(conn)
		}
		return p, true, nil
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// reattached is a command that an earlier process of the runner started.
type reattached struct {
	executor *Executor
	command  *task.Command
	dir      string
	offset   uint64
	held     *os.File
	record   record
	state    state
	link     *link
}

// Discard lets the command go on unwatched.
func (p *reattached) Discard() {
	if p.link != nil {
		_ = p.link.Close()
	}
	if p.held != nil {
		_ = p.held.Close()
	}
}

// About tells that there was no way to go.
func (p *reattached) About() string { return onThisHost }

// Run follows the command from the offset on to its end.
func (p *reattached) Run(ctx context.Context, out task.Output) task.End {
	defer p.Discard()
	f := &follower{executor: p.executor, command: p.command, dir: p.dir, out: out, reader: outReader{dir: p.dir, offset: p.offset}}
	defer f.reader.close()
	switch p.state {
	case stateFinished:
		f.read()
		return f.ended(*p.record.Exit)
	case stateDead:
		s := p.record.Started
		if s != nil && s.BootID != bootID() || p.command.OtherBoot {
			f.read()
			return task.End{
				Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Reason: "host_rebooted", EndProven: true,
				Message: "node " + p.command.Node.GetName() + ": the runner's host was restarted while the command ran: nothing of it runs, but what it had done by then is not known",
			}
		}
		return f.orphaned(s)
	}
	messages := make(chan fromShim, 1)
	go readMessages(p.link, messages)
	f.link, f.messages = p.link, messages
	end, _ := f.follow(ctx)
	return end
}
