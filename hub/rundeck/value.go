package rundeck

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// shape is what a value is.
type shape int

const (
	null shape = iota
	scalar
	list
	object
)

func (s shape) String() string {
	return [...]string{"nothing", "a text", "a list", "a map"}[s]
}

// value is one value of a file, whatever its format was.
type value struct {
	shape shape
	// text of a scalar, as written.
	text    string
	items   []*value
	members []member
	// line it stands on, from 1; 0 where the format does not tell.
	line int
}

type member struct {
	key   string
	line  int
	value *value
}

// get returns the value under a key, nil if there is none.
func (v *value) get(key string) *value {
	for i := range v.members {
		if v.members[i].key == key {
			return v.members[i].value
		}
	}
	return nil
}

// empty reports whether a value says nothing: no text, no items, or only such.
func (v *value) empty() bool {
	switch v.shape {
	case scalar:
		return strings.TrimSpace(v.text) == ""
	case list:
		for _, item := range v.items {
			if !item.empty() {
				return false
			}
		}
	case object:
		for _, m := range v.members {
			if !m.value.empty() {
				return false
			}
		}
	}
	return true
}

// fileError is why a file cannot be read at all.
type fileError struct {
	line    int // 0: not known
	message string
}

func (e *fileError) Error() string {
	if e.line > 0 {
		return fmt.Sprintf("line %d: %s", e.line, e.message)
	}
	return e.message
}

func fileErrorf(line int, format string, args ...any) error {
	return &fileError{line: line, message: fmt.Sprintf(format, args...)}
}

// budget bounds what reading one file may cost.
type budget struct {
	values int
	bytes  int
}

func newBudget() *budget { return &budget{values: MaxValues, bytes: MaxExpandedBytes} }

// take accounts for one more value.
func (b *budget) take(text string, depth, line int) error {
	b.values--
	b.bytes -= len(text)
	switch {
	case depth > MaxDepth:
		return fileErrorf(line, "lists and maps lie deeper in each other than %d: flatten them", MaxDepth)
	case b.values < 0:
		return fileErrorf(line, "the file holds more than %d values with its aliases expanded: split it, and write aliases out", MaxValues)
	case b.bytes < 0:
		return fileErrorf(line, "the file holds more than %d MiB of text with its aliases expanded: split it, and write aliases out", MaxExpandedBytes>>20)
	}
	return checkText(text, line)
}

func checkText(text string, line int) error {
	if strings.IndexByte(text, 0) >= 0 {
		return fileErrorf(line, "a text holds a NUL byte: remove it")
	}
	if !utf8.ValidString(text) {
		return fileErrorf(line, "a text is not UTF-8: save the file as UTF-8")
	}
	return nil
}

func checkSize(data []byte) error {
	if len(data) > MaxFileBytes {
		return fileErrorf(0, "the file has %d bytes, at most %d (%d MiB) are taken: split it", len(data), MaxFileBytes, MaxFileBytes>>20)
	}
	return nil
}

// readYAML reads a file of one YAML document.
func readYAML(data []byte) (*value, error) {
	if err := checkSize(data); err != nil {
		return nil, err
	}
	if n := structure(data); n > MaxValues {
		return nil, fileErrorf(0, "the file holds about %d values, at most %d are taken: split it", n, MaxValues)
	}
	if !utf8.Valid(data) {
		return nil, fileErrorf(0, "the file is not UTF-8: save it as UTF-8")
	}
	var node yaml.Node
	if err := yaml.Load(data, &node, yaml.WithPlugin(depthLimit{})); err != nil {
		return nil, yamlError(err)
	}
	b := newBudget()
	root := &node
	if node.Kind == yaml.DocumentNode {
		if len(node.Content) != 1 {
			return nil, fileErrorf(0, "the file is empty")
		}
		root = node.Content[0]
	}
	return fromYAML(root, 0, b)
}

// structure counts what may begin a value, before anything is allocated for it: a file
// of nothing but commas, or quotes, would take a hundred times its size and more. A line
// is one value, or as many as it has marks.
func structure(data []byte) int {
	n, marks, quotes := 0, 0, 0
	for _, c := range data {
		switch c {
		case '\n':
			n += max(marks+quotes/2, 1)
			marks, quotes = 0, 0
		case ',', '[', '{', '-', '?', ':', '&', '*', '!':
			marks++
		case '"', '\'':
			quotes++ // two to a text
		}
	}
	return n + marks + quotes/2
}

// depthLimit ends a document that nests too deep while it is scanned.
type depthLimit struct{}

func (depthLimit) CheckDepth(depth int, _ *yaml.DepthContext) error {
	if depth > MaxDepth {
		return fmt.Errorf("lists and maps lie deeper in each other than %d: flatten them", MaxDepth)
	}
	return nil
}

// CheckAlias lets aliases through: fromYAML counts what they expand to.
func (depthLimit) CheckAlias(int, int) error { return nil }

// yamlError tells a syntax error with its place.
func yamlError(err error) error {
	var load *yaml.LoadError
	if !errors.As(err, &load) {
		var many *yaml.LoadErrors
		if errors.As(err, &many) && len(many.Errors) > 0 {
			load = many.Errors[0]
		}
	}
	switch {
	case load == nil:
		return fileErrorf(0, "the file is no YAML: %s", err.Error())
	case strings.Contains(load.Message, "no documents"):
		return fileErrorf(0, "the file is empty")
	case strings.Contains(load.Message, "found multiple"):
		return fileErrorf(0, "the file holds several YAML documents (---): put everything into one")
	case load.Mark.Line > 0:
		return fileErrorf(load.Mark.Line, "this is no YAML: %s (column %d)", load.Message, load.Mark.Column)
	default:
		return fileErrorf(0, "the file is no YAML: %s", load.Message)
	}
}

// fromYAML converts a node; aliases are expanded within the budget.
func fromYAML(n *yaml.Node, depth int, b *budget) (*value, error) {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
		depth++ // an alias to what holds it ends here
	}
	if err := b.take(n.Value, depth, n.Line); err != nil {
		return nil, err
	}
	v := &value{line: n.Line}
	switch n.Kind {
	case yaml.ScalarNode:
		return v, scalarYAML(v, n)
	case yaml.SequenceNode:
		v.shape = list
		for _, item := range n.Content {
			converted, err := fromYAML(item, depth+1, b)
			if err != nil {
				return nil, err
			}
			v.items = append(v.items, converted)
		}
		return v, checkTag(n, "!!seq")
	case yaml.MappingNode:
		v.shape = object
		if err := checkTag(n, "!!map"); err != nil {
			return nil, err
		}
		return v, mappingYAML(v, n, depth, b)
	default:
		return nil, fileErrorf(n.Line, "this is nothing that a file may hold: write a text, a list or a map")
	}
}

func scalarYAML(v *value, n *yaml.Node) error {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!str", "!!int", "!!float", "!!bool", "!!timestamp":
		v.shape, v.text = scalar, n.Value
		return nil
	case "!!merge":
		v.shape, v.text = scalar, n.Value
		return nil
	default:
		return fileErrorf(n.Line, "the tag %s is not taken: write plain text", n.Tag)
	}
}

func checkTag(n *yaml.Node, want string) error {
	if tag := n.ShortTag(); tag != want {
		return fileErrorf(n.Line, "the tag %s is not taken: write a plain list or map", n.Tag)
	}
	return nil
}

func mappingYAML(v *value, n *yaml.Node, depth int, b *budget) error {
	seen := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind == yaml.AliasNode && key.Alias != nil {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			return fileErrorf(n.Content[i].Line, "a key is a list or a map: only texts may be keys")
		}
		if key.ShortTag() == "!!merge" {
			return fileErrorf(key.Line, "merge keys (<<) are not taken: write the keys out")
		}
		if err := b.take(key.Value, depth, key.Line); err != nil {
			return err
		}
		if first, twice := seen[key.Value]; twice {
			return fileErrorf(key.Line, "the key %q stands here for the second time (first on line %d): remove one", brief(key.Value), first)
		}
		seen[key.Value] = key.Line
		converted, err := fromYAML(n.Content[i+1], depth+1, b)
		if err != nil {
			return err
		}
		v.members = append(v.members, member{key: key.Value, line: key.Line, value: converted})
	}
	return nil
}

// brief cuts a text for a message.
func brief(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
