package rundeck

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead/fairlead/hub"
)

// problems collects everything wrong with a job or node.
type problems struct {
	errors, warnings []hub.FieldError
	// more counts errors beyond MaxProblems: a hostile file must not buy a long answer.
	more int
}

func (p *problems) errorf(path, format string, args ...any) {
	if len(p.errors) >= MaxProblems {
		p.more++
		return
	}
	p.errors = append(p.errors, hub.FieldError{Path: path, Message: fmt.Sprintf(format, args...)})
}

func (p *problems) warnf(path, format string, args ...any) {
	if len(p.warnings) < MaxProblems {
		p.warnings = append(p.warnings, hub.FieldError{Path: path, Message: fmt.Sprintf(format, args...)})
	}
}

// key says what a key means to this hub.
type key struct {
	// unsupported keys are errors unless their value is empty or among asIs, the values
	// that say what is the case anyway.
	unsupported bool
	asIs        []string
	// ignored keys are taken with this warning.
	ignored string
}

// keys are all that a map may have, by name.
type keys map[string]key

// supported makes keys that are acted on.
func supported(names ...string) keys {
	k := keys{}
	for _, name := range names {
		k[name] = key{}
	}
	return k
}

// with adds the keys of other.
func (k keys) with(other keys) keys {
	maps.Copy(k, other)
	return k
}

// fields reads one map of a file and notes what is wrong with it.
type fields struct {
	*problems
	path string
	v    *value
}

// join makes the path of a member.
func join(path, name string) string {
	if path == "" {
		return brief(name)
	}
	return path + "." + brief(name)
}

// open starts reading a map, whose keys it checks. ok is false if v is no map.
func (p *problems) open(v *value, path string, known keys) (f fields, ok bool) {
	f = fields{problems: p, path: path, v: &value{shape: object}}
	if v == nil || v.shape == null {
		return f, true
	}
	if v.shape != object {
		p.errorf(path, "must be a map, not %s%s", v.shape, at(v.line))
		return f, false
	}
	f.v = v
	for _, m := range v.members {
		k, isKnown := known[m.key]
		path := join(path, m.key)
		switch {
		case !isKnown && len(p.errors) >= MaxProblems:
			p.more++
		case !isKnown:
			p.errorf(path, "unknown key%s%s", at(m.line), suggest(m.key, known))
		case k.unsupported && !m.value.empty() && !saysAsIs(m.value, k.asIs):
			p.errorf(path, "not supported yet%s: remove the key%s to import the job without it", at(m.line), leave(k.asIs))
		case k.ignored != "" && !m.value.empty():
			p.warnf(path, "%s%s", k.ignored, at(m.line))
		}
	}
	return f, true
}

func leave(asIs []string) string {
	if len(asIs) == 0 {
		return ""
	}
	return fmt.Sprintf(" or set it to %q", asIs[0])
}

func saysAsIs(v *value, asIs []string) bool {
	if v.shape != scalar {
		return false
	}
	text := strings.ToLower(strings.TrimSpace(v.text))
	if truth, ok := boolean(text); ok {
		text = strconv.FormatBool(truth)
	}
	return slices.Contains(asIs, text)
}

// at tells a line, where it is known.
func at(line int) string {
	if line == 0 {
		return ""
	}
	return " (line " + strconv.Itoa(line) + ")"
}

// has reports whether a key is there and says something.
func (f fields) has(name string) bool {
	v := f.v.get(name)
	return v != nil && !v.empty()
}

// wrong notes an error about a member.
func (f fields) wrong(name, format string, args ...any) {
	line := 0
	if v := f.v.get(name); v != nil {
		line = v.line
	}
	f.errorf(join(f.path, name), "%s%s", fmt.Sprintf(format, args...), at(line))
}

// text returns a scalar as it was written, "" for none.
func (f fields) text(name string) string {
	v := f.v.get(name)
	if v == nil || v.shape == null {
		return ""
	}
	if v.shape != scalar {
		f.wrong(name, "must be a text, not %s", v.shape)
		return ""
	}
	return v.text
}

// line returns a text that must fit on one line, trimmed.
func (f fields) line(name string) string {
	s := strings.TrimSpace(f.text(name))
	if i := strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 127 }); i >= 0 {
		f.wrong(name, "holds a control character or a line break: remove it")
		return ""
	}
	return s
}

// boolean returns a truth value, preset for none.
func (f fields) boolean(name string, preset bool) bool {
	text := strings.TrimSpace(f.text(name))
	if text == "" {
		return preset
	}
	b, ok := boolean(text)
	if !ok {
		f.wrong(name, "must be true or false, not %q", brief(text))
	}
	return b
}

func boolean(text string) (value, ok bool) {
	switch strings.ToLower(text) {
	case "true", "yes", "on":
		return true, true
	case "false", "no", "off":
		return false, true
	default:
		return false, false
	}
}

// integer returns a whole number in [low, high], 0 for none.
func (f fields) integer(name string, low, high int) int {
	text := strings.TrimSpace(f.text(name))
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		f.wrong(name, "must be a whole number from %d to %d, not %q", low, high, brief(text))
		return 0
	}
	return n
}

// duration returns a duration, 0 for none.
func (f fields) duration(name string) time.Duration {
	d, err := hub.ParseDuration(f.text(name))
	if err != nil {
		f.wrong(name, "%s", hub.ErrorMessage(err))
	}
	return d
}

// oneOf returns one of the values, the first for none.
func (f fields) oneOf(name string, values ...string) string {
	text := strings.TrimSpace(f.text(name))
	if text == "" {
		return values[0]
	}
	if i := slices.IndexFunc(values, func(v string) bool { return strings.EqualFold(v, text) }); i >= 0 {
		return values[i]
	}
	f.wrong(name, "must be one of %s, not %q", strings.Join(values, ", "), brief(text))
	return values[0]
}

// texts returns a list of texts; one text is split at separator.
func (f fields) texts(name, separator string) []string {
	v := f.v.get(name)
	if v == nil || v.shape == null {
		return nil
	}
	if v.shape == scalar {
		if strings.TrimSpace(v.text) == "" {
			return nil
		}
		parts := strings.Split(v.text, separator)
		for i := range parts {
			parts[i] = strings.TrimSpace(parts[i])
		}
		return parts
	}
	if v.shape != list {
		f.wrong(name, "must be a list, not %s", v.shape)
		return nil
	}
	var texts []string
	for i, item := range v.items {
		if item.shape != scalar {
			f.errorf(fmt.Sprintf("%s[%d]", join(f.path, name), i), "must be a text, not %s%s", item.shape, at(item.line))
			continue
		}
		texts = append(texts, item.text)
	}
	return texts
}

// suggest names the known key that is nearest to an unknown one.
func suggest(name string, known keys) string {
	if len(name) > 64 {
		return ""
	}
	best, bestDistance := "", len(name)/3+2
	for _, candidate := range slices.Sorted(maps.Keys(known)) {
		if d := distance(strings.ToLower(name), strings.ToLower(candidate)); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	if best == "" {
		return "; known are " + strings.Join(slices.Sorted(maps.Keys(known)), ", ")
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is how many insertions, deletions, changes and swaps of neighbours lead
// from a to b.
func distance(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, now := rows[(i+2)%3], rows[i%3], rows[(i+1)%3]
		now[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			now[j] = min(last[j]+1, now[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
	}
	return rows[(len(a)+1)%3][len(b)]
}
