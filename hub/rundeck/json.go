package rundeck

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"
)

// readJSON reads a file of one JSON value.
func readJSON(data []byte) (*value, error) {
	if err := checkSize(data); err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, fileErrorf(0, "the file is empty")
	}
	if !utf8.Valid(data) { // the decoder would put another character in place of what is not
		return nil, fileErrorf(0, "the file is not UTF-8: save it as UTF-8")
	}
	r := &jsonReader{data: data, decoder: json.NewDecoder(bytes.NewReader(data)), budget: newBudget(), line: 1}
	r.decoder.UseNumber()
	v, err := r.value(0)
	if err != nil {
		return nil, err
	}
	if _, err := r.decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fileErrorf(r.at(), "something follows the end of the JSON: remove it")
	}
	return v, nil
}

type jsonReader struct {
	data    []byte
	decoder *json.Decoder
	budget  *budget
	// line that offset lies on; both only grow.
	line   int
	offset int64
}

// at returns the line of what was read last.
func (r *jsonReader) at() int {
	to := min(r.decoder.InputOffset(), int64(len(r.data)))
	r.line += bytes.Count(r.data[r.offset:to], []byte("\n"))
	r.offset = to
	return r.line
}

func (r *jsonReader) token() (json.Token, error) {
	t, err := r.decoder.Token()
	if err == nil {
		return t, nil
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fileErrorf(r.at(), "the JSON ends too early")
	}
	return nil, fileErrorf(r.at(), "this is no JSON: %s", err.Error())
}

func (r *jsonReader) value(depth int) (*value, error) {
	t, err := r.token()
	if err != nil {
		return nil, err
	}
	v := &value{line: r.at()}
	switch t := t.(type) {
	case json.Delim:
		v.shape = list
		if t == '{' {
			v.shape = object
		}
		if err := r.budget.take("", depth, v.line); err != nil {
			return nil, err
		}
		return v, r.inside(v, depth)
	case string:
		v.shape, v.text = scalar, t
	case json.Number:
		v.shape, v.text = scalar, t.String()
	case bool:
		v.shape, v.text = scalar, "false"
		if t {
			v.text = "true"
		}
	}
	return v, r.budget.take(v.text, depth, v.line)
}

// inside reads what an array or object holds, and its end.
func (r *jsonReader) inside(v *value, depth int) error {
	seen := map[string]bool{}
	for r.decoder.More() {
		name := ""
		if v.shape == object {
			t, err := r.token()
			if err != nil {
				return err
			}
			name, _ = t.(string)
			if err := r.budget.take(name, depth, r.at()); err != nil {
				return err
			}
			if seen[name] {
				return fileErrorf(r.at(), "the key %q stands here for the second time: remove one", brief(name))
			}
			seen[name] = true
		}
		inner, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		if v.shape == object {
			v.members = append(v.members, member{key: name, line: inner.line, value: inner})
		} else {
			v.items = append(v.items, inner)
		}
	}
	_, err := r.token()
	return err
}
