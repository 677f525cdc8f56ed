package local

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/runner/stepdir"
	"github.com/fairlead/fairlead/runner/task"
)

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
		p := &reattached{executor: e, command: c, dir: dir, offset: from.Last()}
		p.held, p.state, p.started, p.exit = inspect(dir)
		switch p.state {
		case stepdir.Never:
			if c.OtherBoot {
				// A power cut takes what was not synced: this proves nothing.
				p.state = stepdir.Dead
				return p, true, nil
			}
			defer p.held.Close()
			removeScript(dir)
			return nil, false, bury(dir)
		case stepdir.Running:
			conn, err := stepdir.Dial(ctx, dir)
			if err != nil {
				// It ends at this moment, or has not seen yet that its runner is gone.
				wait(ctx, dialAgain)
				continue
			}
			p.link = stepdir.NewLink(conn)
		}
		return p, true, nil
	}
}

// dialAgain is how long to wait when a shim that runs cannot be asked: it ends at this
// moment, or has not seen yet that its runner is gone.
const dialAgain = 5 * time.Millisecond

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
	exit     ended
	started  started
	state    stepdir.State
	link     *stepdir.Link
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
	f := p.executor.follower(p.command, p.dir, p.offset, out)
	defer f.tail.Close()
	switch p.state {
	case stepdir.Finished:
		f.tail.Read()
		return f.ended(p.exit)
	case stepdir.Dead:
		if p.started.BootID != "" && p.started.BootID != stepdir.BootID() || p.command.OtherBoot {
			f.tail.Read()
			return task.End{
				Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Reason: "host_rebooted", EndProven: true,
				Message: "node " + p.command.Node.GetName() + ": the runner's host was restarted while the command ran: nothing of it runs, but what it had done by then is not known",
			}
		}
		return f.orphaned(p.started)
	}
	news := make(chan stepdir.News, 1)
	go p.link.ReceiveNews(news)
	f.link, f.news = p.link, news
	end, _ := f.follow(ctx)
	return end
}
