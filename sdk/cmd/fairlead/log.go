package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/sdk"
)

func (a *app) logCommand() *cobra.Command {
	var f followFlags
	var o sdk.LogOptions
	var following bool
	var format, step string
	c := verb("log ID", "Show the output of an execution, or follow it; then the exit code tells how it ended", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		if format != "text" && format != "ndjson" {
			return usage("--format is text or ndjson, not %q", format)
		}
		if f.cancelOnInterrupt && !following {
			return usage("--cancel-on-interrupt needs --follow")
		}
		var err error
		if o.Step, err = stepPosition(step); err != nil {
			return err
		}
		client, err := a.client()
		if err != nil {
			return err
		}
		w := &lineWriter{out: a.out, system: a.say, prefix: !f.noPrefix, records: format == "ndjson", terminal: a.colour}
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
	c.Flags().StringVar(&o.Node, "node", "", "lines of this node alone")
	c.Flags().StringVar(&step, "step", "", "lines of this step alone, from 1")
	c.Flags().Int64Var(&o.Tail, "tail", 0, "begin with the last so many lines")
	return c
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
