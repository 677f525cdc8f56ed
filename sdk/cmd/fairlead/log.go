package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/sdk"
)

func (a *app) logCommand() *cobra.Command {
	var f followFlags
	var o sdk.LogOptions
	var filter logFilterFlags
	var following, failure bool
	var format string
	c := verb("log ID", "Show the output of an execution, or follow it; then the exit code tells how it ended", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		if format != "text" && format != "ndjson" {
			return usage("--format is text or ndjson, not %q", format)
		}
		if f.cancelOnInterrupt && !following {
			return usage("--cancel-on-interrupt needs --follow")
		}
		if c.Flags().Changed("tail") && o.Tail < 1 {
			return usage("--tail is a number of lines, from 1, not %d", o.Tail)
		}
		var err error
		if o.LogFilter, err = filter.read(time.Now()); err != nil {
			return err
		}
		client, err := a.client()
		if err != nil {
			return err
		}
		w := &lineWriter{out: a.out, system: a.say, prefix: !f.noPrefix, records: format == "ndjson", terminal: a.colour}
		if failure {
			if following || o.Tail > 0 || len(o.Nodes) > 0 {
				return usage("--first-failure says itself where to begin and of which node; it goes with none of --follow, --tail and --node")
			}
			if err := a.toFailure(c.Context(), client, args[0], &o); err != nil {
				return err
			}
		}
		if following {
			_, err := a.watch(client, args[0], args[0], f.cancelOnInterrupt).follow(c.Context(), o, w)
			return err
		}
		end, err := client.ReadLog(c.Context(), args[0], o, w.line)
		if err != nil {
			return err
		}
		return w.end(end)
	})
	f.add(c)
	c.Flags().BoolVarP(&following, "follow", "f", false, "stay until the execution has ended, also when a hub restarts")
	c.Flags().StringVar(&format, "format", "text", "text or ndjson")
	filter.add(c)
	c.Flags().BoolVar(&failure, "first-failure", false, "lines of the node that failed first, from where the step that failed began to print")
	c.Flags().Int64Var(&o.Tail, "tail", 0, "begin with the last so many lines")
	return c
}

// toFailure narrows a log to where it first failed, and says what that was.
func (a *app) toFailure(ctx context.Context, client *sdk.Client, id string, o *sdk.LogOptions) error {
	f, err := client.LogFailure(ctx, id)
	if err != nil {
		return err
	}
	how := string(f.Status)
	if f.Code != nil {
		how += " with exit code " + strconv.FormatInt(*f.Code, 10)
	}
	a.say("Step %d on %s was the first to fail: %s at %s. %s", f.Step+1, oneLine(f.Node), how, moment(&f.EndedAt), oneLine(text(f.Message)))
	if text(f.Before) == "" {
		return &exitError{exitOther, errors.New("it printed nothing")}
	}
	o.Cursor, o.Nodes = *f.Before, []string{f.Node}
	return nil
}

// logFilterFlags say which lines of a log are wanted.
type logFilterFlags struct {
	nodes, streams     []string
	step, since, until string
}

func (f *logFilterFlags) add(c *cobra.Command) {
	c.Flags().StringArrayVar(&f.nodes, "node", nil, "lines of this node alone; repeated: of these")
	c.Flags().StringVar(&f.step, "step", "", "lines of this step alone, from 1")
	c.Flags().StringSliceVar(&f.streams, "stream", nil, "lines of these alone: stdout, stderr, system")
	c.Flags().StringVar(&f.since, "since", "", "lines from this time on: 2026-01-30T15:00:00Z, or so long ago (10m)")
	c.Flags().StringVar(&f.until, "until", "", "lines before this time")
}

// read turns the flags into what the SDK takes.
func (f *logFilterFlags) read(now time.Time) (sdk.LogFilter, error) {
	out := sdk.LogFilter{Nodes: f.nodes, Streams: f.streams}
	for _, s := range f.streams {
		if s != "stdout" && s != "stderr" && s != "system" {
			return out, usage("--stream is stdout, stderr or system, not %q", s)
		}
	}
	if f.step != "" {
		n, err := strconv.Atoi(f.step)
		if err != nil || n < 1 {
			return out, usage("--step is the number of a step, from 1")
		}
		out.Step = n
	}
	var err error
	if out.Since, err = momentFlag("since", f.since, now); err != nil {
		return out, err
	}
	out.Until, err = momentFlag("until", f.until, now)
	return out, err
}

// momentFlag reads a time, or how long ago it was; "" is none.
func momentFlag(name, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, usage("--%s is a time as 2026-01-30T15:00:00Z or how long ago (10m), not %q", name, text)
	}
	return t, nil
}
