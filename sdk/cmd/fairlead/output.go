package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/fairlead/fairlead/sdk/rest"
)

// list answers with some things: one row each, one JSON array, or their ids.
func list[T any](a *app, items []T, id func(T) string, head []string, row func(T) []string) error {
	switch {
	case a.flags.quiet:
		for _, item := range items {
			if _, err := fmt.Fprintln(a.out, id(item)); err != nil {
				return err
			}
		}
		return nil
	case a.flags.output != "table":
		if items == nil {
			items = []T{}
		}
		return a.encode(items)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	rows := [][]string{head}
	for _, item := range items {
		rows = append(rows, row(item))
	}
	for _, cells := range rows {
		for i := range cells {
			cells[i] = oneLine(cells[i])
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(strings.Join(cells, "\t"), "\t ")); err != nil {
			return err
		}
	}
	return w.Flush()
}

// field is one line of a thing shown alone.
type field struct{ name, value string }

// one answers with one thing.
func one[T any](a *app, item T, id string, fields []field) error {
	switch {
	case a.flags.quiet:
		_, err := fmt.Fprintln(a.out, id)
		return err
	case a.flags.output != "table":
		return a.encode(item)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for _, f := range fields {
		if f.value == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%s:\t%s\n", f.name, oneLine(f.value)); err != nil {
			return err
		}
	}
	return w.Flush()
}

// encode writes v as JSON or YAML.
func (a *app) encode(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	return a.print(b)
}

// print writes JSON for people, or as YAML with the same names.
func (a *app) print(b []byte) error {
	if a.flags.output == "yaml" {
		return a.printYAML(b)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, bytes.TrimSpace(b), "", "  "); err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	out.WriteByte('\n')
	_, err := a.out.Write(inert(out.Bytes()))
	return err
}

// inert writes characters of a JSON text that may steer a terminal by their numbers, which
// mean the same to who reads it. JSON has the others so already.
func inert(text []byte) []byte {
	if bytes.IndexFunc(text, steers) < 0 {
		return text
	}
	out := make([]byte, 0, len(text)+len(text)/8)
	for _, r := range string(text) {
		if steers(r) {
			out = fmt.Appendf(out, "\\u%04x", r)
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return out
}

func steers(r rune) bool {
	return r >= 0x7f && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r))
}

func (a *app) printYAML(b []byte) error {
	in := json.NewDecoder(bytes.NewReader(b))
	in.UseNumber()
	var v any
	if err := in.Decode(&v); err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	text, err := yaml.Marshal(numbered(v))
	if err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	_, err = a.out.Write(text)
	return err
}

// numbered puts whole numbers in the place of JSON's: as floats, which encoding/json
// makes of them else, large ones lose digits and YAML writes 1e+07.
func numbered(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			v[name] = numbered(v[name])
		}
	case []any:
		for i := range v {
			v[i] = numbered(v[i])
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f
	}
	return v
}

// oneLine makes a text fit a cell, and keeps what others named from steering the
// terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// Colours of states on a terminal.
var colours = map[rest.Status]string{
	rest.StatusSucceeded: "32", rest.StatusFailed: "31", rest.StatusTimedOut: "31", rest.StatusUnknown: "35",
	rest.StatusCancelled: "33", rest.StatusCancelling: "33", rest.StatusRunning: "36",
}

// coloured reports whether stdout takes colours.
func (a *app) coloured() bool {
	return a.colour && !a.flags.noColor && a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb"
}

// status is a state, in colour where it is a word on its own (tables would count the
// codes as width).
func (a *app) status(s rest.Status) string {
	code, ok := colours[s]
	if !ok || !a.coloured() {
		return string(s)
	}
	return "\x1b[" + code + "m" + string(s) + "\x1b[0m"
}

// moment is a time for people: local, to the second.
func moment(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// text is what a pointer points to, or "".
func text[T ~string](p *T) string {
	if p == nil {
		return ""
	}
	return string(*p)
}

// yes is a word for true and nothing for false.
func yes(b bool, word string) string {
	if b {
		return word
	}
	return ""
}
