package rundeck

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/fairlead/fairlead/hub"
)

// maxFilters bounds the log filters of a job, and of a step.
const maxFilters = 50

// filterKeys are the settings of each log filter; nil for one that is not known.
func filterKeys(kind string) keys {
	capture := supported("regex", "name", "logData", "invalidKeyPattern")
	colour := key{ignored: "has no effect: what is masked is not coloured"}
	switch kind {
	case hub.FilterKeyValue:
		return capture.with(supported("matchSubstrings", "allowMultipleMatches", "replaceFilteredResult"))
	case hub.FilterKeyValueLines:
		return capture.with(supported("captureMultipleKeysValues", "hideOutput"))
	case hub.FilterMaskPasswords:
		return keys{"color": colour, "replacement": {ignored: "has no effect: values of secure options are always masked as *****"}}
	case hub.FilterMaskRegex:
		return supported("regex", "replacement", "maskOnlyValue").with(keys{"color": colour})
	case hub.FilterQuiet:
		return supported("regex", "matchLines", "invert", "loglevel")
	case hub.FilterHighlight:
		return supported("regex", "fgcolor", "bgcolor", "mode")
	case hub.FilterDatatype:
		return supported("datatype")
	default:
		return nil
	}
}

// readLogFilters reads a list of filters, or one that is no list.
func readLogFilters(f fields, name string) []hub.LogFilter {
	v := f.v.get(name)
	if v == nil || v.empty() {
		return nil
	}
	items := []*value{v}
	if v.shape == list {
		items = v.items
	}
	if len(items) > maxFilters {
		f.wrong(name, "holds %d filters, at most %d are taken", len(items), maxFilters)
		return nil
	}
	var out []hub.LogFilter
	for i, item := range items {
		path := fmt.Sprintf("%s[%d]", join(f.path, name), i)
		if item.shape != object {
			f.errorf(path, "must be a map of type and config, not %s%s", item.shape, at(item.line))
			continue
		}
		inner, _ := f.open(item, path, supported("type", "config"))
		if filter, ok := readLogFilter(inner); ok {
			out = append(out, filter)
		}
	}
	warnOrder(f, name, out)
	return out
}

func readLogFilter(f fields) (hub.LogFilter, bool) {
	filter := hub.LogFilter{Type: f.line("type")}
	known := filterKeys(filter.Type)
	switch {
	case filter.Type == "":
		f.errorf(join(f.path, "type"), "is required%s", at(f.v.line))
		return filter, false
	case known == nil:
		f.wrong("type", "%q is not supported; supported are %s", brief(filter.Type), strings.Join(hub.LogFilterTypes(), ", "))
		return filter, false
	}
	c, ok := f.open(f.v.get("config"), join(f.path, "config"), known)
	if !ok {
		return filter, false
	}
	for _, m := range c.v.members {
		k, isKnown := known[m.key]
		if text := c.text(m.key); isKnown && k.ignored == "" && text != "" {
			if filter.Config == nil {
				filter.Config = map[string]string{}
			}
			filter.Config[m.key] = text
		}
	}
	checkLogFilter(c, filter)
	return filter, true
}

// checkLogFilter objects to settings that no runner could act on.
func checkLogFilter(f fields, filter hub.LogFilter) {
	re := checkPattern(f, "regex")
	checkPattern(f, "invalidKeyPattern")
	switch filter.Type {
	case hub.FilterKeyValue, hub.FilterKeyValueLines:
		switch groups := groupsOf(re); {
		case re == nil:
		case groups == 0:
			f.wrong("regex", "needs two groups, of key and value, or one and a name")
		case groups == 1 && !f.has("name"):
			f.wrong("regex", "has one group, so name must say what the value is called")
		}
	case hub.FilterMaskRegex, hub.FilterHighlight:
		if !f.has("regex") {
			f.errorf(join(f.path, "regex"), "is required%s", at(f.v.line))
		}
	}
	if filter.Type == hub.FilterQuiet && f.has("loglevel") {
		f.oneOf("loglevel", "NORMAL", "INFO", "DEBUG", "VERBOSE", "WARN", "ERROR")
	}
	if filter.Type != hub.FilterHighlight {
		return
	}
	for _, name := range []string{"fgcolor", "bgcolor"} {
		if text := strings.TrimPrefix(strings.ToLower(f.line(name)), "light_"); text != "" && !slices.Contains(colours(), text) {
			f.wrong(name, "must be one of %s, or light_ and one of them, not %q", strings.Join(colours(), ", "), brief(text))
		}
	}
	for _, mode := range f.texts("mode", ",") {
		if !slices.Contains([]string{"", "bold", "underline", "blink", "reverse"}, strings.ToLower(mode)) {
			f.wrong("mode", "must be bold, underline, blink or reverse, not %q", brief(mode))
		}
	}
}

func colours() []string {
	return []string{"black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"}
}

func groupsOf(re *regexp.Regexp) int {
	if re == nil {
		return 0
	}
	return re.NumSubexp()
}

// checkPattern compiles a setting; nil if it is wrong or not there.
func checkPattern(f fields, name string) *regexp.Regexp {
	text := f.text(name)
	if text == "" {
		return nil
	}
	if hub.IntersectsClasses(text) {
		f.wrong(name, "holds an intersection of classes (&&), which Java has and RE2 does not: write the pattern without")
		return nil
	}
	re, err := regexp.Compile(text)
	if err == nil {
		return re
	}
	if what := javaOnly(text); what != "" {
		f.wrong(name, "holds %s, which Java has and RE2 does not: write the pattern without", what)
		return nil
	}
	f.wrong(name, "is no regular expression (RE2): %v", err)
	return nil
}

// javaOnly names what only Java's regular expressions have, "" if nothing is found.
func javaOnly(text string) string {
	for _, known := range []struct{ mark, what string }{
		{`\(\?=`, "a lookahead (?=...)"},
		{`\(\?!`, "a negative lookahead (?!...)"},
		{`\(\?<=`, "a lookbehind (?<=...)"},
		{`\(\?<!`, "a negative lookbehind (?<!...)"},
		{`\(\?>`, "an atomic group (?>...)"},
		{`\\[1-9]|\\k<`, "a reference back to a group"},
		{`[*+?}]\+`, "a possessive quantifier (*+, ++, ?+)"},
		{`\\[GZhHRX]`, `an escape of Java alone (\G, \Z, \h, \R, \X)`},
	} {
		if regexp.MustCompile(known.mark).MatchString(text) {
			return known.what
		}
	}
	return ""
}

// warnOrder tells authors who capture first and mask then that it makes no difference.
func warnOrder(f fields, name string, filters []hub.LogFilter) {
	captures := false
	for _, filter := range filters {
		captures = captures || filter.Captures()
		if captures && filter.Type == hub.FilterMaskRegex {
			f.warnf(join(f.path, name), "%s works before the other filters, wherever it stands: what it hides is not captured either", hub.FilterMaskRegex)
			return
		}
	}
}

// logFilters adds filters in a map of their own.
func (t table) logFilters(key string, filters []hub.LogFilter) {
	if len(filters) == 0 {
		return
	}
	all := &yaml.Node{Kind: yaml.SequenceNode}
	for _, filter := range filters {
		entry := table{"type": textNode(filter.Type)}
		if len(filter.Config) > 0 {
			config := table{}
			for name, value := range filter.Config {
				config[name] = textNode(value)
			}
			entry["config"] = config.node()
		}
		all.Content = append(all.Content, entry.node())
	}
	t[key] = table{"LogFilter": all}.node()
}
