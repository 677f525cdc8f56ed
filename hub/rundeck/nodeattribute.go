package rundeck

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/fairlead/fairlead/hub"
)

// Attributes of Rundeck's executors that ours do not act on, with the values that say
// what is the case anyway.
var unheeded = map[string][]string{
	"retry-enable":        {"false"},
	"retry-counter":       {},
	"local-ssh-agent":     {"false"},
	"local-ttl-ssh-agent": {},
	"file-copier":         {"jsch-scp", "sshj-scp", "ssh", "local"},
}

// sudoSettings are what may follow on sudo- and sudo2-.
var sudoSettings = []string{
	"command-enabled", "command-pattern", "password-storage-path", "password-option", "prompt-pattern", "prompt-max-timeout", "failure-pattern",
}

// NodeWarnings tells which attributes of nodes have no effect, though people who come
// from Rundeck may count on one: each once, at the first node that has it. settings
// are the project's, which nodes override.
func NodeWarnings(nodes []hub.Node, settings map[string]string) []hub.FieldError {
	first := map[string]*hub.FieldError{}
	more := map[string]int{}
	for i := range nodes {
		node := &nodes[i]
		for _, name := range slices.Sorted(maps.Keys(node.Attributes)) {
			why := noEffect(name, node, settings)
			switch key := name + why; {
			case why == "":
			case first[key] != nil:
				more[key]++
			case len(first) < MaxProblems:
				first[key] = &hub.FieldError{Path: join(node.Name, name), Message: why}
			}
		}
	}
	var out []hub.FieldError
	for key, w := range first {
		if n := more[key]; n > 0 {
			w.Message += fmt.Sprintf(" (and at %d more nodes)", n)
		}
		out = append(out, *w)
	}
	slices.SortFunc(out, func(a, b hub.FieldError) int { return cmp.Compare(a.Path, b.Path) })
	return out
}

// placeholder stands for what is only known of a node: ${node.name}.
var placeholder = regexp.MustCompile(`\$\{[a-z.]+\}`)

// NoKey says why a path that a node or project names can be no key's; "" if it can.
func NoKey(path string) string {
	if path == "" {
		return ""
	}
	if err := hub.CheckKeyPath(placeholder.ReplaceAllString(path, "x")); err != nil {
		return "no key can be stored at this path: " + hub.ErrorMessage(err)
	}
	return ""
}

// noEffect says why an attribute of a node does nothing; "" if it does, or if it is
// nothing to us.
func noEffect(name string, node *hub.Node, settings map[string]string) string {
	setting := func(name string) string { return strings.ToLower(cmp.Or(node.Attributes[name], settings[name])) }
	const unsupported = "not supported yet: it has no effect"
	if strings.HasSuffix(name, "-storage-path") {
		return NoKey(node.Attributes[name])
	}
	if asIs, known := unheeded[name]; known {
		if slices.Contains(asIs, setting(name)) {
			return ""
		}
		return unsupported
	}
	if strings.HasPrefix(name, "ssh-config-") {
		return unsupported
	}
	rest, first := strings.CutPrefix(name, "sudo-")
	second := false
	if !first {
		rest, second = strings.CutPrefix(name, "sudo2-")
	}
	switch {
	case !first && !second:
		return ""
	case !slices.Contains(sudoSettings, rest):
		return unsupported
	case setting("node-executor") == "local":
		return "not supported yet with node-executor local: sudo gets no password there, so it needs a rule without one"
	case second && !slices.Contains([]string{"true", "yes", "on", "1"}, setting("always-set-pty")):
		return "has no effect without always-set-pty: true, since a second sudo is answered in a terminal only"
	}
	return ""
}
