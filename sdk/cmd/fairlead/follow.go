package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

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
	c.Flags().BoolVar(&f.cancelOnInterrupt, "cancel-on-interrupt", false, "Ctrl-C cancels the execution instead of leaving it running, and waits for its end; again stops waiting")
}

// watch is an execution whose end the program stays for.
type watch struct {
	a      *app
	client *sdk.Client
	id     string
	name   string // for people: its number, or what they called it
	// cancelOnInterrupt makes the first Ctrl-C cancel it.
	cancelOnInterrupt bool
	cancelled         atomic.Bool
}

func (a *app) watch(client *sdk.Client, id, name string, cancelOnInterrupt bool) *watch {
	return &watch{a: a, client: client, id: id, name: name, cancelOnInterrupt: cancelOnInterrupt}
}

// follow writes the log until the execution has ended, and returns the end, with an
// error that bears the exit code for it.
func (w *watch) follow(ctx context.Context, o sdk.LogOptions, lines *lineWriter) (*rest.Execution, error) {
	defer w.catchInterrupt(ctx)()
	stopTelling := w.tellWaiting(ctx, lines.moved)
	end, err := w.client.FollowLog(ctx, w.id, o, lines.line)
	stopTelling()
	if err == nil {
		err = lines.end(end)
	}
	if err != nil {
		return nil, w.left(err, "Stopped following; execution "+w.name+" goes on")
	}
	e, err := w.client.Wait(ctx, w.id)
	if err != nil {
		return nil, w.left(err, "Stopped following; execution "+w.name+" goes on")
	}
	if w.a.flags.output == "table" {
		w.a.say("%s", w.a.summary(e))
	}
	return e, verdict(e)
}

// await waits for the end without output, and answers with the execution.
func (w *watch) await(ctx context.Context) error {
	defer w.catchInterrupt(ctx)()
	stopTelling := func() {}
	if !w.a.flags.quiet {
		stopTelling = w.tellWaiting(ctx, func() bool { return false })
	}
	e, err := w.client.Wait(ctx, w.id)
	stopTelling()
	if err != nil {
		return w.left(err, "Execution "+w.name+" is still running")
	}
	if err := w.a.show(e); err != nil {
		return err
	}
	return verdict(e)
}

// left says what becomes of the execution when Ctrl-C was why waiting ended with err.
func (w *watch) left(err error, what string) error {
	switch {
	case !w.a.interrupted.Load() || !errors.Is(err, context.Canceled):
		return err
	case w.cancelled.Load():
		w.a.say("\nStopped waiting; execution %s is being cancelled.", w.name)
	default:
		w.a.say("\n%s. To cancel it: fairlead executions cancel %s", what, w.name)
	}
	return &exitError{exitInterrupted, nil}
}

// catchInterrupt makes the first Ctrl-C cancel the execution, if that was asked for.
// The cancel goes beside, so that a hub that does not answer holds up no second one.
func (w *watch) catchInterrupt(ctx context.Context) (release func()) {
	if !w.cancelOnInterrupt {
		return func() {}
	}
	var once sync.Once
	var cancelling sync.WaitGroup
	catch := func() bool {
		first := false
		once.Do(func() {
			first = true
			w.a.say("\nCancelling execution %s; Ctrl-C again stops waiting for it.", w.name)
			cancelling.Go(func() { w.cancel(ctx) })
		})
		return first
	}
	w.a.onInterrupt.Store(&catch)
	return func() {
		w.a.onInterrupt.Store(nil)
		cancelling.Wait()
	}
}

func (w *watch) cancel(ctx context.Context) {
	_, err := w.client.Cancel(ctx, w.id)
	if err != nil {
		w.a.say("Error: cancelling execution %s: %v", w.name, err)
		return
	}
	w.cancelled.Store(true)
}

// waitingEvery is how often a follower that sees no line asks what is waited for.
const waitingEvery = 2 * time.Second

// tellWaiting says on stderr what the execution waits for, each change of it once,
// while nothing has moved. The function it returns ends that and waits for it.
func (w *watch) tellWaiting(ctx context.Context, moved func() bool) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(waitingEvery)
		defer tick.Stop()
		told := ""
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if moved() {
				continue
			}
			e, err := w.client.Execution(ctx, w.id)
			if err != nil {
				continue // the follower itself tells that the hub is gone
			}
			now := waiting(e.WaitingFor)
			if now != told && now != "" {
				w.a.say("Waiting for %s", oneLine(now))
			}
			told = now
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
	if why := text(e.Reason); why != "" {
		s += ": " + oneLine(why)
	}
	return s
}

// count is how many nodes there are in all states.
func count(nodes map[string]int64) int64 {
	var all int64
	for _, n := range nodes {
		all += n
	}
	return all
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
