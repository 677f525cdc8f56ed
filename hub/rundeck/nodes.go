package rundeck

import (
	"fmt"
	"mime"
	"path"
	"slices"
	"strings"

	"github.com/fairlead/fairlead/hub"
)

// NodeFormat is the format of a node file.
type NodeFormat string

// The formats.
const (
	NodesYAML NodeFormat = "yaml"
	NodesJSON NodeFormat = "json"
	NodesXML  NodeFormat = "xml"
)

// NodeFormatOf tells a format by a file's name ("nodes.yml"), a media type
// ("application/json; charset=utf-8") or the format's own name. ok is false for
// others.
func NodeFormatOf(name string) (format NodeFormat, ok bool) {
	word := strings.ToLower(strings.TrimSpace(name))
	if media, _, err := mime.ParseMediaType(word); err == nil && strings.Contains(media, "/") {
		_, word, _ = strings.Cut(media, "/")
		word = strings.TrimPrefix(strings.TrimPrefix(word, "x-"), "vnd.")
	} else if extension := path.Ext(word); extension != "" {
		word = extension[1:]
	}
	switch word {
	case "yaml", "yml":
		return NodesYAML, true
	case "json", "resourcejson":
		return NodesJSON, true
	case "xml", "resourcexml":
		return NodesXML, true
	default:
		return "", false
	}
}

const (
	maxNodeName       = 255
	maxAttributes     = 1000
	maxAttributeName  = 255
	maxAttributeValue = 64 << 10
)

// ParseNodes reads a node file. The error, if any, lists everything wrong with it and
// may be shown; then no nodes are returned. Nodes are in the order of the file.
func ParseNodes(data []byte, format NodeFormat) ([]hub.Node, error) {
	root, err := readNodeFile(data, format)
	if err != nil {
		return nil, nodeFileError(err)
	}
	p := &problems{}
	nodes := readNodes(p, root)
	if p.more > 0 {
		p.errors = append(p.errors, hub.FieldError{Message: fmt.Sprintf("and %d more errors", p.more)})
	}
	if err := hub.Invalid("The node file cannot be imported as it is; nothing of it was.", p.errors); err != nil {
		return nil, err
	}
	return nodes, nil
}

func readNodeFile(data []byte, format NodeFormat) (*value, error) {
	switch format {
	case NodesYAML:
		return readYAML(data)
	case NodesJSON:
		return readJSON(data)
	case NodesXML:
		return readXML(data)
	default:
		return nil, fileErrorf(0, "%q is no format of node files: use yaml, json or xml", brief(string(format)))
	}
}

// readNodes reads a list of nodes, or a map of them by name.
func readNodes(p *problems, root *value) []hub.Node {
	var nodes []hub.Node
	seen := map[string]string{}
	add := func(node hub.Node, ok bool, at string) {
		if !ok {
			return
		}
		if first, twice := seen[node.Name]; twice {
			p.errorf(at, "the node %q is there twice (first at %s): remove one", brief(node.Name), first)
			return
		}
		seen[node.Name] = at
		nodes = append(nodes, node)
	}
	switch root.shape {
	case list:
		for i, item := range root.items {
			at := fmt.Sprintf("[%d]", i)
			node, ok := readNode(p, item, at, "")
			add(node, ok, at)
		}
	case object:
		for _, m := range root.members {
			at := join("", m.key)
			node, ok := readNode(p, m.value, at, m.key)
			add(node, ok, at)
		}
	default:
		p.errorf("", "the file must be a list of nodes, or a map of them by name, not %s", root.shape)
	}
	return nodes
}

// readNode reads one node; key is the name that it stands under in a map.
func readNode(p *problems, v *value, at, key string) (hub.Node, bool) {
	if v.shape != object {
		p.errorf(at, "a node must be a map of its attributes, not %s%s", v.shape, lineOf(v))
		return hub.Node{}, false
	}
	f := fields{problems: p, path: at, v: v}
	before := len(p.errors) + p.more
	node := hub.Node{
		Name:        f.line("nodename"),
		Hostname:    f.line("hostname"),
		Username:    f.line("username"),
		Description: f.text("description"),
		Tags:        readTags(f),
	}
	switch {
	case node.Name == "":
		node.Name = strings.TrimSpace(key)
	case key != "" && node.Name != strings.TrimSpace(key):
		f.wrong("nodename", "differs from the name %q that the node stands under", brief(key))
	}
	checkNodeName(f, node.Name)
	node.Attributes = readAttributes(f)
	return node, len(p.errors)+p.more == before
}

func lineOf(v *value) string { return at(v.line) }

func checkNodeName(f fields, name string) {
	switch {
	case name == "":
		f.errorf(join(f.path, "nodename"), "is required%s", lineOf(f.v))
	case len(name) > maxNodeName:
		f.errorf(f.path, "the name has more than %d bytes%s", maxNodeName, lineOf(f.v))
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 127 }):
		f.errorf(f.path, "the name holds a control character or a line break: remove it%s", lineOf(f.v))
	}
}

func readTags(f fields) []string {
	var tags []string
	for _, tag := range f.texts("tags", ",") {
		tag = strings.TrimSpace(tag)
		if strings.ContainsFunc(tag, func(r rune) bool { return r < ' ' || r == 127 || r == ',' }) {
			f.wrong("tags", "holds %q: a tag is one line without commas", brief(tag))
			continue
		}
		if tag != "" && !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return tags
}

// readAttributes reads everything that is no field of its own.
func readAttributes(f fields) map[string]string {
	if len(f.v.members) > maxAttributes {
		f.errorf(f.path, "the node has more than %d attributes: keep those that are used%s", maxAttributes, lineOf(f.v))
		return nil
	}
	attributes := map[string]string{}
	for _, m := range f.v.members {
		switch m.key {
		case "nodename", "hostname", "username", "description", "tags":
			continue
		}
		at := join(f.path, m.key)
		switch {
		case m.key == "" || len(m.key) > maxAttributeName || strings.ContainsFunc(m.key, func(r rune) bool { return r <= ' ' || r == 127 }):
			f.errorf(at, "an attribute's name is one word of at most %d bytes%s", maxAttributeName, lineOf(m.value))
		case m.value.shape == null:
		case m.value.shape != scalar:
			f.errorf(at, "must be a text, not %s%s", m.value.shape, lineOf(m.value))
		case len(m.value.text) > maxAttributeValue:
			f.errorf(at, "has %d bytes, at most %d are taken%s", len(m.value.text), maxAttributeValue, lineOf(m.value))
		default:
			attributes[m.key] = m.value.text
		}
	}
	return attributes
}
