package task

import (
	"context"
	"errors"
	"strings"
	"time"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/runner/stepdir"
)

// findHandedOver notes which of the cells an earlier process has, or has seen end. Of
// the others nobody knows more. The caller holds mu.
func (t *Attempt) findHandedOver(cells []Cell) {
	t.handed = map[Cell]bool{}
	for _, c := range cells {
		dir := t.host.handoverDir(t.disk.ID(), c)
		if t.host.Handover == "" || !stepdir.Exists(dir, stepdir.FileLock) {
			continue
		}
		held, state := stepdir.Inspect(dir, 0, &keeping{}, &End{})
		if held != nil {
			_ = held.Close()
		}
		t.handed[c] = state == stepdir.Running || state == stepdir.Finished
	}
}

// handedOver finds commands that an earlier process of the runner has.
type handedOver struct{ host *Host }

// Reattach implements Reattacher.
func (x handedOver) Reattach(_ context.Context, c *Command, from Offsets) (Process, bool, error) {
	return &inherited{host: x.host, dir: x.host.handoverDir(c.AttemptID, c.Cell), offset: from.Last()}, true, nil
}

// Forget implements Reattacher.
func (x handedOver) Forget(_ context.Context, attemptID string) error {
	return x.host.ForgetHandedOver(attemptID)
}

// inherited is a command that an earlier process has.
type inherited struct {
	host   *Host
	dir    string
	offset uint64
}

// Discard lets the command go on unwatched.
func (p *inherited) Discard() {}

// About tells who has it.
func (p *inherited) About() string { return "Over a connection of an earlier process of the runner." }

// dialAgain is how long to wait when the earlier process cannot be asked: it ends the
// command at this moment.
const dialAgain = 5 * time.Millisecond

// Run follows the command from the offset on to the end that the earlier process tells.
func (p *inherited) Run(ctx context.Context, out Output) End {
	var synced func() uint64
	if s, ok := out.(SyncedOutput); ok {
		synced = func() uint64 { return s.Synced().Last() }
	}
	tail := stepdir.NewTail(p.dir, p.offset, out, synced, p.host.Log)
	defer tail.Close()
	for {
		var end End
		held, state := stepdir.Inspect(p.dir, 0, &keeping{}, &end)
		if held != nil {
			_ = held.Close()
		}
		switch state {
		case stepdir.Running:
			if p.follow(ctx, tail) {
				return End{Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Reason: "detached", Message: "the command goes on without this process of the runner"}
			}
			continue
		case stepdir.Finished:
		default:
			end = restarted()
		}
		tail.Read()
		if err := tail.Err(); err != nil {
			end.Message = strings.TrimPrefix(end.Message+"; its output could not be kept: "+err.Error(), "; ")
		}
		return end
	}
}

// follow follows the command while the earlier process lives and has it. left is true
// when this process ends.
func (p *inherited) follow(ctx context.Context, tail *stepdir.Tail) (left bool) {
	detached := func() bool { return errors.Is(context.Cause(ctx), ErrDetach) }
	conn, err := stepdir.Dial(context.WithoutCancel(ctx), p.dir)
	if err != nil {
		<-time.After(dialAgain)
		return detached()
	}
	link, news := stepdir.NewLink(conn), make(chan stepdir.News, 1)
	defer func() {
		_ = link.Close()
		for range news { // its reader ends with the link
		}
	}()
	go link.ReceiveNews(news)
	_, left = tail.Follow(ctx, link, news, func(cause error) (stepdir.Stop, bool) {
		if errors.Is(cause, ErrTimedOut) {
			return stepdir.Stop{Cause: stepdir.CauseTimedOut}, true
		}
		return stepdir.Stop{Cause: stepdir.CauseStopped}, !errors.Is(cause, ErrDetach)
	})
	return left
}
