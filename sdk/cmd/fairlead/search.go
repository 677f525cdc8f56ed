package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/sdk"
	"github.com/fairlead/fairlead/sdk/rest"
)

func (a *app) searchCommand() *cobra.Command {
	var s sdk.LogSearch
	var filter logFilterFlags
	var fixed bool
	c := verb("search ID PATTERN", "Search the output of an execution, as grep does; exit code 1 when nothing matched", cobra.ExactArgs(2), func(c *cobra.Command, args []string) error {
		if fixed && s.Regex {
			return usage("-E and -F exclude each other")
		}
		if s.Context < 0 || s.Context > 20 {
			return usage("-C is from 0 to 20 lines")
		}
		var err error
		if s.LogFilter, err = filter.read(time.Now()); err != nil {
			return err
		}
		client, err := a.client()
		if err != nil {
			return err
		}
		s.Pattern = args[1]
		return a.search(c, client, args[0], &s)
	})
	c.Args = func(c *cobra.Command, given []string) error {
		if err := cobra.ExactArgs(2)(c, given); err != nil {
			return err
		}
		return isName("the execution's id", given[0]) // PATTERN may be "."
	}
	c.Flags().BoolVarP(&s.Regex, "regex", "E", false, "PATTERN is a regular expression in the syntax of RE2")
	c.Flags().BoolVarP(&fixed, "fixed", "F", false, "PATTERN is text as it stands; this is the default")
	c.Flags().BoolVarP(&s.IgnoreCase, "ignore-case", "i", false, "capital and small letters are the same")
	c.Flags().IntVarP(&s.Context, "context", "C", 0, "show so many lines around each, at most 20")
	c.Flags().IntVarP(&s.Limit, "max-count", "m", 0, "stop after so many lines")
	filter.add(c)
	return c
}

func (a *app) search(c *cobra.Command, client *sdk.Client, id string, s *sdk.LogSearch) error {
	all := []rest.LogMatch{}
	w := &matchWriter{out: a.out, terminal: a.colour}
	n, err := client.SearchLog(c.Context(), id, s, func(m rest.LogMatch) error {
		if a.flags.output != "table" {
			all = append(all, m)
			return nil
		}
		return w.match(m)
	})
	if err == nil && a.flags.output != "table" {
		err = a.encode(all)
	}
	if err == nil {
		err = w.end()
	}
	if err == nil && n == 0 {
		return &exitError{exitFailed, nil}
	}
	return err
}

// matchWriter writes what was found as grep does: NODE:LINE:TEXT, lines around it with
// "-", and "--" between groups. A line that stands around two of them is told once.
type matchWriter struct {
	out      io.Writer
	terminal bool
	// last is the match before, whose lines behind wait for the next one.
	last *rest.LogMatch
	near bool
}

func (w *matchWriter) match(m rest.LogMatch) error {
	ahead := near(m.Ahead)
	if w.last != nil {
		joined, err := w.behind(func(cursor string) bool {
			return cursor == m.Cursor || slices.ContainsFunc(ahead, func(l rest.LogLine) bool { return l.Cursor == cursor })
		})
		if err != nil {
			return err
		}
		told := slices.IndexFunc(ahead, func(l rest.LogLine) bool { return l.Cursor == w.last.Cursor })
		ahead = ahead[told+1:]
		if !joined && told < 0 && w.near {
			if _, err := io.WriteString(w.out, "--\n"); err != nil {
				return err
			}
		}
	}
	w.near = w.near || m.Ahead != nil || m.Behind != nil
	for _, l := range ahead {
		if err := w.line(l); err != nil {
			return err
		}
	}
	w.last = &m
	text := fmt.Appendf(nil, "%s:%d:", oneLine(m.Node), m.Line+1)
	for _, p := range m.Parts {
		piece := []byte(p.Text)
		if w.terminal {
			piece = harmless(piece)
			if p.Match != nil && *p.Match {
				piece = fmt.Appendf(nil, "\x1b[1;31m%s\x1b[0m", piece)
			}
		}
		text = append(text, piece...)
	}
	_, err := w.out.Write(append(text, '\n'))
	return err
}

// behind writes what stands behind the last match up to a line that another one tells;
// it reports whether there was such a line.
func (w *matchWriter) behind(told func(cursor string) bool) (joined bool, err error) {
	for _, l := range near(w.last.Behind) {
		if told(l.Cursor) {
			return true, nil
		}
		if err := w.line(l); err != nil {
			return false, err
		}
	}
	return false, nil
}

// end writes what stands behind the last match of all.
func (w *matchWriter) end() error {
	if w.last == nil {
		return nil
	}
	_, err := w.behind(func(string) bool { return false })
	return err
}

func (w *matchWriter) line(l rest.LogLine) error {
	text := lineBytes(l)
	if w.terminal {
		text = harmless(text)
	}
	_, err := w.out.Write(append(append(fmt.Appendf(nil, "%s-%d-", oneLine(l.Node), l.Line+1), text...), '\n'))
	return err
}

func near(lines *[]rest.LogLine) []rest.LogLine {
	if lines == nil {
		return nil
	}
	return *lines
}
