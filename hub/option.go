package hub

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// MaxOptionBytes bounds the values of one run together; more belongs in a file.
	MaxOptionBytes = 1 << 20
	// MaxSecureOptionBytes bounds those of its secure options. Each grant takes them along,
	// with the keys of its nodes, in one frame: a run with more could never begin.
	MaxSecureOptionBytes = 512 << 10
)

// ResolveOptions returns the values of one run from those given: plain ones for every
// option that is not secure (its default, or "", where nothing was given), and the
// secure ones that were given. A secure option with a storage path and no value given
// is in neither; its key is read when work is granted.
//
// Everything wrong is told at once, under the path "options.NAME"; no message holds
// the value of a secure option.
func (j *Job) ResolveOptions(given map[string]string) (plain, secureGiven map[string]string, err error) {
	plain, secureGiven = map[string]string{}, map[string]string{}
	var fields []FieldError
	total, secure := 0, 0
	for i := range j.Options {
		o := &j.Options[i]
		value, isGiven := given[o.Name]
		if !isGiven && !o.Secure {
			value = o.Value
		}
		total += len(value)
		if message := o.Check(value); message != "" {
			fields = append(fields, FieldError{Path: "options." + o.Name, Message: message})
			continue
		}
		switch {
		case !o.Secure:
			plain[o.Name] = value
		case value != "":
			secureGiven[o.Name] = value
			secure += len(value)
		}
	}
	for name := range given {
		if j.Option(name) == nil {
			fields = append(fields, FieldError{Path: "options." + name, Message: unknownOption(j, name)})
		}
	}
	if total > MaxOptionBytes {
		fields = append(fields, FieldError{Path: "options", Message: fmt.Sprintf("the values have %d bytes together, at most %d are taken; put more into a file", total, MaxOptionBytes)})
	}
	if secure > MaxSecureOptionBytes {
		fields = append(fields, FieldError{Path: "options", Message: fmt.Sprintf("the values of secure options have %d bytes together, at most %d are taken; put more into the key storage or a file", secure, MaxSecureOptionBytes)})
	}
	if len(fields) > 0 {
		slices.SortFunc(fields, func(a, b FieldError) int { return cmp.Compare(a.Path, b.Path) })
		return nil, nil, Invalid(fmt.Sprintf("The options do not fit job %q.", j.FullName()), fields)
	}
	return plain, secureGiven, nil
}

func unknownOption(j *Job, name string) string {
	if len(j.Options) == 0 {
		return fmt.Sprintf("the job has no options; remove %q", name)
	}
	names := make([]string, len(j.Options))
	for i := range j.Options {
		names[i] = j.Options[i].Name
	}
	return "the job has no such option; it has " + strings.Join(names, ", ")
}

// Option returns the option with that name, nil if there is none.
func (j *Job) Option(name string) *Option {
	for i := range j.Options {
		if j.Options[i].Name == name {
			return &j.Options[i]
		}
	}
	return nil
}

// Check returns what is wrong with a value, "" if nothing is. It never holds the value
// of a secure option.
func (o *Option) Check(value string) string {
	if strings.IndexByte(value, 0) >= 0 {
		return "the value holds a NUL byte, which no command can take"
	}
	if value == "" {
		if o.Required && !(o.Secure && o.StoragePath != "") {
			return "a value is required"
		}
		return ""
	}
	var pattern *regexp.Regexp
	if o.Regex != "" {
		var err error
		if pattern, err = o.Pattern(); err != nil {
			return err.Error()
		}
	}
	for _, v := range o.Split(value) {
		if o.Enforced && !slices.Contains(o.Values, v) {
			return "the value " + o.show(v) + "is not allowed; allowed are " + shorten(strings.Join(o.Values, ", "))
		}
		if pattern != nil && !pattern.MatchString(v) {
			return "the value " + o.show(v) + "does not match " + shorten(o.Regex)
		}
	}
	return ""
}

// Split returns the single values of a multivalued option's value.
func (o *Option) Split(value string) []string {
	if !o.Multivalued {
		return []string{value}
	}
	return strings.Split(value, cmp.Or(o.Delimiter, ","))
}

// show quotes a value for a message, unless it is secret.
func (o *Option) show(v string) string {
	if o.Secure {
		return ""
	}
	return strconv.Quote(shorten(v)) + " "
}

func shorten(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}

// Pattern returns the compiled Regex, which a value must match whole.
func (o *Option) Pattern() (*regexp.Regexp, error) {
	if IntersectsClasses(o.Regex) {
		return nil, fmt.Errorf("its pattern %q cannot be used (patterns are RE2: no intersection of classes, &&)", shorten(o.Regex))
	}
	// Parsed on its own: "a)(?:b" must not become valid by our parentheses.
	tree, err := syntax.Parse(o.Regex, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("its pattern %q cannot be used (patterns are RE2: no look-around, no back-references): %w", shorten(o.Regex), err)
	}
	pattern, err := regexp.Compile(`\A(?:` + tree.String() + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("compile the pattern %q: %w", shorten(o.Regex), err)
	}
	return pattern, nil
}

// ExpandOptions replaces every ${option.x} in a text that the hub itself reads, such
// as a timeout or a thread count. Secure options are not among options, so a
// reference to one is an error, as is one to an option that does not exist.
func ExpandOptions(text string, options map[string]string) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${option.")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		name, after, closed := strings.Cut(rest, "}")
		value, ok := options[name]
		if !closed || !ok {
			return "", Errorf(CodeInvalid, "%q refers to an option that does not exist, or that is secure and cannot be used there.", shorten("${option."+name+"}"))
		}
		out.WriteString(value)
		text = after
	}
}

// Threads returns how many nodes a run uses at once, at least 1.
func (d *Dispatch) Threads(options map[string]string) (int, error) {
	text, err := ExpandOptions(d.Threadcount, options)
	if err != nil {
		return 0, fmt.Errorf("read the thread count: %w", err)
	}
	text = strings.TrimSpace(text)
	if text == "" {
		return 1, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 {
		return 0, Errorf(CodeInvalid, "The thread count %q is not a number of nodes: give a whole number from 1.", shorten(text))
	}
	return int(n), nil
}

// ResolveTimeout returns the timeout of a run; 0: none.
func (j *Job) ResolveTimeout(options map[string]string) (time.Duration, error) {
	text, err := ExpandOptions(j.Timeout, options)
	if err != nil {
		return 0, fmt.Errorf("read the timeout: %w", err)
	}
	return ParseDuration(text)
}

// ParseDuration reads a duration as Rundeck writes it: "120" (seconds), "90s",
// "6h 30m", "1d12h"; units are s, m, h, d, w and y (365 days). "" is 0.
func ParseDuration(text string) (time.Duration, error) {
	bad := func(why string) (time.Duration, error) {
		return 0, Errorf(CodeInvalid, "%q is not a duration: %s. Write seconds (\"120\") or units (\"6h 30m\").", shorten(text), why)
	}
	var total time.Duration
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		if digits == 0 {
			return bad("a number is missing")
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil {
			return bad("it is too long")
		}
		rest = rest[digits:]
		unit := time.Second
		if rest != "" && rest[0] != ' ' && rest[0] != '\t' {
			var ok bool
			if unit, ok = durationUnit(rest[0]); !ok {
				return bad("units are s, m, h, d, w and y")
			}
			rest = rest[1:]
		}
		if n > int64((math.MaxInt64-total)/unit) {
			return bad("it is too long")
		}
		total += time.Duration(n) * unit
	}
	return total, nil
}

func durationUnit(c byte) (time.Duration, bool) {
	const day = 24 * time.Hour
	switch c {
	case 's':
		return time.Second, true
	case 'm':
		return time.Minute, true
	case 'h':
		return time.Hour, true
	case 'd':
		return day, true
	case 'w':
		return 7 * day, true
	case 'y':
		return 365 * day, true
	default:
		return 0, false
	}
}

// FormatDuration writes d, cut to whole seconds, as ParseDuration reads it.
func FormatDuration(d time.Duration) string {
	if d < time.Second {
		return "0s"
	}
	var parts []string
	for _, unit := range []struct {
		name string
		size time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}} {
		if n := d / unit.size; n > 0 {
			parts = append(parts, strconv.FormatInt(int64(n), 10)+unit.name)
			d -= n * unit.size
		}
	}
	return strings.Join(parts, " ")
}
