package command

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
)

// Context is what references of one step on one node stand for. Expansion only reads
// it, so one may serve several goroutines.
type Context struct {
	// Options are plain values by name.
	Options map[string]string
	// Exposed are values of secure options that commands may use. They live in memory
	// alone; so does everything they were expanded into.
	Exposed map[string]string
	// Hidden names the secure options that serve authentication alone: they are
	// refused in every expansion.
	Hidden []string
	// Node are the members of node.* ("name", "hostname", "osFamily", ...).
	Node map[string]string
	// Job are the members of job.* ("name", "execid", ...).
	Job map[string]string
	// Data are the values that earlier steps captured, by node and name.
	Data map[string]map[string]string
}

// NewContext makes the context of one node of a spec. secrets are the values of secure
// options as the grant brought them; one that is exposed and has no value is empty.
// Nothing of spec and node is kept but strings.
func NewContext(spec *runnerv1.Spec, node *runnerv1.Node, secrets map[string]string) Context {
	c := Context{
		Options: spec.GetOptions(),
		Exposed: map[string]string{},
		Node:    nodeMembers(node),
		Job:     map[string]string{},
	}
	for name, value := range spec.GetContext() {
		if member, ok := strings.CutPrefix(name, "job."); ok {
			c.Job[member] = value
		}
	}
	for _, name := range spec.GetSecureOptions() {
		if slices.Contains(spec.GetExposedOptions(), name) {
			c.Exposed[name] = secrets[name]
		} else {
			c.Hidden = append(c.Hidden, name)
		}
	}
	return c
}

// nodeMembers returns node.* of a node. The members that Rundeck always defines are
// always there, so that a command that names one does not depend on the node file.
func nodeMembers(node *runnerv1.Node) map[string]string {
	m := map[string]string{"description": "", "os-name": "", "os-family": "", "os-arch": "", "os-version": ""}
	maps.Copy(m, node.GetAttributes())
	for member, attribute := range map[string]string{
		"os-name": "osName", "os-family": "osFamily", "os-arch": "osArch", "os-version": "osVersion",
	} {
		if v, ok := m[attribute]; ok {
			m[member] = v
		}
	}
	m["name"] = node.GetName()
	m["hostname"] = hostOnly(node.GetHostname())
	m["username"] = node.GetUsername()
	m["tags"] = strings.Join(node.GetTags(), ",")
	return m
}

// hostOnly drops the port of "host:port".
func hostOnly(hostname string) string {
	if host, _, err := net.SplitHostPort(hostname); err == nil {
		return host
	}
	return hostname
}

// reference is ${space.name} or @space.name@ in a text.
type reference struct {
	space, name string
	// size is its length in the text.
	size int
}

// unquoted reports whether the author asked for the value as it is.
func (r reference) unquoted() bool { return r.space == "unquotedoption" }

// String returns the reference without its marks, as messages show it.
func (r reference) String() string { return r.space + "." + r.name }

// known reports whether space is one of ours; all other ${...} belong to the shell.
func known(space string) bool {
	switch space {
	case "option", "unquotedoption", "node", "job", "data", "globals", "result", "file":
		return true
	default:
		return false
	}
}

// parseReference reads a reference at the start of text, which begins with "${".
func parseReference(text string) (reference, bool) {
	end := strings.IndexAny(text, "} \t\r\n")
	if !strings.HasPrefix(text, "${") || end < 0 || text[end] != '}' {
		return reference{}, false
	}
	space, name, ok := strings.Cut(text[2:end], ".")
	if !ok || name == "" || !known(space) {
		return reference{}, false
	}
	return reference{space: space, name: name, size: end + 1}, true
}

// value returns what a reference stands for.
func (c Context) value(r reference) (string, error) {
	v, err := c.lookup(r)
	if err != nil {
		return "", err
	}
	if strings.IndexByte(v, 0) >= 0 {
		return "", fmt.Errorf("the value of %s holds a NUL byte, which no command can take: give it without", r)
	}
	return v, nil
}

func (c Context) lookup(r reference) (string, error) {
	switch r.space {
	case "option", "unquotedoption":
		if v, ok := c.Options[r.name]; ok {
			return v, nil
		}
		if v, ok := c.Exposed[r.name]; ok {
			return v, nil
		}
		if slices.Contains(c.Hidden, r.name) {
			return "", fmt.Errorf("option %q is secure and serves authentication alone: set valueExposed: true on it to use it in commands", r.name)
		}
		return "", fmt.Errorf("%s: the job has no option %q; it has %s", r, r.name, c.optionNames())
	case "node":
		if v, ok := c.Node[r.name]; ok {
			return v, nil
		}
		return "", fmt.Errorf("%s: node %q has no attribute %q: add it to the node, or take the reference out", r, c.Node["name"], r.name)
	case "job":
		if v, ok := c.Job[r.name]; ok {
			return v, nil
		}
		return "", fmt.Errorf("%s is not known; known are %s", r, list(slices.Collect(maps.Keys(c.Job))))
	case "data":
		return c.captured(r)
	default:
		return "", fmt.Errorf("%s is not supported yet: no step captures or defines %s values", r, r.space)
	}
}

// captured returns data.KEY of this node, data.KEY@NODE of another, or data.KEY* of all. A
// key may hold an @ or a * itself.
func (c Context) captured(r reference) (string, error) {
	node, key := c.Node["name"], r.name
	if v, ok := c.Data[node][key]; ok {
		return v, nil
	}
	if i := strings.LastIndexByte(key, '@'); i > 0 {
		key, node = key[:i], key[i+1:]
		if v, ok := c.Data[node][key]; ok {
			return v, nil
		}
	}
	if key, between, all := strings.Cut(r.name, "*"); all {
		return c.ofAll(r, key, cmp.Or(between, ","))
	}
	return "", fmt.Errorf("%s is not known: no earlier step captured %q on node %q (log filter key-value-data); captured there are %s", r, key, node, list(slices.Collect(maps.Keys(c.Data[node]))))
}

// ofAll joins what was captured under a key on any node, ordered by the nodes' names.
func (c Context) ofAll(r reference, key, between string) (string, error) {
	var values []string
	for _, node := range slices.Sorted(maps.Keys(c.Data)) {
		if v, ok := c.Data[node][key]; ok {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return "", fmt.Errorf("%s is not known: no earlier step captured %q on any node (log filter key-value-data)", r, key)
	}
	return strings.Join(values, between), nil
}

func (c Context) optionNames() string {
	names := slices.Collect(maps.Keys(c.Options))
	for name := range c.Exposed {
		names = append(names, name)
	}
	return list(names)
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
