package logfilter

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// quiet is quiet-output: lines of a lower level than the job's are not kept.
type quiet struct {
	re     *regexp.Regexp // nil: every line
	invert bool
}

// levels from the least to the most that is kept.
func levels() []string { return []string{"ERROR", "WARN", "INFO", "VERBOSE", "DEBUG"} }

func newQuiet(config map[string]string, level string) (func() stage, error) {
	re, err := pattern(config, "regex", "")
	if err != nil {
		return nil, err
	}
	q := &quiet{re: re, invert: truth(config["invert"])}
	if only, said := config["matchLines"]; said && !truth(only) {
		q.invert = !q.invert
	}
	name := strings.ToUpper(config["loglevel"])
	switch name {
	case "":
		name = "VERBOSE"
	case "NORMAL":
		name = "INFO"
	}
	at := slices.Index(levels(), name)
	if at < 0 {
		return nil, fmt.Errorf("loglevel must be one of %s, not %q", strings.Join(levels(), ", "), config["loglevel"])
	}
	if slices.Index(levels(), level) >= at {
		return nil, nil //nolint:nilnil // the job keeps lines of that level: there is nothing to do
	}
	return func() stage { return q }, nil
}

func (q *quiet) line(l *line) { l.quiet = q.re == nil || q.re.Match(l.text) != q.invert }

func (*quiet) end() []string { return nil }

// highlight is highlight-output: it colours what it finds as a terminal would.
type highlight struct {
	re    *regexp.Regexp
	start string
}

const ansiReset = "\x1b[0m"

func newHighlight(config map[string]string) (func() stage, error) {
	re, err := pattern(config, "regex", "")
	if err != nil {
		return nil, err
	}
	if re == nil {
		return nil, errors.New("regex is required")
	}
	h := &highlight{re: re}
	if h.start, err = ansi(config); err != nil {
		return nil, err
	}
	return func() stage { return h }, nil
}

// ansi returns the escape sequence of the colours and modes.
func ansi(config map[string]string) (string, error) {
	var codes []string
	for name, base := range map[string]int{"fgcolor": 30, "bgcolor": 40} {
		text := strings.ToLower(config[name])
		if text == "" {
			continue
		}
		plain, light := strings.CutPrefix(text, "light_")
		at := slices.Index(strings.Fields(colours), plain)
		if at < 0 {
			return "", fmt.Errorf("%s must be one of %s, or light_ and one of them, not %q", name, colours, config[name])
		}
		if light {
			base += 60
		}
		codes = append(codes, strconv.Itoa(base+at))
	}
	for mode := range strings.FieldsFuncSeq(strings.ToLower(config["mode"]), func(r rune) bool { return r == ',' || r == ' ' }) {
		code, ok := map[string]string{"bold": "1", "underline": "4", "blink": "5", "reverse": "7"}[mode]
		if !ok {
			return "", fmt.Errorf("mode must be bold, underline, blink or reverse, not %q", mode)
		}
		codes = append(codes, code)
	}
	if len(codes) == 0 {
		codes = []string{"1"}
	}
	slices.Sort(codes)
	return "\x1b[" + strings.Join(codes, ";") + "m", nil
}

const colours = "black red green yellow blue magenta cyan white"

func (h *highlight) line(l *line) {
	var out []byte
	at := 0
	paint := func(from, to int) {
		if from < at || to <= from {
			return
		}
		out = append(append(append(out, l.text[at:from]...), h.start...), l.text[from:to]...)
		out, at = append(out, ansiReset...), to
	}
	for _, found := range h.re.FindAllSubmatchIndex(l.text, -1) {
		if len(found) == 2 {
			paint(found[0], found[1])
		}
		for i := 2; i+1 < len(found); i += 2 {
			paint(found[i], found[i+1])
		}
	}
	if at > 0 {
		l.text = append(out, l.text[at:]...)
	}
}

func (*highlight) end() []string { return nil }

// datatype is render-datatype with a type of its own: it puts the marks around the
// output that a command may also print itself.
type datatype struct {
	name  string
	begun bool
}

func newDatatype(config map[string]string) func() stage {
	name := strings.TrimSpace(config["datatype"])
	if name == "" {
		return nil // the command prints the marks
	}
	return func() stage { return &datatype{name: name} }
}

func (d *datatype) line(l *line) {
	if !d.begun {
		l.before = append(l.before, "#BEGIN:RUNDECK:DATATYPE:"+d.name)
	}
	d.begun = true
}

func (d *datatype) state() any { return &d.begun }

func (d *datatype) end() []string {
	if !d.begun {
		return nil
	}
	return []string{"#END:RUNDECK:DATATYPE"}
}
