package rundeck

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

// readXML reads Rundeck's resource XML into the shape of the other formats: a list of
// nodes, each a map of its attributes.
//
//	<project><node name="a" hostname="h" tags="x,y"><attribute name="k" value="v"/></node></project>
func readXML(data []byte) (*value, error) {
	if err := checkSize(data); err != nil {
		return nil, err
	}
	r := &xmlReader{decoder: xml.NewDecoder(bytes.NewReader(data)), budget: newBudget()}
	root := &value{shape: list}
	element, err := r.next()
	if err != nil {
		return nil, err
	}
	switch {
	case element == nil:
		return nil, fileErrorf(0, "the file is empty")
	case element.Name.Local != "project":
		return nil, r.errorf("the root must be <project>, not <%s>", brief(element.Name.Local))
	}
	for {
		child, err := r.nextIn("project")
		if err != nil {
			return nil, err
		}
		if child == nil {
			break
		}
		if child.Name.Local != "node" {
			return nil, r.errorf("<project> holds <%s>: only <node> may stand there", brief(child.Name.Local))
		}
		node, err := r.node(child)
		if err != nil {
			return nil, err
		}
		root.items = append(root.items, node)
	}
	if after, err := r.nextIn("project"); err != nil || after != nil {
		return nil, r.errorf("something follows </project>: remove it")
	}
	return root, nil
}

type xmlReader struct {
	decoder *xml.Decoder
	budget  *budget
	text    strings.Builder
	done    bool
}

func (r *xmlReader) line() int {
	line, _ := r.decoder.InputPos()
	return line
}

func (r *xmlReader) errorf(format string, args ...any) error {
	return fileErrorf(r.line(), format, args...)
}

// next returns the next element that begins, or nil where the one around it, or the
// file, ends. Text on the way is left in r.text.
func (r *xmlReader) next() (*xml.StartElement, error) {
	r.text.Reset()
	for !r.done {
		t, err := r.decoder.Token()
		if errors.Is(err, io.EOF) {
			r.done = true
			break
		}
		if err != nil {
			return nil, r.errorf("this is no XML: %s", strings.TrimPrefix(err.Error(), "XML "))
		}
		switch t := t.(type) {
		case xml.StartElement:
			return &t, nil
		case xml.EndElement:
			return nil, nil
		case xml.CharData:
			r.text.Write(t)
		case xml.Directive:
			// An internal subset may define entities without end.
			if bytes.ContainsAny(t, "[]") || !bytes.HasPrefix(t, []byte("DOCTYPE")) {
				return nil, r.errorf("the document type defines things: only a plain <!DOCTYPE project ...> is taken")
			}
		}
	}
	return nil, nil
}

// nextIn is next within an element that holds no text of its own: it would be lost.
func (r *xmlReader) nextIn(element string) (*xml.StartElement, error) {
	child, err := r.next()
	if text := strings.TrimSpace(r.text.String()); err == nil && text != "" {
		return nil, r.errorf("<%s> holds the text %q: write it as an attribute, or remove it", element, brief(text))
	}
	return child, err
}

// node reads a <node> up to its end.
func (r *xmlReader) node(start *xml.StartElement) (*value, error) {
	v := &value{shape: object, line: r.line()}
	if err := r.budget.take("", 1, v.line); err != nil {
		return nil, err
	}
	for _, a := range start.Attr {
		name := a.Name.Local
		if name == "name" {
			name = "nodename"
		}
		if err := r.add(v, name, a.Value); err != nil {
			return nil, err
		}
	}
	for {
		child, err := r.nextIn("node")
		if err != nil {
			return nil, err
		}
		if child == nil {
			return v, nil
		}
		if child.Name.Local != "attribute" {
			return nil, r.errorf("<node> holds <%s>: only <attribute> may stand there", brief(child.Name.Local))
		}
		if err := r.attribute(v, child); err != nil {
			return nil, err
		}
	}
}

// attribute reads <attribute name="k" value="v"/> or <attribute name="k">v</attribute>.
func (r *xmlReader) attribute(node *value, start *xml.StartElement) error {
	name, text, given := "", "", false
	for _, a := range start.Attr {
		switch a.Name.Local {
		case "name":
			name = a.Value
		case "value":
			text, given = a.Value, true
		default:
			return r.errorf("<attribute> has %q: only name and value are taken", brief(a.Name.Local))
		}
	}
	if name == "" {
		return r.errorf("<attribute> needs a name")
	}
	inner, err := r.next()
	if err != nil {
		return err
	}
	if inner != nil {
		return r.errorf("<attribute> holds <%s>: only text may stand there", brief(inner.Name.Local))
	}
	switch inside := strings.TrimSpace(r.text.String()); {
	case !given:
		text = inside
	case inside != "":
		return r.errorf("<attribute> has a value and the text %q: remove one", brief(inside))
	}
	return r.add(node, name, text)
}

func (r *xmlReader) add(node *value, name, text string) error {
	line := r.line()
	if err := r.budget.take(name, 2, line); err != nil {
		return err
	}
	if err := r.budget.take(text, 2, line); err != nil {
		return err
	}
	if len(node.members) >= maxAttributes {
		return fileErrorf(line, "the node has more than %d attributes: keep those that are used", maxAttributes)
	}
	if node.get(name) != nil {
		return fileErrorf(line, "the attribute %q stands here for the second time: remove one", brief(name))
	}
	node.members = append(node.members, member{key: name, line: line, value: &value{shape: scalar, text: text, line: line}})
	return nil
}
